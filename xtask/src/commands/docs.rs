//! `cargo xtask docs`.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use clap::Args;
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use xtask::book::stage;
use xtask::command::{output_of, run};
use xtask::server_root::ServerRoot;
use xtask::workspace::Workspace;

use super::run::{check_port, serve_until_signalled};
use crate::packages;

/// The version of mdBook.
const MDBOOK: &str = "0.5.4";

#[derive(Args)]
pub(crate) struct Options {
    /// The port of the server
    #[arg(long, default_value_t = 8000)]
    port: u16,
    /// Only build the book, into target/docs/book
    #[arg(long, conflicts_with = "port")]
    build: bool,
}

pub(super) fn docs(options: &Options) -> Result<()> {
    if !options.build {
        check_port(options.port, "--port")?;
    }
    let workspace = Workspace::find()?;
    let mdbook = install_mdbook(&workspace)?;
    let folder = workspace.target_dir().join("docs");
    let book = build(&workspace, &mdbook, &folder)?;
    if options.build {
        println!("The book is in {}.", book.display());
        return Ok(());
    }
    serve(options.port, &book, &folder)
}

/// Installs mdBook into the target folder, unless it is there already, and returns its program.
/// Its own server and its watcher are left out, because they need many more crates.
fn install_mdbook(workspace: &Workspace) -> Result<PathBuf> {
    let folder = workspace.target_dir().join("tools");
    let program = folder.join("bin/mdbook");
    let version = output_of(Command::new(&program).arg("--version"));
    if version.is_ok_and(|version| version.ends_with(MDBOOK)) {
        return Ok(program);
    }
    run(workspace
        .cargo()
        .args(["install", "mdbook", "--version", MDBOOK, "--locked"])
        .args(["--no-default-features", "--features", "search"])
        .args(["--debug", "--force", "--root"])
        .arg(&folder))
    .context("cannot install mdBook")?;
    Ok(program)
}

/// Builds the book below `folder`, and returns its folder.
fn build(workspace: &Workspace, mdbook: &Path, folder: &Path) -> Result<PathBuf> {
    let staged = folder.join("pages");
    let book = folder.join("book");
    stage(workspace.root(), &staged)?;
    run(Command::new(mdbook)
        .arg("build")
        .arg(&staged)
        .arg("--dest-dir")
        .arg(&book))?;
    Ok(book)
}

fn serve(port: u16, book: &Path, folder: &Path) -> Result<()> {
    packages::install_missing()?;
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP, SIGCHLD])?;
    let httpd = ServerRoot::new(folder.join("httpd"))?
        .port(port)
        .document_root(book)
        .start()?;
    println!("The book is at http://localhost:{port}/. Ctrl-C stops the server.");
    serve_until_signalled(&httpd, &mut signals)?;
    httpd.stop()?;
    Ok(())
}
