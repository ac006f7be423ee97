//! Plugins that `.htaccess` files may load (`WebSocketHtaccessPlugins`).

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use xtask::apache::Apache;
use xtask::httpd::Httpd;
use xtask::server_root::ServerRoot;

use crate::rust::{site, write_site};
use crate::support::server::ensure_healthy;
use crate::support::{Client, Context, Handshake, PATIENCE, cases, wait_until};

cases! {
    ".htaccess files load only plugins that the server's configuration names" => named,
    "a plugin may be named anywhere and in any order" => named_anywhere,
    "a graceful restart changes which plugins .htaccess files may load" => graceful,
    "with WebSocketHtaccessPlugins Any .htaccess files load any plugin" => any,
    "with WebSocketHtaccessPlugins None .htaccess files load no plugin" => none,
    "an .htaccess file with a symbol that is not an init function causes no crash" => harmless,
}

/// Serves folders below `/site` and reads their `.htaccess` files.
fn root(context: &Context) -> Result<ServerRoot> {
    let root = context.root()?.stock_module("alias");
    let folder = root.dir().join("site");
    write_site(&folder, "")?;
    Ok(root.config(site(&folder, "")))
}

/// Makes a folder `/site/NAME` whose `.htaccess` file names a plugin.
fn folder(root: &Path, name: &str, handler: &str) -> Result<()> {
    let rules = format!("SetHandler websocket-handler\n{handler}\n");
    write_site(&root.join("site").join(name), &rules)
}

fn ask(httpd: &Httpd, name: &str) -> Result<u16> {
    let target = format!("/site/{name}/room");
    Ok(Client::ask(httpd.address(), &Handshake::to(&target))?.status)
}

/// The line of the error log about the refusal for a folder.
fn refusal(httpd: &Httpd, name: &str) -> Result<String> {
    httpd.wait_for_log(
        &format!("/site/{name}/.htaccess: WebSocketHandler"),
        PATIENCE,
    )
}

fn named(context: &Context) -> Result<()> {
    let plugins = context.plugins();
    let root = root(context)?;
    let dir = root.dir().to_owned();
    let echo = plugins.library("echo");
    let (soft, hard) = (dir.join("soft.so"), dir.join("hard.so"));
    symlink(&echo, &soft)?;
    fs::hard_link(&echo, &hard).or_else(|_| symlink(&echo, &hard))?;
    let by = |path: &Path| format!("WebSocketHandler \"{}\" echo_init", path.display());
    folder(&dir, "same", &plugins.handler("echo"))?;
    folder(&dir, "soft", &by(&soft))?;
    folder(&dir, "hard", &by(&hard))?;
    folder(&dir, "relative", "WebSocketHandler soft.so echo_init")?;
    folder(&dir, "library", &plugins.handler("twin_a"))?;
    folder(
        &dir,
        "function",
        &plugins.handler_with("broken", "last_init"),
    )?;
    folder(&dir, "absent", "WebSocketHandler absent.so x_init")?;
    let httpd = root
        .config(plugins.location("/echo", "echo", ""))
        .config(plugins.handler_with("broken", "larger_init"))
        .start()?;
    for name in ["same", "soft", "hard", "relative"] {
        let target = format!("/site/{name}/room");
        let mut client = Client::open(httpd.address(), &Handshake::to(&target)).context(name)?;
        client.echo("hello")?;
        client.close()?;
    }
    for (name, library, function) in [
        ("library", "twin_a.so", "twin_init"),
        ("function", "broken.so", "last_init"),
        ("absent", "absent.so", "x_init"),
    ] {
        ensure!(ask(&httpd, name)? == 500, "{name}");
        let line = refusal(&httpd, name)?;
        for word in [
            library,
            function,
            "WebSocketHtaccessPlugins",
            "server's own",
        ] {
            ensure!(line.contains(word), "no `{word}` in {line}");
        }
    }
    Ok(())
}

fn named_anywhere(context: &Context) -> Result<()> {
    let plugins = context.plugins();
    let root = root(context)?;
    let dir = root.dir().to_owned();
    let (echo, twin, gate) = ("echo", "twin_a", "gate");
    for name in [echo, twin, gate] {
        folder(&dir, name, &plugins.handler(name))?;
    }
    // Named before and after the folder's section, and in a host and a section that the request
    // does not match.
    let other_host = format!(
        "<VirtualHost *:*>\nServerName localhost\n</VirtualHost>\n\
         <VirtualHost *:*>\nServerName other.example\n\
         <Location /x>\n{}\n</Location>\n</VirtualHost>",
        plugins.handler(twin)
    );
    let condition = format!("<If \"false\">\n{}\n</If>", plugins.handler(gate));
    let httpd = root
        .config(plugins.location("/never-asked", echo, ""))
        .config("WebSocketHtaccessPlugins named")
        .config(other_host)
        .config(condition)
        .start()?;
    for name in [echo, twin, gate] {
        ensure!(ask(&httpd, name)? == 101, "{name}");
    }
    Ok(())
}

fn graceful(context: &Context) -> Result<()> {
    let plugins = context.plugins();
    let root = root(context)?;
    let dir = root.dir().to_owned();
    folder(&dir, "echo", &plugins.handler("echo"))?;
    let without = site(&dir.join("site"), "");
    let with = without.clone() + &plugins.location("/echo", "echo", "");
    let mut httpd = root.config(plugins.location("/echo", "echo", "")).start()?;
    ensure!(ask(&httpd, "echo")? == 101);
    for (config, status) in [(without, 500), (with, 101)] {
        httpd.replace_config(config)?;
        httpd.graceful()?;
        // A child that is about to end may still accept a connection.
        wait_until("a new child answers", || Ok(ask(&httpd, "echo")? == status))?;
    }
    refusal(&httpd, "echo").map(drop)
}

fn any(context: &Context) -> Result<()> {
    let root = root(context)?;
    folder(root.dir(), "echo", &context.plugins().handler("echo"))?;
    let httpd = root.config("WebSocketHtaccessPlugins Any").start()?;
    ensure!(ask(&httpd, "echo")? == 101);
    Ok(())
}

fn none(context: &Context) -> Result<()> {
    let plugins = context.plugins();
    let root = root(context)?;
    folder(root.dir(), "echo", &plugins.handler("echo"))?;
    let httpd = root
        .config(plugins.location("/echo", "echo", ""))
        .config("WebSocketHtaccessPlugins NONE")
        .start()?;
    ensure!(ask(&httpd, "echo")? == 500);
    let line = refusal(&httpd, "echo")?;
    ensure!(line.contains("WebSocketHtaccessPlugins None"), "{line}");
    Ok(())
}

fn harmless(context: &Context) -> Result<()> {
    let plugins = context.plugins();
    let root = root(context)?;
    let dir = root.dir().to_owned();
    let alias = Apache::find()?.stock_module("alias");
    let alias = format!("WebSocketHandler \"{}\" alias_module", alias.display());
    folder(&dir, "variable", &alias)?;
    folder(
        &dir,
        "number",
        &plugins.handler_with("broken", "number_init"),
    )?;
    let httpd = root
        .config("WebSocketHtaccessPlugins Any")
        .config(plugins.location("/echo", "echo", ""))
        .start()?;
    let mut neighbour = Client::open(httpd.address(), &Handshake::to("/echo"))?;
    for name in ["variable", "number"] {
        for _ in 0..3 {
            ensure!(ask(&httpd, name)? == 500, "{name}");
        }
        refusal(&httpd, name)?;
    }
    neighbour.echo("still here")?;
    neighbour.close()?;
    ensure_healthy(&httpd.error_log()?)
}
