//! `cargo xtask debug`.

use std::path::Path;

use anyhow::Result;
use clap::Args;
use xtask::apache::Apache;
use xtask::command::run;

use crate::privileges::Privileges;

#[derive(Args)]
pub(crate) struct Options {
    /// The debugger: gdb, lldb, or any program that takes a command line
    #[arg(default_value = "gdb")]
    debugger: String,
}

/// Debian's configuration needs the variables that apachectl sets, and its folders.
const WITH_DEBIANS_VARIABLES: &str = "\
    . \"$0/envvars\" && mkdir -p \"$APACHE_RUN_DIR\" \"$APACHE_LOCK_DIR\" && exec \"$@\"";

pub(super) fn debug(options: &Options) -> Result<()> {
    let Apache {
        httpd, conf_dir, ..
    } = Apache::find()?;
    let debugger = words(&options.debugger);
    let privileges = Privileges::of_this_user();
    let mut command = if conf_dir.join("envvars").is_file() {
        let mut shell = privileges.command("sh")?;
        shell
            .arg("-c")
            .arg(WITH_DEBIANS_VARIABLES)
            .arg(conf_dir)
            .args(debugger);
        shell
    } else {
        let mut command = privileges.command(debugger[0])?;
        command.args(&debugger[1..]);
        command
    };
    run(command.arg(httpd).arg("-X"))
}

/// The debugger, with the arguments that it needs before the program's command line.
fn words(debugger: &str) -> Vec<&str> {
    match Path::new(debugger)
        .file_name()
        .and_then(|name| name.to_str())
    {
        Some("gdb") => vec![debugger, "--args"],
        Some("lldb") => vec![debugger, "--"],
        _ => vec![debugger],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_debugger_is_told_where_the_program_begins() {
        assert_eq!(words("gdb"), ["gdb", "--args"]);
        assert_eq!(words("/usr/bin/lldb"), ["/usr/bin/lldb", "--"]);
        assert_eq!(words("valgrind"), ["valgrind"]);
    }
}
