//! `cargo xtask new-plugin`, from the command to a client of httpd.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;
use tungstenite::Message;
use xtask::command::output_of;
use xtask::server_root::ServerRoot;
use xtask::workspace::module_library;

/// `cargo xtask new-plugin` with additional arguments.
fn new_plugin(arguments: &[&str], folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command
        .arg("new-plugin")
        .args(arguments)
        .current_dir(folder)
        .env("CARGO_TARGET_DIR", target());
    command
}

#[test]
fn a_new_plugin_is_tested_built_and_served() -> Result<()> {
    is_tested_built_and_served(&["my-echo-2"], "hello", "hello")
}

#[test]
fn a_new_async_plugin_is_tested_built_and_served() -> Result<()> {
    is_tested_built_and_served(&["my-echo-2", "--async"], "hello", "hello")
}

#[test]
fn a_new_plugin_with_topics_is_tested_built_and_served() -> Result<()> {
    is_tested_built_and_served(&["my-echo-2", "--topics"], "hello", "hello")
}

#[test]
fn a_new_plugin_with_json_is_tested_built_and_served() -> Result<()> {
    is_tested_built_and_served(
        &["my-echo-2", "--json"],
        r#"{"add": [1, 2]}"#,
        r#"{"sum":3.0}"#,
    )
}

fn is_tested_built_and_served(arguments: &[&str], message: &str, answer: &str) -> Result<()> {
    let temp = TempDir::new()?;
    let arguments = [arguments, &["--path", "a folder/it"]].concat();
    let said = output_of(&mut new_plugin(&arguments, temp.path()))?;
    let package = temp.path().join("a folder/it");
    for file in [
        "Cargo.toml",
        "src/lib.rs",
        "page/index.html",
        ".gitignore",
        "README.md",
    ] {
        ensure!(package.join(file).is_file(), "no {file}");
    }
    output_of(
        Command::new("rustfmt")
            .args(["--check", "--edition", "2024"])
            .arg(package.join("src/lib.rs")),
    )?;

    let (commands, location) = said.split_once("\nLogLevel").context("no LogLevel")?;
    let commands: Vec<_> = commands
        .lines()
        .filter_map(|line| line.strip_prefix("  cargo "))
        .collect();
    ensure!(commands == ["test", "build --release"], "{said}");
    for command in ["test", "build"] {
        output_of(&mut cargo(command, &package))?;
    }
    ensure!(location.contains("/release/"), "{said}");
    // A debug build, because an optimized one takes a while.
    let location = format!("LogLevel{}", location.replace("/release/", "/debug/"));
    let httpd = ServerRoot::temporary()?
        .load_module("websocket_module", module_library()?)
        .config(location)
        .start()?;
    let (mut client, _) = tungstenite::connect(format!("ws://{}/my-echo-2", httpd.address()))?;
    client.send(message.into())?;
    ensure!(client.read()? == Message::text(answer));
    let log = httpd.error_log()?;
    ensure!(
        log.contains("a client has come") || arguments.contains(&"--async"),
        "{log}"
    );
    Ok(())
}

/// The crates are not at crates.io yet; the sources stand in for them.
#[test]
fn a_new_plugin_can_depend_on_the_published_crate() -> Result<()> {
    let temp = TempDir::new()?;
    output_of(&mut new_plugin(
        &["remote", "--registry", "--json"],
        temp.path(),
    ))?;
    let package = temp.path().join("remote");
    let manifest = std::fs::read_to_string(package.join("Cargo.toml"))?;
    let version = concat!("{ version = \"", env!("CARGO_PKG_VERSION"), "\"");
    ensure!(manifest.contains(version), "{manifest}");
    ensure!(!manifest.contains("path"), "{manifest}");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .canonicalize()?;
    let mut check = cargo("check", &package);
    for (name, folder) in [
        ("websocket-plugin", "plugin-core"),
        ("websocket-plugin-macros", "plugin-macros"),
    ] {
        let path = root.join(folder);
        check.arg("--config").arg(format!(
            "patch.crates-io.{name}.path={:?}",
            path.display().to_string()
        ));
    }
    output_of(&mut check)?;
    Ok(())
}

/// A panic of such a plugin would end the httpd process.
#[test]
fn a_plugin_that_would_abort_does_not_compile() -> Result<()> {
    let temp = TempDir::new()?;
    output_of(&mut new_plugin(&["fragile"], temp.path()))?;
    let package = temp.path().join("fragile");
    let manifest = package.join("Cargo.toml");
    let text = std::fs::read_to_string(&manifest)?;
    std::fs::write(&manifest, text + "\n[profile.dev]\npanic = \"abort\"\n")?;
    let output = cargo("check", &package).output()?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(!output.status.success(), "it compiles");
    ensure!(
        stderr.contains("error: with `panic = \"abort\"`"),
        "{stderr}"
    );
    Ok(())
}

#[test]
fn an_invalid_name_or_an_existing_folder_is_an_error() -> Result<()> {
    let temp = TempDir::new()?;
    std::fs::write(temp.path().join("taken"), "precious")?;
    for (arguments, complaint) in [
        (&["My Echo"][..], "lower-case"),
        (&["fn"], "Rust or this project reserves that word"),
        (&["taken"], "exists already"),
        (&["echo", "--path", "."], "exists already"),
        (&["echo", "--path", "taken/echo"], "cannot create"),
    ] {
        let output = new_plugin(arguments, temp.path()).output()?;
        let stderr = String::from_utf8_lossy(&output.stderr);
        ensure!(!output.status.success(), "{arguments:?}");
        ensure!(stderr.contains(complaint), "{arguments:?}: {stderr}");
    }
    ensure!(std::fs::read_to_string(temp.path().join("taken"))? == "precious");
    ensure!(temp.path().read_dir()?.count() == 1);
    Ok(())
}

fn cargo(command: &str, package: &Path) -> Command {
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .arg(command)
        .current_dir(package)
        .env("CARGO_TARGET_DIR", target());
    cargo
}

/// The target folder of this test, so that dependencies of the package are not built twice.
fn target() -> PathBuf {
    let test = env::current_exe().expect("the test has a path");
    let target = test.ancestors().nth(3);
    target
        .expect("Cargo builds tests in target/PROFILE/deps")
        .to_owned()
}
