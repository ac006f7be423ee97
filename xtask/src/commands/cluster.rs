//! `cargo xtask cluster`.

use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use xtask::broker::Kind;
use xtask::cluster::{Cluster, HOSTS};
use xtask::demo;
use xtask::link::Link;
use xtask::server_root::{Mpm, ServerRoot};
use xtask::workspace::{Profile, Workspace};

use super::run::check_port;
use crate::packages;

#[derive(Args)]
pub(crate) struct Options {
    /// The port of the first server; the others have the next two
    #[arg(long, default_value_t = 8081)]
    port: u16,
    /// The multi-processing module
    #[arg(long, value_enum, default_value_t = Mpm::Event)]
    mpm: Mpm,
    /// Cut the last server off from the Redis every so many seconds, for as long
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "15")]
    kill: Option<u32>,
}

pub(super) fn cluster(options: &Options) -> Result<()> {
    let ports = ports(options.port)?;
    for port in ports {
        check_port(port, "--port")?;
    }
    packages::install_missing()?;
    let workspace = Workspace::find()?;
    let mut libraries = workspace.build_libraries(Profile::Release)?;
    libraries.extend(workspace.compile_c_plugins(&workspace.c_plugin_dir())?);
    let demos = demo::demos(&libraries)?;
    let root = |port: u16| {
        let folder = workspace.target_dir().join(format!("cluster/{port}"));
        let root = ServerRoot::new(folder)?.mpm(options.mpm).port(port);
        demo::served_by(root, &workspace, &libraries, &demos)
    };
    let [first, second, third] = ports.map(root);
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP, SIGCHLD])?;
    let cluster = Cluster::start([first?, second?, third?])?;
    let mut cluster = cluster.with_context(|| {
        format!(
            "{} is not installed; on Debian and Ubuntu: apt-get install redis-server; on \
             Fedora: dnf install redis; with Homebrew: brew install redis",
            Kind::Redis.program()
        )
    })?;
    println!("{}", greeting(&cluster, options, ports));
    // Dropping `running` ends the thread.
    let (running, ended) = mpsc::channel::<()>();
    let cutter = options.kill.map(|seconds| {
        let (link, time) = (cluster.link(), Duration::from_secs(seconds.max(1).into()));
        thread::spawn(move || cut_and_heal(&link, time, &ended))
    });
    let result = serve_until_signalled(&mut cluster, &mut signals);
    drop(running);
    if let Some(cutter) = cutter {
        // It only fails if it panicked, and then it has said why.
        let _ = cutter.join();
    }
    result
}

fn ports(first: u16) -> Result<[u16; HOSTS]> {
    let last = first.checked_add(2);
    ensure!(
        last.is_some(),
        "--port {first} leaves no room for the next two"
    );
    Ok([first, first + 1, first + 2])
}

fn greeting(cluster: &Cluster, options: &Options, ports: [u16; HOSTS]) -> String {
    let mut lines = vec![format!(
        "\nThree httpds ({} MPM) share their topics through a Redis at 127.0.0.1:{}:\n",
        options.mpm,
        cluster.redis_port()
    )];
    lines.extend(ports.map(|port| format!("  http://localhost:{port}/chat.html")));
    lines.push(
        "\nWhat you write in one of these pages comes to all. The state of the broker:\n".into(),
    );
    lines.extend(ports.map(|port| format!("  http://localhost:{port}/websocket-status")));
    lines.push("\nLogs:\n".into());
    for host in cluster.hosts() {
        lines.push(format!("  {}", host.root().error_log().display()));
    }
    if let Some(seconds) = options.kill {
        lines.push(format!(
            "\nEvery {seconds} s the last one is cut off from the Redis for {seconds} s. Meanwhile \
             its pages hear\nonly each other. Then they get what they have missed; the other pages \
             never get what was\nwritten in these meanwhile."
        ));
    }
    lines.push("\nCtrl-C stops them.".to_owned());
    lines.join("\n")
}

/// Cuts the link and heals it, each after this time, until nobody holds the other end of `ended`.
fn cut_and_heal(link: &Link, time: Duration, ended: &Receiver<()>) {
    let mut is_cut = false;
    while ended.recv_timeout(time) == Err(RecvTimeoutError::Timeout) {
        is_cut = !is_cut;
        if is_cut {
            println!("The last server is cut off from the Redis.");
            link.cut();
        } else {
            println!("The last server can reach the Redis again.");
            link.heal();
        }
    }
}

/// Returns when this process gets a signal to stop.
fn serve_until_signalled(cluster: &mut Cluster, signals: &mut Signals) -> Result<()> {
    for signal in signals.forever() {
        if signal != SIGCHLD {
            println!("\nStopping.");
            return Ok(());
        }
        if !cluster.is_running() {
            bail!("a server has ended by itself; see the logs");
        }
    }
    Ok(())
}
