//! The page for topics, and the client `topics.js`.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::support::context::Transport;
use crate::support::page::{Page, text};
use crate::support::{Context, cases};

cases! {
    "topics.html shows what other pages publish, also what it has missed" => pages,
    "topics.js resumes after a restart without a loss and without doubles" => restart,
    "topics.js tells of a gap where messages may be missed" => gap,
    "topics.js tells of a subscription that is refused after a restart" => refusal,
    "topics.js gives messages to the subscriptions that describe their topics" => patterns,
    "topics.js tells why a request has failed, and gives up servers that do not answer" => errors,
    "topics.js tries again while topics are unavailable" => unavailable,
    "topics.js waits for a connection, and ends all when it is closed" => waiting,
    "topics.js has what its types declare" => types,
}

/// Visitors may do everything with all topics.
const ALL_TOPICS: &str = "<Location /topics>\nWebSocketPluginOption subscribe **\n\
                          WebSocketPluginOption publish **\n</Location>";

/// Makes the client known to the scripts of a test.
const IMPORT: &str = "const { Topics } = await import('/topics.js');
    const state = (topics, wanted) => new Promise((resolve) => {
        const look = () => topics.state === wanted && resolve();
        topics.addEventListener('state', look);
        look();
    });
    const code = (promise) => promise.then(() => 'none', (error) => error.code);";

/// Runs a script with the client, and compares what it returns.
fn expect(page: &Page, body: &str, expected: &Value) -> Result<()> {
    page.expect(&format!("{IMPORT}\n{body}"), &json!([]), expected)
}

fn pages(context: &Context) -> Result<()> {
    let httpd = context.start("")?;
    let [one, other] = [
        context.open_on(&httpd, "topics.html")?,
        context.open_on(&httpd, "topics.html")?,
    ];
    for page in [&one, &other] {
        page.await_state("topics", "open")?;
        page.await_entry("topics", text("info", "subscribed to demo/news"))?;
    }
    let publish = |words: &str| {
        one.fill("topics-input", words)?;
        one.click("topics-publish")
    };
    publish("<b>hello</b>")?;
    for page in [&one, &other] {
        page.await_entry("topics", text("received", "demo/news: <b>hello</b>"))?;
    }
    one.await_text("topics-count", "2")?;
    other.click("topics-offline")?;
    other.await_state("topics", "closed")?;
    one.await_text("topics-count", "1")?;
    publish("missed?")?;
    one.await_entry("topics", text("received", "demo/news: missed?"))?;
    other.click("topics-offline")?;
    let nothing_missed = "subscribed to demo/news, and nothing is missing";
    other.await_entry("topics", text("info", nothing_missed))?;
    other.expect(
        "return [...element('topics-log').children]
            .filter((entry) => entry.dataset.kind === 'received').length",
        &json!([]),
        &json!(2),
    )?;
    other.fill("topics-topic", "chat/lobby")?;
    other.click("topics-subscribe")?;
    let refused = text("info", "forbidden: this topic is not allowed");
    other.await_entry("topics", refused)
}

fn restart(context: &Context) -> Result<()> {
    const COUNT: u64 = 300;
    let httpd = context.start("WebSocketDrainTime 0")?;
    let page = context.open_on(&httpd, "topics.html")?;
    // The publisher does not know what became of a message whose answer has not come, and publishes
    // it again. So the positions tell whether the subscriber has missed or doubled anything.
    let begin = format!(
        "{IMPORT}
        const listener = new Topics('/topics');
        const publisher = new Topics('/topics');
        window.heard = [];
        window.told = [];
        listener.addEventListener('state', () => told.push(listener.state));
        await listener.subscribe('demo/restart', {{
            message: ({{ data, position }}) => heard.push([data, position]),
            gap: () => told.push('gap'),
        }});
        const publish = async (number) => {{
            for (;;) {{
                const failed = await code(publisher.publish('demo/restart', number));
                if (failed === 'none') return;
                if (!['lost', 'timeout'].includes(failed)) throw new Error(failed);
            }}
        }};
        window.finished = (async () => {{
            for (let number = 1; number <= args[0]; number++) await publish(number);
        }})();"
    );
    page.run(&begin, &json!([COUNT]))?;
    let has_heard = "const until = async (count) => {
            while (heard.length < count) await new Promise((resolve) => setTimeout(resolve, 5));
        };";
    page.run(&format!("{has_heard} await until(20)"), &json!([]))?;
    if context.transport == Transport::H2 {
        // httpd closes HTTP/2 connections without a close frame at any other restart.
        httpd.graceful()?;
    } else {
        httpd.restart()?;
    }
    let script = format!(
        "{has_heard} await finished;
        while (heard.at(-1)[0] !== args[0]) await until(heard.length + 1);
        return [heard, told]"
    );
    let result = page.run(&script, &json!([COUNT]))?;
    let heard = result[0].as_array().context("no list")?;
    let mut offsets = Vec::new();
    let mut numbers = Vec::new();
    for message in heard {
        let position = message[1].as_str().context("no position")?;
        let (_, offset) = position.split_once('-').context("no offset")?;
        offsets.push(offset.parse::<u64>()?);
        numbers.push(message[0].as_u64().context("no number")?);
    }
    let count = u64::try_from(heard.len())?;
    ensure!(offsets.iter().copied().eq(1..=count), "{offsets:?}");
    numbers.dedup();
    ensure!(numbers.iter().copied().eq(1..=COUNT), "{numbers:?}");
    let told: Vec<_> = result[1].as_array().context("no list")?.iter().collect();
    let opened = told.iter().filter(|state| **state == "open").count();
    ensure!(opened >= 2, "{told:?}");
    ensure!(!told.contains(&&json!("gap")), "{told:?}");
    Ok(())
}

fn gap(context: &Context) -> Result<()> {
    let httpd = context.start(&format!("WebSocketDrainTime 0\n{ALL_TOPICS}"))?;
    let page = context.open_on(&httpd, "topics.html")?;
    let begin = format!(
        "{IMPORT}
        window.topics = new Topics('/topics');
        window.told = [];
        const {{ position }} = await topics.publish('demo/a', 1);
        const since = position.replace(/-1$/, '-9');
        for (const [topic, handlers] of [
            ['demo/a', {{}}], ['demo/b', {{ since }}], ['demo/*', {{}}], ['plain', {{}}],
        ]) {{
            const gap = () => told.push(topic);
            await topics.subscribe(topic, {{ ...handlers, gap }});
        }}
        return told"
    );
    // No such message was published to this topic.
    page.expect(&begin, &json!([]), &json!(["demo/b"]))?;
    httpd.graceful()?;
    // After the restart nothing can be missed of demo/a, which has a history.
    let again = "const { promise, resolve } = Promise.withResolvers();
        topics.addEventListener('state', () => topics.state === 'open' && resolve());
        if (told.length === 1) await promise;
        while (told.length < 4) await new Promise((resolve) => setTimeout(resolve, 5));
        await topics.publish('demo/a', 2);
        return told.slice(1).sort()";
    page.expect(again, &json!([]), &json!(["demo/*", "demo/b", "plain"]))
}

fn refusal(context: &Context) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("topics.conf");
    let allow = |pattern: &str| {
        let option = format!("WebSocketPluginOption subscribe {pattern}");
        std::fs::write(
            &file,
            format!("<Location /topics>\n{option}\n</Location>\n"),
        )
    };
    allow("**")?;
    let config = format!("WebSocketDrainTime 0\nInclude \"{}\"", file.display());
    let httpd = context.start(&config)?;
    let page = context.open_on(&httpd, "topics.html")?;
    let begin = format!(
        "{IMPORT}
        const topics = new Topics('/topics');
        window.refused = new Promise((error) => topics.subscribe('other', {{ error }}));
        window.goesOn = new Promise((gap) => topics.subscribe('demo/*', {{ gap }}));
        await topics.presence('other', false)"
    );
    page.run(&begin, &json!([]))?;
    allow("demo/*")?;
    httpd.graceful()?;
    let script = "return [(await refused).code, (await goesOn).type]";
    page.expect(script, &json!([]), &json!(["forbidden", "subscribed"]))
}

fn patterns(context: &Context) -> Result<()> {
    let httpd = context.start(ALL_TOPICS)?;
    let page = context.open_on(&httpd, "topics.html")?;
    let script = "const topics = new Topics('/topics');
        const heard = [];
        const filters = ['a', 'a/b', '*', '**', 'a/*', 'a/**', 'b/**', 'A'];
        const subscribed = filters.map((filter) =>
            topics.subscribe(filter, { message: ({ topic }) => heard.push(`${filter} ${topic}`) }));
        await Promise.all(subscribed);
        for (const topic of ['a', 'a/b', 'a/b/c', 'ab/c', 'end']) await topics.publish(topic, 1);
        await topics.unsubscribe('**');
        await topics.publish('a/b', 2);
        await topics.presence('end', false);
        return heard";
    let expected = [
        "a a",
        "* a",
        "** a",
        "a/b a/b",
        "** a/b",
        "a/* a/b",
        "a/** a/b",
        "** a/b/c",
        "a/** a/b/c",
        "** ab/c",
        "* end",
        "** end",
        "a/b a/b",
        "a/* a/b",
        "a/** a/b",
    ];
    expect(&page, script, &json!(expected))
}

fn errors(context: &Context) -> Result<()> {
    let page = context.open("topics.html")?;
    let script = "const topics = new Topics('/topics');
        return [
            await code(topics.subscribe('chat/lobby')),
            await code(topics.publish('chat/lobby', 1)),
            await code(topics.presence('chat/lobby')),
            await code(topics.publish('demo//a', 1)),
            await code(topics.publish('demo/a')),
            await code(topics.subscribe('demo/a')),
        ]";
    let codes = [
        "forbidden",
        "forbidden",
        "forbidden",
        "bad-topic",
        "bad-request",
        "none",
    ];
    expect(&page, script, &json!(codes))?;
    // The ticker does not answer, nor does what is no WebSocket.
    let script = "const silent = new Topics('/ticker', { timeout: 200 });
        const nothing = new Topics('/nothing', { timeout: 200 });
        await state(silent, 'open');
        const failed = [silent.publish('a', 1), silent.publish('a', 2), nothing.publish('a', 3)];
        const codes = await Promise.all(failed.map(code));
        await state(silent, 'waiting');
        await state(silent, 'open');
        for (const topics of [silent, nothing]) topics.close();
        return codes";
    expect(&page, script, &json!(["timeout", "lost", "timeout"]))
}

fn unavailable(context: &Context) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("store.conf");
    std::fs::write(&file, "WebSocketTopicStore /proc/nowhere")?;
    let config = format!("WebSocketDrainTime 0\nInclude \"{}\"", file.display());
    let httpd = context.start(&config)?;
    let page = context.open_on(&httpd, "topics.html")?;
    // What asks for a subscription gives up the connection and tries again, the other does not.
    let script = format!(
        "{IMPORT}
        const topics = new Topics('/topics');
        const states = [];
        const {{ promise, resolve }} = Promise.withResolvers();
        topics.addEventListener('state', () => {{
            states.push(topics.state);
            if (states.length === 6) resolve();
        }});
        window.subscribed = topics.subscribe('demo/later');
        const other = new Topics('/topics');
        const asked = [other.publish('demo/later', 1), other.presence('demo/later')];
        const codes = await Promise.all(asked.map(code));
        await promise;
        return [codes, states, other.state]"
    );
    let round = ["open", "waiting", "connecting"];
    let states = [round, round].concat();
    let expected = json!([["unavailable", "unavailable"], states, "open"]);
    page.expect(&script, &json!([]), &expected)?;
    std::fs::write(&file, "")?;
    httpd.graceful()?;
    let subscribed = "return (await subscribed).type";
    page.expect(subscribed, &json!([]), &json!("subscribed"))
}

fn waiting(context: &Context) -> Result<()> {
    let page = context.open("topics.html")?;
    let script = "const topics = new Topics('/topics');
        const states = [topics.state];
        topics.addEventListener('state', () => states.push(topics.state));
        const heard = [];
        const message = ({ data }) => heard.push(data);
        // A message may come behind the answer to its publisher.
        const until = async (count) => {
            while (heard.length < count) await new Promise((resolve) => setTimeout(resolve, 5));
        };
        const subscribed = topics.subscribe('demo/wait', { message });
        const { position } = await topics.publish('demo/wait', 'early');
        await subscribed;
        await until(1);
        // The browser keeps the page, and brings it back.
        dispatchEvent(new PageTransitionEvent('pagehide', { persisted: true }));
        const lost = await code(topics.publish('demo/wait', 'late'));
        const { count } = await topics.presence('demo/wait', false);
        await until(2);
        const never = [topics.publish('demo/wait', 'perhaps')];
        dispatchEvent(new PageTransitionEvent('pagehide', { persisted: true }));
        never.push(topics.publish('demo/wait', 'never'), topics.subscribe('demo/wait'));
        topics.close();
        topics.close();
        never.push(topics.publish('demo/wait', 1), topics.subscribe('demo/wait'));
        const codes = await Promise.all(never.map(code));
        return [heard, position.includes('-'), lost, count >= 0, codes, states]";
    let closed = "closed";
    expect(
        &page,
        script,
        &json!([
            ["early", "late"],
            true,
            "none",
            true,
            ["lost", closed, closed, closed, closed],
            [
                "connecting",
                "open",
                "waiting",
                "connecting",
                "open",
                "waiting",
                closed,
                closed
            ],
        ]),
    )
}

fn types(context: &Context) -> Result<()> {
    let page = context.open("topics.html")?;
    let script = "const types = await (await fetch('/topics.d.ts')).text();
        const names = Object.getOwnPropertyNames(Topics.prototype);
        const declared = types.split('export class Topics')[1].matchAll(/^  (\\w+)\\(/gm);
        return [names.sort(), [...declared].map(([, name]) => name).sort()]";
    let names = [
        "close",
        "constructor",
        "presence",
        "publish",
        "subscribe",
        "unsubscribe",
    ];
    expect(&page, script, &json!([names, names]))
}
