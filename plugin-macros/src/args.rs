//! The attribute's arguments.

use crate::errors::Errors;
use crate::symbol;
use proc_macro2::TokenStream;
use syn::parse::Parser;
use syn::punctuated::Punctuated;
use syn::{Expr, ExprLit, Lit, LitInt, LitStr, Meta, MetaNameValue, Path, Token};

const VALID: &str = "valid are `symbol = \"chat_init\"`, `subprotocols(\"chat.v2\", \"chat.v1\")` \
    and `export = false`; for an `AsyncPlugin` also `workers = 2`";

/// The arguments of the attribute.
#[derive(Default)]
pub(crate) struct Args {
    /// The name of the init function, unless it is derived from the type's name.
    pub(crate) symbol: Option<LitStr>,
    /// The subprotocols to negotiate, in order of preference.
    pub(crate) subprotocols: Vec<LitStr>,
    /// The number of threads of an async plugin's runtime, with the argument.
    pub(crate) workers: Option<(LitInt, Meta)>,
    /// Whether the plugin is part of another one, and so is not exported.
    pub(crate) is_part: bool,
}

impl Args {
    pub(crate) fn parse(tokens: TokenStream, errors: &mut Errors) -> Self {
        let mut args = Self::default();
        match Punctuated::<Meta, Token![,]>::parse_terminated.parse2(tokens) {
            Ok(metas) => {
                let mut seen = Vec::new();
                for meta in metas {
                    args.read(&meta, &mut seen, errors);
                }
                if args.is_part && seen.len() > 1 {
                    errors.at(
                        &seen[0],
                        "a plugin that is not exported takes no other argument",
                    );
                }
            }
            Err(error) => errors.push(syn::Error::new(error.span(), format!("{error}; {VALID}"))),
        }
        args
    }

    fn read(&mut self, meta: &Meta, seen: &mut Vec<Path>, errors: &mut Errors) {
        let path = meta.path();
        if seen.contains(path) {
            return errors.at(path, "this argument occurs twice: remove one");
        }
        seen.push(path.clone());
        if path.is_ident("symbol") {
            self.symbol = read_symbol(meta, errors);
        } else if path.is_ident("subprotocols") {
            self.subprotocols = read_subprotocols(meta, errors);
        } else if path.is_ident("workers") {
            self.workers = read_workers(meta, errors).map(|workers| (workers, meta.clone()));
        } else if path.is_ident("export") {
            self.is_part = is_false(meta, errors);
        } else {
            errors.at(path, format!("unknown argument: {VALID}"));
        }
    }
}

/// Whether the argument is `export = false`. Anything else is a mistake.
fn is_false(meta: &Meta, errors: &mut Errors) -> bool {
    let is_false = matches!(meta, Meta::NameValue(MetaNameValue {
        value: Expr::Lit(ExprLit { lit: Lit::Bool(value), .. }), ..
    }) if !value.value);
    if !is_false {
        errors.at(
            meta,
            "write `export = false`, or leave it out to export the plugin",
        );
    }
    is_false
}

fn read_symbol(meta: &Meta, errors: &mut Errors) -> Option<LitStr> {
    let Meta::NameValue(pair) = meta else {
        errors.at(meta, "`symbol` takes a name: `symbol = \"chat_init\"`");
        return None;
    };
    let Expr::Lit(ExprLit {
        lit: Lit::Str(symbol),
        ..
    }) = &pair.value
    else {
        errors.at(
            &pair.value,
            "the symbol must be a string: `symbol = \"chat_init\"`",
        );
        return None;
    };
    if !symbol::is_c_identifier(&symbol.value()) {
        errors.at(
            symbol,
            "the symbol must be a C identifier, of letters, digits and `_`, and must not be empty or \
             start with a digit: `symbol = \"chat_init\"`",
        );
        return None;
    }
    Some(symbol.clone())
}

/// The most threads that Tokio takes is far more, and every child process has so many.
const MOST_WORKERS: u16 = 1024;

fn read_workers(meta: &Meta, errors: &mut Errors) -> Option<LitInt> {
    if let Meta::NameValue(MetaNameValue {
        value: Expr::Lit(ExprLit {
            lit: Lit::Int(workers),
            ..
        }),
        ..
    }) = meta
        && let Ok(1..=MOST_WORKERS) = workers.base10_parse::<u16>()
    {
        return Some(workers.clone());
    }
    errors.at(
        meta,
        format!("`workers` takes a number of threads from 1 to {MOST_WORKERS}: `workers = 2`"),
    );
    None
}

fn read_subprotocols(meta: &Meta, errors: &mut Errors) -> Vec<LitStr> {
    let Meta::List(list) = meta else {
        errors.at(
            meta,
            "`subprotocols` takes names: `subprotocols(\"chat.v2\", \"chat.v1\")`",
        );
        return Vec::new();
    };
    let parser = Punctuated::<LitStr, Token![,]>::parse_terminated;
    let names: Vec<LitStr> = match list.parse_args_with(parser) {
        Ok(names) => names.into_iter().collect(),
        Err(error) => {
            let message = "subprotocols must be strings: `subprotocols(\"chat.v2\", \"chat.v1\")`";
            errors.push(syn::Error::new(error.span(), message));
            return Vec::new();
        }
    };
    if names.is_empty() {
        errors.at(meta, "name a subprotocol, or remove `subprotocols()`");
    }
    for (index, name) in names.iter().enumerate() {
        if !symbol::is_token(&name.value()) {
            errors.at(
                name,
                "a subprotocol is an HTTP token: letters, digits and any of !#$%&'*+-.^_`|~",
            );
        } else if names[..index].contains(name) {
            errors.at(name, "this subprotocol occurs twice: remove one");
        }
    }
    names
}
