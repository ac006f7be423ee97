//! Every rule of the protocol, as the Autobahn test suite tries it on a real httpd.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Result, ensure};
use libtest_mimic::{Arguments, Failed, Trial};
use xtask::autobahn::{Client, Driver, PLAIN_CASES, Selection, Setup};
use xtask::server_root::Mpm;
use xtask::workspace::{Workspace, module_library};

/// A server, what is tried on it, and how many cases that must be.
struct Run {
    name: &'static str,
    driver: Driver,
    tls: bool,
    exclude: &'static [&'static str],
    cases: usize,
}

/// The cases of compression take many minutes: one group of them is run here, all of them by
/// `cargo xtask autobahn`.
const MOST_OF_COMPRESSION: &[&str] = &["12.2.*", "12.3.*", "12.4.*", "12.5.*", "13.*"];

const RUNS: [Run; 3] = [
    Run {
        name: "event",
        driver: Driver::Event,
        tls: false,
        exclude: MOST_OF_COMPRESSION,
        cases: PLAIN_CASES + 18,
    },
    Run {
        name: "blocking",
        driver: Driver::Blocking,
        tls: false,
        exclude: MOST_OF_COMPRESSION,
        cases: PLAIN_CASES + 18,
    },
    Run {
        name: "tls",
        driver: Driver::Event,
        tls: true,
        exclude: MOST_OF_COMPRESSION,
        cases: PLAIN_CASES + 18,
    },
];

fn main() -> Result<ExitCode> {
    let mut arguments = Arguments::from_args();
    // They wait more than they compute, so run all of them at a time.
    arguments.test_threads.get_or_insert(RUNS.len());
    Ok(libtest_mimic::run(&arguments, trials()?).exit_code())
}

fn trials() -> Result<Vec<Trial>> {
    let target_dir = Workspace::find()?.target_dir().to_owned();
    if !Mpm::under_test()?.contains(&Mpm::Event) {
        return Ok(Vec::new());
    }
    let Some(client) = Client::install_if_possible(&target_dir)? else {
        return Ok(Vec::new());
    };
    let client = Arc::new(client);
    let trial = |run: &'static Run| {
        let (client, target_dir) = (Arc::clone(&client), target_dir.clone());
        Trial::test(format!("every case passes: {}", run.name), move || {
            run.execute(&client, &target_dir)
                .map_err(|error| Failed::from(format!("{error:#}")))
        })
    };
    Ok(RUNS.iter().map(trial).collect())
}

impl Run {
    fn execute(&self, client: &Client, target_dir: &Path) -> Result<()> {
        let setup = Setup {
            mpm: Mpm::Event,
            driver: self.driver,
            tls: self.tls,
        };
        let selection = Selection {
            include: Vec::new(),
            exclude: self.exclude.iter().copied().map(str::to_owned).collect(),
        };
        let folder = target_dir.join("autobahn").join(self.name);
        let report = setup.run(client, &module_library()?, &folder, &selection)?;
        report.ensure_passed()?;
        ensure!(report.len() == self.cases, "not all cases: {report}");
        println!("{}: {report}", self.name);
        Ok(())
    }
}
