//! `cargo xtask install`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use websocket_doctor::descriptors::Limit;
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
    /// Install although httpd rejects its configuration, before or after, or a package has the module
    #[arg(long)]
    force: bool,
}

/// What was built to be installed.
pub(crate) struct Built {
    pub(crate) module: PathBuf,
    /// In the order of [`EXAMPLES`].
    pub(crate) examples: [PathBuf; 2],
    pub(crate) header: PathBuf,
}

pub(super) fn install(options: &Options) -> Result<()> {
    packages::install_missing()?;
    let installation = Installation::new(options.destdir.clone())?;
    let built = Built::build(&Workspace::find()?)?;
    put_in(&installation, &built, options.activate, options.force)?;
    if options.activate {
        println!("activated; run `cargo xtask restart` to load the module");
    } else {
        println!("not activated; run `cargo xtask install --activate` to do so");
    }
    Ok(())
}

impl Built {
    fn build(workspace: &Workspace) -> Result<Self> {
        let module = workspace.build_module(Profile::Release)?;
        let plugins = workspace.compile_c_plugins(&workspace.c_plugin_dir())?;
        let example = |name: &str| {
            let source = Path::new(C_PLUGINS).join(name).with_extension("c");
            let plugin = plugins.iter().find(|plugin| plugin.source == source);
            let plugin = plugin.with_context(|| format!("{} is missing", source.display()))?;
            Ok::<_, anyhow::Error>(plugin.path.clone())
        };
        let [first, second] = EXAMPLES;
        Ok(Self {
            module,
            examples: [example(first)?, example(second)?],
            header: workspace.include_dir().join("websocket_plugin.h"),
        })
    }
}

/// Installs the files, and the module if it `is_active` from now on. Leaves all files as they were
/// if that fails, or httpd rejects its configuration then.
pub(crate) fn put_in(
    installation: &Installation,
    built: &Built,
    is_active: bool,
    is_forced: bool,
) -> Result<()> {
    installation.leave_packages_alone(is_forced)?;
    installation.change(is_forced, || {
        install_files(installation, built)?;
        install_settings(installation)?;
        if is_active || installation.layout == Layout::Debian {
            install_load_file(installation)?;
        }
        if is_active {
            activate(installation)?;
        }
        Ok(())
    })?;
    if !installation.is_for_package()
        && let Some(limit) = Limit::at_start(&installation.apache.conf_dir)
        && let Some(advice) = limit.advice()
    {
        println!("{advice}");
    }
    Ok(())
}

fn install_files(installation: &Installation, built: &Built) -> Result<()> {
    installation.copy(&built.module, &installation.module())?;
    for (name, plugin) in EXAMPLES.iter().zip(&built.examples) {
        installation.copy(plugin, &installation.example(name))?;
    }
    installation.copy(&built.header, &installation.header())
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
        Layout::Debian => installation.run_tool("a2enmod", &["--quiet", "websocket"]),
        Layout::Fedora => Ok(()), // it reads all files of conf.modules.d
        Layout::Plain => {
            let apxs = installation.apache.apxs.to_string_lossy();
            let line = ["-e", "-a", "-n", "websocket", MODULE_FILE];
            run(installation.command(&apxs)?.args(line))
        }
    }
}
