//! Builds shared libraries with Cargo, which reports their paths.

mod shipping;

use std::env;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use cargo_metadata::{Artifact, CrateType, Message, Package, Target};

use super::{DOCTOR, DOCTOR_PROGRAM, Library, MODULE, Workspace, built_library, library_file};
use crate::command::run;

/// The Cargo profile of a build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// Unoptimised, with debug assertions.
    Debug,
    /// Optimised.
    Release,
}

impl Workspace {
    /// Builds the module and every example plugin in Rust.
    ///
    /// # Errors
    /// The build fails. Cargo has printed the reason.
    pub fn build_libraries(&self, profile: Profile) -> Result<Vec<Library>> {
        self.build(profile, is_served)
    }

    /// Builds the package in `folder` of the workspace, which has a shared library, and nothing
    /// else.
    ///
    /// # Errors
    /// The build fails; Cargo has said why.
    pub fn build_library(&self, folder: &Path, profile: Profile) -> Result<PathBuf> {
        let libraries = self.build(profile, |other| other == folder)?;
        let library = libraries
            .into_iter()
            .find(|library| library.source == folder);
        let library = library.with_context(|| format!("no library in {}", folder.display()))?;
        Ok(library.path)
    }

    /// Builds the module alone.
    ///
    /// # Errors
    /// The build fails. Cargo has printed the reason.
    pub fn build_module(&self, profile: Profile) -> Result<PathBuf> {
        self.build_library(Path::new(MODULE), profile)
    }

    /// Builds the module and every example plugin in Rust for other machines: optimised, and with
    /// paths in them that do not depend on the folders of this one. They are built in a target
    /// folder of their own, because Cargo would otherwise build all others again.
    ///
    /// # Errors
    /// The build fails. Cargo has printed the reason.
    pub fn build_libraries_to_ship(&self) -> Result<Vec<Library>> {
        self.build_with(self.cargo_to_ship(), Profile::Release, is_served)
    }

    /// Builds the doctor in the same way, and returns the program.
    ///
    /// # Errors
    /// The build fails. Cargo has printed the reason.
    pub fn build_doctor_to_ship(&self) -> Result<PathBuf> {
        let mut command = self.cargo_to_ship();
        run(command.args(["build", "--release", "--package", DOCTOR]))?;
        Ok(self.shipped().join("release").join(DOCTOR_PROGRAM))
    }

    fn cargo_to_ship(&self) -> Command {
        let mut command = self.cargo();
        shipping::neutral_paths(&mut command, self.root(), self.target_dir());
        command.env("CARGO_TARGET_DIR", self.shipped());
        command
    }

    fn shipped(&self) -> PathBuf {
        self.target_dir().join("shipped")
    }

    /// The module and every example plugin in Rust, as Cargo built them for the calling integration
    /// test.
    ///
    /// # Errors
    /// As [`built_library`].
    pub fn built_libraries(&self) -> Result<Vec<Library>> {
        self.served_libraries(built_library)
    }

    /// The module and every example plugin in Rust that Cargo built into `folder`, such as
    /// `target/debug`.
    ///
    /// # Errors
    /// One is missing.
    pub fn libraries_in(&self, folder: &Path) -> Result<Vec<Library>> {
        self.served_libraries(|name| {
            let file = folder.join(library_file(name));
            ensure!(file.is_file(), "no {}", file.display());
            Ok(file)
        })
    }

    /// The module and every example plugin in Rust, with the path that `find` has for the name of
    /// their target.
    fn served_libraries(&self, find: impl Fn(&str) -> Result<PathBuf>) -> Result<Vec<Library>> {
        let libraries = self.metadata.workspace_packages().into_iter();
        let libraries = libraries.filter_map(|package| {
            let source = self.folder(package.manifest_path.as_std_path())?;
            let target = package.targets.iter().find(|target| is_cdylib(target))?;
            is_served(source).then_some((source, &target.name))
        });
        let library = |(source, name): (&Path, &String)| {
            Ok(Library {
                source: source.to_owned(),
                path: find(name)?,
            })
        };
        libraries.map(library).collect()
    }

    /// The names of the packages of the module and of every example plugin in Rust.
    #[must_use]
    pub fn served_packages(&self) -> Vec<String> {
        let packages = self.metadata.workspace_packages().into_iter();
        packages
            .filter(|package| {
                let folder = self.folder(package.manifest_path.as_std_path());
                folder.is_some_and(is_served) && package.targets.iter().any(is_cdylib)
            })
            .map(|package| package.name.to_string())
            .collect()
    }

    /// Builds the packages that have a shared library and whose folder is `wanted`.
    fn build(&self, profile: Profile, wanted: impl Fn(&Path) -> bool) -> Result<Vec<Library>> {
        self.build_with(self.cargo(), profile, wanted)
    }

    fn build_with(
        &self,
        mut command: Command,
        profile: Profile,
        wanted: impl Fn(&Path) -> bool,
    ) -> Result<Vec<Library>> {
        command.args(["build", "--lib"]);
        if profile == Profile::Release {
            command.arg("--release");
        }
        for Package {
            name,
            targets,
            manifest_path,
            ..
        } in self.metadata.workspace_packages()
        {
            let folder = self.folder(manifest_path.as_std_path());
            if folder.is_some_and(&wanted) && targets.iter().any(is_cdylib) {
                command.args(["--package", name]);
            }
        }
        let libraries = shared_libraries(command)?.into_iter();
        Ok(libraries
            .filter_map(|(manifest, path)| {
                let source = self.folder(&manifest)?.to_owned();
                Some(Library { source, path })
            })
            .collect())
    }

    /// The folder of a package, relative to the workspace. `None` if it is outside of the
    /// workspace.
    fn folder<'a>(&self, manifest: &'a Path) -> Option<&'a Path> {
        manifest.parent()?.strip_prefix(self.root()).ok()
    }
}

/// Runs a `cargo build`. Returns the shared libraries, also those that were there already, and the
/// manifests of their packages.
///
/// # Errors
/// The build fails. Cargo has printed the reason.
pub(crate) fn shared_libraries(mut build: Command) -> Result<Vec<(PathBuf, PathBuf)>> {
    let mut cargo = build
        .arg("--message-format=json-render-diagnostics")
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot run cargo")?;
    let stdout = cargo
        .stdout
        .take()
        .context("cargo has no standard output")?;
    let mut libraries = Vec::new();
    for message in Message::parse_stream(BufReader::new(stdout)) {
        if let Message::CompilerArtifact(artifact) = message? {
            libraries.extend(library(&artifact));
        }
    }
    ensure!(cargo.wait()?.success(), "the build failed");
    Ok(libraries)
}

/// The shared library among the files that Cargo built for a package, and the package's manifest.
fn library(artifact: &Artifact) -> Option<(PathBuf, PathBuf)> {
    let is_library = |file: &&Path| {
        file.extension()
            .is_some_and(|extension| extension == env::consts::DLL_EXTENSION)
    };
    let mut files = artifact.filenames.iter().map(|file| file.as_std_path());
    let path = files
        .find(is_library)
        .filter(|_| is_cdylib(&artifact.target))?;
    Some((artifact.manifest_path.clone().into(), path.to_owned()))
}

/// The module's library among `libraries`.
///
/// # Errors
/// It is not among them.
pub fn module_of(libraries: &[Library]) -> Result<&Path> {
    let module = libraries
        .iter()
        .find(|library| library.source == Path::new(MODULE));
    Ok(&module.context("the module has no shared library")?.path)
}

/// Whether httpd loads the library of this folder of the workspace.
fn is_served(folder: &Path) -> bool {
    folder == Path::new(MODULE) || folder.starts_with("examples")
}

fn is_cdylib(target: &Target) -> bool {
    target.crate_types.contains(&CrateType::CDyLib)
}
