//! The formats of packages.

use clap::ValueEnum;

/// The format of a package.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For Debian and Ubuntu.
    Deb,
    /// For Fedora and its relatives.
    Rpm,
    /// For an httpd in a folder of its own, such as `/usr/local/apache2`.
    Tar,
}
