//! OpenSSL's own client, for what rustls does not support: handshakes inside a connection.

use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result};
use xtask::httpd::Httpd;

use super::{Client, PATIENCE};

/// A process `openssl s_client`, and the bytes inside TLS as a stream. Dropping it ends the
/// process.
///
/// The bytes sent must not begin with one of its commands, such as capital letters.
pub(crate) struct Openssl {
    process: Child,
    stream: UnixStream,
}

impl Client<Openssl> {
    /// Connects with additional `options` of `openssl s_client`, without sending anything.
    pub(crate) fn connect_openssl(httpd: &Httpd, options: &[&str]) -> Result<Self> {
        let address = httpd.tls_address().expect("the server serves TLS");
        let (stream, other_end) = UnixStream::pair()?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let process = Command::new("openssl")
            .args(["s_client", "-brief", "-connect", &address.to_string()])
            .args(["-verify_return_error", "-CAfile"])
            .arg(httpd.root().certificate())
            .args(options)
            .stdin(Stdio::from(OwnedFd::from(other_end.try_clone()?)))
            .stdout(Stdio::from(OwnedFd::from(other_end)))
            .stderr(Stdio::null())
            .spawn()
            .context("cannot run openssl: `cargo xtask setup` installs it")?;
        Ok(Self::over(Openssl { process, stream }))
    }

    /// Asks the server for another handshake. The server must have answered all earlier messages,
    /// because OpenSSL recognizes a command only at the start of a read.
    pub(crate) fn renegotiate(&mut self) -> Result<()> {
        self.send("R\n")
    }
}

impl Read for Openssl {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.stream.read(buffer)
    }
}

impl Write for Openssl {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.stream.flush()
    }
}

impl Drop for Openssl {
    fn drop(&mut self) {
        // The process may have ended by itself. No other error is possible for a child process.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
