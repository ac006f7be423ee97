//! What httpd adds to its error log.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;

/// The most bytes that are looked at.
const LONGEST: u64 = 256 * 1024;

/// The most lines that are shown.
const LINES: usize = 4;

/// The end of an error log at some moment.
#[derive(Debug)]
pub struct LogEnd {
    file: PathBuf,
    length: u64,
}

impl LogEnd {
    /// The end now. `None` if the log cannot be read.
    #[must_use]
    pub fn now(file: PathBuf) -> Option<Self> {
        File::open(&file).ok()?;
        let length = fs::metadata(&file).ok()?.len();
        Some(Self { file, length })
    }

    /// The last warnings and errors since then.
    #[must_use]
    pub fn complaints(&self) -> Vec<String> {
        let text = self.text().unwrap_or_default();
        let is_complaint = |line: &&str| {
            let level = line.split(']').nth(1).unwrap_or_default();
            let levels = [":warn", ":error", ":crit", ":alert", ":emerg"];
            levels.iter().any(|it| level.ends_with(it)) || line.contains("[websocket:")
        };
        let lines: Vec<_> = text.lines().filter(is_complaint).collect();
        let first = lines.len().saturating_sub(LINES);
        lines[first..].iter().map(|&line| line.to_owned()).collect()
    }

    fn text(&self) -> std::io::Result<String> {
        let mut file = File::open(&self.file)?;
        file.seek(SeekFrom::Start(self.length))?;
        let mut bytes = Vec::new();
        file.take(LONGEST).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}
