//! Opening handshakes that wait for another server.

use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use xtask::httpd::{Httpd, Status};
use xtask::port::free_port;
use xtask::server_root::{Mpm, Sizing};

use super::backend::{Backend, Question};
use super::expect_gone;
use crate::rust::{location, open};
use crate::support::server::ensure_healthy;
use crate::support::wire::{AnyClient, any};
use crate::support::{Client, Context, Driver, Handshake, PATIENCE, await_gone, cases, wait_until};

cases! {
    "async plugins: handshakes that wait keep no other request waiting" => others_go_on,
    "async plugins: handshakes that wait leave threads to callbacks" => threads_left,
    "async plugins: a handshake that has waited is refused like any other" => refused,
    "async plugins: a handshake behind a redirect is refused like any other" => refused_redirect,
    "async plugins: what comes while a handshake waits is not lost" => early,
    "async plugins: clients may leave while their handshakes wait" => left,
    "async plugins: limits count handshakes that wait" => limits,
    "async plugins: handshakes that wait leave the reserve to other requests" => reserve,
    "async plugins: a page of mod_lua tells of a handshake that was refused" => lua,
    "async plugins: handshakes wait across a graceful restart" => graceful,
    "async plugins: a hard restart and a stop do not wait for handshakes" => hard,
}

/// The threads of the MPM.
const THREADS: usize = 4;

/// How many handshakes wait at a time.
const COUNT: usize = THREADS + 8;

/// The ways of a client to a plugin.
const WAYS: [(&str, bool); 4] = [
    ("/waiter", false),
    ("/waiter", true),
    ("/detached", false),
    ("/redirected", false),
];

/// Whether handshakes may wait without a thread of the MPM.
fn is_event(context: &Context) -> bool {
    context.driver == Driver::Event
}

fn start(context: &Context, config: &str) -> Result<Httpd> {
    let sizing = Sizing {
        processes: 1,
        threads: THREADS.try_into()?,
    };
    let root = context.root()?.sizing(sizing).tls_port(free_port()?);
    let folder = root.dir().join("htdocs");
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join("page.html"), "a page")?;
    let prefork = if context.mpm == Mpm::Prefork {
        "StartServers 1\n"
    } else {
        ""
    };
    let redirect = format!(
        "<Directory \"{}\">\nRewriteEngine On\nRewriteRule ^redirected$ /waiter\n</Directory>\n",
        folder.display()
    );
    let logged = "LogLevel websocket:info\n";
    root.stock_module("rewrite")
        .config(context.plugins().locations())
        .config(location(context, "/waiter", "waiter", ""))
        .config(location(
            context,
            "/detached",
            "waiter",
            "WebSocketDetach On",
        ))
        .config([prefork, logged, &redirect, config].concat())
        .start()
}

/// Sends a handshake that the backend is going to be asked about.
fn send(httpd: &Httpd, (path, is_tls): (&str, bool), backend: &Backend) -> Result<AnyClient> {
    let handshake = Handshake::to(&format!("{path}?ask={}", backend.port()?));
    let mut client = if is_tls {
        any(Client::connect_tls(httpd)?)
    } else {
        any(Client::connect(httpd.address())?)
    };
    client.send(handshake.to_bytes())?;
    Ok(client)
}

/// So many handshakes of all kinds that wait, and the backend's questions in some order.
fn wait_many(
    httpd: &Httpd,
    backend: &Backend,
    count: usize,
) -> Result<(Vec<AnyClient>, Vec<Question>)> {
    let ways = WAYS.iter().cycle().take(count);
    let clients = ways.map(|way| send(httpd, *way, backend));
    let clients = clients.collect::<Result<Vec<_>>>()?;
    let questions = (0..count).map(|_| backend.question());
    Ok((clients, questions.collect::<Result<_>>()?))
}

fn others_go_on(context: &Context) -> Result<()> {
    if !is_event(context) {
        return Ok(());
    }
    let (httpd, backend) = (start(context, "")?, Backend::new()?);
    let (clients, questions) = wait_many(&httpd, &backend, COUNT)?;
    for _ in 0..THREADS + 1 {
        let response = Client::ask(
            httpd.address(),
            &Handshake::to("/page.html").without("Upgrade"),
        )?;
        ensure!(response.status == 200, "{response:?}");
        open(&httpd, "/echo")?.echo("a sync WebSocket")?;
    }
    for question in questions {
        question.answer("yes")?;
    }
    for mut client in clients {
        let response = client.response()?;
        ensure!(response.status == 101, "{response:?}");
        client.echo("hello")?;
        client.close()?;
    }
    for _ in 0..COUNT {
        expect_gone(&backend, 1000)?;
    }
    ensure_healthy(&httpd.error_log()?)
}

fn threads_left(context: &Context) -> Result<()> {
    if !is_event(context) {
        return Ok(());
    }
    // Half of four threads beside those of the loops.
    let httpd = start(context, "WebSocketThreads 2 6\n")?;
    let (backend, blocked) = (Backend::new()?, open(&httpd, "/kitchen_sink")?);
    let mut clients = Vec::new();
    for _ in 0..6 {
        clients.push(send(&httpd, WAYS[0], &backend)?);
    }
    let first = [backend.question()?, backend.question()?];
    let mut blocked = blocked;
    for _ in 0..3 {
        // From now on its callbacks are known to block.
        blocked.text("block 100")?;
        blocked.expect_text("unblocked")?;
    }
    ensure!(backend.is_idle()?, "a third handshake has a thread");
    for question in first {
        question.answer("yes")?;
    }
    for _ in 0..4 {
        backend.question()?.answer("yes")?;
    }
    for client in &mut clients {
        ensure!(client.response()?.status == 101);
        client.echo("hello")?;
    }
    ensure_healthy(&httpd.error_log()?)
}

/// The answer of the backend, the status, and a part of the page.
const REFUSALS: [(&str, u16, &str); 4] = [
    ("no", 403, "the page for 403"),
    ("busy", 420, "it is busy"),
    ("error", 500, "a text for 500"),
    ("panic", 500, "a text for 500"),
];

fn refused(context: &Context) -> Result<()> {
    refuse(context, &WAYS[..3])
}

fn refused_redirect(context: &Context) -> Result<()> {
    refuse(context, &WAYS[3..])
}

fn refuse(context: &Context, ways: &[(&str, bool)]) -> Result<()> {
    let pages = "ErrorDocument 403 /refused.html\nErrorDocument 500 \"a text for 500\n";
    let (httpd, backend) = (start(context, pages)?, Backend::new()?);
    let page = httpd.root().dir().join("htdocs/refused.html");
    std::fs::write(page, "the page for 403")?;
    for way in ways {
        for (answer, status, text) in REFUSALS {
            let what = || format!("{answer} to {way:?}");
            let mut client = send(&httpd, *way, &backend)?;
            backend.question()?.answer(answer)?;
            let (response, page) = client.page().with_context(what)?;
            ensure!(response.status == status, "{}: {response:?}", what());
            ensure!(page.contains(text), "{}: {page}", what());
            let why = (status == 420).then_some("busy");
            ensure!(response.header("X-Why") == why, "{response:?}");
        }
    }
    let port = backend.port()?;
    let mut expected = Vec::new();
    for (path, _) in ways {
        let line = |(_, status, _)| format!("GET {path}?ask={port} HTTP/1.1\" {status} ");
        expected.extend(REFUSALS.map(line));
    }
    wait_until("the lines in the access log", || {
        let log = httpd.access_log()?;
        let lines: Vec<_> = log.lines().filter(|line| line.contains("?ask=")).collect();
        let is_there = |text: &String| lines.iter().any(|line| line.contains(text));
        Ok(lines.len() == expected.len() && expected.iter().all(is_there))
    })?;
    open(&httpd, "/waiter")?.echo("others go on")?;
    httpd.wait_for_log("on_connect panicked at", PATIENCE)?;
    ensure!(!httpd.error_log()?.contains("exit signal"));
    Ok(())
}

/// mod_lua asks the connection for the thread that serves it.
fn lua(context: &Context) -> Result<()> {
    let folder = context.root()?.dir().join("lua");
    std::fs::create_dir_all(&folder)?;
    std::fs::write(
        folder.join("refused.lua"),
        "function handle(r) r:puts('a page in Lua') return apache2.OK end",
    )?;
    let root = context.root()?.stock_module("lua").stock_module("alias");
    let httpd = root
        .config(location(context, "/waiter", "waiter", ""))
        .config(format!(
            "LuaScope thread\nAlias /refused.lua {}/refused.lua\n\
             <Files refused.lua>\nSetHandler lua-script\nRequire all granted\n</Files>\n\
             ErrorDocument 403 /refused.lua\n",
            folder.display()
        ))
        .start()?;
    let backend = Backend::new()?;
    for _ in 0..3 {
        let mut client = send(&httpd, WAYS[0], &backend)?;
        backend.question()?.answer("no")?;
        let (response, page) = client.page()?;
        ensure!(response.status == 403, "{response:?}");
        ensure!(page == "a page in Lua", "{page}");
    }
    ensure_healthy(&httpd.error_log()?)
}

/// Half of the connections that the MPM serves, and what keeps that half for other requests.
const HALF: usize = THREADS * 3 / 2;
const HALF_FOR_OTHERS: &str = "AsyncRequestWorkerFactor 2\nWebSocketReserve 50\n";

fn reserve(context: &Context) -> Result<()> {
    if !is_event(context) {
        return Ok(());
    }
    for way in [WAYS[0], WAYS[2]] {
        let (httpd, backend) = (start(context, HALF_FOR_OTHERS)?, Backend::new()?);
        // What is detached in the end takes nothing of it.
        let rounds = if way == WAYS[2] { 3 } else { 1 };
        let mut open = Vec::new();
        for _ in 0..rounds {
            let waiting = (0..HALF).map(|_| send(&httpd, way, &backend));
            let waiting = waiting.collect::<Result<Vec<_>>>()?;
            let questions = (0..HALF).map(|_| backend.question());
            let questions = questions.collect::<Result<Vec<_>>>()?;
            let response = send(&httpd, way, &backend)?.response()?;
            ensure!(response.status == 503, "{way:?}: {response:?}");
            for question in questions {
                question.answer("yes")?;
            }
            for mut client in waiting {
                let response = client.response()?;
                ensure!(response.status == 101, "{way:?}: {response:?}");
                client.echo("hello")?;
                open.push(client);
            }
        }
        let response = Client::ask(
            httpd.address(),
            &Handshake::to("/page.html").without("Upgrade"),
        )?;
        ensure!(response.status == 200, "{response:?}");
        open.into_iter().try_for_each(AnyClient::close)?;
    }
    Ok(())
}

fn early(context: &Context) -> Result<()> {
    let (httpd, backend) = (start(context, "")?, Backend::new()?);
    for way in WAYS {
        let mut client = send(&httpd, way, &backend)?;
        client.text("sent before the question")?;
        let question = backend.question()?;
        client.text("sent before the answer")?;
        question.answer("yes")?;
        ensure!(client.response()?.status == 101, "{way:?}");
        client.expect_text("sent before the question")?;
        client.expect_text("sent before the answer")?;
        client.close()?;
        expect_gone(&backend, 1000)?;
    }
    ensure_healthy(&httpd.error_log()?)
}

fn left(context: &Context) -> Result<()> {
    if !is_event(context) {
        return Ok(());
    }
    let httpd = start(context, "WebSocketThreads 2 6\n")?;
    let backend = Backend::new()?;
    let target = format!("/waiter?ask={}", backend.port()?);
    let mut clients = Vec::new();
    for _ in 0..6 {
        let mut client = Client::connect(httpd.address())?;
        client.send(Handshake::to(&target).to_bytes())?;
        clients.push(client);
    }
    let questions = [backend.question()?, backend.question()?];
    // Two leave while they wait for the answer, and the others while they wait to be asked about.
    for client in clients {
        client.reset()?;
    }
    for (question, answer) in questions.into_iter().zip(["yes", "no"]) {
        question.answer(answer)?;
    }
    expect_gone(&backend, 1006)?;
    wait_until("all lines in the access log", || {
        Ok(httpd.access_log()?.matches("?ask=").count() == 6)
    })?;
    ensure!(backend.is_idle()?, "asked about a client that has left");
    open(&httpd, "/waiter")?.echo("others go on")?;
    ensure_healthy(&httpd.error_log()?)
}

fn limits(context: &Context) -> Result<()> {
    if !is_event(context) {
        return Ok(());
    }
    let httpd = start(context, "WebSocketMaxConnectionsPerClient 2\n")?;
    let backend = Backend::new()?;
    for (answer, status) in [("no", 403), ("panic", 500), ("yes", 101)] {
        let (clients, questions) = wait_many(&httpd, &backend, 2)?;
        let third = Client::ask(httpd.address(), &Handshake::to("/waiter"))?;
        ensure!(third.status == 429, "{third:?}");
        for question in questions {
            question.answer(answer)?;
        }
        for mut client in clients {
            let response = client.response()?;
            ensure!(response.status == status, "{response:?}");
            if status == 101 {
                client.close()?;
            }
        }
        wait_until("there is room again", || {
            let response = Client::ask(httpd.address(), &Handshake::to("/waiter"))?;
            Ok(response.status == 101)
        })?;
        wait_until("it has ended, too", || {
            let children = httpd.status()?;
            Ok(children == Status::QUIET)
        })?;
    }
    Ok(())
}

fn graceful(context: &Context) -> Result<()> {
    if !is_event(context) {
        return Ok(());
    }
    let (httpd, backend) = (start(context, "")?, Backend::new()?);
    let old = httpd.child_pids()?;
    let (clients, questions) = wait_many(&httpd, &backend, COUNT)?;
    httpd.graceful()?;
    wait_until("a new child answers", || {
        let echo = || open(&httpd, "/echo")?.echo("hello");
        Ok(echo().is_ok())
    })?;
    for (number, question) in questions.into_iter().enumerate() {
        question.answer(if number % 2 == 0 { "yes" } else { "no" })?;
    }
    let mut accepted = 0;
    for mut client in clients {
        let response = client.response()?;
        if response.status == 101 {
            client.echo("hello")?;
            client.close()?;
            accepted += 1;
        } else {
            ensure!(response.status == 403, "{response:?}");
        }
    }
    ensure!(accepted == COUNT / 2, "{accepted} were accepted");
    for _ in 0..accepted {
        expect_gone(&backend, 1000)?;
    }
    await_gone(&httpd, &old)?;
    ensure_healthy(&httpd.error_log()?)?;
    ensure!(httpd.stop()?.success());
    Ok(())
}

fn hard(context: &Context) -> Result<()> {
    if !is_event(context) {
        return Ok(());
    }
    let httpd = start(context, "WebSocketThreads 2 6\n")?;
    let backend = Backend::new()?;
    let end_all = |end: &dyn Fn() -> Result<()>| -> Result<()> {
        let mut clients = (0..6)
            .map(|_| send(&httpd, WAYS[0], &backend))
            .collect::<Result<Vec<_>>>()?;
        let questions = [backend.question()?, backend.question()?];
        let started = Instant::now();
        end()?;
        for client in &mut clients {
            let response = client.response()?;
            ensure!(response.status == 503, "{response:?}");
        }
        let took = started.elapsed();
        ensure!(took < context.stops_within()?, "it took {took:?}");
        for question in questions {
            question.expect_cancelled()?;
        }
        ensure!(backend.is_idle()?, "the plugin was asked");
        Ok(())
    };
    let old = httpd.child_pids()?;
    end_all(&|| httpd.restart())?;
    await_gone(&httpd, &old)?;
    ensure_healthy(&httpd.error_log()?)?;
    let started = Instant::now();
    ensure!(httpd.stop()?.success());
    ensure!(started.elapsed() < context.stops_within()?);
    Ok(())
}
