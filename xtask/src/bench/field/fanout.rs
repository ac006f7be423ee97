//! The servers that send every message to all.

use std::path::Path;

use anyhow::Result;
use xtask::c_plugin;
use xtask::workspace::Profile;

use super::{Against, Field, PLUGINS, Program, RUST_PLUGIN, Served, Setup};
use crate::bench::fanout::FLOOR;

const FLOOR_PROGRAM: Program = Program {
    name: FLOOR,
    file: "floor-fanout",
    arguments: &[],
    speaks_tls: false,
    compresses: false,
};

/// The plugins that send in the callback, and those that have a thread of their own do so.
const IN_CALLBACK: &str = "fanout_init";
const IN_THREAD: &str = "fanout_thread_init";

const C_CALLBACK: &str = "C plugin";
const C_THREAD: &str = "C thread";

impl Field {
    /// Our module with each plugin, another module with those in C, and the floor.
    pub(super) fn start_fanout(setup: &Setup<'_>, against: Option<&Against>) -> Result<Self> {
        let module = setup.workspace.build_module(Profile::Release)?;
        let in_rust = setup
            .workspace
            .build_library(Path::new(PLUGINS), Profile::Release)?;
        let in_c = c_plugin::compile(
            setup.workspace.root().join(PLUGINS).join("fanout.c"),
            setup.workspace.target_dir().join("bench/plugins"),
            setup.workspace.include_dir(),
        )?;
        let mut field = Self::default();
        let ours = Served {
            name: C_CALLBACK,
            counterpart: None,
            folder: "httpd-fanout",
            module: &module,
            plugin: &in_c,
            init: IN_CALLBACK,
            directives: &setup.config,
            processes: 1,
            cores: None,
            compression: None,
        };
        for (name, plugin, init) in [
            (C_CALLBACK, &in_c, IN_CALLBACK),
            (RUST_PLUGIN, &in_rust, IN_CALLBACK),
            (C_THREAD, &in_c, IN_THREAD),
            ("Rust thread", &in_rust, IN_THREAD),
        ] {
            let served = Served {
                name,
                plugin,
                init,
                ..ours
            };
            field.start_httpd(setup, &served)?;
        }
        field.start_topics(setup, &ours, &in_rust)?;
        if let Some(loops) = setup.loops {
            field.start_several_loops(setup, &ours, loops)?;
        }
        if let Some(other) = against {
            field.start_other(setup, &ours, other)?;
        }
        if FLOOR_PROGRAM.takes_part(setup.tls, None) {
            field.start_peer(setup, &FLOOR_PROGRAM, None)?;
        }
        Ok(field)
    }

    fn start_several_loops(
        &mut self,
        setup: &Setup<'_>,
        ours: &Served<'_>,
        loops: usize,
    ) -> Result<()> {
        let most = loops.max(64);
        let directives = format!("{}\nWebSocketThreads {loops} {most}", setup.config);
        for (name, init, counterpart) in [
            ("C plugin, more loops", IN_CALLBACK, C_CALLBACK),
            ("C thread, more loops", IN_THREAD, C_THREAD),
        ] {
            let served = Served {
                name,
                counterpart: Some(counterpart),
                init,
                directives: &directives,
                cores: Some(loops),
                ..*ours
            };
            self.start_httpd(setup, &served)?;
        }
        Ok(())
    }

    /// With a plugin of its own, or with each of ours in C.
    fn start_other(&mut self, setup: &Setup<'_>, ours: &Served<'_>, other: &Against) -> Result<()> {
        let callback = Served {
            name: "other module",
            counterpart: Some(C_CALLBACK),
            folder: "httpd-fanout-other",
            module: &other.module,
            directives: "",
            ..*ours
        };
        if let Some(plugin) = &other.plugin {
            let served = Served {
                plugin,
                init: &other.init,
                ..callback
            };
            return self.start_httpd(setup, &served);
        }
        self.start_httpd(setup, &callback)?;
        let thread = Served {
            name: "other module, thread",
            counterpart: Some(C_THREAD),
            init: IN_THREAD,
            ..callback
        };
        self.start_httpd(setup, &thread)
    }
}
