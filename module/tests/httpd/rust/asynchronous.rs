//! Async plugins.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use xtask::httpd::Httpd;
use xtask::port::free_port;
use xtask::server_root::{Mpm, Sizing};
use xtask::soak::Footprint;

use super::{ask, location, open};
use crate::keepalive::ways::on_all_ways_to;
use crate::support::frame::masked;
use crate::support::server::ensure_healthy;
use crate::support::wire::{AnyClient, any};
use crate::support::{
    Client, Context, Driver, Frame, Handshake, Opcode, PATIENCE, cases, wait_until,
};

cases! {
    "async plugins: callbacks that wait run in order, and others go on" => order,
    "async plugins: a client whose callbacks wait is held back, and loses nothing" => held_back,
    "async plugins: the end of a connection cancels its callback before on_disconnect" => cancelled,
    "async plugins: what a client has sent before it closed is handled" => finished,
    "async plugins: on_disconnect is given up after ten seconds" => given_up,
    "async plugins: events come in the order of the connection's callbacks" => events,
    "async plugins: on_drain is called when a full queue has room" => drained,
    "async plugins: send_async sleeps until a slow client makes room" => sleeping,
    "async plugins: send_async does not wait for a message whose writer is lost" => lost_writer,
    "async plugins: send_async in on_connect does not wait for room" => greeting,
    "async plugins: callbacks that wait run in order on every kind of connection" => all_ways,
    "async plugins: a handshake may wait for another server" => handshake,
    "async plugins: a panic ends its own connection" => panic,
    "async plugins: a thousand connections leave nothing" => nothing_left,
    "async plugins: connections over TLS and detached ones leave nothing" => nothing_left_elsewhere,
    "async plugins: connections survive a graceful restart while they wait" => graceful,
    "async plugins: a hard restart and a stop cancel what waits" => hard,
    "async plugins: what never ends does not keep a child from ending" => never,
    "async plugins: several have no more time than one when a child ends" => together,
    "async plugins: an on_disconnect that is late may publish" => late,
    "async plugins: tasks that send while a child ends crash nothing" => storm,
    "async plugins: a handshake fails if the runtime can have no thread" => no_thread,
    "async plugins: threads of the runtime take no signals" => signals,
    "async plugins may be named in .htaccess files" => htaccess,
}

/// The server that the plugin asks.
struct Backend(TcpListener);

/// A question that has not been answered.
struct Question {
    text: String,
    stream: BufReader<TcpStream>,
}

impl Backend {
    fn new() -> Result<Self> {
        Ok(Self(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?))
    }

    fn port(&self) -> Result<u16> {
        Ok(self.0.local_addr()?.port())
    }

    /// The next question, for which this waits.
    fn question(&self) -> Result<Question> {
        let mut question = None;
        self.0.set_nonblocking(true)?;
        wait_until("a question", || match self.0.accept() {
            Ok((stream, _)) => {
                question = Some(stream);
                Ok(true)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error.into()),
        })?;
        let stream = question.expect("just set");
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut stream = BufReader::new(stream);
        let mut text = String::new();
        stream.read_line(&mut text)?;
        let text = text.trim_end().to_owned();
        Ok(Question { text, stream })
    }

    /// Whether nobody asks at the moment.
    fn is_idle(&self) -> Result<bool> {
        self.0.set_nonblocking(true)?;
        match self.0.accept() {
            Ok(_) => Ok(false),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(true),
            Err(error) => Err(error.into()),
        }
    }
}

impl Question {
    fn answer(mut self, answer: &str) -> Result<()> {
        Ok(writeln!(self.stream.get_mut(), "{answer}")?)
    }

    /// Waits until the asker has given up.
    fn expect_cancelled(mut self) -> Result<()> {
        let mut rest = Vec::new();
        match self.stream.read_to_end(&mut rest) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
            Err(error) => return Err(error).context("it still waits for the answer"),
        }
        ensure!(rest.is_empty(), "it said {rest:?}");
        Ok(())
    }
}

fn start(context: &Context) -> Result<Httpd> {
    context.start_small(8, &location(context, "/waiter", "waiter", ""))
}

/// Connects a client of whose end the backend is told.
fn open_told(address: SocketAddr, backend: &Backend) -> Result<Client> {
    let target = format!("/waiter?ask={}", backend.port()?);
    let client = thread::spawn(move || Client::open(address, &Handshake::to(&target)));
    backend.question()?.answer("yes")?;
    client.join().expect("it does not panic")
}

fn expect_gone(backend: &Backend, code: u16) -> Result<()> {
    let question = backend.question()?;
    ensure!(question.text == format!("gone {code}"), "{}", question.text);
    question.answer("thanks")
}

fn order(context: &Context) -> Result<()> {
    let (httpd, backend) = (start(context)?, Backend::new()?);
    let port = backend.port()?;
    let (mut first, mut other) = (open(&httpd, "/waiter")?, open(&httpd, "/waiter")?);
    for number in 0..10 {
        first.text(format!("ask {port} question {number}"))?;
        first.text(format!("echo {number}"))?;
    }
    for number in 0..10 {
        let question = backend.question()?;
        ensure!(
            question.text == format!("question {number}"),
            "{}",
            question.text
        );
        other.echo("nobody else waits")?;
        ensure!(backend.is_idle()?, "two questions at once");
        question.answer(&format!("answer {number}"))?;
        first.expect_text(format!("answer {number}"))?;
        first.expect_text(format!("echo {number}"))?;
    }
    first.close()?;
    other.close()?;
    ensure_healthy(&httpd.error_log()?)
}

fn held_back(context: &Context) -> Result<()> {
    /// Far more than the buffers of the system take.
    const MOST: usize = 64 << 20;
    let (httpd, backend) = (start(context)?, Backend::new()?);
    let mut client = open(&httpd, "/waiter")?;
    client.text(format!("ask {} something", backend.port()?))?;
    let question = backend.question()?;
    let payload = "x".repeat(4096);
    let frame = masked(Opcode::TEXT, &payload);
    // A write that waits for so long shows that the server does not read.
    client
        .stream
        .set_write_timeout(Some(Duration::from_millis(300)))?;
    let (mut count, mut rest) = (0, Vec::new());
    while rest.is_empty() {
        ensure!(count * frame.len() < MOST, "{MOST} bytes were taken");
        let mut left = &frame[..];
        while !left.is_empty() {
            match client.stream.write(left) {
                Ok(written) => left = &left[written..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    rest = left.to_vec();
                    break;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        count += 1;
    }
    let mut other = open(&httpd, "/waiter")?;
    other.echo("nobody else is held back")?;
    question.answer("answer")?;
    client.expect_text("answer")?;
    let mut writer = client.stream.try_clone()?;
    writer.set_write_timeout(Some(PATIENCE))?;
    let finisher = thread::spawn(move || writer.write_all(&rest));
    for _ in 0..count {
        client.expect_text(&payload)?;
    }
    finisher.join().expect("it does not panic")?;
    client.close()?;
    ensure_healthy(&httpd.error_log()?)
}

fn cancelled(context: &Context) -> Result<()> {
    type End = fn(Client) -> Result<()>;
    /// A client that has closed in order is served for five seconds more.
    const FINISH: Duration = Duration::from_secs(5);
    let ends: [(End, u16, Duration); 2] = [
        (Client::reset, 1006, Duration::ZERO),
        (Client::close, 1000, FINISH),
    ];
    let (httpd, backend) = (start(context)?, Backend::new()?);
    for (end, code, least) in ends {
        let mut client = open_told(httpd.address(), &backend)?;
        client.text(format!("ask {} something", backend.port()?))?;
        let question = backend.question()?;
        client.text(format!("ask {} something else", backend.port()?))?;
        let ended = Instant::now();
        end(client)?;
        question.expect_cancelled()?;
        // The server's time begins when it has got the close frame.
        ensure!(ended.elapsed() >= least, "after {:?}", ended.elapsed());
        expect_gone(&backend, code)?;
    }
    ensure_healthy(&httpd.error_log()?)
}

fn finished(context: &Context) -> Result<()> {
    let (httpd, backend) = (start(context)?, Backend::new()?);
    let port = backend.port()?;
    for _ in 0..5 {
        let mut client = open_told(httpd.address(), &backend)?;
        let mut all = Vec::new();
        for number in 0..10 {
            all.extend(masked(Opcode::TEXT, format!("ask {port} {number}")));
            all.extend(masked(Opcode::TEXT, "an answer that cannot be sent"));
        }
        all.extend(masked(Opcode::CLOSE, 1000_u16.to_be_bytes()));
        client.send(all)?;
        client.expect_close(1000)?;
        for number in 0..10 {
            let question = backend.question()?;
            ensure!(question.text == number.to_string(), "{}", question.text);
            question.answer("answer")?;
        }
        expect_gone(&backend, 1000)?;
    }
    ensure_healthy(&httpd.error_log()?)
}

fn given_up(context: &Context) -> Result<()> {
    let httpd = start(context)?;
    let mut client = open(&httpd, "/waiter")?;
    client.echo("never")?;
    client.close()?;
    let line = httpd.wait_for_log(
        "on_disconnect has not completed within 10 seconds",
        PATIENCE,
    )?;
    ensure!(line.contains("[Waiter] [client "), "{line}");
    open(&httpd, "/waiter")?.echo("others go on")?;
    ensure_healthy(&httpd.error_log()?)
}

fn events(context: &Context) -> Result<()> {
    on_all_ways(context, |client| {
        let backend = Backend::new()?;
        // The event is due long before the callback has completed that asked for it.
        let port = backend.port()?;
        client.text(format!("later-ask 1 second {port} something"))?;
        let question = backend.question()?;
        client.text("third")?;
        thread::sleep(Duration::from_millis(20));
        question.answer("first")?;
        client.expect_text("first")?;
        let others = [client.next_text()?, client.next_text()?];
        ensure!(others.contains(&"second".into()), "{others:?}");
        ensure!(others.contains(&"third".into()), "{others:?}");
        for number in 0..100 {
            client.text(format!("post {number}"))?;
        }
        for number in 0..100 {
            client.expect_text(number.to_string())?;
        }
        Ok(())
    })
}

fn drained(context: &Context) -> Result<()> {
    on_all_ways(context, |client| {
        client.text("fill")?;
        loop {
            let frame = client.frame_behind_pings()?;
            if frame.first_byte == Opcode::TEXT {
                ensure!(frame.payload == b"drained", "{frame:?}");
                return client.echo("again");
            }
        }
    })
}

fn sleeping(context: &Context) -> Result<()> {
    /// Far more messages than the buffers of the system hold.
    const COUNT: usize = 1000;
    let httpd = start(context)?;
    let mut client = Client::connect_with_buffer(httpd.address(), 1 << 16)?;
    client.upgrade(&Handshake::to("/waiter"))?;
    client.text(format!("flood {COUNT}"))?;
    client.text("behind the flood")?;
    // The queue is full when nothing more happens.
    let mut before = 0;
    wait_until("the runtime sleeps", || {
        let last = std::mem::replace(&mut before, runtime_switches(&httpd)?);
        thread::sleep(Duration::from_millis(300));
        Ok(last == before && before > 0)
    })?;
    let mut bytes = 0;
    while bytes < COUNT * (64 << 10) {
        let frame = client.frame_behind_pings()?;
        ensure!(
            frame.first_byte == Opcode::BINARY,
            "{bytes} bytes, then {frame:?}"
        );
        bytes += frame.payload.len();
    }
    client.expect_text("behind the flood")?;
    client.close()?;
    ensure_healthy(&httpd.error_log()?)
}

/// How often threads of the runtime have gone to sleep.
fn runtime_switches(httpd: &Httpd) -> Result<u64> {
    let mut sum = 0;
    for (_, status) in runtime_statuses(httpd)? {
        let count = status
            .lines()
            .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        sum += count.context("no count")?.trim().parse::<u64>()?;
    }
    Ok(sum)
}

fn lost_writer(context: &Context) -> Result<()> {
    let locations = [
        "Timeout 1\n".into(),
        location(context, "/waiter", "waiter", ""),
        location(context, "/waiter_detached", "waiter", "WebSocketDetach On"),
    ];
    let targets = ["/waiter", "/waiter_detached"];
    on_all_ways_to(context, &locations.concat(), targets, |client| {
        client.text("lose")?;
        client.expect(&Frame::new(Opcode::CLOSE, b"\x03\xf3incomplete message"))
    })
}

fn greeting(context: &Context) -> Result<()> {
    let httpd = start(context)?;
    let mut client = open(&httpd, "/waiter?greet=2")?;
    for _ in 0..2 {
        let frame = client.frame_behind_pings()?;
        ensure!(frame.payload.len() == 64 << 10, "{frame:?}");
    }
    client.close()?;
    let response = Client::ask(httpd.address(), &Handshake::to("/waiter?greet=1000"))?;
    ensure!(response.status == 429, "{response:?}");
    ensure_healthy(&httpd.error_log()?)
}

fn all_ways(context: &Context) -> Result<()> {
    on_all_ways(context, |client| {
        let backend = Backend::new()?;
        let port = backend.port()?;
        for round in 0..20 {
            for number in 0..4 {
                client.text(format!("ask {port} {number}"))?;
                client.text(format!("echo {number}"))?;
            }
            for number in 0..4 {
                let question = backend.question()?;
                ensure!(question.text == number.to_string(), "{}", question.text);
                question.answer(&format!("answer {round} {number}"))?;
                client.expect_text(format!("answer {round} {number}"))?;
                client.expect_text(format!("echo {number}"))?;
            }
        }
        client.send(masked(Opcode::CLOSE, 1000_u16.to_be_bytes()))?;
        client.expect(&Frame::close(1000))
    })
}

/// Runs `body` with a client of each kind: plain, over TLS, detached, over HTTP/2.
fn on_all_ways(
    context: &Context,
    body: impl Fn(&mut AnyClient) -> Result<()> + Sync,
) -> Result<()> {
    let locations = [
        location(context, "/waiter", "waiter", ""),
        location(context, "/waiter_detached", "waiter", "WebSocketDetach On"),
    ];
    on_all_ways_to(
        context,
        &locations.concat(),
        ["/waiter", "/waiter_detached"],
        body,
    )
}

fn handshake(context: &Context) -> Result<()> {
    let (httpd, backend) = (start(context)?, Backend::new()?);
    open_told(httpd.address(), &backend)?.echo("it may")?;
    expect_gone(&backend, 1006)?;
    let target = format!("/waiter?ask={}", backend.port()?);
    let address = httpd.address();
    let refused = thread::spawn(move || Client::ask(address, &Handshake::to(&target)));
    backend.question()?.answer("no")?;
    let response = refused.join().expect("it does not panic")?;
    ensure!(response.status == 403, "{response:?}");
    ensure_healthy(&httpd.error_log()?)
}

fn panic(context: &Context) -> Result<()> {
    let httpd = start(context)?;
    let (mut client, mut other) = (open(&httpd, "/waiter")?, open(&httpd, "/waiter")?);
    other.echo("before")?;
    client.text("panic")?;
    client.text("after the panic")?;
    client.expect_close(1011)?;
    let line = httpd.wait_for_log("[Waiter] on_message panicked at", PATIENCE)?;
    ensure!(line.contains(": it has waited"), "{line}");
    other.echo("after")?;
    other.close()?;
    ensure!(!httpd.error_log()?.contains("exit signal"));
    ensure!(httpd.stop()?.success());
    Ok(())
}

/// The number of threads for WebSockets of an idle child.
const THREADS: usize = 2;

/// What a child that `Footprint` can measure needs.
fn measurable() -> String {
    format!("KeepAliveTimeout 100ms\nWebSocketThreads {THREADS} 4\n")
}

fn nothing_left(context: &Context) -> Result<()> {
    /// The memory in KiB by which a process may grow.
    const ALLOWANCE_KIB: u64 = 2048;
    // On prefork each process counts separately, and fewer connections suffice.
    let count = if context.mpm == Mpm::Prefork {
        50
    } else {
        1000
    };
    let config = location(context, "/waiter", "waiter", "") + &measurable();
    let httpd = context.start_small(8, &config)?;
    let backend = Backend::new()?;
    let port = backend.port()?;
    let cycles = |from: u32, to: u32| {
        for number in from..to {
            let mut client = open(&httpd, "/waiter")?;
            if number % 2 == 0 {
                client.text(format!("ask {port} something"))?;
                let question = backend.question()?;
                if number % 4 == 0 {
                    client.reset()?;
                    question.expect_cancelled()?;
                    continue;
                }
                question.answer("answer")?;
                client.expect_text("answer")?;
            }
            client.echo("hello")?;
            client.close()?;
        }
        anyhow::Ok(())
    };
    cycles(0, count / 3)?;
    let before = (
        Footprint::at_rest(&httpd, THREADS)?,
        runtime_threads(&httpd)?,
    );
    cycles(count / 3, count)?;
    let after = (
        Footprint::at_rest(&httpd, THREADS)?,
        runtime_threads(&httpd)?,
    );
    ensure!(after.1 <= before.1, "{before:?}, {after:?}");
    after.0.ensure_flat_since(&before.0, ALLOWANCE_KIB)?;
    ensure_healthy(&httpd.error_log()?)
}

fn nothing_left_elsewhere(context: &Context) -> Result<()> {
    /// The memory in KiB by which a process may grow. TLS makes the heap's busiest moment vary.
    const ALLOWANCE_KIB: u64 = 4096;
    const COUNT: u32 = 900;
    if context.driver != Driver::Event {
        return Ok(());
    }
    let config = [
        location(context, "/waiter", "waiter", ""),
        location(context, "/detached", "waiter", "WebSocketDetach On"),
        measurable(),
    ];
    let sizing = Sizing {
        processes: 1,
        threads: 8,
    };
    let httpd = context
        .root()?
        .sizing(sizing)
        .config(config.concat())
        .tls_port(free_port()?)
        .start()?;
    let backend = Backend::new()?;
    let cycles = |from: u32, to: u32| {
        for number in from..to {
            let client = if number % 2 == 0 {
                any(Client::open_tls(&httpd, &Handshake::to("/waiter"))?)
            } else {
                any(open(&httpd, "/detached")?)
            };
            serve_one(client, &backend, number / 2)?;
        }
        anyhow::Ok(())
    };
    cycles(0, COUNT / 3)?;
    let before = (
        Footprint::at_rest(&httpd, THREADS)?,
        runtime_threads(&httpd)?,
    );
    cycles(COUNT / 3, COUNT)?;
    let after = (
        Footprint::at_rest(&httpd, THREADS)?,
        runtime_threads(&httpd)?,
    );
    ensure!(after.1 <= before.1, "{before:?}, {after:?}");
    after.0.ensure_flat_since(&before.0, ALLOWANCE_KIB)?;
    ensure_healthy(&httpd.error_log()?)
}

/// A client that goes while a callback waits, one whose messages are handled after it has closed,
/// or one that is answered.
fn serve_one(mut client: AnyClient, backend: &Backend, number: u32) -> Result<()> {
    client.text(format!("ask {} something", backend.port()?))?;
    let question = backend.question()?;
    match number % 3 {
        0 => {
            drop(client);
            question.expect_cancelled()
        }
        1 => {
            client.close()?;
            question.answer("an answer for nobody")
        }
        _ => {
            question.answer("answer")?;
            client.expect_text("answer")?;
            client.close()
        }
    }
}

/// The process and the status of each thread of a runtime.
fn runtime_statuses(httpd: &Httpd) -> Result<Vec<(u32, String)>> {
    let mut statuses = Vec::new();
    for pid in httpd.child_pids()? {
        for thread in std::fs::read_dir(format!("/proc/{pid}/task"))? {
            // It may have ended meanwhile.
            let status = std::fs::read_to_string(thread?.path().join("status"));
            statuses.extend(status.ok().map(|status| (pid, status)));
        }
    }
    statuses.retain(|(_, status)| status.starts_with("Name:\tws Waiter\n"));
    Ok(statuses)
}

/// The most threads that the runtime of a child has. Prefork may start children at any time.
fn runtime_threads(httpd: &Httpd) -> Result<usize> {
    let statuses = runtime_statuses(httpd)?;
    let of_child = |pid: u32| statuses.iter().filter(|(of, _)| *of == pid).count();
    Ok(statuses
        .iter()
        .map(|(pid, _)| of_child(*pid))
        .max()
        .unwrap_or(0))
}

fn signals(context: &Context) -> Result<()> {
    /// SIGTERM, SIGUSR1, SIGHUP and SIGWINCH, which httpd uses.
    const USED: u64 = (1 << 14) | (1 << 9) | 1 | (1 << 27);
    let httpd = start(context)?;
    let mut client = open(&httpd, "/waiter")?;
    client.echo("hello")?;
    // A thread has its name only when it has run for a moment.
    let mut statuses = Vec::new();
    wait_until("both threads of the runtime run", || {
        statuses = runtime_statuses(&httpd)?;
        Ok(statuses.len() == 2)
    })?;
    for (_, status) in statuses {
        let blocked = status
            .lines()
            .find_map(|line| line.strip_prefix("SigBlk:\t"));
        let blocked = u64::from_str_radix(blocked.context("no signals")?, 16)?;
        ensure!(blocked & USED == USED, "{status}");
    }
    client.close()
}

fn graceful(context: &Context) -> Result<()> {
    let (httpd, backend) = (start(context)?, Backend::new()?);
    let port = backend.port()?;
    let mut old = open_told(httpd.address(), &backend)?;
    for _ in 0..3 {
        old.text(format!("ask {port} old"))?;
        let question = backend.question()?;
        httpd.graceful()?;
        let answers = || {
            let mut new = open(&httpd, "/waiter")?;
            new.echo("hello")?;
            new.close()
        };
        // A child that is about to end may still accept a connection.
        wait_until("a new child answers", || Ok(answers().is_ok()))?;
        question.answer("answer")?;
        old.expect_text("answer")?;
    }
    old.close()?;
    expect_gone(&backend, 1000)?;
    ensure_healthy(&httpd.error_log()?)?;
    ensure!(httpd.stop()?.success());
    Ok(())
}

fn hard(context: &Context) -> Result<()> {
    let (httpd, backend) = (start(context)?, Backend::new()?);
    let address = httpd.address();
    cancel_while(context, address, &backend, 1012, || httpd.restart())?;
    ensure_healthy(&httpd.error_log()?)?;
    let started = Instant::now();
    let status = cancel_while(context, address, &backend, 1001, || httpd.stop())?;
    ensure!(status.success());
    let took = started.elapsed();
    ensure!(took < context.stops_within()?, "it took {took:?}");
    Ok(())
}

/// Checks what a client's callbacks do while httpd ends them.
fn cancel_while<R>(
    context: &Context,
    httpd: SocketAddr,
    backend: &Backend,
    code: u16,
    end: impl FnOnce() -> Result<R>,
) -> Result<R> {
    let question = asked(httpd, backend)?;
    thread::scope(|scope| {
        let told = scope.spawn(|| {
            question.expect_cancelled()?;
            // A child of the prefork MPM ends at once: it calls no `on_disconnect`.
            if context.mpm == Mpm::Prefork {
                return Ok(());
            }
            expect_gone(backend, code)
        });
        let result = end()?;
        told.join().expect("it does not panic")?;
        Ok(result)
    })
}

/// A question of a client that stays connected until the server ends it.
fn asked(httpd: SocketAddr, backend: &Backend) -> Result<Question> {
    let mut client = open_told(httpd, backend)?;
    for _ in 0..50 {
        client.echo("hello")?;
    }
    client.text(format!("ask {} something", backend.port()?))?;
    let question = backend.question()?;
    thread::spawn(move || client.drain());
    Ok(question)
}

fn never(context: &Context) -> Result<()> {
    // A child of the prefork MPM ends at once when it is told to.
    if context.mpm == Mpm::Prefork {
        return Ok(());
    }
    for (command, complaint) in [
        (
            "never",
            "[Waiter] the callbacks of 1 connections have not completed",
        ),
        ("block", "[Waiter] 1 threads of the runtime are blocked"),
    ] {
        let httpd = start(context)?;
        let mut client = open(&httpd, "/waiter")?;
        client.echo("hello")?;
        client.echo(command)?;
        let old = httpd.child_pids()?;
        client.close()?;
        httpd.restart()?;
        httpd.wait_for_log(complaint, PATIENCE)?;
        wait_until("the old child ends", || {
            Ok(httpd.child_pids()?.iter().all(|pid| !old.contains(pid)))
        })?;
        open(&httpd, "/waiter")?.echo("hello")?;
        ensure!(!httpd.error_log()?.contains("exit signal"));
        ensure!(httpd.stop()?.success());
    }
    Ok(())
}

/// Two plugins whose callbacks never complete.
fn together(context: &Context) -> Result<()> {
    // A child of the prefork MPM has one connection at a time.
    if context.mpm == Mpm::Prefork {
        return Ok(());
    }
    let plugins = [
        location(context, "/waiter", "waiter", ""),
        location(context, "/clinger", "clinger", ""),
    ];
    let httpd = context.start_small(8, &plugins.concat())?;
    for (target, command) in [("/waiter", "never"), ("/clinger", "hello")] {
        let mut client = open(&httpd, target)?;
        client.echo(command)?;
        client.close()?;
    }
    httpd.restart()?;
    let mut times = Vec::new();
    for name in ["[Waiter]", "[Clinger]"] {
        let line = format!("{name} the callbacks of 1 connections have not completed");
        times.push(second_of(&httpd.wait_for_log(&line, PATIENCE)?)?);
    }
    let apart = (times[0] - times[1]).abs();
    ensure!(apart < 1.0, "{apart} seconds apart");
    open(&httpd, "/waiter")?.echo("hello")?;
    ensure!(!httpd.error_log()?.contains("exit signal"));
    ensure!(httpd.stop()?.success());
    Ok(())
}

/// The time of day in a line of the error log, in seconds.
fn second_of(line: &str) -> Result<f64> {
    let time = line
        .split([' ', ']'])
        .find(|word| word.matches(':').count() == 2 && word.contains('.'));
    let parts: Vec<f64> = time
        .context("no time")?
        .split(':')
        .map(str::parse)
        .collect::<Result<_, _>>()?;
    Ok((parts[0] * 60.0 + parts[1]) * 60.0 + parts[2])
}

fn late(context: &Context) -> Result<()> {
    let plugins = [
        location(context, "/waiter", "waiter", ""),
        location(context, "/herald", "herald", ""),
    ];
    let httpd = context.start_small(8, &plugins.concat())?;
    for _ in 0..3 {
        let mut old = open(&httpd, "/waiter")?;
        old.echo("late room")?;
        let before = httpd.child_pids()?;
        httpd.graceful()?;
        let mut subscriber = None;
        wait_until("a new child has a subscriber", || {
            let Ok((client, pid)) = subscribe(&httpd) else {
                return Ok(false);
            };
            subscriber = Some(client);
            Ok(!before.contains(&pid))
        })?;
        // The old child ends with its last connection.
        old.close()?;
        subscriber.context("just set")?.expect_text("late")?;
    }
    ensure_healthy(&httpd.error_log()?)
}

/// A subscriber to the topic `room`, and the process that serves it. A child of the worker MPM that
/// is told to end may leave a connection unanswered that it has just accepted, so this gives up
/// soon.
fn subscribe(httpd: &Httpd) -> Result<(Client, u32)> {
    let mut client = Client::connect(httpd.address())?;
    client
        .stream
        .set_read_timeout(Some(Duration::from_secs(1)))?;
    client.upgrade(&Handshake::to("/herald?room"))?;
    client.text("pid")?;
    let pid = client.next_text()?.trim_start_matches("= ").parse()?;
    client.stream.set_read_timeout(Some(PATIENCE))?;
    Ok((client, pid))
}

/// Tasks of the runtime send over TLS while the memory of the connection is freed.
fn storm(context: &Context) -> Result<()> {
    let sizing = Sizing {
        processes: 1,
        threads: 8,
    };
    let httpd = context
        .root()?
        .sizing(sizing)
        .config(location(context, "/waiter", "waiter", ""))
        .tls_port(free_port()?)
        .start()?;
    for _ in 0..5 {
        let mut clients = Vec::new();
        for _ in 0..3 {
            let mut client = Client::open_tls(&httpd, &Handshake::to("/waiter"))?;
            client.text("storm")?;
            client.frame()?;
            clients.push(thread::spawn(move || client.drain()));
        }
        httpd.restart()?;
        for client in clients {
            // It may end in the middle of a record.
            let _ = client.join().expect("it does not panic");
        }
    }
    ensure_healthy(&httpd.error_log()?)?;
    ensure!(httpd.stop()?.success());
    Ok(())
}

fn no_thread(context: &Context) -> Result<()> {
    let plugins = [
        location(context, "/waiter", "waiter", ""),
        location(context, "/miser", "miser", ""),
    ];
    // One child of the prefork MPM serves everything, one client after the other.
    let threads = if context.mpm == Mpm::Prefork { 1 } else { 8 };
    let httpd = context.start_small(threads, &plugins.concat())?;
    let tell = |command| {
        let mut client = open(&httpd, "/miser")?;
        client.echo(command)?;
        client.close()
    };
    // From then on the child has all threads that the module needs.
    tell("limit")?;
    let response = Client::ask(httpd.address(), &Handshake::to("/waiter"))?;
    ensure!([500, 503].contains(&response.status), "{response:?}");
    let line = if context.mpm == Mpm::Prefork {
        "the connection cannot be served: "
    } else {
        "the runtime cannot be started: the process can have no more threads"
    };
    httpd.wait_for_log(line, PATIENCE)?;
    tell("lift")?;
    open(&httpd, "/waiter")?.echo("now it works")?;
    ensure!(!httpd.error_log()?.contains("exit signal"));
    Ok(())
}

/// Loaded for a request, and unloaded after it.
fn htaccess(context: &Context) -> Result<()> {
    let root = context.root()?;
    let folder = root.dir().join("site");
    let rules = format!(
        "SetHandler websocket-handler\n{}",
        super::handler(context, "waiter")
    );
    super::write_site(&folder, &rules)?;
    let httpd = root
        .stock_module("alias")
        .config(super::ANY_PLUGIN)
        .config(super::site(&folder, ""))
        .start()?;
    let backend = Backend::new()?;
    for _ in 0..10 {
        let mut clients = [open(&httpd, "/site/room")?, open(&httpd, "/site/room")?];
        for client in &mut clients {
            client.text(format!("ask {} something", backend.port()?))?;
            backend.question()?.answer("answer")?;
            client.expect_text("answer")?;
        }
        let [first, mut second] = clients;
        first.close()?;
        ask(&mut second, "again", "again")?;
    }
    ensure_healthy(&httpd.error_log()?)
}
