//! Loads a WebSocket echo server of this machine and prints what that showed, on one line.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Result, ensure};
use clap::{ArgGroup, Parser};
use websocket_load::deflate::Deflate;
use websocket_load::limits::{end_with_parent, raise_descriptor_limit};
use websocket_load::opening::Opener;
use websocket_load::server::Server;
use websocket_load::shape::Shape;
use websocket_load::texts::Texts;
use websocket_load::{fanout, idle, neighbours, run, soak, subscriptions};

/// Loads a WebSocket echo server of this machine.
#[derive(Parser)]
#[command(group(ArgGroup::new("experiment").required(true)))]
struct Options {
    /// Where the server listens
    #[arg(long)]
    to: SocketAddr,
    /// The path of its echo
    #[arg(long, default_value = "/")]
    path: String,
    /// Use TLS, whatever the certificate
    #[arg(long)]
    tls: bool,
    /// The server's first process
    #[arg(long)]
    pid: i32,
    /// Send messages as fast as they come back: CONNECTIONSxBYTESxIN_FLIGHT
    #[arg(long, group = "experiment")]
    shape: Option<Shape>,
    /// The messages are JSON, not the same text again and again
    #[arg(long, requires = "shape")]
    json: bool,
    /// Compress the JSON; the server has to do so too
    #[arg(long, value_enum, requires = "json")]
    deflate: Option<Deflate>,
    /// Open so many connections and leave them idle
    #[arg(long, group = "experiment")]
    idle: Option<usize>,
    /// Measure quiet clients beside greedy ones: messages, pings, unread-pings, uploads or idle,
    /// and how many
    #[arg(long, group = "experiment", value_name = "LOAD:CLIENTS")]
    neighbours: Option<neighbours::Load>,
    /// Send every message to all: CONNECTIONSxBYTESxIN_FLIGHT; the server has to do so
    #[arg(long, group = "experiment", value_name = "SHAPE")]
    fanout: Option<Shape>,
    /// Each message goes to one of so many groups of clients
    #[arg(long, requires = "fanout", default_value_t = 1)]
    groups: usize,
    /// Every second client connects here
    #[arg(long, requires = "fanout", value_name = "ADDRESS")]
    also: Option<SocketAddr>,
    /// Open so many connections, and have each subscribe to topics
    #[arg(long, group = "experiment", value_name = "CONNECTIONS")]
    subscriptions: Option<usize>,
    /// Open and end so many connections, one after the other on each of several threads
    #[arg(long, group = "experiment")]
    cycles: Option<u64>,
    /// The number of the first of them, which is part of its request
    #[arg(long, requires = "cycles", default_value_t = 0)]
    first: u64,
    /// How many of them there are at a time
    #[arg(long, requires = "cycles", default_value_t = 8)]
    clients: usize,
    /// How many more are open all the time, through restarts of the server
    #[arg(long, requires = "cycles", default_value_t = 0)]
    survivors: usize,
    /// Some of them ask for /rewritten, /action and /denied, which is refused
    #[arg(long, requires = "cycles")]
    redirects: bool,
    /// How long to measure
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
}

fn main() -> Result<()> {
    let options = Options::parse();
    end_with_parent()?;
    raise_descriptor_limit()?;
    ensure!(options.seconds > 0.0, "--seconds must be positive");
    let duration = Duration::try_from_secs_f64(options.seconds)?;
    let mut opener = Opener::new(options.to, &options.path, options.tls)?;
    if let Some(deflate) = options.deflate {
        opener.offer(deflate);
    }
    let server = Server::new(options.pid);
    if let Some(shape) = options.shape {
        let texts = match options.json {
            false => Texts::ascii(shape.size),
            true => Texts::json(shape.size, options.deflate),
        };
        let measurement = run::run(&mut opener, server, shape, texts, duration)?;
        println!("{measurement}");
    }
    if let Some(count) = options.idle {
        println!("{}", idle::idle(&mut opener, server, count, duration)?);
    }
    if let Some(load) = options.neighbours {
        let measurement = neighbours::neighbours(&mut opener, server, load, duration)?;
        println!("{measurement}");
    }
    if let Some(shape) = options.fanout {
        let also = options.also;
        let also = also.map(|address| Opener::new(address, &options.path, options.tls));
        let mut openers: Vec<_> = [opener.clone()]
            .into_iter()
            .chain(also.transpose()?)
            .collect();
        let load = (shape, options.groups);
        println!("{}", fanout::fanout(&mut openers, server, load, duration)?);
    }
    if let Some(count) = options.subscriptions {
        let measurement = subscriptions::subscriptions(&mut opener, server, count)?;
        println!("{measurement}");
    }
    if let Some(cycles) = options.cycles {
        let plan = soak::Plan {
            cycles: options.first..options.first + cycles,
            clients: options.clients,
            survivors: options.survivors,
            redirects: options.redirects,
        };
        println!("{}", soak::soak(&opener, &plan)?);
    }
    Ok(())
}
