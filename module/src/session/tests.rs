//! Sessions with a scripted stream and a scripted application.

mod drain;
mod parts;
mod pause;
mod timers;
mod turns;
mod writing;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::application::{Application, Ended};
use super::{Next, Session};
use crate::budget;
use crate::httpd::log::Level;
use crate::meter::Meter;
use crate::output::{Caller, Closed, Framing, Home, Output, QueuePolicy, Queued, SlowClient, Wake};
use crate::protocol::{
    Account, Closer, Connection, Lifespan, Limits, MessageKind, Opcode, Payload, Receiver, Version,
};
use crate::transport::Stream;

const LIMIT: usize = 4096;

/// The session waits for the client's bytes alone.
const READ: Next = Next::Wait {
    read: true,
    write: false,
    deadline: None,
};

/// A client whose reads and writes are scripted.
#[derive(Default)]
struct Script {
    /// What the client has sent, in pieces that are read one by one. An empty piece is the end.
    sent: VecDeque<Vec<u8>>,
    received: Vec<u8>,
    /// How many more bytes the client takes.
    room: usize,
    writes: usize,
    is_lost: bool,
    is_aborted: bool,
    is_emptied_by_short_reads: bool,
}

#[derive(Clone, Default)]
struct Wire(Arc<Mutex<Script>>);

impl Wire {
    fn script<T>(&self, body: impl FnOnce(&mut Script) -> T) -> T {
        body(&mut self.0.lock().unwrap())
    }

    /// The client sends frames that arrive together.
    fn send(&self, frames: &[Vec<u8>]) {
        self.script(|script| script.sent.push_back(frames.concat()));
    }

    fn end(&self) {
        self.send(&[]);
    }

    /// What the client has received since the last call.
    fn received(&self) -> Vec<u8> {
        self.script(|script| std::mem::take(&mut script.received))
    }

    fn take(&self, room: usize) {
        self.script(|script| script.room += room);
    }
}

impl Stream for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.script(|script| {
            if script.is_lost {
                return Err(io::ErrorKind::ConnectionReset.into());
            }
            let mut bytes = script.sent.pop_front().ok_or(io::ErrorKind::WouldBlock)?;
            let rest = bytes.split_off(bytes.len().min(buffer.len()));
            if !rest.is_empty() {
                script.sent.push_front(rest);
            }
            buffer[..bytes.len()].copy_from_slice(&bytes);
            Ok(bytes.len())
        })
    }

    fn is_emptied_by_short_reads(&self) -> bool {
        self.script(|script| script.is_emptied_by_short_reads)
    }

    fn find_end(&mut self) {}

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.script(|script| {
            if script.is_lost {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            let written = bytes.len().min(script.room);
            if written == 0 {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            script.room -= written;
            script.writes += 1;
            script.received.extend_from_slice(&bytes[..written]);
            Ok(written)
        })
    }

    fn write_pieces(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        self.write(
            &pieces
                .iter()
                .flat_map(|piece| piece.to_vec())
                .collect::<Vec<_>>(),
        )
    }

    fn flush(&mut self) -> io::Result<bool> {
        Ok(true)
    }

    fn has_progressed(&mut self) -> bool {
        false
    }

    fn retry_interval(&self, _: Duration) -> Option<Duration> {
        None
    }

    fn descriptor(&self) -> io::Result<Arc<OwnedFd>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn abort(&mut self) {
        self.script(|script| script.is_aborted = true);
    }
}

/// A loop that acts only when the test says so.
#[derive(Default)]
struct Loop {
    due: Mutex<Vec<Arc<Output<Wire>>>>,
    wakes: Mutex<usize>,
    /// Runs in the next thread that says what waits.
    on_told: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

impl Loop {
    /// Ends a pass. Returns how many connections were written to.
    fn write(&self) -> usize {
        let due = std::mem::take(&mut *self.due.lock().unwrap());
        for output in &due {
            output.write_for_session();
        }
        due.len()
    }

    fn wakes(&self) -> usize {
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

type OnMessage = Box<dyn Fn(&[u8])>;

/// A plugin that does with a message what the test says, and remembers what happened.
struct Plugin {
    on_message: OnMessage,
    events: Rc<Events>,
}

#[derive(Default)]
struct Events {
    happened: RefCell<Vec<String>>,
    account: RefCell<Option<Account>>,
    is_clean: Cell<bool>,
    /// When events are due, in order.
    timers: RefCell<Vec<Instant>>,
    /// How long each of them takes.
    event_takes: Cell<Duration>,
}

impl Events {
    fn push(&self, event: String) {
        self.happened.borrow_mut().push(event);
    }

    fn take(&self) -> Vec<String> {
        self.happened.take()
    }
}

impl Application for Plugin {
    fn in_callbacks(&self, body: impl FnOnce()) {
        body();
    }

    fn message(&self, _: MessageKind, payload: &mut Payload<'_>) {
        self.events
            .push(format!("message {}", String::from_utf8_lossy(payload)));
        (self.on_message)(payload);
    }

    fn part(&self, _: MessageKind, payload: &mut Payload<'_>, is_last: bool) {
        let end = if is_last { "." } else { "" };
        let text = String::from_utf8_lossy(payload).into_owned();
        self.events.push(format!("message {text}{end}"));
        (self.on_message)(payload);
    }

    fn handle_event(&self, now: Instant) -> bool {
        let mut timers = self.events.timers.borrow_mut();
        let is_due = timers.first().is_some_and(|timer| *timer <= now);
        if is_due {
            timers.remove(0);
            self.events.push("event".into());
            sleep(self.events.event_takes.get());
        }
        is_due
    }

    fn next_timer(&self) -> Option<Instant> {
        self.events.timers.borrow().first().copied()
    }

    fn drained(&self) {
        self.events.push("drained".into());
    }

    fn disconnect(&self, ended: &Ended<'_>) {
        self.events.is_clean.set(ended.is_clean);
        self.events.push("disconnect".into());
    }

    fn ended(&self, account: &Account) {
        *self.events.account.borrow_mut() = Some(account.clone());
    }

    fn traces_frames(&self) -> bool {
        false
    }

    fn freed_much(&self) {
        self.events.push("freed much".into());
    }

    fn log(&self, _: Level, text: &str) {
        self.events.push(text.into());
    }
}

/// A connection and everything around it.
struct Case {
    wire: Wire,
    home: Arc<Loop>,
    output: Arc<Output<Wire>>,
    events: Rc<Events>,
    session: Option<Session<Plugin, Wire>>,
}

impl Case {
    /// The application echoes each message.
    fn echo() -> Self {
        Self::new(|output| {
            Box::new(move |message| {
                let _ = output.send(Opcode::Text, message, Caller::Own);
            })
        })
    }

    fn silent() -> Self {
        Self::new(|_| Box::new(|_| ()))
    }

    fn new(on_message: impl FnOnce(Arc<Output<Wire>>) -> OnMessage) -> Self {
        Self::with(&Lifespan::default(), SlowClient::Wait, on_message)
    }

    fn with(
        lifespan: &Lifespan,
        slow_client: SlowClient,
        on_message: impl FnOnce(Arc<Output<Wire>>) -> OnMessage,
    ) -> Self {
        let limits = Limits {
            max_message_size: 1 << 20,
            max_fragments: 16_384,
            allow_reserved_status_codes: false,
        };
        Self::receiving(Receiver::new(limits), lifespan, slow_client, on_message)
    }

    fn receiving(
        receiver: Receiver,
        lifespan: &Lifespan,
        slow_client: SlowClient,
        on_message: impl FnOnce(Arc<Output<Wire>>) -> OnMessage,
    ) -> Self {
        let framing = Framing::new(None, Meter::default());
        Self::framing(framing, receiver, (lifespan, slow_client), on_message)
    }

    fn framing(
        framing: Framing,
        receiver: Receiver,
        settings: (&Lifespan, SlowClient),
        on_message: impl FnOnce(Arc<Output<Wire>>) -> OnMessage,
    ) -> Self {
        let timeout = Duration::from_secs(60);
        let case = Self::unopened(framing, receiver, settings, timeout, on_message);
        case.output.open(case.wire.clone());
        case
    }

    /// The 101 response is still to be sent. A client may take nothing for `patience`.
    fn unopened(
        framing: Framing,
        receiver: Receiver,
        (lifespan, slow_client): (&Lifespan, SlowClient),
        patience: Duration,
        on_message: impl FnOnce(Arc<Output<Wire>>) -> OnMessage,
    ) -> Self {
        let (wire, home) = (Wire::default(), Arc::new(Loop::default()));
        let timeout = Some(Duration::from_secs(60));
        let policy = QueuePolicy {
            limit: LIMIT,
            slow_client,
        };
        let output = Output::new(
            policy,
            Some(patience),
            Arc::clone(&home) as _,
            Arc::clone(&home) as _,
            framing,
        );
        wire.take(1 << 30);
        let events = Rc::new(Events::default());
        let plugin = Plugin {
            on_message: on_message(Arc::clone(&output)),
            events: Rc::clone(&events),
        };
        let started = Instant::now();
        let connection = Connection::new(receiver, Version::V13, timeout, lifespan, started);
        let session = Session::new(connection, Arc::clone(&output), plugin);
        Self {
            wire,
            home,
            output,
            events,
            session: Some(session),
        }
    }

    /// A turn, and those that follow at once: a turn ends early where a busy machine takes so long
    /// that other connections should have their turn.
    fn turn(&mut self) -> Next {
        loop {
            let next = self.turn_at(Instant::now());
            if next != Next::Again {
                return next;
            }
        }
    }

    fn turn_at(&mut self, now: Instant) -> Next {
        let session = self.session.as_mut().unwrap();
        session.turn(&mut [0; 1024], now, false)
    }

    fn drop_session(&mut self) {
        self.session = None;
    }
}

/// A frame of the client, masked with zeros.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).unwrap();
    [&[first, 0x80 | length, 0, 0, 0, 0], payload].concat()
}

fn text(payload: &str) -> Vec<u8> {
    frame(0x81, payload.as_bytes())
}

#[test]
fn the_replies_to_all_messages_of_a_read_go_out_in_one_write() {
    let mut case = Case::echo();
    case.wire.send(&[text("a"), text("b"), frame(0x89, b"p")]);
    assert_eq!(case.turn(), READ);
    assert_eq!(case.wire.received(), b"\x81\x01a\x81\x01b\x8a\x01p");
    assert_eq!(case.wire.script(|script| script.writes), 1);
    assert_eq!(case.home.write(), 0, "nobody else was asked to write");
}

#[test]
fn a_message_may_arrive_in_any_pieces() {
    let mut case = Case::echo();
    for byte in text("hello") {
        case.wire.send(&[vec![byte]]);
    }
    case.turn();
    assert_eq!(case.wire.received(), b"\x81\x05hello");
}

#[test]
fn what_callbacks_send_to_another_connection_is_written_once_at_the_end_of_the_pass() {
    let mut receiver = Case::silent();
    let output = Arc::clone(&receiver.output);
    let mut speaker = Case::new(|_| {
        Box::new(move |message| {
            output
                .send(Opcode::Text, message, Caller::Callback)
                .unwrap();
        })
    });
    let messages: Vec<_> = (0..16).map(|_| text("m")).collect();
    speaker.wire.send(&messages);
    // On a busy machine one turn may be too short for all of them.
    speaker.turn();
    assert!(receiver.wire.received().is_empty());
    assert_eq!(receiver.home.write(), 1);
    assert_eq!(receiver.wire.received(), b"\x81\x01m".repeat(16));
    assert_eq!(receiver.wire.script(|script| script.writes), 1);
    assert_eq!(receiver.turn(), READ);
}

#[test]
fn a_turn_that_takes_long_holds_nothing_back() {
    let mut case = Case::new(|output| {
        Box::new(move |message| {
            output.send(Opcode::Text, message, Caller::Own).unwrap();
            output.stop_gathering();
            output.send(Opcode::Text, message, Caller::Own).unwrap();
        })
    });
    case.wire.send(&[text("a")]);
    case.turn();
    assert_eq!(case.home.write(), 1);
    // The next turn gathers again.
    case.wire.received();
    case.home.write();
    case.wire.send(&[frame(0x89, b"")]);
    case.turn();
    assert_eq!(case.home.write(), 0);
}

#[test]
fn what_the_client_does_not_take_is_written_when_it_does() {
    let mut case = Case::echo();
    case.wire.script(|script| script.room = 2);
    case.wire.send(&[text("hello")]);
    let Next::Wait {
        read,
        write,
        deadline,
    } = case.turn()
    else {
        panic!("there is nothing to do");
    };
    assert!(read && write && deadline.is_some());
    assert_eq!(case.wire.received(), b"\x81\x05");
    case.wire.take(100);
    assert_eq!(case.turn(), READ);
    assert_eq!(case.wire.received(), b"hello");
}

#[test]
fn a_session_learns_of_a_client_that_takes_no_more() {
    let mut case = Case::silent();
    case.wire.script(|script| script.room = 1);
    let sent = case.output.send(Opcode::Text, b"hello", Caller::Callback);
    assert_eq!(sent, Ok(()));
    case.home.write();
    assert_eq!(case.home.wakes(), 1);
    assert!(matches!(case.turn(), Next::Wait { write: true, .. }));
    // The session waits already, so one wake-up is enough.
    let sent = case.output.send(Opcode::Text, b"more", Caller::Callback);
    assert_eq!(sent, Ok(()));
    case.home.write();
    assert_eq!(case.home.wakes(), 0);
    // Another thread has written everything, so there is nothing to wait for.
    case.wire.take(100);
    case.output.write_for_session();
    assert_eq!(case.home.wakes(), 1);
    assert_eq!(case.turn(), READ);
}

#[test]
fn the_clients_close_frame_is_answered_and_ends_the_session() {
    let mut case = Case::echo();
    case.wire
        .send(&[text("a"), frame(0x88, b"\x03\xe8bye"), text("late")]);
    assert_eq!(case.turn(), Next::Ended);
    assert_eq!(case.wire.received(), b"\x81\x01a\x88\x02\x03\xe8");
    case.drop_session();
    assert_eq!(case.events.take(), ["message a", "disconnect"]);
}

#[test]
fn a_close_frame_of_this_side_waits_for_its_answer() {
    let mut case = Case::silent();
    case.output
        .send(Opcode::Close, b"\x03\xe8", Caller::Callback)
        .unwrap();
    case.home.write();
    assert_eq!(case.home.wakes(), 1, "the session limits the wait");
    let waits = case.turn();
    assert!(
        matches!(
            waits,
            Next::Wait {
                read: true,
                write: false,
                deadline: Some(_)
            }
        ),
        "{waits:?}"
    );
    case.wire.send(&[text("late"), frame(0x88, b"\x03\xe8")]);
    assert_eq!(case.turn(), Next::Ended);
    assert_eq!(case.wire.received(), b"\x88\x02\x03\xe8", "there is one");
    assert_eq!(case.events.take(), ["message late"]);
}

#[test]
fn a_broken_rule_closes_the_connection() {
    let mut case = Case::echo();
    case.wire.send(&[text("a"), vec![0xff, 0x80], text("late")]);
    assert_eq!(case.turn(), Next::Ended);
    assert_eq!(case.wire.received(), b"\x81\x01a\x88\x02\x03\xea");
    let events = case.events.take();
    assert_eq!(events.len(), 2, "{events:?}");
    assert!(events[1].starts_with("closing with 1002"), "{events:?}");
}

#[test]
fn the_end_of_the_clients_bytes_ends_the_session() {
    let mut case = Case::echo();
    case.wire.send(&[text("a")]);
    case.wire.end();
    assert_eq!(case.turn(), Next::Ended);
    assert_eq!(case.wire.received(), b"\x81\x01a");
}

#[test]
fn the_last_output_is_written_before_the_session_ends() {
    let mut case = Case::echo();
    case.wire.script(|script| script.room = 1);
    case.wire.send(&[text("a"), frame(0x88, b"")]);
    let waits = case.turn();
    assert!(
        matches!(
            waits,
            Next::Wait {
                read: false,
                write: true,
                ..
            }
        ),
        "{waits:?}"
    );
    let sent = case.output.send(Opcode::Text, b"late", Caller::Callback);
    assert_eq!(sent, Err(Closed));
    case.wire.take(100);
    assert_eq!(case.turn(), Next::Ended);
    assert_eq!(case.wire.received(), b"\x81\x01a\x88\x00");
}

#[test]
fn a_lost_connection_ends_the_session() {
    let mut case = Case::echo();
    case.wire.script(|script| script.is_lost = true);
    assert_eq!(case.turn(), Next::Ended);
    assert!(case.wire.script(|script| script.is_aborted));
    let events = case.events.take();
    assert!(
        events[0].starts_with("the connection is lost"),
        "{events:?}"
    );
    let sent = case.output.send(Opcode::Text, b"late", Caller::Thread);
    assert_eq!(sent, Err(Closed));
}

#[test]
fn a_full_queue_refuses_whole_messages() {
    let mut case = Case::silent();
    case.wire.script(|script| script.room = 0);
    let half = [b'x'; LIMIT / 2];
    let mut accepted = 0;
    while case
        .output
        .try_send(Opcode::Text, &half, Caller::Callback)
        .unwrap()
    {
        accepted += 1;
    }
    assert_eq!(accepted, 2);
    case.wire.take(1 << 20);
    // `try_send` first writes what waits, so there is room.
    let is_accepted = case.output.try_send(Opcode::Text, &half, Caller::Callback);
    assert_eq!(is_accepted, Ok(true));
    case.home.write();
    case.turn();
    let frame = 4 + half.len();
    assert_eq!(case.wire.received().len(), 3 * frame);
}

#[test]
fn a_server_that_leaves_closes_and_waits_a_second() {
    let mut case = Case::silent();
    case.output.go_away(Closer::Shutdown, b"\x03\xe9");
    assert!(case.home.wakes() > 0);
    case.home.write();
    let before = Instant::now();
    let Next::Wait {
        deadline: Some(deadline),
        ..
    } = case.turn()
    else {
        panic!("there is no limit");
    };
    assert!(deadline <= before + Duration::from_secs(2));
    assert_eq!(case.wire.received(), b"\x88\x02\x03\xe9");
}

#[test]
fn a_panic_in_a_callback_leaves_a_session_that_can_be_ended() {
    let mut case = Case::new(|_| Box::new(|_| panic!("in a callback")));
    case.wire.send(&[text("a")]);
    let turn = catch_unwind(AssertUnwindSafe(|| case.turn()));
    assert!(turn.is_err());
    case.drop_session();
    assert_eq!(case.events.take(), ["message a", "disconnect"]);
    let sent = case.output.send(Opcode::Text, b"late", Caller::Callback);
    assert_eq!(sent, Err(Closed));
}

/// Whether a case ends after both sides have sent a close frame.
fn is_clean(mut case: Case) -> bool {
    case.turn();
    case.drop_session();
    case.events.is_clean.get()
}

#[test]
fn an_end_is_clean_if_both_sides_have_sent_a_close_frame() {
    let case = Case::silent();
    case.wire.send(&[frame(0x88, b"\x03\xe8bye")]);
    assert!(is_clean(case));

    let closed = || {
        let case = Case::silent();
        let close = case.output.send(Opcode::Close, b"", Caller::Callback);
        close.unwrap();
        case
    };
    let case = closed();
    case.wire.send(&[frame(0x88, b"\x03\xe8")]);
    assert!(is_clean(case));

    let case = closed();
    case.wire.end();
    assert!(!is_clean(case));

    // The answer to the client's close frame cannot be written.
    let case = Case::silent();
    case.wire.send(&[frame(0x88, b"\x03\xe8")]);
    case.wire.script(|script| script.room = 0);
    assert!(!is_clean(case));

    for broken in [vec![0xff, 0x80], frame(0x88, b"\x03")] {
        let case = Case::silent();
        case.wire.send(&[broken]);
        assert!(!is_clean(case));
    }
}

/// How a case ends: who closed the connection, the code and the reason.
fn closing(mut case: Case) -> (Closer, u16, String) {
    case.drop_session();
    let account = case.events.account.take().expect("each session has one");
    let closing = account.closing;
    (closing.by, closing.code, closing.reason.into())
}

#[test]
fn the_account_counts_messages_in_both_directions_and_no_control_frames() {
    let mut case = Case::echo();
    case.wire
        .send(&[text("hello"), frame(0x89, b"ping"), text(""), text("a")]);
    case.turn();
    case.drop_session();
    let account = case.events.account.take().unwrap();
    assert_eq!((account.received.messages, account.received.bytes), (3, 6));
    assert_eq!(account.sent, account.received);
}

#[test]
fn the_account_names_the_one_who_closed_first() {
    let mut case = Case::silent();
    case.wire.send(&[frame(0x88, b"\x03\xe8bye")]);
    case.turn();
    assert_eq!(closing(case), (Closer::Client, 1000, "bye".into()));

    let mut case = Case::silent();
    case.output
        .send(Opcode::Close, b"\x0f\xa0go", Caller::Callback)
        .unwrap();
    case.wire.send(&[frame(0x88, b"\x03\xe8bye")]);
    case.turn();
    assert_eq!(closing(case), (Closer::Plugin, 4000, "go".into()));

    let mut case = Case::silent();
    case.wire.send(&[vec![0xff, 0x80]]);
    case.turn();
    assert_eq!(closing(case), (Closer::Error, 1002, String::new()));

    let mut case = Case::silent();
    case.output.go_away(Closer::Shutdown, b"\x03\xe9");
    case.wire.end();
    case.turn();
    assert_eq!(closing(case), (Closer::Shutdown, 1001, String::new()));
}

#[test]
fn the_account_tells_a_lost_client_from_a_slow_one() {
    let mut case = Case::silent();
    case.wire.end();
    case.turn();
    assert_eq!(closing(case), (Closer::Lost, 1006, String::new()));

    let mut case = Case::silent();
    case.wire.script(|script| script.is_lost = true);
    case.turn();
    assert_eq!(closing(case), (Closer::Lost, 1006, String::new()));

    let mut case = Case::silent();
    case.output.fail(io::ErrorKind::TimedOut.into());
    case.turn();
    assert_eq!(closing(case), (Closer::Timeout, 1006, String::new()));
}

/// A client that takes nothing, and whose queue was filled with frames of `frame` bytes.
fn overfull(frame: usize, room: usize) -> Case {
    let case = Case::with(&Lifespan::default(), SlowClient::Close, |_| {
        Box::new(|_| ())
    });
    case.wire.script(|script| script.room = room);
    let payload = vec![b'x'; frame];
    let send = |output: &Arc<Output<Wire>>| output.send(Opcode::Text, &payload, Caller::Thread);
    while send(&case.output).is_ok() {}
    assert_eq!(send(&case.output), Err(Closed));
    assert!(case.home.wakes() > 0, "the session learns of it");
    case
}

#[test]
fn a_slow_client_is_closed_behind_the_frame_in_progress() {
    let mut case = overfull(1000, 2500);
    assert!(matches!(
        case.turn(),
        Next::Wait {
            read: false,
            write: true,
            deadline: Some(_)
        }
    ));
    case.wire.take(1 << 20);
    assert_eq!(case.turn(), Next::Ended);
    let mut received = case.wire.received();
    let close = b"\x88\x0d\x03\xf5slow client";
    assert_eq!(received.split_off(3 * 1004), close);
    case.drop_session();
    assert_eq!(case.events.take(), ["disconnect"]);
}

#[test]
fn a_slow_client_in_the_middle_of_a_long_frame_is_dropped() {
    let mut case = overfull(100_000, 500);
    assert_eq!(case.turn(), Next::Ended);
    assert!(case.wire.script(|script| script.is_aborted));
    assert_eq!(case.wire.received().len(), 500);
}

#[test]
fn a_client_that_takes_what_has_not_been_tried_yet_is_not_slow() {
    let case = Case::with(&Lifespan::default(), SlowClient::Close, |_| {
        Box::new(|_| ())
    });
    for _ in 0..100 {
        let sent = case
            .output
            .send(Opcode::Text, &[b'x'; LIMIT / 2], Caller::Callback);
        assert_eq!(sent, Ok(()));
    }
}

#[test]
fn a_silent_client_is_pinged_and_then_told_why_the_connection_ends() {
    let lifespan = Lifespan {
        ping_interval: Some(Duration::from_secs(30)),
        ping_timeout: Duration::from_secs(20),
        ..Lifespan::default()
    };
    let mut case = Case::with(&lifespan, SlowClient::Wait, |_| Box::new(|_| ()));
    let start = Instant::now();
    let after = |seconds| start + Duration::from_secs(seconds);
    assert!(matches!(
        case.turn_at(start),
        Next::Wait {
            deadline: Some(_),
            ..
        }
    ));
    assert!(case.wire.received().is_empty());
    case.turn_at(after(31));
    assert_eq!(case.wire.received(), b"\x89\x04\0\0\0\x01");
    case.wire.send(&[frame(0x8a, b"\0\0\0\x01")]);
    case.turn_at(after(32));
    case.turn_at(after(63));
    assert_eq!(case.wire.received(), b"\x89\x04\0\0\0\x02");
    assert_eq!(case.turn_at(after(84)), Next::Ended);
    assert_eq!(case.wire.received(), b"\x88\x0e\x03\xf3ping timeout");
    case.drop_session();
    let events = case.events.take();
    assert!(events[0].starts_with("closing with 1011"), "{events:?}");
    assert_eq!(events[1..], ["disconnect"]);
}

#[test]
fn a_connection_that_ends_with_half_a_long_message_frees_it_and_says_so() {
    let mut case = Case::echo();
    let mut long = vec![0x82, 0xff];
    long.extend((1_u64 << 20).to_be_bytes());
    long.extend([0; 4]);
    case.wire.send(&[long]);
    case.turn();
    // The client sends as much at a time as a turn reads.
    for _ in 0..17 {
        case.wire.send(&[vec![0; 61_680]]);
        case.turn();
    }
    case.drop_session();
    assert_eq!(case.events.take(), ["disconnect", "freed much"]);
}

thread_local! {
    static RELIEFS: Cell<usize> = const { Cell::new(0) };
}

#[test]
fn memory_is_relieved_after_a_message_was_queued_and_not_while_locks_may_be_held() {
    budget::relieve_with(|| RELIEFS.set(RELIEFS.get() + 1));
    budget::set_limit(Some(0));
    let message = [0; 40_000];
    let silent = Case::silent();
    let queued = silent.output.queue(Opcode::Binary, &message, Caller::Own);
    assert_eq!(queued, Ok(Queued::Accepted));
    assert_eq!(
        RELIEFS.get(),
        0,
        "whoever queues may hold the lock of a plugin's table"
    );
    // A session of another test may do the relief that this one has caused.
    let others = std::iter::repeat_with(Case::silent);
    others
        .take(1000)
        .inspect(|other| {
            let sent = other.output.send(Opcode::Binary, &message, Caller::Own);
            assert_eq!(sent, Ok(()));
        })
        .find(|_| RELIEFS.get() > 0)
        .expect("a send asks whether memory is to be relieved");
    budget::set_limit(None);
}
