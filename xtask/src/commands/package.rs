//! `cargo xtask package`.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use xtask::workspace::Workspace;

use crate::package::{self, Built, Format, Ingredients, Release};
use crate::packages;

#[derive(Args)]
pub(crate) struct Options {
    /// The formats of the packages
    #[arg(required = true, value_enum)]
    formats: Vec<Format>,
    /// Which package of this version it is
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    revision: u32,
    /// Who answers for the packages, as `NAME <ADDRESS>`
    #[arg(long, value_name = "NAME")]
    maintainer: Option<String>,
    /// The folder for the packages [default: target/packages]
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// Package what Cargo built into this folder, such as target/debug, instead of building it
    #[arg(long, value_name = "FOLDER")]
    built: Option<PathBuf>,
}

pub(super) fn package(options: &Options) -> Result<()> {
    packages::install_missing()?;
    packages::install_for_packages(&options.formats)?;
    let workspace = Workspace::find()?;
    let release = Release::new(&workspace, options.revision, options.maintainer.clone())?;
    let built = match &options.built {
        Some(folder) => Built::in_folder(&workspace, folder)?,
        None => Built::build(&workspace)?,
    };
    let ingredients = Ingredients::new(&workspace, &release, &built)?;
    let folder = options.out.clone();
    let folder = folder.unwrap_or_else(|| workspace.target_dir().join("packages"));
    for file in package::make(&options.formats, &ingredients, &folder)? {
        println!("{}", file.display());
    }
    Ok(())
}
