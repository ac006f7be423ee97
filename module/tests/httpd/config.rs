//! The directives: errors, contexts, merging.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use xtask::apache::Apache;
use xtask::command::run;
use xtask::server_root::ConfigCheck;

use crate::support::{Client, Context, Frame, Handshake, cases};

cases! {
    "a plugin that cannot be used is a configuration error that says why" => bad_plugins,
    "a symbol that is not an init function is a configuration error, not a crash"
        => no_init_functions,
    "an init function may come from a library the plugin depends on" => helper,
    "a wrong argument is a configuration error that says what is allowed" => bad_arguments,
    "every directive is allowed at every level" => contexts,
    "the old name of the size limit works, with a warning" => old_name,
    "an inner section inherits the settings of the outer one" => merging,
    "a virtual host inherits the settings of the server" => virtual_hosts,
    ".htaccess files work under AllowOverride AuthConfig, and only there" => htaccess,
    "a library path is relative to ServerRoot" => relative_path,
    "LogLevel can be set for the module" => log_level,
}

fn check(context: &Context, config: &str) -> Result<ConfigCheck> {
    context.root()?.config(config).check_config()
}

fn bad_plugins(context: &Context) -> Result<()> {
    let plugins = context.plugins();
    let broken = |init| plugins.handler_with("broken", init);
    let broken_so = plugins.library("broken").display().to_string();
    let cases = [
        (
            "WebSocketHandler /absent/plugin.so x_init".to_owned(),
            vec!["/absent/plugin.so", "No such file"],
        ),
        (
            "WebSocketHandler modules/absent.so x_init".to_owned(),
            vec!["/modules/absent.so", "No such file"],
        ),
        (
            "WebSocketHandler conf/httpd.conf x_init".to_owned(),
            vec!["/conf/httpd.conf", "invalid ELF header"],
        ),
        (
            broken("absent_init"),
            vec![&*broken_so, "absent_init", "undefined symbol"],
        ),
        (broken("null_init"), vec![&*broken_so, "null_init", "NULL"]),
        (
            broken("version_init"),
            vec![&*broken_so, "version_init", "version 7", "version 0"],
        ),
        (
            broken("small_init"),
            vec![&*broken_so, "small_init", "39 bytes", "40"],
        ),
        (
            broken("no_on_message_init"),
            vec![&*broken_so, "no_on_message_init", "on_message"],
        ),
        ("WebSocketHandler only.so".to_owned(), vec!["two arguments"]),
    ];
    for (directive, words) in cases {
        let result = check(context, &format!("<Location /x>\n{directive}\n</Location>"))?;
        expect_error(&directive, &result, &words)?;
    }
    let larger = check(
        context,
        &format!("<Location /x>\n{}\n</Location>", broken("larger_init")),
    )?;
    ensure!(larger.ok, "{larger:?}");
    Ok(())
}

fn no_init_functions(context: &Context) -> Result<()> {
    let plugins = context.plugins();
    let broken = |symbol| (plugins.library("broken"), symbol);
    let alias = Apache::find()?.stock_module("alias");
    for ((library, symbol), word) in [
        ((alias, "alias_module"), "is not a function"),
        ((c_library()?, "environ"), "is not a function"),
        ((c_library()?, "getpid"), "C library"),
        ((c_library()?, "abort"), "C library"),
        (broken("getpid"), "C library"),
        (broken("variable"), "is not a function"),
        (broken("constant"), "is not a function"),
        (broken("number_init"), "0x3039"),
        (broken("odd_init"), "where no plugin's table is"),
        (broken("cut_init"), "where no plugin's table is"),
        (broken("stack_init"), "local variable"),
        (broken("boast_init"), "1000 bytes"),
        (broken("data_init"), "on_disconnect is not a function"),
    ] {
        let library = library.display().to_string();
        let directive = format!("WebSocketHandler \"{library}\" {symbol}");
        let result = check(context, &format!("<Location /x>\n{directive}\n</Location>"))?;
        expect_error(&directive, &result, &[&library, symbol, word])?;
    }
    let last = check(context, &plugins.handler_with("broken", "last_init"))?;
    ensure!(last.ok, "{last:?}");
    Ok(())
}

/// The path of the C library that this process uses.
fn c_library() -> Result<PathBuf> {
    let maps = std::fs::read_to_string("/proc/self/maps")?;
    let mut paths = maps
        .lines()
        .filter_map(|line| line.split_whitespace().nth(5));
    let path = paths.find(|path| path.contains("/libc.so") || path.contains("/libc-"));
    Ok(path.context("no C library")?.into())
}

fn helper(context: &Context) -> Result<()> {
    let root = context.root()?;
    let outer = root.dir().join("outer.so");
    let echo = context.plugins().library("echo");
    run(Command::new("cc")
        .args([
            "-shared",
            "-fPIC",
            "-Wl,--no-as-needed",
            "-x",
            "c",
            "/dev/null",
        ])
        .args(["-x", "none"])
        .arg(&echo)
        .arg("-o")
        .arg(&outer))?;
    let handler = format!("WebSocketHandler \"{}\" echo_init", outer.display());
    let config = format!("<Location /x>\nSetHandler websocket-handler\n{handler}\n</Location>");
    let httpd = root.config(config).start()?;
    let mut client = Client::open(httpd.address(), &Handshake::to("/x"))?;
    client.echo("hello")?;
    client.close()
}

fn expect_error(directive: &str, result: &ConfigCheck, words: &[&str]) -> Result<()> {
    ensure!(!result.ok, "{directive} is accepted");
    for word in words.iter().chain(&["Syntax error on line", "httpd.conf"]) {
        ensure!(
            result.message.contains(word),
            "{directive}: no `{word}` in {}",
            result.message
        );
    }
    Ok(())
}

fn bad_arguments(context: &Context) -> Result<()> {
    let sizes = [
        "0",
        "-1",
        "+1",
        "1k",
        "1.5",
        "ten",
        "0x10",
        "9223372036854775808",
        "99999999999999999999999",
    ];
    for name in ["WebSocketMaxMessageSize", "MaxMessageSize"] {
        for size in sizes {
            let directive = format!("{name} {size}");
            expect_error(
                &directive,
                &check(context, &directive)?,
                &[name, size, "1 to"],
            )?;
        }
    }
    for (directive, words) in [
        (
            "WebSocketH2MaxStreams 0",
            vec!["WebSocketH2MaxStreams", "from 1 to 10000", "'0'"],
        ),
        (
            "<Location /x>\nWebSocketH2MaxStreams 3\n</Location>",
            vec!["WebSocketH2MaxStreams not allowed in <Location>"],
        ),
        (
            "WebSocketDrainTime 5parsecs",
            vec!["WebSocketDrainTime", "5min", "or Unlimited", "'5parsecs'"],
        ),
        (
            "WebSocketDrainRate 0",
            vec!["WebSocketDrainRate", "from 1 to 1000000", "'0'"],
        ),
        (
            "<Location /x>\nWebSocketDrainRate 3\n</Location>",
            vec!["WebSocketDrainRate not allowed in <Location>"],
        ),
        (
            "<VirtualHost *:80>\nWebSocketDrainRate 3\n</VirtualHost>",
            vec!["WebSocketDrainRate", "<VirtualHost>"],
        ),
        (
            "WebSocketMaxConnections 0",
            vec![
                "WebSocketMaxConnections",
                "from 1 to 10000000, or Off",
                "'0'",
            ],
        ),
        (
            "<Location /x>\nWebSocketMaxConnections 3\n</Location>",
            vec!["WebSocketMaxConnections not allowed in <Location>"],
        ),
        (
            "WebSocketMaxConnectionsPerClient many",
            vec!["from 1 to 10000, or Off", "'many'"],
        ),
        (
            "WebSocketHandshakeRate 10",
            vec!["WebSocketHandshakeRate", "10/s, 30/min or 100/h", "'10'"],
        ),
        ("WebSocketHandshakeRate 10/s 0", vec!["'10/s 0'"]),
        (
            "WebSocketMessageRate fast",
            vec!["WebSocketMessageRate", "10/s, 30/min", "'fast'"],
        ),
        (
            "WebSocketMessageRate 10/s 5 drop",
            vec!["WebSocketMessageRate", "Pause or Close", "'drop'"],
        ),
        (
            "WebSocketHandshakeRate 1/s 2 3",
            vec!["WebSocketHandshakeRate takes 1-2 arguments"],
        ),
        (
            "WebSocketReserve 100",
            vec!["WebSocketReserve", "percent from 0 to 99", "'100'"],
        ),
        ("WebSocketReserve 10%", vec!["from 0 to 99", "'10%'"]),
        (
            "WebSocketHtaccessPlugins Some",
            vec!["Named, Any or None", "'Some'"],
        ),
        (
            "<Location /x>\nWebSocketHtaccessPlugins Any\n</Location>",
            vec!["WebSocketHtaccessPlugins not allowed in <Location>"],
        ),
        (
            "<VirtualHost *:80>\nWebSocketHtaccessPlugins Any\n</VirtualHost>",
            vec!["WebSocketHtaccessPlugins", "<VirtualHost>"],
        ),
        (
            "WebSocketOriginCheck Some",
            vec!["Off", "Same", "Trusted", "Some"],
        ),
        ("WebSocketOriginCheck", vec!["one argument"]),
        ("WebSocketTrustedOrigin", vec!["WebSocketTrustedOrigin"]),
        ("WebSocketAllowReservedStatusCodes maybe", vec!["On or Off"]),
        ("WebSocketCompression gzip", vec!["On or Off"]),
        (
            "WebSocketCompressionLevel 0",
            vec!["WebSocketCompressionLevel", "1 (fastest) to 9", "'0'"],
        ),
        ("WebSocketCompressionLevel 10", vec!["1 (fastest) to 9"]),
        (
            "WebSocketCompressionThreshold 1k",
            vec!["WebSocketCompressionThreshold", "0 to", "'1k'"],
        ),
        (
            "WebSocketCompressionContext Off",
            vec!["Shared or Connection", "'Off'"],
        ),
    ] {
        expect_error(directive, &check(context, directive)?, &words)?;
    }
    Ok(())
}

fn contexts(context: &Context) -> Result<()> {
    let handler = context.plugins().handler("echo");
    let all = format!(
        "{handler}\nWebSocketMaxMessageSize 9223372036854775807\nMaxMessageSize 1\n\
         WebSocketOriginCheck tRUSTED\nWebSocketTrustedOrigin http://a http://b\n\
         WebSocketTrustedOrigin http://c\nWebSocketAllowReservedStatusCodes on\n\
         WebSocketCompression on\nWebSocketCompressionLevel 9\n\
         WebSocketCompressionThreshold 0\nWebSocketCompressionContext shared\n\
         WebSocketDrainTime 90s\nWebSocketReserve 20\n\
         WebSocketMaxConnectionsPerClient 5\nWebSocketHandshakeRate 10/s 50\n\
         WebSocketMessageRate 10/s 50 close\n"
    );
    for (start, end) in [
        ("", ""),
        ("<VirtualHost *:80>\n", "</VirtualHost>"),
        ("<Directory /tmp>\n", "</Directory>"),
        ("<DirectoryMatch ^/tmp>\n", "</DirectoryMatch>"),
        ("<Location /x>\n", "</Location>"),
        ("<LocationMatch ^/x>\n", "</LocationMatch>"),
        ("<Files x>\n", "</Files>"),
        ("<If \"true\">\n", "</If>"),
        ("<IfModule mod_websocket.c>\n", "</IfModule>"),
        ("<IfModule websocket_module>\n", "</IfModule>"),
    ] {
        let result = check(context, &format!("{start}{all}{end}"))?;
        ensure!(result.ok, "{start}: {}", result.message);
    }
    Ok(())
}

fn old_name(context: &Context) -> Result<()> {
    let config = context
        .plugins()
        .location("/old", "echo", "MaxMessageSize 5");
    let httpd = context.start(&config)?;
    let line = httpd.wait_for_log("MaxMessageSize is deprecated", crate::support::PATIENCE)?;
    ensure!(
        line.contains("httpd.conf:") && line.contains("WebSocketMaxMessageSize"),
        "{line}"
    );
    let mut client = Client::open(httpd.address(), &Handshake::to("/old"))?;
    client.echo("fives")?;
    client.text("sixsix")?;
    client.expect_close(1009)
}

/// Checks whether a message of this size comes back, and whether an origin may connect.
fn expect(client: &mut Client, size: usize, limit_holds: bool) -> Result<()> {
    let payload = vec![b'x'; size];
    client.binary(&payload)?;
    if limit_holds {
        client.expect_close(1009)
    } else {
        client.expect(&Frame::binary(&payload))
    }
}

fn merging(context: &Context) -> Result<()> {
    let plugins = context.plugins();
    let outer = plugins.location(
        "/outer",
        "echo",
        "WebSocketMaxMessageSize 10\nWebSocketOriginCheck Trusted\n\
         WebSocketTrustedOrigin http://a\nWebSocketAllowReservedStatusCodes On",
    );
    let inner = "<Location /outer/size>\nWebSocketMaxMessageSize 20\n</Location>\n\
                 <Location /outer/origin>\nWebSocketTrustedOrigin http://b\n</Location>\n\
                 <Location /outer/codes>\nWebSocketAllowReservedStatusCodes Off\n</Location>\n\
                 <Location /outer/check>\nWebSocketOriginCheck Off\n</Location>\n";
    let handler = plugins.handler("twin_a");
    let other = format!("<Location /outer/plugin>\n{handler}\n</Location>");
    let httpd = context.start(&format!("{outer}{inner}{other}"))?;
    let address = httpd.address();
    // For each section: the limit, origins a and b, and whether status 2000 is allowed.
    for (section, limit, a, b, code) in [
        ("", 10, true, false, true),
        ("/size", 20, true, false, true),
        ("/origin", 10, false, true, true),
        ("/codes", 10, true, false, false),
        ("/check", 10, true, true, true),
    ] {
        let target = format!("/outer{section}");
        for (origin, allowed) in [("http://a", a), ("http://b", b)] {
            let response = Client::ask(address, &Handshake::to(&target).header("Origin", origin))?;
            ensure!(
                response.status == if allowed { 101 } else { 403 },
                "{section} {origin}"
            );
        }
        let mut client = Client::open(address, &Handshake::to(&target))?;
        expect(&mut client, limit, false).context(section)?;
        expect(&mut client, limit + 1, true).context(section)?;
        let mut client = Client::open(address, &Handshake::to(&target))?;
        client.send(crate::support::frame::masked(
            crate::support::Opcode::CLOSE,
            2000_u16.to_be_bytes(),
        ))?;
        client
            .expect_close(if code { 2000 } else { 1002 })
            .context(section)?;
    }
    let mut client = Client::open(address, &Handshake::to("/outer/plugin"))?;
    client.text("who")?;
    client.expect_text("a")?;
    expect(&mut client, 11, true)
}

fn virtual_hosts(context: &Context) -> Result<()> {
    let handler = context.plugins().handler("echo");
    let httpd = context.start(&format!(
        "{handler}\nWebSocketMaxMessageSize 10\nSetHandler websocket-handler\n\
         <VirtualHost *:*>\nServerName one.example\n</VirtualHost>\n\
         <VirtualHost *:*>\nServerName two.example\nWebSocketMaxMessageSize 20\n</VirtualHost>\n"
    ))?;
    for (host, limit) in [("one.example", 10), ("two.example", 20)] {
        let handshake = Handshake::to("/anything").header("Host", host);
        let mut client = Client::open(httpd.address(), &handshake)?;
        expect(&mut client, limit, false)?;
        expect(&mut client, limit + 1, true)?;
    }
    Ok(())
}

fn htaccess(context: &Context) -> Result<()> {
    for _ in 0..5 {
        let mut client = context.open("/site/ht/room")?;
        client.echo("fives")?;
        client.text("sixsix")?;
        client.expect_close(1009)?;
    }
    let denied = Client::ask(context.address()?, &Handshake::to("/site/denied/room"))?;
    ensure!(denied.status == 500, "{denied:?}");
    let httpd = context.httpd()?;
    httpd.wait_for_log(
        "WebSocketHandler not allowed here",
        crate::support::PATIENCE,
    )?;
    Ok(())
}

fn relative_path(context: &Context) -> Result<()> {
    let root = context.root()?;
    std::fs::copy(
        context.plugins().library("echo"),
        root.dir().join("relative.so"),
    )?;
    let config = "<Location /x>\nSetHandler websocket-handler\n\
                  WebSocketHandler relative.so echo_init\n</Location>";
    let httpd = root.config(config).start()?;
    let mut client = Client::open(httpd.address(), &Handshake::to("/x"))?;
    client.echo("hello")?;
    client.close()
}

fn log_level(context: &Context) -> Result<()> {
    let handshake = Handshake::to("/echo").header("Host", "debug.example");
    let mut client = context.open_with(&handshake)?;
    client.echo("hello")?;
    client.close()?;
    let quiet = context.start("LogLevel websocket:error")?;
    let mut client = Client::open(quiet.address(), &Handshake::to("/echo"))?;
    client.send(crate::support::frame::masked(0x83, ""))?;
    client.expect_close(1002)?;
    ensure!(
        !quiet.error_log()?.contains("closing with 1002"),
        "logged despite LogLevel"
    );
    Ok(())
}
