//! The page on troubleshooting has each warning and error that the module logs, and no others.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use proc_macro2::{Delimiter, TokenStream, TokenTree};
use xtask::book::Page;

use crate::{Source, repository};

const PAGE: &str = "docs/src/troubleshooting.md";

/// Functions that log what they get as a warning or an error.
const LOGGING: [&str; 3] = ["complain", "log_seldom", "warn"];

/// The fewest words of a text that is a line of its own.
const WORDS: usize = 6;

/// The texts on the page, without what differs from one time to the other.
fn texts_on_page() -> Result<Vec<String>> {
    let page = Page::read(&repository(), PAGE)?;
    let rows = page.text.lines().filter(|line| line.starts_with("| `"));
    let first = rows.filter_map(|row| row.split(" | ").next());
    let quoted = first.flat_map(|cell| cell.split('`').skip(1).step_by(2));
    let parts = quoted.flat_map(|line| line.split('…'));
    // The word in parentheses is the cause of a refusal.
    let parts = parts.map(|part| part.split_once("): ").map_or(part, |(_, rest)| rest));
    let parts = parts.map(|part| part.trim_matches([' ', '\'', ':']));
    let texts = parts.filter(|part| part.len() >= 8 && !part.starts_with('('));
    Ok(texts.map(str::to_owned).collect())
}

/// Whether a function may log a warning or an error.
fn logs(body: &Source) -> bool {
    let has_level = body.has("Level") && (body.has("Warning") || body.has("Error"));
    has_level || LOGGING.iter().any(|name| body.has(name))
}

/// The bodies of the functions of a file, without its tests.
fn bodies(tokens: TokenStream, into: &mut Vec<Source>) {
    let (mut is_function, mut is_test, mut before) = (false, false, String::new());
    for token in tokens {
        match token {
            TokenTree::Ident(name) => {
                let name = name.to_string();
                is_function |= name == "fn";
                is_test |= before == "mod" && name == "tests";
                before = name;
            }
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => {
                if is_function {
                    into.push(Source::of(group.stream()));
                } else if !is_test {
                    bodies(group.stream(), into);
                }
                (is_function, is_test) = (false, false);
            }
            TokenTree::Punct(end) if end.as_char() == ';' => is_function = false,
            _ => {}
        }
    }
}

fn sources(folder: &Path, into: &mut Vec<PathBuf>) -> Result<()> {
    for entry in folder.read_dir()? {
        let path = entry?.path();
        if path.is_dir() {
            sources(&path, into)?;
        } else if path.extension().is_some_and(|it| it == "rs") && !path.ends_with("tests.rs") {
            into.push(path);
        }
    }
    Ok(())
}

/// The source files in a folder of the repository.
fn files(folder: &str) -> Result<Vec<(PathBuf, TokenStream)>> {
    let mut paths = Vec::new();
    sources(&repository().join(folder), &mut paths)?;
    let parse = |path: PathBuf| {
        let tokens = fs::read_to_string(&path)?.parse().ok();
        let tokens = tokens.with_context(|| format!("not Rust: {}", path.display()))?;
        Ok((path, tokens))
    };
    paths.into_iter().map(parse).collect()
}

#[test]
fn each_text_on_the_page_is_in_the_source() -> Result<()> {
    let mut texts = Vec::new();
    for folder in ["module/src", "plugin-core/src"] {
        for (_, tokens) in files(folder)? {
            texts.extend(Source::of(tokens).texts);
        }
    }
    let page = texts_on_page()?;
    ensure!(page.len() > 50, "{page:?}");
    let is_said = |part: &&String| texts.iter().any(|text| text.contains(&**part));
    let gone: Vec<_> = page.iter().filter(|part| !is_said(part)).collect();
    ensure!(gone.is_empty(), "{PAGE} has {gone:#?}");
    Ok(())
}

#[test]
fn each_warning_and_error_of_the_module_is_on_the_page() -> Result<()> {
    let page = texts_on_page()?;
    let (mut count, mut missing) = (0, Vec::new());
    for (file, tokens) in files("module/src")? {
        let mut found = Vec::new();
        bodies(tokens, &mut found);
        for body in found.iter().filter(|body| logs(body)) {
            let texts = body.texts.iter();
            for text in texts.filter(|text| text.split_whitespace().count() >= WORDS) {
                count += 1;
                let is_on_page = page
                    .iter()
                    .any(|part| part.contains(' ') && text.contains(&**part));
                if !is_on_page {
                    missing.push(format!("{}: {text}", file.display()));
                }
            }
        }
    }
    ensure!(count > 40, "{count}");
    ensure!(
        missing.is_empty(),
        "add these to {PAGE}, with cause and remedy: {missing:#?}"
    );
    Ok(())
}
