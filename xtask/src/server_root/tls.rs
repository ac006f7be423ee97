//! A certificate for tests of TLS on this machine.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::Result;
use rcgen::{CertifiedKey, generate_simple_self_signed};

/// Writes a self-signed certificate for this machine's names, and its key, which only the owner may
/// read.
pub(super) fn write_certificate(certificate: &Path, key: &Path) -> Result<()> {
    let names = ["localhost", "127.0.0.1", "::1"].map(String::from);
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(names)?;
    fs::write(certificate, cert.pem())?;
    let mut key = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(key)?;
    key.write_all(signing_key.serialize_pem().as_bytes())?;
    Ok(())
}
