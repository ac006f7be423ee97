//! Compiles plugins in C and C++.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::apache::Apache;
use crate::command::run;

/// Compiles the plugin `source` to `out_dir/NAME.so`, with warnings as errors, and returns the
/// absolute path of the library. `include_dir` contains `websocket_plugin.h`. The headers of httpd
/// and APR are available, too. A source `NAME.cpp` is C++, and only its exports are visible.
///
/// # Errors
/// Apache or the compiler is missing (`CC`, else `cc`; `CXX`, else `c++`), or the compilation
/// fails.
pub fn compile(
    source: impl AsRef<Path>,
    out_dir: impl AsRef<Path>,
    include_dir: impl AsRef<Path>,
) -> Result<PathBuf> {
    let source = source.as_ref();
    let name = source
        .file_stem()
        .with_context(|| format!("{} is not a file", source.display()))?;
    fs::create_dir_all(&out_dir)
        .with_context(|| format!("cannot create {}", out_dir.as_ref().display()))?;
    let library = out_dir
        .as_ref()
        .canonicalize()?
        .join(name)
        .with_added_extension("so");
    let new = library.with_added_extension("new");

    let apache = Apache::find()?;
    run(compiler(source)
        .args([
            "-shared", "-fPIC", "-O2", "-Wall", "-Wextra", "-Werror", "-pthread",
        ])
        .args(["-D_GNU_SOURCE"]) // APR's headers need off64_t
        .arg("-I")
        .arg(include_dir.as_ref())
        // As system headers, so that their warnings do not fail the compilation.
        .arg("-isystem")
        .arg(&apache.include_dir)
        .arg("-isystem")
        .arg(&apache.apr_include_dir)
        .arg("-o")
        .arg(&new)
        .arg(source))?;
    // In one step: a running httpd may have the old library mapped, or load it at any moment.
    fs::rename(new, &library)?;
    Ok(library)
}

fn compiler(source: &Path) -> Command {
    let is_cpp = source
        .extension()
        .is_some_and(|extension| extension == "cpp");
    let (variable, default) = if is_cpp { ("CXX", "c++") } else { ("CC", "cc") };
    let mut compiler = Command::new(env::var_os(variable).unwrap_or_else(|| default.into()));
    if is_cpp {
        compiler.arg("-fvisibility=hidden");
    }
    compiler
}
