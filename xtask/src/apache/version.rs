//! Versions of httpd.

use std::fmt;

/// A version of httpd: 2.4.58 is `Version(2, 4, 58)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u32, pub u32, pub u32);

impl Version {
    /// The oldest version that the module supports.
    pub const OLDEST: Self = Self(2, 4, 37);

    /// The versions with which all tests have been run that they can pass.
    pub const TESTED: [Self; 4] = [
        Self(2, 4, 52),
        Self(2, 4, 58),
        Self(2, 4, 62),
        Self(2, 4, 71),
    ];

    /// The first version in `text`, in the form in which httpd prints its own: `Apache/2.4.58`.
    #[must_use]
    pub fn in_text(text: &str) -> Option<Self> {
        let (_, rest) = text.split_once("Apache/")?;
        let mut numbers = rest
            .split(|character: char| !character.is_ascii_digit())
            .map(str::parse);
        let mut next = || numbers.next()?.ok();
        Some(Self(next()?, next()?, next()?))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(major, minor, patch) = self;
        write!(f, "{major}.{minor}.{patch}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_that_httpd_prints_is_parsed() {
        let said = "Server version: Apache/2.4.58 (Unix)\nServer built:   Nov 26 2026";
        let version = Version::in_text(said).unwrap();
        assert_eq!(version, Version(2, 4, 58));
        assert_eq!(version.to_string(), "2.4.58");
        assert_eq!(Version::in_text("Apache/2.4"), None);
        assert_eq!(Version::in_text("nginx/1.2.3"), None);
        assert!(Version(2, 4, 9) < Version(2, 4, 37));
    }

    #[test]
    fn the_book_names_the_versions_that_were_tested() {
        let page = include_str!("../../../docs/src/install.md");
        let (_, section) = page.split_once("\n## Versions of httpd\n").unwrap();
        let (text, _) = section.split_once("\n| httpd |").unwrap();
        for version in Version::TESTED.into_iter().chain([Version::OLDEST]) {
            assert!(text.contains(&version.to_string()), "{version}: {text}");
        }
    }
}
