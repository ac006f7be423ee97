//! `cargo xtask setup`.

use anyhow::Result;
use xtask::apache::{Apache, Version};

use crate::packages;

pub(super) fn setup() -> Result<()> {
    packages::install_missing()?;
    println!("Everything that building and testing need is installed.");
    println!("{}", httpd(Apache::find()?.version));
    Ok(())
}

/// What is known of the httpd that the module is built for.
fn httpd(version: Version) -> String {
    let tested = Version::TESTED
        .map(|version| version.to_string())
        .join(", ");
    format!("The module is built for httpd {version}. The tests have been run with {tested}.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_versions_in_use_and_in_the_tests_are_named() {
        assert_eq!(
            httpd(Version(2, 4, 57)),
            "The module is built for httpd 2.4.57. The tests have been run with 2.4.52, 2.4.58, \
             2.4.62, 2.4.71."
        );
    }
}
