//! Internal redirects that end in a WebSocket.
//!
//! httpd runs the handler of a redirected request inside the handler that redirects, and ignores
//! what it returns (http_request.c, `ap_internal_redirect`). The handler that redirects then
//! returns `OK`, although the connection of its request has left HTTP. So this module supervises
//! the outermost request of a chain that may end in a WebSocket. Its hook comes before all other
//! handlers and runs them itself. If one of them has led to a WebSocket, the hook answers httpd in
//! their place.

#![allow(unsafe_code)]

use std::cell::Cell;
use std::ffi::{CStr, c_int};
use std::ptr;

use super::config::HANDLER;
use crate::httpd::answer::Answer;
use crate::httpd::request::Request;
use crate::httpd::{slot, sys};

const CONTENT_LENGTH: &CStr = c"Content-Length";

/// What the handlers of an outermost request have done with the connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Outcome {
    /// The connection still belongs to HTTP.
    #[default]
    Http,
    /// The connection became a WebSocket, which has ended or no longer needs httpd.
    Upgraded,
    /// The connection became a WebSocket, or its plugin is going to be asked, and it waits until
    /// the MPM lets it go.
    Suspended,
}

/// Lies on the stack of [`supervise`]. The outermost request points to it.
struct Supervision {
    outcome: Cell<Outcome>,
    /// The client's `Content-Length`. A CGI handler has read the body when it redirects, and so
    /// removes this header (cgi_common.h).
    content_length: Option<Vec<u8>>,
}

/// The first of all handlers. Runs the others for the outermost request of a chain that may end in
/// a WebSocket.
///
/// # Safety
///
/// This is the handler's thread, and `request` is its live request.
pub(super) unsafe fn supervise(request: Request) -> c_int {
    if !request.is_outermost()
        || request.handler() == HANDLER.as_bytes()
        || !request.wants_websocket()
    {
        return sys::DECLINED;
    }
    let supervision = Supervision {
        outcome: Cell::default(),
        content_length: request.header(CONTENT_LENGTH).map(<[u8]>::to_vec),
    };
    // SAFETY: the slot is this module's own, and only the thread of the request uses it. It points
    // to `supervision` only while that is on the stack: the handlers are C functions, through which
    // no panic passes.
    let status = unsafe {
        let slot = slot(request);
        if !(*slot).is_null() {
            // This hook is running the handlers already.
            return sys::DECLINED;
        }
        *slot = &raw const supervision;
        let status = sys::ap_run_handler(request.as_ptr());
        *slot = ptr::null();
        status
    };
    match supervision.outcome.get() {
        Outcome::Http => status,
        Outcome::Upgraded => sys::OK,
        Outcome::Suspended => sys::SUSPENDED,
    }
}

/// Whether the MPM gets the answer of the handler of `request`, so that the answer may be
/// `SUSPENDED`.
pub(super) fn is_answer_heard(request: Request) -> bool {
    request.is_outermost() || supervision_of(request).is_some()
}

/// The `Content-Length` that the client sent, even if a CGI program has read the body.
pub(super) fn content_length(request: &Request) -> Option<&[u8]> {
    match supervision_of(*request) {
        Some(supervision) => supervision.content_length.as_deref(),
        None => request.header(CONTENT_LENGTH),
    }
}

/// What the handler of `request` has to return in place of `answer`. After the 101 response, and
/// while the connection waits to be handed over, httpd must send no other answer to the client,
/// whatever happened.
pub(super) fn settle(request: Request, answer: Answer) -> Answer {
    let is_suspended = answer == Answer::Suspended;
    if !is_suspended && !request.has_left_http() {
        return answer;
    }
    match supervision_of(request) {
        Some(supervision) => {
            supervision.outcome.set(if is_suspended {
                Outcome::Suspended
            } else {
                Outcome::Upgraded
            });
            Answer::Done
        }
        None if is_suspended => answer,
        None => Answer::Done,
    }
}

/// The supervision of the chain of `request`, valid until the handler returns.
fn supervision_of<'a>(request: Request) -> Option<&'a Supervision> {
    // SAFETY: if the slot is set, the handler runs below `supervise` (see there).
    unsafe { (*slot(request.outermost())).as_ref() }
}

/// This module's slot in the configuration of a request.
fn slot(request: Request) -> *mut *const Supervision {
    // SAFETY: the request is live. The pointer is null at first, and this module puts nothing else
    // there.
    unsafe { slot::slot::<Supervision>((*request.as_ptr()).request_config).cast() }
}
