//! What authors of plugins get.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, ensure};
use tempfile::TempDir;
use xtask::command::output_of;
use xtask::workspace::target_dir_of;

use super::made::{development_deb_name, made};
use super::root;

#[test]
fn a_plugin_in_c_is_compiled_with_the_development_package() -> Result<()> {
    let Some(made) = made()? else { return Ok(()) };
    let folder = TempDir::new()?;
    let tree = extracted(&made.join(development_deb_name()), folder.path())?;
    let flags = output_of(
        Command::new("pkg-config")
            .args(["--cflags", "websocket-plugin"])
            .env("PKG_CONFIG_PATH", tree.join("usr/share/pkgconfig"))
            .env("PKG_CONFIG_SYSROOT_DIR", &tree),
    )?;
    let doc = "usr/share/doc/libapache2-mod-websocket-dev/examples/c/echo.c";
    output_of(
        Command::new("cc")
            .args(["-shared", "-fPIC", "-Werror", "-o"])
            .arg(folder.path().join("echo.so"))
            .args(flags.split_whitespace())
            .arg(tree.join(doc)),
    )?;
    Ok(())
}

#[test]
fn a_plugin_in_rust_is_built_with_the_development_package() -> Result<()> {
    let Some(made) = made()? else { return Ok(()) };
    let folder = TempDir::new()?;
    let tree = extracted(&made.join(development_deb_name()), folder.path())?;
    let share = tree.join("usr/share/mod_websocket");
    for kind in ["async", "echo", "json", "topics"] {
        let manifest = share.join("templates").join(kind).join("Cargo.toml");
        let text = fs::read_to_string(&manifest)?;
        let installed = "/usr/share/mod_websocket/crates/plugin-core";
        ensure!(text.contains(installed), "{text}");
        let here = share.join("crates/plugin-core");
        fs::write(
            &manifest,
            text.replace(installed, &here.display().to_string()),
        )?;
    }
    output_of(
        Command::new(env!("CARGO"))
            // With the versions that the template brings along.
            .args(["check", "--quiet", "--offline"])
            .current_dir(share.join("templates/echo"))
            .env("CARGO_TARGET_DIR", target_dir_of(root())?),
    )?;
    Ok(())
}

/// The files of a package of Debian, in a folder below `folder`.
fn extracted(package: &Path, folder: &Path) -> Result<PathBuf> {
    let tree = folder.join("tree");
    output_of(Command::new("dpkg-deb").arg("-x").arg(package).arg(&tree))?;
    Ok(tree)
}
