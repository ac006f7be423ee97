//! Connections to several children of a server.

use anyhow::{Result, bail};
use xtask::httpd::Httpd;
use xtask::process::descriptors;

use super::{Client, Handshake, wait_until};

/// The most connections until two children have some.
const MOST: usize = 60;

/// Opens connections until at least two children have some. Returns them, and these children.
///
/// # Errors
/// There are not two children soon, or one of them accepts all connections.
pub(crate) fn open_in_two_children(httpd: &Httpd, target: &str) -> Result<(Vec<Client>, Vec<u32>)> {
    wait_until("there are two children", || {
        Ok(httpd.child_pids()?.len() >= 2)
    })?;
    let mut before = Vec::new();
    for child in httpd.child_pids()? {
        before.push((child, descriptors(child)?));
    }
    let mut clients = Vec::new();
    while clients.len() < MOST {
        let mut client = Client::open(httpd.address(), &Handshake::to(target))?;
        client.echo("hello")?;
        clients.push(client);
        let has_more =
            |&&(child, before): &&(u32, usize)| descriptors(child).is_ok_and(|now| now > before);
        let used: Vec<_> = before
            .iter()
            .filter(has_more)
            .map(|(child, _)| *child)
            .collect();
        if used.len() >= 2 {
            return Ok((clients, used));
        }
    }
    bail!("one child has all {MOST} connections")
}
