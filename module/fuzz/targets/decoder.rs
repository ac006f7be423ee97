//! Arbitrary bytes after the handshake: however they are cut, the receiver's outcome is the same,
//! within limits of memory and work.

#![no_main]

use libfuzzer_sys::fuzz_target;
use websocket_fuzz::receive::{Delivery, Settings, receive};

fuzz_target!(|input: &[u8]| {
    let Some((&settings, bytes)) = input.split_first() else {
        return;
    };
    let Settings { limits, delivery } = Settings::from(settings);
    let whole = receive(limits, None, bytes, Delivery::Whole);
    for delivery in [delivery, Delivery::Bytes] {
        assert_eq!(
            receive(limits, None, bytes, delivery),
            whole,
            "{delivery:?}"
        );
    }
});
