//! The lines of an access log that connections have left.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};

/// Requests that say by their query what their client does: `?waits=NUMBER` waits for the 101,
/// `?leaves=NUMBER` may be gone before httpd has read it.
#[derive(Debug, Default)]
pub struct Requests {
    waits: Counts,
    leaves: Counts,
    /// Lines of such requests with another status than 101.
    refused: Vec<String>,
}

/// How often each number comes.
type Counts = BTreeMap<u64, usize>;

impl Requests {
    /// Those in `log`; other lines are passed over.
    #[must_use]
    pub fn of(log: &str) -> Self {
        let mut requests = Self::default();
        for line in log.lines() {
            requests.add(line);
        }
        requests
    }

    fn add(&mut self, line: &str) {
        let query = |word: &str| -> Option<u64> {
            let (_, rest) = line.split_once(word)?;
            rest.split_whitespace().next()?.parse().ok()
        };
        let (counts, number) = match (query("?waits="), query("?leaves=")) {
            (Some(number), _) => (&mut self.waits, number),
            (_, Some(number)) => (&mut self.leaves, number),
            _ => return,
        };
        *counts.entry(number).or_default() += 1;
        if !line.contains("\" 101 ") {
            self.refused.push(line.to_owned());
        }
    }

    /// How many clients that waited have a line.
    #[must_use]
    pub fn waits(&self) -> usize {
        self.waits.len()
    }

    /// How many of the other clients have a line.
    #[must_use]
    pub fn leaves(&self) -> usize {
        self.leaves.len()
    }

    /// Ensures that there is one line, with 101, for each of the clients that waited, `answered` of them,
    /// and for the others at most one each.
    ///
    /// # Errors
    /// There is not; some of the wrong ones are named.
    pub fn ensure_one_each(&self, answered: usize) -> Result<()> {
        let all = self.waits.iter().chain(&self.leaves);
        let double: Vec<_> = all.filter(|(_, count)| **count > 1).take(5).collect();
        ensure!(
            double.is_empty(),
            "requests with more lines than one: {double:?}"
        );
        ensure!(
            self.waits.len() == answered,
            "{answered} clients were answered, {} of them have a line in the access log",
            self.waits.len()
        );
        let refused = self.refused.get(..5).unwrap_or(&self.refused);
        ensure!(refused.is_empty(), "lines without 101: {refused:#?}");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Requests;

    fn line(query: &str, status: u16) -> String {
        format!("127.0.0.1 [x] \"GET /echo?{query} HTTP/1.1\" {status} - 81\n")
    }

    #[test]
    fn one_line_each() {
        let log = [
            line("waits=0", 101),
            line("leaves=1", 101),
            line("waits=2", 101),
        ]
        .concat();
        let requests = Requests::of(&(log.clone() + "127.0.0.1 [x] \"GET / HTTP/1.1\" 200 1 8\n"));
        assert_eq!((requests.waits(), requests.leaves()), (2, 1));
        requests.ensure_one_each(2).unwrap();
        assert!(requests.ensure_one_each(3).is_err(), "one is missing");
        for wrong in [
            line("waits=2", 101),
            line("leaves=1", 101),
            line("leaves=3", 400),
        ] {
            let requests = Requests::of(&(log.clone() + &wrong));
            assert!(requests.ensure_one_each(2).is_err(), "{wrong}");
        }
    }
}
