//! `cargo xtask uninstall`.

use anyhow::Result;
use xtask::command::run;

use crate::installation::{EXAMPLES, Installation, Layout, MODULE_FILE};

pub(super) fn uninstall() -> Result<()> {
    let installation = Installation::new(None)?;
    deactivate(&installation)?;
    remove_settings(&installation)?;
    if let Some(load_file) = installation.load_file() {
        installation.remove(&load_file)?;
    }
    installation.remove(&installation.header())?;
    for name in EXAMPLES {
        installation.remove(&installation.example(name))?;
    }
    installation.remove(&installation.module())
}

/// Comes first, because an Apache that restarts meanwhile must not look for a deleted library.
fn deactivate(installation: &Installation) -> Result<()> {
    match installation.layout {
        Layout::Debian => {
            let conf_dir = &installation.apache.conf_dir;
            let enabled = conf_dir.join("mods-enabled/websocket.load");
            if enabled.symlink_metadata().is_ok() {
                run(installation
                    .command("a2dismod")?
                    .args(["--quiet", "--purge", "websocket"]))?;
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
