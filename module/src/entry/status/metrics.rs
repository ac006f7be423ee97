//! The table of what plugins count.

use std::fmt::{self, Write as _};

use super::escaped::Escaped;
use super::table::{begin_table, grouped};
use super::words::kind_word;
use crate::httpd::scoreboard::{Family, Sample, Value};

/// So many series are shown. The page asks for the tables again and again, and nobody reads more.
const MOST: usize = 200;

/// The table; none where plugins count nothing.
pub(super) fn table(html: &mut String, families: &[Family]) -> fmt::Result {
    if families.is_empty() {
        return Ok(());
    }
    let head = ["Plugin", "Metric", "Series", "Kind", "Value"];
    begin_table(html, "metrics", "Metrics of plugins", &head)?;
    let series = families
        .iter()
        .flat_map(|family| family.samples.iter().map(move |sample| (family, sample)));
    for (family, sample) in series.take(MOST) {
        writeln!(
            html,
            "<tr title=\"{}\"><th scope=\"row\">{}</th><td class=\"name\">{}</td>\
             <td class=\"name\">{}</td><td class=\"name\">{}</td><td>{}</td></tr>",
            Escaped(&family.help),
            Escaped(&family.plugin),
            Escaped(&family.name),
            Escaped(&labels(sample)),
            kind_word(family.kind),
            value(&sample.value)
        )?;
    }
    html.write_str("</tbody></table></div>\n")?;
    let count: usize = families.iter().map(|family| family.samples.len()).sum();
    if count > MOST {
        writeln!(
            html,
            "<p>{} more series are not shown.</p>",
            grouped((count - MOST) as u64)
        )?;
    }
    Ok(())
}

fn labels(sample: &Sample) -> String {
    let labels = sample
        .labels
        .iter()
        .map(|(name, value)| format!("{name}: {value}"));
    labels.collect::<Vec<_>>().join(", ")
}

fn value(value: &Value) -> String {
    match value {
        Value::Counter(value) => grouped(*value),
        Value::Gauge(value) if *value < 0 => format!("\u{2212}{}", grouped(value.unsigned_abs())),
        Value::Gauge(value) => grouped(value.unsigned_abs()),
        Value::Histogram { sum, counts } => {
            let count = counts.iter().sum::<u64>();
            #[allow(clippy::cast_precision_loss, reason = "it is shown with three digits")]
            let mean = if count == 0 { 0.0 } else { sum / count as f64 };
            format!("{} values, mean {}", grouped(count), shortened(mean))
        }
    }
}

/// A number with three significant digits, roughly.
fn shortened(number: f64) -> String {
    match number {
        0.0 => "0".into(),
        _ if (0.001..100_000.0).contains(&number) => {
            let places = if number < 1.0 { 5 } else { 2 };
            let text = format!("{number:.places$}");
            text.trim_end_matches('0').trim_end_matches('.').into()
        }
        _ => format!("{number:.2e}"),
    }
}

#[cfg(test)]
mod tests {
    use super::{Family, MOST, Sample, Value, shortened, table, value};
    use crate::httpd::scoreboard::MetricKind;

    fn family(count: usize) -> Family {
        let sample = |number: usize| Sample {
            labels: vec![("room".into(), format!("<b>{number}"))],
            value: Value::Counter(1234),
        };
        Family {
            plugin: "game".into(),
            name: "moves".into(),
            full_name: "game_moves".into(),
            help: "\"Moves\" & more".into(),
            kind: MetricKind::Counter,
            bounds: Vec::new(),
            samples: (0..count).map(sample).collect(),
        }
    }

    #[test]
    fn texts_of_plugins_cannot_become_html() {
        let mut html = String::new();
        table(&mut html, &[]).unwrap();
        assert_eq!(html, "");
        table(&mut html, &[family(1)]).unwrap();
        let row = "<tr title=\"&quot;Moves&quot; &amp; more\"><th scope=\"row\">game</th>\
                   <td class=\"name\">moves</td><td class=\"name\">room: &lt;b&gt;0</td>\
                   <td class=\"name\">counter</td><td>1\u{202f}234</td></tr>";
        assert!(html.contains(row), "{html}");
        assert!(!html.contains("not shown"));
    }

    #[test]
    fn a_long_table_is_cut() {
        let mut html = String::new();
        table(&mut html, &[family(MOST), family(3)]).unwrap();
        assert_eq!(html.matches("<tr title").count(), MOST);
        assert!(html.contains("<p>3 more series are not shown.</p>"));
    }

    #[test]
    fn values_can_be_read() {
        assert_eq!(value(&Value::Gauge(-1234)), "\u{2212}1\u{202f}234");
        assert_eq!(value(&Value::Gauge(0)), "0");
        let counts = vec![1, 2, 1];
        let histogram = Value::Histogram { sum: 10.0, counts };
        assert_eq!(value(&histogram), "4 values, mean 2.5");
        let shown = [0.0, 0.0123, 1.0, 99.999, 123_456.0, 0.000_01].map(shortened);
        assert_eq!(shown, ["0", "0.0123", "1", "100", "1.23e5", "1.00e-5"]);
    }
}
