//! The answer to a request that is refused: its status, its headers and its page.

use std::ffi::{CStr, CString};

use super::answer::Answer;
use super::request::{ErrorPage, Request};

/// A refusal to be [sent](Refusal::send).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    status: u16,
    headers: Vec<(CString, Vec<u8>)>,
    body: Body,
}

/// The page that goes with a refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Body {
    /// What `ErrorDocument` sets for the status, otherwise httpd's own page.
    OfHttpd,
    /// What `ErrorDocument` sets for the status, otherwise these bytes.
    Default(Page),
    /// These bytes, whatever `ErrorDocument` sets.
    Own(Page),
}

/// A page and its media type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The value of `Content-Type`.
    pub media_type: CString,
    /// The page itself.
    pub bytes: Vec<u8>,
}

impl Page {
    /// A page in HTML.
    #[must_use]
    pub fn html(text: impl Into<Vec<u8>>) -> Self {
        Self {
            media_type: c"text/html; charset=utf-8".to_owned(),
            bytes: text.into(),
        }
    }
}

impl Refusal {
    /// 400: the request is not a valid handshake.
    pub const BAD_REQUEST: Self = Self::new(400);

    /// 403: the client may not connect.
    pub const FORBIDDEN: Self = Self::new(403);

    /// 500: the server is at fault.
    pub const INTERNAL_SERVER_ERROR: Self = Self::new(500);

    /// 503: the server is overloaded.
    pub const SERVICE_UNAVAILABLE: Self = Self::new(503);

    /// A refusal with this status (300 to 599), httpd's page for it and no further headers.
    #[must_use]
    pub const fn new(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Body::OfHttpd,
        }
    }

    /// The status.
    #[must_use]
    pub const fn status(&self) -> u16 {
        self.status
    }

    /// Adds a header. Others of the same name stay.
    #[must_use]
    pub fn header(mut self, name: &CStr, value: impl Into<Vec<u8>>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// Sets the page, unless `ErrorDocument` names another page of this server.
    #[must_use]
    pub fn default_page(self, page: Page) -> Self {
        Self {
            body: Body::Default(page),
            ..self
        }
    }

    /// Sets the page, whatever `ErrorDocument` says.
    #[must_use]
    pub fn own_page(self, page: Page) -> Self {
        Self {
            body: Body::Own(page),
            ..self
        }
    }

    /// Answers the request. Only the handler's thread may call this, before anything else is sent.
    ///
    /// httpd sends the answer where it can. It cannot if it does not know the status, which it
    /// would turn into 500. It must not if `ErrorDocument` names another server: a client that asks
    /// for a WebSocket cannot follow a redirect, and would never learn of the refusal.
    #[must_use]
    pub fn send(&self, request: Request) -> Answer {
        request.clear_response_headers();
        for (name, value) in &self.headers {
            request.add_error_header(name, value);
        }
        let page_of_httpd = request.error_page(self.status);
        match (&self.body, page_of_httpd) {
            (Body::Own(page), _)
            | (Body::Default(page), ErrorPage::Canned | ErrorPage::Elsewhere) => {
                self.send_page(request, page)
            }
            (_, ErrorPage::Unknown) => self.send_page(request, &page_of(self.status)),
            (_, ErrorPage::Elsewhere) => {
                request.send_canned_error(self.status);
                Answer::Done
            }
            (_, ErrorPage::Canned | ErrorPage::Here) => Answer::Status(self.status),
        }
    }

    fn send_page(&self, request: Request, page: &Page) -> Answer {
        let line = format!("{} {}", self.status, reason(self.status));
        request.send_error_page(self.status, &line, &page.media_type, &page.bytes);
        Answer::Done
    }
}

/// The page for a status that httpd has no page for.
fn page_of(status: u16) -> Page {
    let reason = reason(status);
    Page::html(format!(
        "<!DOCTYPE html>\n<html><head>\n<title>{status} {reason}</title>\n</head><body>\n\
         <h1>{reason}</h1>\n<p>The server refuses to open a WebSocket.</p>\n</body></html>\n"
    ))
}

/// A reason phrase (RFC 9112, section 4) for a status that httpd may not know.
const fn reason(status: u16) -> &'static str {
    match status {
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        409 => "Conflict",
        411 => "Length Required",
        413 => "Content Too Large",
        415 => "Unsupported Media Type",
        422 => "Unprocessable Content",
        418 => "I'm a teapot",
        425 => "Too Early",
        426 => "Upgrade Required",
        429 => "Too Many Requests",
        503 => "Service Unavailable",
        300..=399 => "Redirection",
        400..=499 => "Client Error",
        _ => "Server Error",
    }
}
