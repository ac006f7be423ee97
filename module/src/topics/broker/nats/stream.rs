//! A NATS server with JetStream: a stream has the messages of all topics, in order.

use std::pin::Pin;
use std::time::Duration;

use async_nats::client::RequestErrorKind;
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, PullConsumer, pull};
use async_nats::jetstream::context::{Context, GetStreamErrorKind};
use async_nats::jetstream::stream::{Config, Info, RawMessageErrorKind};
use async_nats::jetstream::{self, ErrorCode, Message};
use async_nats::{StatusCode, Subject, Subscriber};
use futures_util::{FutureExt as _, StreamExt as _};
use serde_json::Value;
use websocket_plugin::Position;

use super::headers::{Id, all_subjects};
use super::session::Session;
use crate::topics::broker::link::{Entry, MOST_READ, SILENCE, how_many};
use crate::topics::epoch;
use crate::topics::log::Counted;
use crate::topics::outbox::Sending;

/// Asks for what JetStream knows of this user.
const ACCOUNT: &str = "$JS.API.INFO";

/// The name of the stream.
const NAME: &str = "websocket-topics";

/// For so long the server knows what it has got, and stores nothing twice, if nobody has set
/// anything else for the stream. It keeps the names of that in memory.
const WINDOW: Duration = Duration::from_secs(120);

/// The server forgets a consumer that has asked for nothing for so long.
const CONSUMER_LIFE: Duration = Duration::from_secs(30);

/// See the module.
pub(super) struct Stream {
    context: Context,
    /// The time when the stream was made, in microseconds since 1970. A message's number is this
    /// and its sequence number. So all that comes from a new stream has greater numbers than what
    /// came from the one before, and does not follow it.
    base: u64,
    /// For so long the server knows what it has got.
    window: Duration,
    /// The sequence number of the newest message, when somebody last asked.
    newest: u64,
    reading: Option<Reading>,
    /// So many messages are asked for at a time.
    most: usize,
}

/// What brings messages.
struct Reading {
    consumer: PullConsumer,
    inbox: Subject,
    messages: Subscriber,
    /// It was read up to here.
    place: Box<str>,
    /// So many messages may still come, as they were asked for.
    expected: usize,
    /// So many messages are in the stream behind the last that has come.
    pending: u64,
}

impl Stream {
    /// The stream, which is made if it is not there. `None`: the server has no JetStream.
    pub(super) async fn open(session: &Session, keep: u32) -> Result<Option<Self>, String> {
        let context = jetstream::new(session.client().clone());
        if !has_jetstream(session).await? {
            return Ok(None);
        }
        let info = session.answer(find(&context, keep)).await?;
        let base = u64::try_from(info.created.unix_timestamp_nanos() / 1000).unwrap_or(0);
        Ok(Some(Self {
            context,
            base,
            window: info.config.duplicate_window,
            newest: info.state.last_sequence,
            reading: None,
            most: MOST_READ / 16,
        }))
    }

    /// Adds messages, and waits until they are stored. Those that are sent again `after` some time
    /// are left out if they were stored before.
    pub(super) async fn publish(
        &self,
        session: &Session,
        publisher: &str,
        messages: impl Iterator<Item = (Id<'_>, &Sending)>,
        after: Duration,
    ) -> Result<(), String> {
        // Before that, the server knows by itself, and knows of each message.
        let stored = match after > self.window / 2 {
            true => session.answer(self.last_of(publisher)).await?,
            false => 0,
        };
        let publish = async {
            let mut confirmations = Vec::new();
            for (id, message) in messages.filter(|(id, _)| id.number > stored) {
                let payload = message.bytes.clone().into();
                let headers = id.headers_for(NAME);
                let publish = self
                    .context
                    .publish_with_headers(id.subject(), headers, payload);
                confirmations.push(publish.await?);
            }
            for confirmation in confirmations {
                confirmation.await?;
            }
            Ok::<_, jetstream::context::PublishError>(())
        };
        session.answer(publish).await
    }

    /// The number of the last message of a publisher that is stored; zero if there is none.
    async fn last_of(&self, publisher: &str) -> Result<u64, String> {
        let stream = self.context.get_stream_no_info(NAME).await;
        let stream = stream.map_err(|error| error.to_string())?;
        let subject = Id {
            publisher,
            number: 0,
        }
        .subject();
        match stream.get_last_raw_message_by_subject(&subject).await {
            Ok(message) => Ok(Id::of(&message.headers).map_or(0, |id| id.number)),
            Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => Ok(0),
            Err(error) => Err(error.to_string()),
        }
    }

    /// The number of the newest message, if there is one.
    pub(super) async fn newest(&mut self, session: &Session) -> Result<Option<u64>, String> {
        let info = async {
            let stream = self.context.get_stream(NAME).await;
            stream.map(|stream| stream.cached_info().clone())
        };
        let info = session.answer(info).await?;
        self.newest = info.state.last_sequence;
        let number = self.base + self.newest;
        Ok((info.state.messages > 0).then_some(number))
    }

    /// The messages after this place. Waits for the first, but not for ever, if `waits`.
    pub(super) async fn read(
        &mut self,
        session: &Session,
        after: &str,
        waits: bool,
    ) -> Result<Vec<Entry>, String> {
        let mut reading = match self.reading.take() {
            Some(reading) if *reading.place == *after => reading,
            _ => session.answer(self.begin(session, after)).await?,
        };
        let mut entries = Vec::new();
        if waits || reading.pending > 0 {
            self.fetch(session, &mut reading, &mut entries).await?;
        }
        if let Some(last) = entries.last() {
            reading.place = last.place.clone();
            self.most = how_many(&entries);
        }
        self.reading = Some(reading);
        Ok(entries)
    }

    /// Begins to read after a place.
    async fn begin(&self, session: &Session, after: &str) -> Result<Reading, String> {
        let after_sequence = after.parse().unwrap_or(0_u64).checked_sub(self.base);
        let deliver_policy = match after_sequence {
            Some(sequence) if (1..=self.newest).contains(&sequence) => {
                DeliverPolicy::ByStartSequence {
                    start_sequence: sequence + 1,
                }
            }
            // A place in another stream, or in one that has lost messages: numbers show it.
            _ => DeliverPolicy::All,
        };
        let config = pull::Config {
            deliver_policy,
            ack_policy: AckPolicy::None,
            inactive_threshold: CONSUMER_LIFE,
            memory_storage: true,
            num_replicas: 1,
            ..pull::Config::default()
        };
        let consumer = self.context.create_consumer_on_stream(config, NAME).await;
        let consumer = consumer.map_err(|error| error.to_string())?;
        let inbox = Subject::from(session.client().new_inbox());
        let messages = session.client().subscribe(inbox.clone()).await;
        Ok(Reading {
            pending: consumer.cached_info().num_pending,
            consumer,
            inbox,
            messages: messages.map_err(|error| error.to_string())?,
            place: after.into(),
            expected: 0,
        })
    }

    /// Adds the messages that have come to `entries`, or waits for some.
    async fn fetch(
        &self,
        session: &Session,
        reading: &mut Reading,
        entries: &mut Vec<Entry>,
    ) -> Result<(), String> {
        if reading.expected == 0 {
            let batch = pull::BatchConfig {
                batch: self.most,
                expires: Some(SILENCE),
                ..pull::BatchConfig::default()
            };
            let request = reading.consumer.request_batch(batch, reading.inbox.clone());
            session.answer(request).await?;
            reading.expected = self.most;
        }
        let next = async {
            reading
                .messages
                .next()
                .await
                .ok_or("the connection is lost")
        };
        let mut next = Some(session.answer_after(SILENCE, next).await?);
        while let Some(message) = next {
            match message.status {
                None | Some(StatusCode::OK) => {
                    let message = Message {
                        message,
                        context: self.context.clone(),
                    };
                    entries.push(self.entry(&message, &mut reading.pending)?);
                    reading.expected = reading.expected.saturating_sub(1);
                }
                // There is nothing, or nothing more.
                Some(StatusCode::NOT_FOUND | StatusCode::TIMEOUT) => reading.expected = 0,
                Some(status) => {
                    let why = message.description.unwrap_or_default();
                    return Err(format!("it sends no more messages: {status} {why}"));
                }
            }
            if reading.expected == 0 {
                break;
            }
            next = Pin::new(&mut reading.messages)
                .next()
                .now_or_never()
                .flatten();
        }
        Ok(())
    }

    fn entry(&self, message: &Message, pending: &mut u64) -> Result<Entry, String> {
        let info = message.info().map_err(|error| error.to_string())?;
        *pending = info.pending;
        let number = self.base + info.stream_sequence;
        let at = info.published.unix_timestamp_nanos() / 1_000_000;
        Ok(Entry {
            place: number.to_string().into(),
            number,
            at: u64::try_from(at).unwrap_or(0),
            counted: Counted::There(Position {
                epoch: epoch::of_broker(self.base),
                offset: info.stream_sequence,
            }),
            bytes: message.payload.to_vec(),
        })
    }
}

/// Asks for what is known of the account. Its form depends on the version of the server; only an
/// error tells something.
async fn has_jetstream(session: &Session) -> Result<bool, String> {
    let asked = async {
        match session.client().request(ACCOUNT, Vec::new().into()).await {
            Ok(answer) => Ok(Some(answer)),
            Err(error) if error.kind() == RequestErrorKind::NoResponders => Ok(None),
            Err(error) => Err(error),
        }
    };
    let Some(answer) = session.answer(asked).await? else {
        return Ok(false);
    };
    let error = serde_json::from_slice::<Value>(&answer.payload).ok();
    let code = error.and_then(|answer| answer["error"]["err_code"].as_u64());
    let switched_off = [
        ErrorCode::JETSTREAM_NOT_ENABLED,
        ErrorCode::JETSTREAM_NOT_ENABLED_FOR_ACCOUNT,
    ];
    Ok(code.is_none_or(|code| !switched_off.contains(&ErrorCode(code))))
}

/// The stream, which is made if it is not there, and keeps so many messages.
async fn find(context: &Context, keep: u32) -> Result<Info, String> {
    let found = match context.get_stream(NAME).await {
        Err(error) if is_not_found(&error.kind()) => {
            // Another host may have been faster. Then there is an error if it keeps fewer or more.
            let _ = context.create_stream(config(keep)).await;
            context.get_stream(NAME).await
        }
        found => found,
    };
    let found = found.map_err(|error| error.to_string())?;
    let info = found.cached_info().clone();
    if info.config.max_messages != i64::from(keep) {
        let config = Config {
            max_messages: keep.into(),
            ..info.config.clone()
        };
        // Whoever may not change it works with what is there.
        let _ = context.update_stream(config).await;
    }
    Ok(info)
}

fn is_not_found(kind: &GetStreamErrorKind) -> bool {
    matches!(kind, GetStreamErrorKind::JetStream(why)
        if why.error_code() == ErrorCode::STREAM_NOT_FOUND)
}

fn config(keep: u32) -> Config {
    Config {
        name: NAME.into(),
        description: Some("messages to the topics of mod_websocket".into()),
        subjects: vec![all_subjects()],
        max_messages: keep.into(),
        duplicate_window: WINDOW,
        num_replicas: 1,
        ..Config::default()
    }
}
