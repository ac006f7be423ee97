//! The Cargo workspace: its folders, and the shared libraries built in it.

mod build;

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use cargo_metadata::{Metadata, MetadataCommand};

pub(crate) use self::build::shared_libraries;
pub use self::build::{Profile, module_of};
use crate::c_plugin;

/// The folder of the httpd module's package.
pub const MODULE: &str = "module";

/// The package of the doctor.
pub const DOCTOR: &str = "websocket-doctor";

/// The doctor's program.
pub const DOCTOR_PROGRAM: &str = "mod_websocket-doctor";

/// The folder of the example plugins in C.
pub const C_PLUGINS: &str = "examples/c";

/// A shared library that has been built.
#[derive(Debug)]
pub struct Library {
    /// The source, relative to the workspace: the folder of a Rust package (`module`), or a C file
    /// (`examples/c/echo.c`).
    pub source: PathBuf,
    /// The library.
    pub path: PathBuf,
}

/// The workspace that this tool belongs to.
#[derive(Debug)]
pub struct Workspace {
    metadata: Metadata,
}

impl Workspace {
    /// Finds the workspace. Cargo tells its programs where their package is. A program that was
    /// started by hand uses the path of its compilation.
    ///
    /// # Errors
    /// Cargo cannot be run or finds no workspace.
    pub fn find() -> Result<Self> {
        let package = env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let metadata = metadata(&package.join("Cargo.toml"))?;
        Ok(Self { metadata })
    }

    /// The folder of the workspace's `Cargo.toml`.
    #[must_use]
    pub fn root(&self) -> &Path {
        self.metadata.workspace_root.as_std_path()
    }

    /// The target folder (`CARGO_TARGET_DIR` and similar settings apply).
    #[must_use]
    pub fn target_dir(&self) -> &Path {
        self.metadata.target_directory.as_std_path()
    }

    /// The folder of `websocket_plugin.h`.
    #[must_use]
    pub fn include_dir(&self) -> PathBuf {
        self.root().join("plugin-core/include")
    }

    /// What Cargo says of the workspace's packages and of their dependencies for `target`.
    ///
    /// # Errors
    /// Cargo fails: for example, `Cargo.lock` is not up to date.
    pub fn resolved_metadata(&self, target: &str) -> Result<Metadata> {
        MetadataCommand::new()
            .cargo_path(cargo_program())
            .manifest_path(self.root().join("Cargo.toml"))
            .other_options(["--locked", "--filter-platform", target].map(str::to_owned))
            .exec()
            .context("cannot read the dependencies")
    }

    /// The server root of `cargo xtask run`.
    #[must_use]
    pub fn server_root(&self) -> PathBuf {
        self.target_dir().join("httpd")
    }

    /// The folder of the example plugins in C for a server in that root.
    #[must_use]
    pub fn c_plugin_dir(&self) -> PathBuf {
        self.server_root().join("plugins")
    }

    /// A `cargo` command for this workspace that works in any current folder.
    #[must_use]
    pub fn cargo(&self) -> Command {
        let mut command = Command::new(cargo_program());
        command.current_dir(self.root());
        command
    }

    /// Compiles every example plugin in C, into `out_dir`.
    ///
    /// # Errors
    /// A plugin cannot be compiled. The compiler has printed the reason.
    pub fn compile_c_plugins(&self, out_dir: &Path) -> Result<Vec<Library>> {
        let compile = |source: PathBuf| {
            let file = self.root().join(&source);
            let path = c_plugin::compile(file, out_dir, self.include_dir())?;
            Ok(Library { source, path })
        };
        self.c_plugins()?.into_iter().map(compile).collect()
    }

    /// The sources of the example plugins in C, sorted.
    fn c_plugins(&self) -> Result<Vec<PathBuf>> {
        let folder = self.root().join(C_PLUGINS);
        let mut sources = Vec::new();
        for entry in folder
            .read_dir()
            .with_context(|| format!("no {}", folder.display()))?
        {
            let source = Path::new(C_PLUGINS).join(entry?.file_name());
            if source.extension().is_some_and(|extension| extension == "c") {
                sources.push(source);
            }
        }
        sources.sort();
        Ok(sources)
    }
}

/// The target folder of the package in `folder`.
///
/// # Errors
/// There is no package, or Cargo cannot be run.
pub fn target_dir_of(folder: &Path) -> Result<PathBuf> {
    Ok(metadata(&folder.join("Cargo.toml"))?
        .target_directory
        .into())
}

/// The environment variable that names another build of the module for the integration tests.
pub const TEST_MODULE: &str = "WEBSOCKET_TEST_MODULE";

/// The module's library that Cargo built for the calling integration test.
///
/// # Errors
/// As [`built_library`].
pub fn module_library() -> Result<PathBuf> {
    env::var_os(TEST_MODULE).map_or_else(|| built_library("mod_websocket"), |path| Ok(path.into()))
}

/// The shared library of the crate `name` of the workspace (`websocket_echo`), built by Cargo with
/// the profile of the calling integration test.
///
/// # Errors
/// The caller is not a test run by Cargo, or the library has not been built.
pub fn built_library(name: &str) -> Result<PathBuf> {
    let test = env::current_exe()?;
    let name = library_file(name);
    // The test is target/debug/deps/NAME-HASH. Cargo puts its latest libraries next to it.
    let mut folders = test
        .ancestors()
        .skip(1)
        .take(2)
        .map(|folder| folder.join(&name));
    folders.find(|library| library.is_file()).with_context(|| {
        format!(
            "no {name} beside {}: `cargo build --workspace --lib` makes it, \
             and `cargo xtask test` before it runs the tests",
            test.display()
        )
    })
}

/// The file of the shared library of the crate `name`.
fn library_file(name: &str) -> String {
    format!(
        "{}{name}{}",
        env::consts::DLL_PREFIX,
        env::consts::DLL_SUFFIX
    )
}

fn metadata(manifest: &Path) -> Result<Metadata> {
    MetadataCommand::new()
        .cargo_path(cargo_program())
        .manifest_path(manifest)
        .no_deps()
        .exec()
        .context("cannot read the Cargo workspace")
}

pub(crate) fn cargo_program() -> PathBuf {
    env::var_os("CARGO").map_or_else(|| "cargo".into(), PathBuf::from)
}
