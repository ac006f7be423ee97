//! The lines of an access log that connections have left.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};

/// Requests that say by their query what their client does: `?waits=NUMBER` waits for the answer,
/// `?leaves=NUMBER` may be gone before httpd has read it. The answer is 101, and 403 for `/denied`.
#[derive(Debug, Default)]
pub struct Requests {
    waits: Counts,
    leaves: Counts,
    /// Lines of such requests with another status.
    wrong: Vec<String>,
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
        let status = if line.contains(" /denied?") { 403 } else { 101 };
        if !line.contains(&format!("\" {status} ")) {
            self.wrong.push(line.to_owned());
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

    /// Ensures that there is one line, with the right status, for each of the clients that waited, `answered` of them,
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
        let wrong = self.wrong.get(..5).unwrap_or(&self.wrong);
        ensure!(wrong.is_empty(), "lines with a wrong status: {wrong:#?}");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Requests;

    fn line(query: &str, status: u16) -> String {
        format!("127.0.0.1 [x] \"GET /echo?{query} HTTP/1.1\" {status} - 81\n")
    }

    fn denied(query: &str, status: u16) -> String {
        line(query, status).replace("/echo", "/denied")
    }

    #[test]
    fn one_line_each() {
        let log = [
            line("waits=0", 101),
            line("leaves=1", 101),
            line("waits=2", 101),
            denied("leaves=4", 403),
        ]
        .concat();
        let requests = Requests::of(&(log.clone() + "127.0.0.1 [x] \"GET / HTTP/1.1\" 200 1 8\n"));
        assert_eq!((requests.waits(), requests.leaves()), (2, 2));
        requests.ensure_one_each(2).unwrap();
        assert!(requests.ensure_one_each(3).is_err(), "one is missing");
        for wrong in [
            line("waits=2", 101),
            line("leaves=1", 101),
            line("leaves=3", 400),
            denied("leaves=3", 101),
        ] {
            let requests = Requests::of(&(log.clone() + &wrong));
            assert!(requests.ensure_one_each(2).is_err(), "{wrong}");
        }
    }
}
