//! A connection to a NATS server, which ends for good when it breaks.

use std::fmt::Display;
use std::future::Future;
use std::time::Duration;

use async_nats::client::RequestErrorKind;
use async_nats::{Client, ConnectOptions, Event};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use tokio::sync::watch;

use crate::topics::broker::credentials::Credentials;
use crate::topics::broker::link::{answer, answer_after};
use crate::topics::broker::settings::Settings;

/// The subjects of this module begin with this, those of answers, too.
pub(super) const PREFIX: &str = "websocket-topics";

/// So many messages may wait for the thread that reads them. If there are more, the connection is
/// given up: messages would be lost without a word.
const MOST_WAITING: usize = 1024;

/// The headers of a message take less than this, in bytes. They count as part of it.
const HEADERS: usize = 512;

/// See the module.
pub(super) struct Session {
    client: Client,
    /// Why the connection is of no more use.
    broken: watch::Receiver<Option<String>>,
}

impl Session {
    pub(super) async fn connect(settings: &Settings) -> Result<Self, String> {
        let (sender, broken) = watch::channel(None);
        let client = answer(options(settings, sender)?.connect(settings.address.to_string()));
        Ok(Self {
            client: client.await.map_err(|why| explain(&why))?,
            broken,
        })
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// The longest message that the server takes, in bytes.
    pub(super) fn longest(&self) -> usize {
        self.client.max_payload().saturating_sub(HEADERS)
    }

    /// Waits for an answer, and not for ever. The error says why there is none.
    pub(super) async fn answer<T, E: Display>(
        &self,
        asked: impl Future<Output = Result<T, E>>,
    ) -> Result<T, String> {
        self.answer_after(Duration::ZERO, asked).await
    }

    /// The same for an answer that may take its time.
    pub(super) async fn answer_after<T, E: Display>(
        &self,
        time: Duration,
        asked: impl Future<Output = Result<T, E>>,
    ) -> Result<T, String> {
        let mut broken = self.broken.clone();
        let answer = tokio::select! {
            biased;
            why = broken.wait_for(Option::is_some) => {
                Err(why.ok().and_then(|why| why.clone()).unwrap_or_default())
            }
            answer = answer_after(time, asked) => answer,
        };
        // The client may have connected again, which it tells only later. What it has subscribed to
        // has a gap then.
        if self
            .client
            .statistics()
            .connects
            .load(std::sync::atomic::Ordering::Relaxed)
            > 1
        {
            return Err("the connection was lost for a moment".into());
        }
        answer
    }

    /// Asks for a sign of life. The server has taken all that was sent before when it answers.
    pub(super) async fn ping(&self) -> Result<(), String> {
        let subject = format!("{PREFIX}.ping");
        let asked = async {
            match self.client.request(subject, Vec::new().into()).await {
                // The server says that nobody listens.
                Err(error) if error.kind() == RequestErrorKind::NoResponders => Ok(()),
                Err(error) => Err(error),
                Ok(_) => Ok(()),
            }
        };
        self.answer(asked).await
    }
}

fn options(
    settings: &Settings,
    broken: watch::Sender<Option<String>>,
) -> Result<ConnectOptions, String> {
    let mut options = ConnectOptions::new()
        .name("mod_websocket")
        .custom_inbox_prefix(format!("{PREFIX}.answers"))
        .ignore_discovered_servers()
        .subscription_capacity(MOST_WAITING)
        // Each request has a limit of its own.
        .request_timeout(None)
        // Once a connection is lost, the next is made by whoever has used it. Zero would stand for
        // any number.
        .max_reconnects(1)
        .event_callback(move |event| {
            note(&broken, &event);
            async {}
        });
    if let Some(credentials) = &settings.credentials {
        options = with_credentials(options, credentials)?;
    }
    if !settings.address.has_tls {
        return Ok(options);
    }
    // It fails if somebody has chosen one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let options = options.require_tls(true);
    Ok(match &settings.authorities {
        Some(pem) => options.tls_client_config(tls(pem)?),
        None => options,
    })
}

fn with_credentials(
    options: ConnectOptions,
    credentials: &Credentials,
) -> Result<ConnectOptions, String> {
    Ok(match credentials {
        Credentials::Password { user, password } => match user {
            Some(user) => options.user_and_password(user.to_string(), password.to_string()),
            None => options.token(password.to_string()),
        },
        Credentials::Seed(seed) => options.nkey(seed.to_string()),
        Credentials::Token(file) => {
            let used = options.credentials(file);
            used.map_err(|error| format!("its credentials (file:) cannot be used: {error}"))?
        }
    })
}

/// TLS that trusts these authorities only, which are in PEM.
fn tls(authorities: &[u8]) -> Result<ClientConfig, String> {
    let bad = |error: &dyn Display| format!("its certificates (ca:) cannot be used: {error}");
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(authorities) {
        let certificate = certificate.map_err(|error| bad(&error))?;
        roots.add(certificate).map_err(|error| bad(&error))?;
    }
    let config = ClientConfig::builder().with_root_certificates(roots);
    Ok(config.with_no_client_auth())
}

/// Keeps the first reason why a connection is of no more use.
fn note(broken: &watch::Sender<Option<String>>, event: &Event) {
    let why = match event {
        // The server ends later, and then the connection is lost.
        Event::Connected | Event::Draining | Event::LameDuckMode => return,
        Event::Disconnected => "the connection is lost".into(),
        Event::SlowConsumer(_) => "it sends more than this host can take".into(),
        event => event.to_string(),
    };
    broken.send_if_modified(|known| {
        let is_first = known.is_none();
        known.get_or_insert(why);
        is_first
    });
}

/// The text of an error of `async-nats` names its kind twice or more.
fn explain(why: &str) -> String {
    let mut parts: Vec<_> = why.split(": ").collect();
    parts.dedup();
    parts.join(": ")
}
