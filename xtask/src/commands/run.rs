//! `cargo xtask run`.

mod log;
mod options;
mod plugin;
mod served;

use std::io::ErrorKind;

use anyhow::{Result, anyhow, ensure};
use clap::Args;
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use xtask::demo;
use xtask::httpd::Httpd;
use xtask::port;
use xtask::server_root::{Mpm, ServerRoot};
use xtask::workspace::{Profile, Workspace};

use crate::packages;

#[derive(Args)]
pub(crate) struct Options {
    /// The port of http and ws
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// The multi-processing module
    #[arg(long, value_enum, default_value_t = Mpm::Event)]
    mpm: Mpm,
    /// Also serve https and wss, with a self-signed certificate
    #[arg(long)]
    tls: bool,
    /// The port of https and wss
    #[arg(long, default_value_t = 8443, requires = "tls")]
    tls_port: u16,
    #[command(flatten)]
    own: options::PluginOptions,
}

pub(super) fn run(options: &Options) -> Result<()> {
    refuse_taken_ports(options)?;
    packages::install_missing()?;
    let workspace = Workspace::find()?;
    match &options.own.plugin {
        Some(path) => plugin::run(options, path, &workspace),
        None => run_demo(options, &workspace),
    }
}

fn run_demo(options: &Options, workspace: &Workspace) -> Result<()> {
    let mut libraries = workspace.build_libraries(Profile::Release)?;
    libraries.extend(workspace.compile_c_plugins(&workspace.c_plugin_dir())?);
    let demos = demo::demos(&libraries)?;
    let root = server_root(options, workspace)?;
    let root = demo::served_by(root, workspace, &libraries, &demos)?;

    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP, SIGCHLD])?;
    let httpd = root.start()?;
    let paths: Vec<_> = demos.iter().map(|demo| &*demo.path).collect();
    println!("{}", greeting(options, &paths, &httpd));
    serve_until_signalled(&httpd, &mut signals)?;
    httpd.stop()?;
    Ok(())
}

fn refuse_taken_ports(options: &Options) -> Result<()> {
    check_port(options.port, "--port")?;
    if !options.tls {
        return Ok(());
    }
    ensure!(
        options.port != options.tls_port,
        "--port and --tls-port are both {}; choose different ones",
        options.port
    );
    check_port(options.tls_port, "--tls-port")
}

pub(super) fn check_port(port: u16, flag: &str) -> Result<()> {
    port::check(port).map_err(|error| match error.kind() {
        ErrorKind::AddrInUse => anyhow!("port {port} is in use; choose another with {flag}"),
        _ => anyhow!("cannot listen on port {port} ({error}); choose another with {flag}"),
    })
}

fn server_root(options: &Options, workspace: &Workspace) -> Result<ServerRoot> {
    let root = ServerRoot::new(workspace.server_root())?
        .mpm(options.mpm)
        .port(options.port);
    Ok(if options.tls {
        root.tls_port(options.tls_port)
    } else {
        root
    })
}

/// What is served where. `paths` are those of plugins.
fn greeting(options: &Options, paths: &[&str], httpd: &Httpd) -> String {
    let mut lines = vec![format!(
        "\nmod_websocket is being served by httpd ({} MPM):\n",
        options.mpm
    )];
    let tls = options.tls.then_some(("s", options.tls_port));
    for (secure, port) in [Some(("", options.port)), tls].into_iter().flatten() {
        lines.push(format!("  http{secure}://localhost:{port}/"));
        let url = |path: &&str| format!("  ws{secure}://localhost:{port}{path}");
        lines.extend(paths.iter().map(url));
        lines.push(String::new());
    }
    lines.push(format!("Log: {}", httpd.root().error_log().display()));
    lines.push("Ctrl-C stops it.".to_owned());
    lines.join("\n")
}

/// Returns when this process gets a signal to stop.
pub(super) fn serve_until_signalled(httpd: &Httpd, signals: &mut Signals) -> Result<()> {
    for signal in signals.forever() {
        if signal != SIGCHLD {
            println!("\nStopping.");
            return Ok(());
        }
        ensure_running(httpd)?;
    }
    Ok(())
}

fn ensure_running(httpd: &Httpd) -> Result<()> {
    ensure!(
        httpd.is_running(),
        "httpd has ended by itself; see {}",
        httpd.root().error_log().display()
    );
    Ok(())
}
