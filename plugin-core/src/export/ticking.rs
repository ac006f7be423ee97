//! The functions for ticks, behind the extension table.

use super::guard::Scope;
use super::{Exported, Slot};
use crate::abi::{InstancePtr, TickPlan};
use crate::{Plugin, Tick, Topics};
use std::sync::PoisonError;

/// `Extension::ticks`.
pub(super) unsafe extern "C" fn ticks<P: Exported>(instance: InstancePtr) -> TickPlan {
    // SAFETY: the module passes an instance that `configure` returned and that is not yet released.
    let plugin = unsafe { &*instance.0.cast::<P::Runs>() };
    let scope = Scope::detached(&P::slot().source);
    let ticks = scope.run_logged("ticks", || plugin.ticks()).flatten();
    ticks.map_or(TickPlan::NONE, |ticks| {
        TickPlan::new(ticks.interval, ticks.is_in_one_process)
    })
}

/// `Extension::on_tick`.
pub(super) unsafe extern "C" fn on_tick<P: Exported>(instance: InstancePtr, nanoseconds: u64) {
    let slot = P::slot();
    // SAFETY: as above. The module releases an instance when its last tick has returned.
    let plugin = unsafe { &*instance.0.cast::<P::Runs>() };
    let scope = Scope::detached(&slot.source);
    let Ok(topics) = Topics::host() else {
        // Every module that has ticks has topics, too.
        return scope.error("on_tick is not called: there are no topics");
    };
    let tick = Tick::at(nanoseconds, topics);
    let failed = match scope.run(|| plugin.on_tick(&tick)) {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(format!("on_tick: {}", crate::close::chain(error.as_ref()))),
        Err(panic) => Some(panic.describe("on_tick")),
    };
    // What fails often fails at each tick: the log gets one line.
    let has_failed_before = slot.set_failing(instance, failed.is_some());
    if let Some(text) = failed.filter(|_| !has_failed_before) {
        scope.error(&text);
    }
}

/// `Extension::end_ticks`.
pub(super) unsafe extern "C" fn end_ticks<P: Exported>(instance: InstancePtr) {
    // SAFETY: as above. This wakes a thread, runs no code of the plugin's author, and does not
    // panic.
    P::end_ticks(unsafe { &*instance.0.cast::<P::Runs>() });
}

impl<P> Slot<P> {
    /// Notes whether the last tick of an instance has failed. Returns whether the one before had.
    /// An instance that is released has to be set to `false`, as another one may get its address.
    pub(super) fn set_failing(&self, instance: InstancePtr, fails: bool) -> bool {
        let address = instance.0.addr();
        let mut failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        let known = failing.iter().position(|failing| *failing == address);
        match known {
            None if fails => failing.push(address),
            Some(place) if !fails => _ = failing.swap_remove(place),
            _ => {}
        }
        known.is_some()
    }
}
