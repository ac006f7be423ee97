//! Topics while processes come and go.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

use super::{ask, crowd, open, start};
use crate::support::{Client, Context, Driver, cases, wait_until};
use xtask::server_root::Mpm;

cases! {
    "topics: forty clients hear each message once and in order through restarts and killed children"
        => restarts,
    "topics: a killed child takes nothing from the others" => killed,
    "topics: subscribers of a child that was stopped for too long are closed with 1013" => stopped,
    "topics: many that publish at once are heard by all in the same order" => many,
}

/// The number of the message `say room NUMBER`.
fn number(text: &str) -> Result<usize> {
    text.parse().with_context(|| text.to_owned())
}

/// Publishes numbers until told to stop. Returns how many.
fn publish_by(mut speaker: Client, is_over: &AtomicBool) -> Result<usize> {
    let mut count = 0;
    while !is_over.load(Ordering::Relaxed) {
        ask(&mut speaker, &format!("pub room {count}"))?;
        count += 1;
        // As people do, so that clients keep up.
        thread::sleep(Duration::from_millis(2));
    }
    ask(&mut speaker, "pub room end")?;
    Ok(count)
}

/// Checks that a client hears each number from its first on, until the end. Returns how many there
/// were until then, if it has heard any.
fn hear(mut client: Client) -> Result<Option<usize>> {
    let mut next = None;
    loop {
        let text = client.next_text()?;
        if text == "end" {
            return Ok(next);
        }
        let number = number(&text)?;
        let expected = next.unwrap_or(number);
        ensure!(number == expected, "{number} in place of {expected}");
        next = Some(number + 1);
    }
}

fn restarts(context: &Context) -> Result<()> {
    const RESTARTS: usize = 10;
    const COUNT: usize = 40;
    if context.mpm == Mpm::Prefork {
        // A process ends when it is told to, and its client comes back.
        return Ok(());
    }
    let httpd = start(context, "WebSocketDrainTime 1h\nServerLimit 64")?;
    let mut clients = crowd(&httpd, COUNT, "sub room")?;
    let mut speaker = open(&httpd)?;
    let own = ask(&mut speaker, "pid")?;
    let victims = Mutex::new(BTreeSet::new());
    let is_over = AtomicBool::new(false);
    // A client may end with its child, and only with it.
    let listen = |pid: String, client: Client| {
        let heard = hear(client);
        let is_victim = victims.lock().expect("no panic").contains(&pid);
        if is_victim { Ok(None) } else { heard }
    };
    let mut pids = Vec::new();
    for client in &mut clients {
        pids.push(ask(client, "pid")?);
    }
    let children: BTreeSet<_> = pids.iter().filter(|pid| **pid != own).cloned().collect();
    // Some of the clients are to hear the end.
    let spared = usize::from(!pids.contains(&own));
    let mut others: Vec<_> = children.into_iter().skip(spared).collect();
    thread::scope(|scope| {
        let publishing = scope.spawn(|| publish_by(speaker, &is_over));
        let listen = &listen;
        let listeners = pids.into_iter().zip(clients);
        let mut listening: Vec<_> = listeners
            .map(|(pid, client)| scope.spawn(move || listen(pid, client)))
            .collect();
        let mut restart = || -> Result<()> {
            for round in 0..RESTARTS {
                httpd.graceful()?;
                if round % 5 == 3
                    && let Some(victim) = others.pop()
                {
                    victims.lock().expect("no panic").insert(victim.clone());
                    let pid = Pid::from_raw(victim.parse()?).context("a process")?;
                    kill_process(pid, Signal::KILL)?;
                }
                // New processes take part at once. One of two clients goes again.
                for goes in [false, true] {
                    let mut late = open(&httpd)?;
                    let pid = ask(&mut late, "pid")?;
                    late.text("sub room")?;
                    while !late.next_text()?.starts_with('=') {}
                    if !goes {
                        listening.push(scope.spawn(move || listen(pid, late)));
                    }
                }
            }
            Ok(())
        };
        let restarted = restart();
        is_over.store(true, Ordering::Relaxed);
        let count = publishing.join().expect("no panic")?;
        restarted?;
        let mut lost = 0;
        for listener in listening {
            match listener.join().expect("no panic")? {
                Some(heard_until) => ensure!(heard_until == count, "{heard_until} of {count}"),
                None => lost += 1,
            }
        }
        ensure!(lost < COUNT, "all were in the children that were killed");
        Ok(())
    })
}

fn killed(context: &Context) -> Result<()> {
    let httpd = start(context, "")?;
    let mut clients = crowd(&httpd, 16, "sub room")?;
    let mut keeper = open(&httpd)?;
    let keeper_pid = ask(&mut keeper, "pid")?;
    let mut by_child = Vec::new();
    for client in clients.drain(..) {
        let mut client = client;
        by_child.push((ask(&mut client, "pid")?, client));
    }
    let victim = by_child
        .iter()
        .map(|(pid, _)| pid)
        .find(|pid| **pid != keeper_pid);
    let victim = victim.context("all in one child")?.clone();
    let (_, survivors): (Vec<_>, Vec<_>) =
        by_child.into_iter().partition(|(pid, _)| *pid == victim);
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        // The speaker's child is not the one that is killed.
        let speaking = scope.spawn(|| -> Result<usize> {
            let mut count = 0;
            while !is_over.load(Ordering::Relaxed) {
                ask(&mut keeper, &format!("pub room {count}"))?;
                count += 1;
            }
            ask(&mut keeper, "pub room end")?;
            Ok(count)
        });
        let listening: Vec<_> = survivors
            .into_iter()
            .map(|(_, client)| scope.spawn(move || hear(client)))
            .collect();
        let pid = Pid::from_raw(victim.parse()?).context("a process")?;
        kill_process(pid, Signal::KILL)?;
        let replaced = wait_until("another child takes its place", || {
            let late = open(&httpd).and_then(|mut late| ask(&mut late, "sub other"));
            Ok(late.is_ok())
        });
        thread::sleep(Duration::from_millis(200));
        is_over.store(true, Ordering::Relaxed);
        replaced?;
        let count = speaking.join().expect("no panic")?;
        for listener in listening {
            let heard_until = listener.join().expect("no panic")?.unwrap_or(count);
            ensure!(heard_until == count, "{heard_until} of {count}");
        }
        Ok(())
    })
}

fn stopped(context: &Context) -> Result<()> {
    let httpd = start(context, "WebSocketTopicMemory 1048576")?;
    let mut clients = crowd(&httpd, 4, "sub room")?;
    let mut speaker = open(&httpd)?;
    let own = ask(&mut speaker, "pid")?;
    let mut victim = None;
    for (index, client) in clients.iter_mut().enumerate() {
        if ask(client, "pid")? != own {
            victim = Some(index);
        }
    }
    let mut victim = clients.swap_remove(victim.context("all in one child")?);
    let pid = Pid::from_raw(ask(&mut victim, "pid")?.parse()?).context("a process")?;
    kill_process(pid, Signal::STOP)?;
    let published = (0..80).try_for_each(|_| ask(&mut speaker, "large room 30000").map(drop));
    kill_process(pid, Signal::CONT)?;
    published?;
    let deadline = Instant::now() + crate::support::PATIENCE;
    loop {
        let frame = victim.frame()?;
        if frame.payload.starts_with(&1013_u16.to_be_bytes()) {
            return Ok(());
        }
        if Instant::now() > deadline {
            bail!("it was not closed");
        }
    }
}

fn many(context: &Context) -> Result<()> {
    const EACH: usize = 50;
    if context.driver == Driver::Blocking && context.mpm == Mpm::Event {
        return Ok(());
    }
    let httpd = start(context, "")?;
    let clients = crowd(&httpd, 12, "sub room")?;
    let count = clients.len() * EACH;
    let all: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = clients
            .into_iter()
            .enumerate()
            .map(|(from, mut client)| {
                scope.spawn(move || -> Result<Vec<String>> {
                    for number in 0..EACH {
                        client.text(format!("say room {from}.{number}"))?;
                    }
                    (0..count).map(|_| client.next_text()).collect()
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().expect("no panic"))
            .collect()
    });
    let all = all.into_iter().collect::<Result<Vec<_>>>()?;
    for other in &all[1..] {
        ensure!(*other == all[0], "two clients heard different things");
    }
    Ok(())
}
