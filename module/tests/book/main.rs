//! What the pages of the book say of the module, compared with its source.

mod directives;
mod log_lines;

use std::path::{Path, PathBuf};

use proc_macro2::{TokenStream, TokenTree};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// What stands in a piece of source.
#[derive(Default)]
struct Source {
    names: Vec<String>,
    texts: Vec<String>,
}

impl Source {
    fn of(tokens: TokenStream) -> Self {
        let mut source = Self::default();
        source.add(tokens);
        source
    }

    fn add(&mut self, tokens: TokenStream) {
        for token in tokens {
            match token {
                TokenTree::Group(group) => self.add(group.stream()),
                TokenTree::Ident(name) => self.names.push(name.to_string()),
                TokenTree::Literal(literal) => {
                    // A C string is a text, too.
                    let literal = literal.to_string();
                    let text = literal.strip_prefix('c').unwrap_or(&literal);
                    let text = syn::parse_str::<syn::LitStr>(text);
                    self.texts.extend(text.ok().map(|text| text.value()));
                }
                TokenTree::Punct(_) => {}
            }
        }
    }

    fn has(&self, name: &str) -> bool {
        self.names.iter().any(|other| other == name)
    }
}
