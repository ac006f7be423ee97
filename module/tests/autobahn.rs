//! Every rule of the protocol: the Autobahn test suite against a real httpd.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Result, ensure};
use libtest_mimic::{Arguments, Failed, Trial};
use xtask::autobahn::{Client, Driver, PLAIN_CASES, Selection, Setup};
use xtask::server_root::Mpm;
use xtask::workspace::{Workspace, module_library};

/// A server, the cases to run against it, and their number.
struct Run {
    name: &'static str,
    driver: Driver,
    tls: bool,
    include: &'static [&'static str],
    exclude: &'static [&'static str],
    cases: usize,
}

/// All groups with compression except the first. They take most of the time, and run without the
/// event driver only in `cargo xtask autobahn`.
const MOST_OF_COMPRESSION: &[&str] = &["12.2.*", "12.3.*", "12.4.*", "12.5.*", "13.*"];

/// The number of cases in group 12.1, and in each other group with compression.
const GROUP: usize = 18;

/// The first two together are all cases.
const RUNS: [Run; 4] = [
    Run {
        name: "event, messages with compression",
        driver: Driver::Event,
        tls: false,
        include: MOST_OF_COMPRESSION,
        exclude: &[],
        cases: 11 * GROUP,
    },
    Run {
        name: "event",
        driver: Driver::Event,
        tls: false,
        include: &[],
        exclude: MOST_OF_COMPRESSION,
        cases: PLAIN_CASES + GROUP,
    },
    Run {
        name: "blocking",
        driver: Driver::Blocking,
        tls: false,
        include: &[],
        exclude: MOST_OF_COMPRESSION,
        cases: PLAIN_CASES + GROUP,
    },
    Run {
        name: "tls",
        driver: Driver::Event,
        tls: true,
        include: &[],
        exclude: MOST_OF_COMPRESSION,
        cases: PLAIN_CASES + GROUP,
    },
];

fn main() -> Result<ExitCode> {
    let mut arguments = Arguments::from_args();
    // They wait more than they compute, so all of them run at the same time.
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
        let patterns = |list: &[&str]| list.iter().copied().map(str::to_owned).collect();
        let selection = Selection {
            include: patterns(self.include),
            exclude: patterns(self.exclude),
        };
        let folder = target_dir.join("autobahn").join(self.name);
        let report = setup.run(client, &module_library()?, &folder, &selection)?;
        report.ensure_passed()?;
        ensure!(report.len() == self.cases, "not all cases: {report}");
        println!("{}: {report}", self.name);
        Ok(())
    }
}
