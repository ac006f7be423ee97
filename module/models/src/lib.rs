//! The state that threads of the module share, with [loom]'s mutexes and atomics in place of the
//! system's: a model runs once for every way its threads can interleave, and fails if one of them
//! ends in a panic, a race or a deadlock. A lost wake-up is a deadlock.
//!
//! What is modelled is not written down again: the files are those of the module and of
//! `websocket-plugin`. Each function here is one model; `tests/models.rs` runs them.

#![allow(dead_code, reason = "no model needs everything that is in the files")]
#![allow(unreachable_pub, reason = "the module makes more of the files public")]

mod gate_model;
mod mailbox_model;
mod monitor_model;
mod output_model;
mod relay_model;
mod surroundings;
mod sync;
mod turns_model;

use surroundings::{compression, meter, protocol};

#[path = "../../src/protocol/account.rs"]
mod account;
#[allow(dead_code, reason = "nothing of it concerns threads")]
#[path = "../../src/budget.rs"]
mod budget;
#[path = "../../src/buffers.rs"]
mod buffers;
#[path = "../../src/reactor/doze.rs"]
mod doze;
#[path = "../../../plugin-core/src/sender/gate.rs"]
mod gate;
#[path = "../../../plugin-core/src/export/asynchronous/mailbox.rs"]
mod mailbox;
#[path = "../../src/protocol/output_state.rs"]
mod output_state;
#[path = "../../src/topics/relay.rs"]
mod relay;

#[path = "../../src/transport"]
mod transport {
    mod stream;

    pub(crate) use stream::Stream;

    /// The streams of models are their own.
    pub(crate) struct Transport;
}

#[path = "../../src/output"]
mod output {
    mod caller;
    mod chunk;
    mod composer;
    mod composing;
    mod due;
    mod ending;
    mod flow;
    mod frame;
    mod frames;
    mod framing;
    mod object;
    mod pause;
    mod policy;
    mod queue;
    mod sending;
    mod sharing;
    mod writer;
    mod writes;

    pub(crate) use caller::Caller;
    pub(crate) use composing::Rest;
    pub(crate) use framing::Framing;
    pub(crate) use object::{Home, Output, Queued, Wake};
    pub(crate) use pause::Pause;
    pub(crate) use policy::{QueuePolicy, SlowClient};
    pub(crate) use queue::Closed;
    pub(crate) use writer::Progress;
}
#[path = "../../src/reactor/ready.rs"]
mod ready;
#[path = "../../src/reactor/run_state.rs"]
mod run_state;
#[path = "../../src/reactor/turn_counter.rs"]
mod turn_counter;

pub use gate_model::a_table_outlives_every_send;
pub use mailbox_model::{
    a_held_client_goes_on, a_task_that_gives_way_completes, a_thread_that_waits_for_room_goes_on,
    the_task_learns_of_the_end, what_waits_is_handled_after_a_clean_end,
};
pub use monitor_model::{a_turn_that_blocks_is_found, one_thread_owns_a_loop};
pub use output_model::{
    a_close_frame_releases_senders, a_failure_releases_senders, a_full_queue_drains,
    a_loop_writes_what_a_callback_sends_while_it_blocks, a_loop_writes_what_others_send,
    a_loop_writes_what_others_send_while_a_callback_blocks, a_refused_sender_hears_of_room,
    a_timeout_ends_a_wait, an_idle_loop_lets_threads_write, fragments_that_leave_make_room,
    one_close_frame_is_the_last, the_answer_to_a_close_frame_releases_senders,
    the_end_of_a_session_releases_senders, the_end_of_a_written_message_makes_room,
    the_flusher_writes_what_a_callback_sends_while_it_blocks,
    the_flusher_writes_what_others_send_while_a_callback_blocks,
    the_session_learns_of_a_close_frame, the_session_learns_of_a_slow_client,
    what_is_sent_early_is_written_by_the_first_turn,
};
pub use relay_model::{
    what_a_publisher_leaves_is_delivered_by_the_thread_for_that,
    what_is_published_is_delivered_by_whoever_delivers,
};
pub use turns_model::{
    a_message_follows_the_end_of_a_pause, a_wake_up_during_a_turn_is_not_lost,
    every_arrival_is_followed_by_a_turn, every_output_is_taken,
};
