//! Installing over a server that runs.

mod debian;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;
use tungstenite::Message;
use xtask::server_root::{ServerRoot, quoted};
use xtask::workspace::{built_library, module_library};

use super::journal::Journal;
use super::*;

fn installation(folder: &Path) -> Result<Installation> {
    Installation::new(Some(folder.to_owned()))
}

#[test]
fn a_library_is_replaced_under_a_running_server() -> Result<()> {
    let folder = TempDir::new()?;
    let installation = installation(folder.path())?;
    let libraries = [
        (module_library()?, installation.module()),
        (
            built_library("websocket_echo")?,
            installation.example("echo"),
        ),
    ];
    for (source, target) in &libraries {
        installation.copy(source, target)?;
    }
    let handler = quoted(&libraries[1].1);
    let httpd = ServerRoot::temporary()?
        .load_module("websocket_module", &libraries[0].1)
        .config(format!(
            "<Location /echo>\nSetHandler websocket-handler\n\
             WebSocketHandler {handler} echo_init\n</Location>"
        ))
        .start()?;
    let connect = || tungstenite::connect(format!("ws://{}/echo", httpd.address()));
    let (mut client, _) = connect()?;
    let mut echo = move || -> Result<()> {
        client.send("hello".into())?;
        ensure!(client.read()? == Message::text("hello"));
        Ok(())
    };
    echo()?;
    for (source, target) in &libraries {
        let old = target.metadata()?.ino();
        installation.copy(source, target)?;
        ensure!(target.metadata()?.ino() != old, "the same file");
        echo()?;
    }
    drop(echo);
    httpd.graceful()?;
    let (mut client, _) = connect()?;
    client.send("again".into())?;
    ensure!(client.read()? == Message::text("again"));
    Ok(())
}

#[test]
fn a_file_that_is_replaced_is_there_and_whole_all_the_time() -> Result<()> {
    let folder = TempDir::new()?;
    let installation = installation(folder.path())?;
    let (source, target) = (folder.path().join("source"), installation.module());
    // Long enough to be looked at while it is written.
    let length = 64 << 20;
    fs::write(&source, vec![1; 64 << 20])?;
    installation.copy(&source, &target)?;
    let is_done = AtomicBool::new(false);
    thread::scope(|scope| {
        let watch = || -> Result<()> {
            while !is_done.load(Ordering::Relaxed) {
                let found = target.metadata().context("it is missing")?.len();
                ensure!(found == length, "{found} bytes");
            }
            Ok(())
        };
        let watcher = scope.spawn(watch);
        let copied = installation.copy(&source, &target);
        is_done.store(true, Ordering::Relaxed);
        watcher.join().expect("the watcher does not panic")?;
        copied
    })?;
    let module_dir = target.parent().context("a folder")?;
    ensure!(module_dir.read_dir()?.count() == 1, "something is left");
    Ok(())
}

#[test]
fn what_cannot_be_installed_leaves_the_old_file() -> Result<()> {
    let folder = TempDir::new()?;
    let installation = installation(folder.path())?;
    let target = installation.header();
    installation.write("old", &target)?;
    let absent = folder.path().join("absent");
    ensure!(installation.copy(&absent, &target).is_err());
    ensure!(fs::read_to_string(&target)? == "old");
    Ok(())
}

#[test]
fn copies_are_kept_if_anything_cannot_be_restored() -> Result<()> {
    let folder = TempDir::new()?;
    let installation = installation(folder.path())?;
    let [kept, file, new] = ["kept", "file", "new"].map(|name| folder.path().join(name));
    fs::write(&kept, "old")?;
    let places = vec![kept, file.clone(), new.join("file")];
    let journal = Journal::begin(&installation, places)?;
    // `rm` removes no folder, and `rmdir` no link to an empty one.
    fs::create_dir(&file)?;
    std::os::unix::fs::symlink(&file, &new)?;
    let error = journal.roll_back().err().context("all is restored")?;
    let error = format!("{error:#}");
    ensure!(
        error.contains("rm -f") && error.contains("rmdir"),
        "{error}"
    );
    let (_, copies) = error.split_once("the copies are in ").context("nowhere")?;
    let copies = Path::new(copies.split(": ").next().unwrap_or_default());
    ensure!(fs::read_to_string(copies.join("0"))? == "old");
    fs::remove_dir_all(copies)?;
    Ok(())
}
