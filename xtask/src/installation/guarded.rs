//! Changes the installation only if httpd accepts its configuration before and after.

use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};
use websocket_doctor::control::{Control, Verdict};

use super::journal::Journal;
use super::{Installation, Layout};

impl Installation {
    /// Runs `change`. If it fails, or httpd rejects its configuration afterwards, all files are as
    /// before.
    ///
    /// # Errors
    /// httpd rejects its configuration already: then nothing is changed. Or `change` has failed, or
    /// httpd rejects what it has made. With `is_forced` httpd's verdicts are only printed.
    pub(crate) fn change(
        &self,
        is_forced: bool,
        change: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        let control = self.control()?;
        if control.is_none() && !self.is_for_package() {
            println!("no apachectl here (package apache2), so nothing checks the configuration");
        }
        if let Some(control) = &control
            && let Verdict::Bad(reason) = control.check()?
        {
            ensure!(
                is_forced,
                "httpd rejects its configuration as it is, so nothing was changed. Correct it \
                 first, or use --force.\n{reason}"
            );
            println!("httpd rejects its configuration as it is:\n{reason}");
        }
        let journal = Journal::begin(self, self.places())?;
        let changed = change().and_then(|()| match &control {
            Some(control) => is_accepted(control, is_forced),
            None => Ok(()),
        });
        let Err(error) = changed else {
            return Ok(());
        };
        journal
            .roll_back()
            .with_context(|| format!("{error:#}\nThen the files could not be restored"))?;
        bail!("{error:#}\nAll files are as they were before.");
    }

    /// The program that checks the configuration, if it is installed, and the files are not for a
    /// package.
    ///
    /// # Errors
    /// This user may not run it.
    pub(crate) fn control(&self) -> Result<Option<Control>> {
        if self.is_for_package() {
            return Ok(None);
        }
        let Some(checker) = &self.tools.checker else {
            return Ok(None);
        };
        let command = self.privileges.command(&checker.to_string_lossy())?;
        let words = std::iter::once(command.get_program()).chain(command.get_args());
        let environment = self.tools.environment.iter();
        Ok(Some(
            environment.fold(Control::new(words), |control, (name, value)| {
                control.environment(name, value)
            }),
        ))
    }

    /// All files and links that `install` and `uninstall` may change.
    fn places(&self) -> Vec<PathBuf> {
        let mut places = vec![self.module(), self.header()];
        places.extend(super::EXAMPLES.map(|name| self.example(name)));
        places.extend(self.load_file());
        places.extend(self.settings_file());
        let conf_dir = &self.apache.conf_dir;
        match self.layout {
            Layout::Debian => {
                places.extend(self.links());
                // Where `a2enmod` notes what was enabled or disabled.
                for note in ["enabled_by_admin", "disabled_by_admin"] {
                    let notes = self.tools.notes.join("module").join(note);
                    places.push(notes.join("websocket"));
                }
            }
            Layout::Fedora => {}
            Layout::Plain => {
                places.extend(["httpd.conf", "httpd.conf.bak"].map(|name| conf_dir.join(name)));
            }
        }
        places
    }

    /// The links through which Debian's httpd reads the files in `mods-available`.
    pub(crate) fn links(&self) -> [PathBuf; 2] {
        ["load", "conf"].map(|extension| {
            let name = format!("mods-enabled/websocket.{extension}");
            self.apache.conf_dir.join(name)
        })
    }
}

fn is_accepted(control: &Control, is_forced: bool) -> Result<()> {
    match control.check()? {
        Verdict::Good(_) => Ok(()),
        Verdict::Bad(reason) if is_forced => {
            println!("httpd rejects its configuration now:\n{reason}");
            Ok(())
        }
        Verdict::Bad(reason) => bail!("httpd rejects its configuration now:\n{reason}"),
    }
}
