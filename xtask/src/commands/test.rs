//! `cargo xtask test`.

use anyhow::Result;
use clap::Args;
use xtask::command::run;
use xtask::server_root::{Mpm, TEST_MPMS};
use xtask::workspace::Workspace;

use crate::fuzz::Fuzzer;
use crate::packages;
#[cfg(target_os = "linux")]
use crate::sanitizer::use_address_sanitizer;

/// The duration of the fuzz targets in the tests, enough for easy finds. `cargo xtask fuzz`
/// searches longer.
const FUZZ_SECONDS: u32 = 20;

#[derive(Args)]
pub(crate) struct Options {
    /// Test only this MPM; may be repeated [default: all three]
    #[arg(long, value_enum)]
    mpm: Vec<Mpm>,
    /// Run only the tests against httpd, with the module built with AddressSanitizer
    #[cfg(target_os = "linux")]
    #[arg(long)]
    asan: bool,
    /// Arguments for `cargo test --workspace --all-features`; with arguments, the fuzz targets do
    /// not run
    #[arg(last = true, value_name = "CARGO TEST ARGUMENTS")]
    cargo_test_arguments: Vec<String>,
}

pub(super) fn test(options: &Options) -> Result<()> {
    packages::install_missing()?;
    packages::install_python_if_possible();
    packages::install_more_in_ci()?;
    packages::install_browser()?;
    let workspace = Workspace::find()?;
    // The tests make httpd load these libraries. `cargo test` alone does not build all of them.
    run(workspace
        .cargo()
        .args(["build", "--workspace", "--lib"])
        .args(profile(&options.cargo_test_arguments)))?;

    let mut cargo_test = workspace.cargo();
    cargo_test.args(["test", "--workspace", "--all-features"]);
    #[cfg(target_os = "linux")]
    if options.asan {
        use_address_sanitizer(&workspace, &mut cargo_test)?;
        cargo_test.args(["--package", "mod_websocket", "--test", "httpd"]);
    }
    cargo_test.args(&options.cargo_test_arguments);
    if !options.mpm.is_empty() {
        let names: Vec<_> = options.mpm.iter().map(|mpm| mpm.name()).collect();
        cargo_test.env(TEST_MPMS, names.join(","));
    }
    run(&mut cargo_test)?;
    #[cfg(target_os = "linux")]
    if options.asan {
        return Ok(());
    }
    if options.cargo_test_arguments.is_empty() {
        Fuzzer::build(&workspace, &[])?.run(FUZZ_SECONDS)?;
    }
    Ok(())
}

/// The arguments that select the profile. The libraries must be built with the same profile.
fn profile(arguments: &[String]) -> Option<&str> {
    arguments
        .iter()
        .map(String::as_str)
        .take_while(|argument| *argument != "--")
        .find(|argument| ["-r", "--release"].contains(argument))
}

#[cfg(test)]
mod tests {
    use super::profile;

    #[test]
    fn the_libraries_are_built_with_the_profile_of_the_tests() {
        let chosen = |line: &str| {
            let arguments: Vec<_> = line.split(' ').map(str::to_owned).collect();
            profile(&arguments).map(str::to_owned)
        };
        assert_eq!(
            chosen("--test httpd --release"),
            Some("--release".to_owned())
        );
        assert_eq!(chosen("-r"), Some("-r".to_owned()));
        assert_eq!(chosen("--test httpd -- -r"), None);
    }
}
