//! Runs the models.

use loom::model::Builder;

/// Tries all interleavings in which threads are preempted twice at most, besides giving way where
/// they wait. More would take hours, and mistakes hardly ever need more (loom's documentation).
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
fn a_message_follows_the_end_of_a_pause() {
    model(models::a_message_follows_the_end_of_a_pause);
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
fn what_is_published_is_delivered_by_whoever_delivers() {
    model(models::what_is_published_is_delivered_by_whoever_delivers);
}

#[test]
fn what_a_publisher_leaves_is_delivered_by_the_thread_for_that() {
    model(models::what_a_publisher_leaves_is_delivered_by_the_thread_for_that);
}

#[test]
fn a_table_outlives_every_send() {
    model(models::a_table_outlives_every_send);
}

#[test]
fn a_loop_writes_what_others_send() {
    model(models::a_loop_writes_what_others_send);
}

#[test]
fn an_idle_loop_lets_threads_write() {
    model(models::an_idle_loop_lets_threads_write);
}

#[test]
fn what_is_sent_early_is_written_by_the_first_turn() {
    model(models::what_is_sent_early_is_written_by_the_first_turn);
}

#[test]
fn the_session_learns_of_a_slow_client() {
    model(models::the_session_learns_of_a_slow_client);
}

#[test]
fn the_session_learns_of_a_close_frame() {
    model(models::the_session_learns_of_a_close_frame);
}

#[test]
fn a_loop_writes_what_a_callback_sends_while_it_blocks() {
    model(models::a_loop_writes_what_a_callback_sends_while_it_blocks);
}

#[test]
fn a_loop_writes_what_others_send_while_a_callback_blocks() {
    model(models::a_loop_writes_what_others_send_while_a_callback_blocks);
}

#[test]
fn the_flusher_writes_what_a_callback_sends_while_it_blocks() {
    model(models::the_flusher_writes_what_a_callback_sends_while_it_blocks);
}

#[test]
fn the_flusher_writes_what_others_send_while_a_callback_blocks() {
    model(models::the_flusher_writes_what_others_send_while_a_callback_blocks);
}

#[test]
fn one_close_frame_is_the_last() {
    model(models::one_close_frame_is_the_last);
}

#[test]
fn a_full_queue_drains() {
    model(models::a_full_queue_drains);
}

#[test]
fn a_refused_sender_hears_of_room() {
    model(models::a_refused_sender_hears_of_room);
}

#[test]
fn a_close_frame_releases_senders() {
    model(models::a_close_frame_releases_senders);
}

#[test]
fn the_end_of_a_session_releases_senders() {
    model(models::the_end_of_a_session_releases_senders);
}

#[test]
fn a_failure_releases_senders() {
    model(models::a_failure_releases_senders);
}

#[test]
fn a_timeout_ends_a_wait() {
    model(models::a_timeout_ends_a_wait);
}

#[test]
fn every_output_is_taken() {
    model(models::every_output_is_taken);
}

#[test]
fn a_held_client_goes_on() {
    model(models::a_held_client_goes_on);
}

#[test]
fn a_task_that_gives_way_completes() {
    model(models::a_task_that_gives_way_completes);
}

#[test]
fn a_thread_that_waits_for_room_goes_on() {
    model(models::a_thread_that_waits_for_room_goes_on);
}

#[test]
fn what_waits_is_handled_after_a_clean_end() {
    model(models::what_waits_is_handled_after_a_clean_end);
}

#[test]
fn the_task_learns_of_the_end() {
    model(models::the_task_learns_of_the_end);
}

#[test]
fn the_end_of_a_written_message_makes_room() {
    model(models::the_end_of_a_written_message_makes_room);
}

#[test]
fn fragments_that_leave_make_room() {
    model(models::fragments_that_leave_make_room);
}

#[test]
fn the_answer_to_a_close_frame_releases_senders() {
    model(models::the_answer_to_a_close_frame_releases_senders);
}
