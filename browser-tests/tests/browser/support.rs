//! Shared code of the cases: servers, browsers and pages.

pub(crate) mod browsers;
mod chromedriver;
mod command;
pub(crate) mod context;
pub(crate) mod page;

use std::time::Duration;

use anyhow::Result;

pub(crate) use self::context::Context;
pub(crate) use self::page::Page;

/// The longest time that an expected event may take. Loaded machines are slow.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A rule, and the test that checks it.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) run: fn(&Context) -> Result<()>,
}

/// Defines the cases of a file from lines of the form `"rule" => function`.
macro_rules! cases {
    ($($name:literal => $run:path),* $(,)?) => {
        pub(crate) const CASES: &[crate::support::Case] =
            &[$(crate::support::Case { name: $name, run: $run }),*];
    };
}
pub(crate) use cases;
