//! The documentation: README and its neighbours at the top of the repository, and the pages of the
//! book in `docs/src`.
//!
//! The pages link to each other, and to files of the repository, so that they can be read there.
//! [`stage`] puts them into a folder for mdBook, which knows only files below one folder.

mod commands;
mod page;
mod staging;

pub use self::commands::Place;
pub use self::page::{Block, Link, Page};
pub use self::staging::stage;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The table of contents, which names the pages of the book.
pub const SUMMARY: &str = "docs/src/SUMMARY.md";

/// The pages of the book in the order of the table of contents.
///
/// # Errors
/// A page cannot be read, or the table names something else than pages of the repository.
pub fn pages(root: &Path) -> Result<Vec<Page>> {
    let summary = Page::read(root, SUMMARY)?;
    let page = |link: &Link| {
        let (path, _) = summary.target(link).with_context(|| {
            let Link { destination, .. } = link;
            format!("{SUMMARY} names {destination}, which is no file of the repository")
        })?;
        Page::read(root, path)
    };
    summary.links().iter().map(page).collect()
}

/// The Markdown files of `docs/src`, but for the table of contents, relative to `root`.
///
/// # Errors
/// The folder cannot be read.
pub fn files(root: &Path) -> Result<Vec<PathBuf>> {
    let folder = Path::new("docs/src");
    let mut files = Vec::new();
    for entry in root.join(folder).read_dir()? {
        let path = folder.join(entry?.file_name());
        if path != Path::new(SUMMARY) && path.extension().is_some_and(|it| it == "md") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
