//! Runs the doctor, and the servers that it examines.

use std::env;
use std::fmt::{self, Display, Formatter};
use std::fs::{self, File};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;
use xtask::apache::{Apache, which};
use xtask::debian_apache::DebianApache;
use xtask::httpd::Httpd;
use xtask::port::free_port;
use xtask::server_root::{ServerRoot, quoted};
use xtask::workspace::{built_library, module_library};

/// What the doctor has said.
pub(crate) struct Said {
    /// Whether the exit code is 0.
    pub(crate) is_well: bool,
    text: String,
}

impl Display for Said {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Said {
    pub(crate) fn has(&self, part: &str) -> Result<()> {
        ensure!(self.text.contains(part), "no `{part}` in\n{self}");
        Ok(())
    }

    pub(crate) fn has_not(&self, part: &str) -> Result<()> {
        ensure!(!self.text.contains(part), "`{part}` in\n{self}");
        Ok(())
    }

    /// Checks that one finding says that something is wrong, with this text and this remedy.
    pub(crate) fn is_wrong(&self, text: &str, remedy: &str) -> Result<()> {
        ensure!(!self.is_well, "nothing is wrong:\n{self}");
        let found = self.text.split("\nWRONG").any(|finding| {
            let (said, advice) = finding.split_once("->").unwrap_or_default();
            said.contains(text) && advice.contains(remedy)
        });
        ensure!(found, "no `{text}` with `{remedy}` in\n{self}");
        Ok(())
    }
}

/// Runs the doctor with these arguments.
pub(crate) fn run(arguments: &[impl AsRef<std::ffi::OsStr>]) -> Result<Said> {
    said(Command::new(env!("CARGO_BIN_EXE_mod_websocket-doctor")).args(arguments))
}

fn said(command: &mut Command) -> Result<Said> {
    let output = command.output()?;
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(error.is_empty(), "{error}");
    Ok(Said {
        is_well: output.status.success(),
        // So that the first finding begins as the others do.
        text: format!("\n{}", String::from_utf8_lossy(&output.stdout)),
    })
}

/// Examines a URL and nothing else.
pub(crate) fn examine_url(url: &str) -> Result<Said> {
    run(&["--remote", url])
}

/// Examines a server, and what the arguments say.
pub(crate) fn examine(httpd: &Httpd, arguments: &[&str]) -> Result<Said> {
    let mut all = of_config(&httpd.root().config_file())?;
    all.extend(arguments.iter().map(|&it| it.to_owned()));
    run(&all)
}

/// The arguments for the server with this configuration.
pub(crate) fn of_config(file: &Path) -> Result<Vec<String>> {
    let httpd = Apache::find()?.httpd.display().to_string();
    let file = file.display().to_string();
    Ok(vec!["--apachectl".to_owned(), httpd, "-f".to_owned(), file])
}

/// Examines Debian's Apache through its `apachectl`.
pub(crate) fn run_in(debian: &DebianApache) -> Result<Said> {
    said(
        Command::new(env!("CARGO_BIN_EXE_mod_websocket-doctor"))
            .arg("--apachectl")
            .arg(debian.programs().join("apachectl"))
            .envs(debian.environment()),
    )
}

/// A server root with the module.
pub(crate) fn server() -> ServerRoot {
    let root = ServerRoot::temporary().expect("a folder and a port");
    let module = module_library().expect("the module is built");
    root.load_module("websocket_module", module)
}

/// A location with the plugin that sends everything back.
pub(crate) fn echo() -> Result<String> {
    echo_with("")
}

/// The same with more lines.
pub(crate) fn echo_with(lines: &str) -> Result<String> {
    let plugin = quoted(&built_library("websocket_echo")?);
    let handler =
        format!("SetHandler websocket-handler\nWebSocketHandler {plugin} echo_init\n{lines}");
    Ok(location("/echo", &handler))
}

pub(crate) fn location(path: &str, lines: &str) -> String {
    format!("<Location {path}>\n{lines}\n</Location>\n")
}

/// An nginx on loopback. Dropping it ends it.
pub(crate) struct Nginx {
    child: Child,
    port: u16,
    _folder: TempDir,
}

impl Nginx {
    /// Starts nginx with these lines for its server and its location. With lines for the server it
    /// speaks TLS. `None` if it is not installed; in CI that is an error.
    pub(crate) fn start(server: &str, location: &str) -> Result<Option<Self>> {
        let Some(program) = which("nginx") else {
            ensure!(env::var_os("CI").is_none(), "nginx is not installed");
            eprintln!("skipped: nginx is not installed");
            return Ok(None);
        };
        let folder = tempfile::Builder::new().prefix("nginx-").tempdir()?;
        let path = folder.path().display().to_string();
        let port = free_port()?;
        let listen = format!("{port}{}", if server.is_empty() { "" } else { " ssl" });
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|name| format!("{name}_temp_path \"{path}/{name}\";\n"))
            .concat();
        let config = format!(
            "daemon off;\nmaster_process off;\npid \"{path}/pid\";\nerror_log \"{path}/log\";\n\
             events {{ worker_connections 64; }}\nhttp {{\naccess_log off;\n{temporary}\
             server {{\nlisten 127.0.0.1:{listen};\n{server}\nlocation / {{\n{location}\n}}\n}}\n}}\n"
        );
        let file = folder.path().join("nginx.conf");
        fs::write(&file, config)?;
        let log = File::create(folder.path().join("output"))?;
        let child = Command::new(program)
            .args(["-p", &path, "-e", &format!("{path}/log"), "-c"])
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        let mut nginx = Self {
            child,
            port,
            _folder: folder,
        };
        nginx.wait_until_it_listens()?;
        Ok(Some(nginx))
    }

    fn wait_until_it_listens(&mut self) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            if let Some(status) = self.child.try_wait().context("nginx")? {
                bail!("nginx has ended: {status}");
            }
            ensure!(Instant::now() < deadline, "nginx does not listen");
            thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
