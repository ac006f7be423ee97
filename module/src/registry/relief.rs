//! Closes the connections that hold most memory when clients hold too much.

use std::cmp::Reverse;
use std::sync::Arc;

use crate::budget::{Overdraft, STEP};
use crate::httpd::log::{Level, log_server};
use crate::output::Output;

/// The payload of the close frame: code 1013 and a reason.
const PAYLOAD: &[u8] = b"\x03\xf5memory limit";

/// Closes the connections among `outputs` that hold most, as many as needed.
pub(super) fn relieve(overdraft: Overdraft, outputs: Vec<Arc<Output>>) {
    let chosen = choose(outputs, overdraft.excess);
    let Some((greediest, _)) = chosen.first() else {
        return;
    };
    log(overdraft, chosen.len(), *greediest);
    for (_, output) in &chosen {
        output.cut(PAYLOAD);
    }
}

/// Chooses the connections that hold most, so that they and those being cut already hold `excess`
/// bytes together.
fn choose(outputs: Vec<Arc<Output>>, excess: usize) -> Vec<(usize, Arc<Output>)> {
    let held = outputs.into_iter().map(|output| (output.held(), output));
    let (cut, mut others): (Vec<_>, Vec<_>) = held.partition(|(_, output)| output.is_cut());
    others.sort_unstable_by_key(|(held, _)| Reverse(*held));
    let mut given_up: usize = cut.iter().map(|(held, _)| held).sum();
    let chosen = others.into_iter().take_while(|(held, _)| {
        let is_chosen = given_up < excess && *held >= STEP;
        given_up += held;
        is_chosen
    });
    chosen.collect()
}

fn log(Overdraft { held, limit, .. }: Overdraft, count: usize, greediest: usize) {
    let text = format!(
        "unfinished messages and queues of clients take {} KiB, and WebSocketMemoryLimit allows \
         {} KiB: closing {count} connections with 1013, the greediest of which holds {} KiB",
        held >> 10,
        limit >> 10,
        greediest >> 10
    );
    log_server(Level::Warning, &text);
}
