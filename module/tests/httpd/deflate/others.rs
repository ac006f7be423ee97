//! Unmodified clients of other projects that do not understand all of the extension.

use anyhow::Result;
use xtask::command::output_of;
use xtask::python::Environment;
use xtask::workspace::Workspace;

use crate::deflate::{Deflated, TARGETS, text};
use crate::support::{Context, cases};

cases! {
    "compression: messages of Tornado are understood" => tornado,
    "compression: messages of clients that always keep their context are understood" => stubborn,
}

/// The package on PyPI, with its version.
const TORNADO: &str = "tornado==6.5.2";

/// It offers `client_max_window_bits`, and ignores parameters without a value in the answer.
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

/// Like Mojolicious 9: its offer has no parameters, and it ignores those of the answer.
fn stubborn(context: &Context) -> Result<()> {
    for target in TARGETS {
        let mut client = Deflated::open(context, target, "permessage-deflate")?;
        client.keeps_own = true;
        for number in 0..100 {
            // The messages together are longer than the window.
            client.echo_text(&text(number % 3, 1000))?;
        }
        client.client.close()?;
    }
    Ok(())
}
