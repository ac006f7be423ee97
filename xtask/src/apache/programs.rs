//! Chooses the programs of one Apache: those that the environment names, else those on the `PATH`.
//!
//! `APACHE_BINDIR` names the folder of an Apache whose parts belong together: its `apxs` knows
//! where its modules and headers are. `APXS`, `APACHECTL` and `HTTPD` each name a single program
//! instead.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::{query, which};

const APXS_MISSING: &str = "apxs not found. Install Apache's development package: \
    `apt-get install apache2-dev` (Debian, Ubuntu), `dnf install httpd-devel` (Fedora, RHEL), \
    `brew install httpd` (Homebrew); or set APXS to its path, or APACHE_BINDIR to its folder";
const HTTPD_MISSING: &str = "the httpd program not found. Install Apache: \
    `apt-get install apache2` (Debian, Ubuntu), `dnf install httpd` (Fedora, RHEL), \
    `brew install httpd` (Homebrew); or set HTTPD to its path, or APACHE_BINDIR to its folder";
const APACHECTL_MISSING: &str = "apachectl not found. Install Apache: `apt-get install apache2` \
    (Debian, Ubuntu), `dnf install httpd` (Fedora, RHEL), `brew install httpd` (Homebrew); or set \
    APACHECTL to its path, or APACHE_BINDIR to its folder";

/// The names of `apxs`; Debian had the other one.
const APXS_NAMES: [&str; 2] = ["apxs", "apxs2"];

/// What the environment says.
#[derive(Debug, Default)]
pub(super) struct Programs {
    pub(super) apxs: Option<OsString>,
    pub(super) apachectl: Option<OsString>,
    pub(super) httpd: Option<OsString>,
    pub(super) folder: Option<PathBuf>,
}

impl Programs {
    pub(super) fn of_environment() -> Self {
        // An empty variable is how shells unset one for a command.
        let variable = |name| env::var_os(name).filter(|value| !value.is_empty());
        Self {
            apxs: variable("APXS"),
            apachectl: variable("APACHECTL"),
            httpd: variable("HTTPD"),
            folder: variable("APACHE_BINDIR").map(PathBuf::from),
        }
    }

    /// The `apxs` program.
    pub(super) fn apxs(&self) -> Result<PathBuf> {
        if let Some(apxs) = &self.apxs {
            return named("APXS", apxs);
        }
        let on_path = || APXS_NAMES.iter().find_map(which);
        let Some(folder) = &self.folder else {
            return on_path().context(APXS_MISSING);
        };
        let within = APXS_NAMES.map(|name| folder.join(name));
        // Debian has the two in different folders.
        let found = within.iter().find_map(which);
        let found = found.or_else(|| on_path().filter(|apxs| is_of_folder(apxs, folder)));
        found.with_context(|| {
            format!(
                "APACHE_BINDIR={}: no apxs in there, and the one on the PATH is of another Apache; \
                 install that httpd's development files, or set APXS to the path of its apxs",
                folder.display()
            )
        })
    }

    /// The server program that belongs to `apxs`.
    pub(super) fn httpd(&self, apxs: &Path) -> Result<PathBuf> {
        if let Some(httpd) = &self.httpd {
            return named("HTTPD", httpd);
        }
        let program = query(apxs, "PROGNAME")?;
        let names = [program.as_str(), "apache2", "httpd"];
        // An Apache in /usr has its programs in bin and sbin.
        let sbin = PathBuf::from(query(apxs, "SBINDIR")?);
        let mut folders = self.folder.iter().chain([&sbin]);
        folders
            .find_map(|folder| names.iter().find_map(|name| which(folder.join(name))))
            .context(HTTPD_MISSING)
    }

    /// The program that starts and stops `httpd`.
    pub(super) fn apachectl(&self, httpd: &Path) -> Result<PathBuf> {
        if let Some(apachectl) = &self.apachectl {
            return named("APACHECTL", apachectl);
        }
        let in_folder = self
            .folder
            .as_ref()
            .and_then(|folder| which(folder.join("apachectl")));
        let beside_httpd = || which(httpd.with_file_name("apachectl"));
        let found = in_folder.or_else(beside_httpd);
        // One of another Apache would start that.
        let on_path = || which("apachectl").filter(|_| self.folder.is_none());
        found.or_else(on_path).context(APACHECTL_MISSING)
    }
}

fn named(variable: &str, program: &OsString) -> Result<PathBuf> {
    match which(program) {
        Some(program) => Ok(program),
        None => bail!("{variable}={}: no such program", program.display()),
    }
}

/// Whether `apxs` says that the programs of its Apache are in `folder`.
fn is_of_folder(apxs: &Path, folder: &Path) -> bool {
    let folders = ["SBINDIR", "BINDIR"].map(|variable| query(apxs, variable).ok());
    let folder = folder.canonicalize().ok();
    folder.is_some()
        && folders
            .into_iter()
            .flatten()
            .any(|other| PathBuf::from(other).canonicalize().ok() == folder)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;
    use tempfile::TempDir;

    fn program(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
    }

    /// An Apache in a folder, whose programs are in `bin` and `sbin`.
    fn apache(sbin: &str) -> TempDir {
        let root = TempDir::new().unwrap();
        let sbin = root.path().join(sbin);
        let answers = format!(
            "case $2 in\n PROGNAME) echo myhttpd ;;\n SBINDIR) echo {} ;;\n *) echo {}/$2 ;;\nesac",
            sbin.display(),
            root.path().display()
        );
        program(&root.path().join("bin/apxs"), &answers);
        program(&sbin.join("myhttpd"), "");
        program(&sbin.join("apachectl"), "");
        root
    }

    #[test]
    fn everything_comes_from_the_folder_that_is_named() {
        for sbin in ["bin", "sbin"] {
            let root = apache(sbin);
            let programs = Programs {
                folder: Some(root.path().join("bin")),
                ..Programs::default()
            };
            let apxs = programs.apxs().unwrap();
            assert_eq!(apxs, root.path().join("bin/apxs"));
            let httpd = programs.httpd(&apxs).unwrap();
            assert_eq!(httpd, root.path().join(sbin).join("myhttpd"));
            let apachectl = programs.apachectl(&httpd).unwrap();
            assert_eq!(apachectl, root.path().join(sbin).join("apachectl"));
            let modules = query(&apxs, "LIBEXECDIR").unwrap();
            assert_eq!(Path::new(&modules), root.path().join("LIBEXECDIR"));
        }
    }

    #[test]
    fn single_programs_can_be_named_one_by_one() {
        let (root, other) = (apache("bin"), apache("bin"));
        let of_other = |name| Some(other.path().join("bin").join(name).into_os_string());
        let folder = || Some(root.path().join("bin"));
        let apxs = Programs {
            apxs: of_other("apxs"),
            folder: folder(),
            ..Programs::default()
        };
        assert_eq!(apxs.apxs().unwrap(), other.path().join("bin/apxs"));
        let rest = Programs {
            httpd: of_other("myhttpd"),
            apachectl: of_other("apachectl"),
            folder: folder(),
            ..Programs::default()
        };
        let apxs = rest.apxs().unwrap();
        assert_eq!(apxs, root.path().join("bin/apxs"));
        let httpd = rest.httpd(&apxs).unwrap();
        assert_eq!(httpd, other.path().join("bin/myhttpd"));
        let apachectl = rest.apachectl(&httpd).unwrap();
        assert_eq!(apachectl, other.path().join("bin/apachectl"));
    }

    #[test]
    fn the_parts_of_two_apaches_are_not_mixed() {
        let empty = TempDir::new().unwrap();
        let programs = Programs {
            folder: Some(empty.path().to_owned()),
            ..Programs::default()
        };
        let error = programs.apxs().unwrap_err().to_string();
        assert!(
            error.contains("APACHE_BINDIR=") && error.contains("APXS"),
            "{error}"
        );
        let error = programs.apachectl(&empty.path().join("httpd")).unwrap_err();
        assert!(error.to_string().contains("APACHECTL"), "{error}");
        let wrong = Programs {
            httpd: Some("/no/httpd".into()),
            ..Programs::default()
        };
        let error = wrong.httpd(Path::new("apxs")).unwrap_err().to_string();
        assert!(error.contains("HTTPD=/no/httpd"), "{error}");
    }
}
