//! Metrics of plugins, on the pages of `SetHandler websocket-status`.

use anyhow::{Context as _, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use xtask::httpd::Httpd;
use xtask::openmetrics::{Parser, Sample};
use xtask::server_root::Mpm;
use xtask::workspace::Workspace;

use super::pages::{LOCATION, get, report};
use crate::rust::location;
use crate::support::journal::Journal;
use crate::support::{Client, Context, Handshake, PATIENCE, cases, wait_until};

cases! {
    "plugin metrics: they are summed over connections, locations and virtual hosts" => sums,
    "plugin metrics: the strict parser takes whatever labels and help texts contain" => openmetrics,
    "plugin metrics: processes are summed, counters survive them and restarts, gauges do not"
        => lasting,
    "plugin metrics: what is wrong counts nothing, and the log says why" => refused,
    "plugin metrics: labels leave room for other metrics, and the log says so once" => full,
    "plugin metrics: a plugin in C counts" => c,
}

/// Two locations, and another virtual host, with the plugin that counts.
fn start(context: &Context) -> Result<Httpd> {
    let locations = ["/books", "/other"].map(|path| location(context, path, "book_keeper", ""));
    let in_host = location(
        context,
        "/third",
        "book_keeper",
        "WebSocketPluginOption x y",
    );
    let hosts = format!(
        "<VirtualHost *>\nServerName first.example\n</VirtualHost>\n\
         <VirtualHost *>\nServerName second.example\n{in_host}</VirtualHost>\n"
    );
    context.start(&format!("{LOCATION}{}{hosts}", locations.concat()))
}

fn open(httpd: &Httpd, path: &str) -> Result<Client> {
    let handshake = match path {
        "/third" => Handshake::to(path).header("Host", "second.example"),
        _ => Handshake::to(path),
    };
    Client::open(httpd.address(), &handshake)
}

/// The value of a series.
fn value(report: &Value, plugin: &str, name: &str, labels: &Value) -> Value {
    let all = report["metrics"].as_array().into_iter().flatten();
    let mut families = all.filter(|family| family["plugin"] == plugin && family["name"] == name);
    let mut series = families
        .next()
        .and_then(|family| family["series"].as_array());
    let mut series = series.take().into_iter().flatten();
    let found = series.find(|series| series["labels"] == *labels);
    found.map_or(Value::Null, |series| series["value"].clone())
}

/// Waits until a metric has a value.
fn wait_for(httpd: &Httpd, name: &str, expected: i64) -> Result<()> {
    let mut last = Value::Null;
    let waited = wait_until("the metric has the value", || {
        last = report(httpd)?;
        Ok(value(&last, "book_keeper", name, &json!({})) == expected)
    });
    waited.with_context(|| format!("{name} is not {expected}: {}", last["metrics"]))
}

fn sums(context: &Context) -> Result<()> {
    let httpd = start(context)?;
    ensure!(report(&httpd)?["metrics"] == json!([]));
    let paths = ["/books", "/other", "/third", "/books"];
    let mut clients = paths
        .iter()
        .map(|path| open(&httpd, path))
        .collect::<Result<Vec<_>>>()?;
    let count = i64::try_from(clients.len())?;
    for client in &mut clients {
        client.echo("note a")?;
        client.echo("size 10.5")?;
        client.echo("size 1e9")?;
    }
    wait_for(&httpd, "guests", count)?;
    wait_for(&httpd, "notes", count)?;
    let now = report(&httpd)?;
    ensure!(value(&now, "book_keeper", "notes", &json!({ "text": "a" })) == count);
    let sizes = value(&now, "book_keeper", "size", &json!({}));
    ensure!(sizes["count"] == 2 * count, "{sizes}");
    let buckets = json!([[1.0, 0], [10.5, count], [null, count]]);
    ensure!(sizes["buckets"] == buckets, "{sizes}");
    let html = get(&httpd, "")?;
    let row = "<th scope=\"row\">book_keeper</th><td class=\"name\">notes</td>\
               <td class=\"name\">text: a</td><td class=\"name\">counter</td>";
    ensure!(html.contains(row), "{html}");
    for client in clients {
        client.close()?;
    }
    wait_for(&httpd, "guests", 0)?;
    wait_for(&httpd, "notes", count)
}

fn openmetrics(context: &Context) -> Result<()> {
    let target = Workspace::find()?.target_dir().to_owned();
    let Some(parser) = Parser::install_if_possible(&target)? else {
        return Ok(());
    };
    let httpd = start(context)?;
    let mut client = open(&httpd, "/books")?;
    let odd = "\"}\\ \u{fc}\u{1f600}<script># EOF";
    for text in [odd, "\\n", "line\nbreak\r\u{2028}\0", &"\u{fc}".repeat(200)] {
        client.echo(&format!("note {text}"))?;
    }
    client.echo("size 7")?;
    let text = get(&httpd, "?format=openmetrics")?;
    let samples = parser.parse(&text).with_context(|| text.clone())?;
    let notes = |label: &str| {
        let is_it = |sample: &&Sample| {
            sample.name == "websocket_plugin_book_keeper_notes_total"
                && sample.labels["text"] == label
        };
        samples.iter().find(is_it).map(|sample| sample.value)
    };
    for label in [odd, "\\n", "line?break???", &"\u{fc}".repeat(64)] {
        ensure!(notes(label) == Some(1.0), "{label:?} in {text}");
    }
    let bucket = "websocket_plugin_book_keeper_size_bucket{le=\"10.5\"} 1\n";
    ensure!(text.contains(bucket), "{text}");
    ensure!(
        text.contains("websocket_plugin_book_keeper_guests 1\n"),
        "{text}"
    );
    let help = "# HELP websocket_plugin_book_keeper_notes Notes \\\"taken\\\" in C:\\\\books\n";
    ensure!(text.contains(help), "{text}");
    ensure!(!get(&httpd, "")?.contains("<script>#"));
    Ok(())
}

fn lasting(context: &Context) -> Result<()> {
    let httpd = start(context)?;
    let mut old = open(&httpd, "/books")?;
    old.echo("note a")?;
    wait_for(&httpd, "guests", 1)?;
    httpd.graceful()?;
    // The child of the connection goes on, and counts where the new ones do.
    old.echo("note a")?;
    let mut new = open(&httpd, "/books")?;
    new.echo("note a")?;
    wait_for(&httpd, "guests", 2)?;
    wait_for(&httpd, "notes", 3)?;
    httpd.restart()?;
    wait_for(&httpd, "guests", 0)?;
    wait_for(&httpd, "notes", 3)?;
    let mut new = open(&httpd, "/books")?;
    new.echo("note a")?;
    wait_for(&httpd, "guests", 1)?;
    if context.mpm != Mpm::Prefork {
        for pid in httpd.child_pids()? {
            let pid = Pid::from_raw(i32::try_from(pid)?).context("no process")?;
            kill_process(pid, Signal::KILL)?;
        }
        wait_for(&httpd, "guests", 0)?;
    }
    wait_for(&httpd, "notes", 4)
}

fn refused(context: &Context) -> Result<()> {
    let httpd = start(context)?;
    let mut client = open(&httpd, "/books")?;
    client.echo("note a")?;
    for _ in 0..3 {
        client.echo("bad")?;
    }
    let line = httpd.wait_for_log("the metric \"bad_total\" is refused", PATIENCE)?;
    ensure!(
        line.contains("[book_keeper] ") && line.contains("must not end with _total"),
        "{line}"
    );
    let line = httpd.wait_for_log("the metric \"notes\" is refused", PATIENCE)?;
    ensure!(line.contains("another metric has the name"), "{line}");
    let log = httpd.error_log()?;
    ensure!(log.matches("is refused").count() == 2, "{log}");
    let now = report(&httpd)?;
    ensure!(value(&now, "book_keeper", "bad_total", &json!({})) == Value::Null);
    ensure!(value(&now, "book_keeper", "notes", &json!({})) == 1);
    ensure!(now["metrics_refused"] == 1, "{now}");
    Ok(())
}

fn full(context: &Context) -> Result<()> {
    let httpd = start(context)?;
    let mut client = open(&httpd, "/books")?;
    for _ in 0..3 {
        client.echo("many 1200")?;
    }
    // The guests have a series since the client has come; these are the first of their metrics.
    client.echo("size 7")?;
    client.echo("note a")?;
    let now = report(&httpd)?;
    let all = now["metrics"].as_array().into_iter().flatten();
    let series = all.filter_map(|family| family["series"].as_array());
    ensure!(series.map(Vec::len).sum::<usize>() == 802, "{now}");
    ensure!(
        value(&now, "book_keeper", "size", &json!({}))["count"] == 1,
        "{now}"
    );
    ensure!(value(&now, "book_keeper", "notes", &json!({ "number": "7" })) == 3);
    ensure!(now["metrics_refused"].as_u64() >= Some(600), "{now}");
    let line = "of the metric \"notes\" and all further ones with labels are not counted";
    httpd.wait_for_log(line, PATIENCE)?;
    let log = httpd.error_log()?;
    ensure!(log.matches(line).count() == 1, "{log}");
    let html = get(&httpd, "")?;
    ensure!(html.contains("602 more series are not shown"), "{html}");
    client.echo("note a")?;
    wait_for(&httpd, "notes", 2)
}

fn c(context: &Context) -> Result<()> {
    let httpd = context.start(LOCATION)?;
    let journal = Journal::new(context)?;
    let mut client = Client::open(httpd.address(), &journal.handshake("/metrics"))?;
    for text in ["a", "b", "-"] {
        client.echo(text)?;
    }
    let of =
        |report: &Value, name: &str| value(report, "c_counter", name, &json!({ "language": "C" }));
    let now = report(&httpd)?;
    ensure!(of(&now, "messages") == 2 && of(&now, "open") == 1, "{now}");
    journal.wait_for("bad 1")?;
    client.close()?;
    journal.wait_for("disconnect")?;
    let now = report(&httpd)?;
    ensure!(of(&now, "messages") == 2 && of(&now, "open") == 0, "{now}");
    Ok(())
}
