//! The lines that connections have left in an access log.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};

/// Requests whose query says what their client does: `?waits=NUMBER` waits for the response, and
/// `?leaves=NUMBER` may leave before httpd has read the request. The status is 101, or 403 for
/// `/denied`.
#[derive(Debug, Default)]
pub struct Requests {
    waits: Counts,
    leaves: Counts,
    /// Lines of such requests with another status.
    wrong: Vec<String>,
}

/// The number of occurrences of each number.
type Counts = BTreeMap<u64, usize>;

impl Requests {
    /// The requests in `log`. Other lines are ignored.
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

    /// The number of waiting clients with a line.
    #[must_use]
    pub fn waits(&self) -> usize {
        self.waits.len()
    }

    /// The number of other clients with a line.
    #[must_use]
    pub fn leaves(&self) -> usize {
        self.leaves.len()
    }

    /// Checks that each of the `answered` clients that waited has exactly one line with the right
    /// status, and that each of the others has at most one.
    ///
    /// # Errors
    /// A line is missing, or occurs twice, or has a wrong status. The error lists some of them.
    pub fn ensure_one_each(&self, answered: usize) -> Result<()> {
        let all = self.waits.iter().chain(&self.leaves);
        let double: Vec<_> = all.filter(|(_, count)| **count > 1).take(5).collect();
        ensure!(
            double.is_empty(),
            "requests with more than one line: {double:?}"
        );
        ensure!(
            self.waits.len() == answered,
            "{answered} clients were answered, and {} of them have a line in the access log",
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
    fn each_client_that_was_answered_has_one_line() {
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
