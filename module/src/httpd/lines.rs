//! The server's configuration as the administrator wrote it: its lines, and the sections around
//! them.
//!
//! Some mistakes show only here: directives of other modules set the handler that a
//! `WebSocketHandler` needs, and an origin policy may stand far from its list of origins.

use super::pool::bytes;
use super::sys;

/// A directive of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The address of httpd's record of it, which identifies it. Never dereferenced.
    pub id: usize,
    /// In lower case.
    pub name: String,
    pub arguments: String,
    /// `FILE:LINE`.
    pub place: String,
    pub scope: Scope,
}

impl Line {
    pub fn is(&self, name: &str) -> bool {
        self.name == name
    }

    /// Whether the arguments contain `word`, in any case.
    pub fn mentions(&self, word: &str) -> bool {
        self.arguments.to_ascii_lowercase().contains(word)
    }

    /// Whether its meaning is only known when it is read (`${...}`), or for each request (`expr=`).
    pub fn is_computed(&self) -> bool {
        self.arguments.contains("${") || self.mentions("expr=")
    }
}

/// The requests that a line applies to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// The `<VirtualHost>` around it, if any.
    pub host: Option<usize>,
    area: Area,
    /// The innermost section around it, as it is written.
    pub section: Option<String>,
    /// All sections around it, the outermost first: name and arguments, in lower case.
    pub around: Vec<String>,
}

/// Which requests of a host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Area {
    /// All of them, or those that meet conditions which are not examined here.
    #[default]
    Any,
    /// Those whose URL path begins with this.
    Location(String),
    /// Those for files below this folder.
    Directory(String),
}

impl Scope {
    /// Whether one request may be in both scopes. The answer is yes if that cannot be told.
    pub fn may_meet(&self, other: &Self) -> bool {
        let hosts = match (self.host, other.host) {
            (Some(one), Some(other)) => one == other,
            _ => true, // hosts inherit the sections of the main server
        };
        let areas = match (&self.area, &other.area) {
            (Area::Location(one), Area::Location(other))
            | (Area::Directory(one), Area::Directory(other)) => {
                is_below(one, other) || is_below(other, one)
            }
            _ => true,
        };
        hosts && areas
    }

    /// Whether both scopes are locations, and one lies in the other. Patterns are not examined.
    pub fn shares_location(&self, other: &Self) -> bool {
        let are_locations = matches!(
            (&self.area, &other.area),
            (Area::Location(_), Area::Location(_))
        );
        are_locations && self.may_meet(other)
    }

    /// The scope inside the section that begins with this line. `name` is the line's name as it is
    /// written.
    fn inner(&self, section: &Line, name: &str) -> Self {
        let title = section.arguments.trim_end_matches('>').trim();
        let mut inner = self.clone();
        inner.section = Some(format!("{name} {title}>"));
        let title_in_lower_case = title.to_ascii_lowercase();
        let around = format!("{} {title_in_lower_case}", section.name);
        inner.around.push(around);
        match &*section.name {
            "<virtualhost" => inner.host = Some(section.id),
            "<location" => inner.area = plain(title).map_or(Area::Any, Area::Location),
            "<directory" => inner.area = plain(title).map_or(Area::Any, Area::Directory),
            "<locationmatch" | "<directorymatch" => inner.area = Area::Any,
            _ => {} // narrower than the section around it
        }
        inner
    }
}

fn is_below(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The path of a section, without a slash at its end; `None` if it is a pattern.
fn plain(title: &str) -> Option<String> {
    let path = title.trim_matches(['"', '\'']);
    let is_pattern = path.contains(['~', '*', '?', '[', '$', '%', '\\']);
    (!is_pattern).then(|| path.trim_end_matches('/').to_owned())
}

/// All lines of the configuration, outer ones first. For the thread that reads the configuration,
/// when it has read all of it.
pub fn all() -> Vec<Line> {
    let mut lines = Vec::new();
    // SAFETY: the caller is the thread that reads the configuration. httpd keeps the tree until it
    // reads another configuration.
    unsafe { collect(sys::ap_conftree, &Scope::default(), &mut lines) };
    lines
}

/// Adds the lines from `node` on, and those in their sections.
///
/// # Safety
///
/// `node` is null or a node of httpd's tree, whose texts are strings.
unsafe fn collect(mut node: *const sys::ap_directive_t, scope: &Scope, lines: &mut Vec<Line>) {
    // SAFETY: the caller vouches for the tree.
    unsafe {
        while let Some(directive) = node.as_ref() {
            let name = text(directive.directive);
            let line = Line {
                id: node.addr(),
                name: name.to_ascii_lowercase(),
                arguments: text(directive.args),
                place: place(directive),
                scope: scope.clone(),
            };
            let inner = scope.inner(&line, &name);
            lines.push(line);
            collect(directive.first_child, &inner, lines);
            node = directive.next;
        }
    }
}

/// Where a directive stands, as `FILE:LINE`.
///
/// # Safety
///
/// The directive's file name is null or a string.
pub unsafe fn place(directive: &sys::ap_directive_t) -> String {
    // SAFETY: the caller vouches for the name.
    let file = unsafe { text(directive.filename) };
    format!("{file}:{}", directive.line_num)
}

/// # Safety
///
/// `pointer` is null or a string.
unsafe fn text(pointer: *const std::ffi::c_char) -> String {
    // SAFETY: the caller vouches for the pointer.
    let text = unsafe { bytes(pointer) }.unwrap_or_default();
    String::from_utf8_lossy(text).into_owned()
}

#[cfg(test)]
pub mod tests {
    use super::{Line, Scope};

    /// Reads lines as httpd would, but without its quoting rules. Line N is at `conf:N`.
    pub fn read(config: &str) -> Vec<Line> {
        let mut scopes = vec![Scope::default()];
        let mut lines = Vec::new();
        for (index, text) in config.lines().enumerate() {
            let (name, arguments) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
            if name.starts_with("</") {
                scopes.pop();
                continue;
            }
            let line = Line {
                id: index + 1,
                name: name.to_ascii_lowercase(),
                arguments: arguments.to_owned(),
                place: format!("conf:{}", index + 1),
                scope: scopes.last().unwrap().clone(),
            };
            if name.starts_with('<') {
                scopes.push(line.scope.inner(&line, name));
            }
            lines.push(line);
        }
        lines
    }

    #[test]
    fn sections_that_no_request_is_in_at_once_do_not_meet() {
        for (one, other, meet) in [
            ("<Location /a>", "<Location /a/b>", true),
            ("<Location \"/a/\">", "<Location /a>", true),
            ("<Location />", "<Location /b>", true),
            ("<Location /a>", "<Location /ab>", false),
            ("<Location /a>", "<Location /b>", false),
            ("<Location /a>", "<Location ~ \"^/b\">", true),
            ("<Location /a>", "<Location /*/x>", true),
            ("<Location /a>", "<Location ${B}>", true),
            ("<Location /a>", "<LocationMatch ^/b>", true),
            ("<Location /a>", "<Directory /srv>", true),
            ("<Directory /srv/a>", "<Directory /srv/b>", false),
            ("<Directory /srv/a>", "<Directory /srv>", true),
            ("<Directory /srv/a>", "<Files x>", true),
            ("<VirtualHost *:80>", "<Location /a>", true),
            ("<VirtualHost *:80>", "<VirtualHost *:81>", false),
        ] {
            let inside = |section: &str| {
                let name = section[1..].split([' ', '>']).next().unwrap();
                format!("{section}\nMark\n</{name}>\n")
            };
            let lines = read(&(inside(one) + &inside(other)));
            let marks: Vec<_> = lines.iter().filter(|line| line.is("mark")).collect();
            assert_eq!(
                marks[0].scope.may_meet(&marks[1].scope),
                meet,
                "{one} {other}"
            );
            assert_eq!(
                marks[1].scope.may_meet(&marks[0].scope),
                meet,
                "{one} {other}"
            );
        }
    }
}
