//! What the load generator has measured.

use std::str::FromStr;

use anyhow::{Context, Result};

/// What the generator has printed: `name=value` pairs.
#[derive(Debug)]
pub(crate) struct Values(String);

impl Values {
    pub(crate) fn new(line: String) -> Self {
        Self(line)
    }

    /// # Errors
    /// There is no such value.
    pub(crate) fn number(&self, name: &str) -> Result<f64> {
        self.parse(name)
    }

    /// # Errors
    /// There is no such value, or it is no whole number.
    pub(crate) fn integer(&self, name: &str) -> Result<usize> {
        self.parse(name)
    }

    fn parse<T: FromStr>(&self, name: &str) -> Result<T> {
        let mut pairs = self
            .0
            .split_whitespace()
            .filter_map(|pair| pair.split_once('='));
        let value = pairs.find_map(|(key, value)| (key == name).then_some(value));
        let number = value.and_then(|value| value.parse().ok());
        number.with_context(|| format!("no {name} in `{}`", self.0))
    }
}
