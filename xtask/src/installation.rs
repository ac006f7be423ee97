//! The places to which `install` copies files, and from which `uninstall` removes them.

mod guarded;
mod journal;
mod owner;

use std::ffi::OsString;
use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use tempfile::NamedTempFile;
use xtask::apache::{Apache, which};
use xtask::command::run;

use crate::privileges::Privileges;

/// The example plugins that are installed, named after their C sources.
pub(crate) const EXAMPLES: [&str; 2] = ["echo", "dumb_increment"];

/// The installed name of the module's library.
pub(crate) const MODULE_FILE: &str = "mod_websocket.so";

/// The structure of Apache's configuration in a distribution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// `mods-available` and `a2enmod`.
    Debian,
    /// Apache reads every file of `conf.modules.d` and `conf.d`.
    Fedora,
    /// One `httpd.conf`, which `apxs` can edit.
    Plain,
}

/// The system's Apache, or a folder with the same structure.
pub(crate) struct Installation {
    pub(crate) apache: &'static Apache,
    pub(crate) layout: Layout,
    pub(crate) privileges: Privileges,
    destdir: Option<PathBuf>,
    tools: Tools,
}

/// The programs of a distribution that change and check the configuration.
struct Tools {
    /// httpd, or Debian's `apachectl`, which sets the variables that httpd needs there. `None` if it
    /// is not installed. Others may pass nothing on to httpd but one word.
    checker: Option<PathBuf>,
    /// The folder of `a2enmod`, if it is not on the `PATH`.
    folder: Option<PathBuf>,
    /// Where `a2enmod` takes notes.
    notes: PathBuf,
    environment: Vec<(&'static str, OsString)>,
}

impl Tools {
    fn of(apache: &Apache, layout: Layout) -> Self {
        Self {
            checker: match layout {
                Layout::Debian => apache.apachectl().ok(),
                Layout::Fedora | Layout::Plain => Some(apache.httpd.clone()),
            },
            folder: None,
            notes: "/var/lib/apache2".into(),
            environment: Vec::new(),
        }
    }
}

impl Installation {
    /// The system's Apache. With `destdir`, the folder of a package, to which this user may write.
    pub(crate) fn new(destdir: Option<PathBuf>) -> Result<Self> {
        let apache = Apache::find()?;
        let privileges = match destdir {
            Some(_) => Privileges::Root,
            None => Privileges::of_this_user(),
        };
        let layout = Layout::of(apache);
        Ok(Self {
            apache,
            layout,
            privileges,
            destdir,
            tools: Tools::of(apache, layout),
        })
    }

    pub(crate) fn module(&self) -> PathBuf {
        self.place(self.apache.module_dir.join(MODULE_FILE))
    }

    pub(crate) fn example(&self, name: &str) -> PathBuf {
        self.place(
            self.apache
                .module_dir
                .join(format!("mod_websocket_{name}.so")),
        )
    }

    pub(crate) fn header(&self) -> PathBuf {
        self.place(self.apache.include_dir.join("websocket_plugin.h"))
    }

    /// The file with the `LoadModule` line, if the distribution has one per module.
    pub(crate) fn load_file(&self) -> Option<PathBuf> {
        let name = match self.layout {
            Layout::Debian => "mods-available/websocket.load",
            Layout::Fedora => "conf.modules.d/10-websocket.conf",
            Layout::Plain => return None,
        };
        Some(self.place(self.conf_dir().join(name)))
    }

    /// The administrator's file, if the distribution has one per module.
    pub(crate) fn settings_file(&self) -> Option<PathBuf> {
        let name = match self.layout {
            Layout::Debian => "mods-available/websocket.conf",
            Layout::Fedora => "conf.d/websocket.conf",
            Layout::Plain => return None,
        };
        Some(self.place(self.conf_dir().join(name)))
    }

    /// The contents of the file with the `LoadModule` line.
    pub(crate) fn load_line(&self) -> String {
        let library = self.apache.module_dir.join(MODULE_FILE);
        format!("LoadModule websocket_module {}\n", library.display())
    }

    /// The initial contents of the administrator's file, with everything commented out.
    pub(crate) fn settings(&self) -> String {
        let library = self.apache.module_dir.join("mod_websocket_echo.so");
        format!(
            "<IfModule mod_websocket.c>
    # Limits and origins for all WebSockets; the values are the defaults.
    #WebSocketMaxMessageSize 33554432
    #WebSocketOriginCheck Same

    # A plugin at a path: its library and its init function.
    #<Location \"/echo\">
    #    SetHandler websocket-handler
    #    WebSocketHandler {} echo_init
    #</Location>
</IfModule>
",
            library.display()
        )
    }

    /// Whether the administrator's file exists and differs from its initial contents.
    pub(crate) fn has_edited(&self, settings_file: &Path) -> Result<bool> {
        match fs::read(settings_file) {
            Ok(text) => Ok(text != self.settings().as_bytes()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error).with_context(|| settings_file.display().to_string()),
        }
    }

    /// A command that may change the system.
    pub(crate) fn command(&self, program: &str) -> Result<Command> {
        self.privileges.command(program)
    }

    /// Enables or disables the module with one of Debian's programs.
    ///
    /// # Errors
    /// The program is missing, or fails.
    pub(crate) fn run_tool(&self, program: &str, arguments: &[&str]) -> Result<()> {
        let path = match &self.tools.folder {
            Some(folder) => which(folder.join(program)),
            None => which(program),
        };
        let path = path.with_context(|| format!("no {program} here: apt-get install apache2"))?;
        let mut command = self.command(&path.to_string_lossy())?;
        let environment = &self.tools.environment;
        run(command
            .args(arguments)
            .envs(environment.iter().map(|(name, value)| (name, value))))
    }

    /// Whether the files are for a package instead of this machine.
    pub(crate) fn is_for_package(&self) -> bool {
        self.destdir.is_some()
    }

    /// Copies a file to `target`, which is at any moment either the old file or the whole new one.
    ///
    /// The new file is written to the disk under another name and then renamed. A running httpd
    /// that has the old library mapped keeps it: writing into that file would change the code it
    /// runs.
    pub(crate) fn copy(&self, source: &Path, target: &Path) -> Result<()> {
        let folder = target.parent().context("a file without a folder")?;
        run(self.command("install")?.arg("-d").arg(folder))?;
        let new = target.with_added_extension("new");
        let replaced = self.replace(source, &new, target);
        if replaced.is_err() {
            self.remove(&new)?;
        }
        replaced?;
        println!("installed {}", target.display());
        Ok(())
    }

    fn replace(&self, source: &Path, new: &Path, target: &Path) -> Result<()> {
        run(self
            .command("install")?
            .args(["-m", "644"])
            .arg(source)
            .arg(new))?;
        run(self.command("sync")?.arg(new))?;
        run(self.command("mv")?.arg("-f").arg(new).arg(target))
    }

    pub(crate) fn write(&self, text: &str, target: &Path) -> Result<()> {
        let mut file = NamedTempFile::new()?;
        file.write_all(text.as_bytes())?;
        self.copy(file.path(), target)
    }

    /// Removes a file if it exists.
    pub(crate) fn remove(&self, file: &Path) -> Result<()> {
        if file.exists() {
            run(self.command("rm")?.arg(file))?;
            println!("removed {}", file.display());
        }
        Ok(())
    }

    /// The folder of `mods-available` and `conf.modules.d`.
    pub(crate) fn conf_dir(&self) -> &Path {
        let conf_dir = &self.apache.conf_dir;
        match self.layout {
            // /etc/httpd for /etc/httpd/conf
            Layout::Fedora => conf_dir.parent().unwrap_or(conf_dir),
            Layout::Debian | Layout::Plain => conf_dir,
        }
    }

    fn place(&self, path: PathBuf) -> PathBuf {
        match &self.destdir {
            Some(folder) => folder.join(path.strip_prefix("/").unwrap_or(&path)),
            None => path,
        }
    }
}

impl Layout {
    fn of(apache: &Apache) -> Self {
        let is_debian = Path::new("/etc/debian_version").exists()
            && apache
                .httpd
                .file_name()
                .is_some_and(|name| name == "apache2");
        if is_debian {
            Self::Debian
        } else if apache.conf_dir.with_file_name("conf.modules.d").is_dir() {
            Self::Fedora
        } else {
            Self::Plain
        }
    }
}

#[cfg(test)]
mod tests;
