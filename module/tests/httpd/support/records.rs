//! A client that makes the records of TLS 1.2 itself, with any content and length.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use ring::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use rustls::pki_types::ServerName;
use rustls::version::TLS12;
use rustls::{CipherSuite, ClientConnection, ConnectionTrafficSecrets};
use xtask::httpd::Httpd;

use super::{Client, tls};

/// Content types (RFC 5246, section 6.2.1).
pub(crate) const ALERT: u8 = 21;
pub(crate) const HANDSHAKE: u8 = 22;
const DATA: u8 = 23;

/// The parts of a record before its encrypted bytes: content type, version, length.
const HEADER: usize = 5;
/// The part of the nonce that is sent (RFC 5288, section 3).
const EXPLICIT: usize = 8;
const TAG: usize = 16;
const VERSION: [u8; 2] = [3, 3];
const LONGEST: usize = 1 << 14;

/// A connection. [`Read`] and [`Write`] are for its data.
pub(crate) struct Records {
    pub(crate) socket: TcpStream,
    /// The number of bytes of all data records sent, and of all records received.
    pub(crate) sent: usize,
    pub(crate) received_in_all: usize,
    sealer: Direction,
    opener: Direction,
    /// Bytes that have been received but not decrypted yet.
    received: Vec<u8>,
    /// Data that has been decrypted but not read yet.
    data: Vec<u8>,
    /// All alerts received.
    pub(crate) alerts: Vec<Vec<u8>>,
}

struct Direction {
    key: LessSafeKey,
    salt: [u8; 4],
    sequence: u64,
}

impl Direction {
    fn new((sequence, secrets): (u64, ConnectionTrafficSecrets)) -> Result<Self> {
        let ConnectionTrafficSecrets::Aes128Gcm { key, iv } = secrets else {
            bail!("another cipher was negotiated");
        };
        let key = UnboundKey::new(&AES_128_GCM, key.as_ref());
        Ok(Self {
            key: LessSafeKey::new(key.ok().context("the key is too short")?),
            salt: iv.as_ref()[..4].try_into()?,
            sequence,
        })
    }

    /// The nonce with this explicit part, and the additional data that the record authenticates.
    fn next(&mut self, explicit: &[u8], kind: u8, length: usize) -> (Nonce, Aad<Vec<u8>>) {
        let mut nonce = [0; 12];
        nonce[..4].copy_from_slice(&self.salt);
        nonce[4..].copy_from_slice(explicit);
        let length = u16::try_from(length).expect("records are short");
        let aad = [
            &self.sequence.to_be_bytes()[..],
            &[kind],
            &VERSION,
            &length.to_be_bytes(),
        ];
        self.sequence += 1;
        (Nonce::assume_unique_for_key(nonce), Aad::from(aad.concat()))
    }
}

impl Client<Records> {
    /// Connects without sending any application data.
    pub(crate) fn connect_records(httpd: &Httpd) -> Result<Self> {
        let address = httpd.tls_address().expect("the server serves TLS");
        let mut socket = Client::connect(address)?.stream;
        let mut config = tls::config_with(&httpd.root().certificate(), &[&TLS12], |suite| {
            matches!(
                suite,
                CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
                    | CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
            )
        })?;
        config.enable_secret_extraction = true;
        let name = ServerName::try_from("localhost")?;
        let mut handshake = ClientConnection::new(Arc::new(config), name)?;
        handshake.complete_io(&mut socket)?;
        let secrets = handshake.dangerous_extract_secrets()?;
        Ok(Self::over(Records {
            socket,
            sent: 0,
            received_in_all: 0,
            sealer: Direction::new(secrets.tx)?,
            opener: Direction::new(secrets.rx)?,
            received: Vec::new(),
            data: Vec::new(),
            alerts: Vec::new(),
        }))
    }
}

impl Records {
    /// Makes a record. It must be sent before the next one.
    pub(crate) fn seal(&mut self, kind: u8, payload: &[u8]) -> Vec<u8> {
        let explicit = self.sealer.sequence.to_be_bytes();
        let (nonce, aad) = self.sealer.next(&explicit, kind, payload.len());
        let mut sealed = payload.to_vec();
        let result = self
            .sealer
            .key
            .seal_in_place_append_tag(nonce, aad, &mut sealed);
        result.expect("records are short");
        let length = u16::try_from(EXPLICIT + sealed.len()).expect("records are short");
        [
            &[kind][..],
            &VERSION,
            &length.to_be_bytes(),
            &explicit,
            &sealed,
        ]
        .concat()
    }

    /// Makes records of this many bytes each from the data.
    pub(crate) fn seal_data(&mut self, data: &[u8], size: usize) -> Vec<u8> {
        data.chunks(size)
            .flat_map(|piece| self.seal(DATA, piece))
            .collect()
    }

    /// The type and the content of the next record, or `None` if it is incomplete.
    fn open(&mut self) -> Option<std::io::Result<(u8, Vec<u8>)>> {
        let length = u16::from_be_bytes(self.received.get(3..HEADER)?.try_into().ok()?);
        let end = HEADER + usize::from(length);
        let sealed = self.received.get(HEADER..end)?.to_vec();
        let kind = self.received[0];
        self.received.drain(..end);
        let (explicit, sealed) = sealed.split_at(EXPLICIT);
        let (nonce, aad) = self.opener.next(explicit, kind, sealed.len() - TAG);
        let mut opened = sealed.to_vec();
        let result = self.opener.key.open_in_place(nonce, aad, &mut opened);
        Some(match result {
            Ok(content) => Ok((kind, content.to_vec())),
            Err(_) => Err(ErrorKind::InvalidData.into()),
        })
    }
}

impl Read for Records {
    /// Keeps alerts, and skips other records that are not data.
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        while self.data.is_empty() {
            if let Some(record) = self.open() {
                let (kind, content) = record?;
                match kind {
                    DATA => self.data = content,
                    ALERT => self.alerts.push(content),
                    _ => {}
                }
                continue;
            }
            let mut bytes = [0; 1 << 16];
            let read = self.socket.read(&mut bytes)?;
            if read == 0 {
                return Ok(0);
            }
            self.received_in_all += read;
            self.received.extend_from_slice(&bytes[..read]);
        }
        let length = buffer.len().min(self.data.len());
        buffer[..length].copy_from_slice(&self.data[..length]);
        self.data.drain(..length);
        Ok(length)
    }
}

impl Write for Records {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let piece = &bytes[..bytes.len().min(LONGEST)];
        let record = self.seal(DATA, piece);
        self.socket.write_all(&record)?;
        self.sent += record.len();
        Ok(piece.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
