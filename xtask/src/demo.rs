//! The demo, which `cargo xtask run` serves and the tests with a browser use.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::port;
use crate::server_root::{ServerRoot, Sizing, quoted};
use crate::workspace::{C_PLUGINS, Library, Workspace, module_of};

/// The folder of the pages.
pub const PAGES: &str = "examples/html";

/// Two processes, as on a server with httpd's own settings: what works here works there.
pub const TWO_PROCESSES: Sizing = Sizing {
    processes: 2,
    threads: 64,
};

/// Both are started, and kept: one alone has fewer threads than are to be spare. Prefork has one
/// process per connection.
pub const START_BOTH: &str =
    "<IfModule !prefork.c>\n    StartServers 2\n    MinSpareThreads 65\n</IfModule>";

/// The pages are the same on the ports of `http:` and `https:`, which are two virtual hosts.
const TOPICS: &str = r#"    WebSocketTopicSpace demo
    WebSocketTopicHistory "chat/**" 100 1h
    WebSocketTopicHistory "demo/*" 1000 1h
    WebSocketTopicHistory "counter/*" Latest
    WebSocketTopicPresence "demo/*"
    WebSocketTopicPresence "counter/*"
    <Location "/status">
        SetHandler websocket-status
    </Location>
"#;

/// The example plugins in Rust that the pages use: their folders, and additional directives. Each
/// is served at `/FOLDER`. Plugins in C are served at `/c/NAME`.
const ENDPOINTS: [(&str, &[&str]); 8] = [
    ("echo", &[]),
    ("dumb-increment", &[]),
    ("chat", &[]),
    ("counter", &[]),
    ("ticker", &[]),
    ("topics", &TOPICS_OPTIONS),
    ("subprotocol", &[]),
    ("auth", &["WebSocketPluginOption session demo"]),
];

/// Visitors of the demo may do everything with its topics, but not read the chat.
const TOPICS_OPTIONS: [&str; 2] = [
    "WebSocketPluginOption subscribe \"demo/*\"",
    "WebSocketPluginOption publish \"demo/*\"",
];

/// A plugin at a path.
#[derive(Debug)]
pub struct Demo {
    /// The path at which it is served.
    pub path: String,
    library: PathBuf,
    init: String,
    directives: &'static [&'static str],
}

/// All plugins of the demo, from `libraries`.
///
/// # Errors
/// A plugin that the pages use is missing.
pub fn demos(libraries: &[Library]) -> Result<Vec<Demo>> {
    let endpoints = ENDPOINTS.iter().map(|&(folder, directives)| {
        let source = Path::new("examples").join(folder);
        let library = libraries.iter().find(|library| library.source == source);
        let library = library.with_context(|| format!("{} is missing", source.display()))?;
        Ok(Demo {
            path: format!("/{folder}"),
            library: library.path.clone(),
            init: format!("{}_init", folder.replace('-', "_")),
            directives,
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
        directives: &[],
    })
}

/// Adds the module, the pages at `/`, and `demos` to `root`. The module is one of the `libraries`.
///
/// # Errors
/// The module is missing.
pub fn served_by(
    root: ServerRoot,
    workspace: &Workspace,
    libraries: &[Library],
    demos: &[Demo],
) -> Result<ServerRoot> {
    let root = root
        .sizing(TWO_PROCESSES)
        .config(START_BOTH)
        .document_root(workspace.root().join(PAGES))
        .stock_module("alias")
        .load_module("websocket_module", module_of(libraries)?)
        .config(sources(workspace))
        .config(configuration(demos));
    // For localhost, browsers try ::1 first.
    Ok(if port::has_ipv6_loopback() {
        root.ipv6()
    } else {
        root
    })
}

/// The lines of `httpd.conf` that serve what the pages link to: the sources of the plugins and the
/// documentation, as texts.
fn sources(workspace: &Workspace) -> String {
    let alias = |(name, folder)| {
        // The empty component ends the path with a slash.
        let folder = workspace.root().join(folder).join("");
        format!("Alias /source/{name}/ {}\n", quoted(&folder))
    };
    let aliases = [("examples", "examples"), ("docs", "docs/src")].map(alias);
    format!(
        "{}<Location /source/>\n    ForceType \"text/plain; charset=utf-8\"\n</Location>",
        aliases.concat()
    )
}

/// The lines of `httpd.conf` that serve `demos`.
fn configuration(demos: &[Demo]) -> String {
    let locations: String = demos.iter().map(Demo::location).collect();
    format!("<IfModule mod_websocket.c>\n{TOPICS}{locations}</IfModule>")
}

impl Demo {
    fn location(&self) -> String {
        let handler = format!("WebSocketHandler {} {}", quoted(&self.library), self.init);
        let directives = ["SetHandler websocket-handler", &handler];
        let lines = directives.iter().chain(self.directives);
        let lines: String = lines.map(|line| format!("        {line}\n")).collect();
        format!("    <Location \"{}\">\n{lines}    </Location>\n", self.path)
    }
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
    fn endpoints_come_first_then_all_plugins_in_c() {
        let folders = ENDPOINTS.map(|(folder, _)| format!("examples/{folder}"));
        let others = ["module", "examples/c/dumb_increment.c", "examples/c/echo.c"];
        let sources = folders.iter().map(String::as_str).chain(others);
        let libraries: Vec<_> = sources.map(library).collect();
        let demos = demos(&libraries).unwrap();
        let paths: Vec<_> = demos.iter().map(|demo| &*demo.path).collect();
        assert_eq!(
            paths,
            [
                "/echo",
                "/dumb-increment",
                "/chat",
                "/counter",
                "/ticker",
                "/topics",
                "/subprotocol",
                "/auth",
                "/c/dumb-increment",
                "/c/echo",
            ]
        );
        for index in [1, 8] {
            assert_eq!(demos[index].init, "dumb_increment_init");
        }
    }

    #[test]
    fn the_error_names_a_plugin_that_was_not_built() {
        let error = demos(&[library("examples/echo")])
            .err()
            .unwrap()
            .to_string();
        assert!(error.contains("examples/dumb-increment"), "{error}");
    }

    #[test]
    fn without_the_module_the_configuration_has_no_effect() {
        let demo = Demo {
            directives: &["WebSocketPluginOption a b", "WebSocketPluginOption c d"],
            ..c_demo(&library("examples/c/echo.c")).unwrap()
        };
        assert_eq!(
            configuration(&[demo]),
            r#"<IfModule mod_websocket.c>
    WebSocketTopicSpace demo
    WebSocketTopicHistory "chat/**" 100 1h
    WebSocketTopicHistory "demo/*" 1000 1h
    WebSocketTopicHistory "counter/*" Latest
    WebSocketTopicPresence "demo/*"
    WebSocketTopicPresence "counter/*"
    <Location "/status">
        SetHandler websocket-status
    </Location>
    <Location "/c/echo">
        SetHandler websocket-handler
        WebSocketHandler "/with space/examples/c/echo.so" echo_init
        WebSocketPluginOption a b
        WebSocketPluginOption c d
    </Location>
</IfModule>"#
        );
    }

    /// The limit is a promise: a page that loads the client for topics loads no framework.
    #[test]
    fn the_client_for_topics_has_less_than_5_kib() {
        let pages = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(PAGES);
        let length = pages.join("topics.js").metadata().unwrap().len();
        assert!((1..5 * 1024).contains(&length), "{length} bytes");
    }
}
