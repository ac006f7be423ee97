//! What a series is, in shared memory.

use std::hash::{DefaultHasher, Hasher};
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};

use super::declared::{Declared, Kind};

/// The bytes of all parts of a record together, each with two bytes for its length.
const TEXT: usize = 1000;

/// The state of a record that can be read. A child that is killed while it writes leaves another
/// one, and the record is not used.
const WRITTEN: u32 = 1;

/// A record. All zeros: not written.
#[repr(C)]
pub(super) struct Record {
    state: AtomicU32,
    first_cell: AtomicU32,
    /// How long the key is, and it with the help text.
    key_length: AtomicU32,
    length: AtomicU32,
    /// The key: plugin, metric, kind, bounds, and name and value of each label. Then the help text.
    text: [AtomicU8; TEXT],
}

/// What distinguishes a series from all others.
pub(super) struct Key {
    text: Vec<u8>,
    /// Not zero.
    pub(super) hash: u64,
}

impl Key {
    pub(super) fn of(declared: &Declared) -> Self {
        let mut text = Vec::with_capacity(128);
        let kind = match declared.kind {
            Kind::Counter => b"c",
            Kind::Gauge => b"g",
            Kind::Histogram => b"h",
        };
        let bounds: Vec<_> = declared
            .bounds
            .iter()
            .flat_map(|bound| bound.to_le_bytes())
            .collect();
        push(&mut text, declared.plugin.as_bytes());
        push(&mut text, declared.name.as_bytes());
        push(&mut text, kind);
        push(&mut text, &bounds);
        for (name, value) in &declared.labels {
            push(&mut text, name.as_bytes());
            push(&mut text, value.as_bytes());
        }
        Self {
            hash: hash(&text),
            text,
        }
    }
}

/// Not zero.
pub(super) fn hash(text: &[u8]) -> u64 {
    // All children of a parent process have the same hasher.
    let mut hasher = DefaultHasher::new();
    hasher.write(text);
    hasher.finish().max(1)
}

fn push(text: &mut Vec<u8>, part: &[u8]) {
    let length = u16::try_from(part.len()).unwrap_or(u16::MAX);
    text.extend(length.to_le_bytes());
    text.extend(&part[..length.into()]);
}

impl Record {
    /// Whether there is room for all that is declared.
    pub(super) fn fits(key: &Key, declared: &Declared) -> bool {
        key.text.len() + 2 + declared.help.len() <= TEXT
    }

    /// Writes the record, which nobody else writes to. It [fits](Self::fits).
    pub(super) fn write(&self, key: &Key, declared: &Declared, first_cell: usize) {
        let mut text = key.text.clone();
        push(&mut text, declared.help.as_bytes());
        for (place, byte) in self.text.iter().zip(&text) {
            place.store(*byte, Ordering::Relaxed);
        }
        for (place, number) in [
            (&self.first_cell, first_cell),
            (&self.key_length, key.text.len()),
            (&self.length, text.len()),
        ] {
            place.store(u32::try_from(number).unwrap_or(0), Ordering::Relaxed);
        }
        // Release: whoever sees this sees what was written before.
        self.state.store(WRITTEN, Ordering::Release);
    }

    pub(super) fn first_cell(&self) -> usize {
        self.first_cell.load(Ordering::Relaxed) as usize
    }

    /// Whether the record has been written, with this key.
    pub(super) fn is(&self, key: &Key) -> bool {
        let bytes = || self.text.iter().map(|byte| byte.load(Ordering::Relaxed));
        self.state.load(Ordering::Acquire) == WRITTEN
            && self.key_length.load(Ordering::Relaxed) as usize == key.text.len()
            && bytes()
                .zip(&key.text)
                .all(|(byte, expected)| byte == *expected)
    }

    /// What the record says, if it has been written.
    pub(super) fn read(&self) -> Option<Declared> {
        if self.state.load(Ordering::Acquire) != WRITTEN {
            return None;
        }
        let length = self.length.load(Ordering::Relaxed) as usize;
        let text: Vec<_> = self.text[..length.min(TEXT)]
            .iter()
            .map(|byte| byte.load(Ordering::Relaxed))
            .collect();
        let mut parts = parts(&text);
        let mut text = || {
            parts
                .next()
                .map(|part| String::from_utf8_lossy(part).into_owned())
        };
        let (plugin, name, kind) = (text()?, text()?, text()?);
        let bounds = parts.next()?.chunks_exact(8);
        let bounds = bounds.map(|bits| f64::from_le_bytes(bits.try_into().unwrap_or_default()));
        let bounds = bounds.collect();
        let mut rest: Vec<_> = parts
            .map(|part| String::from_utf8_lossy(part).into_owned())
            .collect();
        let help = rest.pop()?;
        let labels = rest
            .chunks_exact(2)
            .map(|pair| (pair[0].clone(), pair[1].clone()))
            .collect();
        Some(Declared {
            kind: match &*kind {
                "c" => Kind::Counter,
                "g" => Kind::Gauge,
                _ => Kind::Histogram,
            },
            plugin,
            name,
            help,
            bounds,
            labels,
        })
    }
}

/// The parts that [`push`] has put together.
fn parts(mut text: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (length, rest) = text.split_first_chunk::<2>()?;
        let (part, rest) = rest.split_at_checked(u16::from_le_bytes(*length).into())?;
        text = rest;
        Some(part)
    })
}
