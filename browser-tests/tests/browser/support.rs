//! What the cases share: the servers, the browsers, and using a page.

pub(crate) mod browsers;
mod chromedriver;
mod command;
pub(crate) mod context;
pub(crate) mod page;

use std::time::Duration;

use anyhow::Result;

pub(crate) use self::context::Context;
pub(crate) use self::page::Page;

/// How long anything may take that is expected to happen. Loaded machines are slow.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A rule and the test that holds the demo and the module to it.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) run: fn(&Context) -> Result<()>,
}

/// Makes the list of cases of a theme from lines `"rule" => function`.
macro_rules! cases {
    ($($name:literal => $run:path),* $(,)?) => {
        pub(crate) const CASES: &[crate::support::Case] =
            &[$(crate::support::Case { name: $name, run: $run }),*];
    };
}
pub(crate) use cases;
