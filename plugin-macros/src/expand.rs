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
        Target::Impl { item, supply } => expand_impl(item, supply, plugin.is_async),
        Target::Other(tokens) => tokens.clone(),
    };
    let attributed = plugin
        .attributed
        .as_ref()
        .map(|(ty, generics)| expand_attributed(ty, generics, plugin.is_async));
    let export = plugin
        .export
        .as_ref()
        .map(|(ty, name)| expand_export(ty, name, args, plugin.is_async));
    quote! {
        #item
        #attributed
        #export
        #errors
    }
}

/// The trait impl that makes the attribute required, and the check that panics unwind.
fn expand_attributed(ty: &Type, generics: &Generics, is_async: bool) -> TokenStream {
    let (parameters, _, conditions) = generics.split_for_impl();
    let attributed = if is_async {
        quote!(AsyncAttributed)
    } else {
        quote!(Attributed)
    };
    quote! {
        #[automatically_derived]
        impl #parameters ::websocket_plugin::export::#attributed for #ty #conditions {}

        #[cfg(panic = "abort")]
        ::core::compile_error!(#ABORTS);
    }
}

/// The impl, with the items that it leaves out. `configure` may return any error type. This refines
/// the trait's signature, which is intended.
fn expand_impl(item: &ItemImpl, supply: &Supply, is_async: bool) -> TokenStream {
    let connection = supply
        .connection
        .as_ref()
        .map(|ty| quote!(type Connection = #ty;));
    let event = supply.event.as_ref().map(|ty| quote!(type Event = #ty;));
    let ty = &*item.self_ty;
    let configure = supply.configure.then(|| configure(ty));
    let on_connect = match supply.on_connect {
        OnConnect::Written => None,
        OnConnect::Accepting => Some(on_connect(
            ty,
            &quote!(::core::result::Result::Ok(())),
            is_async,
        )),
        OnConnect::Missing => Some(on_connect(ty, &quote!(::core::unreachable!()), is_async)),
    };
    let on_message = supply.on_message.then(on_message);
    let mut item = item.clone();
    item.attrs
        .push(syn::parse_quote!(#[allow(refining_impl_trait)]));
    let supplied = [connection, event, configure, on_connect, on_message]
        .into_iter()
        .flatten();
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

fn on_connect(ty: &Type, body: &TokenStream, is_async: bool) -> TokenStream {
    let asyncness = is_async.then(|| quote!(async));
    quote_spanned! {ty.span()=>
        #asyncness fn on_connect(
            &self,
            _: &mut ::websocket_plugin::Handshake<'_>,
        ) -> ::core::result::Result<Self::Connection, ::websocket_plugin::Rejection> {
            #body
        }
    }
}

/// A whole message is one part. Hosts that cannot hand out parts call this.
fn on_message() -> TokenStream {
    quote! {
        const IN_PARTS: bool = true;

        fn on_message(
            &self,
            connection: &mut Self::Connection,
            sender: &::websocket_plugin::Sender,
            message: ::websocket_plugin::Message<'_>,
        ) -> ::core::result::Result<(), ::websocket_plugin::Close> {
            let part = ::core::convert::From::from(message);
            ::websocket_plugin::Plugin::on_part(self, connection, sender, part)
        }
    }
}

fn expand_export(ty: &Type, name: &str, args: &Args, is_async: bool) -> TokenStream {
    let symbol = match &args.symbol {
        Some(symbol) => symbol.clone(),
        None => LitStr::new(&symbol::init_of(name), ty.span()),
    };
    let decorated = symbol::decorated(&symbol.value());
    let subprotocols = &args.subprotocols;
    let (runs, ends) = if is_async {
        let ends = quote!(
            const HAS_RUNTIME: bool = true;

            fn unload() {
                ::websocket_plugin::export::stop::<Self>();
            }

            fn end(patience: ::core::time::Duration) -> usize {
                ::websocket_plugin::export::end::<Self>(patience)
            }

            fn end_ticks(runs: &Self::Runs) {
                runs.end_ticks();
            }

            fn end_handshakes() {
                ::websocket_plugin::export::end_handshakes::<Self>();
            }

            fn kept(served: &::websocket_plugin::export::Served) -> usize {
                served.kept()
            }
        );
        (quote!(::websocket_plugin::export::Async<#ty>), Some(ends))
    } else {
        (ty.to_token_stream(), None)
    };
    let runtime = is_async.then(|| expand_runtime(ty, args));
    quote! {
        const _: () = {
            static SLOT: ::websocket_plugin::export::Slot<#runs> =
                ::websocket_plugin::export::Slot::new(#name);

            #[automatically_derived]
            impl ::websocket_plugin::export::Exported for #ty {
                type Runs = #runs;
                const NAME: &'static str = #name;
                const SUBPROTOCOLS: &'static [&'static str] = &[#(#subprotocols),*];

                fn slot() -> &'static ::websocket_plugin::export::Slot<Self::Runs> {
                    &SLOT
                }

                #ends
            }

            #runtime

            #[unsafe(export_name = #symbol)]
            extern "system" fn init() -> *mut ::websocket_plugin::export::WebSocketPlugin {
                ::websocket_plugin::export::init::<#ty>()
            }

            #[cfg(all(windows, target_arch = "x86"))]
            #[unsafe(export_name = #decorated)]
            extern "C" fn decorated() -> *mut ::websocket_plugin::export::WebSocketPlugin {
                init()
            }
        };
    }
}

/// The place that keeps the runtime of an async plugin.
fn expand_runtime(ty: &Type, args: &Args) -> TokenStream {
    let workers = match &args.workers {
        Some((workers, _)) => quote!(::core::option::Option::Some(#workers)),
        None => quote!(::core::option::Option::None),
    };
    quote! {
        static RUNTIME: ::websocket_plugin::export::Runtime =
            ::websocket_plugin::export::Runtime::new(#workers);

        #[automatically_derived]
        impl ::websocket_plugin::export::AsyncExported for #ty {
            fn runtime() -> &'static ::websocket_plugin::export::Runtime {
                &RUNTIME
            }
        }
    }
}
