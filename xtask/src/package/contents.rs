//! What packages contain: which file goes where.

use std::path::Path;

use anyhow::Result;
use tempfile::TempDir;
use xtask::book;

use super::ingredients::Ingredients;
use super::item::{Item, tree};
use super::places::Places;
use super::{copyright, crates, directives, sbom, settings, texts};

/// The files of a package for those who serve plugins, and of one for those who write them.
pub(crate) struct Contents {
    pub(crate) module: Vec<Item>,
    pub(crate) development: Vec<Item>,
}

impl Contents {
    /// Reads them all.
    ///
    /// # Errors
    /// A file cannot be read.
    pub(crate) fn of(places: &Places, ingredients: &Ingredients<'_>) -> Result<Self> {
        Ok(Self {
            module: module(places, ingredients)?,
            development: development(places, ingredients)?,
        })
    }
}

/// The package for those who serve plugins.
fn module(places: &Places, ingredients: &Ingredients<'_>) -> Result<Vec<Item>> {
    let root = ingredients.workspace.root();
    let version = &ingredients.release.version;
    let themes = directives::themes(ingredients.workspace)?;
    let load_file = settings::load_file(places);
    let settings_file = settings::settings_file(places, &themes)?;
    let page = texts::manual_page(places, ingredients, &themes)?;
    let notices = copyright::notices(&ingredients.dependencies)?;
    let in_doc = |name: &str| Path::new(places.doc).join(name);
    let module = Path::new(places.modules).join("mod_websocket.so");
    let mut items = vec![
        Item::copy(&ingredients.built.module, module)?,
        Item::program(
            &ingredients.built.doctor,
            Path::new(places.programs).join("mod_websocket-doctor"),
        )?,
        Item::settings(places.load_file, load_file),
        Item::settings(places.settings_file, settings_file),
        Item::compressed(
            format!("{}/man8/mod_websocket.8.gz", places.man),
            page.as_bytes(),
        )?,
        Item::compressed(
            format!("{}/man1/mod_websocket-doctor.1.gz", places.man),
            texts::doctor_page(ingredients)?.as_bytes(),
        )?,
        Item::compressed(in_doc("third-party-notices.gz"), notices.as_bytes())?,
        Item::new(
            in_doc(&format!("mod_websocket-{version}.cdx.json")),
            sbom::text(ingredients)?,
        ),
        Item::new(
            in_doc("examples/apache2.service.d/websocket.conf"),
            texts::SYSTEMD,
        ),
        Item::copy(&root.join("SECURITY.md"), in_doc("SECURITY.md"))?,
    ];
    for (name, library) in &ingredients.built.plugins {
        let target = Path::new(places.plugins).join(format!("{name}.so"));
        items.push(Item::copy(library, target)?);
    }
    items.extend(pages(root, &in_doc("book"))?);
    items.extend(tree(&root.join("examples/html"), &in_doc("examples/html"))?);
    Ok(items)
}

/// The package for those who write plugins.
fn development(places: &Places, ingredients: &Ingredients<'_>) -> Result<Vec<Item>> {
    let workspace = ingredients.workspace;
    let header = "websocket_plugin.h";
    let mut items = vec![
        Item::copy(
            &workspace.include_dir().join(header),
            Path::new(places.include).join(header),
        )?,
        Item::new(
            Path::new(places.pkg_config).join("websocket-plugin.pc"),
            texts::pkg_config(places, &ingredients.release.version),
        ),
    ];
    items.extend(crates::sources(places, workspace)?);
    items.extend(crates::templates(places, workspace)?);
    items.extend(tree(
        &workspace.root().join("examples/c"),
        &Path::new(places.development_doc).join("examples/c"),
    )?);
    Ok(items)
}

/// The pages of the documentation, with links that work there.
fn pages(root: &Path, target: &Path) -> Result<Vec<Item>> {
    let folder = TempDir::new()?;
    let staged = folder.path().join("book");
    book::stage(root, &staged)?;
    tree(&staged.join("src"), target)
}
