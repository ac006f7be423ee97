//! Packages for Debian and Ubuntu.

mod control;
mod needs;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use tempfile::TempDir;
use xtask::command::{output_of, run};

use self::control::Package;
use super::contents::Contents;
use super::copyright;
use super::item::{self, Item};
use super::release::{Release, SOURCE_DATE_EPOCH};

/// The scripts that dpkg runs: what `dh_apache2` generates, except that Apache is reloaded.
const SCRIPTS: [(&str, &str); 3] = [
    ("postinst", include_str!("../../package/deb/postinst")),
    ("prerm", include_str!("../../package/deb/prerm")),
    ("postrm", include_str!("../../package/deb/postrm")),
];

/// Makes both packages in `folder`.
///
/// # Errors
/// The tools of Debian are missing or fail, or a file cannot be written.
pub(crate) fn make(contents: &Contents, release: &Release, folder: &Path) -> Result<Vec<PathBuf>> {
    let architecture = output_of(Command::new("dpkg").arg("--print-architecture"))
        .context("packages for Debian are made on Debian or Ubuntu")?;
    let module = Package::of_module(architecture, needs::of_files(&contents.module)?);
    let development = Package::of_development();
    Ok(vec![
        build(&module, &contents.module, &SCRIPTS, release, folder)?,
        build(&development, &contents.development, &[], release, folder)?,
    ])
}

fn build(
    package: &Package,
    items: &[Item],
    scripts: &[(&str, &str)],
    release: &Release,
    folder: &Path,
) -> Result<PathBuf> {
    let tree = TempDir::new()?;
    let root = tree.path();
    item::stage(items, root)?;
    item::stage(&policy_files(package, release)?, root)?;

    let files = package_files(root)?;
    let control = control_files(package, items, &files, root, release)?;
    item::stage(&control, root)?;
    for (name, text) in scripts {
        let file = root.join("DEBIAN").join(name);
        fs::write(&file, text)?;
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755))?;
    }

    let name = format!(
        "{}_{}_{}.deb",
        package.name,
        release.with_revision(),
        package.architecture
    );
    let target = folder.join(name);
    run(Command::new("dpkg-deb")
        .args(["--root-owner-group", "-Zxz", "-z1", "--build"])
        .arg(root)
        .arg(&target)
        .env(SOURCE_DATE_EPOCH, release.epoch.to_string())
        .stdout(std::process::Stdio::null()))?;
    Ok(target)
}

/// The files in `root`, relative to it, sorted.
fn package_files(root: &Path) -> Result<Vec<String>> {
    let find = output_of(
        Command::new("find")
            .args([".", "-type", "f", "-printf", "%P\n"])
            .current_dir(root),
    )?;
    let mut files: Vec<_> = find.lines().map(str::to_owned).collect();
    files.sort_unstable();
    Ok(files)
}

/// The files that the policy of Debian asks for.
fn policy_files(package: &Package, release: &Release) -> Result<Vec<Item>> {
    let doc = Path::new("/usr/share/doc").join(package.name);
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let upstream = fs::read(root.join("CHANGELOG.md"))?;
    let changes = format!(
        "mod-websocket ({}) stable; urgency=medium\n\n  \
         * Package of mod_websocket {}, see changelog.gz.\n\n -- {}  {}\n",
        release.with_revision(),
        release.version,
        release.maintainer,
        release.date("-R")?
    );
    let mut files = vec![
        Item::new(doc.join("copyright"), copyright::DEBIAN),
        Item::compressed(doc.join("changelog.gz"), &upstream)?,
        Item::compressed(doc.join("changelog.Debian.gz"), changes.as_bytes())?,
    ];
    if let Some(overrides) = package.lintian_overrides {
        let folder = Path::new("/usr/share/lintian/overrides");
        files.push(Item::new(folder.join(package.name), overrides));
    }
    Ok(files)
}

fn control_files(
    package: &Package,
    items: &[Item],
    files: &[String],
    root: &Path,
    release: &Release,
) -> Result<Vec<Item>> {
    let sums = output_of(
        Command::new("md5sum")
            .arg("--")
            .args(files)
            .current_dir(root),
    )?;
    let mut size = 0;
    for file in files {
        size += root.join(file).metadata()?.len().div_ceil(1024);
    }
    let mut control = vec![
        Item::new("DEBIAN/control", package.control(release, size)),
        Item::new("DEBIAN/md5sums", sums + "\n"),
    ];
    let edited = items.iter().filter(|item| item.is_settings);
    let edited: Vec<_> = edited
        .map(|item| format!("{}\n", item.target.display()))
        .collect();
    if !edited.is_empty() {
        control.push(Item::new("DEBIAN/conffiles", edited.concat()));
    }
    Ok(control)
}
