//! The attribute `#[websocket_plugin]`, documented where it is used: in `websocket-plugin`.
//!
//! `args` and `plugin` read the attribute and what it stands on, and collect all mistakes; the second
//! has the model that `expand` turns into tokens. What the tokens call is generic code in
//! `websocket_plugin::export`.

mod args;
mod errors;
mod expand;
mod plugin;
mod symbol;

use errors::Errors;
use proc_macro2::TokenStream;

/// The documentation is that of `websocket-plugin`, which has what the examples need.
#[proc_macro_attribute]
pub fn websocket_plugin(
    args: proc_macro::TokenStream,
    item: proc_macro::TokenStream,
) -> proc_macro::TokenStream {
    export(args.into(), item.into()).into()
}

/// The item, what it leaves out, the export, and an error for every mistake. The item is always
/// there, so that what refers to it does not give errors, too.
fn export(args: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let args = args::Args::parse(args, &mut errors);
    let plugin = plugin::Plugin::parse(item, args.is_part, &mut errors);
    expand::expand(&plugin, &args, &errors.into_tokens())
}

#[cfg(test)]
mod tests;
