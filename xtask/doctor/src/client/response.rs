//! The response to a handshake.

use std::io::Read;

use super::Failure;

/// The most bytes that are read of a response.
const LONGEST: usize = 64 * 1024;

/// A response of HTTP/1.1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The status, such as 101.
    pub status: u16,
    headers: Vec<(String, String)>,
    /// What has come behind the headers: frames, or the page.
    pub(super) rest: Vec<u8>,
}

impl Response {
    /// Reads the headers, and the page if the server refuses the WebSocket.
    pub(super) fn read(stream: &mut impl Read) -> Result<Self, Failure> {
        let mut bytes = Vec::new();
        let end = loop {
            if let Some(end) = bytes.windows(4).position(|it| it == b"\r\n\r\n") {
                break end;
            }
            if !more(stream, &mut bytes)? {
                return Err(Failure::NoHttp(text(&bytes)));
            }
        };
        let head = text(&bytes[..end]);
        let mut response = Self::parse(&head).ok_or(Failure::NoHttp(head))?;
        response.rest = bytes.split_off(end + 4);
        if response.status != 101 {
            // A page that breaks off is good enough.
            while !response.is_complete() && matches!(more(stream, &mut response.rest), Ok(true)) {}
        }
        Ok(response)
    }

    fn parse(head: &str) -> Option<Self> {
        let (first, headers) = head.split_once("\r\n").unwrap_or((head, ""));
        let (version, rest) = first.split_once(' ')?;
        let status = rest.split(' ').next()?.parse().ok()?;
        let headers = headers.split("\r\n").filter_map(|line| {
            let (name, value) = line.split_once(':')?;
            // Findings quote values in the middle of a line.
            let value = value.trim().replace(char::is_control, "\u{fffd}");
            Some((name.to_owned(), value))
        });
        version.starts_with("HTTP/").then(|| Self {
            status,
            headers: headers.collect(),
            rest: Vec::new(),
        })
    }

    fn is_complete(&self) -> bool {
        match self.header("Content-Length").map(str::parse) {
            Some(Ok(length)) => self.rest.len() >= length,
            _ => self.rest.ends_with(b"0\r\n\r\n"),
        }
    }

    /// The value of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let found = headers.find(|(other, _)| other.eq_ignore_ascii_case(name));
        found.map(|(_, value)| &**value)
    }

    /// The page.
    #[must_use]
    pub fn page(&self) -> String {
        text(&self.rest)
    }
}

/// Reads once. Returns whether anything has come, or may come.
fn more(stream: &mut impl Read, bytes: &mut Vec<u8>) -> Result<bool, Failure> {
    let mut buffer = [0; 4096];
    let count = stream.read(&mut buffer)?;
    bytes.extend_from_slice(&buffer[..count]);
    Ok(count > 0 && bytes.len() < LONGEST)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn responses_are_read_whole_and_within_bounds() {
        let read = |bytes: &[u8]| Response::read(&mut &*bytes);
        let response =
            read(b"HTTP/1.1 426 Upgrade\r\nupgrade: websocket\r\nContent-Length: 4\r\n\r\npage")
                .unwrap();
        assert_eq!(
            (response.status, response.header("Upgrade")),
            (426, Some("websocket"))
        );
        assert_eq!(response.page(), "page");
        let response = read(b"HTTP/1.1 101 Switching\r\n\r\n\x8a\0").unwrap();
        assert_eq!(response.rest, b"\x8a\0");
        let response = read(b"HTTP/1.1 302 a\r\nLocation: \x1b[2J/\nb\r\n\r\n").unwrap();
        assert_eq!(response.header("Location"), Some("\u{fffd}[2J/\u{fffd}b"));
        for bad in [
            &b""[..],
            b"SSH-2.0-OpenSSH\r\n",
            b"HTTP/1.1 abc\r\n\r\n",
            &[b'x'; 100_000],
        ] {
            assert!(matches!(read(bad), Err(Failure::NoHttp(_))));
        }
        let endless = [b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), vec![b'x'; 1_000_000]].concat();
        assert!(read(&endless).unwrap().rest.len() < 2 * LONGEST);
    }
}
