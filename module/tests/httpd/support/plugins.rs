//! The plugins in C, C++ and Rust: the examples, and those for the tests.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::thread;

use anyhow::{Context as _, Result};
use tempfile::TempDir;
use xtask::c_plugin;
use xtask::workspace::built_library;

/// The plugins in Rust, named after their packages without `websocket-`.
const RUST_PLUGINS: [&str; 10] = [
    "auth",
    "chat",
    "counter",
    "dumb_increment",
    "echo",
    "lookup",
    "subprotocol",
    "test_plugins",
    "ticker",
    "topics",
];

/// A library that was built against an older table. `plugins/binary/README.md` tells how.
const OLD_ECHO: &str = "echo_before_events.so";

/// A folder with every plugin in C and C++ as NAME.so, the plugins in Rust as rust/NAME.so, and the
/// libraries that replace system functions as system/NAME.so. Dropping it removes the folder.
pub(crate) struct Plugins {
    dir: TempDir,
    names: Vec<String>,
}

impl Plugins {
    pub(crate) fn compile() -> Result<Self> {
        let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let include = repository.join("plugin-core/include");
        // Children may run under another account, and load plugins for .htaccess files.
        let dir = tempfile::Builder::new()
            .prefix("websocket-plugins-")
            .permissions(Permissions::from_mode(0o755))
            .tempdir()?;
        let folders = [
            repository.join("examples/c"),
            Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/httpd/plugins"),
        ];
        let mut sources = Vec::new();
        for folder in &folders {
            sources.extend(sources_in(folder)?);
        }
        thread::scope(|scope| {
            let compile = |source| {
                let (dir, include) = (dir.path(), &include);
                scope.spawn(move || c_plugin::compile(source, dir, include))
            };
            let compilers: Vec<_> = sources.iter().map(compile).collect();
            compilers.into_iter().try_for_each(|compiler| {
                let library = compiler
                    .join()
                    .expect("the compiler's thread does not panic");
                library.map(drop)
            })
        })?;
        gather_rust_plugins(&dir.path().join("rust"))?;
        c_plugin::compile(
            folders[1].join("rust/plain.c"),
            dir.path().join("rust"),
            &include,
        )?;
        let old = folders[1].join("binary").join(OLD_ECHO);
        fs::copy(old, dir.path().join("rust").join(OLD_ECHO))?;
        for name in ["few_threads", "held_thread", "jumping_clock"] {
            let source = folders[1].join(format!("system/{name}.c"));
            c_plugin::compile(source, dir.path().join("system"), &include)?;
        }
        let stem = |source: &PathBuf| Some(source.file_stem()?.to_str()?.to_owned());
        Ok(Self {
            names: sources.iter().filter_map(stem).collect(),
            dir,
        })
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn library(&self, name: &str) -> PathBuf {
        self.dir.path().join(name).with_extension("so")
    }

    /// The directive that names a plugin and its init function. Two plugins have an init function
    /// of the same name.
    pub(crate) fn handler(&self, name: &str) -> String {
        let base = if name.starts_with("twin_") {
            "twin"
        } else {
            name
        };
        self.handler_with(name, &format!("{base}_init"))
    }

    pub(crate) fn handler_with(&self, name: &str, init: &str) -> String {
        format!(
            "WebSocketHandler \"{}\" {init}",
            self.library(name).display()
        )
    }

    /// A location with a plugin and additional directives.
    pub(crate) fn location(&self, path: &str, name: &str, directives: &str) -> String {
        let handler = self.handler(name);
        format!(
            "<Location {path}>\nSetHandler websocket-handler\n{handler}\n\
             {directives}\n</Location>\n"
        )
    }

    /// A location with one of the Rust plugins for the tests.
    pub(crate) fn rust_location(&self, path: &str, name: &str) -> String {
        let handler = self.handler_with("rust/test_plugins", &format!("{name}_init"));
        format!("<Location {path}>\nSetHandler websocket-handler\n{handler}\n</Location>\n")
    }

    /// Locations `/NAME` for all plugins that work. `below` and `peek` are not plugins.
    pub(crate) fn locations(&self) -> String {
        let names = self.names.iter();
        let names = names.filter(|name| !["broken", "below", "peek"].contains(&name.as_str()));
        names
            .map(|name| self.location(&format!("/{name}"), name, ""))
            .collect()
    }
}

/// Links or copies the libraries that Cargo has built to a folder that httpd's children can read.
fn gather_rust_plugins(folder: &Path) -> Result<()> {
    fs::create_dir(folder)?;
    fs::set_permissions(folder, Permissions::from_mode(0o755))?;
    for name in RUST_PLUGINS {
        let library = built_library(&format!("websocket_{name}"))?;
        let place = folder.join(name).with_extension("so");
        fs::hard_link(&library, &place).or_else(|_| fs::copy(&library, &place).map(drop))?;
    }
    Ok(())
}

/// The sources of the plugins in C and C++.
fn sources_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = folder
        .read_dir()
        .with_context(|| format!("no folder {}", folder.display()))?;
    let paths: Vec<_> = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    let is_source = |path: &PathBuf| {
        path.extension()
            .is_some_and(|extension| extension == "c" || extension == "cpp")
    };
    Ok(paths.into_iter().filter(is_source).collect())
}
