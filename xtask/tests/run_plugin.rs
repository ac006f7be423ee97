//! `cargo xtask run --plugin`, as the author of a plugin uses it.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tungstenite::stream::MaybeTlsStream;
use tungstenite::{Message, WebSocket};
use xtask::command::output_of;
use xtask::port::free_port;
use xtask::workspace::module_library;

/// A build on a busy machine takes long.
const PATIENCE: Duration = Duration::from_secs(240);

/// A running `cargo xtask run --plugin`.
struct Run {
    command: Child,
    port: u16,
    lines: Receiver<String>,
    seen: Vec<String>,
}

impl Run {
    /// Waits until the plugin is served.
    fn start(target: &Path, arguments: &[&str]) -> Result<Self> {
        let port = free_port()?;
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"))
            .args(["run", "--port", &port.to_string(), "--module"])
            .arg(module_library()?)
            .args(arguments)
            .env("CARGO_TARGET_DIR", target)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let (stdout, stderr) = (command.stdout.take(), command.stderr.take());
        let lines = lines_of(
            stdout.context("no standard output")?,
            stderr.context("no standard error")?,
        );
        let mut run = Self {
            command,
            port,
            lines,
            seen: Vec::new(),
        };
        run.wait_for("Ctrl-C stops it.")?;
        Ok(run)
    }

    /// Waits for a line that contains `text`.
    fn wait_for(&mut self, text: &str) -> Result<String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(line) = self.lines.recv_timeout(left) else {
                bail!(
                    "no line with {text:?} after these:\n{}",
                    self.seen.join("\n")
                );
            };
            self.seen.push(line.clone());
            if line.contains(text) {
                return Ok(line);
            }
        }
    }

    fn open(&self, path: &str) -> Result<WebSocket<MaybeTlsStream<TcpStream>>> {
        let (client, _) = tungstenite::connect(format!("ws://127.0.0.1:{}{path}", self.port))?;
        Ok(client)
    }

    fn get(&self, path: &str) -> Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        let port = self.port;
        write!(
            stream,
            "GET {path} HTTP/1.0\r\nHost: localhost:{port}\r\n\r\n"
        )?;
        let mut response = String::new();
        stream.read_to_string(&mut response)?;
        Ok(response)
    }

    /// Stops it as Ctrl-C does.
    fn stop(mut self) -> Result<()> {
        let pid = Pid::from_child(&self.command);
        kill_process(pid, Signal::INT)?;
        self.wait_for("Stopping.")?;
        ensure!(self.command.wait()?.success());
        ensure!(TcpStream::connect(("127.0.0.1", self.port)).is_err());
        Ok(())
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if let Ok(None) = self.command.try_wait() {
            let _ = kill_process(Pid::from_child(&self.command), Signal::TERM);
            let _ = self.command.wait();
        }
    }
}

/// All lines of both, as they come.
fn lines_of(stdout: ChildStdout, stderr: ChildStderr) -> Receiver<String> {
    let (lines, receiver) = channel();
    let sources: [Box<dyn Read + Send>; 2] = [Box::new(stdout), Box::new(stderr)];
    for source in sources {
        let lines = lines.clone();
        thread::spawn(move || {
            for line in BufReader::new(source).lines().map_while(Result::ok) {
                let _ = lines.send(line);
            }
        });
    }
    receiver
}

#[test]
fn a_plugin_is_served_with_options_and_a_page_and_again_when_its_source_changes() -> Result<()> {
    let temp = TempDir::new()?;
    let package = temp.path().join("my-plugin");
    output_of(
        Command::new(env!("CARGO_BIN_EXE_xtask"))
            .args(["new-plugin", "my-plugin"])
            .current_dir(temp.path()),
    )?;
    let source = package.join("src/lib.rs");
    write_source(&source, "one")?;
    let folder = package.to_str().context("not UTF-8")?;
    let target = target();
    let arguments = [
        "--plugin",
        folder,
        "--option",
        "greeting=a=\"b\"",
        "--watch",
    ];
    let mut run = Run::start(&target, &arguments)?;

    let page = run.get("/")?;
    ensure!(page.contains("<title>my-plugin</title>"), "{page}");
    let mut client = run.open("/my-plugin")?;
    client.send("hello".into())?;
    ensure!(client.read()? == Message::text("one a=\"b\" hello"));
    run.wait_for("got hello")?;

    // One that does not compile changes nothing.
    fs::write(&source, "this is not Rust")?;
    run.wait_for("The plugin is served as it was before this change.")?;
    client.send("still".into())?;
    ensure!(client.read()? == Message::text("one a=\"b\" still"));

    write_source(&source, "two")?;
    run.wait_for("The new build is served.")?;
    let Message::Close(Some(close)) = client.read()? else {
        bail!("the client of the old build was not told to come again");
    };
    ensure!(u16::from(close.code) == 1012, "{close:?}");
    drop(client);
    let mut client = run.open("/my-plugin")?;
    client.send("hello".into())?;
    ensure!(client.read()? == Message::text("two a=\"b\" hello"));
    run.stop()
}

#[test]
fn a_plugin_in_c_is_served_with_a_page_for_any_plugin_or_the_authors() -> Result<()> {
    let temp = TempDir::new()?;
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let plugin = temp.path().join("my_echo.c");
    fs::copy(examples.join("c/echo.c"), &plugin)?;
    let page = temp.path().join("mine.html");
    fs::write(&page, "<p>My page.</p>")?;
    let target = temp.path().join("target");
    let [plugin, page] = [&plugin, &page].map(|path| path.to_str().expect("it is UTF-8"));
    let run = Run::start(&target, &["--plugin", plugin])?;
    let answer = run.get("/")?;
    let location = format!("http://localhost:{}/plugin.html?path=/my-echo", run.port);
    ensure!(
        answer.contains(&format!("Location: {location}\r\n")),
        "{answer}"
    );
    ensure!(run.get("/plugin.html")?.starts_with("HTTP/1.1 200 "));
    run.stop()?;

    let run = Run::start(&target, &["--plugin", plugin, "--page", page])?;
    ensure!(run.get("/")?.ends_with("<p>My page.</p>"));
    let mut client = run.open("/my-echo")?;
    client.send("hello".into())?;
    ensure!(client.read()? == Message::text("hello"));
    drop(client);
    run.stop()
}

#[test]
fn a_plugin_that_cannot_be_served_is_an_error_that_says_why() -> Result<()> {
    let temp = TempDir::new()?;
    let no_plugin = temp.path().join("no_plugin.c");
    fs::write(&no_plugin, "int nothing;")?;
    let no_library = temp.path().join("no_library");
    fs::create_dir_all(no_library.join("src"))?;
    let manifest = "[package]\nname = \"no_library\"\nedition = \"2024\"\n[workspace]";
    fs::write(no_library.join("Cargo.toml"), manifest)?;
    fs::write(no_library.join("src/lib.rs"), "")?;
    let text = temp.path().join("notes.txt");
    fs::write(&text, "")?;
    for (plugin, option, complaint) in [
        (&no_plugin, "a=b", "exports no function `*_init`"),
        (&no_library, "a=b", "crate-type = [\"cdylib\"]"),
        (
            &text,
            "a=b",
            "neither the folder of a Cargo package nor a file in C",
        ),
        (&temp.path().join("absent"), "a=b", "no plugin at"),
        (&no_plugin, "a", "write NAME=VALUE"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_xtask"))
            .args(["run", "--port", &free_port()?.to_string(), "--module"])
            .arg(module_library()?)
            .arg("--plugin")
            .arg(plugin)
            .args(["--option", option])
            .env("CARGO_TARGET_DIR", temp.path().join("target"))
            .output()?;
        let stderr = String::from_utf8_lossy(&output.stderr);
        ensure!(!output.status.success(), "{}", plugin.display());
        ensure!(stderr.contains(complaint), "{}: {stderr}", plugin.display());
    }
    Ok(())
}

/// A plugin that answers with `word`, its option and the message.
fn write_source(file: &Path, word: &str) -> Result<()> {
    let text = format!(
        r#"
use websocket_plugin::{{
    Close, Message, OptionError, Options, Plugin, Sender, websocket_plugin,
}};

struct MyPlugin(String);

#[websocket_plugin]
impl Plugin for MyPlugin {{
    type Connection = ();

    fn configure(options: &Options) -> Result<Self, OptionError> {{
        Ok(Self(options.get("greeting").unwrap_or_default().to_owned()))
    }}

    fn on_message(&self, _: &mut (), sender: &Sender, message: Message<'_>) -> Result<(), Close> {{
        let Message::Text(text) = message else {{ return Ok(()) }};
        log::info!("got {{text}}");
        Ok(sender.send(&*format!("{word} {{}} {{text}}", self.0))?)
    }}
}}
"#
    );
    Ok(fs::write(file, text)?)
}

/// The target folder of this test, so that dependencies of the package are not built twice.
fn target() -> PathBuf {
    let test = env::current_exe().expect("the test has a path");
    let target = test.ancestors().nth(3);
    target
        .expect("Cargo builds tests in target/PROFILE/deps")
        .to_owned()
}
