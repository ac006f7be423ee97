//! A Debian of its own in a folder, with Apache, where packages are installed.

use std::collections::BTreeSet;
use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tempfile::{Builder, TempDir, TempPath};
use tungstenite::WebSocket;
use tungstenite::stream::MaybeTlsStream;
use xtask::book::{Page, Place};
use xtask::command::output_of;
use xtask::port::free_port;
use xtask::process::{end_daemon, has_ended};

use super::made::{VERSION, has_all, is_possible, or_skipped};

/// The package with the module.
pub(crate) const PACKAGE: &str = "libapache2-mod-websocket";

const SETTINGS: &str = "etc/apache2/mods-available/websocket.conf";
const CONFIGURATION: &str = "etc/apache2/conf-enabled/echo.conf";
const SITE: &str = "etc/apache2/sites-available/000-default.conf";
const SOURCES: &str = "usr/src/mod_websocket";
const SITE_PAGE: &str = "var/www/html/page.html";

/// There is no init system, which `invoke-rc.d` takes for a reason to do nothing.
const POLICY: &str = "#!/bin/sh\nexit 0\n";

/// The system. Its end stops Apache and deletes the folder.
pub(crate) struct Debian {
    root: TempDir,
    port: u16,
}

impl Debian {
    /// Installs the release of this machine, with Apache. `None` if this is no Debian, or the user
    /// is not root. Elsewhere than in CI also if it cannot be installed.
    pub(crate) fn install() -> Result<Option<Self>> {
        let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
        let value = |name: &str| release.lines().find_map(|line| line.strip_prefix(name));
        let is_debian = value("ID=") == Some("debian");
        let is_root = rustix::process::geteuid().is_root();
        if !is_possible(is_debian, "packages are only installed on Debian")?
            || !is_possible(is_root, "only root can install a Debian in a folder")?
            || !has_all(&["mmdebstrap"])?
        {
            return Ok(None);
        }
        let suite = value("VERSION_CODENAME=").context("a Debian without a name")?;
        let root = TempDir::new()?;
        // With its own user it could not read a folder with mode 700.
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o755))?;
        // From Debian's own servers, with the updates for security.
        let installed = output_of(
            Command::new("mmdebstrap")
                .args(["--quiet", "--variant=essential", "--include=apache2,apt"])
                .arg("--dpkgopt=force-unsafe-io")
                .arg(suite)
                .arg(root.path()),
        );
        if let Err(error) = installed {
            or_skipped(false, &format!("no Debian in a folder: {error:#}"))?;
            return Ok(None);
        }
        let port = free_port()?;
        let debian = Self { root, port };
        debian.write(
            "etc/apache2/ports.conf",
            &format!("Listen 127.0.0.1:{port}\n"),
        )?;
        let site = fs::read_to_string(debian.path(SITE))?;
        debian.write(SITE, &site.replace("*:80", &format!("*:{port}")))?;
        debian.write("usr/sbin/policy-rc.d", POLICY)?;
        let policy = debian.path("usr/sbin/policy-rc.d");
        fs::set_permissions(policy, fs::Permissions::from_mode(0o755))?;
        Ok(Some(debian))
    }

    /// Writes the lines of a site, as its administrator does. They do no harm without the module.
    pub(crate) fn configure(&self, lines: &str) -> Result<()> {
        let text = format!("<IfModule mod_websocket.c>\n{lines}</IfModule>\n");
        self.write(CONFIGURATION, &text)
    }

    /// Puts a page into the site, as `page.html`.
    pub(crate) fn add_page(&self, html: &str) -> Result<()> {
        self.write(SITE_PAGE, html)
    }

    /// Removes the lines and the page.
    pub(crate) fn forget_site(&self) -> Result<()> {
        for file in [CONFIGURATION, SITE_PAGE] {
            fs::remove_file(self.path(file))?;
        }
        Ok(())
    }

    /// Waits until a client has asked for a path.
    pub(crate) fn wait_for_request(&self, path: &str) -> Result<()> {
        let line = format!("\"GET {path} ");
        wait(&format!("nobody asks for {path}"), || {
            let log = fs::read_to_string(self.path("var/log/apache2/access.log"));
            Ok(log.unwrap_or_default().contains(&line))
        })
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root.path().join(path)
    }

    fn write(&self, path: &str, text: &str) -> Result<()> {
        fs::write(self.path(path), text).with_context(|| path.to_owned())
    }

    /// Runs a command in the system.
    pub(crate) fn run(&self, words: &[&str]) -> Result<String> {
        let mut chroot = Command::new("chroot");
        chroot
            .arg(self.root.path())
            .args(words)
            .env("DEBIAN_FRONTEND", "noninteractive")
            .env("LC_ALL", "C.UTF-8")
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .stdin(std::process::Stdio::null());
        output_of(&mut chroot)
    }

    /// Puts the packages where they are in the sources, as the documentation names them.
    pub(crate) fn lend(&self, made: &Path) -> Result<()> {
        let folder = self.path(SOURCES).join("target/packages");
        fs::create_dir_all(&folder)?;
        for entry in fs::read_dir(made)? {
            let entry = entry?;
            if entry.path().extension().is_some_and(|it| it == "deb") {
                fs::copy(entry.path(), folder.join(entry.file_name()))?;
            }
        }
        Ok(())
    }

    /// Runs the commands of a page that are meant for such a system. The plugin of their URL is
    /// this system's.
    pub(crate) fn follow(&self, page: &Page) -> Result<String> {
        let mut said = String::new();
        for block in page.blocks() {
            let place = || format!("{}:{}", page.path.display(), block.line);
            if Place::of(&block).with_context(place)? != Some(Place::Debian) {
                continue;
            }
            let url = format!("ws://{}/echo", self.address());
            let code = block.code.replace("wss://www.example.com/echo", &url);
            let code = format!("cd /{SOURCES}\n{code}");
            said += &self.run(&["sh", "-euc", &code]).with_context(place)?;
        }
        Ok(said)
    }

    /// Runs `dpkg` with a package.
    pub(crate) fn dpkg(&self, words: &[&str], package: &Path) -> Result<String> {
        let inside = self.path("tmp/package.deb");
        fs::copy(package, &inside)?;
        let output = self.run(&[&["dpkg"], words, &["/tmp/package.deb"]].concat())?;
        fs::remove_file(inside)?;
        Ok(output)
    }

    /// The next version of a package, whose settings have another comment.
    pub(crate) fn next_version(package: &Path) -> Result<TempPath> {
        let tree = TempDir::new()?;
        output_of(
            Command::new("dpkg-deb")
                .arg("-R")
                .arg(package)
                .arg(tree.path()),
        )?;
        let version = |revision: u32| format!("Version: {VERSION}-{revision}\n");
        for (file, old, new) in [
            ("DEBIAN/control", &*version(1), &*version(2)),
            (SETTINGS, "# Settings", "# The settings"),
        ] {
            let file = tree.path().join(file);
            let text = fs::read_to_string(&file)?;
            ensure!(text.contains(old), "{text}");
            fs::write(&file, text.replace(old, new))?;
        }
        let target = Builder::new().suffix(".deb").tempfile()?.into_temp_path();
        output_of(
            Command::new("dpkg-deb")
                .args(["--root-owner-group", "-Znone", "--build"])
                .args([tree.path(), &target]),
        )?;
        Ok(target)
    }

    /// The version that is installed.
    pub(crate) fn version(&self) -> Result<String> {
        self.run(&["dpkg-query", "-W", "-f", "${Version}", PACKAGE])
    }

    /// Changes a line of the settings.
    pub(crate) fn edit_settings(&self, old: &str, new: &str) -> Result<()> {
        let text = fs::read_to_string(self.path(SETTINGS))?;
        ensure!(text.contains(old), "{text}");
        self.write(SETTINGS, &text.replace(old, new))
    }

    pub(crate) fn has_settings(&self) -> bool {
        self.path(SETTINGS).exists()
    }

    pub(crate) fn is_enabled(&self) -> bool {
        let link = self.path("etc/apache2/mods-enabled/websocket.load");
        link.symlink_metadata().is_ok()
    }

    pub(crate) fn start(&self) -> Result<()> {
        self.after_reload(|| self.run(&["apachectl", "start"]))
    }

    /// Stops Apache, and waits until it has ended.
    pub(crate) fn stop(&self) -> Result<()> {
        let Some(pid) = self.pid() else {
            return Ok(());
        };
        self.run(&["apachectl", "stop"])?;
        wait("Apache runs", || Ok(has_ended(pid)))
    }

    /// The process id of Apache, if it runs.
    fn pid(&self) -> Option<u32> {
        let file = self.path("run/apache2/apache2.pid");
        fs::read_to_string(file).ok()?.trim().parse().ok()
    }

    /// Does what makes Apache start or reload, and waits until it has done so.
    pub(crate) fn after_reload(&self, action: impl FnOnce() -> Result<String>) -> Result<()> {
        let count = || -> Result<usize> {
            let log = fs::read_to_string(self.path("var/log/apache2/error.log"));
            let log = log.unwrap_or_default();
            Ok(log.matches("resuming normal operations").count())
        };
        let before = count()?;
        let said = action()?;
        wait(&format!("Apache has not reloaded: {said}"), || {
            Ok(count()? > before)
        })
    }

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// A client of the plugin.
    pub(crate) fn connect(&self) -> Result<WebSocket<MaybeTlsStream<TcpStream>>> {
        Ok(tungstenite::connect(format!("ws://{}/echo", self.address()))?.0)
    }

    /// All files, with their types and permissions, but for those in which programs keep records of
    /// what they did.
    pub(crate) fn files(&self) -> Result<BTreeSet<String>> {
        const RECORDS: [&str; 7] = [
            "dev/",
            "proc/",
            "run/",
            "var/cache/",
            "var/lib/apt/",
            "var/lib/dpkg/",
            "var/log/",
        ];
        let find = output_of(Command::new("find").arg(self.root.path()).args([
            "-xdev",
            "-mindepth",
            "1",
            "-printf",
            "%P %y %m\n",
        ]))?;
        let is_record = |line: &str| RECORDS.iter().any(|it| line.starts_with(it));
        // a2enmod makes folders, in which it notes who enabled or disabled a module.
        let is_folder_of_notes =
            |line: &str| line.starts_with("var/lib/apache2/module/") && line.contains(" d ");
        let lines = find.lines();
        let lines = lines.filter(|line| !is_record(line) && !is_folder_of_notes(line));
        Ok(lines.map(str::to_owned).collect())
    }
}

impl Drop for Debian {
    fn drop(&mut self) {
        // Not with `apachectl`, which does nothing while the configuration is wrong.
        if let Some(pid) = self.pid() {
            end_daemon(pid);
        }
    }
}

/// Waits for a change that nothing announces.
fn wait(failure: &str, mut is_over: impl FnMut() -> Result<bool>) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !is_over()? {
        ensure!(Instant::now() < deadline, "{failure}");
        thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}
