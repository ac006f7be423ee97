//! The server that the plugin asks, which is the test.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};

use anyhow::{Context as _, Result, ensure};

use crate::support::{PATIENCE, wait_until};

/// The server that the plugin asks.
pub(super) struct Backend(TcpListener);

/// A question that has not been answered.
pub(super) struct Question {
    pub(super) text: String,
    stream: BufReader<TcpStream>,
}

impl Backend {
    pub(super) fn new() -> Result<Self> {
        Ok(Self(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?))
    }

    pub(super) fn port(&self) -> Result<u16> {
        Ok(self.0.local_addr()?.port())
    }

    /// The next question, for which this waits.
    pub(super) fn question(&self) -> Result<Question> {
        let mut question = None;
        self.0.set_nonblocking(true)?;
        wait_until("a question", || match self.0.accept() {
            Ok((stream, _)) => {
                question = Some(stream);
                Ok(true)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error.into()),
        })?;
        let stream = question.expect("just set");
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut stream = BufReader::new(stream);
        let mut text = String::new();
        stream.read_line(&mut text)?;
        let text = text.trim_end().to_owned();
        Ok(Question { text, stream })
    }

    /// Whether nobody asks at the moment.
    pub(super) fn is_idle(&self) -> Result<bool> {
        self.0.set_nonblocking(true)?;
        match self.0.accept() {
            Ok(_) => Ok(false),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(true),
            Err(error) => Err(error.into()),
        }
    }
}

impl Question {
    pub(super) fn answer(mut self, answer: &str) -> Result<()> {
        Ok(writeln!(self.stream.get_mut(), "{answer}")?)
    }

    /// Waits until the asker has given up.
    pub(super) fn expect_cancelled(mut self) -> Result<()> {
        let mut rest = Vec::new();
        match self.stream.read_to_end(&mut rest) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
            Err(error) => return Err(error).context("it still waits for the answer"),
        }
        ensure!(rest.is_empty(), "it said {rest:?}");
        Ok(())
    }
}
