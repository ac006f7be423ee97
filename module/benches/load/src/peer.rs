//! What all the echo servers to compare with have in common.

use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;

use anyhow::Result;

use crate::limits::{end_with_parent, raise_descriptor_limit};

/// A certificate chain and its key, in PEM files.
#[derive(Clone, Debug, clap::Args)]
pub struct Certificate {
    /// Serve TLS with the certificate in this file
    #[arg(long = "certificate", requires = "key")]
    pub certificate: Option<PathBuf>,
    /// The file of its key
    #[arg(long = "key", requires = "certificate")]
    pub key: Option<PathBuf>,
}

/// Listens on a free port of 127.0.0.1 and prints it.
///
/// # Errors
/// No port can be had.
pub fn listen() -> Result<TcpListener> {
    end_with_parent()?;
    raise_descriptor_limit()?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    listener.set_nonblocking(true)?;
    println!("{}", listener.local_addr()?);
    Ok(listener)
}
