//! How long a turn takes.

use std::io::Write;
use std::thread::sleep;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::DeflateEncoder;

use super::{Case, READ, text};
use crate::output::SlowClient;
use crate::protocol::{DeflateContext, DeflateParameters, Lifespan, Limits, Receiver};
use crate::session::Next;

const SLOW: Duration = Duration::from_millis(1);

/// How many callbacks each turn runs, until nothing is left.
fn callbacks(case: &mut Case) -> Vec<usize> {
    let mut counts = Vec::new();
    loop {
        let next = case
            .session
            .as_mut()
            .unwrap()
            .turn(&mut [0; 32 * 1024], Instant::now(), false);
        counts.push(case.events.take().len());
        if next != Next::Again {
            assert_eq!(next, READ);
            return counts;
        }
    }
}

#[test]
fn a_read_of_many_messages_lets_others_have_a_turn() {
    const COUNT: usize = 500;
    let mut case = Case::new(|_| Box::new(|_| sleep(SLOW)));
    case.wire.send(&[text("x").repeat(COUNT)]);
    let counts = callbacks(&mut case);
    assert!(counts.iter().all(|count| *count <= 32), "{counts:?}");
    assert_eq!(counts.iter().sum::<usize>(), COUNT);
}

#[test]
fn what_few_compressed_bytes_inflate_to_lets_others_have_a_turn() {
    const LENGTH: usize = 4 << 20;
    let limits = Limits {
        max_message_size: 1 << 30,
        max_fragments: 16_384,
        allow_reserved_status_codes: false,
    };
    let agreed = DeflateParameters::negotiate(b"permessage-deflate", DeflateContext::Shared);
    let receiver = Receiver::with_deflate(limits, agreed).in_parts();
    let mut case = Case::receiving(receiver, &Lifespan::default(), SlowClient::Wait, |_| {
        Box::new(|_| sleep(SLOW))
    });
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(&vec![b'x'; LENGTH]).unwrap();
    encoder.flush().unwrap();
    let payload = encoder.get_ref().strip_suffix(&[0, 0, 0xff, 0xff]).unwrap();
    let length = u16::try_from(payload.len()).unwrap().to_be_bytes();
    let message = [&[0xc2, 0xfe], &length[..], &[0; 4], payload].concat();
    case.wire.send(&[message]);
    let counts = callbacks(&mut case);
    assert!(counts.iter().all(|count| *count <= 2), "{counts:?}");
    assert!(
        counts.iter().sum::<usize>() >= LENGTH / (64 * 1024),
        "{counts:?}"
    );
}
