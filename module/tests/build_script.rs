//! Which httpd the build is for, and what it says of one that is too old or cannot be found.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;

/// What the build script says when it has accepted a version. The headers here are empty, so they
/// are of no use to it.
const ACCEPTED: &str = "the httpd headers could not be read";

#[test]
fn another_httpd_than_2_4_37_or_later_is_one_error_that_names_both() -> Result<()> {
    for version in ["2.2.34", "2.4.1", "2.4.36", "2.5.1"] {
        let httpd = folder(version)?;
        let expected = format!(
            "the headers are those of httpd {version}; the module needs httpd 2.4, 2.4.37 or later"
        );
        expect_error(&build(&[("APXS", apxs(&httpd))])?, &expected)?;
    }
    for version in ["2.4.37", "2.4.100"] {
        let httpd = folder(version)?;
        expect_error(&build(&[("APXS", apxs(&httpd))])?, ACCEPTED)?;
    }
    Ok(())
}

/// Each httpd here is too old, so the error shows which one it is.
#[test]
fn apxs_is_looked_for_in_the_variable_then_in_the_folder_then_in_the_path() -> Result<()> {
    let [named, in_folder, in_path] = ["2.4.1", "2.4.2", "2.4.3"].map(folder);
    let (named, in_folder, in_path) = (named?, in_folder?, in_path?);
    let variable = ("APXS", apxs(&named));
    let folder = ("APACHE_BINDIR", in_folder.path().to_owned());
    let path = ("PATH", path_with(&in_path)?);
    for (variables, version) in [
        (&[variable, folder.clone(), path.clone()][..], "2.4.1;"),
        (&[folder, path.clone()], "2.4.2;"),
        (&[path], "2.4.3;"),
    ] {
        expect_error(&build(variables)?, &format!("httpd {version}"))?;
    }
    Ok(())
}

#[test]
fn the_apxs_of_another_httpd_is_not_used() -> Result<()> {
    let (empty, in_path) = (TempDir::new()?, folder("2.4.1")?);
    let path = ("PATH", path_with(&in_path)?);
    let variables = [("APACHE_BINDIR", empty.path().to_owned()), path.clone()];
    let expected = format!("APACHE_BINDIR is set to {}, which", empty.path().display());
    expect_error(&build(&variables)?, &expected)?;
    let variables = [("APXS", empty.path().join("apxs")), path];
    expect_error(&build(&variables)?, "APXS is set to ")
}

/// A folder with the `apxs` and the headers of this version.
fn folder(version: &str) -> Result<TempDir> {
    let folder = TempDir::new()?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/build_script/apxs");
    symlink(script, apxs(&folder))?;
    let include = folder.path().join("include");
    fs::create_dir(&include)?;
    for header in ["httpd.h", "apr.h", "apr_buckets.h"] {
        fs::write(include.join(header), "")?;
    }
    let mut numbers = version.split('.');
    let release: String = ["MAJORVERSION", "MINORVERSION", "PATCHLEVEL"]
        .map(|part| {
            let number = numbers.next().unwrap_or_default();
            format!("#define AP_SERVER_{part}_NUMBER {number}\n")
        })
        .concat();
    fs::write(include.join("ap_release.h"), release)?;
    Ok(folder)
}

fn apxs(folder: &TempDir) -> PathBuf {
    folder.path().join("apxs")
}

/// The `PATH`, with this folder before the others.
fn path_with(folder: &TempDir) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").context("there is no PATH")?;
    let folders = std::env::split_paths(&path);
    let all = std::iter::once(folder.path().to_owned()).chain(folders);
    Ok(std::env::join_paths(all)?.into())
}

/// Runs the build script with these variables, in a folder without `wrapper.h`.
fn build(variables: &[(&str, PathBuf)]) -> Result<Output> {
    let folder = TempDir::new()?;
    Ok(Command::new(program()?)
        .env_remove("APXS")
        .env_remove("APACHE_BINDIR")
        .envs(variables.iter().map(|(name, value)| (name, value)))
        .env("OUT_DIR", folder.path())
        .current_dir(&folder)
        .output()?)
}

/// The compiled build script. Cargo keeps one for each set of flags; the last one is up to date.
fn program() -> Result<PathBuf> {
    let output = Path::new(env!("OUT_DIR"));
    let all = output.ancestors().nth(2).context("not in a folder")?;
    let mut programs = Vec::new();
    for package in fs::read_dir(all)? {
        let package = package?;
        let program = package.path().join("build-script-build");
        let is_ours = package
            .file_name()
            .to_string_lossy()
            .starts_with(concat!(env!("CARGO_PKG_NAME"), "-"));
        if is_ours && program.exists() {
            programs.push((program.metadata()?.modified()?, program));
        }
    }
    let newest = programs.into_iter().max();
    newest.map(|(_, program)| program).context("none is there")
}

/// Checks that the build fails with one error, which contains this text.
fn expect_error(output: &Output, text: &str) -> Result<()> {
    let said = String::from_utf8_lossy(&output.stdout);
    let errors: Vec<_> = said
        .lines()
        .filter(|line| line.starts_with("cargo::error="))
        .collect();
    let is_right = !output.status.success() && errors.len() == 1 && errors[0].contains(text);
    ensure!(is_right, "no `{text}` in {said}{output:?}");
    Ok(())
}
