//! Packages for others to install: `.deb`, `.rpm` and `.tar.gz`.
//!
//! [`contents`] lists the files once, with [`Places`] for the folders of each system. Each
//! format has a file that makes a package of them. The same commit gives the same bytes, in
//! whichever folder it is built: times come from [`Release::epoch`], owners and modes are fixed,
//! and the compiler is told to write other paths than those of this machine.

mod built;
mod contents;
mod copyright;
mod crates;
mod deb;
mod dependencies;
mod directives;
mod format;
mod ingredients;
mod interface;
mod item;
mod places;
mod release;
mod rpm;
mod sbom;
mod settings;
mod sums;
mod tar;
mod texts;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

pub(crate) use self::built::Built;
use self::contents::Contents;
pub(crate) use self::format::Format;
pub(crate) use self::ingredients::Ingredients;
use self::places::Places;
pub(crate) use self::release::Release;

/// Makes packages in `folder`, with a list of what is linked (SBOM) and the hashes of all of these
/// files. Returns their paths.
///
/// # Errors
/// A tool that a format needs is missing or fails, or a file cannot be read or written.
pub(crate) fn make(
    formats: &[Format],
    ingredients: &Ingredients<'_>,
    folder: &Path,
) -> Result<Vec<PathBuf>> {
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let folder = folder.canonicalize()?;
    let mut made = Vec::new();
    for format in formats {
        let places = Places::of(*format);
        let contents = Contents::of(&places, ingredients)?;
        made.extend(match format {
            Format::Deb => deb::make(&contents, ingredients.release, &folder)?,
            Format::Rpm => rpm::make(&contents, ingredients.release, &folder)?,
            Format::Tar => vec![tar::make(&contents, ingredients.release, &folder)?],
        });
    }
    let sbom = folder.join(format!(
        "mod_websocket-{}.cdx.json",
        ingredients.release.version
    ));
    fs::write(&sbom, sbom::text(ingredients)?)?;
    made.push(sbom);
    made.push(sums::write(&made, &folder)?);
    Ok(made)
}
