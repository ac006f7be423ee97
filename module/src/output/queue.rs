//! The frames of one connection that wait to be written.

use std::mem;

use super::caller::Caller;
use super::frame::Frame;
use super::frames::{Frames, Writing};
use crate::budget::Charge;
use crate::protocol::{Closer, Closing, Traffic};

/// The connection takes no more messages: it is closing or gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed;

/// What became of a frame that was offered to a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Offer {
    /// The queue is full.
    Full,
    /// The frame is in the queue, and somebody is going to write it.
    Accepted,
    /// The frame is in the queue, and the caller has to see to it that it is written.
    Due,
    /// There is no memory for the frame.
    NoMemory,
}

/// What a queue holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Level {
    /// Bytes accepted and not yet written.
    pub(super) waiting: usize,
    /// Whether a close frame was accepted.
    pub(super) has_close: bool,
}

/// A bounded queue of frames, with all that decides whether it takes another. It knows no thread
/// and no socket; [`Output`](super::Output) does.
pub(super) struct Queue {
    /// Frames in the order they were accepted, not yet taken by the writer.
    frames: Frames,
    /// Bytes accepted and not yet written, including those the writer has taken.
    waiting: usize,
    /// What is counted of `frames`.
    charge: Charge,
    /// The bytes that the writer keeps of what it took, written or not: it frees them together.
    taken: usize,
    /// A message is accepted while fewer bytes wait.
    limit: usize,
    /// There is a stream to write to.
    is_open: bool,
    is_sealed: bool,
    has_close: bool,
    /// What was accepted for the client.
    sent: Traffic,
    /// What of it was counted.
    counted: Traffic,
    /// Who has closed the connection, and how.
    closing: Option<Closing>,
    /// Somebody has been asked to write, and has not taken the frames yet.
    is_due: bool,
    /// The session writes what the connection's own callbacks send, at the end of its turn, so
    /// nobody else needs to be asked.
    is_gathering: bool,
    /// A callback of the connection runs, so its session cannot wait for the client.
    is_in_callback: bool,
    /// Senders that wait for room.
    senders: usize,
}

impl Queue {
    /// An empty queue that accepts messages while fewer than `limit` bytes wait. With `gathers`,
    /// the connection's own callbacks leave writing to the end of the turn.
    pub(super) fn new(limit: usize, gathers: bool) -> Self {
        Self {
            frames: Frames::default(),
            waiting: 0,
            charge: Charge::default(),
            taken: 0,
            limit,
            is_open: false,
            is_sealed: false,
            has_close: false,
            sent: Traffic::default(),
            counted: Traffic::default(),
            closing: None,
            is_due: false,
            is_gathering: gathers,
            is_in_callback: false,
            senders: 0,
        }
    }

    /// Accepts a frame if there is room. A close frame is the last one accepted, and needs no room.
    ///
    /// # Errors
    ///
    /// [`Closed`] after [`seal`](Self::seal) or a close frame.
    #[inline]
    pub(super) fn push(&mut self, frame: Frame<'_>, caller: Caller) -> Result<Offer, Closed> {
        if !self.takes_messages()? && !frame.is_close() {
            return Ok(Offer::Full);
        }
        if self.frames.push(frame).is_err() {
            return Ok(Offer::NoMemory);
        }
        self.waiting += frame.len();
        self.charge.set(self.frames.own_len());
        self.sent.add(frame.traffic);
        if let Some(closer) = frame.closes {
            self.close(closer, frame.payload);
        }
        Ok(if self.is_due || self.is_gathered(caller) {
            Offer::Accepted
        } else {
            self.is_due = true;
            Offer::Due
        })
    }

    #[cold]
    fn close(&mut self, closer: Closer, payload: &[u8]) {
        self.has_close = true;
        self.note_closing(|| Closing::with_frame(closer, payload));
        self.seal();
    }

    /// Remembers how the connection was closed. The first to close it counts.
    pub(super) fn note_closing(&mut self, closing: impl FnOnce() -> Closing) {
        self.closing.get_or_insert_with(closing);
    }

    /// What was accepted for the client since the last call.
    pub(super) fn uncounted(&mut self) -> Traffic {
        let uncounted = self.sent.since(self.counted);
        self.counted = self.sent;
        uncounted
    }

    /// What was accepted for the client, and how the connection was closed, if it was.
    pub(super) fn account(&self) -> (Traffic, Option<Closing>) {
        (self.sent, self.closing.clone())
    }

    fn is_gathered(&self, caller: Caller) -> bool {
        self.is_gathering && caller == Caller::Own
    }

    /// Accounts for a message that its sender writes itself, which it may if nothing waits. Returns
    /// whether it may.
    ///
    /// # Errors
    ///
    /// As for [`push`](Self::push).
    pub(super) fn bypass(&mut self, frame: &Frame<'_>) -> Result<bool, Closed> {
        if self.is_sealed {
            return Err(Closed);
        }
        if self.waiting > 0 || frame.is_close() {
            return Ok(false);
        }
        self.waiting = frame.len();
        self.sent.add(frame.traffic);
        Ok(true)
    }

    /// Whether a message would be accepted now.
    ///
    /// # Errors
    ///
    /// [`Closed`] if none will be again.
    #[inline]
    pub(super) fn takes_messages(&self) -> Result<bool, Closed> {
        if self.is_sealed {
            return Err(Closed);
        }
        Ok(self.waiting < self.limit)
    }

    /// What is in the queue, and with the writer.
    pub(super) fn level(&self) -> Level {
        Level {
            waiting: self.waiting,
            has_close: self.has_close,
        }
    }

    /// From now on there is a stream to write to.
    pub(super) fn open(&mut self) {
        self.is_open = true;
    }

    /// Whether there is, or was, a stream to write to.
    pub(super) fn is_open(&self) -> bool {
        self.is_open
    }

    /// Accepts nothing more. What was accepted stays.
    pub(super) fn seal(&mut self) {
        self.is_sealed = true;
    }

    /// Seals the queue and forgets what is in it.
    pub(super) fn discard(&mut self) {
        self.seal();
        self.frames = Frames::default();
        self.waiting = 0;
        self.taken = 0;
        self.charge.set(0);
    }

    /// The memory in bytes that the frames take, at least: those that the writer has taken, too.
    pub(super) fn held(&self) -> usize {
        self.waiting.max(self.taken + self.frames.own_len())
    }

    /// The writer keeps so many bytes of a message that [bypassed](Self::bypass) the queue.
    pub(super) fn note_rest(&mut self, bytes: usize) {
        self.taken = bytes;
    }

    /// Forgets what was not taken by the writer, which has `kept` bytes left, and closes the
    /// connection with `frame`, unless it is closing already.
    pub(super) fn cut(&mut self, kept: usize, frame: Frame<'_>) {
        self.seal();
        self.frames = Frames::default();
        self.waiting = kept;
        self.taken = kept;
        self.charge.set(0);
        if let Some(closer) = frame.closes.filter(|_| !self.has_close)
            && self.frames.push(frame).is_ok()
        {
            self.waiting += frame.len();
            self.close(closer, frame.payload);
        }
    }

    /// The writer has written so many of the bytes it took, which are all, and takes the others.
    /// Returns whether senders may be waiting for the room that this makes.
    pub(super) fn take(&mut self, written: usize, writing: &mut Writing) -> bool {
        self.is_due = false;
        writing.take(&mut self.frames);
        self.taken = writing.own_len();
        self.charge.set(0);
        self.written(written)
    }

    /// The writer has written so many of the bytes it took. Returns whether senders may be waiting
    /// for the room that this makes.
    pub(super) fn written(&mut self, bytes: usize) -> bool {
        self.waiting -= bytes;
        bytes > 0 && self.senders > 0
    }

    /// A sender begins to wait for room.
    pub(super) fn begin_wait(&mut self) {
        self.senders += 1;
    }

    /// It waits no longer.
    pub(super) fn end_wait(&mut self) {
        self.senders -= 1;
    }

    /// From now to the end of the turn, whoever sends has to see to it that it is written. Returns
    /// whether something waits that nobody else is going to write meanwhile.
    #[must_use]
    pub(super) fn stop_gathering(&mut self) -> bool {
        self.is_gathering = false;
        let was_due = mem::replace(&mut self.is_due, self.waiting > 0);
        self.is_due && !was_due
    }

    /// The connection's own callbacks leave writing to the end of the turn.
    pub(super) fn gather(&mut self) {
        self.is_gathering = true;
    }

    /// A callback is about to run, or has returned. Returns whether something waits.
    pub(super) fn set_in_callback(&mut self, is_in_callback: bool) -> bool {
        self.is_in_callback = is_in_callback;
        self.waiting > 0
    }

    /// Whether the session cannot write when the client takes more: a callback keeps it from that,
    /// or one of those who wait for room is the session's own thread.
    pub(super) fn needs_help(&self) -> bool {
        self.is_in_callback || self.senders > 0
    }
}

#[cfg(test)]
mod tests {
    use super::{Caller, Closed, Closer, Closing, Frame, Level, Offer, Queue, Traffic, Writing};

    const LIMIT: usize = 8;

    const NONE: Traffic = Traffic {
        messages: 0,
        bytes: 0,
    };

    const TEXT: Frame<'_> = Frame {
        header: b"\x81\x01",
        payload: b"a",
        closes: None,
        traffic: Traffic::message(1),
        shared: None,
    };

    const PONG: Frame<'_> = Frame {
        header: b"\x8a\x02",
        payload: b"bc",
        closes: None,
        traffic: NONE,
        shared: None,
    };

    const CLOSE: Frame<'_> = Frame {
        header: b"\x88\x02",
        payload: b"\x03\xe8",
        closes: Some(Closer::Plugin),
        traffic: NONE,
        shared: None,
    };

    /// Longer than a queue may get before no more is accepted.
    const LARGE: Frame<'_> = Frame {
        header: b"\x82\x07",
        payload: b"larger!",
        closes: None,
        traffic: Traffic::message(7),
        shared: None,
    };

    /// The queue of a connection with a thread of its own.
    fn queue() -> Queue {
        Queue::new(LIMIT, false)
    }

    fn taken(queue: &mut Queue) -> Vec<u8> {
        let mut writing = Writing::default();
        queue.take(0, &mut writing);
        writing.with_slices(|slices| slices.iter().flat_map(|slice| slice.to_vec()).collect())
    }

    #[test]
    fn frames_leave_in_the_order_they_came() {
        let mut queue = queue();
        assert_eq!(queue.push(TEXT, Caller::Own), Ok(Offer::Due));
        assert_eq!(queue.push(PONG, Caller::Thread), Ok(Offer::Accepted));
        assert_eq!(taken(&mut queue), b"\x81\x01a\x8a\x02bc");
        assert!(taken(&mut queue).is_empty());
    }

    #[test]
    fn one_sender_is_asked_to_have_the_queue_written_each_time_it_was_taken() {
        let mut queue = queue();
        for _ in 0..2 {
            assert_eq!(queue.push(TEXT, Caller::Callback), Ok(Offer::Due));
            assert_eq!(queue.push(TEXT, Caller::Thread), Ok(Offer::Accepted));
            let bytes = taken(&mut queue);
            queue.written(bytes.len());
        }
    }

    #[test]
    fn nobody_is_asked_to_write_what_a_loop_gathers_until_the_turn_takes_long() {
        let mut queue = Queue::new(1000, true);
        assert_eq!(queue.push(TEXT, Caller::Own), Ok(Offer::Accepted));
        assert!(queue.stop_gathering(), "the first frame is due");
        assert!(!queue.stop_gathering(), "somebody was asked already");
        let bytes = taken(&mut queue);
        queue.written(bytes.len());
        assert_eq!(queue.push(TEXT, Caller::Own), Ok(Offer::Due));
        taken(&mut queue);
        queue.gather();
        assert_eq!(queue.push(TEXT, Caller::Own), Ok(Offer::Accepted));
        assert_eq!(queue.push(TEXT, Caller::Callback), Ok(Offer::Due));
    }

    #[test]
    fn bytes_count_until_they_are_written() {
        let mut queue = queue();
        assert_eq!(queue.push(PONG, Caller::Own), Ok(Offer::Due));
        let frame = taken(&mut queue);
        assert_eq!(queue.level().waiting, frame.len());
        queue.written(3);
        assert_eq!(queue.level().waiting, frame.len() - 3);
    }

    #[test]
    fn one_message_may_overshoot_the_limit_and_the_next_finds_no_room() {
        let mut queue = queue();
        assert_eq!(queue.push(LARGE, Caller::Own), Ok(Offer::Due));
        assert_eq!(queue.push(TEXT, Caller::Own), Ok(Offer::Full));
        let frame = taken(&mut queue);
        queue.written(frame.len() - LIMIT + 1);
        assert_eq!(queue.push(TEXT, Caller::Own), Ok(Offer::Due));
    }

    #[test]
    fn a_message_bypasses_an_empty_queue_only() {
        let mut queue = queue();
        assert_eq!(queue.bypass(&PONG), Ok(true));
        assert_eq!(queue.level().waiting, 4);
        assert_eq!(queue.bypass(&TEXT), Ok(false));
        queue.written(4);
        assert_eq!(queue.bypass(&CLOSE), Ok(false));
        assert_eq!(queue.bypass(&TEXT), Ok(true));
        queue.seal();
        assert_eq!(queue.bypass(&TEXT), Err(Closed));
    }

    #[test]
    fn nothing_follows_a_close_frame() {
        let mut queue = queue();
        assert_eq!(queue.push(CLOSE, Caller::Own), Ok(Offer::Due));
        assert!(queue.level().has_close);
        for late in [TEXT, PONG, CLOSE] {
            assert_eq!(queue.push(late, Caller::Own), Err(Closed));
        }
        assert_eq!(taken(&mut queue), b"\x88\x02\x03\xe8");
    }

    #[test]
    fn a_close_frame_needs_no_room() {
        let mut queue = queue();
        assert_eq!(queue.push(LARGE, Caller::Own), Ok(Offer::Due));
        assert_eq!(queue.push(CLOSE, Caller::Own), Ok(Offer::Accepted));
    }

    #[test]
    fn progress_is_told_while_senders_wait_for_room() {
        let mut queue = queue();
        assert_eq!(queue.push(LARGE, Caller::Own), Ok(Offer::Due));
        taken(&mut queue);
        assert!(!queue.written(1));
        queue.begin_wait();
        assert!(queue.needs_help());
        assert!(queue.written(1));
        assert!(!queue.written(0), "no progress");
        queue.end_wait();
        assert!(!queue.written(1));
        assert!(!queue.needs_help());
    }

    #[test]
    fn what_the_writer_has_taken_is_held_until_all_of_it_is_written() {
        let mut queue = queue();
        let mut writing = Writing::default();
        assert_eq!(queue.push(LARGE, Caller::Own), Ok(Offer::Due));
        assert_eq!(queue.held(), LARGE.len());
        queue.take(0, &mut writing);
        queue.written(LARGE.len() - 1);
        assert_eq!((queue.level().waiting, queue.held()), (1, LARGE.len()));
        assert_eq!(queue.push(PONG, Caller::Own), Ok(Offer::Due));
        assert_eq!(queue.held(), LARGE.len() + PONG.len());
        writing.advance(LARGE.len());
        queue.take(1, &mut writing);
        assert_eq!(queue.held(), PONG.len());
        queue.discard();
        assert_eq!(queue.held(), 0);
    }

    #[test]
    fn a_callback_keeps_the_session_from_writing() {
        let mut queue = queue();
        assert!(!queue.set_in_callback(true));
        assert_eq!(queue.push(TEXT, Caller::Own), Ok(Offer::Due));
        assert!(queue.needs_help());
        assert!(queue.set_in_callback(false));
        assert!(!queue.needs_help());
    }

    #[test]
    fn a_discarded_queue_is_empty_and_takes_nothing() {
        let mut queue = queue();
        assert_eq!(queue.push(TEXT, Caller::Own), Ok(Offer::Due));
        queue.discard();
        let empty = Level {
            waiting: 0,
            has_close: false,
        };
        assert_eq!(queue.level(), empty);
        assert!(taken(&mut queue).is_empty());
        assert_eq!(queue.push(TEXT, Caller::Own), Err(Closed));
    }

    #[test]
    fn messages_count_when_they_are_accepted_and_control_frames_do_not() {
        let mut queue = queue();
        assert_eq!(queue.bypass(&TEXT), Ok(true));
        queue.written(TEXT.len());
        for frame in [TEXT, PONG, LARGE] {
            queue.push(frame, Caller::Own).unwrap();
        }
        assert_eq!(queue.push(TEXT, Caller::Own), Ok(Offer::Full));
        assert_eq!(queue.bypass(&TEXT), Ok(false));
        queue.push(CLOSE, Caller::Own).unwrap();
        assert_eq!(queue.push(TEXT, Caller::Own), Err(Closed));
        let (messages, bytes) = (3, 1 + 1 + 7);
        assert_eq!(queue.account().0, Traffic { messages, bytes });
    }

    #[test]
    fn the_first_to_close_is_the_one_who_did() {
        let mut queue = queue();
        assert_eq!(queue.account().1, None);
        queue.push(CLOSE, Caller::Thread).unwrap();
        queue.note_closing(|| Closing::without_frame(Closer::Lost));
        let by_plugin = Closing::with_frame(Closer::Plugin, CLOSE.payload);
        assert_eq!(queue.account().1, Some(by_plugin));
        let mut queue = self::queue();
        queue.note_closing(|| Closing::with_frame(Closer::Client, b"\x03\xe9"));
        queue.push(CLOSE, Caller::Own).unwrap();
        assert_eq!(queue.account().1.unwrap().code, 1001);
    }
}
