//! A loop that acts only when the test says so.

use std::sync::{Arc, Mutex};

use super::Wire;
use crate::output::{Caller, Home, Output, Wake};

/// A loop that acts only when the test says so.
#[derive(Default)]
pub(super) struct Loop {
    pub(super) due: Mutex<Vec<Arc<Output<Wire>>>>,
    pub(super) wakes: Mutex<usize>,
    /// Runs in the next thread that says what waits.
    pub(super) on_told: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

impl Loop {
    /// Ends a pass. Returns how many connections were written to.
    pub(super) fn write(&self) -> usize {
        let due = std::mem::take(&mut *self.due.lock().unwrap());
        for output in &due {
            output.write_for_session();
        }
        due.len()
    }

    pub(super) fn wakes(&self) -> usize {
        std::mem::take(&mut *self.wakes.lock().unwrap())
    }
}

impl Wake for Loop {
    fn wake(self: Arc<Self>) {
        *self.wakes.lock().unwrap() += 1;
    }
}

impl Home<Wire> for Loop {
    fn write_soon(&self, output: &Arc<Output<Wire>>, _: Caller) -> bool {
        let on_told = self.on_told.lock().unwrap().take();
        if let Some(on_told) = on_told {
            on_told();
        }
        self.due.lock().unwrap().push(Arc::clone(output));
        false
    }

    fn help(&self, output: &Arc<Output<Wire>>) {
        self.due.lock().unwrap().push(Arc::clone(output));
    }

    fn gathers(&self) -> bool {
        true
    }
}
