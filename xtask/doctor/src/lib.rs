//! Says in plain words what keeps WebSockets of mod_websocket from working, and what to write.
//!
//! It reads the configuration as httpd reports it, looks at the running process, and opens a
//! WebSocket as a browser does. It needs no compiler and no `apxs`, and changes nothing.

pub mod client;
pub mod control;
pub mod descriptors;
pub mod directives;
pub mod finding;
pub mod log;
pub mod options;
pub mod server;
pub mod site;
pub mod url;

use std::io::{self, Write};

use anyhow::Result;

use self::client::Attempt;
use self::finding::{Finding, Grade};
use self::log::LogEnd;
use self::options::Options;

/// Examines what the options name, and writes each finding to `output` as soon as it is made.
/// Returns whether nothing is wrong.
///
/// # Errors
/// The findings cannot be written.
pub fn run(options: &Options, output: &mut impl Write) -> Result<bool> {
    let mut is_well = true;
    let mut tell = |finding: &Finding| -> io::Result<()> {
        is_well &= finding.grade != Grade::Wrong;
        writeln!(output, "{finding}")
    };
    let mut error_log = None;
    if !options.remote {
        match options.control() {
            Some(control) => {
                let examination = server::examine(&control, options.url.as_ref());
                examination.findings.iter().try_for_each(&mut tell)?;
                error_log = examination.error_log.and_then(LogEnd::now);
                server::examine_denials().iter().try_for_each(&mut tell)?;
            }
            None => tell(&no_httpd(options))?,
        }
    }
    if let Some(url) = &options.url {
        let own = url.origin();
        let attempt = Attempt {
            url,
            origin: Some(options.origin.as_deref().unwrap_or(&own)),
            authorities: options.ca.as_deref(),
            limit: options.limit(),
        };
        tell(&site::examine(&attempt, error_log.as_ref()))?;
    }
    Ok(is_well)
}

fn no_httpd(options: &Options) -> Finding {
    let text = "no apachectl and no httpd here";
    let finding = match options.url {
        Some(_) => Finding::note(format!("{text}: only the URL is looked at")),
        None => Finding::wrong(text),
    };
    finding.remedy("Name one with --apachectl.")
}
