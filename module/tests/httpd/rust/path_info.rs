//! The path after the plugin's section, as the plugin sees it.

use std::fs;

use anyhow::{Context as _, Result, ensure};

use super::{handler, location, write_site};
use crate::support::{Client, Context, Handshake, cases};

cases! {
    "path_info is the path after the location, whichever files exist" => locations,
    "path_info follows the section that names the plugin" => nested,
    "path_info is the path after the folder of a directory or an .htaccess file" => directories,
    "plugins in C see httpd's own path info" => of_httpd,
}

/// Checks the plugin's path info for these paths.
fn expect(httpd: &xtask::httpd::Httpd, paths: &[(&str, &str)]) -> Result<()> {
    for (path, info) in paths {
        let mut client =
            Client::open(httpd.address(), &Handshake::to(path)).context((*path).to_owned())?;
        client.text("path info")?;
        let seen = client.next_text()?;
        ensure!(seen == *info, "{path}: {seen} instead of {info}");
        client.close()?;
    }
    Ok(())
}

fn locations(context: &Context) -> Result<()> {
    let root = context.root()?.stock_module("alias");
    let site = root.dir().join("htdocs");
    fs::create_dir_all(site.join("present"))?;
    fs::write(site.join("present/lobby"), "")?;
    fs::create_dir_all(site.join("half"))?;
    let witness = handler(context, "witness");
    let section = |section: &str| {
        let name = section.split(' ').next().unwrap_or_default();
        format!("<{section}>\nSetHandler websocket-handler\n{witness}\n</{name}>\n")
    };
    let httpd = root
        .config(location(context, "\"/a/b/deep\"", "witness", ""))
        .config(location(context, "/present", "witness", ""))
        .config(location(context, "/half/way", "witness", ""))
        .config(location(context, "/slash/", "witness", ""))
        .config(format!(
            "<Location /wrapped>\nSetHandler websocket-handler\n<IfModule mod_websocket.c>\n\
             <If \"true\">\n{witness}\n</If>\n</IfModule>\n</Location>\n"
        ))
        .config(section("Location /wild/*/card"))
        .config(section("LocationMatch ^/match/[0-9]+/"))
        .config(section("Location ~ ^/tilde/[a-z]+"))
        .config(format!(
            "Alias /alias \"{}\"",
            site.join("present").display()
        ))
        .config(location(context, "/alias", "witness", ""))
        .start()?;
    expect(
        &httpd,
        &[
            ("/a/b/deep/lobby", "/lobby"),
            ("/a/b/deep", ""),
            ("/a/b/deep/", "/"),
            ("/a/b/deep/r%6fom/2?query", "/room/2"),
            // Files with these names exist.
            ("/present/lobby", "/lobby"),
            ("/present/lobby/more", "/lobby/more"),
            ("/half/way/lobby", "/lobby"),
            ("/slash/lobby", "/lobby"),
            ("/wrapped/lobby", "/lobby"),
            ("/wild/x/card", ""),
            ("/match/17/lobby", "/lobby"),
            ("/tilde/abc/lobby", "/lobby"),
            ("/alias/lobby", "/lobby"),
            ("/alias/none/lobby", "/none/lobby"),
        ],
    )
}

fn nested(context: &Context) -> Result<()> {
    let witness = handler(context, "witness");
    let httpd = context
        .root()?
        .config(location(context, "/a", "witness", ""))
        // It inherits the plugin with its section.
        .config("<Location /a/b>\nWebSocketMaxMessageSize 50\n</Location>")
        .config(format!("<Location /a/b/c>\n{witness}\n</Location>"))
        .config(format!(
            "<VirtualHost *:*>\nServerName localhost\n</VirtualHost>\n\
             <VirtualHost *:*>\nServerName whole.example\n{witness}\n\
             <Location /x>\nSetHandler websocket-handler\n</Location>\n</VirtualHost>\n"
        ))
        .start()?;
    expect(
        &httpd,
        &[
            ("/a/b", "/b"),
            ("/a/b/lobby", "/b/lobby"),
            ("/a/b/c/lobby", "/lobby"),
            ("/a/lobby", "/lobby"),
        ],
    )?;
    let handshake = Handshake::to("/x/lobby").header("Host", "whole.example");
    let mut client = Client::open(httpd.address(), &handshake)?;
    client.text("path info")?;
    client.expect_text("/x/lobby")?;
    client.close()
}

fn directories(context: &Context) -> Result<()> {
    let root = context.root()?.stock_module("alias");
    let witness = format!(
        "SetHandler websocket-handler\n{}\n",
        handler(context, "witness")
    );
    let folder = root.dir().join("folder");
    write_site(&folder.join("ht"), &witness)?;
    fs::create_dir_all(folder.join("plain/sub"))?;
    fs::create_dir_all(folder.join("matched/7"))?;
    let folder = folder.display();
    let httpd = root
        .config("WebSocketHtaccessPlugins Any")
        .config(format!(
            "Alias /site \"{folder}\"\n\
             <Directory \"{folder}\">\nRequire all granted\n\
             AllowOverride AuthConfig FileInfo\n</Directory>\n\
             <Directory \"{folder}/plain\">\n{witness}</Directory>\n\
             <DirectoryMatch \"/folder/matched/[0-9]+/\">\n{witness}</DirectoryMatch>\n"
        ))
        .start()?;
    expect(
        &httpd,
        &[
            ("/site/ht/room", "/room"),
            ("/site/ht/absent/room", "/absent/room"),
            ("/site/plain/sub/room", "/sub/room"),
            ("/site/plain/room/more", "/room/more"),
            ("/site/matched/7/room", "/room"),
        ],
    )
}

fn of_httpd(context: &Context) -> Result<()> {
    let root = context.root()?;
    fs::create_dir_all(root.dir().join("htdocs/request"))?;
    let httpd = root
        .config(context.plugins().locations())
        .config(context.plugins().location("/absent", "request", ""))
        .start()?;
    for (path, info) in [("/request/lobby?x", ""), ("/absent/lobby?x", "/lobby")] {
        let mut client = Client::connect(httpd.address())?;
        let response = client.upgrade(&Handshake::to(path))?;
        ensure!(
            response.header("X-Path-Info") == Some(info),
            "{path}: {response:?}"
        );
        client.close()?;
    }
    Ok(())
}
