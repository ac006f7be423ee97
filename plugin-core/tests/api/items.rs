//! Items as others see them.

use std::collections::BTreeSet;

use quote::ToTokens;
use syn::{Attribute, Block, Fields, ImplItem, Item, ItemImpl, TraitItem, Visibility, parse_quote};

/// A public item as others see it. `None` if they do not.
pub(crate) fn shown(item: &Item, names: &mut BTreeSet<String>) -> Option<Item> {
    let mut item = item.clone();
    let attributes = attributes_of(&mut item)?;
    if is_hidden(attributes) {
        return None;
    }
    attributes.retain(is_kept);
    match &mut item {
        Item::Const(it) => is_public(&it.vis).then_some(())?,
        Item::Static(it) => is_public(&it.vis).then_some(())?,
        Item::Type(it) => is_public(&it.vis).then_some(())?,
        Item::Fn(it) => {
            is_public(&it.vis).then_some(())?;
            *it.block = nothing();
        }
        Item::Struct(it) => {
            is_public(&it.vis).then_some(())?;
            names.insert(it.ident.to_string());
            hide_private(&mut it.fields);
        }
        Item::Enum(it) => {
            is_public(&it.vis).then_some(())?;
            names.insert(it.ident.to_string());
            for variant in &mut it.variants {
                variant.attrs.retain(is_kept);
                for field in &mut variant.fields {
                    field.attrs.retain(is_kept);
                }
            }
        }
        Item::Trait(it) => {
            is_public(&it.vis).then_some(())?;
            it.items
                .retain(|item| !is_hidden(attributes_of_trait_item(item)));
            it.items.iter_mut().for_each(simplify);
        }
        _ => return None,
    }
    Some(item)
}

fn nothing() -> Block {
    parse_quote!({})
}

/// A default stays a default, without its body.
fn simplify(item: &mut TraitItem) {
    match item {
        TraitItem::Fn(it) => {
            it.attrs.retain(is_kept);
            if it.default.is_some() {
                it.default = Some(nothing());
            }
        }
        TraitItem::Type(it) => it.attrs.retain(is_kept),
        TraitItem::Const(it) => it.attrs.retain(is_kept),
        _ => {}
    }
}

/// That there are private fields is seen: others cannot make such a value.
fn hide_private(fields: &mut Fields) {
    let is_private = |field: &syn::Field| !is_public(&field.vis);
    let has_private = fields.iter().any(is_private);
    for field in fields.iter_mut() {
        field.attrs.retain(is_kept);
    }
    match fields {
        Fields::Named(named) => {
            named.named = named
                .named
                .iter()
                .filter(|it| !is_private(it))
                .cloned()
                .collect();
            if has_private {
                named.named.push(parse_quote!(_private: ()));
            }
        }
        Fields::Unnamed(unnamed) => {
            for field in unnamed.unnamed.iter_mut().filter(|it| is_private(it)) {
                field.ty = parse_quote!(_);
            }
        }
        Fields::Unit => {}
    }
}

/// The public methods; of a trait only that it is implemented, and its types.
pub(crate) fn implementation(item: &ItemImpl) -> Option<Item> {
    let mut item = item.clone();
    item.attrs.retain(is_kept);
    let is_inherent = item.trait_.is_none();
    item.items.retain_mut(|inner| match inner {
        ImplItem::Fn(it) => {
            it.block = nothing();
            let is_shown = is_inherent && is_public(&it.vis) && !is_hidden(&it.attrs);
            it.attrs.retain(is_kept);
            is_shown
        }
        ImplItem::Const(it) => {
            let is_shown = is_inherent && is_public(&it.vis) && !is_hidden(&it.attrs);
            it.attrs.retain(is_kept);
            is_shown
        }
        ImplItem::Type(_) => !is_inherent,
        _ => false,
    });
    (!is_inherent || !item.items.is_empty()).then_some(Item::Impl(item))
}

pub(crate) fn is_public(visibility: &Visibility) -> bool {
    matches!(visibility, Visibility::Public(_))
}

pub(crate) fn is_hidden(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|it| {
        let text = it.meta.to_token_stream().to_string();
        text == "doc (hidden)" || text == "cfg (test)"
    })
}

/// Attributes that others notice.
pub(crate) fn is_kept(attribute: &Attribute) -> bool {
    [
        "cfg",
        "derive",
        "must_use",
        "non_exhaustive",
        "repr",
        "deprecated",
        "default",
    ]
    .iter()
    .any(|name| attribute.path().is_ident(name))
}

fn attributes_of_trait_item(item: &TraitItem) -> &[Attribute] {
    match item {
        TraitItem::Fn(it) => &it.attrs,
        TraitItem::Type(it) => &it.attrs,
        TraitItem::Const(it) => &it.attrs,
        _ => &[],
    }
}

pub(crate) fn attributes_of(item: &mut Item) -> Option<&mut Vec<Attribute>> {
    Some(match item {
        Item::Const(it) => &mut it.attrs,
        Item::Enum(it) => &mut it.attrs,
        Item::Fn(it) => &mut it.attrs,
        Item::Static(it) => &mut it.attrs,
        Item::Struct(it) => &mut it.attrs,
        Item::Trait(it) => &mut it.attrs,
        Item::Type(it) => &mut it.attrs,
        _ => return None,
    })
}
