//! A plugin for Windows, loaded by a program in C.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use xtask::apache::which;
use xtask::command::{output_of, run};
use xtask::workspace::Workspace;

use super::{DEBIAN_RUSTC, Platform, STD_SOURCE, Toolchain, folder};

/// The program that loads the plugin, and a stand-in for a library that Wine may lack.
const HOST: &str = "plugin-core/tests/windows/host.c";
const RANDOM: &str = "plugin-core/tests/windows/bcryptprimitives.c";

/// The init function of the example, as the library exports it.
const INIT: &str = "echo_init";

/// Builds the example `echo`, and has it echo a message if Wine can run it.
pub(super) fn try_out(
    platform: Platform,
    workspace: &Workspace,
    toolchain: &Toolchain,
) -> Result<String> {
    let folder = folder(workspace);
    let mut build = toolchain.cargo("build", &folder);
    build.args(["-p", "websocket-echo"]);
    if platform == Platform::WindowsX86 && toolchain.builds_std {
        let objects = startup_objects(platform, &folder)?;
        let flag = format!("-Lnative={}", objects.display());
        build.env("CARGO_TARGET_I686_PC_WINDOWS_GNU_RUSTFLAGS", flag);
    }
    run(&mut build)?;
    let library = folder
        .join(platform.target())
        .join("debug/websocket_echo.dll");
    let exports = output_of(
        Command::new(tool(platform, "objdump"))
            .arg("-p")
            .arg(&library),
    )?;
    ensure!(
        exports
            .lines()
            .any(|line| line.ends_with(&format!(" {INIT}"))),
        "{} does not export {INIT}",
        library.display()
    );
    let built = format!("{} exports {INIT}", library.display());
    if platform == Platform::WindowsX86 {
        return Ok(built);
    }
    let said = echo(platform, workspace, &library)?;
    Ok(format!("{built}; under Wine: {said}"))
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

/// A tool of mingw-w64.
fn tool(platform: Platform, name: &str) -> String {
    let machine = match platform {
        Platform::WindowsX86 => "i686",
        _ => "x86_64",
    };
    format!("{machine}-w64-mingw32-{name}")
}

/// Compiles the host, and has the plugin echo a message to it. Returns what the host says.
fn echo(platform: Platform, workspace: &Workspace, library: &Path) -> Result<String> {
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
    fs::copy(library, place.path().join("plugin.dll"))?;
    output_of(
        Command::new(wine()?)
            .args(["host.exe", "plugin.dll", INIT])
            .current_dir(place.path())
            .env("WINEPREFIX", place.path().join("wine"))
            .env("WINEDEBUG", "-all"),
    )
}

/// Debian's package wine64 has no program on the `PATH`.
fn wine() -> Result<PathBuf> {
    let program = which("wine64").or_else(|| {
        let debian = Path::new("/usr/lib/wine/wine64");
        debian.is_file().then(|| debian.to_owned())
    });
    program.with_context(|| format!("no wine64 on {:?}", env::var_os("PATH")))
}
