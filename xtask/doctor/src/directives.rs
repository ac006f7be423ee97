//! The directives in configuration files, read as httpd reads them.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The page that describes each directive of the module under its name.
const REFERENCE: &str = include_str!("../../../docs/src/directives.md");

/// The deprecated name of a directive, which has no heading.
const OLD_NAME: &str = "MaxMessageSize";

/// A line of a configuration file that needs the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Use {
    /// The file.
    pub file: PathBuf,
    /// The number of the line, or of the first one if the directive has several.
    pub line: usize,
    /// The directive with its arguments.
    pub text: String,
    /// Whether httpd skips the line if the module is not loaded (`<IfModule mod_websocket.c>`).
    pub is_optional: bool,
}

/// The lines of a file that need the module.
///
/// # Errors
/// The file cannot be read.
pub fn uses(file: &Path) -> Result<Vec<Use>> {
    let bytes = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    Ok(uses_in(file, &String::from_utf8_lossy(&bytes)))
}

fn uses_in(file: &Path, text: &str) -> Vec<Use> {
    let mut sections: Vec<bool> = Vec::new();
    let mut uses = Vec::new();
    for (line, text) in directives(text) {
        let words: Vec<_> = text.split_whitespace().collect();
        let first = words[0].to_ascii_lowercase();
        if ["<ifmodule", "<ifdirective"].contains(&&*first) {
            sections.push(asks_for_module(words.get(1).copied().unwrap_or_default()));
        } else if ["</ifmodule>", "</ifdirective>"].contains(&&*first) {
            sections.pop();
        } else if needs_module(&words) {
            uses.push(Use {
                file: file.to_owned(),
                line,
                is_optional: sections.contains(&true),
                text,
            });
        }
    }
    uses
}

/// The directives and sections of a file, each with the number of its first line. A backslash at
/// the end of a line continues it.
pub(crate) fn directives(text: &str) -> Vec<(usize, String)> {
    let mut directives = Vec::new();
    let mut begun: Option<(usize, String)> = None;
    for (index, line) in text.lines().enumerate() {
        let (number, mut joined) = begun.take().unwrap_or((index + 1, String::new()));
        match line.strip_suffix('\\') {
            Some(part) => {
                joined.push_str(part);
                begun = Some((number, joined));
            }
            None => {
                joined.push_str(line);
                directives.push((number, joined));
            }
        }
    }
    directives.extend(begun);
    let trimmed = directives
        .into_iter()
        .map(|(number, text)| (number, text.trim().to_owned()));
    trimmed
        .filter(|(_, text)| !text.is_empty() && !text.starts_with('#'))
        .collect()
}

fn asks_for_module(condition: &str) -> bool {
    let condition = condition.trim_end_matches('>');
    condition == "mod_websocket.c" || condition == "websocket_module" || is_ours(condition)
}

fn needs_module(words: &[&str]) -> bool {
    let loads = words[0].eq_ignore_ascii_case("LoadModule")
        && words.get(1).is_some_and(|name| *name == "websocket_module");
    loads || is_ours(words[0])
}

fn is_ours(name: &str) -> bool {
    name.eq_ignore_ascii_case(OLD_NAME) || names().any(|it| it.eq_ignore_ascii_case(name))
}

/// The names of the module's directives.
fn names() -> impl Iterator<Item = &'static str> {
    REFERENCE
        .lines()
        .filter_map(|line| line.strip_prefix("## "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_need_the_module_are_found_as_httpd_would() {
        let text = "\
# WebSocketHandler in a comment
LoadModule websocket_module modules/mod_websocket.so
  websockethandler a.so \\
    a_init
<IfModule mod_ssl.c>
MaxMessageSize 5
</IfModule>
<IfModule mod_websocket.c>
  <Location /a>
    WebSocketCompression On
  </Location>
</IfModule>
<IfModule !mod_websocket.c>
ServerName a
</IfModule>
ProxyWebsocketFallbackToProxyHttp On
WebSocketReserve 5%
";
        let found = uses_in(Path::new("a.conf"), text);
        let found: Vec<_> = found
            .iter()
            .map(|it| (it.line, &*it.text, it.is_optional))
            .collect();
        assert_eq!(
            found,
            [
                (
                    2,
                    "LoadModule websocket_module modules/mod_websocket.so",
                    false
                ),
                (3, "websockethandler a.so     a_init", false),
                (6, "MaxMessageSize 5", false),
                (10, "WebSocketCompression On", true),
                (17, "WebSocketReserve 5%", false),
            ]
        );
    }

    #[test]
    fn the_reference_has_the_names() {
        assert!(names().count() > 30);
        assert!(names().all(|name| name.starts_with("WebSocket")));
    }
}
