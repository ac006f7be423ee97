//! Three httpds that share their topics through a Redis, as three hosts would: what `cargo xtask
//! cluster` serves.

use std::sync::Arc;

use anyhow::Result;

use crate::broker::{Broker, Kind};
use crate::httpd::Httpd;
use crate::link::Link;
use crate::server_root::ServerRoot;

/// How many there are.
pub const HOSTS: usize = 3;

/// The running servers, which end when this is dropped. Only the last one can be cut off from the
/// Redis.
#[derive(Debug)]
pub struct Cluster {
    // Fields are dropped in this order.
    hosts: Vec<Httpd>,
    link: Arc<Link>,
    redis: Broker,
}

impl Cluster {
    /// Starts httpd in each of these server roots, which have the module and its plugins, and a
    /// Redis. `None`: no Redis is installed.
    ///
    /// # Errors
    /// One of them does not start.
    pub fn start(roots: [ServerRoot; HOSTS]) -> Result<Option<Self>> {
        let Some(redis) = Broker::start(Kind::Redis, &[])? else {
            return Ok(None);
        };
        let link = Arc::new(Link::to(redis.port())?);
        let hosts = roots.into_iter().enumerate().map(|(place, root)| {
            let is_last = place + 1 == HOSTS;
            let port = if is_last { link.port() } else { redis.port() };
            root.config(configuration(port)).start()
        });
        let hosts = hosts.collect::<Result<_>>()?;
        Ok(Some(Self { hosts, link, redis }))
    }

    /// The servers.
    #[must_use]
    pub fn hosts(&self) -> &[Httpd] {
        &self.hosts
    }

    /// The port of the Redis.
    #[must_use]
    pub fn redis_port(&self) -> u16 {
        self.redis.port()
    }

    /// Whether all of them run.
    pub fn is_running(&mut self) -> bool {
        self.redis.is_running() && self.hosts.iter().all(Httpd::is_running)
    }

    /// What the last server reaches the Redis by.
    #[must_use]
    pub fn link(&self) -> Arc<Link> {
        Arc::clone(&self.link)
    }
}

/// The lines of `httpd.conf` for a Redis on this port. Whoever is cut off goes on by itself.
fn configuration(port: u16) -> String {
    format!(
        "<IfModule mod_websocket.c>\n    \
         WebSocketTopicBroker redis://127.0.0.1:{port}\n    \
         WebSocketTopicPartition Local\n    \
         <Location \"/websocket-status\">\n        SetHandler websocket-status\n    </Location>\n\
         </IfModule>"
    )
}
