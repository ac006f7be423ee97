//! Arbitrary bytes after the handshake: however they are cut, the receiver's outcome is the same,
//! within limits of memory and work.

#![no_main]

use libfuzzer_sys::fuzz_target;
use websocket_fuzz::receive::{Delivery, Settings, receive, receive_in_parts};

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
    for delivery in [delivery, Delivery::Bytes, Delivery::Whole] {
        assert_eq!(
            receive_in_parts(limits, None, bytes, delivery),
            whole,
            "in parts, {delivery:?}"
        );
    }
});
