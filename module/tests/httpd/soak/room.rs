//! Clients that get what others send.

use anyhow::{Context as _, Result, ensure};
use xtask::server_root::Mpm;

use super::stage::{Stage, count};
use super::talker::{Message, Talker, Way};
use crate::support::random::Random;

/// The number of members of a room, of which the first ones publish.
const MEMBERS: usize = 5;
const PUBLISHERS: usize = 2;

/// How many messages a publisher sends at a time. All of them fit into the window of a member over
/// HTTP/2.
const MESSAGES: usize = 4;

/// The length of a message, with the number of its publisher ahead.
const LONGEST: u64 = 6_000;

/// Opens a room in one process, and has every message of its publishers reach every member, in the
/// order of each publisher.
pub(super) fn room(stage: &Stage<'_>, random: &mut Random) -> Result<()> {
    if stage.context.mpm == Mpm::Prefork {
        return Ok(()); // each process has one connection
    }
    let name = format!("{:x}", random.next());
    let ways = [(); MEMBERS].map(|()| Way::any(stage, random));
    let ways = ways.into_iter().collect::<Result<Vec<_>>>()?;
    let mut members = (0..MEMBERS)
        .map(|number| Talker::open(stage, ways[number], "/room", number.is_multiple_of(2)))
        .collect::<Result<Vec<_>>>()?;
    let mut processes = Vec::new();
    for member in &mut members {
        member.client().text(format!("join {name}"))?;
        processes.push(member.client().next_text()?);
    }
    // A restart may have come in between.
    if processes.iter().all(|process| *process == processes[0]) {
        for _ in 0..=random.below(6) {
            publish(stage, &mut members, random).with_context(|| format!("{ways:?}"))?;
            stage.pause(stage.pause / 4);
        }
    } else {
        ensure!(stage.restarts, "{processes:?}");
    }
    members.into_iter().try_for_each(Talker::close)
}

fn publish(stage: &Stage<'_>, members: &mut [Talker], random: &mut Random) -> Result<()> {
    let mut message = |publisher: usize| {
        let length = random.below(LONGEST);
        let mut payload = random.bytes(length + 1);
        payload[0] = u8::try_from(publisher).expect("few");
        Message::binary(payload)
    };
    let sent: Vec<Vec<_>> = (0..PUBLISHERS)
        .map(|publisher| (0..MESSAGES).map(|_| message(publisher)).collect())
        .collect();
    for number in 0..MESSAGES {
        for (publisher, messages) in sent.iter().enumerate() {
            members[publisher]
                .send(&messages[number])
                .with_context(|| format!("publisher {publisher}"))?;
        }
    }
    for (number, member) in members.iter_mut().enumerate() {
        take_all(stage, member, &sent).with_context(|| format!("member {number}"))?;
    }
    Ok(())
}

/// Takes all that was sent, in the order of each publisher.
fn take_all(stage: &Stage<'_>, member: &mut Talker, sent: &[Vec<Message>]) -> Result<()> {
    let mut next = vec![0; sent.len()];
    for _ in 0..sent.iter().map(Vec::len).sum() {
        let received = member.receive()?;
        let publisher: usize = (*received.first().context("an empty message")?).into();
        let number = next.get_mut(publisher).context("nobody's message")?;
        let expected = sent[publisher].get(*number).context("too many messages")?;
        expected.compare(&received).with_context(|| {
            let is_it = |message: &Message| message.payload == received;
            let came = sent[publisher].iter().position(is_it);
            format!("message {number} of publisher {publisher}, and {came:?} came")
        })?;
        *number += 1;
        count(&stage.tally.messages);
    }
    Ok(())
}
