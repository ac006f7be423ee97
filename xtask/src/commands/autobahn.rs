//! `cargo xtask autobahn`.

use anyhow::Result;
use clap::Args;
use xtask::autobahn::{Client, Driver, Selection, Setup};
use xtask::server_root::Mpm;
use xtask::workspace::{Profile, Workspace};

use crate::packages;

#[derive(Args)]
pub(crate) struct Options {
    /// The multi-processing module
    #[arg(long, value_enum, default_value_t = Mpm::Event)]
    mpm: Mpm,
    /// Run the cases over TLS
    #[arg(long)]
    tls: bool,
    /// The driver of the connections [default: event on the event MPM, else blocking]
    #[arg(long, value_enum)]
    driver: Option<Driver>,
    /// Run only these cases, such as 1.1.1 or 9.*, separated by commas
    #[arg(long, value_delimiter = ',', value_name = "PATTERN")]
    cases: Vec<String>,
}

pub(super) fn autobahn(options: &Options) -> Result<()> {
    packages::install_missing()?;
    packages::install_python()?;
    let workspace = Workspace::find()?;
    let client = Client::install(workspace.target_dir())?;
    let module = workspace.build_module(Profile::Release)?;
    let folder = workspace.target_dir().join("autobahn/report");
    let selection = Selection {
        include: options.cases.clone(),
        ..Selection::default()
    };
    let report = options.setup().run(&client, &module, &folder, &selection)?;
    report.ensure_passed()?;
    println!("{report}");
    Ok(())
}

impl Options {
    fn setup(&self) -> Setup {
        let of_the_mpm = if self.mpm == Mpm::Event {
            Driver::Event
        } else {
            Driver::Blocking
        };
        Setup {
            mpm: self.mpm,
            driver: self.driver.unwrap_or(of_the_mpm),
            tls: self.tls,
        }
    }
}
