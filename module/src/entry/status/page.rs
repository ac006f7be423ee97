//! The page for people. Without JavaScript it is a plain page of tables; with it, the tables are
//! kept up to date and charts are drawn.

use std::ffi::CStr;
use std::fmt::Write as _;

use super::escaped::Escaped;
use super::table::{begin_table, grouped};
use super::words::{closer_word, refused};
use super::{metrics, topics};
use crate::httpd::scoreboard::{CODES, Distribution, Process, Report, Series};

pub(super) const MEDIA_TYPE: &CStr = c"text/html; charset=utf-8";

/// What goes around the tables.
const FRAME: &str = include_str!("page.html");

/// What makes it live.
pub(super) const SCRIPT: &str = include_str!("page.js");

/// What it looks like.
pub(super) const STYLE: &str = include_str!("page.css");

/// The page.
pub(super) fn html(report: &Report) -> String {
    FRAME.replace("{tables}", &tables(report))
}

/// The part of the page that shows the report.
pub(super) fn tables(report: &Report) -> String {
    let mut html = String::new();
    // A string takes all that is written to it.
    let _ = sums(&mut html, report)
        .and_then(|()| by_location(&mut html, &report.series))
        .and_then(|()| ends(&mut html, &report.series))
        .and_then(|()| topics::tables(&mut html, report))
        .and_then(|()| metrics::table(&mut html, &report.metrics))
        .and_then(|()| processes(&mut html, &report.processes));
    html
}

/// The sums of all, which the charts are drawn from.
fn sums(html: &mut String, report: &Report) -> std::fmt::Result {
    let sum = |value: fn(&Series) -> u64| report.series.iter().map(value).sum::<u64>();
    let mut turns = Distribution::default();
    report
        .series
        .iter()
        .for_each(|series| turns.add(&series.turns));
    let figures = [
        ("open", "Open", sum(|series| series.open)),
        ("accepted", "Accepted", sum(|series| series.accepted)),
        (
            "received",
            "Messages received",
            sum(|series| series.received[0]),
        ),
        ("sent", "Messages sent", sum(|series| series.sent[0])),
        (
            "bytes-received",
            "Bytes received",
            sum(|series| series.received[1]),
        ),
        ("bytes-sent", "Bytes sent", sum(|series| series.sent[1])),
        ("queued", "Bytes queued", sum(|series| series.queued)),
        (
            "refused",
            "Handshakes refused",
            sum(|series| series.refused.iter().sum()),
        ),
    ];
    write!(html, "<dl id=\"sums\" data-since=\"{}\">", report.began)?;
    for (name, title, value) in figures {
        write!(
            html,
            "<div><dt>{title}</dt><dd data-figure=\"{name}\" data-value=\"{value}\">{}</dd></div>",
            grouped(value)
        )?;
    }
    html.write_str("</dl>\n")
}

fn by_location(html: &mut String, all: &[Series]) -> std::fmt::Result {
    if all.is_empty() {
        return html.write_str("<p id=\"nothing\">No WebSocket has been opened yet.</p>\n");
    }
    let head = [
        "Location",
        "Plugin",
        "Open",
        "Accepted",
        "Received",
        "Bytes",
        "Sent",
        "Bytes",
        "Queued",
        "Sent, compressed to",
        "Callbacks, median",
        "99 %",
        "Ping, median",
        "99 %",
    ];
    begin_table(html, "locations", "By location", &head)?;
    for series in all {
        let Series { turns, pings, .. } = series;
        let numbers = [
            series.open,
            series.accepted,
            series.received[0],
            series.received[1],
            series.sent[0],
            series.sent[1],
            series.queued,
        ];
        let texts = [
            share(series.deflated),
            time(turns, 0.5),
            time(turns, 0.99),
            time(pings, 0.5),
            time(pings, 0.99),
        ];
        write!(
            html,
            "<tr><th scope=\"row\">{}</th><td class=\"name\">{}</td>",
            Escaped(&series.location),
            Escaped(&series.plugin)
        )?;
        for text in numbers.map(grouped).iter().chain(&texts) {
            write!(html, "<td>{text}</td>")?;
        }
        html.write_str("</tr>\n")?;
    }
    html.write_str("</tbody></table></div>\n")
}

/// How connections ended, and why handshakes did not begin one.
fn ends(html: &mut String, all: &[Series]) -> std::fmt::Result {
    let closed = all.iter().flat_map(|series| {
        let row = |by, code, count| (&*series.location, by, code, count);
        let closed = series
            .closed
            .iter()
            .map(move |closed| row(closer_word(closed.by), CODES[closed.code], closed.count));
        let refused = refused(&series.refused);
        let refused = refused.filter(|(_, count)| *count > 0);
        closed.chain(refused.map(move |(cause, count)| row("refused", cause, count)))
    });
    let rows: Vec<_> = closed.collect();
    if rows.is_empty() {
        return Ok(());
    }
    begin_table(
        html,
        "ends",
        "Ends",
        &["Location", "By", "Code or cause", "How many"],
    )?;
    for (location, by, code, count) in rows {
        writeln!(
            html,
            "<tr><th scope=\"row\">{}</th><td class=\"name\">{by}</td><td>{code}</td><td>{}</td></tr>",
            Escaped(location),
            grouped(count)
        )?;
    }
    html.write_str("</tbody></table></div>\n")
}

fn processes(html: &mut String, all: &[Process]) -> std::fmt::Result {
    let head = [
        "Process",
        "Event-driven",
        "Detached",
        "With a thread",
        "Threads",
        "Blocked",
        "State",
    ];
    begin_table(html, "processes", "Processes", &head)?;
    for process in all {
        let state = if process.is_draining {
            "draining"
        } else {
            "serving"
        };
        write!(html, "<tr><th scope=\"row\">{}</th>", process.pid)?;
        let numbers = [
            process.open.event_driven,
            process.open.detached,
            process.open.with_thread,
            process.threads,
            process.blocked,
        ];
        for number in numbers.map(grouped) {
            write!(html, "<td>{number}</td>")?;
        }
        writeln!(html, "<td class=\"name\">{state}</td></tr>")?;
    }
    html.write_str("</tbody></table></div>\n")
}

/// What compression made of so many bytes.
fn share([before, after]: [u64; 2]) -> String {
    match before {
        0 => "\u{2013}".into(),
        _ => format!("{} %", u128::from(after) * 100 / u128::from(before)),
    }
}

/// The bound that a share of all durations did not exceed.
fn time(distribution: &Distribution, share: f64) -> String {
    match distribution.quantile(share) {
        None => "\u{2013}".into(),
        Some(bound) if bound.is_infinite() => "> 10 s".into(),
        Some(bound) if bound < 0.001 => format!("\u{2264} {:.0} \u{b5}s", bound * 1e6),
        Some(bound) if bound < 1.0 => format!("\u{2264} {} ms", bound * 1e3),
        Some(bound) => format!("\u{2264} {bound} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::{Distribution, Report, Series, html, share, time};
    use std::time::Duration;

    #[test]
    fn names_cannot_become_html() {
        let series = Series {
            location: "/<script>alert(1)</script>&\"'".into(),
            accepted: 1,
            ..Series::default()
        };
        let report = Report {
            series: vec![series],
            ..Report::default()
        };
        let html = html(&report);
        assert!(html.contains("/&lt;script&gt;alert(1)&lt;/script&gt;&amp;&quot;&#39;"));
        assert!(!html.contains("<script>alert"));
    }

    #[test]
    fn what_compression_saves_is_a_share() {
        assert_eq!(
            [[0, 0], [200, 50], [u64::MAX, 0]].map(share),
            ["\u{2013}", "25 %", "0 %"]
        );
    }

    #[test]
    fn times_have_fitting_units() {
        for (took, shown) in [
            (Duration::from_micros(3), "\u{2264} 10 \u{b5}s"),
            (Duration::from_micros(2_000), "\u{2264} 2.5 ms"),
            (Duration::from_secs(2), "\u{2264} 2.5 s"),
            (Duration::from_secs(20), "> 10 s"),
        ] {
            let mut distribution = Distribution::default();
            distribution.note(took);
            assert_eq!(time(&distribution, 0.5), shown);
        }
        assert_eq!(time(&Distribution::default(), 0.5), "\u{2013}");
    }
}
