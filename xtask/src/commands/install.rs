//! `cargo xtask install`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use xtask::apache::which;
use xtask::command::run;
use xtask::workspace::{C_PLUGINS, Profile, Workspace};

use crate::installation::{EXAMPLES, Installation, Layout, MODULE_FILE};
use crate::packages;

#[derive(Args)]
pub(crate) struct Options {
    /// Activate the module, so that Apache loads it at its next restart
    #[arg(short, long)]
    activate: bool,
    /// Install below this folder instead of /, to build a package
    #[arg(long, value_name = "FOLDER", conflicts_with = "activate")]
    destdir: Option<PathBuf>,
}

pub(super) fn install(options: &Options) -> Result<()> {
    packages::install_missing()?;
    let installation = Installation::new(options.destdir.clone())?;
    install_files(&installation, &Workspace::find()?)?;
    install_settings(&installation)?;
    if options.activate || installation.layout == Layout::Debian {
        install_load_file(&installation)?;
    }
    if options.activate {
        activate(&installation)?;
    } else {
        println!("not activated; run `cargo xtask install --activate` to do so");
    }
    Ok(())
}

fn install_files(installation: &Installation, workspace: &Workspace) -> Result<()> {
    let module = workspace.build_module(Profile::Release)?;
    let plugins = workspace.compile_c_plugins(&workspace.c_plugin_dir())?;
    installation.copy(&module, &installation.module())?;
    for name in EXAMPLES {
        let source = Path::new(C_PLUGINS).join(name).with_extension("c");
        let plugin = plugins.iter().find(|plugin| plugin.source == source);
        let plugin = plugin.with_context(|| format!("{} is missing", source.display()))?;
        installation.copy(&plugin.path, &installation.example(name))?;
    }
    let header = workspace.include_dir().join("websocket_plugin.h");
    installation.copy(&header, &installation.header())
}

/// Never overwrites an administrator's changes.
fn install_settings(installation: &Installation) -> Result<()> {
    let Some(file) = installation.settings_file() else {
        return Ok(());
    };
    if installation.has_edited(&file)? {
        println!("kept {}, because it has been edited", file.display());
        return Ok(());
    }
    installation.write(&installation.settings(), &file)
}

fn install_load_file(installation: &Installation) -> Result<()> {
    let Some(file) = installation.load_file() else {
        return Ok(());
    };
    installation.write(&installation.load_line(), &file)
}

fn activate(installation: &Installation) -> Result<()> {
    match installation.layout {
        Layout::Debian => {
            which("a2enmod").context("no a2enmod here: apt-get install apache2")?;
            run(installation
                .command("a2enmod")?
                .args(["--quiet", "websocket"]))?;
        }
        Layout::Fedora => {} // it reads all files of conf.modules.d
        Layout::Plain => {
            let apxs = installation.apache.apxs.to_string_lossy();
            let line = ["-e", "-a", "-n", "websocket", MODULE_FILE];
            run(installation.command(&apxs)?.args(line))?;
        }
    }
    println!("activated; run `cargo xtask restart` to load the module");
    Ok(())
}
