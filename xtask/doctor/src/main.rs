//! `mod_websocket-doctor`.

use std::io::stdout;
use std::process::ExitCode;

use clap::Parser;
use websocket_doctor::options::Options;

/// Says what keeps WebSockets of mod_websocket from working, and what to write.
///
/// Has httpd list its configuration, looks at the running process, and opens the
/// WebSocket of the URL as a page does. Changes nothing. The exit code is 0 if nothing is wrong.
#[derive(Parser)]
#[command(version, bin_name = "mod_websocket-doctor")]
struct Cli {
    #[command(flatten)]
    options: Options,
}

fn main() -> ExitCode {
    match websocket_doctor::run(&Cli::parse().options, &mut stdout().lock()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
