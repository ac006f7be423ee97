//! Which mistakes cause warnings, and for which lines.

use super::{Facts, find};
use crate::entry::config::HtaccessPlugins;
use crate::httpd::lines::tests::read;

fn warnings(config: &str, htaccess_plugins: HtaccessPlugins) -> Vec<String> {
    let lines = read(config);
    let plugins = lines.iter().filter(|line| line.is("websockethandler"));
    let is_rust = plugins
        .map(|line| (line.id, line.mentions("rust")))
        .collect();
    find(
        &lines,
        &Facts {
            is_rust,
            htaccess_plugins,
        },
    )
}

/// The places of the lines with warnings.
fn places(config: &str) -> Vec<String> {
    let place = |warning: String| Some(warning.split_once(": ")?.0.to_owned());
    let warnings = warnings(config, HtaccessPlugins::Named);
    warnings.into_iter().filter_map(place).collect()
}

const WELL: &str =
    "<Location /z>\nSetHandler websocket-handler\nWebSocketHandler c.so init\n</Location>\n";

#[test]
fn an_origin_check_and_its_list_need_each_other() {
    for (config, at) in [
        ("WebSocketOriginCheck Trusted", Some("conf:1")),
        (
            "WebSocketOriginCheck tRUSTED\n<Location /a>\nWebSocketTrustedOrigin x\n</Location>",
            None,
        ),
        (
            "WebSocketTrustedOrigin x\n<Location /a>\nWebSocketOriginCheck Trusted\n</Location>",
            None,
        ),
        (
            "WebSocketTrustedOrigin x\nWebSocketTrustedOrigin y",
            Some("conf:1"),
        ),
        (
            "WebSocketTrustedOrigin x\nWebSocketOriginCheck ${CHECK}",
            None,
        ),
        (
            "<Location /a>\nWebSocketOriginCheck Trusted\n</Location>\n\
             <Location /a/b>\nWebSocketTrustedOrigin x\n</Location>",
            None,
        ),
        (
            "<Location /a>\nWebSocketOriginCheck Trusted\nWebSocketTrustedOrigin x\n</Location>\n\
             <Location /b>\nWebSocketOriginCheck Trusted\n</Location>",
            Some("conf:6"),
        ),
        ("WebSocketOriginCheck Same", None),
    ] {
        assert_eq!(
            places(config),
            Vec::from_iter(at.map(str::to_owned)),
            "{config}"
        );
    }
}

#[test]
fn options_are_for_plugins_in_rust() {
    for (config, at) in [
        (
            "WebSocketPluginOption a b\n<Location /z>\nWebSocketPluginOption c d\n</Location>",
            &["conf:1", "conf:3"][..],
        ),
        (
            "WebSocketPluginOption a b\n<Location /r>\nSetHandler websocket-handler\n\
             WebSocketHandler rust.so init\n</Location>",
            &[],
        ),
        (
            "<Location /other>\nWebSocketPluginOption a b\n</Location>",
            &[],
        ),
    ] {
        assert_eq!(places(&format!("{config}\n{WELL}")), at, "{config}");
    }
}

#[test]
fn settings_of_compression_need_compression() {
    for (config, at) in [
        ("WebSocketCompressionLevel 9", &["conf:1"][..]),
        (
            "WebSocketCompression Off\nWebSocketCompressionThreshold 1\n\
             WebSocketCompressionContext Shared",
            &["conf:2", "conf:3"],
        ),
        (
            "WebSocketCompressionLevel 9\n<Location /a>\nWebSocketCompression on\n</Location>",
            &[],
        ),
        (
            "WebSocketCompressionLevel 9\n<Directory /a>\nAllowOverride AuthConfig\n</Directory>",
            &[],
        ),
    ] {
        assert_eq!(places(config), at, "{config}");
    }
}

#[test]
fn a_plugin_and_the_handler_need_each_other() {
    const PLUGIN: &str = "<Location /p>\nWebSocketHandler c.so init\n</Location>\n";
    const HANDLER: &str = "<Location /h>\nSetHandler websocket-handler\n</Location>\n";
    for (config, at) in [
        (PLUGIN.to_owned(), &["conf:2"][..]),
        (HANDLER.to_owned(), &["conf:2"]),
        (format!("{PLUGIN}{HANDLER}"), &["conf:2", "conf:5"]),
        (format!("{PLUGIN}SetHandler websocket-handler"), &[]),
        (format!("{PLUGIN}AddHandler Websocket-Handler .ws"), &[]),
        (
            format!("{PLUGIN}RewriteRule ^ - [H=websocket-handler]"),
            &[],
        ),
        (format!("{PLUGIN}SetHandler ${{HANDLER}}"), &[]),
        (format!("{PLUGIN}SetHandler \"expr=%{{reqenv:H}}\""), &[]),
        (format!("{PLUGIN}PerlFixupHandler My::Handler"), &[]),
        (format!("{HANDLER}WebSocketHandler c.so init"), &[]),
        (
            format!("{PLUGIN}<Directory /srv>\nAllowOverride AuthConfig\n</Directory>"),
            &["conf:2"],
        ),
        (
            format!("{PLUGIN}<Directory /srv>\nAllowOverride FileInfo\n</Directory>"),
            &[],
        ),
        (
            format!("{PLUGIN}<Directory /srv>\nAllowOverride None\n</Directory>"),
            &["conf:2"],
        ),
        (
            format!("{HANDLER}<Directory /srv>\nAllowOverride All\n</Directory>"),
            &["conf:2"],
        ),
        (
            format!("{WELL}{HANDLER}<Directory /srv>\nAllowOverride All\n</Directory>"),
            &[],
        ),
    ] {
        assert_eq!(places(&config), at, "{config}");
    }
    let left_open = format!("{HANDLER}<Directory /srv>\nAllowOverride All\n</Directory>");
    assert!(warnings(&left_open, HtaccessPlugins::Any).is_empty());
    assert_eq!(warnings(&left_open, HtaccessPlugins::None).len(), 1);
}

#[test]
fn a_configuration_as_in_the_manual_is_all_right() {
    assert!(places(WELL).is_empty());
}
