//! Finds Apache httpd, its modules and its headers on this machine.

mod programs;
mod version;

use std::collections::BTreeSet;
use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context, Result, ensure};

pub use self::version::Version;

use self::programs::Programs;
use crate::command::output_of;

/// An installed Apache httpd, as its `apxs` describes it.
#[derive(Clone, Debug)]
pub struct Apache {
    /// The `apxs` program (environment variable `APXS`, else in the folder `APACHE_BINDIR`, else on
    /// the `PATH`).
    pub apxs: PathBuf,
    /// The server program, `apache2` or `httpd` (`HTTPD`, else in `APACHE_BINDIR`, else where
    /// `apxs` says).
    pub httpd: PathBuf,
    /// The folder of modules (`LIBEXECDIR`).
    pub module_dir: PathBuf,
    /// The folder of `httpd.h` (`INCLUDEDIR`).
    pub include_dir: PathBuf,
    /// The folder of `apr.h` (`APR_INCLUDEDIR`).
    pub apr_include_dir: PathBuf,
    /// The folder of the system's configuration (`SYSCONFDIR`).
    pub conf_dir: PathBuf,
    /// The version of the server.
    pub version: Version,
    static_modules: BTreeSet<String>,
}

impl Apache {
    /// Finds the Apache httpd of this machine. A process searches only once.
    ///
    /// # Errors
    /// `apxs` or the server is not installed; the text names the packages to install.
    pub fn find() -> Result<&'static Self> {
        static FOUND: OnceLock<Apache> = OnceLock::new();
        match FOUND.get() {
            Some(apache) => Ok(apache),
            None => Self::locate().map(|apache| FOUND.get_or_init(|| apache)),
        }
    }

    fn locate() -> Result<Self> {
        let programs = Programs::of_environment();
        let apxs = programs.apxs()?;
        let httpd = programs.httpd(&apxs)?;
        Ok(Self {
            module_dir: query(&apxs, "LIBEXECDIR")?.into(),
            include_dir: query(&apxs, "INCLUDEDIR")?.into(),
            apr_include_dir: query(&apxs, "APR_INCLUDEDIR")?.into(),
            conf_dir: query(&apxs, "SYSCONFDIR")?.into(),
            static_modules: static_modules(&httpd)?,
            version: version(&httpd)?,
            apxs,
            httpd,
        })
    }

    /// The program that starts and stops the server (`APACHECTL`, else in `APACHE_BINDIR`, else
    /// beside the server, else on the `PATH`).
    ///
    /// # Errors
    /// It is not installed; the text names the package to install.
    pub fn apachectl(&self) -> Result<PathBuf> {
        Programs::of_environment().apachectl(&self.httpd)
    }

    /// An Apache for tests that only read its fields.
    #[cfg(test)]
    pub(crate) fn with_static_modules(module_dir: &str, static_modules: &[&str]) -> Self {
        Self {
            apxs: "apxs".into(),
            httpd: "httpd".into(),
            module_dir: module_dir.into(),
            include_dir: "include".into(),
            apr_include_dir: "include".into(),
            conf_dir: "conf".into(),
            version: Version(2, 4, 71),
            static_modules: static_modules.iter().map(|&name| name.to_owned()).collect(),
        }
    }

    /// Whether `source` (`mod_so.c`, `event.c`) is compiled into the server. Loading it as a shared
    /// module would then be an error.
    #[must_use]
    pub fn has_static(&self, source: &str) -> bool {
        self.static_modules.contains(source)
    }

    /// The shared library of one of httpd's own modules, such as `ssl` or `mpm_event`.
    #[must_use]
    pub fn stock_module(&self, name: &str) -> PathBuf {
        self.module_dir.join(format!("mod_{name}.so"))
    }
}

/// Finds the `apxs` program.
///
/// # Errors
/// It is not installed, or is not the one that `APACHE_BINDIR` asks for; the text says what to do.
pub fn find_apxs() -> Result<PathBuf> {
    Programs::of_environment().apxs()
}

/// The value of `variable` according to `apxs -q`.
///
/// # Errors
/// `apxs` cannot be run or does not know the variable.
pub fn query(apxs: &Path, variable: &str) -> Result<String> {
    let value = output_of(Command::new(apxs).args(["-q", variable]))?;
    ensure!(
        !value.is_empty(),
        "`{} -q {variable}` has no answer",
        apxs.display()
    );
    Ok(value)
}

/// The file that a shell would run for `program`: a path itself, otherwise the first match on the
/// `PATH` and then in the folders for administrators, which an ordinary user's `PATH` often lacks.
pub fn which(program: impl AsRef<Path>) -> Option<PathBuf> {
    let program = program.as_ref();
    if program.components().count() > 1 {
        return program.is_file().then(|| program.to_owned());
    }
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}

fn version(httpd: &Path) -> Result<Version> {
    let text = output_of(Command::new(httpd).arg("-v"))?;
    let version = Version::in_text(&text)
        .with_context(|| format!("`{} -v` prints no version: {text}", httpd.display()))?;
    ensure!(
        version >= Version::OLDEST,
        "{} is httpd {version}; the module needs {} or later",
        httpd.display(),
        Version::OLDEST
    );
    Ok(version)
}

fn static_modules(httpd: &Path) -> Result<BTreeSet<String>> {
    let listing = output_of(Command::new(httpd).arg("-l"))?;
    Ok(listing
        .lines()
        .skip(1)
        .map(|line| line.trim().to_owned())
        .collect())
}
