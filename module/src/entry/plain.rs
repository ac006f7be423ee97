//! Requests for a WebSocket location that ask for no WebSocket.

use super::config::{Config, PlainRequests};
use crate::httpd::answer::Answer;
use crate::httpd::log::{Level, Throttle};
use crate::httpd::refusal::{Page, Refusal};
use crate::httpd::request::Request;

static THROTTLE: Throttle = Throttle::new();

/// Answers a request that no other handler has served. Only httpd's own handler, which serves
/// files, comes later.
pub fn handle(request: Request, config: &Config) -> Answer {
    if !is_served_as_websocket(config) || !request.finds_no_file() {
        return Answer::Declined;
    }
    // A client that sends a key wants a WebSocket.
    let is_crippled = request.header(c"Sec-WebSocket-Key").is_some();
    if is_crippled {
        log_crippled(request);
    }
    if config.plain_requests() == PlainRequests::Decline {
        return Answer::Declined;
    }
    if !is_crippled {
        request.log(
            Level::Info,
            "a plain request for a WebSocket: answered with 426",
        );
    }
    // RFC 9110, section 15.5.22.
    Refusal::new(426)
        .header(c"Upgrade", "websocket")
        .header(c"Connection", "Upgrade")
        .default_page(page(is_crippled))
        .send(request)
}

fn is_served_as_websocket(config: &Config) -> bool {
    config.plugin().is_some() && config.check().is_ok()
}

/// Logs an opening handshake that lost some of its headers between the client and httpd.
fn log_crippled(request: Request) {
    let seen = String::from_utf8_lossy(request.uri()).into_owned();
    let level = if THROTTLE.admits(&seen) {
        Level::Warning
    } else {
        Level::Info
    };
    let missing = if request.is_http_1_1() {
        "without 'Upgrade: websocket' and 'Connection: Upgrade'"
    } else {
        "with HTTP/1.0"
    };
    let text = format!(
        "a WebSocket handshake came {missing}: a proxy in front must speak HTTP/1.1 and pass on \
         the headers Upgrade and Connection"
    );
    request.log(level, &text);
}

fn page(is_crippled: bool) -> Page {
    let hint = if is_crippled {
        "<p>The request is a WebSocket handshake that has lost its headers <code>Upgrade</code> \
         and <code>Connection</code>, or came with HTTP/1.0: a proxy on the way has to pass them \
         on.</p>\n"
    } else {
        ""
    };
    Page::html(format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head>\n<title>426 Upgrade Required</title>\n\
         </head><body>\n<h1>Upgrade Required</h1>\n\
         <p>Here is a WebSocket (RFC 6455), which is no page. Programs open it; in a browser, \
         JavaScript does, with <code>new WebSocket(\u{2026})</code>.</p>\n{hint}</body></html>\n"
    ))
}
