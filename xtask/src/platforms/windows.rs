//! A plugin for Windows, loaded by a program in C.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;
use xtask::command::{output_of, run};
use xtask::workspace::Workspace;

use super::toolchain::{DEBIAN_RUSTC, STD_SOURCE};
use super::wine::Wine;
use super::{Platform, Toolchain, folder};

/// The program that loads the plugin, and a stand-in for a library that Wine may lack.
const HOST: &str = "plugin-core/tests/windows/host.c";
const RANDOM: &str = "plugin-core/tests/windows/bcryptprimitives.c";

/// Builds the example `echo`, and has it echo a message if Wine can run it.
pub(super) fn try_out(
    platform: Platform,
    workspace: &Workspace,
    toolchain: &Toolchain,
) -> Result<String> {
    let library = build(platform, workspace, toolchain)?;
    let names = init_functions(platform);
    let exported = exports(platform, &library)?;
    for name in names {
        ensure!(
            exported.iter().any(|it| it == name),
            "{} does not export {name}, but {exported:?}",
            library.display()
        );
    }
    let built = format!("{} exports {}", library.display(), names.join(" and "));
    let Some(wine) = Wine::find(platform)? else {
        ensure!(platform == Platform::WindowsX86, "wine64 is missing");
        return Ok(format!(
            "{built}; not run, because the Wine for 32 bits is missing (Debian: `dpkg \
             --add-architecture i386`, then `apt install wine32:i386`)"
        ));
    };
    let place = host(platform, workspace, &library)?;
    let mut said = Vec::new();
    for name in names {
        said.push(wine.run(&["host.exe", "plugin.dll", name], place.path())?);
    }
    Ok(format!("{built}; under Wine: {}", said.join(", ")))
}

/// The names under which a library exports its init function. Microsoft's compiler decorates the
/// names of 32-bit functions, and configurations of the C module have the decorated ones.
fn init_functions(platform: Platform) -> &'static [&'static str] {
    match platform {
        Platform::WindowsX86 => &["echo_init", "_echo_init@0"],
        _ => &["echo_init"],
    }
}

fn build(platform: Platform, workspace: &Workspace, toolchain: &Toolchain) -> Result<PathBuf> {
    let mut build = toolchain.cargo("build", workspace);
    build.args(["-p", "websocket-echo"]);
    let folder = folder(workspace);
    if platform == Platform::WindowsX86 && toolchain.builds_std {
        let objects = startup_objects(platform, &folder)?;
        let flag = format!("-Lnative={}", objects.display());
        build.env("CARGO_TARGET_I686_PC_WINDOWS_GNU_RUSTFLAGS", flag);
    }
    run(&mut build)?;
    Ok(folder
        .join(platform.target())
        .join("debug/websocket_echo.dll"))
}

/// Compiles what stands at the beginning and the end of a library on 32-bit Windows. Cargo does not
/// build it with the standard library.
fn startup_objects(platform: Platform, folder: &Path) -> Result<PathBuf> {
    let place = folder.join("startup");
    fs::create_dir_all(&place)?;
    for name in ["rsbegin", "rsend"] {
        run(Command::new(DEBIAN_RUSTC)
            .env("RUSTC_BOOTSTRAP", "1")
            .args(["--target", platform.target(), "--emit=obj", "-o"])
            .arg(place.join(format!("{name}.o")))
            .arg(format!("{STD_SOURCE}/rtstartup/{name}.rs")))?;
    }
    Ok(place)
}

/// The names that a library exports.
fn exports(platform: Platform, library: &Path) -> Result<Vec<String>> {
    let tables = output_of(
        Command::new(tool(platform, "objdump"))
            .arg("-p")
            .arg(library),
    )?;
    let Some((_, names)) = tables.split_once("[Ordinal/Name Pointer] Table") else {
        bail!("{} exports nothing", library.display());
    };
    let names = names.lines().skip(1).map_while(|line| {
        let (_, name) = line.trim().rsplit_once(' ')?;
        Some(name.to_owned())
    });
    Ok(names.collect())
}

/// A tool of mingw-w64.
fn tool(platform: Platform, name: &str) -> String {
    let machine = match platform {
        Platform::WindowsX86 => "i686",
        _ => "x86_64",
    };
    format!("{machine}-w64-mingw32-{name}")
}

/// A folder with the host, the library, and what it needs of Windows.
fn host(platform: Platform, workspace: &Workspace, library: &Path) -> Result<TempDir> {
    let place = tempfile::tempdir()?;
    let compile = |source: &str, to: &str, options: &[&str]| {
        run(Command::new(tool(platform, "gcc"))
            .args(["-std=c99", "-Wall", "-Wextra", "-Werror", "-I"])
            .arg(workspace.root().join("plugin-core/include"))
            .arg("-o")
            .arg(place.path().join(to))
            .arg(workspace.root().join(source))
            .args(options))
    };
    compile(HOST, "host.exe", &[])?;
    compile(RANDOM, "bcryptprimitives.dll", &["-shared", "-ladvapi32"])?;
    fs::copy(library, place.path().join("plugin.dll")).context("no library")?;
    Ok(place)
}
