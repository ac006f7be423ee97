//! `cargo xtask run --plugin`: serves a plugin outside of the workspace.

use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use xtask::demo::{PAGES, TWO_PROCESSES};
use xtask::httpd::Httpd;
use xtask::plugin_source::PluginSource;
use xtask::port;
use xtask::server_root::ServerRoot;
use xtask::workspace::{Profile, Workspace};

use super::log::ShownLog;
use super::options::PluginOptions;
use super::served::Served;

/// A source that is saved in several steps is built once, this long after the last one.
const SETTLED_AFTER: Duration = Duration::from_millis(100);

/// What may happen while httpd serves.
enum Event {
    Signal(i32),
    Changed,
}

pub(super) fn run(run: &super::Options, path: &Path, workspace: &Workspace) -> Result<()> {
    let options = &run.own;
    let mut plugin = Plugin::build(options, path, workspace)?;
    let module = match &options.module {
        Some(module) => module
            .canonicalize()
            .with_context(|| format!("no module at {}", module.display()))?,
        None => workspace.build_module(Profile::Release)?,
    };
    let mut root = server_root(run, workspace, &module)?.config(plugin.configuration());
    root.write()?;
    let _shown = ShownLog::of(root.error_log())?;

    let (events, happened) = channel();
    forward_signals(events.clone())?;
    let _watcher = options
        .watch
        .then(|| watch(&plugin.source, events))
        .transpose()?;
    let mut httpd = root.start()?;
    println!("{}", super::greeting(run, &[plugin.served.path()], &httpd));
    if options.watch {
        println!("Changes of the source are built and served at once.");
    }
    println!();
    while !is_stop(&happened, &httpd)? {
        if let Err(error) = plugin.rebuild(&mut httpd) {
            eprintln!("{error:#}\nThe plugin is served as it was before this change.");
        }
    }
    println!("\nStopping.");
    httpd.stop()?;
    Ok(())
}

fn server_root(run: &super::Options, workspace: &Workspace, module: &Path) -> Result<ServerRoot> {
    let pages = match run.own.page() {
        Some(page) => {
            let found = page.canonicalize();
            let found = found.with_context(|| format!("no page at {}", page.display()))?;
            found.parent().context("the page is a folder")?.to_owned()
        }
        None => workspace.root().join(PAGES),
    };
    let root = super::server_root(run, workspace)?
        .sizing(TWO_PROCESSES)
        .document_root(pages)
        .stock_module("alias")
        .load_module("websocket_module", module);
    Ok(if port::has_ipv6_loopback() {
        root.ipv6()
    } else {
        root
    })
}

fn forward_signals(events: Sender<Event>) -> Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP, SIGCHLD])?;
    thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            for signal in signals.forever() {
                // Nobody listens any more when the program ends.
                let _ = events.send(Event::Signal(signal));
            }
        })?;
    Ok(())
}

/// Tells of each change of the source, until the watcher is dropped.
fn watch(source: &PluginSource, events: Sender<Event>) -> Result<RecommendedWatcher> {
    let watched = source.clone();
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        let Ok(event) = event else { return };
        if !event.kind.is_access() && event.paths.iter().any(|path| watched.depends_on(path)) {
            let _ = events.send(Event::Changed);
        }
    })?;
    for (folder, is_deep) in source.folders() {
        let mode = if is_deep {
            RecursiveMode::Recursive
        } else {
            RecursiveMode::NonRecursive
        };
        watcher
            .watch(&folder, mode)
            .with_context(|| format!("cannot watch {}", folder.display()))?;
    }
    Ok(watcher)
}

/// Waits until the program is to stop (`true`), or the source has changed and is at rest.
fn is_stop(happened: &Receiver<Event>, httpd: &Httpd) -> Result<bool> {
    let mut has_changed = false;
    loop {
        let event = if has_changed {
            happened.recv_timeout(SETTLED_AFTER)
        } else {
            happened.recv().map_err(Into::into)
        };
        match event {
            Ok(Event::Changed) => has_changed = true,
            Ok(Event::Signal(SIGCHLD)) => super::ensure_running(httpd)?,
            Ok(Event::Signal(_)) => return Ok(true),
            Err(RecvTimeoutError::Timeout) => return Ok(false),
            Err(RecvTimeoutError::Disconnected) => return Ok(true),
        }
    }
}

/// The plugin and how it is built and served.
struct Plugin<'a> {
    options: &'a PluginOptions,
    workspace: &'a Workspace,
    source: PluginSource,
    served: Served,
    builds: usize,
}

impl<'a> Plugin<'a> {
    fn build(options: &'a PluginOptions, path: &Path, workspace: &'a Workspace) -> Result<Self> {
        let source = PluginSource::find(path)?;
        let library = source.build(workspace, profile(options), &workspace.c_plugin_dir())?;
        let served = Served::new(options, &source, &library, &workspace.c_plugin_dir(), 1)?;
        Ok(Self {
            options,
            workspace,
            source,
            served,
            builds: 1,
        })
    }

    fn configuration(&self) -> String {
        self.served.configuration(self.options)
    }

    /// Builds the plugin again, and restarts httpd gracefully if the library has changed.
    ///
    /// # Errors
    /// The build fails, or httpd refuses the plugin. httpd then goes on as before.
    fn rebuild(&mut self, httpd: &mut Httpd) -> Result<()> {
        let folder = self.workspace.c_plugin_dir();
        let library = self
            .source
            .build(self.workspace, profile(self.options), &folder)?;
        if self.served.is_copy_of(&library)? {
            return Ok(());
        }
        self.builds += 1;
        let new = Served::new(self.options, &self.source, &library, &folder, self.builds)?;
        httpd.replace_config(new.configuration(self.options))?;
        let check = httpd.check_config()?;
        if !check.ok {
            httpd.replace_config(self.configuration())?;
            new.delete()?;
            anyhow::bail!("httpd refuses the plugin:\n{}", check.message);
        }
        httpd.graceful()?;
        std::mem::replace(&mut self.served, new).delete()?;
        println!("The new build is served.");
        Ok(())
    }
}

fn profile(options: &PluginOptions) -> Profile {
    if options.release {
        Profile::Release
    } else {
        Profile::Debug
    }
}
