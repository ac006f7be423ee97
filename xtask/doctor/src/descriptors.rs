//! How many files a process of httpd may have open, and who says so. Each WebSocket is one.

use std::fmt::{self, Display, Formatter};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

/// What a process needs for 10,000 WebSockets with Debian's numbers of processes and threads
/// (the table in `docs/src/sizing.md`).
pub const ENOUGH: u64 = 4096;

/// What Debian's `apachectl` sets if nobody says otherwise.
const OF_APACHECTL: u64 = 8192;

/// The variable of Debian's `envvars` with the command that `apachectl` runs before httpd.
const VARIABLE: &str = "APACHE_ULIMIT_MAX_FILES";

/// Who says how many files a process may have open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Debian's `apachectl`, which reads this file.
    Envvars(PathBuf),
    /// The unit of systemd with this name.
    Unit(String),
    /// A running process; whoever has started it.
    Process(u32),
}

/// The largest number of open files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limit {
    /// The number.
    pub files: u64,
    /// Who sets it.
    pub origin: Origin,
}

impl Limit {
    /// The limit that httpd will have at its next start: as Debian's `envvars` in `conf_dir` says,
    /// if there is one, otherwise as systemd says for one of httpd's units. `None` if neither does.
    #[must_use]
    pub fn at_start(conf_dir: &Path) -> Option<Self> {
        let envvars = conf_dir.join("envvars");
        // Other distributions have an `envvars` that sets no limit, beside the program.
        if envvars.is_file() && conf_dir.join("apache2.conf").is_file() {
            let text = fs::read_to_string(&envvars).ok()?;
            return Some(Self {
                files: of_envvars(&text).unwrap_or(OF_APACHECTL),
                origin: Origin::Envvars(envvars),
            });
        }
        ["httpd", "apache2"].into_iter().find_map(of_unit)
    }

    /// The limit of a running process.
    ///
    /// # Errors
    /// There is no such process, or this system does not tell.
    pub fn of_process(pid: u32) -> Result<Self> {
        let file = format!("/proc/{pid}/limits");
        let text = fs::read_to_string(&file).with_context(|| format!("cannot read {file}"))?;
        Ok(Self {
            files: of_limits(&text).with_context(|| format!("{file}: {text}"))?,
            origin: Origin::Process(pid),
        })
    }

    /// What to do if the limit is too low for the usual number of WebSockets.
    #[must_use]
    pub fn advice(&self) -> Option<String> {
        (self.files < ENOUGH).then(|| {
            format!(
                "{self}. That is enough for about {} WebSockets in each process. {}",
                self.files * 3 / 4,
                self.remedy()
            )
        })
    }

    /// How to raise it.
    pub(crate) fn remedy(&self) -> String {
        let in_envvars =
            |file: &Path| format!("write {VARIABLE}='ulimit -n 65536' into {}", file.display());
        let in_unit = |unit: &str| {
            format!("write LimitNOFILE=65536 into [Service] of a drop-in (`systemctl edit {unit}`)")
        };
        match &self.origin {
            Origin::Envvars(file) => format!("For more, {}", in_envvars(file)),
            Origin::Unit(unit) => format!("For more, {}", in_unit(unit)),
            Origin::Process(_) => format!(
                "For more, {} (Debian), or {} (systemd elsewhere), then stop httpd and start it",
                in_envvars(Path::new("/etc/apache2/envvars")),
                in_unit("httpd"),
            ),
        }
    }
}

impl Display for Limit {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let files = self.files;
        match &self.origin {
            Origin::Envvars(file) => write!(
                f,
                "{} limits each process of httpd to {files} open files ({VARIABLE})",
                file.display()
            ),
            Origin::Unit(unit) => write!(
                f,
                "systemd limits each process of {unit} to {files} open files (LimitNOFILE)"
            ),
            Origin::Process(pid) => {
                write!(f, "process {pid} of httpd may have {files} open files")
            }
        }
    }
}

/// The number in the last line of `envvars` that sets the variable.
fn of_envvars(text: &str) -> Option<u64> {
    let mut values = text.lines().filter_map(|line| {
        let line = line.trim().trim_start_matches("export ").trim_start();
        line.strip_prefix(VARIABLE)?.strip_prefix('=')
    });
    let words = values.next_back()?.split_whitespace();
    let last = words.last()?.trim_matches(['\'', '"', ';']);
    number(last)
}

/// The soft limit in the text of `/proc/PID/limits`.
fn of_limits(text: &str) -> Option<u64> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    number(line.split_whitespace().next()?)
}

fn of_unit(unit: &str) -> Option<Limit> {
    let mut systemctl = Command::new("systemctl");
    systemctl
        .args(["show", "--property=LoadState,LimitNOFILESoft", unit])
        .stderr(Stdio::null());
    let output = systemctl.output().ok()?;
    let files = of_properties(&String::from_utf8_lossy(&output.stdout))?;
    let origin = Origin::Unit(unit.to_owned());
    Some(Limit { files, origin })
}

/// The limit in the properties of a unit that exists.
fn of_properties(text: &str) -> Option<u64> {
    let value = |name: &str| {
        let mut lines = text.lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
    };
    value("LoadState").filter(|state| *state == "loaded")?;
    number(value("LimitNOFILESoft")?)
}

fn number(text: &str) -> Option<u64> {
    match text {
        "unlimited" | "infinity" => Some(u64::MAX),
        _ => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_value_in_envvars_holds() {
        for (text, files) in [
            ("#APACHE_ULIMIT_MAX_FILES='ulimit -n 65536'\n", None),
            ("APACHE_ULIMIT_MAX_FILES='ulimit -n 512'\n", Some(512)),
            (
                "export APACHE_ULIMIT_MAX_FILES=\"ulimit -n 1024\"",
                Some(1024),
            ),
            (
                "APACHE_ULIMIT_MAX_FILES='ulimit -n 1'\nAPACHE_ULIMIT_MAX_FILES='ulimit -n 2'",
                Some(2),
            ),
            (
                "APACHE_ULIMIT_MAX_FILES='ulimit -n unlimited'",
                Some(u64::MAX),
            ),
        ] {
            assert_eq!(of_envvars(text), files, "{text}");
        }
    }

    #[test]
    fn a_unit_that_does_not_exist_says_nothing() {
        assert_eq!(
            of_properties("LoadState=loaded\nLimitNOFILESoft=1024\n"),
            Some(1024)
        );
        let unlimited = "LoadState=loaded\nLimitNOFILESoft=infinity\n";
        assert_eq!(of_properties(unlimited), Some(u64::MAX));
        assert_eq!(
            of_properties("LoadState=not-found\nLimitNOFILESoft=524288\n"),
            None
        );
        assert_eq!(of_properties(""), None);
    }

    #[test]
    fn a_limit_that_is_too_low_is_named_with_who_sets_it() {
        let advice = |files, origin| Limit { files, origin }.advice();
        let envvars = || Origin::Envvars("/etc/apache2/envvars".into());
        assert_eq!(advice(8192, envvars()), None);
        let said = advice(512, envvars()).unwrap();
        assert!(
            said.contains("APACHE_ULIMIT_MAX_FILES='ulimit -n 65536' into /etc/apache2/envvars"),
            "{said}"
        );
        let said = advice(1024, Origin::Unit("httpd".into())).unwrap();
        assert!(
            said.contains("LimitNOFILE=65536") && said.contains("systemctl edit httpd"),
            "{said}"
        );
        assert!(Limit::of_process(std::process::id()).unwrap().files > 0);
    }
}
