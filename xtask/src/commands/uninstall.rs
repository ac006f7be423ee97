//! `cargo xtask uninstall`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use clap::Args;
use websocket_doctor::control::{Control, Verdict};
use websocket_doctor::directives::{Use, uses};
use xtask::command::run;

use crate::installation::{EXAMPLES, Installation, Layout, MODULE_FILE};

#[derive(Args)]
pub(crate) struct Options {
    /// Uninstall although httpd's configuration still needs the module, or a package has installed it
    #[arg(long)]
    force: bool,
}

pub(super) fn uninstall(options: &Options) -> Result<()> {
    take_out(&Installation::new(None)?, options.force)
}

/// Removes the files, unless httpd would then reject its configuration. That leaves them all.
pub(crate) fn take_out(installation: &Installation, is_forced: bool) -> Result<()> {
    installation.leave_packages_alone(is_forced)?;
    let remaining = remaining_uses(installation)?;
    let (optional, needed): (Vec<_>, Vec<_>) = remaining.into_iter().partition(|it| it.is_optional);
    if !optional.is_empty() {
        println!(
            "httpd will skip these lines without the module:\n{}",
            list(&optional)
        );
    }
    if !needed.is_empty() {
        let said = format!(
            "httpd may reject these lines without the module:\n{}",
            list(&needed)
        );
        ensure!(
            is_forced,
            "{said}\nNothing was changed. Remove these lines, or put them into <IfModule \
             mod_websocket.c>, or use --force."
        );
        println!("{said}");
    }
    installation.change(is_forced, || remove(installation))
}

fn remove(installation: &Installation) -> Result<()> {
    deactivate(installation)?;
    remove_settings(installation)?;
    if let Some(load_file) = installation.load_file() {
        installation.remove(&load_file)?;
    }
    installation.remove(&installation.header())?;
    for name in EXAMPLES {
        installation.remove(&installation.example(name))?;
    }
    installation.remove(&installation.module())
}

/// The lines of the configuration that need the module, except in files that go with it.
fn remaining_uses(installation: &Installation) -> Result<Vec<Use>> {
    let Some(control) = installation.control()? else {
        return Ok(Vec::new());
    };
    let mut remaining = Vec::new();
    let mine = files_that_go(installation)?;
    for file in configuration(installation, &control)? {
        if !mine.contains(&file) {
            remaining.extend(uses(&file)?);
        }
    }
    if installation.layout == Layout::Plain {
        // `apxs` comments out the line in this file.
        let main = installation.apache.conf_dir.join("httpd.conf");
        remaining.retain(|it| it.file != main || !it.text.starts_with("LoadModule"));
    }
    Ok(remaining)
}

/// The files that httpd reads. If it rejects what is in them, it does not name them; then all files
/// of its folder that can be meant.
fn configuration(installation: &Installation, control: &Control) -> Result<Vec<PathBuf>> {
    if matches!(control.check()?, Verdict::Good(_)) {
        return control.files();
    }
    let mut files = Vec::new();
    let mut folders = vec![installation.conf_dir().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.extend(may_be_read(&path).then_some(path));
            } else if is_configuration(&path) {
                files.push(path);
            }
        }
    }
    Ok(files)
}

/// Whether httpd may read files of this folder. Debian's httpd reads links to `mods-available`.
fn may_be_read(folder: &Path) -> bool {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    !folder.is_symlink() && !name.ends_with("-available")
}

fn is_configuration(file: &Path) -> bool {
    let extension = file.extension().unwrap_or_default();
    file.is_file() && (extension == "conf" || extension == "load")
}

fn files_that_go(installation: &Installation) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    if installation.layout == Layout::Debian {
        files.extend(installation.links());
    }
    files.extend(installation.load_file());
    if let Some(settings) = installation.settings_file() {
        // Debian's httpd does not read it any more, even if it stays.
        if installation.layout == Layout::Debian || !installation.has_edited(&settings)? {
            files.push(settings);
        }
    }
    Ok(files)
}

fn list(uses: &[Use]) -> String {
    let lines = uses.iter().map(|it| {
        let Use {
            file, line, text, ..
        } = it;
        format!("  {}:{line}: {text}", file.display())
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Comes first, because an Apache that restarts meanwhile must not look for a deleted library.
fn deactivate(installation: &Installation) -> Result<()> {
    match installation.layout {
        Layout::Debian => {
            let [load, _] = installation.links();
            if load.symlink_metadata().is_ok() {
                installation.run_tool("a2dismod", &["--quiet", "--purge", "websocket"])?;
                println!("deactivated");
            }
            Ok(())
        }
        Layout::Fedora => Ok(()), // uninstall then removes the file with the LoadModule line
        Layout::Plain => {
            // Comments out its line. If the module had never been activated, apxs would add one.
            if !installation.module().exists() {
                return Ok(());
            }
            let apxs = installation.apache.apxs.to_string_lossy();
            let line = ["-e", "-A", "-n", "websocket", MODULE_FILE];
            run(installation.command(&apxs)?.args(line))
        }
    }
}

fn remove_settings(installation: &Installation) -> Result<()> {
    let Some(file) = installation.settings_file() else {
        return Ok(());
    };
    if installation.has_edited(&file)? {
        println!("kept {}, because it has been edited", file.display());
        return Ok(());
    }
    installation.remove(&file)
}
