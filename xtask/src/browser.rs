//! The browser for the tests: Chromium, and its WebDriver server.

use std::env;
use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::apache::which;

/// The environment variable that controls the tests with a browser. With `required` they fail if
/// there is no browser, with `off` they are skipped. By default they run if there is a browser.
pub const TEST_BROWSER: &str = "WEBSOCKET_TEST_BROWSER";

/// Whether to run the tests with a browser.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Yes, if there is a browser.
    IfPresent,
    /// Yes, and fail if there is no browser.
    Required,
    /// No.
    Off,
}

impl Policy {
    /// The policy that [`TEST_BROWSER`] sets.
    ///
    /// # Errors
    /// The variable has another value.
    pub fn of_environment() -> Result<Self> {
        let value = env::var_os(TEST_BROWSER).unwrap_or_default();
        Self::parse(&value.to_string_lossy())
    }

    fn parse(value: &str) -> Result<Self> {
        match value {
            "" => Ok(Self::IfPresent),
            "required" => Ok(Self::Required),
            "off" => Ok(Self::Off),
            _ => bail!("{TEST_BROWSER}={value}: the value must be required or off"),
        }
    }
}

/// The programs. Both must have the same version.
#[derive(Debug)]
pub struct Browser {
    /// Chromium, or Google Chrome.
    pub chromium: PathBuf,
    /// Its WebDriver server.
    pub chromedriver: PathBuf,
}

impl Browser {
    /// Finds them on the `PATH`.
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
