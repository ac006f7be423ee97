//! Who publishes.

use std::ptr;

use crate::output::{Caller, Output};

/// Who publishes.
#[derive(Clone, Copy)]
pub struct Publisher<'p> {
    /// Whose thread it is.
    pub caller: Caller,
    /// The connection whose callback publishes, if one does.
    pub own: Option<&'p Output>,
}

impl Publisher<'_> {
    /// A thread of a plugin.
    #[must_use]
    pub fn thread() -> Self {
        Self {
            caller: Caller::Thread,
            own: None,
        }
    }

    pub(super) fn caller_for(&self, output: &Output) -> Caller {
        match self.own {
            Some(own) if ptr::eq(own, output) => Caller::Own,
            _ => self.caller,
        }
    }
}
