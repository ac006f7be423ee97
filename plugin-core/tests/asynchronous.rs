//! Async plugins: order, cancellation, panics, and the end of the runtime.
#![cfg(feature = "tokio")]
#![forbid(unsafe_code)]

use std::future::pending;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;
use tokio::time::sleep;
use websocket_plugin::testing::{Host, Received, Request, unattached_log};
use websocket_plugin::{
    AsyncPlugin, Close, CloseCode, Disconnect, Handshake, Message, OptionError, Options, PostError,
    Rejection, SendError, Sender, websocket_plugin,
};

fn text(text: &str) -> Received {
    Received::Text(text.into())
}

/// Waits for something that another thread does.
fn until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !is_so() {
        assert!(Instant::now() < deadline, "never: {what}");
        thread::sleep(Duration::from_millis(1));
    }
}

/// Answers with the thread that answers.
#[derive(Default)]
struct Place;

#[websocket_plugin]
impl AsyncPlugin for Place {
    async fn on_message(&self, _: &mut (), to: &Sender, _: Message<'_>) -> Result<(), Close> {
        Ok(to.send(format!("{:?}", thread::current().id()))?)
    }
}

#[test]
fn a_callback_that_does_not_wait_completes_on_the_thread_that_delivers() {
    let host = Host::load::<Place>();
    let mut client = host.connect(Request::new()).unwrap();
    let here = text(&format!("{:?}", thread::current().id()));
    // The runtime has to take up the connection first.
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        client.send("where?");
        if client.receive() == here {
            break;
        }
        assert!(Instant::now() < deadline);
    }
}

/// Does what its messages say.
#[derive(Default)]
struct Talk;

/// What has been done with the connections of `Talk`, by their path.
static DONE: Mutex<Vec<(String, &str)>> = Mutex::new(Vec::new());

fn note(path: &str, what: &'static str) {
    DONE.lock().unwrap().push((path.to_owned(), what));
}

fn done(path: &str) -> Vec<&'static str> {
    let done = DONE.lock().unwrap();
    let of_path = done.iter().filter(|(known, _)| known == path);
    of_path.map(|(_, what)| *what).collect()
}

/// Notes when it is dropped.
struct Noted(String, &'static str);

impl Drop for Noted {
    fn drop(&mut self) {
        note(&self.0, self.1);
    }
}

#[websocket_plugin(workers = 2)]
impl AsyncPlugin for Talk {
    type Connection = String;
    type Event = String;

    async fn on_connect(&self, handshake: &mut Handshake<'_>) -> Result<String, Rejection> {
        sleep(Duration::from_millis(1)).await;
        match handshake.header("X-Do") {
            Some("refuse") => Err(Rejection::TOO_MANY_REQUESTS),
            Some("panic") => panic!("no connection"),
            Some("fail") => Err(std::io::Error::other("no database").into()),
            _ => Ok(handshake.path_info().unwrap_or_default().to_owned()),
        }
    }

    async fn on_message(
        &self,
        path: &mut String,
        to: &Sender,
        message: Message<'_>,
    ) -> Result<(), Close> {
        match message.as_text().unwrap_or_default() {
            "wait" => sleep(Duration::from_millis(5)).await,
            "note" => {
                sleep(Duration::from_millis(1)).await;
                note(path, "noted");
                return Ok(());
            }
            "post later" => {
                let event = "later".to_owned();
                return Ok(to.after::<Self>(Duration::from_secs(60), event)?);
            }
            "post too many" => {
                let count = post_as_many_as_possible(to).await;
                return Ok(to.send_async(count.to_string()).await?);
            }
            "close while a task waits for room" => {
                let sender = to.clone();
                let waiting = tokio::spawn(async move { sender.send_async("no room").await });
                sleep(Duration::from_millis(20)).await;
                let began = Instant::now();
                to.close(CloseCode::NORMAL)?;
                assert_eq!(waiting.await.unwrap(), Err(SendError::Closed));
                assert!(
                    began.elapsed() < Duration::from_millis(500),
                    "it looked by itself"
                );
                note(path, "woken");
                return Ok(());
            }
            "panic in event" => return Ok(to.post::<Self>("panic".to_owned())?),
            "try" => {
                assert_eq!(to.try_send("hello"), Err(SendError::Full));
                return Ok(to.send("tried")?);
            }
            "forever" => {
                let _dropped = Noted(path.clone(), "cancelled");
                note(path, "waiting");
                pending::<()>().await;
            }
            "panic" => panic!("at once"),
            "panic later" => {
                tokio::task::yield_now().await;
                panic!("later");
            }
            "panic in drop" => {
                struct Bomb;
                impl Drop for Bomb {
                    fn drop(&mut self) {
                        panic!("in drop");
                    }
                }
                let _bomb = Bomb;
                note(path, "waiting");
                pending::<()>().await;
            }
            "fail" => {
                sleep(Duration::from_millis(1)).await;
                return Err(std::io::Error::other("no such key").into());
            }
            "log" => {
                log::info!("at once");
                sleep(Duration::from_millis(1)).await;
                log::info!("later");
            }
            "spawn" => {
                let sender = to.clone();
                tokio::spawn(async move {
                    sleep(Duration::from_millis(1)).await;
                    let _ = sender.send("spawned");
                });
                return Ok(());
            }
            "close" => {
                sleep(Duration::from_millis(1)).await;
                return Err(CloseCode::GOING_AWAY.into());
            }
            other => {
                if let Some(event) = other.strip_prefix("post ") {
                    return Ok(to.post::<Self>(event.to_owned())?);
                }
            }
        }
        to.send_async(message).await?;
        note(path, "done");
        Ok(())
    }

    async fn on_event(&self, _: &mut String, to: &Sender, event: String) -> Result<(), Close> {
        sleep(Duration::from_millis(1)).await;
        assert_ne!(event, "panic");
        Ok(to.send_async(format!("event {event}")).await?)
    }

    async fn on_drain(&self, _: &mut String, to: &Sender) -> Result<(), Close> {
        sleep(Duration::from_millis(1)).await;
        Ok(to.send_async("drained").await?)
    }

    async fn on_disconnect(&self, path: String, disconnect: Disconnect) {
        sleep(Duration::from_millis(1)).await;
        if path == "/panic-at-the-end" {
            panic!("at the end");
        }
        log::info!("gone: {}", disconnect.code());
        note(&path, "disconnected");
    }
}

/// Posts events until no more are taken for a while, which no callback handles meanwhile. Returns
/// how many were taken.
async fn post_as_many_as_possible(to: &Sender) -> usize {
    let (mut count, mut refused) = (0, 0);
    while refused < 100 && count < 5000 {
        match to.post::<Talk>("one of many".to_owned()) {
            Ok(()) => (count, refused) = (count + 1, 0),
            Err(error) => {
                assert_eq!(error, PostError::Full);
                refused += 1;
                sleep(Duration::from_millis(1)).await;
            }
        }
    }
    count
}

#[test]
fn callbacks_of_a_connection_run_in_order_and_those_of_others_go_on() {
    let host = Host::load::<Talk>();
    let mut first = host.connect(Request::new()).unwrap();
    let mut stuck = host.connect(Request::new().path_info("/stuck")).unwrap();
    stuck.send("forever");
    let mut expected = Vec::new();
    for number in 0..30 {
        first.send("wait");
        first.send(number.to_string());
        expected.extend([text("wait"), text(&number.to_string())]);
    }
    let received: Vec<_> = expected.iter().map(|_| first.receive()).collect();
    assert_eq!(received, expected);
    assert_eq!(stuck.received(), []);
}

#[test]
fn a_callback_that_waits_is_cancelled_before_on_disconnect() {
    let host = Host::load::<Talk>();
    let mut client = host.connect(Request::new().path_info("/cancel")).unwrap();
    client.send("forever");
    client.send("dropped with the mailbox");
    until("it waits", || done("/cancel") == ["waiting"]);
    client.close(CloseCode::NORMAL);
    drop(host);
    assert_eq!(done("/cancel"), ["waiting", "cancelled", "disconnected"]);
}

#[test]
fn what_a_client_has_sent_before_it_closed_is_handled() {
    let host = Host::load::<Talk>();
    let mut client = host.connect(Request::new().path_info("/finish")).unwrap();
    for _ in 0..20 {
        client.send("note");
    }
    client.close(CloseCode::NORMAL);
    until("on_disconnect", || done("/finish").len() == 21);
    assert_eq!(done("/finish")[..20], ["noted"; 20]);
    assert_eq!(done("/finish")[20], "disconnected");
}

/// Never completes a callback.
#[derive(Default)]
struct Crowd;

/// The numbers of the connections of `Crowd` whose callbacks were cancelled, and that have ended.
static CANCELLED: Mutex<Vec<usize>> = Mutex::new(Vec::new());
static GONE: AtomicUsize = AtomicUsize::new(0);

#[websocket_plugin]
impl AsyncPlugin for Crowd {
    type Connection = ();

    async fn on_message(&self, (): &mut (), _: &Sender, m: Message<'_>) -> Result<(), Close> {
        struct Cancelled(usize);
        impl Drop for Cancelled {
            fn drop(&mut self) {
                CANCELLED.lock().unwrap().push(self.0);
            }
        }
        let number = m.as_text().and_then(|text| text.split(' ').next());
        let _cancelled = Cancelled(number.ok_or("no number")?.parse()?);
        pending().await
    }

    async fn on_disconnect(&self, (): (), _: Disconnect) {
        GONE.fetch_add(1, SeqCst);
    }
}

#[test]
fn clients_that_have_closed_leave_a_limited_number_of_messages() {
    const MOST: usize = 256;
    let host = Host::load::<Crowd>();
    let began = Instant::now();
    let leave = |text: String| {
        let mut client = host.connect(Request::new()).unwrap();
        client.send(text);
        client.close(CloseCode::NORMAL);
    };
    (0..MOST + 10).for_each(|number| leave(number.to_string()));
    until("the first ten are gone", || GONE.load(SeqCst) == 10);
    let mut cancelled = CANCELLED.lock().unwrap().clone();
    cancelled.sort_unstable();
    assert_eq!(cancelled, (0..10).collect::<Vec<_>>());
    // Large messages make room for themselves, too, and the newest stays in any case.
    leave(format!("1000 {}", "x".repeat(20 << 20)));
    until("all others are gone", || GONE.load(SeqCst) == MOST + 10);
    assert!(began.elapsed() < Duration::from_secs(5), "the usual limit");
    assert!(!CANCELLED.lock().unwrap().contains(&1000));
    let is_told = |line: &&str| line.contains("messages of clients that have closed");
    let log: Vec<_> = unattached_log().into_iter().map(|line| line.text).collect();
    assert_eq!(log.iter().map(String::as_str).filter(is_told).count(), 1);
}

#[test]
fn what_a_client_has_sent_before_it_was_lost_is_dropped() {
    let host = Host::load::<Talk>();
    let mut client = host.connect(Request::new().path_info("/lost")).unwrap();
    client.send("forever");
    client.send("note");
    until("it waits", || done("/lost") == ["waiting"]);
    client.disconnect();
    until("on_disconnect", || done("/lost").len() == 3);
    assert_eq!(done("/lost"), ["waiting", "cancelled", "disconnected"]);
}

#[test]
fn events_come_in_order_with_messages_and_are_dropped_at_the_end() {
    let host = Host::load::<Talk>();
    let mut client = host.connect(Request::new().path_info("/events")).unwrap();
    client.send("wait");
    for number in 0..3 {
        client.send(format!("post {number}"));
    }
    let received: Vec<_> = (0..4).map(|_| client.receive()).collect();
    let expected = ["wait", "event 0", "event 1", "event 2"].map(text);
    assert_eq!(received, expected);
    client.send("post later");
    client.send("hello");
    assert_eq!(client.receive(), text("hello"));
    host.advance(Duration::from_secs(60));
    assert_eq!(client.receive(), text("event later"));
    client.send("panic in event");
    let closed = Received::Close(CloseCode::INTERNAL_ERROR, String::new());
    assert_eq!(client.receive(), closed);
}

#[test]
fn too_many_events_are_refused() {
    let host = Host::load::<Talk>();
    let mut client = host.connect(Request::new().path_info("/many")).unwrap();
    client.send("post too many");
    let Received::Text(answer) = client.receive() else {
        panic!("no text");
    };
    let count: usize = answer.parse().unwrap();
    // Those in the module's mailbox, and those in that of the plugin.
    assert!((1024..=2048).contains(&count), "{count}");
}

#[test]
fn on_drain_is_called_when_the_client_reads_again() {
    let host = Host::load::<Talk>();
    let mut client = host.connect(Request::new()).unwrap();
    client.stop_reading();
    client.send("try");
    // The callback may run on another thread.
    assert_eq!(client.receive(), text("tried"));
    client.resume_reading();
    assert_eq!(client.receive(), text("drained"));
}

#[test]
fn a_close_wakes_those_who_wait_for_room() {
    let host = Host::load::<Talk>();
    let mut client = host.connect(Request::new().path_info("/room")).unwrap();
    client.stop_reading();
    client.send("close while a task waits for room");
    until("the task is woken", || done("/room") == ["woken"]);
}

#[test]
fn a_client_that_goes_at_once_is_disconnected() {
    let host = Host::load::<Talk>();
    for _ in 0..50 {
        drop(host.connect(Request::new().path_info("/at-once")).unwrap());
    }
    drop(host);
    assert_eq!(done("/at-once"), ["disconnected"; 50]);
}

#[test]
fn a_handshake_may_wait_and_refuse() {
    let host = Host::load::<Talk>();
    let status = |what| host.connect(Request::new().header("X-Do", what)).err();
    assert_eq!(status("refuse"), Some(429));
    assert_eq!(status("panic"), Some(500));
    assert_eq!(status("fail"), Some(500));
    assert_eq!(status("nothing"), None);
    let log: Vec<_> = host.log().into_iter().map(|line| line.text).collect();
    assert!(
        log[0].starts_with("[Talk] on_connect panicked at "),
        "{log:?}"
    );
    assert!(log[0].ends_with(": no connection"), "{log:?}");
    assert_eq!(log[1], "[Talk] on_connect: no database");
}

#[test]
fn a_panic_ends_its_own_connection_with_1011() {
    for (message, why) in [("panic", "at once"), ("panic later", "later")] {
        let host = Host::load::<Talk>();
        let mut other = host.connect(Request::new()).unwrap();
        let mut client = host.connect(Request::new()).unwrap();
        client.send(message);
        client.send("not delivered");
        let closed = Received::Close(CloseCode::INTERNAL_ERROR, String::new());
        assert_eq!(client.receive(), closed);
        other.send("hello");
        assert_eq!(other.receive(), text("hello"));
        client.send("not delivered either");
        drop(client);
        drop(other);
        let log = host.log();
        assert!(
            log[0].text.starts_with("[Talk] on_message panicked at "),
            "{log:?}"
        );
        assert!(log[0].text.ends_with(&format!(": {why}")), "{log:?}");
    }
}

#[test]
fn a_panic_while_a_callback_is_cancelled_is_logged() {
    let host = Host::load::<Talk>();
    let mut client = host.connect(Request::new().path_info("/bomb")).unwrap();
    client.send("panic in drop");
    until("it waits", || done("/bomb") == ["waiting"]);
    drop(client);
    until("on_disconnect", || {
        done("/bomb") == ["waiting", "disconnected"]
    });
    let is_told = |line: &str| line.contains("on_message panicked at") && line.contains("in drop");
    assert!(unattached_log().iter().any(|line| is_told(&line.text)));
}

#[test]
fn a_panic_in_on_disconnect_is_logged() {
    let host = Host::load::<Talk>();
    drop(
        host.connect(Request::new().path_info("/panic-at-the-end"))
            .unwrap(),
    );
    let is_told = |line: &str| line.contains("on_disconnect panicked at");
    until("a line", || {
        unattached_log().iter().any(|line| is_told(&line.text))
    });
}

#[test]
fn errors_and_close_codes_of_callbacks_that_have_waited_close_the_connection() {
    let host = Host::load::<Talk>();
    for (message, code) in [
        ("fail", CloseCode::INTERNAL_ERROR),
        ("close", CloseCode::GOING_AWAY),
    ] {
        let mut client = host.connect(Request::new()).unwrap();
        client.send(message);
        assert_eq!(client.receive(), Received::Close(code, String::new()));
    }
    assert_eq!(host.log()[0].text, "[Talk] on_message: no such key");
}

#[test]
fn lines_of_callbacks_belong_to_their_connection() {
    let host = Host::load::<Talk>();
    let mut client = host.connect(Request::new()).unwrap();
    client.send("log");
    assert_eq!(client.receive(), text("log"));
    let log: Vec<_> = host.log().into_iter().map(|line| line.text).collect();
    assert_eq!(log, ["[Talk] at once", "[Talk] later"]);
    client.close(CloseCode::NORMAL);
    drop(host);
    let is_told = |line: &str| line.ends_with("] gone: 1000") && line.contains("[client ");
    assert!(unattached_log().iter().any(|line| is_told(&line.text)));
}

#[test]
fn callbacks_may_spawn_tasks() {
    let host = Host::load::<Talk>();
    let mut client = host.connect(Request::new()).unwrap();
    client.send("spawn");
    assert_eq!(client.receive(), text("spawned"));
}

#[test]
fn send_async_waits_until_the_client_reads() {
    let host = Host::load::<Talk>();
    let mut client = host.connect(Request::new().path_info("/full")).unwrap();
    client.stop_reading();
    client.send("hello");
    client.send("close");
    assert_eq!(done("/full"), [""; 0]);
    client.resume_reading();
    assert_eq!(client.receive(), text("hello"));
    assert_eq!(
        client.receive(),
        Received::Close(CloseCode::GOING_AWAY, String::new())
    );
}

#[test]
fn the_c_module_can_load_it() {
    let host = Host::c_module::<Talk>().unwrap();
    let mut client = host.connect(Request::new()).unwrap();
    client.send("wait");
    assert_eq!(client.receive(), text("wait"));
}

#[test]
fn tests_may_be_async_themselves() {
    let runtime = tokio::runtime::Builder::new_multi_thread().build().unwrap();
    runtime.block_on(async {
        let host = Host::load::<Talk>();
        let mut client = host.connect(Request::new()).unwrap();
        client.send("wait");
        assert_eq!(client.receive(), text("wait"));
    });
}

/// A plugin whose callbacks need leave. It counts itself.
struct Held;

static HELD: AtomicUsize = AtomicUsize::new(0);
static HAS_BEGUN: AtomicBool = AtomicBool::new(false);
static LEAVE: Semaphore = Semaphore::const_new(0);

#[websocket_plugin(workers = 1)]
impl AsyncPlugin for Held {
    fn configure(_: &Options) -> Result<Self, OptionError> {
        HELD.fetch_add(1, SeqCst);
        Ok(Self)
    }

    async fn on_message(&self, _: &mut (), to: &Sender, m: Message<'_>) -> Result<(), Close> {
        HAS_BEGUN.store(true, SeqCst);
        LEAVE.acquire().await?.forget();
        Ok(to.send(m)?)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        HELD.fetch_sub(1, SeqCst);
    }
}

#[test]
fn a_full_mailbox_pauses_its_client_and_loses_nothing() {
    const COUNT: usize = 500;
    let host = Host::load::<Held>();
    let mut client = host.connect(Request::new()).unwrap();
    // One is with the callback, and 32 are in the mailbox.
    for number in 0..33 {
        assert!(!client.is_paused(), "before {number}");
        client.send(number.to_string());
        until("the callback has begun", || {
            number > 0 || HAS_BEGUN.load(SeqCst)
        });
    }
    assert!(client.is_paused());
    for number in 33..COUNT {
        client.send(number.to_string());
    }
    LEAVE.add_permits(COUNT);
    for number in 0..COUNT {
        assert_eq!(client.receive(), text(&number.to_string()));
    }
    assert!(!client.is_paused());
    drop(client);
    drop(host);
    assert_eq!(HELD.load(SeqCst), 0);
}

#[test]
fn a_full_mailbox_blocks_the_c_module_and_loses_nothing() {
    const COUNT: usize = 500;
    let host = Host::c_module::<HeldByC>().unwrap();
    let mut client = host.connect(Request::new()).unwrap();
    let (sent, told) = mpsc::channel();
    thread::scope(|scope| {
        let client = &mut client;
        scope.spawn(move || {
            for number in 0..COUNT {
                client.send(number.to_string());
                let _ = sent.send(number);
            }
            for number in 0..COUNT {
                assert_eq!(client.receive(), text(&number.to_string()));
            }
        });
        // The last one fills the mailbox, so its callback has not returned.
        let more = Duration::from_millis(200);
        let last = std::iter::from_fn(|| told.recv_timeout(more).ok()).last();
        LEAVE_BY_C.add_permits(COUNT);
        assert!(last <= Some(32), "{last:?} were taken");
    });
}

/// The same for the C module, with callbacks of its own.
#[derive(Default)]
struct HeldByC;

static LEAVE_BY_C: Semaphore = Semaphore::const_new(0);

#[websocket_plugin(workers = 1)]
impl AsyncPlugin for HeldByC {
    async fn on_message(&self, _: &mut (), to: &Sender, m: Message<'_>) -> Result<(), Close> {
        LEAVE_BY_C.acquire().await?.forget();
        Ok(to.send(m)?)
    }
}

/// A plugin with callbacks that never end.
#[derive(Default)]
struct Endless;

static IS_BLOCKED: AtomicBool = AtomicBool::new(false);

#[websocket_plugin(workers = 1)]
impl AsyncPlugin for Endless {
    type Connection = bool;

    async fn on_connect(&self, handshake: &mut Handshake<'_>) -> Result<bool, Rejection> {
        Ok(handshake.header("X-Block").is_some())
    }

    async fn on_message(&self, _: &mut bool, _: &Sender, _: Message<'_>) -> Result<(), Close> {
        tokio::task::spawn_blocking(|| {
            IS_BLOCKED.store(true, SeqCst);
            thread::sleep(Duration::from_secs(3600));
        });
        Ok(())
    }

    async fn on_disconnect(&self, _: bool, _: Disconnect) {
        pending::<()>().await;
    }
}

#[test]
fn what_never_ends_does_not_hang_the_end() {
    let host = Host::load::<Endless>();
    let mut client = host.connect(Request::new()).unwrap();
    client.send("block a thread");
    until("a thread blocks", || IS_BLOCKED.load(SeqCst));
    drop(client);
    let begin = Instant::now();
    drop(host);
    let took = begin.elapsed();
    assert!(took >= Duration::from_secs(2), "it took {took:?}");
    // Well below the nine seconds after which httpd kills a child.
    assert!(took < Duration::from_secs(6), "it took {took:?}");
    let log = unattached_log();
    let has = |part: &str| log.iter().any(|line| line.text.contains(part));
    assert!(
        has("[Endless] the callbacks of 1 connections have not completed"),
        "{log:?}"
    );
    assert!(
        has("[Endless] 1 threads of the runtime are blocked"),
        "{log:?}"
    );
}

#[test]
fn a_sender_that_outlives_its_connection_is_closed() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    static KEPT: Mutex<Option<Sender>> = Mutex::new(None);

    #[derive(Default)]
    struct Keeper;

    #[websocket_plugin]
    impl AsyncPlugin for Keeper {
        async fn on_connect(&self, handshake: &mut Handshake<'_>) -> Result<(), Rejection> {
            *KEPT.lock().unwrap() = Some(handshake.sender());
            Ok(())
        }

        async fn on_message(&self, _: &mut (), _: &Sender, _: Message<'_>) -> Result<(), Close> {
            Ok(())
        }
    }

    let host = Host::load::<Keeper>();
    drop(host.connect(Request::new()).unwrap());
    let kept = KEPT.lock().unwrap().take().unwrap();
    assert_eq!(
        runtime.block_on(kept.send_async("late")),
        Err(SendError::Closed)
    );
}
