//! The package of the distribution that has installed the module, if one has.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};
use xtask::apache::which;

use super::{Installation, Layout};

impl Installation {
    /// Refuses to change files of an installed package: its next upgrade or removal would undo that,
    /// or find files that are not its own.
    ///
    /// # Errors
    /// A package has the module or its header, and the change is not forced.
    pub(crate) fn leave_packages_alone(&self, is_forced: bool) -> Result<()> {
        if self.is_for_package() {
            return Ok(());
        }
        for file in [self.module(), self.header()] {
            let Some(package) = self.package_of(&file) else {
                continue;
            };
            let said = format!("{} belongs to the package {package}", file.display());
            ensure!(
                is_forced,
                "{said}. Nothing was changed. Install, upgrade or remove the package instead, or \
                 use --force."
            );
            println!("{said}");
        }
        Ok(())
    }

    /// The name of the package that has this file. `None` if none has, or nothing here knows.
    fn package_of(&self, file: &Path) -> Option<String> {
        let mut command = match self.layout {
            Layout::Debian => {
                let mut dpkg = Command::new(which("dpkg-query")?);
                dpkg.arg("--search");
                dpkg
            }
            // Elsewhere it would make a database.
            Layout::Fedora | Layout::Plain if Path::new("/etc/debian_version").exists() => {
                return None;
            }
            Layout::Fedora | Layout::Plain => {
                let mut rpm = Command::new(which("rpm")?);
                rpm.args(["--query", "--queryformat", "%{NAME}: \n", "--file"]);
                rpm
            }
        };
        let environment = self.tools.environment.iter();
        command.envs(environment.map(|(name, value)| (name, value)));
        let output = command.arg(file).output().ok()?;
        let text = String::from_utf8_lossy(&output.stdout);
        let (package, _) = text.lines().next()?.split_once(": ")?;
        output.status.success().then(|| package.to_owned())
    }
}
