//! What packages are made of.

use anyhow::Result;
use xtask::workspace::Workspace;

use super::built::Built;
use super::dependencies::Dependencies;
use super::release::Release;

/// What packages are made of.
pub(crate) struct Ingredients<'a> {
    pub(crate) workspace: &'a Workspace,
    pub(crate) release: &'a Release,
    pub(crate) built: &'a Built,
    pub(crate) dependencies: Dependencies,
}

impl<'a> Ingredients<'a> {
    /// Finds out what is linked into the libraries.
    ///
    /// # Errors
    /// Cargo fails.
    pub(crate) fn new(
        workspace: &'a Workspace,
        release: &'a Release,
        built: &'a Built,
    ) -> Result<Self> {
        Ok(Self {
            workspace,
            release,
            built,
            dependencies: Dependencies::of(workspace)?,
        })
    }
}
