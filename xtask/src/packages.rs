//! Finds missing system packages, and installs them.

mod manager;
mod needs;
mod present;

use std::env;
use std::process::Stdio;

use anyhow::{Result, bail, ensure};
use xtask::browser::{Policy, TEST_BROWSER};
use xtask::command::run;

use self::manager::Manager;
use self::needs::{ARM, BROWSER, DEB, FOR_CI, NEEDS, Need, PYTHON, RPM, STD_SOURCE, WINDOWS};
use crate::package::Format;
use crate::platforms::Platform;
use crate::privileges::Privileges;

/// Installs missing packages.
///
/// # Errors
/// There is no known package manager, this user may not install packages (the error then contains
/// the command to run), or the installation fails.
pub(crate) fn install_missing() -> Result<()> {
    install(&NEEDS)
}

/// Installs the Python that the Autobahn test suite needs.
///
/// # Errors
/// As [`install_missing`].
pub(crate) fn install_python() -> Result<()> {
    install(&PYTHON)
}

/// Like [`install_python`], but only prints an error. The tests then skip the suite, or fail in CI.
pub(crate) fn install_python_if_possible() {
    if let Err(error) = install_python() {
        eprintln!("warning: {error:#}");
    }
}

/// Installs the runtime that the tests with AddressSanitizer preload.
///
/// # Errors
/// As [`install_missing`].
#[cfg(target_os = "linux")]
pub(crate) fn install_sanitizer() -> Result<()> {
    install(&needs::SANITIZER)
}

/// Installs what some of the tests need in CI, such as proxies. Elsewhere they use what is
/// installed.
///
/// # Errors
/// As [`install_missing`].
pub(crate) fn install_more_in_ci() -> Result<()> {
    match env::var_os("CI") {
        Some(_) => install(&FOR_CI),
        None => Ok(()),
    }
}

/// Installs the tools that make packages of these formats.
///
/// # Errors
/// As [`install_missing`].
pub(crate) fn install_for_packages(formats: &[Format]) -> Result<()> {
    for format in formats {
        match format {
            Format::Deb => install(&DEB)?,
            Format::Rpm => install(&RPM)?,
            Format::Tar => {}
        }
    }
    Ok(())
}

/// Installs what building for a platform needs, and the source of the standard library if that is
/// to be built, too.
///
/// # Errors
/// As [`install_missing`].
pub(crate) fn install_for_platform(platform: Platform, builds_std: bool) -> Result<()> {
    if builds_std {
        install(&STD_SOURCE)?;
    }
    match platform {
        Platform::WindowsX64 | Platform::WindowsX86 => install(&WINDOWS),
        Platform::LinuxArm64 => install(&ARM),
    }
}

/// Installs the browser for the tests, unless the tests with a browser are off.
///
/// # Errors
/// As [`install_missing`], if the tests require a browser. Otherwise the error is only printed.
pub(crate) fn install_browser() -> Result<()> {
    let policy = Policy::of_environment()?;
    if policy == Policy::Off {
        return Ok(());
    }
    match install(&BROWSER) {
        Err(error) if policy == Policy::IfPresent => {
            eprintln!(
                "warning: no tests with a browser: {error:#}\n\
                 ({TEST_BROWSER}=off in the environment avoids the attempt)"
            );
            Ok(())
        }
        outcome => outcome,
    }
}

fn install(needs: &[Need]) -> Result<()> {
    let missing = missing(needs);
    if missing.is_empty() {
        return Ok(());
    }
    let names = names(&missing);
    let Some(manager) = Manager::find() else {
        bail!("missing: {names}; there is no apt-get, dnf or brew here to install them");
    };
    let commands = manager.commands(&missing);
    let privileges = Privileges::of_this_user();
    if privileges == Privileges::None && manager.wants_root() {
        bail!(
            "missing: {names}; install them with\n\n  {}\n",
            as_typed(&commands)
        );
    }

    eprintln!("Missing: {names}. Installing them.");
    for command in &commands {
        run(manager.command(privileges, command)?.stdin(Stdio::null()))?;
    }
    let missing = self::missing(needs);
    ensure!(
        missing.is_empty(),
        "still missing after the installation: {}",
        self::names(&missing)
    );
    Ok(())
}

fn missing(needs: &[Need]) -> Vec<&Need> {
    needs.iter().filter(|need| !(need.is_met)()).collect()
}

fn names(needs: &[&Need]) -> String {
    needs
        .iter()
        .map(|need| need.what)
        .collect::<Vec<_>>()
        .join(", ")
}

fn as_typed(commands: &[Vec<&str>]) -> String {
    let lines = commands
        .iter()
        .map(|words| format!("sudo {}", words.join(" ")));
    lines.collect::<Vec<_>>().join(" && ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_package_is_installed_once() {
        let everything: Vec<_> = NEEDS.iter().collect();
        let lines = |manager: Manager| as_typed(&manager.commands(&everything));
        assert_eq!(
            lines(Manager::Apt),
            "sudo apt-get update && sudo apt-get install --yes --no-install-recommends \
             apache2-bin apache2-dev g++ gcc libc6-dev libclang-dev openssl"
        );
        assert_eq!(
            lines(Manager::Dnf),
            "sudo dnf install -y clang-devel gcc gcc-c++ glibc-devel httpd httpd-devel mod_ssl \
             openssl"
        );
    }
}
