//! The item below the attribute: the model, and all checks.

use crate::errors::Errors;
use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::ext::IdentExt;
use syn::{
    FnArg, GenericArgument, Generics, ImplItem, ImplItemFn, Item, ItemImpl, PatType, Path,
    PathArguments, ReturnType, Type, parse_quote,
};

const PLACE: &str = "`#[websocket_plugin]` goes on `impl Plugin for YourType`";
const CONFIGURE: &str = "httpd calls `configure` before there is a runtime, so it cannot be async: \
    connect to other servers in the first `on_connect`";
const TICKS: &str = "httpd asks for `ticks` before there is a runtime, so it cannot be async: wait \
    in `on_tick`";
const SYNCHRONOUS: &str = "the callbacks of a `Plugin` are synchronous: write \
    `impl AsyncPlugin for` instead, with the feature `tokio` of `websocket-plugin`";
const EITHER: &str = "a plugin gets messages either whole or in parts: write `on_message` or \
    `on_part`, not both";
const WHOLE: &str = "an `AsyncPlugin` gets whole messages, in `on_message`; for messages in parts, \
    write `impl Plugin`";
const CONCRETE: &str = "export a concrete type, e.g. `impl Plugin for Chat<Json>`, or write \
    `#[websocket_plugin(export = false)]` if another plugin uses this one";

/// The item below the attribute.
pub(crate) struct Plugin {
    /// The item to print again, without the attribute.
    pub(crate) item: Target,
    /// The type that has the attribute, with its generics; `None` after a mistake.
    pub(crate) attributed: Option<(Type, Generics)>,
    /// The type to export, with its name; `None` if it is not exported, or after a mistake.
    pub(crate) export: Option<(Type, String)>,
    /// The item is `impl AsyncPlugin`.
    pub(crate) is_async: bool,
}

/// The kind of item that has the attribute.
pub(crate) enum Target {
    /// `impl Plugin for T`, and the items to supply in it.
    Impl {
        item: Box<ItemImpl>,
        supply: Box<Supply>,
    },
    /// A type whose impl is elsewhere, or a mistake.
    Other(TokenStream),
}

/// The items that `impl Plugin` leaves out.
pub(crate) struct Supply {
    /// The type of a connection, if the impl does not declare it.
    pub(crate) connection: Option<Type>,
    /// The type of an event, if the impl does not declare it.
    pub(crate) event: Option<Type>,
    pub(crate) configure: bool,
    pub(crate) on_connect: OnConnect,
    /// The impl has `on_part`, so that `on_message` is to supply.
    pub(crate) on_message: bool,
}

/// Whether to supply `on_connect`.
#[derive(PartialEq, Eq)]
pub(crate) enum OnConnect {
    Written,
    Accepting,
    /// It cannot be supplied, which is a mistake. A dummy avoids further errors.
    Missing,
}

impl Plugin {
    /// Parses the item. If it `is_part` of another plugin, it is not exported.
    pub(crate) fn parse(tokens: TokenStream, is_part: bool, errors: &mut Errors) -> Self {
        let (ident, generics) = match syn::parse2(tokens.clone()) {
            Ok(Item::Impl(item)) => return Self::from_impl(item, tokens, is_part, errors),
            Ok(Item::Struct(item)) => (item.ident, item.generics),
            Ok(Item::Enum(item)) => (item.ident, item.generics),
            Ok(Item::Fn(item)) => return Self::mistake(item.sig.fn_token, PLACE, tokens, errors),
            Ok(item) => return Self::mistake(item, PLACE, tokens, errors),
            Err(error) => {
                errors.push(error);
                return Self::nothing(tokens);
            }
        };
        let (_, arguments, _) = generics.split_for_impl();
        let ty = parse_quote!(#ident #arguments);
        Self {
            export: exported(&ty, &generics, is_part, errors),
            attributed: Some((ty, generics)),
            item: Target::Other(tokens),
            is_async: false,
        }
    }

    fn mistake(at: impl ToTokens, message: &str, item: TokenStream, errors: &mut Errors) -> Self {
        errors.at(at, message);
        Self::nothing(item)
    }

    fn nothing(item: TokenStream) -> Self {
        Self {
            item: Target::Other(item),
            attributed: None,
            export: None,
            is_async: false,
        }
    }

    fn from_impl(
        mut item: ItemImpl,
        tokens: TokenStream,
        is_part: bool,
        errors: &mut Errors,
    ) -> Self {
        let is_async = match &item.trait_ {
            None => return Self::mistake(&item.self_ty, PLACE, tokens, errors),
            Some((path, _)) if is_named(path, "Plugin") => false,
            Some((path, _)) if is_named(path, "AsyncPlugin") => true,
            Some((path, _)) => return Self::mistake(path, PLACE, tokens, errors),
        };
        let export = exported(&item.self_ty, &item.generics, is_part, errors);
        if is_async {
            reject_parts(&mut item.items, errors);
            require_async(&mut item.items, errors);
        } else {
            reject_async(&mut item.items, errors);
        }
        let supply = Supply::for_items(&item.items, is_async, errors);
        Self {
            attributed: Some(((*item.self_ty).clone(), item.generics.clone())),
            item: Target::Impl {
                item: item.into(),
                supply: supply.into(),
            },
            export,
            is_async,
        }
    }
}

fn is_named(path: &Path, name: &str) -> bool {
    let last = path.segments.last();
    last.is_some_and(|segment| segment.ident == name)
}

/// The type to export, with its name.
fn exported(
    ty: &Type,
    generics: &Generics,
    is_part: bool,
    errors: &mut Errors,
) -> Option<(Type, String)> {
    if is_part {
        return None;
    }
    if !generics.params.is_empty() {
        errors.at(&generics.params, CONCRETE);
        return None;
    }
    let Type::Path(path) = ty else {
        errors.at(ty, CONCRETE);
        return None;
    };
    let name = path.path.segments.last()?.ident.unraw().to_string();
    Some((ty.clone(), name))
}

/// Reports `async` functions and removes `async` and the body, because an `.await` in it would be
/// another error.
fn reject_async(items: &mut [ImplItem], errors: &mut Errors) {
    for function in items.iter_mut().filter_map(as_function) {
        if let Some(token) = function.sig.asyncness.take() {
            errors.at(token, SYNCHRONOUS);
            function
                .attrs
                .push(parse_quote!(#[allow(unused_variables)]));
            function.block = parse_quote!({ ::core::unreachable!() });
        }
    }
}

/// Reports `on_part`, and makes it the `on_message` that is probably missing.
fn reject_parts(items: &mut Vec<ImplItem>, errors: &mut Errors) {
    let is_named = |item: &ImplItem, name: &str| match item {
        ImplItem::Fn(function) => function.sig.ident == name,
        _ => false,
    };
    let has_on_message = items.iter().any(|item| is_named(item, "on_message"));
    let Some(at) = items.iter().position(|item| is_named(item, "on_part")) else {
        return;
    };
    if let ImplItem::Fn(function) = items.remove(at) {
        errors.at(&function.sig.ident, WHOLE);
    }
    if !has_on_message {
        items.push(parse_quote! {
            async fn on_message(
                &self,
                _: &mut Self::Connection,
                _: &::websocket_plugin::Sender,
                _: ::websocket_plugin::Message<'_>,
            ) -> ::core::result::Result<(), ::websocket_plugin::Close> {
                ::core::unreachable!()
            }
        });
    }
}

/// Reports callbacks that lack `async` and adds it, because rustc would only say that their result
/// is no future. A callback may return a future of its own.
fn require_async(items: &mut [ImplItem], errors: &mut Errors) {
    for function in items.iter_mut().filter_map(as_function) {
        let name = function.sig.ident.to_string();
        match name.as_str() {
            "configure" => {
                if let Some(token) = function.sig.asyncness.take() {
                    errors.at(token, CONFIGURE);
                    function.block = parse_quote!({ ::core::unreachable!() });
                }
            }
            "ticks" => {
                if let Some(token) = function.sig.asyncness.take() {
                    errors.at(token, TICKS);
                    function.block = parse_quote!({ ::core::unreachable!() });
                }
            }
            "on_connect" | "on_message" | "on_event" | "on_drain" | "on_tick"
                if function.sig.asyncness.is_none()
                    && accepted_type(&function.sig.output).is_some() =>
            {
                errors.at(
                    function.sig.fn_token,
                    format!("callbacks of an `AsyncPlugin` are async: write `async fn {name}`"),
                );
                function.sig.asyncness = Some(parse_quote!(async));
            }
            _ => {}
        }
    }
}

fn as_function(item: &mut ImplItem) -> Option<&mut ImplItemFn> {
    match item {
        ImplItem::Fn(function) => Some(function),
        _ => None,
    }
}

impl Supply {
    fn for_items(items: &[ImplItem], is_async: bool, errors: &mut Errors) -> Self {
        let function = |name: &str| {
            items.iter().find_map(|item| match item {
                ImplItem::Fn(function) if function.sig.ident == name => Some(function),
                _ => None,
            })
        };
        let declared = |name: &str| {
            items.iter().find_map(|item| match item {
                ImplItem::Type(item) if item.ident == name => Some(&item.ty),
                _ => None,
            })
        };
        let event = match (declared("Event"), function("on_event")) {
            (None, None) => Some(parse_quote!(::websocket_plugin::NoEvents)),
            (None, Some(on_event)) => Some(event_of(on_event, errors)),
            (Some(ty), None) => {
                let name = ty.to_token_stream();
                errors.at(ty, format!("write `on_event` to handle `{name}`"));
                None
            }
            (Some(_), Some(_)) => None,
        };
        let connection = declared("Connection");
        let (connection, on_connect) = match (connection, function("on_connect")) {
            (Some(_), Some(_)) => (None, OnConnect::Written),
            (Some(ty), None) if is_unit(ty) => (None, OnConnect::Accepting),
            (Some(ty), None) => {
                let name = ty.to_token_stream();
                errors.at(ty, format!("write `on_connect` to build `{name}`"));
                (None, OnConnect::Missing)
            }
            (None, Some(on_connect)) => {
                (Some(connection_of(on_connect, errors)), OnConnect::Written)
            }
            (None, None) => (Some(parse_quote!(())), OnConnect::Accepting),
        };
        Self {
            connection,
            event,
            configure: function("configure").is_none(),
            on_connect,
            on_message: takes_parts(function("on_message"), function("on_part"), errors)
                && !is_async,
        }
    }
}

/// Whether the plugin gets its messages in parts.
fn takes_parts(
    on_message: Option<&ImplItemFn>,
    on_part: Option<&ImplItemFn>,
    errors: &mut Errors,
) -> bool {
    let Some(on_part) = on_part else { return false };
    if on_message.is_some() {
        errors.at(&on_part.sig.ident, EITHER);
    }
    on_message.is_none()
}

/// The type of a connection: `()`, unless `on_connect` returns another type, which must then be
/// declared.
fn connection_of(on_connect: &ImplItemFn, errors: &mut Errors) -> Type {
    match accepted_type(&on_connect.sig.output) {
        Some(ty) if !is_unit(ty) && *ty != parse_quote!(Self::Connection) => {
            let name = ty.to_token_stream();
            errors.at(
                ty,
                format!("add `type Connection = {name};`, the type that `on_connect` returns"),
            );
            ty.clone()
        }
        _ => parse_quote!(()),
    }
}

/// The type of an event, which must be declared.
fn event_of(on_event: &ImplItemFn, errors: &mut Errors) -> Type {
    let Some(FnArg::Typed(PatType { ty, .. })) = on_event.sig.inputs.last() else {
        // rustc says what is missing.
        return parse_quote!(::websocket_plugin::NoEvents);
    };
    let name = ty.to_token_stream();
    errors.at(
        ty,
        format!("add `type Event = {name};`, the type that `on_event` gets"),
    );
    (**ty).clone()
}

/// The `T` of `Result<T, ...>`.
fn accepted_type(output: &ReturnType) -> Option<&Type> {
    let ReturnType::Type(_, ty) = output else {
        return None;
    };
    let Type::Path(path) = &**ty else { return None };
    let result = path
        .path
        .segments
        .last()
        .filter(|segment| segment.ident == "Result")?;
    let PathArguments::AngleBracketed(arguments) = &result.arguments else {
        return None;
    };
    match arguments.args.first()? {
        GenericArgument::Type(ty) => Some(ty),
        _ => None,
    }
}

fn is_unit(ty: &Type) -> bool {
    matches!(ty, Type::Tuple(tuple) if tuple.elems.is_empty())
}
