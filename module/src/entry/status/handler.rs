//! The pages of `SetHandler websocket-status`.

use std::ffi::CStr;

use super::{json, openmetrics, page};
use crate::entry::admission;
use crate::entry::config::Config;
use crate::httpd::answer::Answer;
use crate::httpd::log::Level;
use crate::httpd::refusal::{Page, Refusal};
use crate::httpd::request::Request;
use crate::httpd::scoreboard::{self, report};

/// The value of `SetHandler` that selects these pages.
pub(in crate::entry) const HANDLER: &str = "websocket-status";

/// Answers a request for one of the pages; the query says which.
pub(in crate::entry) fn handle(request: Request, config: &Config) -> Answer {
    if !request.is_get() {
        return Answer::Declined;
    }
    match request.query() {
        b"" => send(request, page::MEDIA_TYPE, &page::html(&report())),
        b"asset=page.css" => send(request, c"text/css; charset=utf-8", page::STYLE),
        b"asset=page.js" => send(request, c"text/javascript; charset=utf-8", page::SCRIPT),
        b"part=tables" => send(request, page::MEDIA_TYPE, &page::tables(&report())),
        b"format=json" => send(request, c"application/json", &json::text(&report())),
        b"format=openmetrics" => match openmetrics::text(report()) {
            Ok(text) => send(request, openmetrics::MEDIA_TYPE, &text),
            Err(error) => {
                request.log(
                    Level::Error,
                    &format!("the status cannot be written: {error}"),
                );
                Answer::Status(500)
            }
        },
        b"probe=live" => send(request, PLAIN, "live\n"),
        b"probe=ready" => match obstacle(config) {
            None => send(request, PLAIN, "ready\n"),
            Some(obstacle) => not_ready(request, obstacle),
        },
        _ => not_found(request),
    }
}

/// The page loads its own parts only, and nobody frames it.
const POLICY: &[u8] =
    b"default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const PLAIN: &CStr = c"text/plain; charset=utf-8";

/// Why no more WebSockets should be sent here, if so.
fn obstacle(config: &Config) -> Option<&'static str> {
    if scoreboard::is_draining() {
        return Some("draining");
    }
    admission::obstacle(config)
}

fn not_ready(request: Request, obstacle: &str) -> Answer {
    request.add_error_header(c"Cache-Control", b"no-store");
    Refusal::new(503)
        .header(c"Retry-After", "10")
        .own_page(plain(format!("{obstacle}\n")))
        .send(request)
}

fn not_found(request: Request) -> Answer {
    let text = "There are: no query, format=json, format=openmetrics, probe=live, probe=ready.\n";
    Refusal::new(404).own_page(plain(text)).send(request)
}

fn plain(text: impl Into<Vec<u8>>) -> Page {
    Page {
        media_type: PLAIN.to_owned(),
        bytes: text.into(),
    }
}

fn send(request: Request, media_type: &CStr, text: &str) -> Answer {
    request.set_response_header(c"Cache-Control", b"no-store");
    request.set_response_header(c"X-Content-Type-Options", b"nosniff");
    request.set_response_header(c"Content-Security-Policy", POLICY);
    request.send_page(media_type, text.as_bytes());
    Answer::Done
}
