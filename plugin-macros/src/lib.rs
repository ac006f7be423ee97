//! The attribute `#[websocket_plugin]`. The crate `websocket-plugin` re-exports and documents it.
//!
//! `args` and `plugin` parse the attribute and the item below it, and collect all mistakes.
//! `plugin` has the model, which `expand` turns into tokens. The generated code calls generic code
//! in `websocket_plugin::export`.

mod args;
mod errors;
mod expand;
mod plugin;
mod symbol;

use errors::Errors;
use proc_macro2::TokenStream;

/// See `websocket-plugin` for the documentation, whose examples need that crate.
#[proc_macro_attribute]
pub fn websocket_plugin(
    args: proc_macro::TokenStream,
    item: proc_macro::TokenStream,
) -> proc_macro::TokenStream {
    export(args.into(), item.into()).into()
}

/// Returns the item with the items it leaves out, the export, and an error for every mistake. The
/// item is always part of the result, so that uses of it do not cause more errors.
fn export(args: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let args = args::Args::parse(args, &mut errors);
    let plugin = plugin::Plugin::parse(item, args.is_part, &mut errors);
    if let (Some((_, meta)), false) = (&args.workers, plugin.is_async) {
        errors.at(
            meta,
            "only `impl AsyncPlugin` has a runtime: remove `workers`",
        );
    }
    expand::expand(&plugin, &args, &errors.into_tokens())
}

#[cfg(test)]
mod tests;
