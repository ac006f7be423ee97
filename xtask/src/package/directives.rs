//! The directives, as the reference of the documentation describes them.

use anyhow::{Context, Result};
use xtask::book::Page;
use xtask::workspace::Workspace;

/// A directive.
#[derive(Debug)]
pub(crate) struct Directive {
    /// One line, without formatting.
    pub(crate) description: String,
    pub(crate) syntax: String,
    /// The line that says what applies without the directive, if one does.
    pub(crate) default: Option<String>,
    /// Whether it may stand outside of all sections.
    pub(crate) is_of_server: bool,
}

/// Directives that belong together.
#[derive(Debug)]
pub(crate) struct Theme {
    pub(crate) title: String,
    pub(crate) directives: Vec<Directive>,
}

/// All directives, in the order of the reference's table of contents.
///
/// # Errors
/// The page has another form.
pub(crate) fn themes(workspace: &Workspace) -> Result<Vec<Theme>> {
    let page = Page::read(workspace.root(), "docs/src/directives.md")?;
    parsed(&page.text)
}

fn parsed(page: &str) -> Result<Vec<Theme>> {
    let (contents, _) = page.split_once("\n## ").context("no sections")?;
    let rows = contents.lines().filter_map(|line| {
        let line = line.strip_prefix("| ")?.strip_suffix(" |")?;
        line.split_once(" | ")
    });
    let theme = |(title, links): (&str, &str)| {
        let names = links.split("[`").skip(1);
        let names = names.filter_map(|link| Some(link.split_once('`')?.0));
        let directives: Vec<_> = names
            .map(|name| directive(page, name))
            .collect::<Result<_>>()?;
        let title = title.to_owned();
        Ok(Theme { title, directives })
    };
    rows.map(theme)
        .filter(|theme| theme.as_ref().map_or(true, |it| !it.directives.is_empty()))
        .collect()
}

fn directive(page: &str, name: &str) -> Result<Directive> {
    let (_, section) = page
        .split_once(&format!("\n## {name}\n"))
        .with_context(|| format!("no section about {name}"))?;
    let row = |title: &str| -> Result<String> {
        let start = format!("| {title} | ");
        let line = section.lines().find_map(|line| line.strip_prefix(&*start));
        let value = line.and_then(|line| line.strip_suffix(" |"));
        let value = value.with_context(|| format!("{name} has no row {title}"))?;
        Ok(value.replace('\\', ""))
    };
    let default = row("Default")?;
    let start = format!("`{name} ");
    let default = default
        .strip_prefix(&start)
        .and_then(|it| it.split_once('`'));
    Ok(Directive {
        description: plain(&row("Description")?),
        syntax: plain(&row("Syntax")?),
        default: default.map(|(value, _)| format!("{name} {value}")),
        is_of_server: row("Context")?.contains("server config"),
    })
}

/// The text without formatting and links, in ASCII.
fn plain(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("](") {
        let (start, label) = before.rsplit_once('[').unwrap_or((before, ""));
        plain.push_str(start);
        plain.push_str(label);
        rest = after.split_once(')').map_or("", |(_, after)| after);
    }
    plain.push_str(rest);
    plain.replace('`', "").replace('\u{2026}', "...")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_is_read() {
        let themes = themes(&Workspace::find().unwrap()).unwrap();
        let all = || themes.iter().flat_map(|theme| &theme.directives);
        assert!(themes.len() > 5 && all().count() > 30, "{themes:?}");
        let find = |name: &str| {
            all()
                .find(|it| it.syntax.split(' ').next() == Some(name))
                .unwrap()
        };
        let size = find("WebSocketMaxMessageSize");
        assert_eq!(
            size.description,
            "The longest message that a client may send"
        );
        assert_eq!(size.syntax, "WebSocketMaxMessageSize bytes");
        assert_eq!(
            size.default.as_deref(),
            Some("WebSocketMaxMessageSize 33554432")
        );
        assert!(size.is_of_server);
        assert_eq!(find("WebSocketHandler").default, None);
        assert_eq!(
            find("WebSocketSlowClient").syntax,
            "WebSocketSlowClient Wait|Close"
        );
    }
}
