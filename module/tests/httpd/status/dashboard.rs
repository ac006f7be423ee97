//! The dashboard for Grafana, and what it asks for.

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::pages::{LOCATION, await_series, get, open};
use crate::support::{Context, cases};

cases! {
    "websocket-status: the Grafana dashboard asks for metrics and labels that there are"
        => dashboard,
}

/// The dashboard that the repository has.
const DASHBOARD: &str = include_str!("../../../../docs/grafana-dashboard.json");

fn dashboard(context: &Context) -> Result<()> {
    let httpd = context.start(LOCATION)?;
    open(&httpd, "/echo", 1)?.swap_remove(0).close()?;
    await_series(&httpd, "/echo", |echo| echo["open"] == 0)?;
    let text = get(&httpd, "?format=openmetrics")?;
    let samples: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
    let of = |metric: &str| {
        let is_of = |line: &&&str| line.split(|c| !is_name(c)).next() == Some(metric);
        samples.iter().filter(is_of).collect::<Vec<_>>()
    };
    let dashboard: Value = serde_json::from_str(DASHBOARD)?;
    let panels = dashboard["panels"].as_array().context("no panels")?;
    for panel in panels {
        let targets = panel["targets"].as_array().context("no targets")?;
        ensure!(!targets.is_empty(), "{panel} asks for nothing");
    }
    let mut expressions = Vec::new();
    collect_expressions(&dashboard, &mut expressions);
    ensure!(expressions.len() > panels.len(), "{expressions:?}");
    for expression in expressions {
        let words = expression.split(|c| !is_name(c));
        let metrics: Vec<_> = words.filter(|it| it.starts_with("websocket_")).collect();
        ensure!(!metrics.is_empty(), "no metric in {expression}");
        for metric in metrics {
            let found = of(metric);
            ensure!(!found.is_empty(), "no {metric} in {text}");
            for label in labels(expression) {
                let has_label = |line: &&&str| line.contains(&format!("{label}=\""));
                ensure!(
                    found.iter().any(has_label),
                    "{expression}: no {label} of {metric}"
                );
            }
        }
    }
    Ok(())
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// What a dashboard asks Prometheus for: the expressions of panels, and what fills its lists.
fn collect_expressions<'d>(part: &'d Value, found: &mut Vec<&'d str>) {
    match part {
        Value::Object(members) => {
            for (name, member) in members {
                match member.as_str() {
                    Some(text) if name == "expr" || text.starts_with("label_values(") => {
                        found.push(text);
                    }
                    _ => collect_expressions(member, found),
                }
            }
        }
        Value::Array(members) => {
            for member in members {
                collect_expressions(member, found);
            }
        }
        _ => {}
    }
}

/// The labels that an expression selects or groups by, but for those that Prometheus adds.
fn labels(expression: &str) -> Vec<&str> {
    let between = |begin: &'static str, end: char| {
        let parts = expression.split(begin).skip(1);
        parts.filter_map(move |part| part.split(end).next())
    };
    let selected = between("{", '}').flat_map(|part| part.split(','));
    let selected = selected.filter_map(|part| part.split('=').next());
    let grouped = between("by (", ')').flat_map(|part| part.split(','));
    let of_prometheus = |label: &&str| ["job", "instance"].contains(label);
    let all = selected.chain(grouped).map(str::trim);
    all.filter(|label| !of_prometheus(label)).collect()
}
