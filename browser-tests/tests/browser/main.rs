//! Tests of the demo's pages in headless Chromium: what users see, and what JavaScript sees of the
//! protocol.
//!
//! Each case is called `TRANSPORT: the rule`. `WEBSOCKET_TEST_BROWSER` decides what happens if
//! there is no Chromium.

mod access;
mod chat;
mod close;
mod echo;
mod live;
mod origin;
mod pages;
mod plugin;
mod refusal;
mod status;
mod support;
mod topics;

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Result, bail};
use libtest_mimic::{Arguments, Failed, Trial};
use xtask::browser::{Browser, Policy, TEST_BROWSER};
use xtask::server_root::Mpm;

use self::support::Case;
use self::support::browsers::Browsers;
use self::support::context::{Context, Demo, Transport};

const THEMES: &[&[Case]] = &[
    pages::CASES,
    access::CASES,
    plugin::CASES,
    echo::CASES,
    close::CASES,
    refusal::CASES,
    chat::CASES,
    live::CASES,
    origin::CASES,
    status::CASES,
    topics::CASES,
];

/// Starting a browser takes about a second of CPU time.
const THREADS: usize = 2;

fn main() -> Result<ExitCode> {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(THREADS);
    let Some(programs) = programs()? else {
        return Ok(ExitCode::SUCCESS);
    };
    let browsers = Arc::new(Browsers::new(&programs)?);
    let demo = Arc::new(Demo::compile()?);
    let contexts = Transport::ALL
        .map(|transport| Context::new(transport, Arc::clone(&browsers), Arc::clone(&demo)));
    let conclusion = libtest_mimic::run(&arguments, contexts.iter().flat_map(trials).collect());

    let mut is_well = !conclusion.has_failed();
    let ends = contexts.iter().map(Context::finish);
    for error in ends.chain([browsers.finish()]).filter_map(Result::err) {
        eprintln!("after all cases: {error:#}");
        is_well = false;
    }
    Ok(if is_well {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The browser for the tests, or `None` after a line that says why they are skipped.
fn programs() -> Result<Option<Browser>> {
    let policy = Policy::of_environment()?;
    let reason = match Browser::find() {
        _ if policy == Policy::Off => format!("{TEST_BROWSER}=off"),
        _ if !Mpm::under_test()?.contains(&Mpm::Event) => {
            "they run on the event MPM only".to_owned()
        }
        None => "no chromium and chromedriver on the PATH".to_owned(),
        Some(programs) => return Ok(Some(programs)),
    };
    if policy == Policy::Required {
        bail!("{TEST_BROWSER}=required, but {reason}");
    }
    println!("\nSKIPPED: all tests with a browser: {reason}\n");
    Ok(None)
}

fn trials(context: &Context) -> Vec<Trial> {
    let trial = |case: &'static Case| {
        let context = context.clone();
        Trial::test(format!("{}: {}", context.transport, case.name), move || {
            (case.run)(&context).map_err(|error| Failed::from(format!("{error:#}")))
        })
    };
    THEMES.iter().copied().flatten().map(trial).collect()
}
