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

#[cfg(test)]
mod tests {
    use std::fs;

    use anyhow::{Result, ensure};

    use super::*;
    use crate::command::output_of;
    use crate::workspace::cargo_program;

    const MANIFEST: &str = "\
[package]
name = \"it\"
edition = \"2024\"
[lib]
crate-type = [\"cdylib\"]
[profile.release]
debug = \"line-tables-only\"
[workspace]
";

    const CODE: &str = "\
#[unsafe(no_mangle)]
pub extern \"C\" fn it(number: usize) -> usize {
    assert!(number > 1, \"a panic has the path of its file\");
    env!(\"CARGO_PKG_NAME\").len() / number
}
";

    /// The library of a package in `folder`.
    fn library(folder: &Path) -> Result<Vec<u8>> {
        fs::create_dir_all(folder.join("src"))?;
        fs::write(folder.join("Cargo.toml"), MANIFEST)?;
        fs::write(folder.join("src/lib.rs"), CODE)?;
        let target = folder.join("target");
        let mut cargo = Command::new(cargo_program());
        cargo
            .args(["build", "--release", "--quiet", "--offline"])
            .current_dir(folder)
            .env("CARGO_TARGET_DIR", &target);
        neutral_paths(&mut cargo, folder, &target);
        output_of(&mut cargo)?;
        Ok(fs::read(target.join("release/libit.so"))?)
    }

    #[test]
    fn builds_in_two_folders_are_equal() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let one = library(&folder.path().join("one"))?;
        let other = library(&folder.path().join("a folder elsewhere"))?;
        ensure!(one == other);
        let text = String::from_utf8_lossy(&one);
        ensure!(text.contains("/usr/src/mod_websocket"));
        Ok(())
    }
}
