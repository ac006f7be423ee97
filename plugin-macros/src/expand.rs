//! Turns the model into tokens. All paths are absolute, and all logic is in the library.

use crate::args::Args;
use crate::plugin::{OnConnect, Plugin, Supply, Target};
use crate::symbol;
use proc_macro2::TokenStream;
use quote::{ToTokens, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Generics, ItemImpl, LitStr, Type};

const ABORTS: &str = "with `panic = \"abort\"`, a panic in this plugin would end the httpd process \
    and all its connections: in Cargo.toml, remove `panic` from the profile this is built with, or \
    write `panic = \"unwind\"`";

pub(crate) fn expand(plugin: &Plugin, args: &Args, errors: &TokenStream) -> TokenStream {
    let item = match &plugin.item {
        Target::Impl { item, supply } => expand_impl(item, supply),
        Target::Other(tokens) => tokens.clone(),
    };
    let attributed = plugin
        .attributed
        .as_ref()
        .map(|(ty, generics)| expand_attributed(ty, generics));
    let export = plugin
        .export
        .as_ref()
        .map(|(ty, name)| expand_export(ty, name, args));
    quote! {
        #item
        #attributed
        #export
        #errors
    }
}

/// The trait impl that makes the attribute required, and the check that panics unwind.
fn expand_attributed(ty: &Type, generics: &Generics) -> TokenStream {
    let (parameters, _, conditions) = generics.split_for_impl();
    quote! {
        #[automatically_derived]
        impl #parameters ::websocket_plugin::export::Attributed for #ty #conditions {}

        #[cfg(panic = "abort")]
        ::core::compile_error!(#ABORTS);
    }
}

/// The impl, with the items that it leaves out. `configure` may return any error type. This refines
/// the trait's signature, which is intended.
fn expand_impl(item: &ItemImpl, supply: &Supply) -> TokenStream {
    let connection = supply
        .connection
        .as_ref()
        .map(|ty| quote!(type Connection = #ty;));
    let ty = &*item.self_ty;
    let configure = supply.configure.then(|| configure(ty));
    let on_connect = match supply.on_connect {
        OnConnect::Written => None,
        OnConnect::Accepting => Some(on_connect(ty, &quote!(::core::result::Result::Ok(())))),
        OnConnect::Missing => Some(on_connect(ty, &quote!(::core::unreachable!()))),
    };
    let mut item = item.clone();
    item.attrs
        .push(syn::parse_quote!(#[allow(refining_impl_trait)]));
    let supplied = [connection, configure, on_connect].into_iter().flatten();
    item.items.extend(supplied.map(syn::ImplItem::Verbatim));
    item.into_token_stream()
}

/// The span makes rustc point at the type if it does not implement `Default`.
fn configure(ty: &Type) -> TokenStream {
    let default = quote_spanned!(ty.span()=> <Self as ::core::default::Default>::default());
    quote! {
        fn configure(
            _: &::websocket_plugin::Options,
        ) -> ::core::result::Result<Self, ::core::convert::Infallible> {
            ::core::result::Result::Ok(#default)
        }
    }
}

fn on_connect(ty: &Type, body: &TokenStream) -> TokenStream {
    quote_spanned! {ty.span()=>
        fn on_connect(
            &self,
            _: &mut ::websocket_plugin::Handshake<'_>,
        ) -> ::core::result::Result<Self::Connection, ::websocket_plugin::Rejection> {
            #body
        }
    }
}

fn expand_export(ty: &Type, name: &str, args: &Args) -> TokenStream {
    let symbol = match &args.symbol {
        Some(symbol) => symbol.clone(),
        None => LitStr::new(&symbol::init_of(name), ty.span()),
    };
    let subprotocols = &args.subprotocols;
    quote! {
        const _: () = {
            static SLOT: ::websocket_plugin::export::Slot<#ty> =
                ::websocket_plugin::export::Slot::new(#name);

            #[automatically_derived]
            impl ::websocket_plugin::export::Exported for #ty {
                const NAME: &'static str = #name;
                const SUBPROTOCOLS: &'static [&'static str] = &[#(#subprotocols),*];

                fn slot() -> &'static ::websocket_plugin::export::Slot<Self> {
                    &SLOT
                }
            }

            #[unsafe(export_name = #symbol)]
            extern "system" fn init() -> *mut ::websocket_plugin::export::WebSocketPlugin {
                ::websocket_plugin::export::init::<#ty>()
            }
        };
    }
}
