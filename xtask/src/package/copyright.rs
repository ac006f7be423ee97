//! The licences of what packages contain.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::dependencies::Dependencies;

/// The file `copyright` of a package of Debian.
pub(crate) const DEBIAN: &str = "\
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: mod_websocket
Comment: The libraries contain crates with licences of their own, all of which
 ask for no more than a notice. The file third-party-notices.gz in this folder
 has these notices, the CycloneDX file the list of the crates.

Files: *
Copyright: 2026, the mod_websocket developers
License: Apache-2.0
 On Debian systems, the full text of the Apache License, version 2.0, is in the
 file /usr/share/common-licenses/Apache-2.0.
";

/// The notices of all crates that are linked: each text once, with the crates that have it.
///
/// # Errors
/// The sources of a crate cannot be read.
pub(crate) fn notices(dependencies: &Dependencies) -> Result<String> {
    let mut owners: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for it in dependencies.iter() {
        let owner = format!(
            "{} {} ({})",
            it.name,
            it.version,
            it.licence.as_deref().unwrap_or("see the text")
        );
        for text in texts(&it.folder)? {
            owners.entry(text).or_default().push(owner.clone());
        }
    }
    let mut all = "The notices of the crates that are linked into the libraries.\n".to_owned();
    for (text, owners) in owners {
        write!(
            all,
            "\n{}\n{}\n\n{text}\n",
            "=".repeat(80),
            owners.join("\n")
        )?;
    }
    Ok(all)
}

/// The licences and notices in the folder of a crate.
fn texts(folder: &Path) -> Result<Vec<String>> {
    const BEGINNINGS: [&str; 5] = ["LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "NOTICE"];
    let mut texts = Vec::new();
    let entries = folder
        .read_dir()
        .with_context(|| format!("cannot read {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let name = name.to_ascii_uppercase();
        if path.is_file() && BEGINNINGS.iter().any(|it| name.starts_with(it)) {
            texts.push(String::from_utf8_lossy(&fs::read(&path)?).trim().to_owned());
        }
    }
    texts.sort();
    Ok(texts)
}
