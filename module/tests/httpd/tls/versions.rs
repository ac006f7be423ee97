//! Both versions of TLS, and records that are not data.

use std::io::Write as _;

use anyhow::{Result, ensure};
use rustls::version::{TLS12, TLS13};

use super::FlushTls as _;
use crate::support::frame::masked;
use crate::support::{Client, Context, Frame, Handshake, Opcode, cases};

cases! {
    "TLS 1.2 and 1.3: messages go both ways, and close_notify ends them" => both_versions,
    "TLS 1.3: frames before and after a key update are read" => key_update,
}

fn both_versions(context: &Context) -> Result<()> {
    for version in [&TLS12, &TLS13] {
        let mut client = Client::connect_tls_with(&*context.httpd()?, &[version])?;
        client.upgrade(&Handshake::to("/echo"))?;
        ensure!(client.stream.conn.protocol_version() == Some(version.version));
        for length in [0, 100, 16_384, 1 << 20] {
            let payload = vec![7; length];
            client.binary(&payload)?;
            client.expect(&Frame::binary(&payload))?;
        }
        client.send(masked(Opcode::PING, "ping"))?;
        client.expect(&Frame::pong("ping"))?;
        client.close()?; // without close_notify rustls would report an error
    }
    Ok(())
}

fn key_update(context: &Context) -> Result<()> {
    let mut client = Client::connect_tls_with(&*context.httpd()?, &[&TLS13])?;
    client.upgrade(&Handshake::to("/echo"))?;
    for _ in 0..20 {
        client.stream.conn.refresh_traffic_keys()?;
        client.echo("behind a record without data")?;

        let tls = &mut client.stream.conn;
        tls.writer().write_all(&masked(Opcode::TEXT, "before"))?;
        tls.refresh_traffic_keys()?;
        tls.writer().write_all(&masked(Opcode::TEXT, "behind"))?;
        client.stream.flush_tls()?;
        client.expect_text("before")?;
        client.expect_text("behind")?;

        // Sends only the record. The frame follows after the server has read the record, or at
        // once.
        client.stream.conn.refresh_traffic_keys()?;
        client.stream.flush_tls()?;
        client.echo("later")?;
    }
    // Many of them in one packet. Each is a read without data.
    for count in [2, 3, 30] {
        let tls = &mut client.stream.conn;
        for _ in 0..count {
            tls.refresh_traffic_keys()?;
        }
        tls.writer()
            .write_all(&masked(Opcode::TEXT, "behind all"))?;
        client.stream.flush_tls()?;
        client.expect_text("behind all")?;
    }
    client.close()
}
