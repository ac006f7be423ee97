//! `cargo xtask soak`.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, ensure};
use clap::Args;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;
use xtask::c_plugin;
use xtask::command::run;
use xtask::httpd::Httpd;
use xtask::port;
use xtask::server_root::{Mpm, ServerRoot, Sizing, TEST_MPMS};
use xtask::soak::{Footprint, MIXED_SOAK, Requests, SOAK_SECONDS, ensure_healthy};
use xtask::workspace::{C_PLUGINS, Profile, Workspace, module_of};

use crate::bench::load::Interrupted;
use crate::bench::numbers::thousands;
use crate::bench::peer::Programs;
use crate::bench::table::Table;
use crate::bench::values::Values;
use crate::packages;

/// One in this many connections is for warming up, because processes keep memory that was used
/// once.
const WARM_UP: u64 = 10;

/// The number of WebSocket threads that an idle child keeps.
const THREADS: usize = 2;

/// The memory in KiB by which a process may grow after the warm-up. Over TLS the heap gets
/// fragmented: malloc had 3.0 MB in use after 4,000 connections and 2.3 MB after 60,000, although
/// the process grew. A leak of the smallest block (32 bytes with glibc) per connection is 5,600 KiB
/// after 180,000 connections.
const ALLOWANCE_KIB: u64 = 2048;
const ALLOWANCE_OVER_TLS_KIB: u64 = 4096;

/// How many connections are open from before the first restart until after the last.
const SURVIVORS: u64 = 100;

/// How many threads httpd has besides those that these connections hold.
const IDLE_THREADS: u32 = 25;

#[derive(Args)]
pub(crate) struct Options {
    /// Instead, run clients of all kinds at once for so long, and check every message: TLS, HTTP/2,
    /// compression, slow and silent clients, publishers, graceful restarts
    #[arg(long, conflicts_with_all = ["cycles", "restarts", "tls", "redirects", "clients"],
          value_parser = clap::value_parser!(u64).range(1..))]
    minutes: Option<u64>,
    /// The number of connections
    #[arg(long, default_value_t = 200_000, value_parser = clap::value_parser!(u64).range(100..))]
    cycles: u64,
    /// The number of graceful restarts during the run
    #[arg(long, default_value_t = 0)]
    restarts: u64,
    /// Use TLS
    #[arg(long)]
    tls: bool,
    /// The multi-processing module
    #[arg(long, value_enum, default_value_t = Mpm::Event)]
    mpm: Mpm,
    /// Redirect half of the requests with mod_rewrite or Action, and refuse a quarter, with an
    /// ErrorDocument inside the WebSocket location
    #[arg(long)]
    redirects: bool,
    /// Set WebSocketEventDriven Off
    #[arg(long)]
    blocking: bool,
    /// The number of simultaneous connections
    #[arg(long, default_value_t = 8)]
    clients: u64,
}

impl Options {
    /// How many connections stay open during the restarts.
    fn survivors(&self) -> u64 {
        if self.restarts > 0 { SURVIVORS } else { 0 }
    }

    /// How many threads httpd has, or processes with prefork.
    fn threads(&self) -> u32 {
        let has_loops = self.mpm == Mpm::Event && !self.blocking;
        let held = if has_loops { 0 } else { self.survivors() };
        IDLE_THREADS + u32::try_from(held).unwrap_or(u32::MAX)
    }
}

pub(super) fn soak(options: &Options) -> Result<()> {
    packages::install_missing()?;
    let workspace = Workspace::find()?;
    if let Some(minutes) = options.minutes {
        return mixed(&workspace, options, minutes);
    }
    let programs = Programs::build(&workspace)?;
    let is_interrupted = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        flag::register(signal, Arc::clone(&is_interrupted))?;
    }
    let httpd = start(&workspace, options)?;
    let soak = Soak {
        options,
        programs: &programs,
        httpd: &httpd,
        is_interrupted: &is_interrupted,
    };

    let warm_up = options.cycles / WARM_UP;
    let first = soak.run(0, warm_up, 0)?;
    let before = Footprint::at_rest(&httpd, THREADS)?;
    let rest = soak.run(warm_up, options.cycles - warm_up, options.restarts)?;
    let after = Footprint::at_rest(&httpd, THREADS)?;
    let requests = Requests::of(&httpd.access_log()?);

    println!("{}", footprints(&before, &after));
    println!("{}", counts(options, [&first, &rest], &requests)?);
    ensure_healthy(&httpd.error_log()?)?;
    requests.ensure_one_each(sum("answered", [&first, &rest])?)?;
    let allowance = if options.tls {
        ALLOWANCE_OVER_TLS_KIB
    } else {
        ALLOWANCE_KIB
    };
    after.ensure_flat_since(&before, allowance)
}

/// The case of the tests that has all kinds of clients, for longer and without their pauses.
fn mixed(workspace: &Workspace, options: &Options, minutes: u64) -> Result<()> {
    run(workspace
        .cargo()
        .args(["build", "--release", "--workspace", "--lib"]))?;
    let driver = if options.blocking && options.mpm == Mpm::Event {
        " (blocking)"
    } else {
        ""
    };
    let case = format!("{}{driver}: {MIXED_SOAK}", options.mpm);
    run(workspace
        .cargo()
        .args(["test", "--release", "--package", "mod_websocket"])
        .args(["--test", "httpd", "--", "--exact", &case])
        .env(TEST_MPMS, options.mpm.name())
        .env(SOAK_SECONDS, (minutes * 60).to_string()))
}

/// An httpd with one child, which echoes all messages.
fn start(workspace: &Workspace, options: &Options) -> Result<Httpd> {
    let libraries = workspace.build_libraries(Profile::Release)?;
    let folder = workspace.target_dir().join("soak");
    let plugin = c_plugin::compile(
        workspace.root().join(C_PLUGINS).join("echo.c"),
        folder.join("plugins"),
        workspace.include_dir(),
    )?;
    let plugin = xtask::server_root::quoted(&plugin.canonicalize()?);
    let driver = if options.blocking { "Off" } else { "On" };
    let socket = format!(
        "    SetHandler websocket-handler\n    WebSocketHandler {plugin} echo_init\n    \
         WebSocketEventDriven {driver}"
    );
    let mut root = ServerRoot::new(folder.join("httpd"))?
        .mpm(options.mpm)
        .sizing(Sizing {
            processes: 1,
            threads: options.threads(),
        })
        .load_module("websocket_module", module_of(&libraries)?.canonicalize()?)
        // If each thread had its own heap, memory would grow until every heap has reached its
        // maximum.
        .environment("MALLOC_ARENA_MAX", "1")
        .config(format!(
            "LogLevel warn\nKeepAliveTimeout 100ms\nWebSocketThreads {THREADS} 64\n\
             WebSocketDrainTime Unlimited\n\
             <Location \"/echo\">\n{socket}\n</Location>"
        ));
    if options.tls {
        root = root.tls_port(port::free_port()?);
    }
    if options.redirects {
        root = with_redirects(root, &socket)?;
    }
    root.start()
}

/// Adds the paths besides `/echo` that the load requests. `socket` contains the directives of a
/// WebSocket location.
fn with_redirects(root: ServerRoot, socket: &str) -> Result<ServerRoot> {
    let pages = root.dir().join("htdocs");
    fs::create_dir_all(pages.join("documents"))?;
    fs::write(pages.join("documents/denied.html"), "denied")?;
    Ok(["actions", "rewrite"]
        .into_iter()
        .fold(root, ServerRoot::stock_module)
        .config(format!(
            "\
<Directory \"/\">
    RewriteEngine On
    RewriteRule /rewritten$ /echo [L]
</Directory>
<Location \"/action\">
    SetHandler to-echo
    Action to-echo /echo virtual
</Location>
<Location \"/documents\">
{socket}
</Location>
<Location \"/denied\">
    Require all denied
    ErrorDocument 403 /documents/denied.html
</Location>"
        )))
}

struct Soak<'a> {
    options: &'a Options,
    programs: &'a Programs,
    httpd: &'a Httpd,
    is_interrupted: &'a AtomicBool,
}

impl Soak<'_> {
    /// Opens and closes `cycles` connections, with `restarts` distributed over them.
    fn run(&self, first: u64, cycles: u64, restarts: u64) -> Result<Values> {
        let mut load = Load(self.load(first, cycles, restarts)?);
        let stdout = load.0.stdout.take().context("the load has no output")?;
        let mut restarted = 0;
        let mut values = None;
        for line in BufReader::new(stdout).lines() {
            let line = line?;
            let Some(done) = line.strip_prefix("done=") else {
                values = Some(Values::new(line));
                continue;
            };
            let done: u64 = done.parse()?;
            if restarted < restarts && done * (restarts + 1) >= cycles * (restarted + 1) {
                restarted += 1;
                eprintln!("graceful restart {restarted} after {done} connections");
                self.httpd.graceful()?;
            }
        }
        let succeeded = load.0.wait()?.success();
        if self.is_interrupted.load(Ordering::Relaxed) {
            return Err(Interrupted.into());
        }
        ensure!(succeeded, "the load generator has failed");
        ensure!(
            restarted == restarts,
            "only {restarted} of {restarts} restarts; use more --cycles"
        );
        values.context("the load generator has said nothing")
    }

    fn load(&self, first: u64, cycles: u64, restarts: u64) -> Result<Child> {
        let Options {
            tls,
            clients,
            redirects,
            ..
        } = *self.options;
        let survivors = if restarts > 0 {
            self.options.survivors()
        } else {
            0 // during the warm-up
        };
        let address = self.httpd.address();
        let address = self.httpd.tls_address().unwrap_or(address);
        let mut command = self.programs.command("load");
        command
            .args(["--to", &address.to_string(), "--path", "/echo"])
            .args(["--pid", &self.httpd.pid().to_string()])
            .args(["--cycles", &cycles.to_string()])
            .args(["--first", &first.to_string()])
            .args(["--clients", &clients.to_string()])
            .args(tls.then_some("--tls"))
            .args(redirects.then_some("--redirects"))
            .args(["--survivors", &survivors.to_string()]);
        let streams = command.stdin(Stdio::null()).stdout(Stdio::piped());
        streams.spawn().context("cannot run the load generator")
    }
}

/// A running generator. Dropping it kills the generator.
struct Load(Child);

impl Drop for Load {
    fn drop(&mut self) {
        // An error only means that the process has already ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn footprints(before: &Footprint, after: &Footprint) -> Table {
    let columns = [
        "at rest",
        "children",
        "descriptors, child",
        "parent",
        "memory in KiB, child",
        "parent",
    ];
    let mut table = Table::new("What httpd holds", columns.map(String::from).to_vec());
    for (name, footprint) in [("after the warm-up", before), ("at the end", after)] {
        let numbers = [
            footprint.children.to_string(),
            footprint.child.descriptors.to_string(),
            footprint.parent.descriptors.to_string(),
            footprint.child.memory_kib.to_string(),
            footprint.parent.memory_kib.to_string(),
        ];
        let numbers = numbers.iter().map(|number| thousands(number));
        table.push([name.to_owned()].into_iter().chain(numbers).collect());
    }
    table
}

fn counts(options: &Options, runs: [&Values; 2], requests: &Requests) -> Result<Table> {
    let nanoseconds = sum("elapsed_ns", runs)?;
    let per_second = u128::from(options.cycles) * 1_000_000_000 / nanoseconds.max(1) as u128;
    let refused = sum("refused", runs)?;
    let upgraded = sum("answered", runs)? - refused;
    let rows = [
        ("connections", options.cycles.to_string()),
        ("of them in a second", per_second.to_string()),
        ("graceful restarts", options.restarts.to_string()),
        ("101 received", upgraded.to_string()),
        ("403 received", refused.to_string()),
        (
            "their lines in the access log",
            requests.waits().to_string(),
        ),
        (
            "lines of clients that did not wait",
            requests.leaves().to_string(),
        ),
        ("echoes", sum("echoed", runs)?.to_string()),
        (
            "open through all restarts",
            sum("survived", runs)?.to_string(),
        ),
    ];
    let mut table = Table::new(
        "What became of the connections",
        vec!["".into(), "count".into()],
    );
    for (name, number) in rows {
        table.push(vec![name.to_owned(), thousands(&number)]);
    }
    Ok(table)
}

fn sum(name: &str, runs: [&Values; 2]) -> Result<usize> {
    runs.iter().map(|values| values.integer(name)).sum()
}
