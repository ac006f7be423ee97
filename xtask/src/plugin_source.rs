//! A plugin outside of the workspace: where its source is, and how it becomes a library.

use std::env::consts::DLL_PREFIX;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use object::{Object, ObjectSymbol};

use crate::c_plugin;
use crate::workspace::{Profile, Workspace, cargo_program, shared_libraries};

/// The source of a plugin.
#[derive(Clone, Debug)]
pub enum PluginSource {
    /// The folder of a Cargo package.
    Package(PathBuf),
    /// A file in C or C++.
    File(PathBuf),
}

impl PluginSource {
    /// The source at `path`: the folder of a Cargo package, its `Cargo.toml`, or a file in C or
    /// C++.
    ///
    /// # Errors
    /// There is nothing of that kind.
    pub fn find(path: &Path) -> Result<Self> {
        let real = path
            .canonicalize()
            .with_context(|| format!("no plugin at {}", path.display()))?;
        if real.join("Cargo.toml").is_file() {
            return Ok(Self::Package(real));
        }
        let extension = real.extension().and_then(|extension| extension.to_str());
        match (extension, real.parent()) {
            (Some("toml"), Some(folder)) => Ok(Self::Package(folder.to_owned())),
            (Some("c" | "cpp"), _) => Ok(Self::File(real)),
            _ => bail!(
                "{} is neither the folder of a Cargo package nor a file in C or C++ (.c, .cpp)",
                path.display()
            ),
        }
    }

    /// Builds the library. Cargo uses `profile`; a plugin in C is compiled into `folder`.
    ///
    /// # Errors
    /// The build fails, after Cargo or the compiler has said why, or there is no shared library.
    pub fn build(&self, workspace: &Workspace, profile: Profile, folder: &Path) -> Result<PathBuf> {
        match self {
            Self::File(file) => c_plugin::compile(file, folder, workspace.include_dir()),
            Self::Package(package) => build_package(package, profile),
        }
    }

    /// The name of the plugin whose library was built: `my-echo` for `libmy_echo.so` of a package,
    /// or for `my_echo.so` of a file.
    #[must_use]
    pub fn name_of(&self, library: &Path) -> String {
        let stem = library.file_stem().unwrap_or_default().to_string_lossy();
        let name = match self {
            Self::Package(_) => stem.strip_prefix(DLL_PREFIX).unwrap_or(&stem),
            Self::File(_) => &stem,
        };
        name.replace('_', "-")
    }

    /// The folders to watch for changes of the source, and whether to watch those in them.
    #[must_use]
    pub fn folders(&self) -> Vec<(PathBuf, bool)> {
        match self {
            Self::Package(folder) => {
                vec![(folder.clone(), false), (folder.join("src"), true)]
            }
            Self::File(file) => {
                let folder = file.parent().expect("a canonical file has a folder");
                vec![(folder.to_owned(), false)]
            }
        }
    }

    /// Whether a change of the file at `path` may change the library.
    #[must_use]
    pub fn depends_on(&self, path: &Path) -> bool {
        let extension = path.extension().and_then(|extension| extension.to_str());
        match self {
            Self::Package(_) => matches!(extension, Some("rs" | "toml")),
            Self::File(_) => matches!(extension, Some("c" | "cpp" | "h" | "hpp")),
        }
    }
}

fn build_package(folder: &Path, profile: Profile) -> Result<PathBuf> {
    let mut cargo = Command::new(cargo_program());
    cargo.current_dir(folder).args(["build", "--lib"]);
    if profile == Profile::Release {
        cargo.arg("--release");
    }
    let library = shared_libraries(cargo)?
        .into_iter()
        .find(|(manifest, _)| manifest.parent() == Some(folder));
    let (_, library) = library.with_context(|| {
        format!(
            "{} makes no shared library: write `crate-type = [\"cdylib\"]` below `[lib]`",
            folder.join("Cargo.toml").display()
        )
    })?;
    Ok(library)
}

/// The name of the plugin's init function: the only exported function `*_init` of the library.
///
/// # Errors
/// The library cannot be read, or has none or several.
pub fn init_of(library: &Path) -> Result<String> {
    let bytes = fs::read(library)?;
    let file = object::File::parse(&*bytes)?;
    let names = file.dynamic_symbols().filter_map(|symbol| {
        let name = symbol.name().ok()?;
        let is_init = name.ends_with("_init") && name != "_init";
        (is_init && symbol.is_definition() && symbol.is_global()).then(|| name.to_owned())
    });
    let mut names: Vec<_> = names.collect();
    let found = names.join(", ");
    ensure!(
        !names.is_empty(),
        "{} exports no function `*_init`: annotate the plugin with #[websocket_plugin], or name \
         the function with --init",
        library.display()
    );
    ensure!(
        names.len() == 1,
        "{} exports several functions `*_init`: choose one of {found} with --init",
        library.display()
    );
    Ok(names.remove(0))
}
