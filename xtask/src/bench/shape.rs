//! How a load looks.

use std::fmt::{self, Display, Formatter};
use std::str::FromStr;

use anyhow::{Result, bail};

/// So many connections, messages of so many bytes, so many of them in flight on each connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    connections: u32,
    size: u32,
    in_flight: u32,
}

const KIB: u32 = 1024;
const MIB: u32 = 1024 * KIB;

/// One message at a time, many at a time, large ones.
pub(crate) const PLAIN: [Shape; 8] = [
    Shape::new(16, 32, 1),
    Shape::new(64, 32, 1),
    Shape::new(1000, 32, 1),
    Shape::new(16, 32, 64),
    Shape::new(16, KIB, 16),
    Shape::new(8, 16 * KIB, 4),
    Shape::new(4, 64 * KIB, 4),
    Shape::new(2, MIB, 2),
];

/// The same over TLS.
pub(crate) const TLS: [Shape; 5] = [
    Shape::new(64, 32, 1),
    Shape::new(16, 32, 64),
    Shape::new(16, KIB, 16),
    Shape::new(8, 16 * KIB, 4),
    Shape::new(2, MIB, 2),
];

/// Messages for all: the sockets that get each.
pub(crate) const FANOUT: [Shape; 4] = [
    Shape::new(1000, 64, 1),
    Shape::new(1000, 64, 16),
    Shape::new(1000, KIB, 4),
    Shape::new(5000, 64, 4),
];

/// The same where event loops on several cores share the work.
pub(crate) const FANOUT_LOOPS: [Shape; 1] = [Shape::new(5000, 64, 4)];

/// What is compressed.
pub(crate) const COMPRESSION: [Shape; 2] = [Shape::new(16, KIB, 1), Shape::new(16, KIB, 16)];

impl Shape {
    pub(crate) const fn new(connections: u32, size: u32, in_flight: u32) -> Self {
        Self {
            connections,
            size,
            in_flight,
        }
    }

    /// As the command line has it: `16x1024x16`.
    pub(crate) fn argument(self) -> String {
        let Self {
            connections,
            size,
            in_flight,
        } = self;
        format!("{connections}x{size}x{in_flight}")
    }
}

impl FromStr for Shape {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let positive = |number: &str| number.parse().ok().filter(|&number| number > 0);
        let numbers: Option<Vec<u32>> = text.split('x').map(positive).collect();
        let Some(&[connections, size, in_flight]) = numbers.as_deref() else {
            bail!("not CONNECTIONSxBYTESxIN_FLIGHT, as 16x1024x16");
        };
        Ok(Self::new(connections, size, in_flight))
    }
}

/// For people: `16 x 1 KiB x 16`.
impl Display for Shape {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (size, unit) = match self.size {
            size if size % MIB == 0 => (size / MIB, "MiB"),
            size if size % KIB == 0 => (size / KIB, "KiB"),
            size => (size, "B"),
        };
        write!(
            f,
            "{} x {size} {unit} x {}",
            self.connections, self.in_flight
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_read_and_written() {
        for (argument, text) in [
            ("16x32x1", "16 x 32 B x 1"),
            ("16x1024x16", "16 x 1 KiB x 16"),
            ("2x1048576x2", "2 x 1 MiB x 2"),
            ("2x1500x2", "2 x 1500 B x 2"),
        ] {
            let shape: Shape = argument.parse().unwrap();
            assert_eq!(shape.to_string(), text);
            assert_eq!(shape.argument(), argument);
        }
        for bad in ["", "16", "16x32", "16x32x1x1", "0x32x1", "16xax1"] {
            assert!(bad.parse::<Shape>().is_err(), "{bad}");
        }
    }
}
