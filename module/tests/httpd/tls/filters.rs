//! TLS connections with modules that peek at bytes.

use anyhow::{Result, ensure};

use crate::support::{Client, Context, Frame, Handshake, cases, wait_until};

cases! {
    "TLS: other modules may peek at bytes" => peek,
}

const SIZES: [usize; 6] = [0, 1, 100, 16_384, 70_000, 3 << 20];

fn peek(context: &Context) -> Result<()> {
    let plugins = context.plugins();
    let httpd = context
        .root()?
        .tls_port(xtask::port::free_port()?)
        .load_module("peek_module", plugins.library("peek"))
        .config(plugins.locations())
        .start()?;
    let mut client = Client::open_tls(&httpd, &Handshake::to("/echo"))?;
    for length in SIZES {
        let payload = vec![1; length];
        client.binary(&payload)?;
        client.expect(&Frame::binary(&payload))?;
    }
    client.close()?;
    wait_until("both filters have logged what they saw", || {
        let log = httpd.error_log()?;
        let lines: Vec<_> = log.lines().filter(|line| line.contains("peek: ")).collect();
        let is_good = |line: &&str| line.ends_with("peek: looked, 0 differences");
        // Connections of the test's start-up never peeked.
        ensure!(
            !lines.iter().any(|line| !line.ends_with(" 0 differences")),
            "{lines:?}"
        );
        Ok(lines.iter().copied().filter(is_good).count() >= 2)
    })
}
