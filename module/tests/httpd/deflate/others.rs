//! Clients of other makes, as they are, that do not understand all of the extension.

use anyhow::Result;
use xtask::command::output_of;
use xtask::python::Environment;
use xtask::workspace::Workspace;

use crate::deflate::{Deflated, TARGETS, text};
use crate::support::{Context, cases};

cases! {
    "compression: Tornado is understood" => tornado,
    "compression: clients that keep their context whatever the server answers are understood" => stubborn,
}

/// The package of PyPI and its version.
const TORNADO: &str = "tornado==6.5.2";

/// It offers `client_max_window_bits`, and overlooks parameters without a value in the answer.
fn tornado(context: &Context) -> Result<()> {
    let target_dir = Workspace::find()?.target_dir().to_owned();
    let tornado = Environment::install_if_possible(&target_dir, TORNADO, "Tornado")?;
    let Some(tornado) = tornado else {
        return Ok(());
    };
    for target in TARGETS {
        output_of(
            tornado
                .python()
                .args(["-c", include_str!("tornado.py")])
                .arg(format!("ws://{}{target}", context.address()?)),
        )?;
    }
    Ok(())
}

/// As Mojolicious 9 does it: its offer has no parameters, and it reads none.
fn stubborn(context: &Context) -> Result<()> {
    for target in TARGETS {
        let mut client = Deflated::open(context, target, "permessage-deflate")?;
        client.keeps_own = true;
        for number in 0..100 {
            // Longer than the window in all.
            client.echo_text(&text(number % 3, 1000))?;
        }
        client.client.close()?;
    }
    Ok(())
}
