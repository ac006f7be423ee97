//! The HTTP request at the front of an input. The parser accepts almost everything: the target is
//! the handshake, not an HTTP parser, which is httpd's.

use mod_websocket::protocol::RequestHead;

/// A request line and headers.
#[derive(Debug, Default)]
pub struct Head {
    method: Vec<u8>,
    http_1_1: bool,
    headers: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Head {
    /// Parses up to the first empty line, or to the end. Returns the remaining bytes, too.
    #[must_use]
    pub fn parse(mut input: &[u8]) -> (Self, &[u8]) {
        let mut words = take_line(&mut input).split(|byte| *byte == b' ');
        let method = words.next().unwrap_or_default().to_vec();
        let http_1_1 = words.next_back() == Some(b"HTTP/1.1");
        let mut head = Self {
            method,
            http_1_1,
            headers: Vec::new(),
        };
        loop {
            let line = take_line(&mut input);
            if line.is_empty() {
                return (head, input);
            }
            let mut parts = line.splitn(2, |byte| *byte == b':');
            let name = parts.next().unwrap_or_default();
            head.add(name, parts.next().unwrap_or_default().trim_ascii());
        }
    }

    /// Adds a header. Like httpd, it joins the values of a repeated header.
    fn add(&mut self, name: &[u8], value: &[u8]) {
        let known = self.headers.iter_mut();
        match { known }.find(|(known, _)| known.eq_ignore_ascii_case(name)) {
            Some((_, values)) => {
                values.extend(b", ");
                values.extend(value);
            }
            None => self.headers.push((name.to_vec(), value.to_vec())),
        }
    }

    /// The value of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        let mut headers = self.headers.iter();
        headers
            .find(|(known, _)| known.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, value)| value.as_slice())
    }

    /// The parts of the request that the opening handshake needs.
    #[must_use]
    pub fn request(&self) -> RequestHead<'_> {
        RequestHead {
            method: &self.method,
            head_only: self.method == b"HEAD",
            http_1_1: self.http_1_1,
            upgrade: self.header("Upgrade"),
            connection: self.header("Connection"),
            host: self.header("Host"),
            key: self.header("Sec-WebSocket-Key"),
            version: self.header("Sec-WebSocket-Version"),
            subprotocols: self.header("Sec-WebSocket-Protocol"),
            extensions: self.header("Sec-WebSocket-Extensions"),
            origin: self.header("Origin"),
            sec_websocket_origin: self.header("Sec-WebSocket-Origin"),
            content_length: self.header("Content-Length"),
            has_transfer_encoding: self.header("Transfer-Encoding").is_some(),
        }
    }
}

/// Removes a line from `input` and returns it without its end.
fn take_line<'a>(input: &mut &'a [u8]) -> &'a [u8] {
    let end = input.iter().position(|byte| *byte == b'\n');
    let line = &input[..end.unwrap_or(input.len())];
    *input = end.map_or(&[], |end| &input[end + 1..]);
    line.strip_suffix(b"\r").unwrap_or(line)
}
