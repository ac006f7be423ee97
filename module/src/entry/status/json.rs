//! The report as JSON, for programs and for the page.

use serde_json::{Map, Value, json};

use super::broker::Broker;
use super::words::{closer_word, kind_word, refused};
use crate::httpd::scoreboard::{
    CODES, Distribution, Family, Link, Process, Report, Sample, Series, Value as Sum,
};

/// The report as a text.
pub(super) fn text(report: &Report) -> String {
    let Report {
        began,
        processes,
        series,
        published,
        delivered,
        metrics,
        refused_metrics,
    } = report;
    let subscriptions: u64 = processes.iter().map(|process| process.subscriptions).sum();
    let value = json!({
        "since": began,
        "processes": processes.iter().map(process).collect::<Vec<_>>(),
        "series": series.iter().map(of_series).collect::<Vec<_>>(),
        "topics": {
            "subscriptions": subscriptions,
            "published": published,
            "delivered": delivered,
        },
        "metrics": metrics.iter().map(family).collect::<Vec<_>>(),
        "metrics_refused": refused_metrics,
        "broker": Broker::of(processes).map(|broker| of_broker(&broker)),
    });
    value.to_string()
}

fn of_broker(broker: &Broker) -> Value {
    json!({
        "state": broker.word(),
        "since": broker.since,
        "behind_messages": broker.behind,
        "waiting_messages": broker.waiting,
        "processes": { "connected": broker.connected, "cut": broker.cut },
    })
}

fn family(family: &Family) -> Value {
    let sample = |sample: &Sample| {
        let labels: Map<_, _> = sample
            .labels
            .iter()
            .map(|(name, value)| (name.clone(), value.as_str().into()))
            .collect();
        json!({ "labels": labels, "value": sum(&sample.value, &family.bounds) })
    };
    json!({
        "plugin": family.plugin,
        "name": family.name,
        "help": family.help,
        "kind": kind_word(family.kind),
        "series": family.samples.iter().map(sample).collect::<Vec<_>>(),
    })
}

fn sum(value: &Sum, bounds: &[f64]) -> Value {
    match value {
        Sum::Counter(value) => json!(value),
        Sum::Gauge(value) => json!(value),
        Sum::Histogram { sum, counts } => {
            let bounds = bounds.iter().copied().map(Some).chain([None]);
            let buckets = bounds
                .zip(counts)
                .map(|(bound, count)| json!([bound, count]));
            json!({
                "count": counts.iter().sum::<u64>(),
                "sum": sum,
                "buckets": buckets.collect::<Vec<_>>(),
            })
        }
    }
}

fn process(process: &Process) -> Value {
    json!({
        "pid": process.pid,
        "event_driven": process.open.event_driven,
        "detached": process.open.detached,
        "with_thread": process.open.with_thread,
        "threads": process.threads,
        "threads_blocked": process.blocked,
        "draining": process.is_draining,
        "subscriptions": process.subscriptions,
        "broker": match process.sends {
            Link::None => Value::Null,
            Link::Connected => "connected".into(),
            Link::Cut => "cut".into(),
        },
        "imports": process.imports != Link::None,
    })
}

fn of_series(series: &Series) -> Value {
    let traffic = |[messages, bytes]: [u64; 2]| json!({ "messages": messages, "bytes": bytes });
    let closed = series.closed.iter().map(|closed| {
        json!({
            "by": closer_word(closed.by),
            "code": CODES[closed.code],
            "count": closed.count,
        })
    });
    let refused: Map<_, _> = refused(&series.refused)
        .map(|(cause, count)| (cause.into(), count.into()))
        .collect();
    json!({
        "location": series.location,
        "plugin": series.plugin,
        "open": series.open,
        "accepted": series.accepted,
        "queued_bytes": series.queued,
        "received": traffic(series.received),
        "sent": traffic(series.sent),
        "compression": {
            "received": { "plain": series.inflated[1], "compressed": series.inflated[0] },
            "sent": { "plain": series.deflated[0], "compressed": series.deflated[1] },
        },
        "turn_seconds": distribution(&series.turns),
        "ping_seconds": distribution(&series.pings),
        "closed": closed.collect::<Vec<_>>(),
        "refused": refused,
    })
}

/// The counts are those of each bucket by itself; the last has no bound (`null`).
fn distribution(distribution: &Distribution) -> Value {
    let buckets = distribution.buckets();
    let buckets = buckets.iter().map(|(bound, count)| json!([bound, count]));
    json!({
        "count": distribution.count(),
        "sum": distribution.sum().as_secs_f64(),
        "buckets": buckets.collect::<Vec<_>>(),
    })
}
