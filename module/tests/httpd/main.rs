//! Tests of the module in a real Apache httpd under every MPM: its promises to administrators, to
//! clients, and to plugins in C and Rust.
//!
//! `WEBSOCKET_TEST_MPMS=event,worker` restricts the MPMs. Each case is called `MPM: the rule`.
//! Under the event MPM it also runs with `WebSocketEventDriven Off`. If the version of httpd does
//! not support a case, it is listed as ignored, with the first version that does. So are cases that
//! a sanitizer disturbs, if there is one.

mod blocking;
mod book;
mod broadcast;
mod byte_counts;
mod c_abi;
mod capacity;
mod config;
mod crowd;
mod deflate;
mod descriptors;
mod drain;
mod driver;
mod ending;
mod endurance;
mod events;
mod fanout;
mod faults;
mod floods;
mod flow;
mod fuzz;
mod gate;
mod handshake;
mod htaccess;
mod http2;
mod keepalive;
mod life;
mod limits;
mod logs;
mod malformed;
mod memory_limit;
mod message_rate;
mod messages;
mod mistakes;
mod origin;
mod parts;
mod plain_requests;
mod proxies;
mod redirects;
mod refusals;
mod response_headers;
mod restart;
mod rust;
mod second_chance;
mod send_queue;
mod sites;
mod slow_reader;
mod soak;
mod status;
mod steady_reader;
mod support;
mod swarm;
mod threads;
mod ticks;
mod tls;
mod topics;
mod topics_plugin;
mod try_send;
mod unfinished;
mod vanished;
mod writing;

use std::env;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Result, ensure};
use libtest_mimic::{Arguments, Trial};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use xtask::apache::{Apache, Version};
use xtask::server_root::{Mpm, TEST_PRELOAD};
use xtask::soak::MIXED_SOAK;

use self::second_chance::SecondChances;
use self::support::plugins::Plugins;
use self::support::{Case, Context, Driver, HTTP2_WEBSOCKETS};
use self::tls::renegotiation::OPENSSL_REFUSES;

const THEMES: &[&[Case]] = &[
    // The longest one first: it runs beside all others.
    soak::CASES,
    handshake::CASES,
    origin::CASES,
    plain_requests::CASES,
    proxies::CASES,
    refusals::CASES,
    response_headers::CASES,
    messages::CASES,
    parts::CASES,
    writing::CASES,
    malformed::CASES,
    deflate::negotiation::CASES,
    deflate::memory::CASES,
    deflate::messages::CASES,
    deflate::mistakes::CASES,
    deflate::others::CASES,
    c_abi::CASES,
    threads::CASES,
    swarm::CASES,
    broadcast::CASES,
    fanout::CASES,
    blocking::CASES,
    driver::CASES,
    gate::CASES,
    byte_counts::CASES,
    life::CASES,
    limits::CASES,
    message_rate::CASES,
    logs::CASES,
    keepalive::CASES,
    keepalive::settings::CASES,
    unfinished::CASES,
    send_queue::CASES,
    memory_limit::CASES,
    ending::CASES,
    endurance::CASES,
    crowd::CASES,
    capacity::CASES,
    slow_reader::CASES,
    steady_reader::CASES,
    try_send::CASES,
    flow::CASES,
    events::CASES,
    ticks::CASES,
    topics::CASES,
    topics::cluster::CASES,
    topics::figures::CASES,
    topics::history::CASES,
    topics::hosts::CASES,
    topics::hosts::changed::CASES,
    topics::hosts::cuts::CASES,
    topics::hosts::live::CASES,
    topics::hosts::nats::CASES,
    topics::hosts::nkeys::CASES,
    topics::hosts::presence::CASES,
    topics::hosts::presence::LIVE_CASES,
    topics::presence::CASES,
    topics::publish::CASES,
    topics::unrest::CASES,
    topics_plugin::CASES,
    tls::CASES,
    tls::renegotiation::CASES,
    tls::records::CASES,
    tls::filters::CASES,
    tls::origin::CASES,
    tls::versions::CASES,
    tls::restart::CASES,
    sites::CASES,
    restart::CASES,
    drain::CASES,
    drain::restarts::CASES,
    faults::CASES,
    floods::CASES,
    vanished::CASES,
    redirects::CASES,
    redirects::errors::CASES,
    redirects::hostile::CASES,
    redirects::life::CASES,
    redirects::fuzz::CASES,
    status::CASES,
    status::pages::CASES,
    status::dashboard::CASES,
    status::plugin_metrics::CASES,
    config::CASES,
    book::CASES,
    http2::settings::CASES,
    htaccess::CASES,
    mistakes::CASES,
    descriptors::CASES,
    rust::asynchronous::callbacks::CASES,
    rust::asynchronous::handshakes::CASES,
    rust::asynchronous::sending::CASES,
    rust::asynchronous::leaks::CASES,
    rust::asynchronous::ends::CASES,
    rust::asynchronous::runtime::CASES,
    rust::asynchronous::ticks::CASES,
    rust::examples::CASES,
    rust::handshake::CASES,
    rust::options::CASES,
    rust::logging::CASES,
    rust::panics::CASES,
    rust::path_info::CASES,
    rust::life::CASES,
    rust::detach::CASES,
    fuzz::CASES,
];

/// Cases wait more than they compute, so more of them run at a time than there are processors.
const THREADS: usize = 8;

fn main() -> Result<ExitCode> {
    raise_descriptor_limit()?;
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(THREADS);
    let version = Apache::find()?.version;
    println!("httpd {version}");
    let named = OF_FEW_THREADS.into_iter().chain(NOT_SANITIZED);
    for name in named.chain([OF_ALL_CHILDREN]) {
        let mut cases = THEMES.iter().copied().flatten();
        ensure!(cases.any(|case| case.name == name), "no case `{name}`");
    }
    let contexts = contexts()?;
    let chances = SecondChances::default();
    let trials = contexts
        .iter()
        .flat_map(|context| trials(context, version, &chances))
        .collect();
    let conclusion = libtest_mimic::run(&arguments, trials);
    let mut is_well = chances.have_all_passed(conclusion.num_failed);
    for context in &contexts {
        if let Err(error) = context.finish() {
            eprintln!("{context}: after all cases: {error:#}");
            is_well = false;
        }
    }
    Ok(if is_well {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Thousands of connections need as many descriptors, in this process and in the servers that it
/// starts.
fn raise_descriptor_limit() -> Result<()> {
    let maximum = getrlimit(Resource::Nofile).maximum;
    let limit = Rlimit {
        current: maximum,
        maximum,
    };
    Ok(setrlimit(Resource::Nofile, limit)?)
}

fn contexts() -> Result<Vec<Context>> {
    let plugins = Arc::new(Plugins::compile()?);
    let drivers = |mpm| Driver::of(mpm).iter().map(move |driver| (mpm, *driver));
    let context = |(mpm, driver)| Context::new(mpm, driver, Arc::clone(&plugins));
    Ok(Mpm::under_test()?
        .into_iter()
        .flat_map(drivers)
        .map(context)
        .collect())
}

/// Cases that keep all threads of the only child busy at once, or whose connections are nearly as
/// many as idle threads allow. The event MPM before 2.4.53 may then stop accepting, and not notice
/// when a thread becomes idle again (PR 65769), with and without this module. With one thread it
/// serves one request.
const OF_FEW_THREADS: [&str; 5] = [
    "a kept WebSocketServer reaches a later connection or nothing",
    "graceful restarts during a storm of connections cause no crash and no loss",
    "WebSocketDetach: 2000 connections leak no descriptors and no memory",
    "capacity: where each WebSocket holds a thread the last ones are kept if a reserve is set",
    "capacity: a section may keep more, or nothing",
];

/// A case that needs as many children after a restart as before. The event MPM of 2.4.52 and 2.4.53
/// counts children that end in a restart as active for good (PR 65769), with and without this
/// module.
const OF_ALL_CHILDREN: &str =
    "capacity: each row of the book's table holds as many WebSockets as it says";

/// The first version of httpd that can pass a case, if not all can.
fn needed_version(context: &Context, case: &Case) -> Option<Version> {
    if case.name.contains("HTTP/2") {
        // Earlier versions of mod_http2 do not support WebSockets.
        Some(HTTP2_WEBSOCKETS)
    } else if case.name.contains("a flood of refused renegotiations") {
        // Earlier versions end the connection at the first of them.
        Some(OPENSSL_REFUSES)
    } else if context.mpm == Mpm::Event && OF_FEW_THREADS.contains(&case.name) {
        Some(Version(2, 4, 53))
    } else if context.mpm == Mpm::Event && case.name == OF_ALL_CHILDREN {
        Some(Version(2, 4, 54))
    } else {
        None
    }
}

/// Cases that a sanitizer disturbs. It has memory of its own, so that a child takes more than they
/// allow; the last one loads something ahead of all else, as the sanitizer has to be.
const NOT_SANITIZED: [&str; 11] = [
    "while memory is short handshakes and messages are served or refused, and the process lives",
    MIXED_SOAK,
    "finished connections leave one line each in the access log and nothing else",
    "TLS: finished connections leave one line each in the access log and nothing else",
    "compression: an unfinished message takes little more memory than the bytes sent",
    "if there is no memory for a message its connection closes with 1013 and others are served",
    "compression: a bomb takes no more memory than the size limit",
    "compression: after many clients have left, their memory goes back to the system",
    "TLS 1.2: a flood of refused renegotiations takes no memory if the client does not read",
    "WebSocketDetach: 2000 connections leak no descriptors and no memory",
    "jumps of the time of day neither close connections nor hold up timers",
];

/// Why a case cannot pass here, if so.
fn obstacle(context: &Context, case: &Case, version: Version) -> Option<String> {
    if let Some(needed) = needed_version(context, case).filter(|needed| *needed > version) {
        return Some(format!("needs httpd {needed}"));
    }
    let is_sanitized = env::var_os(TEST_PRELOAD).is_some();
    let is_unfit = is_sanitized && NOT_SANITIZED.contains(&case.name);
    is_unfit.then(|| "not with a sanitizer".to_owned())
}

fn trials(context: &Context, version: Version, chances: &SecondChances) -> Vec<Trial> {
    // mod_http2 does not work in processes with one thread.
    let http2 = (context.mpm != Mpm::Prefork).then_some([
        http2::CASES,
        http2::life::CASES,
        http2::limits::CASES,
        http2::slow_reader::CASES,
    ]);
    let trial = |case: &'static Case| {
        let (used, chances) = (context.clone(), chances.clone());
        let name = format!("{context}: {}", case.name);
        let trial = Trial::test(name, move || chances.run(&used, case));
        match obstacle(context, case, version) {
            Some(reason) => trial.with_kind(reason).with_ignored_flag(true),
            None => trial,
        }
    };
    let themes = THEMES.iter().copied().chain(http2.into_iter().flatten());
    themes.flatten().map(trial).collect()
}
