//! The end of a connection while other threads send: `gate.rs` of `websocket-plugin`.

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

use crate::gate::Gate;

/// No thread is in the table any more, nor gets there, when the gate is shut.
pub fn a_table_outlives_every_send() {
    let table = Arc::new(UnsafeCell::new("valid"));
    let gate = Arc::new(Gate::new(()));
    let senders: Vec<_> = (0..2)
        .map(|_| {
            let (gate, table) = (Arc::clone(&gate), Arc::clone(&table));
            thread::spawn(move || {
                let server = gate.read();
                if server.is_some() {
                    // loom notes the access, and fails if another thread writes meanwhile.
                    table.with(|_| ());
                }
            })
        })
        .collect();
    gate.shut();
    table.with_mut(|_| ());
    assert!(gate.read().is_none());
    for sender in senders {
        sender.join().unwrap();
    }
}
