//! Gives TLS to a client that does not support it.

use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Stdio};

use anyhow::{Context, Result};

use super::Client;
use crate::httpd::Httpd;

/// Forwards connections to a server's TLS port until it is dropped.
#[derive(Debug)]
pub(super) struct Tunnel {
    process: Child,
    port: u16,
}

impl Tunnel {
    pub(super) fn start(client: &Client, httpd: &Httpd) -> Result<Self> {
        let to = httpd.tls_address().context("the server has no TLS")?;
        let mut process = client
            .python()
            .args(["-c", include_str!("tunnel.py"), &to.port().to_string()])
            .arg(httpd.root().certificate())
            // The tunnel reads its standard input to the end, so it ends when this process does,
            // however that happens.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = process.stdout.take().context("no standard output")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let port = line.trim().parse();
        Ok(Self {
            process,
            port: port.context("the tunnel for TLS did not start")?,
        })
    }

    pub(super) fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        // An error only means that the process has already ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
