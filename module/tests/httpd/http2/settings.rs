//! The module's reading of the configuration of mod_http2.

use anyhow::{Result, ensure};
use xtask::server_root::Mpm;

use super::limits::start_small;
use crate::support::{Context, cases};

cases! {
    "HTTP/2: the limits for WebSockets are logged at start" => told,
}

fn told(context: &Context) -> Result<()> {
    const FIGURES: &str = "at most 18 HTTP/2 connections with WebSockets (ThreadsPerChild 20), \
                           and at most 27 WebSockets on them (H2MaxWorkers 30)";
    for (config, is_on) in [
        ("", true),
        ("H2WebSockets off", false),
        (
            "H2WebSockets off\n<VirtualHost *:1>\nH2WebSockets on\n</VirtualHost>",
            true,
        ),
    ] {
        let log = start_small(context, config)?.error_log()?;
        let told: Vec<_> = log
            .lines()
            .filter(|line| line.contains("H2WebSockets is on"))
            .collect();
        // mod_http2 does not work in processes without threads.
        let is_due = is_on && context.mpm != Mpm::Prefork;
        ensure!(told.len() == usize::from(is_due), "{config}: {told:?}");
        ensure!(told.iter().all(|line| line.contains(FIGURES)), "{told:?}");
    }
    Ok(())
}
