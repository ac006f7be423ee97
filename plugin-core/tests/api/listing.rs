//! Lists what a crate lets others see.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Result, bail};
use syn::{Item, ItemImpl, ItemUse, Type, parse_quote};

use crate::items::{attributes_of, implementation, is_hidden, is_public, shown};
use crate::sources::{Module, paths};

/// The public items of the crate in this folder, without docs, bodies and private fields.
pub(crate) fn listing_of(sources: &Path) -> Result<String> {
    let root = Module::root(sources)?;
    let mut names = BTreeSet::new();
    let mut items = public_items(&root, &root, &mut names)?;
    implementations(&root, &names, &mut items)?;
    let mut file = syn::parse_file("")?;
    file.items = items;
    Ok(prettyplease::unparse(&file))
}

/// The public items of a module. Their names are added to `names`.
fn public_items(root: &Module, module: &Module, names: &mut BTreeSet<String>) -> Result<Vec<Item>> {
    let mut public = Vec::new();
    for item in &module.items {
        match item {
            Item::Use(it) if is_public(&it.vis) => {
                public.extend(reexported(root, module, it, names)?);
            }
            Item::Mod(it) if is_public(&it.vis) && !is_hidden(&it.attrs) => {
                let name = &it.ident;
                let Some(inner) = module.inner(&name.to_string())? else {
                    continue;
                };
                let inner = public_items(root, &inner, names)?;
                public.push(parse_quote!(pub mod #name { #(#inner)* }));
            }
            _ => public.extend(shown(item, names)),
        }
    }
    Ok(public)
}

/// What a `pub use` shows: items of this crate, or itself if they are of another one.
fn reexported(
    root: &Module,
    module: &Module,
    item: &ItemUse,
    names: &mut BTreeSet<String>,
) -> Result<Vec<Item>> {
    let mut shown_items = Vec::new();
    for (path, new) in paths(item) {
        let (name, modules) = path.split_last().expect("a path has a name");
        let Some(found) = find(root, module, modules, name)? else {
            // Of another crate, or written by a macro.
            let path: syn::Path = syn::parse_str(&path.join("::"))?;
            shown_items.push(parse_quote!(pub use #path;));
            continue;
        };
        let Some(mut shown_item) = shown(&found, names) else {
            bail!("`pub use` of {name}, which is not public");
        };
        if let (Some(attributes), cfg) = (attributes_of(&mut shown_item), &item.attrs) {
            attributes.extend(cfg.iter().filter(|it| it.path().is_ident("cfg")).cloned());
        }
        shown_items.push(shown_item);
        if *name != new {
            let (name, new) = (syn::Ident::new(name, span()), syn::Ident::new(&new, span()));
            shown_items.push(parse_quote!(pub use #name as #new;));
        }
    }
    Ok(shown_items)
}

fn span() -> proc_macro2::Span {
    proc_macro2::Span::call_site()
}

/// The item `name` of the module that `path` names, as seen from `module`.
fn find(root: &Module, module: &Module, path: &[String], name: &str) -> Result<Option<Item>> {
    let Some((first, rest)) = path.split_first() else {
        if let Some(item) = module.items.iter().find(|item| is_named(item, name)) {
            return Ok(Some(item.clone()));
        }
        for item in &module.items {
            let Item::Use(item) = item else { continue };
            for (path, new) in paths(item) {
                let (old, modules) = path.split_last().expect("a path has a name");
                if new == name && !modules.is_empty() {
                    return find(root, module, modules, old);
                }
            }
        }
        return Ok(None);
    };
    match &**first {
        "self" => find(root, module, rest, name),
        "crate" => find(root, root, rest, name),
        _ => match module.inner(first)? {
            Some(inner) => find(root, &inner, rest, name),
            None => Ok(None),
        },
    }
}

fn is_named(item: &Item, name: &str) -> bool {
    let ident = match item {
        Item::Const(it) => &it.ident,
        Item::Enum(it) => &it.ident,
        Item::Fn(it) => &it.sig.ident,
        Item::Static(it) => &it.ident,
        Item::Struct(it) => &it.ident,
        Item::Trait(it) => &it.ident,
        Item::Type(it) => &it.ident,
        Item::Union(it) => &it.ident,
        _ => return false,
    };
    ident == name
}

/// Adds the implementations of the types with these names, in all modules.
fn implementations(module: &Module, names: &BTreeSet<String>, items: &mut Vec<Item>) -> Result<()> {
    for item in &module.items {
        if let Item::Impl(it) = item
            && is_of(it, names)
            && !is_hidden(&it.attrs)
        {
            items.extend(implementation(it));
        }
    }
    for inner in module.inners()? {
        implementations(&inner, names, items)?;
    }
    Ok(())
}

fn is_of(item: &ItemImpl, names: &BTreeSet<String>) -> bool {
    // A trait that others cannot name.
    let is_sealed = |path: &syn::Path| path.is_ident("Sealed");
    if item
        .trait_
        .as_ref()
        .is_some_and(|(path, _)| is_sealed(path))
    {
        return false;
    }
    let mut of = &*item.self_ty;
    while let Type::Reference(reference) = of {
        of = &reference.elem;
    }
    matches!(of, Type::Path(path) if path.path.segments.last().is_some_and(|last| {
        names.contains(&last.ident.to_string())
    }))
}
