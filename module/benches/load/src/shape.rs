//! How a load looks.

use std::str::FromStr;

use anyhow::{Context, Result, ensure};

/// So many connections, messages so long, so many of them in flight on each connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Connections.
    pub connections: usize,
    /// Length of a message's payload in bytes.
    pub size: usize,
    /// Messages that are sent before the first must have come back.
    pub in_flight: usize,
}

impl FromStr for Shape {
    type Err = anyhow::Error;

    /// Reads `16x32x1`: 16 connections, 32 bytes, 1 message in flight.
    fn from_str(text: &str) -> Result<Self> {
        let numbers: Result<Vec<usize>, _> = text.split('x').map(str::parse).collect();
        let [connections, size, in_flight] = numbers?
            .try_into()
            .ok()
            .context("a shape is CONNECTIONSxBYTESxIN_FLIGHT, as 16x32x1")?;
        ensure!(
            connections > 0 && size > 0 && in_flight > 0,
            "a shape without connections, bytes or messages is no load"
        );
        Ok(Self {
            connections,
            size,
            in_flight,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Shape;

    #[test]
    fn three_numbers_are_a_shape() {
        let shape = Shape {
            connections: 2,
            size: 1_048_576,
            in_flight: 3,
        };
        assert_eq!("2x1048576x3".parse::<Shape>().unwrap(), shape);
        for bad in ["", "16", "16x32", "16x32x1x1", "0x32x1", "16xax1"] {
            assert!(bad.parse::<Shape>().is_err(), "{bad}");
        }
    }
}
