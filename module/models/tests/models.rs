//! Runs the models.

use loom::model::Builder;

/// Tries all interleavings in which threads are preempted twice at most, besides giving way where they
/// wait. More would take hours, and mistakes hardly ever need more (loom's documentation).
fn model(threads: impl Fn() + Send + Sync + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(2);
    builder.check(threads);
}

#[test]
fn every_arrival_is_followed_by_a_turn() {
    model(models::every_arrival_is_followed_by_a_turn);
}

#[test]
fn a_wake_up_during_a_turn_is_not_lost() {
    model(models::a_wake_up_during_a_turn_is_not_lost);
}

#[test]
fn a_turn_that_blocks_is_found() {
    model(models::a_turn_that_blocks_is_found);
}

#[test]
fn one_thread_owns_a_loop() {
    model(models::one_thread_owns_a_loop);
}

#[test]
fn a_table_outlives_every_send() {
    model(models::a_table_outlives_every_send);
}
