//! The servers that send by topics.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context as _, Result};
use xtask::broker::{Broker, Kind};
use xtask::workspace::Profile;

use super::PLUGINS;
use super::{Contender, Field, Served, Setup};

/// Everybody takes one topic.
const ONE_TOPIC: &str = "fanout_topics_init";
/// There are many topics, and each connection takes some of them.
const MANY_TOPICS: &str = "fanout_many_init";
/// A connection takes topics when it is told to.
const ON_DEMAND: &str = "fanout_subscribe_init";

/// Has histories, too.
const HISTORY: &str = "WebSocketTopicHistory ** 100";

/// So many children share the work.
const CHILDREN: u32 = 4;

/// Servers for what only topics can do.
pub(crate) struct TopicField {
    field: Field,
    /// By broker, two hosts.
    hosts: Vec<Hosts>,
    /// They end after the hosts.
    _brokers: Vec<Broker>,
}

/// Two hosts with a broker.
#[derive(Clone, Copy)]
pub(crate) struct Hosts {
    /// The name of the broker.
    pub(crate) name: &'static str,
    /// Where the first of them is among the contenders.
    first: usize,
}

impl Field {
    /// Our module with topics, with a history, and with several children.
    pub(super) fn start_topics(
        &mut self,
        setup: &Setup<'_>,
        ours: &Served<'_>,
        plugin: &Path,
    ) -> Result<()> {
        let with_history = format!("{}\n{HISTORY}", setup.config);
        for (name, directives, processes) in [
            ("topics", &setup.config, 1),
            ("topics, history", &with_history, 1),
            ("topics, 4 children", &setup.config, CHILDREN),
        ] {
            let served = Served {
                name,
                plugin,
                init: ONE_TOPIC,
                directives,
                processes,
                ..*ours
            };
            self.start_httpd(setup, &served)?;
        }
        Ok(())
    }
}

impl TopicField {
    /// Builds and starts everything.
    ///
    /// # Errors
    /// A build fails, or a server does not start.
    pub(crate) fn start(setup: &Setup<'_>) -> Result<Self> {
        let module = setup.workspace.build_module(Profile::Release)?;
        let plugins = Path::new(PLUGINS);
        let plugin = setup.workspace.build_library(plugins, Profile::Release)?;
        let many = Served {
            name: "1,000 topics x 10 takers",
            counterpart: None,
            folder: "httpd-topics",
            module: &module,
            plugin: &plugin,
            init: MANY_TOPICS,
            directives: &setup.config,
            processes: 1,
            cores: None,
            compression: None,
        };
        let mut field = Field::default();
        field.start_httpd(setup, &many)?;
        let on_demand = Served {
            name: "subscriptions",
            init: ON_DEMAND,
            ..many
        };
        field.start_httpd(setup, &on_demand)?;
        let (mut hosts, mut brokers) = (Vec::new(), Vec::new());
        for (name, kind) in [("Redis", Kind::Redis), ("NATS with JetStream", Kind::Nats)] {
            let broker = setup.cores.on_servers(|| Broker::start(kind, &[]))?;
            let broker = broker.with_context(|| format!("{} is not installed", kind.program()))?;
            let first = field.contenders.len();
            let broker_line = format!("WebSocketTopicBroker {}", broker.address());
            let directives = format!("{}\n{HISTORY}\n{broker_line}", setup.config);
            let host = Served {
                name,
                init: ONE_TOPIC,
                directives: &directives,
                ..many
            };
            field.start_httpd(setup, &host)?;
            field.start_httpd(setup, &host)?;
            hosts.push(Hosts { name, first });
            brokers.push(broker);
        }
        Ok(Self {
            field,
            hosts,
            _brokers: brokers,
        })
    }

    /// The one with many topics, of which each connection takes some.
    pub(crate) fn many(&self) -> Result<&Contender> {
        self.contender(0)
    }

    /// The one whose connections take topics when they are told to.
    pub(crate) fn on_demand(&self) -> Result<&Contender> {
        self.contender(1)
    }

    /// Pairs of hosts, each with another broker.
    pub(crate) fn hosts(&self) -> &[Hosts] {
        &self.hosts
    }

    /// The first of two hosts, and the address of the other.
    pub(crate) fn pair(&self, hosts: Hosts) -> Result<(&Contender, SocketAddr)> {
        let other = self.contender(hosts.first + 1)?.address;
        Ok((self.contender(hosts.first)?, other))
    }

    fn contender(&self, place: usize) -> Result<&Contender> {
        let contender = self.field.contenders.get(place);
        contender.context("a server is not there")
    }
}
