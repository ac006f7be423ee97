//! The places that name a plugin, and what to write if there are none.

use std::fs::File;
use std::path::{Path, PathBuf};

use crate::directives::uses;
use crate::finding::Finding;

/// The plugin echo of packages, then of `cargo xtask install`. Those without a `/` at the beginning
/// are below `ServerRoot`.
const ECHOES: [&str; 6] = [
    "/usr/lib/apache2/websocket/echo.so",
    "/usr/lib64/httpd/websocket/echo.so",
    "modules/websocket/echo.so",
    "/usr/lib/apache2/modules/mod_websocket_echo.so",
    "/usr/lib64/httpd/modules/mod_websocket_echo.so",
    "modules/mod_websocket_echo.so",
];

/// Names the lines with a plugin. What this user may not read does not count as missing.
pub(super) fn examine(files: &[PathBuf], server_root: &Path) -> Vec<Finding> {
    if let Some(file) = files.iter().find(|file| File::open(file).is_err()) {
        let text = format!("{} cannot be read, which may name plugins", file.display());
        return vec![Finding::note(text).remedy("Run the doctor as root.")];
    }
    let uses = files.iter().filter_map(|file| uses(file).ok()).flatten();
    let names = |text: &str| {
        let first = text.split_whitespace().next().unwrap_or_default();
        first.eq_ignore_ascii_case("WebSocketHandler")
    };
    let places: Vec<_> = uses
        .filter(|it| names(&it.text))
        .map(|it| Finding::good(format!("{}:{}: {}", it.file.display(), it.line, it.text)))
        .collect();
    if places.is_empty() {
        let wrong = Finding::wrong("no plugin serves any path");
        return vec![wrong.remedy(location(server_root))];
    }
    places
}

/// A section with the plugin echo, wherever that is on this machine.
fn location(server_root: &Path) -> String {
    let is_there = |path: &&str| server_root.join(path).is_file();
    let echo = ECHOES.into_iter().find(is_there).unwrap_or("PATH/echo.so");
    format!(
        "Write into the server or a virtual host:\n  <Location \"/echo\">\n      \
         SetHandler websocket-handler\n      WebSocketHandler {echo} echo_init\n  </Location>"
    )
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_remedy_names_a_plugin_that_exists() {
        let root = tempfile::TempDir::new().unwrap();
        let echo = root.path().join("modules/websocket/echo.so");
        fs::create_dir_all(echo.parent().unwrap()).unwrap();
        fs::write(echo, "").unwrap();
        let advice = location(root.path());
        let (_, plugin) = advice.split_once("WebSocketHandler ").unwrap();
        let plugin = plugin.split(' ').next().unwrap();
        assert!(root.path().join(plugin).is_file(), "{advice}");
    }

    #[test]
    fn what_cannot_be_read_is_not_taken_as_missing() {
        let findings = examine(&["/no/such/file.conf".into()], Path::new("/"));
        let said: Vec<_> = findings.iter().map(ToString::to_string).collect();
        assert!(said.len() == 1 && said[0].starts_with("note"), "{said:?}");
        assert!(said[0].contains("as root"), "{said:?}");
    }
}
