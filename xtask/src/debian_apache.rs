//! Debian's configuration of httpd, and the programs that administer it, in a folder. For tests:
//! nothing is installed, and no service is started.

use std::cell::Cell;
use std::env;
use std::fs::{self, File};
use std::io::{Write as _, stderr};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::apache::which;
use crate::command::output_of;
use crate::httpd::{READY_WITHIN, SERVING, poll};
use crate::port;
use crate::process::end_daemon;

/// The package. It has the configuration and the programs for the httpd of `apache2-bin`.
const PACKAGE: &str = "apache2";

/// The modules that a fresh installation has enabled, as far as the tests need them.
const ENABLED: [&str; 9] = [
    "alias",
    "authz_core",
    "authz_host",
    "dir",
    "env",
    "mime",
    "mpm_event",
    "setenvif",
    "status",
];

/// An `/etc/apache2` of its own, on a free port. Dropping it stops its httpd and removes it.
#[derive(Debug)]
pub struct DebianApache {
    folder: TempDir,
    programs: PathBuf,
    port: u16,
    /// The process that was started.
    running: Cell<Option<u32>>,
}

impl DebianApache {
    /// Unpacks the package, and enables the modules and the site of a fresh installation. Returns
    /// `None` if this is no Debian, or the package cannot be downloaded; in CI the latter is an
    /// error (environment variable `CI`).
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn unpack_if_possible(target_dir: &Path) -> Result<Option<Self>> {
        if which("apt-get").is_none() || which("dpkg-deb").is_none() {
            return Ok(None);
        }
        match download(target_dir) {
            Ok(package) => Self::in_new_folder(&package).map(Some),
            Err(error) if env::var_os("CI").is_none() => {
                writeln!(stderr(), "SKIPPED: no package {PACKAGE}: {error:#}")?;
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn in_new_folder(package: &Path) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("debian-").tempdir()?;
        output_of(
            Command::new("cp")
                .arg("-a")
                .arg(package.join("etc"))
                .arg(folder.path()),
        )?;
        for name in ["log", "run", "lock", "state", "modules", "include"] {
            fs::create_dir(folder.path().join(name))?;
        }
        let apache = Self {
            programs: package.join("usr/sbin"),
            port: port::free_port()?,
            running: Cell::new(None),
            folder,
        };
        apache.write_settings()?;
        for module in ENABLED {
            apache.run(apache.program("a2enmod").args(["--quiet", module]))?;
        }
        Ok(apache)
    }

    /// Folders and a port of its own in place of the system's.
    fn write_settings(&self) -> Result<()> {
        let conf_dir = self.conf_dir();
        let listen = format!("Listen 127.0.0.1:{}\nServerName localhost\n", self.port);
        fs::write(conf_dir.join("ports.conf"), listen)?;
        let envvars = conf_dir.join("envvars");
        let mut text = fs::read_to_string(&envvars)?;
        for (variable, folder) in [("RUN", "run"), ("LOCK", "lock"), ("LOG", "log")] {
            let folder = self.folder.path().join(folder);
            text += &format!("export APACHE_{variable}_DIR={}\n", folder.display());
        }
        text += &format!("export APACHE_PID_FILE={}\n", self.pid_file().display());
        // Only root can give folders to www-data.
        for (variable, option) in [("USER", "-un"), ("GROUP", "-gn")] {
            text += &format!(
                "if [ $(id -u) -ne 0 ]; then export APACHE_RUN_{variable}=$(id {option}); fi\n"
            );
        }
        fs::write(envvars, text)?;
        Ok(())
    }

    /// The folder that stands for `/`.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The folder that stands for `/etc/apache2`.
    #[must_use]
    pub fn conf_dir(&self) -> PathBuf {
        self.folder.path().join("etc/apache2")
    }

    /// The folder of `apachectl`, `a2enmod` and their like.
    #[must_use]
    pub fn programs(&self) -> &Path {
        &self.programs
    }

    /// What these programs need in their environment.
    #[must_use]
    pub fn environment(&self) -> Vec<(&'static str, PathBuf)> {
        vec![
            ("APACHE_CONFDIR", self.conf_dir()),
            ("APACHE_STATE_DIRECTORY", self.folder.path().join("state")),
            // Otherwise `apachectl start` asks systemd, where that runs.
            ("APACHE_STARTED_BY_SYSTEMD", "true".into()),
        ]
    }

    /// One of the programs.
    #[must_use]
    pub fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.programs.join(name));
        command.envs(self.environment());
        command
    }

    fn run(&self, command: &mut Command) -> Result<()> {
        let Output {
            status,
            stdout,
            stderr,
        } = command.stdin(Stdio::null()).output()?;
        let said = String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned();
        ensure!(status.success(), "{said}");
        Ok(())
    }

    /// The address at which it will serve.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// Runs `apachectl ACTION`, and waits until httpd serves requests with its configuration.
    ///
    /// # Errors
    /// `apachectl` fails, or httpd does not serve within 30 seconds.
    pub fn start(&self, action: &str) -> Result<()> {
        let earlier = self.times_serving();
        // httpd keeps its standard error, so that cannot be a pipe.
        let said = self.folder.path().join("log/said");
        let status = self
            .program("apachectl")
            .arg(action)
            .stdin(Stdio::null())
            .stdout(File::create(&said)?)
            .stderr(File::create(self.folder.path().join("log/startup"))?)
            .status()?;
        ensure!(status.success(), "{}", fs::read_to_string(&said)?);
        let serves = || {
            // Noted at once: it has to be ended even if it never serves.
            self.running.set(self.pid().ok().or(self.running.get()));
            Ok((self.times_serving() > earlier).then_some(()))
        };
        poll(READY_WITHIN, serves)?.context("httpd does not serve")
    }

    fn times_serving(&self) -> usize {
        let log = fs::read_to_string(self.folder.path().join("log/error.log"));
        log.unwrap_or_default().matches(SERVING).count()
    }

    /// The process id of the running httpd.
    ///
    /// # Errors
    /// It does not run.
    pub fn pid(&self) -> Result<u32> {
        let file = self.pid_file();
        let text = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
        Ok(text.trim().parse()?)
    }

    fn pid_file(&self) -> PathBuf {
        self.folder.path().join("run/apache2.pid")
    }
}

impl Drop for DebianApache {
    fn drop(&mut self) {
        // Not with `apachectl`, which does nothing while the configuration is wrong.
        if let Some(pid) = self.running.get() {
            end_daemon(pid);
        }
    }
}

/// The unpacked package, in a folder of `target_dir`.
fn download(target_dir: &Path) -> Result<PathBuf> {
    fs::create_dir_all(target_dir)?;
    let folder = target_dir.join("debian-apache2");
    // Several processes may download it at the same time.
    let lock = File::create(folder.with_added_extension("lock"))?;
    lock.lock()?;
    if folder.is_dir() {
        return Ok(folder);
    }
    let temporary = tempfile::tempdir_in(target_dir)?;
    if fetch(temporary.path()).is_err() {
        // Minimal installations have no lists of packages.
        output_of(Command::new("apt-get").arg("update"))?;
        fetch(temporary.path())?;
    }
    let mut packages = fs::read_dir(temporary.path())?;
    let package = packages
        .next()
        .context("apt-get has downloaded nothing")??;
    let unpacked = temporary.path().join("unpacked");
    output_of(
        Command::new("dpkg-deb")
            .arg("-x")
            .arg(package.path())
            .arg(&unpacked),
    )?;
    fs::rename(unpacked, &folder)?;
    Ok(folder)
}

fn fetch(folder: &Path) -> Result<String> {
    output_of(
        Command::new("apt-get")
            .args(["-o", "APT::Sandbox::User=root", "download", PACKAGE])
            .current_dir(folder),
    )
}
