//! The report in the text format of OpenMetrics, for Prometheus and the like.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};

use super::broker::Broker;
use super::words::{closer_word, refused};
use crate::httpd::scoreboard::{
    CODES, Distribution, Family, MetricKind, Open, Process, Report, Series, Value,
};

/// The media type of the text.
pub(super) const MEDIA_TYPE: &std::ffi::CStr =
    c"application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The report as text.
pub(super) fn text(report: Report) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix("websocket");
    registry.register_collector(Box::new(Collected(report)));
    let mut text = String::new();
    encode(&mut text, &registry)?;
    Ok(text)
}

#[derive(Debug)]
struct Collected(Report);

/// Labels and a value.
type Sample<'a> = (Vec<(&'static str, &'a str)>, u64);

impl Collector for Collected {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Report {
            began,
            processes,
            series,
            published,
            delivered,
            metrics,
            refused_metrics,
        } = &self.0;
        let mut families = Families(&mut encoder);
        families.one(
            "start_time",
            "Since when is counted",
            Some(&Unit::Seconds),
            *began,
        )?;
        of_processes(&mut families, processes)?;
        of_connections(&mut families, series)?;
        of_messages(&mut families, series)?;
        of_topics(&mut families, processes, [*published, *delivered])?;
        of_broker(&mut families, Broker::of(processes))?;
        families.histogram(
            "turn",
            "Turns of connections that handed messages to the plugin, from the read to the end of \
             the callbacks",
            series.iter().map(|series| (series, &series.turns)),
        )?;
        families.histogram(
            "ping",
            "From a ping to its pong",
            series.iter().map(|series| (series, &series.pings)),
        )?;
        let text = "How often there was no place for a series of a plugin's metric";
        families.total("metric_series_refused", text, *refused_metrics)?;
        metrics
            .iter()
            .try_for_each(|family| of_plugin(&mut families, family))
    }
}

fn of_plugin(families: &mut Families<'_, '_>, family: &Family) -> fmt::Result {
    let kind = match family.kind {
        MetricKind::Counter => MetricType::Counter,
        MetricKind::Gauge => MetricType::Gauge,
        MetricKind::Histogram => MetricType::Histogram,
    };
    let name = format!("plugin_{}", family.full_name);
    let mut encoder = families.begin(&name, &escaped(&family.help), None, kind)?;
    for sample in &family.samples {
        let labels: Vec<_> = sample
            .labels
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let mut metric = encoder.encode_family(&labels)?;
        match &sample.value {
            Value::Counter(value) => {
                metric.encode_counter::<NoLabelSet, _, u64>(value, None)?;
            }
            Value::Gauge(value) => metric.encode_gauge(value)?,
            Value::Histogram { sum, counts } => {
                let bounds = family.bounds.iter().copied().chain([f64::INFINITY]);
                let buckets: Vec<_> = bounds.zip(counts.iter().copied()).collect();
                let count = counts.iter().sum();
                metric.encode_histogram::<NoLabelSet>(*sum, count, &buckets, None)?;
            }
        }
    }
    Ok(())
}

/// A help text of a plugin. It has no line breaks.
fn escaped(help: &str) -> String {
    help.replace('\\', "\\\\").replace('"', "\\\"")
}

fn of_processes(families: &mut Families<'_, '_>, processes: &[Process]) -> fmt::Result {
    let sum = |value: fn(&Process) -> u64| processes.iter().map(value).sum();
    families.one(
        "processes",
        "Processes that may have WebSockets",
        None,
        processes.len() as u64,
    )?;
    families.one(
        "processes_draining",
        "Processes that serve their WebSockets to the end and take no more",
        None,
        sum(|process| process.is_draining.into()),
    )?;
    families.one(
        "threads",
        "Threads of the module for event-driven WebSockets",
        None,
        sum(|process| process.threads),
    )?;
    families.one(
        "threads_blocked",
        "Those of them that are given to callbacks that block",
        None,
        sum(|process| process.blocked),
    )?;
    let open = processes
        .iter()
        .fold(Open::default(), |sum, process| sum.plus(process.open));
    let drivers = [
        ("event", open.event_driven),
        ("detached", open.detached),
        ("thread", open.with_thread),
    ];
    families.gauge(
        "driven_connections",
        "Open WebSockets by what drives them",
        None,
        drivers
            .into_iter()
            .map(|(driver, open)| (vec![("driver", driver)], open)),
    )
}

fn of_connections(families: &mut Families<'_, '_>, all: &[Series]) -> fmt::Result {
    let each = |value: fn(&Series) -> u64| all.iter().map(move |one| (labels(one), value(one)));
    families.gauge("connections", "Open WebSockets", None, each(|one| one.open))?;
    families.counter(
        "connections_accepted",
        "WebSockets that were opened",
        None,
        each(|one| one.accepted),
    )?;
    let closed = all.iter().flat_map(|one| {
        one.closed.iter().map(|closed| {
            let mut labels = labels(one);
            labels.push(("by", closer_word(closed.by)));
            labels.push(("code", CODES[closed.code]));
            (labels, closed.count)
        })
    });
    families.counter(
        "connections_closed",
        "WebSockets that have ended, by who closed them first and by status code",
        None,
        closed,
    )?;
    let refused = all.iter().flat_map(|one| {
        refused(&one.refused).map(|(cause, count)| {
            let mut labels = labels(one);
            labels.push(("cause", cause));
            (labels, count)
        })
    });
    let text = "Handshakes that were refused";
    families.counter("handshakes_refused", text, None, refused)
}

fn of_messages(families: &mut Families<'_, '_>, all: &[Series]) -> fmt::Result {
    let both = |values: fn(&Series) -> [u64; 2]| {
        all.iter().flat_map(move |one| {
            ["received", "sent"]
                .into_iter()
                .zip(values(one))
                .map(|(direction, value)| {
                    let mut labels = labels(one);
                    labels.push(("direction", direction));
                    (labels, value)
                })
        })
    };
    families.counter(
        "messages",
        "Messages from clients, and for clients",
        None,
        both(|one| [one.received[0], one.sent[0]]),
    )?;
    families.counter(
        "message",
        "Bytes of these messages, as the plugin sees them",
        Some(&Unit::Bytes),
        both(|one| [one.received[1], one.sent[1]]),
    )?;
    families.counter(
        "compression_plain",
        "Bytes of messages that were compressed, as the plugin sees them",
        Some(&Unit::Bytes),
        both(|one| [one.inflated[1], one.deflated[0]]),
    )?;
    families.counter(
        "compression_compressed",
        "Bytes of the same messages on the wire",
        Some(&Unit::Bytes),
        both(|one| [one.inflated[0], one.deflated[1]]),
    )?;
    families.gauge(
        "queued",
        "Bytes that wait for clients to take them",
        Some(&Unit::Bytes),
        all.iter().map(|one| (labels(one), one.queued)),
    )
}

fn of_topics(
    families: &mut Families<'_, '_>,
    processes: &[Process],
    [published, delivered]: [u64; 2],
) -> fmt::Result {
    families.one(
        "topic_subscriptions",
        "Subscriptions to topics",
        None,
        processes.iter().map(|process| process.subscriptions).sum(),
    )?;
    let text = "Messages that were published to topics";
    families.total("topic_messages_published", text, published)?;
    let text = "Messages of topics that were queued for subscribers, once for each";
    families.total("topic_messages_delivered", text, delivered)
}

/// Without a broker all numbers are zero, and what is not known is left out.
fn of_broker(families: &mut Families<'_, '_>, broker: Option<Broker>) -> fmt::Result {
    let with_state = |state| vec![("state", state)];
    let is = |state| u64::from(broker.is_some_and(|broker| broker.word() == state));
    families.gauge(
        "broker_state",
        "1: whether messages of the broker of topics come to this host",
        None,
        ["connecting", "connected", "cut"]
            .into_iter()
            .map(|state| (with_state(state), is(state))),
    )?;
    if let Some(broker) = broker.filter(|broker| broker.since > 0) {
        let text = "Since when that is so";
        families.one(
            "broker_state_since",
            text,
            Some(&Unit::Seconds),
            broker.since,
        )?;
    }
    families.gauge(
        "broker_processes",
        "Processes that send messages to the broker, by whether they reach it",
        None,
        [
            ("connected", broker.map_or(0, |broker| broker.connected)),
            ("cut", broker.map_or(0, |broker| broker.cut)),
        ]
        .into_iter()
        .map(|(state, count)| (with_state(state), count)),
    )?;
    if let Some(behind) = broker.map_or(Some(0), |broker| broker.behind) {
        let text = "Messages that the broker had and this host had not got";
        families.one("broker_messages_behind", text, None, behind)?;
    }
    families.one(
        "broker_messages_waiting",
        "Messages of this host that the broker has not confirmed yet",
        None,
        broker.map_or(0, |broker| broker.waiting),
    )
}

fn labels(series: &Series) -> Vec<(&'static str, &str)> {
    vec![("location", &*series.location), ("plugin", &*series.plugin)]
}

/// Writes families of metrics.
struct Families<'a, 'b>(&'a mut DescriptorEncoder<'b>);

impl Families<'_, '_> {
    fn one(&mut self, name: &str, help: &str, unit: Option<&Unit>, value: u64) -> fmt::Result {
        let mut family = self.begin(name, help, unit, MetricType::Gauge)?;
        family.encode_gauge(&value)
    }

    fn gauge<'a>(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        samples: impl Iterator<Item = Sample<'a>>,
    ) -> fmt::Result {
        let mut family = self.begin(name, help, unit, MetricType::Gauge)?;
        for (labels, value) in samples {
            family.encode_family(&labels)?.encode_gauge(&value)?;
        }
        Ok(())
    }

    fn counter<'a>(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        samples: impl Iterator<Item = Sample<'a>>,
    ) -> fmt::Result {
        let mut family = self.begin(name, help, unit, MetricType::Counter)?;
        for (labels, value) in samples {
            let mut metric = family.encode_family(&labels)?;
            metric.encode_counter::<NoLabelSet, _, u64>(&value, None)?;
        }
        Ok(())
    }

    fn total(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        let mut family = self.begin(name, help, None, MetricType::Counter)?;
        family.encode_counter::<NoLabelSet, _, u64>(&value, None)
    }

    fn histogram<'a>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl Iterator<Item = (&'a Series, &'a Distribution)>,
    ) -> fmt::Result {
        let unit = Unit::Seconds;
        let mut family = self.begin(name, help, Some(&unit), MetricType::Histogram)?;
        for (series, distribution) in samples {
            let labels = labels(series);
            let (sum, count) = (distribution.sum().as_secs_f64(), distribution.count());
            let buckets = distribution.buckets();
            let mut metric = family.encode_family(&labels)?;
            metric.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)?;
        }
        Ok(())
    }

    fn begin<'s>(
        &'s mut self,
        name: &'s str,
        help: &str,
        unit: Option<&'s Unit>,
        kind: MetricType,
    ) -> Result<MetricEncoder<'s>, fmt::Error> {
        self.0.encode_descriptor(name, help, unit, kind)
    }
}
