//! Settings without effect, or with another effect than intended: httpd starts and warns.

use std::fs;

use anyhow::{Context as _, Result, ensure};

use crate::rust::{handler, site};
use crate::support::{Context, cases};

cases! {
    "a setting without effect causes one warning that says what to write" => warnings,
    "each start and restart warns once, in the error log" => restarts,
    "settings that may make sense cause no warning" => no_false_alarms,
    "an error in a plugin's options names their file and line" => option_errors,
}

/// The output of `httpd -t`, and the number of the line that begins with `directive`.
fn check(context: &Context, config: &str, directive: &str) -> Result<(bool, String, usize)> {
    let mut root = context.root()?.stock_module("alias").config(config);
    let result = root.check_config()?;
    let text = fs::read_to_string(root.config_file())?;
    let lines = (1..).zip(text.lines());
    let line = lines.filter(|(_, line)| line.starts_with(directive)).last();
    let (number, _) = line.with_context(|| format!("no {directive}"))?;
    Ok((result.ok, result.message, number))
}

fn within(path: &str, directives: &str) -> String {
    format!("<Location {path}>\n{directives}\n</Location>\n")
}

/// Configurations with one mistake each, with its directive and the words of the warning.
fn mistakes(context: &Context) -> Vec<(String, &'static str, Vec<&'static str>)> {
    let plugins = context.plugins();
    let echo = |directives: &str| plugins.location("/echo", "echo", directives);
    let c_handler = plugins.handler("echo");
    vec![
        (
            echo("WebSocketOriginCheck Trusted"),
            "WebSocketOriginCheck",
            vec!["refuses every web page", "WebSocketTrustedOrigin https://"],
        ),
        (
            echo("WebSocketTrustedOrigin https://a.example"),
            "WebSocketTrustedOrigin",
            vec!["no effect", "'WebSocketOriginCheck Trusted'"],
        ),
        (
            echo("WebSocketPluginOption room lobby"),
            "WebSocketPluginOption",
            vec!["written in Rust", "echo.so", "in C"],
        ),
        (
            within("/echo", &c_handler),
            "WebSocketHandler",
            vec!["no effect", "'SetHandler websocket-handler'"],
        ),
        (
            echo("") + &within("/other", "SetHandler websocket-handler"),
            "SetHandler",
            vec!["no plugin", "'WebSocketHandler LIBRARY INIT-FUNCTION'"],
        ),
        (
            within("/echo", "AddHandler websocket-handler .ws"),
            "AddHandler",
            vec!["no plugin", "'WebSocketHandler LIBRARY INIT-FUNCTION'"],
        ),
        (
            within(
                "/echo",
                &format!(
                    "SetHandler websocket-handler\n{}\nWebSocketPluginOption who me\n\
                     WebSocketPluginOption who you",
                    handler(context, "settings")
                ),
            ),
            "WebSocketPluginOption",
            vec!["'you'", "'me'", "same section"],
        ),
        (
            echo("WebSocketCompressionLevel 9"),
            "WebSocketCompressionLevel",
            vec!["no effect", "'WebSocketCompression On'"],
        ),
        (
            echo("MaxMessageSize 5"),
            "MaxMessageSize",
            vec!["deprecated", "WebSocketMaxMessageSize"],
        ),
    ]
}

fn warnings(context: &Context) -> Result<()> {
    for (config, directive, words) in mistakes(context) {
        let (ok, message, line) = check(context, &config, directive)?;
        ensure!(ok, "{config}: {message}");
        let lines: Vec<_> = message
            .lines()
            .filter(|line| line.contains("[websocket:"))
            .collect();
        let [warning] = lines[..] else {
            anyhow::bail!("{config}: not one warning: {message}");
        };
        let place = format!("httpd.conf:{line}: ");
        for word in words.iter().chain(&["[websocket:warn]", &*place]) {
            ensure!(warning.contains(word), "{config}: no `{word}` in {warning}");
        }
    }
    Ok(())
}

fn restarts(context: &Context) -> Result<()> {
    let mistake = "WebSocketOriginCheck Trusted\nMaxMessageSize 5";
    let config = context.plugins().location("/echo", "echo", mistake);
    let httpd = context.root()?.config(config).start()?;
    for times in 1..=3 {
        for text in ["refuses every web page", "MaxMessageSize is deprecated"] {
            let log = fs::read_to_string(httpd.root().error_log())?;
            ensure!(log.matches(text).count() == times, "{times}: {log}");
            ensure!(httpd.error_log()?.matches(text).count() == times);
        }
        httpd.graceful()?;
    }
    Ok(())
}

fn no_false_alarms(context: &Context) -> Result<()> {
    let plugins = context.plugins();
    let handler = plugins.handler("echo");
    let htaccess = site(context.root()?.dir(), "");
    for config in [
        plugins.locations(),
        format!(
            "{handler}\n{}",
            within("/a/b", "SetHandler websocket-handler")
        ),
        within("/a", &handler) + "AddHandler websocket-handler .ws",
        within("/a", &handler) + "<If \"true\">\nSetHandler websocket-handler\n</If>",
        format!(
            "SetHandler websocket-handler\n<VirtualHost *:80>\n{}</VirtualHost>",
            within("/a", &handler)
        ),
        within("/a", &handler) + &htaccess,
        "<IfModule !mod_websocket.c>\nSetHandler websocket-handler\n</IfModule>".into(),
        format!(
            "WebSocketTrustedOrigin https://a.example\nWebSocketPluginOption who me\n{}{}",
            plugins.location("/echo", "echo", "WebSocketOriginCheck Trusted"),
            within(
                "/rust",
                &format!(
                    "SetHandler websocket-handler\n{}",
                    crate::rust::handler(context, "settings")
                )
            ),
        ),
        format!(
            "{}<VirtualHost *:80>\nWebSocketTrustedOrigin https://a.example\n</VirtualHost>",
            plugins.location("/echo", "echo", "WebSocketOriginCheck Trusted")
        ),
    ] {
        let mut root = context.root()?.stock_module("alias").config(&config);
        let result = root.check_config()?;
        let is_well = result.ok && !result.message.contains("[websocket:");
        ensure!(is_well, "{config}: {}", result.message);
    }
    Ok(())
}

fn option_errors(context: &Context) -> Result<()> {
    let handler = handler(context, "settings");
    let bad = "WebSocketPluginOption mood bad";
    let in_section = within(
        "/moody",
        &format!("SetHandler websocket-handler\n{handler}\n{bad}"),
    );
    for (config, section) in [
        (in_section.clone(), "<Location /moody>: "),
        (
            format!("<VirtualHost *:80>\n{in_section}</VirtualHost>"),
            "<Location /moody>: ",
        ),
        (
            format!("{handler}\n{bad}\nSetHandler websocket-handler"),
            "",
        ),
    ] {
        let (ok, message, line) = check(context, &config, "WebSocketHandler")?;
        let place = format!("httpd.conf:{line}: {section}the plugin Settings cannot be configured");
        ensure!(!ok && message.contains(&place), "no `{place}` in {message}");
    }
    Ok(())
}
