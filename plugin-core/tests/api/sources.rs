//! The modules of a crate, parsed.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use syn::{Item, ItemUse, UseTree};

/// A module of the crate.
pub(crate) struct Module {
    pub(crate) items: Vec<Item>,
    /// The folder of its inner modules.
    folder: PathBuf,
}

impl Module {
    /// The root of the crate.
    pub(crate) fn root(sources: &Path) -> Result<Self> {
        Ok(Self {
            items: parse(&sources.join("lib.rs"))?,
            folder: sources.to_owned(),
        })
    }

    /// An inner module, in a file of its own or not.
    pub(crate) fn inner(&self, name: &str) -> Result<Option<Self>> {
        let found = self.items.iter().find_map(|item| match item {
            Item::Mod(module) if module.ident == name => Some(module),
            _ => None,
        });
        let Some(module) = found else {
            return Ok(None);
        };
        let items = match &module.content {
            Some((_, items)) => items.clone(),
            None => parse(&self.folder.join(name).with_extension("rs"))?,
        };
        let folder = self.folder.join(name);
        Ok(Some(Self { items, folder }))
    }

    /// Its inner modules, without tests.
    pub(crate) fn inners(&self) -> Result<Vec<Self>> {
        let is_test = |it: &syn::ItemMod| ["tests", "book"].iter().any(|name| it.ident == name);
        let mut inners = Vec::new();
        for item in &self.items {
            if let Item::Mod(module) = item
                && !is_test(module)
            {
                inners.extend(self.inner(&module.ident.to_string())?);
            }
        }
        Ok(inners)
    }
}

fn parse(file: &Path) -> Result<Vec<Item>> {
    let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let parsed = syn::parse_file(&text).with_context(|| file.display().to_string())?;
    Ok(parsed.items)
}

/// The paths that a `use` names, each with the new name.
pub(crate) fn paths(item: &ItemUse) -> Vec<(Vec<String>, String)> {
    let mut found = Vec::new();
    collect(&item.tree, &mut Vec::new(), &mut found);
    found
}

fn collect(tree: &UseTree, path: &mut Vec<String>, found: &mut Vec<(Vec<String>, String)>) {
    let mut end = |name: String, new: String| {
        let mut whole = path.clone();
        whole.push(name);
        found.push((whole, new));
    };
    match tree {
        UseTree::Path(inner) => {
            path.push(inner.ident.to_string());
            collect(&inner.tree, path, found);
            path.pop();
        }
        UseTree::Group(group) => {
            for inner in &group.items {
                collect(inner, path, found);
            }
        }
        UseTree::Name(name) => end(name.ident.to_string(), name.ident.to_string()),
        UseTree::Rename(rename) => end(rename.ident.to_string(), rename.rename.to_string()),
        UseTree::Glob(_) => end("*".to_owned(), "*".to_owned()),
    }
}
