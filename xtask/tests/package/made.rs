//! The packages that the tests look at.

use std::env;
use std::fs;
use std::io::{Write as _, stderr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context, Result, ensure};
use xtask::apache::which;
use xtask::command::output_of;
use xtask::workspace::{DOCTOR, Workspace};

/// The version of the packages, all of which have the revision 1.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

pub(crate) fn deb_name() -> Result<String> {
    let architecture = output_of(Command::new("dpkg").arg("--print-architecture"))?;
    Ok(format!(
        "libapache2-mod-websocket_{VERSION}-1_{architecture}.deb"
    ))
}

pub(crate) fn development_deb_name() -> String {
    format!("libapache2-mod-websocket-dev_{VERSION}-1_all.deb")
}

pub(crate) fn rpm_name() -> Result<String> {
    let architecture = rpm_macro("%{_target_cpu}")?;
    Ok(format!("mod_websocket-{VERSION}-1.{architecture}.rpm"))
}

/// What `rpm` makes of macros.
pub(crate) fn rpm_macro(text: &str) -> Result<String> {
    output_of(Command::new("rpm").args(["--eval", text]))
}

/// The command that makes packages of all formats in `folder`, of what Cargo built beside
/// this test.
pub(crate) fn make(folder: &Path) -> Result<Command> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command
        .args(["package", "deb", "rpm", "tar", "--built"])
        .arg(built()?)
        .arg("--out")
        .arg(folder);
    Ok(command)
}

/// A folder with the packages, which are made once. `None` if this is neither Debian nor Ubuntu,
/// or the tools are missing; in CI the latter is an error.
pub(crate) fn made() -> Result<Option<&'static Path>> {
    static MADE: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let tools = [
        "dpkg-deb",
        "dpkg-shlibdeps",
        "lintian",
        "pkg-config",
        "rpm",
        "rpmbuild",
    ];
    let is_debian = Path::new("/etc/debian_version").exists();
    if !is_possible(is_debian, "packages are tested on Debian and Ubuntu")? || !has_all(&tools)? {
        return Ok(None);
    }
    let made = MADE.get_or_init(|| make_once().map_err(|error| format!("{error:#}")));
    match made {
        Ok(folder) => Ok(Some(folder)),
        Err(error) => Err(anyhow::anyhow!("{error}")),
    }
}

/// The folder in which Cargo puts the libraries and programs: this test is in one of its folders.
fn built() -> Result<PathBuf> {
    let test = env::current_exe()?;
    let folder = test.ancestors().nth(2).context("no target folder")?;
    Ok(folder.to_owned())
}

fn make_once() -> Result<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("packages");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    // The program of an earlier build may be there.
    let mut cargo = Workspace::find()?.cargo();
    cargo.args(["build", "--quiet", "--package", DOCTOR]);
    if built()?.ends_with("release") {
        cargo.arg("--release");
    }
    output_of(&mut cargo)?;
    output_of(&mut make(&folder)?)?;
    Ok(folder)
}

/// Whether the programs are installed. In CI they have to be.
pub(crate) fn has_all(programs: &[&str]) -> Result<bool> {
    let missing = programs.iter().filter(|program| which(program).is_none());
    let missing: Vec<_> = missing.copied().collect();
    or_skipped(missing.is_empty(), &format!("no {}", missing.join(", ")))
}

/// `condition`. If it does not hold, prints why the test is skipped, or fails in CI.
pub(crate) fn or_skipped(condition: bool, reason: &str) -> Result<bool> {
    ensure!(condition || env::var_os("CI").is_none(), "{reason}");
    is_possible(condition, reason)
}

/// `condition`. If it does not hold, prints why the test is skipped, in CI too: nothing that could
/// be installed would help.
pub(crate) fn is_possible(condition: bool, reason: &str) -> Result<bool> {
    if !condition {
        writeln!(stderr(), "SKIPPED: {reason}")?;
    }
    Ok(condition)
}
