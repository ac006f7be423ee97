//! Redis as a broker: one stream has the messages of all topics, in order.
//!
//! `docs/src/brokers.md` describes what is stored there.

use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ErrorKind, IntoConnectionInfo as _,
    RedisConnectionInfo, RedisError, ServerErrorKind, TlsCertificates, Value,
};
use sha1::{Digest as _, Sha1};

use super::credentials::Credentials;
use super::link::{Batch, Entry, MOST_READ, SILENCE, answer, answer_after, how_many};
use super::settings::Settings;
use crate::topics::epoch;
use crate::topics::log::Counted;
use crate::topics::random::random;
use websocket_plugin::Position;

/// All keys begin with this. A cluster keeps those with the same text in braces in one place.
const PREFIX: &str = "{websocket-topics}:";

/// What counts a topic's messages is forgotten so many seconds after the last: a week. The next
/// message begins a new epoch.
const TOPIC_SECONDS: u32 = 7 * 24 * 3600;

/// For so many seconds the broker knows what it has got from a child, and takes nothing twice.
const PUBLISHER_SECONDS: u32 = 24 * 3600;

/// Adds messages, and skips those that it has already. The keys are the stream, what counts its
/// messages, what is known of the publisher, and for each message what counts those of its topic,
/// or the stream if it has no history.
const PUBLISH: &str = r"
local keep, number, epoch = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local last = tonumber(redis.call('GET', KEYS[3]) or '0')
for i = 6, #ARGV do
  if number > last then
    local topic, offset, of = KEYS[i - 2], 0, '0'
    if topic ~= KEYS[1] then
      redis.call('HSETNX', topic, 'epoch', epoch)
      of = redis.call('HGET', topic, 'epoch')
      offset = redis.call('HINCRBY', topic, 'offset', 1)
      redis.call('EXPIRE', topic, ARGV[4])
    end
    local count = redis.call('INCR', KEYS[2])
    redis.call('XADD', KEYS[1], 'MAXLEN', '~', keep, '*',
               'n', count, 'e', of, 'o', offset, 'm', ARGV[i])
    redis.call('SET', KEYS[3], number, 'EX', ARGV[5])
  end
  number = number + 1
end
return 0";

/// A connection to Redis.
pub(super) struct Redis {
    connection: MultiplexedConnection,
    /// How many messages to read the next time.
    most: usize,
}

impl Redis {
    pub(super) async fn connect(settings: &Settings) -> Result<Self, String> {
        let client = client(settings).map_err(|error| error.to_string())?;
        // Each request has a limit of its own.
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(None)
            .set_response_timeout(None);
        let connecting = client.get_multiplexed_async_connection_with_config(&config);
        let mut connection = answer(connecting).await?;
        answer(redis::cmd("PING").query_async::<Value>(&mut connection)).await?;
        Ok(Self {
            connection,
            most: MOST_READ / 16,
        })
    }

    /// Asks for a sign of life.
    pub(super) async fn ping(&mut self) -> Result<(), String> {
        answer(redis::cmd("PING").query_async::<Value>(&mut self.connection)).await?;
        Ok(())
    }

    /// Adds messages.
    pub(super) async fn publish(
        &mut self,
        batch: &Batch<'_>,
        settings: &Settings,
    ) -> Result<(), String> {
        let Batch {
            messages,
            publisher,
            first,
            ..
        } = *batch;
        let digest = hex(&Sha1::digest(PUBLISH));
        let request = |command: &str, script: &str| {
            let mut request = redis::cmd(command);
            let stream = key("stream");
            request.arg(script).arg(messages.len() + 3);
            request.arg(&stream).arg(key("sequence"));
            request.arg(key(&format!("publisher:{publisher}")));
            for message in messages {
                match &message.counter {
                    Some(counter) => request.arg(key(&format!("topic:{counter}"))),
                    None => request.arg(&stream),
                };
            }
            request.arg(settings.keep).arg(first).arg(new_epoch());
            request.arg(TOPIC_SECONDS).arg(PUBLISHER_SECONDS);
            for message in messages {
                request.arg(&message.bytes);
            }
            request
        };
        let connection = &mut self.connection;
        let publish = async move {
            let known = request("EVALSHA", &digest);
            match known.query_async::<Value>(connection).await {
                Err(error) if is_unknown_script(&error) => {
                    let new = request("EVAL", PUBLISH);
                    new.query_async::<Value>(connection).await
                }
                answer => answer,
            }
        };
        answer(publish).await?;
        Ok(())
    }

    /// The number of the newest message, if there is one.
    pub(super) async fn newest(&mut self) -> Result<Option<u64>, String> {
        let mut request = redis::cmd("XREVRANGE");
        request.arg(key("stream")).arg("+").arg("-");
        request.arg("COUNT").arg(1);
        let found: Vec<Raw> = answer(request.query_async(&mut self.connection)).await?;
        let newest = found.into_iter().next();
        newest
            .map(|raw| parse(raw).map(|entry| entry.number))
            .transpose()
    }

    /// The messages after this place. Waits for the first, but not for ever, if `waits`.
    pub(super) async fn read(&mut self, after: &str, waits: bool) -> Result<Vec<Entry>, String> {
        let mut request = redis::cmd("XREAD");
        request.arg("COUNT").arg(self.most);
        if waits {
            // Zero would mean for ever.
            request
                .arg("BLOCK")
                .arg(SILENCE.as_millis().max(1).to_string());
        }
        let after = if after.is_empty() { "0-0" } else { after };
        request.arg("STREAMS").arg(key("stream")).arg(after);
        let read = self.read_streams(&request).await?;
        let streams = read.unwrap_or_default().into_iter();
        let entries = streams.flat_map(|(_, entries)| entries).map(parse);
        let entries = entries.collect::<Result<Vec<_>, _>>()?;
        if !entries.is_empty() {
            self.most = how_many(&entries);
        }
        Ok(entries)
    }

    async fn read_streams(
        &mut self,
        request: &Cmd,
    ) -> Result<Option<Vec<(String, Vec<Raw>)>>, String> {
        answer_after(SILENCE, request.query_async(&mut self.connection)).await
    }
}

/// An entry of a stream: its id, and names and values in turn.
type Raw = (String, Vec<Vec<u8>>);

fn parse((id, fields): Raw) -> Result<Entry, String> {
    let field = |name: &[u8]| {
        let mut pairs = fields.chunks_exact(2);
        pairs.find(|pair| pair[0] == name).map(|pair| &pair[1][..])
    };
    let number = |name: &[u8], radix| {
        let text = field(name).and_then(|text| str::from_utf8(text).ok());
        text.and_then(|text| u64::from_str_radix(text, radix).ok())
    };
    let at = id.split('-').next().and_then(|at| at.parse().ok());
    let entry = (|| {
        let position = Position {
            epoch: number(b"e", 16)?,
            offset: number(b"o", 10)?,
        };
        Some(Entry {
            number: number(b"n", 10)?,
            at: at?,
            counted: match position.offset {
                0 => Counted::Nowhere,
                _ => Counted::There(position),
            },
            bytes: field(b"m")?.to_vec(),
            place: id.as_str().into(),
        })
    })();
    entry.ok_or_else(|| format!("entry {id} of the stream is not one of mod_websocket"))
}

fn client(settings: &Settings) -> redis::RedisResult<Client> {
    let address = &settings.address;
    let host = address.host.to_string();
    let place = if address.has_tls {
        ConnectionAddr::TcpTls {
            host,
            port: address.port,
            insecure: false,
            tls_params: None,
        }
    } else {
        ConnectionAddr::Tcp(host, address.port)
    };
    let mut user = RedisConnectionInfo::default()
        .set_db(address.database.into())
        .set_skip_set_lib_name();
    if let Some(Credentials::Password {
        user: name,
        password,
    }) = &settings.credentials
    {
        user = user.set_password(password);
        if let Some(name) = name {
            user = user.set_username(name);
        }
    }
    let info = place.into_connection_info()?.set_redis_settings(user);
    if !address.has_tls {
        return Client::open(info);
    }
    // It fails if somebody has chosen one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let certificates = TlsCertificates {
        client_tls: None,
        root_cert: settings.authorities.clone(),
    };
    Client::build_with_tls(info, certificates)
}

fn is_unknown_script(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::NoScript)
}

fn key(name: &str) -> String {
    format!("{PREFIX}{name}")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What a topic's epoch is if its messages were not counted before, in hexadecimal digits.
fn new_epoch() -> String {
    format!("{:x}", epoch::of_broker(random()))
}

#[cfg(test)]
mod tests {
    use super::{Counted, Position, parse};

    fn fields(pairs: &[(&str, &str)]) -> Vec<Vec<u8>> {
        let words = pairs.iter().flat_map(|(name, value)| [name, value]);
        words.map(|word| word.as_bytes().to_vec()).collect()
    }

    #[test]
    fn an_entry_is_read_in_whatever_order_its_fields_are() {
        let pairs = [("m", "x"), ("o", "7"), ("e", "ff"), ("n", "3")];
        let entry = parse(("1700-2".into(), fields(&pairs))).unwrap();
        assert_eq!((entry.number, entry.at, &*entry.place), (3, 1700, "1700-2"));
        let position = Position {
            epoch: 255,
            offset: 7,
        };
        assert_eq!(
            (entry.counted, &entry.bytes[..]),
            (Counted::There(position), &b"x"[..])
        );
        let pairs = [("n", "3"), ("e", "0"), ("o", "0"), ("m", "")];
        assert_eq!(
            parse(("1-0".into(), fields(&pairs))).unwrap().counted,
            Counted::Nowhere
        );
    }

    #[test]
    fn what_others_have_put_into_the_stream_is_an_error() {
        for pairs in [
            &[][..],
            &[("n", "1"), ("e", "0"), ("o", "0")],
            &[("n", "x"), ("e", "0"), ("o", "0"), ("m", "")],
            &[("n", "1"), ("e", "g"), ("o", "1"), ("m", "")],
        ] {
            let message = parse(("1-0".into(), fields(pairs))).unwrap_err();
            assert!(message.contains("entry 1-0"));
        }
        let odd = parse(("x".into(), vec![b"n".to_vec()]));
        assert!(odd.is_err());
    }
}
