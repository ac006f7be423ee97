//! `cargo xtask bench`.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use clap::Args;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use xtask::server_root::Mpm;
use xtask::workspace::Workspace;

use crate::bench::cores::Cores;
use crate::bench::fanout::{self, FanoutResults};
use crate::bench::field::{Against, Field, Setup, TopicField};
use crate::bench::idle::{Idle, IdleResults};
use crate::bench::load::{Generator, Interrupted};
use crate::bench::neighbours::{LOADS, NeighbourResults};
use crate::bench::peer::Programs;
use crate::bench::results::{Results, Run};
use crate::bench::shape::{self, Shape};
use crate::bench::topics::TopicResults;
use crate::bench::{machine, report};
use crate::packages;

/// Enough for every connection of the table to have a thread.
const THREADS: u32 = 128;
/// httpd's own default.
const THREADS_FOR_IDLE: u32 = 25;

#[derive(Args)]
pub(crate) struct Options {
    /// Measure over TLS
    #[arg(long)]
    tls: bool,
    /// Instead of the table: open this many connections, and measure memory and latency
    #[arg(long, value_name = "COUNT", conflicts_with_all = ["shapes", "rounds", "quick"])]
    idle: Option<usize>,
    /// Instead of the table: measure the cost and the savings of compressing JSON
    #[arg(long, conflicts_with_all = ["idle", "tls"])]
    compression: bool,
    /// Instead of the table: measure the latency of quiet clients next to greedy ones
    #[arg(long, conflicts_with_all = ["idle", "compression", "shapes", "rounds"])]
    neighbours: bool,
    /// Instead of the table: measure the cost of sending every message to all clients, and topics
    #[arg(long, conflicts_with_all = ["idle", "compression", "neighbours"])]
    fanout: bool,
    /// Also measure our module with this many event loops on as many cores
    #[arg(long, value_name = "COUNT", requires = "fanout", value_parser = parse_loops)]
    loops: Option<usize>,
    /// The loads: CONNECTIONSxBYTESxIN_FLIGHT, separated by commas [default: the whole table]
    #[arg(long, value_delimiter = ',')]
    shapes: Vec<Shape>,
    /// How many times each server is measured; the medians are printed
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// The duration of each measurement
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// Three rounds of 0.3 s, for a first impression
    #[arg(long, conflicts_with_all = ["rounds", "seconds"])]
    quick: bool,
    /// The multi-processing module
    #[arg(long, value_enum, default_value_t = Mpm::Event)]
    mpm: Mpm,
    /// The number of threads of httpd's single child [default: 128, with --idle 25]
    #[arg(long)]
    threads: Option<u32>,
    /// An additional directive for our module; may be repeated
    #[arg(long, value_name = "DIRECTIVE")]
    config: Vec<String>,
    /// Also measure this mod_websocket.so
    #[arg(long, value_name = "LIBRARY")]
    against: Option<PathBuf>,
    /// The plugin for --against [default: the same as for our module, in C]
    #[arg(long, value_name = "LIBRARY", requires = "against")]
    plugin: Option<PathBuf>,
    /// The init function of that plugin
    #[arg(
        long,
        value_name = "NAME",
        requires = "plugin",
        default_value = "echo_init"
    )]
    init: String,
    /// Write the tables into this Markdown file, in place of earlier ones of the same kind
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
}

pub(super) fn bench(options: &Options) -> Result<()> {
    packages::install_missing()?;
    let cores = Cores::choose()?;
    let workspace = Workspace::find()?;
    let programs = Programs::build(&workspace)?;
    raise_descriptor_limit()?;
    let default_threads = options.idle.map_or(THREADS, |_| THREADS_FOR_IDLE);
    let setup = Setup {
        workspace: &workspace,
        programs: &programs,
        cores,
        mpm: options.mpm,
        threads: options.threads.unwrap_or(default_threads),
        tls: options.tls,
        detached: options.idle.is_some() && options.mpm == Mpm::Event && !options.tls,
        neighbours: options.neighbours,
        asynchronous: options.idle.is_none() && !options.compression,
        fanout: options.fanout,
        loops: options.loops,
        compression: options.compression,
        config: options.config.join("\n"),
    };
    let field = Field::start(&setup, options.against().as_ref())?;
    let mut generator = Generator::new(&programs, cores, options.seconds())?;

    let tables = match options.idle {
        Some(count) => {
            let results = measure_idle(&mut generator, &field, count)?;
            let chart = |kind| options.chart(&workspace, kind);
            results.draw(&chart("-memory"), &chart("-latency"))?;
            results.table().to_string()
        }
        None if options.fanout => {
            let results = measure_fanout(&mut generator, &field, options)?;
            results.draw(options.title(), &options.chart(&workspace, ""))?;
            options.about_loops() + &results.tables() + &topics(&setup, &mut generator, options)?
        }
        None if options.neighbours => measure_neighbours(&mut generator, &field)?
            .table()
            .to_string(),
        None => {
            let results = measure(&mut generator, &field, options)?;
            if options.compression {
                results.compression_tables()
            } else {
                results.draw(options.title(), &options.chart(&workspace, ""))?;
                results.tables()
            }
        }
    };
    let section = format!(
        "{}\n{tables}",
        machine::description(&workspace, options.peers())?
    );
    println!("{section}");
    if let Some(file) = &options.markdown {
        report::update(file, options.title(), &section)?;
    }
    Ok(())
}

/// Measures every server before the next load, and every load before the next round, so that a
/// temporary disturbance of the machine affects all servers.
fn measure(generator: &mut Generator<'_>, field: &Field, options: &Options) -> Result<Results> {
    let (shapes, rounds) = (options.shapes(), options.rounds());
    ensure!(rounds > 0, "--rounds must be positive");
    let mut results = Results::new(&shapes, &field.contenders);
    for round in 1..=rounds {
        for (number, &shape) in shapes.iter().enumerate() {
            eprintln!("round {round} of {rounds}: {shape}");
            for (contender, server) in field.contenders.iter().enumerate() {
                let run = Run::new(&generator.run(server, shape)?)?;
                results.push(number, contender, run);
            }
        }
    }
    Ok(results)
}

/// Like [`measure`], with messages for all clients.
fn measure_fanout(
    generator: &mut Generator<'_>,
    field: &Field,
    options: &Options,
) -> Result<FanoutResults> {
    let (shapes, rounds) = (options.shapes(), options.rounds());
    ensure!(rounds > 0, "--rounds must be positive");
    let mut results = FanoutResults::new(&shapes, &field.contenders);
    for round in 1..=rounds {
        for (number, &shape) in shapes.iter().enumerate() {
            eprintln!("round {round} of {rounds}: {shape}");
            for (contender, server) in field.contenders.iter().enumerate() {
                let run = fanout::Run::new(&generator.fanout(server, shape)?)?;
                results.push(number, contender, run);
            }
        }
    }
    Ok(results)
}

/// The tables of what only topics can do, if all shapes are measured.
fn topics(setup: &Setup<'_>, generator: &mut Generator<'_>, options: &Options) -> Result<String> {
    if options.tls || options.loops.is_some() || !options.shapes.is_empty() {
        return Ok(String::new());
    }
    let field = TopicField::start(setup)?;
    let results = TopicResults::measure(generator, &field, options.rounds())?;
    Ok(format!("\n{}", results.tables()))
}

/// Measures idle connections. A server that cannot hold as many is skipped.
fn measure_idle(generator: &mut Generator<'_>, field: &Field, count: usize) -> Result<IdleResults> {
    let mut servers = Vec::new();
    for contender in &field.contenders {
        eprintln!("{count} connections to {}", contender.name);
        let idle = match generator.idle(contender, count) {
            Ok(values) => Some(Idle::new(&values)?),
            Err(error) if error.is::<Interrupted>() => return Err(error),
            Err(error) => {
                eprintln!("{error:#}");
                None
            }
        };
        servers.push((contender.name, idle));
    }
    Ok(IdleResults { count, servers })
}

fn measure_neighbours(generator: &mut Generator<'_>, field: &Field) -> Result<NeighbourResults> {
    let mut results = NeighbourResults::default();
    for load in LOADS {
        eprintln!("beside {}", load.argument);
        for contender in &field.contenders {
            let values = generator.neighbours(contender, load)?;
            results.push(load, contender.name, &values)?;
        }
    }
    Ok(results)
}

impl Options {
    fn shapes(&self) -> Vec<Shape> {
        match &*self.shapes {
            [] if self.compression => shape::COMPRESSION.to_vec(),
            [] if self.loops.is_some() => shape::FANOUT_LOOPS.to_vec(),
            [] if self.fanout => shape::FANOUT.to_vec(),
            [] if self.tls => shape::TLS.to_vec(),
            [] => shape::PLAIN.to_vec(),
            shapes => shapes.to_vec(),
        }
    }

    /// The libraries for the comparison.
    fn peers(&self) -> &'static [&'static str] {
        let peers = &["tokio-tungstenite", "fastwebsockets", "yawc"];
        match self {
            Self { fanout: true, .. } => &[],
            Self {
                compression: true, ..
            } => peers,
            _ => &peers[..2],
        }
    }

    fn rounds(&self) -> usize {
        if self.quick { 3 } else { self.rounds }
    }

    fn seconds(&self) -> f64 {
        if self.quick { 0.3 } else { self.seconds }
    }

    fn against(&self) -> Option<Against> {
        Some(Against {
            module: self.against.clone()?,
            plugin: self.plugin.clone(),
            init: self.init.clone(),
        })
    }

    /// What the description of the machine does not say of `--loops`.
    fn about_loops(&self) -> String {
        self.loops.map_or_else(String::new, |loops| {
            format!(
                "\"More loops\" are {loops}, on as many cores; the load generator takes its part of the \
                 last of these where there are no more.\n\n"
            )
        })
    }

    fn title(&self) -> &'static str {
        match (self.idle, self.tls) {
            (None, _) if self.loops.is_some() => "One message to many, more loops",
            (None, false) if self.fanout => "One message to many over TCP",
            (None, true) if self.fanout => "One message to many over TLS",
            (None, false) if self.neighbours => "Neighbours over TCP",
            (None, true) if self.neighbours => "Neighbours over TLS",
            (None, false) if self.compression => "Compression of JSON",
            (None, false) => "Echo over TCP",
            (None, true) => "Echo over TLS",
            (Some(_), false) => "Idle connections over TCP",
            (Some(_), true) => "Idle connections over TLS",
        }
    }

    fn chart(&self, workspace: &Workspace, kind: &str) -> PathBuf {
        let experiment = match self.idle {
            Some(_) => "idle",
            None if self.loops.is_some() => "fanout-loops",
            None if self.fanout => "fanout",
            None => "echo",
        };
        let transport = if self.tls { "tls" } else { "tcp" };
        let name = format!("bench/{experiment}-{transport}{kind}.svg");
        workspace.target_dir().join(name)
    }
}

fn parse_loops(text: &str) -> Result<usize> {
    let loops = text.parse().ok().filter(|&loops| loops > 1);
    loops.context("not a number above 1")
}

/// Raises the limit of open sockets for processes started from here to this user's maximum.
fn raise_descriptor_limit() -> Result<()> {
    let maximum = getrlimit(Resource::Nofile).maximum;
    let limit = Rlimit {
        current: maximum,
        maximum,
    };
    Ok(setrlimit(Resource::Nofile, limit)?)
}
