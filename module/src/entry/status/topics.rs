//! The tables of topics and of their broker.

use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use super::broker::Broker;
use super::table::{begin_table, grouped};
use crate::httpd::scoreboard::Report;

/// Both tables; none of them where there is nothing to show.
pub(super) fn tables(html: &mut String, report: &Report) -> std::fmt::Result {
    let subscriptions = report.processes.iter().map(|process| process.subscriptions);
    let figures = [subscriptions.sum(), report.published, report.delivered];
    if figures != [0; 3] {
        let head = ["Subscriptions", "Messages published", "Messages delivered"];
        begin_table(html, "topics", "Topics", &head)?;
        row(html, figures.map(grouped))?;
    }
    let Some(broker) = Broker::of(&report.processes) else {
        return Ok(());
    };
    let head = [
        "State",
        "For",
        "Messages behind",
        "Messages waiting",
        "Processes connected",
        "Processes cut",
    ];
    begin_table(html, "broker", "Broker of topics", &head)?;
    let unknown = || "\u{2013}".to_owned();
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.map_or(0, |now| now.as_secs());
    row(
        html,
        [
            broker.word().to_owned(),
            match broker.since {
                0 => unknown(),
                since => span(now.saturating_sub(since)),
            },
            broker.behind.map_or_else(unknown, grouped),
            grouped(broker.waiting),
            grouped(broker.connected),
            grouped(broker.cut),
        ],
    )
}

/// The only row of a table, and its end.
fn row<const N: usize>(html: &mut String, cells: [String; N]) -> std::fmt::Result {
    html.write_str("<tr>")?;
    for cell in cells {
        write!(html, "<td>{cell}</td>")?;
    }
    html.write_str("</tr>\n</tbody></table></div>\n")
}

/// So many seconds, in its two largest units.
fn span(seconds: u64) -> String {
    let [minutes, hours, days] = [60, 3600, 86400].map(|unit| seconds / unit);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, _, _) => format!("{hours} h {} min", minutes % 60),
        _ => format!("{days} d {} h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::{Report, span, tables};
    use crate::httpd::scoreboard::{Link, Process};

    #[test]
    fn a_table_is_there_if_it_has_something_to_show() {
        let html = |report: &Report| {
            let mut html = String::new();
            tables(&mut html, report).unwrap();
            html
        };
        assert_eq!(html(&Report::default()), "");
        let report = Report {
            published: 2,
            delivered: 1234,
            ..Report::default()
        };
        let row = "<tr><td>0</td><td>2</td><td>1\u{202f}234</td></tr>";
        assert!(html(&report).contains(row) && !html(&report).contains("Broker"));
        let process = Process {
            sends: Link::Cut,
            waiting: 5,
            ..Process::default()
        };
        let report = Report {
            processes: vec![process],
            ..Report::default()
        };
        let row = "<tr><td>connecting</td><td>\u{2013}</td><td>\u{2013}</td><td>5</td><td>0</td>\
                   <td>1</td></tr>";
        assert!(html(&report).contains(row), "{}", html(&report));
    }

    #[test]
    fn a_time_has_its_two_largest_units() {
        let spans = [0, 59, 61, 7_260, 90_000].map(span);
        assert_eq!(spans, ["0 s", "59 s", "1 min 1 s", "2 h 1 min", "1 d 1 h"]);
    }
}
