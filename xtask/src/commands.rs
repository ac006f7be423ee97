//! The commands, one file each.

mod autobahn;
#[cfg(target_os = "linux")]
mod bench;
mod control;
mod debug;
mod fuzz;
mod install;
mod new_plugin;
mod run;
mod setup;
#[cfg(target_os = "linux")]
mod soak;
mod test;
mod uninstall;

use anyhow::Result;
use clap::Subcommand;

/// What the user asked for.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Serve the demo: pages at /, the example plugins at /echo and so on. Ctrl-C stops it
    ///
    /// Installs the system packages that are missing, builds the module and the example plugins,
    /// and runs httpd from a server root of its own in the target folder. The system's Apache is
    /// left alone.
    Run(run::Options),
    /// Run all tests
    ///
    /// Installs the system packages that are missing and builds the module first. Chromium is among
    /// them; where it cannot be had, the tests with a browser are left out.
    Test(test::Options),
    /// Run the Autobahn test suite against the echo plugin, and list the cases that fail
    ///
    /// Downloads the client, kosoku, from PyPI into the target folder. Its report with the bytes of
    /// each case goes to target/autobahn/report.
    Autobahn(autobahn::Options),
    /// Feed the protocol with inputs that a fuzzer makes up (libFuzzer)
    ///
    /// Inputs that make a target fail are kept, and named.
    Fuzz(fuzz::Options),
    /// Write a package with a plugin to start from, outside of this workspace
    ///
    /// Says how to build it and how to serve it. An existing folder is left alone.
    NewPlugin(new_plugin::Options),
    /// Measure the module on httpd beside other echo servers
    ///
    /// Prints tables of the server's CPU time per message, throughput and latency, and draws
    /// charts into target/bench. The servers run on one core, the load generator on another.
    #[cfg(target_os = "linux")]
    Bench(bench::Options),
    /// Open and end very many connections, and see whether httpd is as it was before
    ///
    /// Connections end in every way: with the closing handshake, without it, by a reset, around the
    /// 101. Fails when a child crashes, memory or descriptors grow, a counter of the MPM is off, or
    /// the access log has not one line for each request.
    #[cfg(target_os = "linux")]
    Soak(soak::Options),
    /// Install the system packages that building and testing need: httpd, its headers, libclang, cc
    Setup,
    /// Install the module, two example plugins and the C header into this machine's Apache
    ///
    /// An existing websocket.conf that differs from the one written here is kept.
    Install(install::Options),
    /// Remove what `install` has installed, and deactivate the module
    Uninstall,
    /// Start this machine's Apache (apachectl start)
    Start,
    /// Stop this machine's Apache (apachectl stop)
    Stop,
    /// Restart this machine's Apache (apachectl restart)
    Restart,
    /// Run this machine's Apache as one process in a debugger (httpd -X)
    Debug(debug::Options),
}

impl Command {
    pub(crate) fn execute(&self) -> Result<()> {
        match self {
            Self::Run(options) => run::run(options),
            Self::Test(options) => test::test(options),
            Self::Autobahn(options) => autobahn::autobahn(options),
            Self::Fuzz(options) => fuzz::fuzz(options),
            Self::NewPlugin(options) => new_plugin::new_plugin(options),
            #[cfg(target_os = "linux")]
            Self::Bench(options) => bench::bench(options),
            #[cfg(target_os = "linux")]
            Self::Soak(options) => soak::soak(options),
            Self::Setup => setup::setup(),
            Self::Install(options) => install::install(options),
            Self::Uninstall => uninstall::uninstall(),
            Self::Start => control::apachectl("start"),
            Self::Stop => control::apachectl("stop"),
            Self::Restart => control::apachectl("restart"),
            Self::Debug(options) => debug::debug(options),
        }
    }
}
