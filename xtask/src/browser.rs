//! The browser of the tests: Chromium, and the WebDriver server that comes with it.

use std::env;
use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::apache::which;

/// The environment variable that says whether the tests with a browser run: `required` makes them
/// fail where there is none, `off` leaves them out. Otherwise they run where there is one.
pub const TEST_BROWSER: &str = "WEBSOCKET_TEST_BROWSER";

/// Whether to run the tests with a browser.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// If there is a browser.
    IfPresent,
    /// In any case.
    Required,
    /// Not at all.
    Off,
}

impl Policy {
    /// What [`TEST_BROWSER`] asks for.
    ///
    /// # Errors
    /// The variable holds another word.
    pub fn of_environment() -> Result<Self> {
        let value = env::var_os(TEST_BROWSER).unwrap_or_default();
        Self::parse(&value.to_string_lossy())
    }

    fn parse(value: &str) -> Result<Self> {
        match value {
            "" => Ok(Self::IfPresent),
            "required" => Ok(Self::Required),
            "off" => Ok(Self::Off),
            _ => bail!("{TEST_BROWSER}={value}: required or off"),
        }
    }
}

/// The programs; both must be of the same version.
#[derive(Debug)]
pub struct Browser {
    /// Chromium, or Google Chrome.
    pub chromium: PathBuf,
    /// Its WebDriver server.
    pub chromedriver: PathBuf,
}

impl Browser {
    /// Looks for them on the `PATH`.
    #[must_use]
    pub fn find() -> Option<Self> {
        let chromium = ["chromium", "google-chrome"];
        Some(Self {
            chromium: chromium.iter().find_map(which)?,
            chromedriver: which("chromedriver")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_is_one_of_three() {
        assert_eq!(Policy::parse("").unwrap(), Policy::IfPresent);
        assert_eq!(Policy::parse("required").unwrap(), Policy::Required);
        assert_eq!(Policy::parse("off").unwrap(), Policy::Off);
        let error = Policy::parse("yes").unwrap_err().to_string();
        assert!(error.contains("WEBSOCKET_TEST_BROWSER=yes"), "{error}");
    }
}
