//! What `cargo xtask run` serves besides the pages.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use xtask::server_root::quoted;
use xtask::workspace::{C_PLUGINS, Library};

/// The endpoints that the pages use: path, source of the plugin (a C file or the folder of a Rust
/// package) and init function. C plugins appear once more, at `/c/NAME`.
const ENDPOINTS: [(&str, &str, &str); 2] = [
    ("/echo", "examples/c/echo.c", "echo_init"),
    (
        "/dumb-increment",
        "examples/c/dumb_increment.c",
        "dumb_increment_init",
    ),
];

/// A plugin at a path.
pub(crate) struct Demo {
    pub(crate) path: String,
    library: PathBuf,
    init: String,
}

/// Everything to serve with `libraries`.
///
/// # Errors
/// A plugin that the pages use is not among them.
pub(crate) fn demos(libraries: &[Library]) -> Result<Vec<Demo>> {
    let endpoints = ENDPOINTS.iter().map(|&(path, source, init)| {
        let library = libraries
            .iter()
            .find(|library| library.source == Path::new(source));
        let library = library.with_context(|| format!("{source}, for {path}, is missing"))?;
        Ok(Demo {
            path: path.to_owned(),
            library: library.path.clone(),
            init: init.to_owned(),
        })
    });
    let c_plugins = libraries
        .iter()
        .filter(|library| library.source.starts_with(C_PLUGINS));
    endpoints.chain(c_plugins.map(c_demo)).collect()
}

fn c_demo(Library { source, path }: &Library) -> Result<Demo> {
    let name = source.file_stem().and_then(|name| name.to_str());
    let name = name.with_context(|| format!("{} is not a plain name", source.display()))?;
    Ok(Demo {
        path: format!("/c/{}", name.replace('_', "-")),
        library: path.clone(),
        init: format!("{name}_init"),
    })
}

/// The lines of `httpd.conf` that serve `demos`.
pub(crate) fn configuration(demos: &[Demo]) -> String {
    let locations = demos.iter().map(
        |Demo {
             path,
             library,
             init,
         }| {
            let library = quoted(library);
            format!(
                "    <Location \"{path}\">
        SetHandler websocket-handler
        WebSocketHandler {library} {init}
    </Location>\n"
            )
        },
    );
    let locations: String = locations.collect();
    format!("<IfModule mod_websocket.c>\n{locations}</IfModule>")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn library(source: &str) -> Library {
        Library {
            source: source.into(),
            path: Path::new("/with space").join(source).with_extension("so"),
        }
    }

    #[test]
    fn endpoints_come_first_then_every_c_plugin() {
        let sources = [
            "module",
            "examples/chat",
            "examples/c/dumb_increment.c",
            "examples/c/echo.c",
            "examples/c/kitchen_sink.c",
        ];
        let demos = demos(&sources.map(library)).unwrap();
        let paths: Vec<_> = demos.iter().map(|demo| &*demo.path).collect();
        assert_eq!(
            paths,
            [
                "/echo",
                "/dumb-increment",
                "/c/dumb-increment",
                "/c/echo",
                "/c/kitchen-sink"
            ]
        );
        assert_eq!(demos[4].init, "kitchen_sink_init");
    }

    #[test]
    fn a_plugin_that_was_not_built_is_named() {
        let error = demos(&[library("examples/c/echo.c")])
            .err()
            .unwrap()
            .to_string();
        assert!(error.contains("dumb_increment.c"), "{error}");
    }

    #[test]
    fn the_configuration_does_nothing_without_the_module() {
        let demo = c_demo(&library("examples/c/echo.c")).unwrap();
        assert_eq!(
            configuration(&[demo]),
            r#"<IfModule mod_websocket.c>
    <Location "/c/echo">
        SetHandler websocket-handler
        WebSocketHandler "/with space/examples/c/echo.so" echo_init
    </Location>
</IfModule>"#
        );
    }
}
