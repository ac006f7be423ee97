//! A page of Markdown: its links, its headings and its blocks of code.

use std::collections::HashMap;
use std::fs;
use std::ops::Range;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result};
use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

/// A page of the documentation.
#[derive(Debug)]
pub struct Page {
    /// The file, relative to the root of the repository.
    pub path: PathBuf,
    /// Its content.
    pub text: String,
}

/// A link or picture on a page.
#[derive(Debug)]
pub struct Link {
    /// Where it leads, as the page has it.
    pub destination: String,
    /// Its bytes in the text of the page.
    pub range: Range<usize>,
}

/// A fenced block of code.
#[derive(Debug)]
pub struct Block {
    /// The first word behind the fence, such as `rust`; empty if there is none.
    pub language: String,
    /// What follows that word, such as `ignore` behind `rust,`.
    pub attributes: String,
    /// The lines of the block.
    pub code: String,
    /// The line of the page on which the block begins, counted from 1.
    pub line: usize,
}

impl Page {
    /// Reads the page at `path`, which is relative to `root`.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn read(root: &Path, path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        let text = fs::read_to_string(root.join(&path))
            .with_context(|| format!("cannot read {}", path.display()))?;
        Ok(Self { path, text })
    }

    fn parser(&self) -> Parser<'_> {
        Parser::new_ext(&self.text, Options::ENABLE_TABLES)
    }

    /// All links and pictures of the page, in order.
    #[must_use]
    pub fn links(&self) -> Vec<Link> {
        let events = self.parser().into_offset_iter();
        let links = events.filter_map(|(event, range)| match event {
            Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => Some(Link {
                destination: dest_url.into_string(),
                range,
            }),
            _ => None,
        });
        links.collect()
    }

    /// The file that a link leads to, relative to the root of the repository, and the anchor in it.
    /// `None` if the link leaves the repository.
    #[must_use]
    pub fn target(&self, link: &Link) -> Option<(PathBuf, Option<String>)> {
        let destination = &link.destination;
        if destination.contains("://") || destination.starts_with("mailto:") {
            return None;
        }
        let (path, anchor) = match destination.split_once('#') {
            Some((path, anchor)) => (path, Some(anchor.to_owned())),
            None => (&**destination, None),
        };
        if path.is_empty() {
            return Some((self.path.clone(), anchor));
        }
        let folder = self.path.parent().unwrap_or(Path::new(""));
        Some((normalized(&folder.join(path))?, anchor))
    }

    /// The anchors of the headings, as GitHub and mdBook name them.
    #[must_use]
    pub fn anchors(&self) -> Vec<String> {
        let mut seen: HashMap<String, usize> = HashMap::new();
        let mut anchors = Vec::new();
        let mut heading = None;
        for event in self.parser() {
            match event {
                Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
                Event::Text(text) | Event::Code(text) => {
                    if let Some(heading) = &mut heading {
                        heading.push_str(&text);
                    }
                }
                Event::End(TagEnd::Heading(_)) => {
                    let anchor = anchor_of(&heading.take().unwrap_or_default());
                    let count = seen.entry(anchor.clone()).or_default();
                    anchors.push(match *count {
                        0 => anchor,
                        count => format!("{anchor}-{count}"),
                    });
                    *count += 1;
                }
                _ => {}
            }
        }
        anchors
    }

    /// The blocks of code with a fence.
    #[must_use]
    pub fn blocks(&self) -> Vec<Block> {
        let mut blocks: Vec<Block> = Vec::new();
        let mut is_inside = false;
        for (event, range) in self.parser().into_offset_iter() {
            match event {
                Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(info))) => {
                    let (language, attributes) =
                        info.split_once([',', ' ']).unwrap_or((&*info, ""));
                    is_inside = true;
                    blocks.push(Block {
                        language: language.to_owned(),
                        attributes: attributes.trim().to_owned(),
                        code: String::new(),
                        line: self.text[..range.start].matches('\n').count() + 1,
                    });
                }
                Event::Text(text) if is_inside => {
                    if let Some(block) = blocks.last_mut() {
                        block.code.push_str(&text);
                    }
                }
                Event::End(TagEnd::CodeBlock) => is_inside = false,
                _ => {}
            }
        }
        blocks
    }
}

/// `path` without `.` and `..`. `None` if it leads out of the repository.
fn normalized(path: &Path) -> Option<PathBuf> {
    let mut normalized = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => normalized.push(name),
            Component::CurDir => {}
            Component::ParentDir if normalized.pop() => {}
            _ => return None,
        }
    }
    Some(normalized)
}

fn anchor_of(heading: &str) -> String {
    let kept = heading.chars().filter_map(|c| match c {
        ' ' => Some('-'),
        '-' | '_' => Some(c),
        c => c.is_alphanumeric().then_some(c),
    });
    kept.flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(path: &str, text: &str) -> Page {
        Page {
            path: path.into(),
            text: text.into(),
        }
    }

    #[test]
    fn headings_have_the_anchors_that_github_gives_them() {
        let text = "# Try it\n## `probe=ready`, and HTTP/2\n## Try it\n```\n# no heading\n```\n";
        let anchors = page("README.md", text).anchors();
        assert_eq!(anchors, ["try-it", "probeready-and-http2", "try-it-1"]);
    }

    #[test]
    fn links_are_resolved_from_the_folder_of_their_page() {
        let text = "[a](b.md#c) ![d](../e.png) <http://f> [g](#h) [i](../../../j) `[k](l)`";
        let page = page("docs/src/page.md", text);
        let targets: Vec<_> = page.links().iter().map(|link| page.target(link)).collect();
        let target = |path: &str, anchor: Option<&str>| Some((path.into(), anchor.map(Into::into)));
        assert_eq!(
            targets,
            [
                target("docs/src/b.md", Some("c")),
                target("docs/e.png", None),
                None,
                target("docs/src/page.md", Some("h")),
                None,
            ]
        );
    }

    #[test]
    fn blocks_have_their_language_their_lines_and_their_place() {
        let text = "# A\n\n```rust,ignore\nlet a;\n\nlet b;\n```\n\n* c\n\n  ```sh parsed: e f\n  d\n  ```\n";
        let blocks = page("README.md", text).blocks();
        let blocks: Vec<_> = blocks
            .iter()
            .map(|it| (&*it.language, &*it.attributes, &*it.code, it.line))
            .collect();
        assert_eq!(
            blocks,
            [
                ("rust", "ignore", "let a;\n\nlet b;\n", 3),
                ("sh", "parsed: e f", "d\n", 11)
            ]
        );
    }
}
