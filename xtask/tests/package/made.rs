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
use xtask::workspace::{DOCTOR, DOCTOR_PROGRAM, Workspace};

pub(crate) const DEB: &str = "libapache2-mod-websocket_0.1.0-1_amd64.deb";
pub(crate) const DEVELOPMENT_DEB: &str = "libapache2-mod-websocket-dev_0.1.0-1_all.deb";
pub(crate) const RPM: &str = "mod_websocket-0.1.0-1.x86_64.rpm";

pub(crate) fn tar_name() -> String {
    let (architecture, system) = (env::consts::ARCH, env::consts::OS);
    format!("mod_websocket-0.1.0-{architecture}-{system}.tar.gz")
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

/// A folder with the packages, which are made once. `None` where the tools are missing; in CI that
/// is an error.
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
    if !has_all(&tools)? {
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
    if !built()?.join(DOCTOR_PROGRAM).is_file() {
        // `cargo test --workspace` has built it.
        let mut cargo = Workspace::find()?.cargo();
        output_of(cargo.args(["build", "--quiet", "--package", DOCTOR]))?;
    }
    output_of(&mut make(&folder)?)?;
    Ok(folder)
}

/// Whether the programs are installed. In CI they have to be.
pub(crate) fn has_all(programs: &[&str]) -> Result<bool> {
    let missing = programs.iter().filter(|program| which(program).is_none());
    let missing: Vec<_> = missing.copied().collect();
    or_skipped(missing.is_empty(), &format!("no {}", missing.join(", ")))
}

/// `is_possible`. If it is not, prints why, or fails in CI.
pub(crate) fn or_skipped(is_possible: bool, reason: &str) -> Result<bool> {
    ensure!(is_possible || env::var_os("CI").is_none(), "{reason}");
    if !is_possible {
        writeln!(stderr(), "SKIPPED: {reason}")?;
    }
    Ok(is_possible)
}
