//! Keeps the paths of this machine out of libraries: two builds of a commit are then equal.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Has the compilers that `cargo` runs write other paths for the workspace in `root`, for the
/// target folder `target`, and for the sources of crates.
pub(super) fn neutral_paths(cargo: &mut Command, root: &Path, target: &Path) {
    let mut names = vec![
        (root.to_owned(), "/usr/src/mod_websocket"),
        (target.to_owned(), "/usr/src/mod_websocket/target"),
    ];
    names.extend(cargo_home().map(|home| (home, "/usr/src/cargo")));

    let rust: Vec<_> = names
        .iter()
        .map(|(path, name)| format!("--remap-path-prefix={}={name}", path.display()))
        .collect();
    // In this variable, arguments may contain spaces.
    cargo.env("CARGO_ENCODED_RUSTFLAGS", rust.join("\x1f"));

    let c = names.iter().map(|(path, name)| {
        let argument = format!("-ffile-prefix-map={}={name}", path.display());
        format!("'{}'", argument.replace('\'', r"'\''"))
    });
    cargo.env("CFLAGS", c.collect::<Vec<_>>().join(" "));
    cargo.env("CC_SHELL_ESCAPED_FLAGS", "1");
}

/// The folder with the sources that Cargo has downloaded.
fn cargo_home() -> Option<PathBuf> {
    let named = env::var_os("CARGO_HOME").map(PathBuf::from);
    named.or_else(|| Some(env::home_dir()?.join(".cargo")))
}
