//! The section of the configuration that names a plugin, and the part of a request's path behind
//! it.

use std::ffi::{CStr, CString, c_char};
use std::fmt;
use std::ptr;

use super::pool::{Pool, bytes};
use super::request::Request;
use super::sys;

/// Where a `WebSocketHandler` stands.
#[derive(Debug)]
pub enum Section {
    /// In a server outside of sections. The whole path lies behind it.
    Server,
    /// In a `<Location>` of this path.
    Location(Vec<u8>),
    /// In a `<LocationMatch>`.
    LocationMatch(Regex),
    /// In a `<Directory>`, or an `.htaccess` file, of this folder.
    Directory(Vec<u8>),
    /// In a `<DirectoryMatch>`.
    DirectoryMatch(Regex),
    /// In a section that names files. httpd itself knows what lies behind these.
    Files,
}

/// A regular expression of httpd's.
#[derive(Debug)]
pub struct Regex {
    compiled: *const sys::ap_regex_t,
    pattern: Box<str>,
}

// SAFETY: the expression is compiled once, and only read afterwards.
unsafe impl Send for Regex {}
// SAFETY: as above.
unsafe impl Sync for Regex {}

impl Regex {
    /// Compiles a pattern. `None` if httpd cannot compile it; httpd refuses the section then, too.
    fn compile(pool: Pool, pattern: &CStr) -> Option<Self> {
        // SAFETY: the pool is live; the result is null or lives as long.
        let regex =
            unsafe { sys::ap_pregcomp(pool.as_ptr(), pattern.as_ptr(), sys::AP_REG_EXTENDED) };
        (!regex.is_null()).then(|| Self {
            compiled: regex,
            pattern: pattern.to_string_lossy().into(),
        })
    }

    /// Where the first match ends.
    fn end_of_match(&self, text: &[u8]) -> Option<usize> {
        let text = CString::new(text).ok()?;
        let mut places = [sys::ap_regmatch_t { rm_so: 0, rm_eo: 0 }];
        // SAFETY: the expression is in the pool of the configuration, which lives as long as
        // requests for that configuration. There is room for one match.
        let result =
            unsafe { sys::ap_regexec(self.compiled, text.as_ptr(), 1, places.as_mut_ptr(), 0) };
        (result == 0).then_some(usize::try_from(places[0].rm_eo).ok()?)
    }
}

impl Section {
    /// The innermost section around a directive that says anything about paths.
    ///
    /// # Safety
    ///
    /// httpd is reading the directive that `parms` is about.
    pub unsafe fn around(parms: &sys::cmd_parms) -> Self {
        // SAFETY: the caller vouches for `parms`: its directive and those around it are a tree that
        // httpd has built, with texts that end with NUL.
        unsafe {
            let pool = Pool::new(parms.pool);
            let mut node = parms
                .directive
                .as_ref()
                .map_or(ptr::null_mut(), |node| node.parent);
            let mut is_parent = true;
            while let Some(section) = node.as_ref() {
                let name = bytes(section.directive).unwrap_or_default();
                let path = if is_parent {
                    parms.path
                } else {
                    ptr::null_mut()
                };
                let arguments = bytes(section.args).unwrap_or_default();
                if let Some(found) = Self::named(pool, name, arguments, bytes(path)) {
                    return found;
                }
                (node, is_parent) = (section.parent, false);
            }
            // The directives of an .htaccess file stand in no section, but have a path.
            let is_htaccess = parms.override_ & (sys::ACCESS_CONF | sys::RSRC_CONF) == 0;
            match bytes(parms.path) {
                Some(folder) if is_htaccess => Self::Directory(folder.to_vec()),
                _ => Self::Server,
            }
        }
    }

    /// The section that begins with `<name arguments`. `path` is what httpd has made of the
    /// arguments.
    fn named(pool: Pool, name: &[u8], arguments: &[u8], path: Option<&[u8]>) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        let (is_match, words) = match arguments.trim_ascii_start() {
            [b'~', rest @ ..] => (true, rest),
            words => (name.ends_with(b"match"), words),
        };
        let path = path.unwrap_or_else(|| first_word(words));
        let regex = || Regex::compile(pool, &CString::new(path).ok()?);
        match &*name {
            b"<location" | b"<locationmatch" if is_match => regex().map(Self::LocationMatch),
            b"<directory" | b"<directorymatch" if is_match => regex().map(Self::DirectoryMatch),
            b"<location" => Some(Self::Location(path.to_vec())),
            b"<directory" => Some(Self::Directory(path.to_vec())),
            b"<files" | b"<filesmatch" => Some(Self::Files),
            _ => None,
        }
    }

    /// A name for counters: the path of a location, or the kind of another section and its
    /// argument.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Server => "server".into(),
            Self::Location(path) => String::from_utf8_lossy(path).into_owned(),
            Self::LocationMatch(regex) => format!("LocationMatch {}", regex.pattern),
            Self::Directory(folder) => format!("Directory {}", String::from_utf8_lossy(folder)),
            Self::DirectoryMatch(regex) => format!("DirectoryMatch {}", regex.pattern),
            Self::Files => "Files".into(),
        }
    }

    /// The part of a request's path that lies behind this section: empty, or beginning with a
    /// slash. The text lives as long as the request. For the handler's thread.
    pub fn path_behind(&self, request: Request) -> *const c_char {
        let uri = request.uri();
        let (path, behind) = match self {
            Self::Server => return request.uri_ptr(),
            Self::Location(location) => (uri.to_vec(), behind(uri, location)),
            Self::LocationMatch(regex) => (uri.to_vec(), behind_match(regex, uri)),
            Self::Directory(folder) => {
                let path = request.whole_filename();
                let start = behind(&path, folder);
                (path, start)
            }
            Self::DirectoryMatch(regex) => {
                let path = request.whole_filename();
                let start = behind_match(regex, &path);
                (path, start)
            }
            Self::Files => return request.path_info_ptr(),
        };
        match behind {
            Some(start) => request.keep(&path[start..]),
            // Another module has changed the path since httpd found that the section applies to it.
            None => request.path_info_ptr(),
        }
    }
}

/// Writes it as an administrator does.
impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, of) = match self {
            Self::Server => return f.write_str("the server"),
            Self::Files => return f.write_str("<Files>"),
            Self::Location(path) => ("Location", String::from_utf8_lossy(path)),
            Self::LocationMatch(regex) => ("LocationMatch", (&*regex.pattern).into()),
            Self::Directory(path) => ("Directory", String::from_utf8_lossy(path)),
            Self::DirectoryMatch(regex) => ("DirectoryMatch", (&*regex.pattern).into()),
        };
        write!(f, "<{name} \"{of}\">")
    }
}

/// The first word of a section's arguments, without its quotes and the bracket behind it.
fn first_word(arguments: &[u8]) -> &[u8] {
    let arguments = arguments.trim_ascii();
    let arguments = arguments
        .strip_suffix(b">")
        .unwrap_or(arguments)
        .trim_ascii();
    match arguments {
        [quote @ (b'"' | b'\''), rest @ ..] => {
            let end = rest.iter().position(|byte| byte == quote);
            &rest[..end.unwrap_or(rest.len())]
        }
        _ => {
            let end = arguments.iter().position(u8::is_ascii_whitespace);
            &arguments[..end.unwrap_or(arguments.len())]
        }
    }
}

/// The position in `path` where the part behind `section` begins. A section with wildcards matches
/// as many parts of a path as it has itself (`*` and `?` do not match slashes).
fn behind(path: &[u8], section: &[u8]) -> Option<usize> {
    let section = section.strip_suffix(b"/").unwrap_or(section);
    let start = if section.iter().any(|byte| b"*?[".contains(byte)) {
        let slashes = section.iter().filter(|byte| **byte == b'/').count();
        let mut ends = path.iter().enumerate().filter(|(_, byte)| **byte == b'/');
        ends.nth(slashes).map_or(path.len(), |(at, _)| at)
    } else {
        path.starts_with(section).then_some(section.len())?
    };
    matches!(path.get(start), None | Some(b'/')).then_some(start)
}

/// Like [`behind`], for a section with a regular expression. If the match ends with a slash, that
/// slash belongs to the part behind.
fn behind_match(regex: &Regex, path: &[u8]) -> Option<usize> {
    let end = regex.end_of_match(path)?;
    let has_slash = end > 0 && path.get(end - 1) == Some(&b'/');
    Some(if has_slash { end - 1 } else { end })
}

#[cfg(test)]
mod tests {
    use super::{behind, first_word};

    #[test]
    fn what_lies_behind_a_section_begins_with_a_slash_or_is_empty() {
        for (path, section, rest) in [
            ("/a/b/deep/lobby", "/a/b/deep", Some("/lobby")),
            ("/a/b/deep/lobby", "/a/b/deep/", Some("/lobby")),
            ("/a/b/deep", "/a/b/deep", Some("")),
            ("/a/b/deep", "/a/b/deep/", Some("")),
            ("/a/b/deep/", "/a/b/deep", Some("/")),
            ("/a/b", "/", Some("/a/b")),
            ("/", "/", Some("/")),
            ("/ab", "/a", None),
            ("/b", "/a", None),
            ("/rooms/7/chat", "/rooms/*/chat", Some("")),
            ("/rooms/7/x/y", "/rooms/?", Some("/x/y")),
            ("/home/me/www/x", "/home/*/www/", Some("/x")),
        ] {
            let start = behind(path.as_bytes(), section.as_bytes());
            assert_eq!(
                start.map(|start| &path[start..]),
                rest,
                "{path} in {section}"
            );
        }
    }

    #[test]
    fn the_first_word_of_a_section_may_be_quoted() {
        for (arguments, word) in [
            ("/a>", "/a"),
            (" /a >", "/a"),
            ("\"/a b\">", "/a b"),
            ("'/a'>", "/a"),
            ("/a", "/a"),
            ("", ""),
        ] {
            assert_eq!(
                first_word(arguments.as_bytes()),
                word.as_bytes(),
                "{arguments}"
            );
        }
    }
}
