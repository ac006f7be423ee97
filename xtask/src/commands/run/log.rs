//! Shows in the terminal what httpd logs.

use std::fs::File;
use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::path::PathBuf;

use anyhow::{Context, Result};
use notify::{RecommendedWatcher, RecursiveMode, Watcher};

/// Prints each line that is appended to a log from now on, until this is dropped.
pub(super) struct ShownLog {
    _watcher: RecommendedWatcher,
}

impl ShownLog {
    /// Prints the lines of the log at `path`, whose folder exists.
    ///
    /// # Errors
    /// The system cannot watch it.
    pub(super) fn of(path: PathBuf) -> Result<Self> {
        let folder = path.parent().context("a log is in a folder")?.to_owned();
        let mut tail = Tail::of(path);
        let mut watcher = notify::recommended_watcher(move |_| tail.print())?;
        watcher.watch(&folder, RecursiveMode::NonRecursive)?;
        Ok(Self { _watcher: watcher })
    }
}

/// The part of a log that has not been printed.
struct Tail {
    path: PathBuf,
    position: u64,
}

impl Tail {
    fn of(path: PathBuf) -> Self {
        let position = path.metadata().map_or(0, |metadata| metadata.len());
        Self { path, position }
    }

    fn print(&mut self) {
        // There is no log before httpd's first line.
        if let Ok(lines) = self.lines() {
            lines.iter().for_each(|line| print!("{line}"));
        }
    }

    /// The whole lines that have come, with their line feeds.
    fn lines(&mut self) -> Result<Vec<String>> {
        let mut file = BufReader::new(File::open(&self.path)?);
        file.seek(SeekFrom::Start(self.position))?;
        let mut lines = Vec::new();
        loop {
            let mut line = Vec::new();
            let length = file.read_until(b'\n', &mut line)?;
            if !line.ends_with(b"\n") {
                return Ok(lines);
            }
            self.position += length as u64;
            lines.push(String::from_utf8_lossy(&line).into_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_tail_begins_at_the_end_and_gives_each_whole_line_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut log = File::create(&path).unwrap();
        log.write_all(b"old\n").unwrap();
        let mut tail = Tail::of(path);
        assert!(tail.lines().unwrap().is_empty());
        log.write_all(b"one\ntwo\nhal").unwrap();
        assert_eq!(tail.lines().unwrap(), ["one\n", "two\n"]);
        log.write_all(b"f\xff\n").unwrap();
        assert_eq!(tail.lines().unwrap(), ["half\u{fffd}\n"]);
        assert!(tail.lines().unwrap().is_empty());
    }
}
