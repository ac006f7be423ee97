//! `WebSocketPluginOption`.

use anyhow::{Context as _, Result, ensure};
use xtask::httpd::Httpd;

use super::{expect_log, handler, location, open, site, write_site};
use crate::support::{Client, Context, Handshake, cases};

cases! {
    "WebSocketPluginOption: an inner section inherits the options that it does not set" => merging,
    "WebSocketPluginOption: a virtual host inherits from the server" => virtual_hosts,
    "WebSocketPluginOption is allowed in .htaccess files" => htaccess,
    "WebSocketPluginOption: sections with the same plugin do not mix" => separate,
    "WebSocketPluginOption: httpd does not start if a plugin rejects its options" => refused,
    "WebSocketPluginOption: options that a plugin rejects for a request cause a 500"
        => refused_late,
    "WebSocketPluginOption: the order of the directives does not matter" => order,
    "WebSocketPluginOption does not affect plugins in C" => c_plugin,
    "WebSocketPluginOption takes two arguments" => arguments,
    "a Rust plugin whose init panics is a configuration error" => init_panics,
}

fn expect_options(httpd: &Httpd, handshake: &Handshake, expected: &str) -> Result<()> {
    let mut client = Client::open(httpd.address(), handshake)?;
    client.expect_text(expected)?;
    client.close()
}

/// The words of the log line about options that are rejected for a request.
const REFUSED_LATE: [&str; 4] = [
    "[websocket:error]",
    "[client 127.0.0.1:",
    "the plugin Settings cannot be configured",
    "option `mood`: `bad`",
];

fn merging(context: &Context) -> Result<()> {
    let outer = location(
        context,
        "/outer",
        "settings",
        "WebSocketPluginOption who outer\nWebSocketPluginOption outer \"a b\"",
    );
    let httpd = context
        .root()?
        .config("WebSocketPluginOption who server\nWebSocketPluginOption server 1")
        .config(outer)
        .config("<Location /outer/inner>\nWebSocketPluginOption who inner\n</Location>")
        .config(
            "<Location /outer/last>\nWebSocketPluginOption who x\n\
             WebSocketPluginOption who last\n</Location>",
        )
        .config(location(context, "/plain", "settings", ""))
        .start()?;
    for (target, expected) in [
        ("/plain", "server=1 who=server"),
        ("/outer", "outer=a b server=1 who=outer"),
        ("/outer/inner", "outer=a b server=1 who=inner"),
        ("/outer/last", "outer=a b server=1 who=last"),
    ] {
        expect_options(&httpd, &Handshake::to(target), expected).context(target)?;
    }
    Ok(())
}

fn virtual_hosts(context: &Context) -> Result<()> {
    let hosts = "<VirtualHost *:*>\nServerName one.example\n</VirtualHost>\n\
                 <VirtualHost *:*>\nServerName two.example\nWebSocketPluginOption who two\n\
                 <Location /room>\nWebSocketPluginOption room yes\n</Location>\n</VirtualHost>";
    let httpd = context
        .root()?
        .config("WebSocketPluginOption who server\nWebSocketPluginOption server 1")
        .config(location(context, "/", "settings", ""))
        .config(hosts)
        .start()?;
    for (host, target, expected) in [
        ("one.example", "/room", "server=1 who=server"),
        ("two.example", "/", "server=1 who=two"),
        ("two.example", "/room", "room=yes server=1 who=two"),
    ] {
        let handshake = Handshake::to(target).header("Host", host);
        expect_options(&httpd, &handshake, expected).context(host)?;
    }
    Ok(())
}

fn htaccess(context: &Context) -> Result<()> {
    let root = context.root()?;
    let folder = root.dir().join("site");
    write_site(&folder, "")?;
    for (name, htaccess) in [
        ("good", "WebSocketPluginOption who htaccess"),
        ("bad", "WebSocketPluginOption mood bad"),
    ] {
        write_site(&folder.join(name), htaccess)?;
    }
    let handler = handler(context, "settings");
    let httpd = root
        .stock_module("alias")
        .config("WebSocketPluginOption who server\nWebSocketPluginOption server 1")
        .config(site(
            &folder,
            &format!("SetHandler websocket-handler\n{handler}"),
        ))
        .start()?;
    for _ in 0..3 {
        for (target, expected) in [
            ("/site/good/room", "server=1 who=htaccess"),
            ("/site/room", "server=1 who=server"),
        ] {
            expect_options(&httpd, &Handshake::to(target), expected).context(target)?;
        }
        let response = Client::ask(httpd.address(), &Handshake::to("/site/bad/room"))?;
        ensure!(response.status == 500, "{response:?}");
    }
    expect_log(&httpd, "there are no moods here", &REFUSED_LATE)
}

fn separate(context: &Context) -> Result<()> {
    let section = |name: &str| {
        let option = format!("WebSocketPluginOption name {name}");
        location(context, &format!("/{name}"), "settings", &option)
    };
    let config = section("a") + &section("b") + &location(context, "/none", "settings", "");
    let httpd = context.start_small(8, &config)?;
    let open_all = || -> Result<Vec<_>> {
        let targets = [("/a", "name=a"), ("/none", ""), ("/b", "name=b")];
        let open = |(target, expected)| -> Result<_> {
            let mut client = open(&httpd, target)?;
            client.expect_text(expected)?;
            Ok((client, expected))
        };
        targets.into_iter().map(open).collect()
    };
    let clients = open_all()?.into_iter().chain(open_all()?);
    for (mut client, expected) in clients {
        client.text("again")?;
        client.expect_text(expected)?;
        client.close()?;
    }
    Ok(())
}

fn refused(context: &Context) -> Result<()> {
    const TEXT: &str = "the plugin Settings cannot be configured: \
                        option `mood`: `bad`: there are no moods here";
    let good = location(context, "/good", "settings", "WebSocketPluginOption a b");
    ensure!(context.root()?.config(&good).check_config()?.ok);
    for bad in [
        location(context, "/x", "settings", "WebSocketPluginOption mood bad"),
        location(context, "/x", "settings", "") + "WebSocketPluginOption mood bad\n",
        location(
            context,
            "/x",
            "fragile",
            "WebSocketPluginOption panic configure",
        ),
    ] {
        let text = if bad.contains("panic") {
            "asked to in configure"
        } else {
            TEXT
        };
        let checked = context.root()?.config(&good).config(&bad).check_config()?;
        ensure!(
            !checked.ok && checked.message.contains(text),
            "{bad}: {checked:?}"
        );
        let started = context.root()?.config(&good).config(&bad).start();
        let error = format!("{:#}", started.err().context("it starts")?);
        ensure!(error.contains(text), "{bad}: {error}");
    }
    Ok(())
}

/// Only a request shows which sections are merged.
fn refused_late(context: &Context) -> Result<()> {
    let bad = "WebSocketPluginOption mood bad";
    let config = format!(
        "{}<Location /x/inner>\n{bad}\n</Location>\n\
         <VirtualHost *:*>\nServerName one.example\n</VirtualHost>\n\
         <VirtualHost *:*>\nServerName two.example\n\
         <Location /x>\n{bad}\n</Location>\n</VirtualHost>",
        location(context, "/x", "settings", "")
    );
    let httpd = context.root()?.config(config).start()?;
    for (host, target, status) in [
        ("one.example", "/x", 101),
        ("one.example", "/x/inner", 500),
        ("two.example", "/x", 500),
    ] {
        let handshake = Handshake::to(target).header("Host", host);
        let response = Client::ask(httpd.address(), &handshake)?;
        ensure!(response.status == status, "{host}{target}: {response:?}");
    }
    expect_log(&httpd, "there are no moods here", &REFUSED_LATE)
}

fn order(context: &Context) -> Result<()> {
    let handler = handler(context, "settings");
    let option = "WebSocketPluginOption a b";
    let config = format!(
        "<Location /before>\nSetHandler websocket-handler\n{option}\n{handler}\n</Location>\n\
         <Location /after>\nSetHandler websocket-handler\n{handler}\n{option}\n</Location>\n\
         WebSocketPluginOption server late\n"
    );
    let httpd = context.root()?.config(config).start()?;
    for target in ["/before", "/after"] {
        expect_options(&httpd, &Handshake::to(target), "a=b server=late").context(target)?;
    }
    Ok(())
}

fn c_plugin(context: &Context) -> Result<()> {
    let config = context
        .plugins()
        .location("/c", "echo", "WebSocketPluginOption mood bad");
    let httpd = context.root()?.config(config).start()?;
    let mut client = open(&httpd, "/c")?;
    client.echo("hello")?;
    client.close()
}

fn arguments(context: &Context) -> Result<()> {
    for directive in [
        "WebSocketPluginOption",
        "WebSocketPluginOption a",
        "WebSocketPluginOption a b c",
    ] {
        let checked = context.root()?.config(directive).check_config()?;
        ensure!(!checked.ok, "{directive} is accepted");
        ensure!(
            checked.message.contains("takes two arguments"),
            "{checked:?}"
        );
    }
    Ok(())
}

fn init_panics(context: &Context) -> Result<()> {
    let config = location(context, "/x", "unmakeable", "");
    let checked = context.root()?.config(config).check_config()?;
    ensure!(!checked.ok, "it is accepted");
    for text in [
        "unmakeable_init",
        "test_plugins.so",
        "NULL",
        "[Unmakeable]",
        "cannot be made",
    ] {
        ensure!(
            checked.message.contains(text),
            "no `{text}` in {}",
            checked.message
        );
    }
    Ok(())
}
