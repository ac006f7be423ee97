//! The packages that libraries need, as Debian's own tools find them.

use std::fs;
use std::process::Command;
use std::slice;

use anyhow::{Context, Result};
use tempfile::TempDir;
use xtask::command::output_of;

use super::super::interface;
use super::super::item::{self, Item};

/// The value of `Depends` for the libraries and programs among `items`: what they are linked with,
/// and the interface of httpd that they are built for.
///
/// # Errors
/// `dpkg-shlibdeps` is missing or fails, or httpd's headers are.
pub(crate) fn of_files(items: &[Item]) -> Result<String> {
    let folder = TempDir::new()?;
    let linked: Vec<_> = items
        .iter()
        .filter(|item| item.content.starts_with(b"\x7fELF"))
        .collect();
    for file in &linked {
        item::stage(slice::from_ref(*file), folder.path())?;
    }
    // The tool reads the file of a source package.
    let debian = folder.path().join("debian");
    fs::create_dir(&debian)?;
    fs::write(
        debian.join("control"),
        "Source: mod-websocket\n\nPackage: libapache2-mod-websocket\nArchitecture: any\n",
    )?;
    let mut tool = Command::new("dpkg-shlibdeps");
    tool.args(["-O", "--warnings=0"]).current_dir(folder.path());
    for file in linked {
        let path = file.target.strip_prefix("/").unwrap_or(&file.target);
        tool.arg("-e").arg(path);
    }
    let output = output_of(&mut tool)?;
    let linked = output
        .strip_prefix("shlibs:Depends=")
        .with_context(|| format!("dpkg-shlibdeps says {output}"))?;
    Ok(format!("apache2-api-{}, {linked}", interface::version()?))
}
