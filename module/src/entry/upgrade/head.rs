//! What of a request makes a handshake.

use crate::entry::redirects;
use crate::httpd::request::Request;
use crate::protocol::RequestHead;

/// The parts of a request that make a handshake.
pub(super) fn head(request: &Request) -> RequestHead<'_> {
    RequestHead {
        method: request.method(),
        head_only: request.is_header_only(),
        http_1_1: request.is_http_1_1(),
        upgrade: request.header(c"Upgrade"),
        connection: request.header(c"Connection"),
        host: request.header(c"Host"),
        key: request.header(c"Sec-WebSocket-Key"),
        version: request.header(c"Sec-WebSocket-Version"),
        subprotocols: request.header(c"Sec-WebSocket-Protocol"),
        extensions: request.header(c"Sec-WebSocket-Extensions"),
        origin: request.header(c"Origin"),
        sec_websocket_origin: request.header(c"Sec-WebSocket-Origin"),
        content_length: redirects::content_length(request),
        // mod_http2 adds this header itself, because its streams mark their own end. A client
        // cannot send it over HTTP/2.
        has_transfer_encoding: request.http2_connection().is_none()
            && request.header(c"Transfer-Encoding").is_some(),
    }
}
