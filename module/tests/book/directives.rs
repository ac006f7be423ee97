//! The directive reference has each directive, with the contexts and the default that it has.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use proc_macro2::{Delimiter, TokenStream, TokenTree};
use xtask::book::Page;

use crate::{Source, repository};

const PAGE: &str = "docs/src/directives.md";
const SOURCE: &str = "module/src/entry/directives.rs";

/// The contexts of most directives.
const ANYWHERE: &str = "server config, virtual host, directory, .htaccess";

/// An entry of the module's table.
#[derive(Debug)]
struct Directive {
    name: String,
    help: String,
    /// What the row `Context` may say.
    contexts: &'static [&'static str],
}

impl Directive {
    /// The entry as the source has it, such as `of_server(one(c"NAME", &(set as _), c"HELP"))`.
    fn of(tokens: TokenStream) -> Option<Self> {
        let source = Source::of(tokens);
        let [name, help] = <[String; 2]>::try_from(source.texts.clone()).ok()?;
        let contexts: &[_] = if source.has("of_server") {
            &["server config", "server config, virtual host"]
        } else if source.has("of_configuration") {
            &["server config, virtual host, directory"]
        } else if source.has("of_section") {
            &["directory"]
        } else {
            &[ANYWHERE]
        };
        Some(Self {
            name,
            help,
            contexts,
        })
    }

    /// The default that the help names, as `default 5`, `default 5 MiB` or `Off (default)`.
    fn default(&self) -> Option<String> {
        if let Some((before, _)) = self.help.split_once(" (default)") {
            return Some(before.split(' ').next_back()?.to_owned());
        }
        let mut words = self.help.rsplit_once("default ")?.1.split(' ');
        let value = words.next()?.trim_matches([',', ';', ':']);
        let bytes = value.parse::<u64>().ok().map(|number| number << 20);
        match (words.next(), bytes) {
            (Some("MiB"), Some(bytes)) => Some(bytes.to_string()),
            _ => Some(value.to_owned()),
        }
    }
}

/// The entries of the table, but for old names.
fn table() -> Result<Vec<Directive>> {
    let tokens: TokenStream = fs::read_to_string(repository().join(SOURCE))?
        .parse()
        .ok()
        .context("not Rust")?;
    let mut tokens = tokens.into_iter();
    tokens.find(|token| matches!(token, TokenTree::Ident(name) if name == "TABLE"));
    let table = tokens.find_map(|token| match token {
        TokenTree::Group(group) if group.delimiter() == Delimiter::Parenthesis => Some(group),
        _ => None,
    });
    let table = table.context("no table")?.stream().into_iter();
    let entries = table.last().context("an empty table")?;
    let TokenTree::Group(entries) = entries else {
        anyhow::bail!("no table of entries: {entries}")
    };
    let mut entry = Vec::new();
    let mut directives = Vec::new();
    for token in entries.stream() {
        if matches!(&token, TokenTree::Punct(comma) if comma.as_char() == ',') {
            directives.extend(Directive::of(entry.drain(..).collect()));
        } else {
            entry.push(token);
        }
    }
    directives.retain(|directive| !directive.help.starts_with("Deprecated"));
    Ok(directives)
}

/// The value of a row in the table of a section.
fn row<'s>(section: &'s str, name: &str) -> Option<&'s str> {
    let rows = section.lines().filter_map(|line| line.strip_prefix("| "));
    let mut values = rows.filter_map(|line| line.strip_prefix(name)?.strip_prefix(" | "));
    values.next()?.strip_suffix(" |")
}

fn check(directive: &Directive, section: &str) -> Result<()> {
    let Directive { name, .. } = directive;
    let value = |title| row(section, title).with_context(|| format!("no row {title}"));
    ensure!(value("Syntax")?.starts_with(&format!("`{name} ")));
    ensure!(value("Module")? == "mod_websocket");
    let context = value("Context")?;
    ensure!(directive.contexts.contains(&context), "Context: {context}");
    let expected = (context == ANYWHERE).then_some("AuthConfig");
    ensure!(row(section, "Override") == expected, "Override");
    if let Some(default) = directive.default() {
        let said = value("Default")?;
        let is_said = said.split([' ', '`']).any(|word| word == default);
        ensure!(is_said, "the default is {default}, not {said}");
    }
    Ok(())
}

#[test]
fn each_directive_is_in_the_reference_with_its_contexts_and_its_default() -> Result<()> {
    let page = Page::read(&repository(), PAGE)?;
    let sections = page.text.split("\n## ").skip(1);
    let sections: Vec<_> = sections.filter_map(|text| text.split_once('\n')).collect();
    let table = table()?;
    ensure!(table.len() > 40, "{table:#?}");
    for directive in &table {
        let (_, section) = sections
            .iter()
            .find(|(title, _)| *title == directive.name)
            .with_context(|| format!("no section {}", directive.name))?;
        check(directive, section).with_context(|| directive.name.clone())?;
    }
    for (title, _) in sections {
        let exists = table.iter().any(|directive| directive.name == title);
        ensure!(exists, "there is no {title}");
    }
    Ok(())
}
