//! The lines of an error log, and why they are there.

use anyhow::{Result, ensure};

/// Lines that are to be expected.
#[derive(Clone, Copy, Debug)]
pub struct Explained {
    /// The texts that such a line contains, all of them.
    pub texts: &'static [&'static str],
    /// Why httpd writes it.
    pub reason: &'static str,
}

impl Explained {
    fn covers(&self, line: &str) -> bool {
        self.texts.iter().all(|text| line.contains(text))
    }
}

/// The most lines that an error shows.
const SHOWN: usize = 10;

/// Checks that one of the `explained` covers each line of `log`, and returns how many lines each of
/// them covers. The first one counts.
///
/// # Errors
/// There are other lines. The error shows some of them.
pub fn ensure_explained(log: &str, explained: &[Explained]) -> Result<Vec<usize>> {
    let mut counts = vec![0; explained.len()];
    let mut strange = Vec::new();
    for line in log.lines().filter(|line| !line.trim().is_empty()) {
        match explained.iter().position(|kind| kind.covers(line)) {
            Some(kind) => counts[kind] += 1,
            None => strange.push(line),
        }
    }
    let shown = strange.get(..SHOWN).unwrap_or(&strange);
    ensure!(
        strange.is_empty(),
        "{} lines of the error log have no explanation: {shown:#?}",
        strange.len()
    );
    Ok(counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KINDS: [Explained; 2] = [
        Explained {
            texts: &[":notice]", "resuming normal operations"],
            reason: "httpd has started",
        },
        Explained {
            texts: &["[websocket:info]", "closed by the client"],
            reason: "a client has closed its connection",
        },
    ];

    #[test]
    fn each_line_needs_an_explanation() {
        let log = "[mpm_event:notice] AH00489: Apache configured -- resuming normal operations\n\n\
                   [websocket:info] the WebSocket has ended: closed by the client with code 1000\n\
                   [websocket:info] the WebSocket has ended: closed by the client with code 1001\n";
        assert_eq!(ensure_explained(log, &KINDS).unwrap(), [1, 2]);
        for strange in [
            "[core:notice] AH00052: child pid 7 exit signal Segmentation fault (11)",
            "[websocket:error] the WebSocket has ended: closed by the client with code 1000",
            "Apache configured -- resuming normal operations",
        ] {
            let error = ensure_explained(&format!("{log}{strange}\n"), &KINDS).unwrap_err();
            let error = error.to_string();
            assert!(error.starts_with("1 lines"), "{error}");
            assert!(error.contains(strange), "{error}");
        }
    }
}
