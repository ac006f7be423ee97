//! Internal redirects that end in a WebSocket.
//!
//! httpd runs the handler of a redirected request inside the handler that redirects, and throws
//! away what it returns (http_request.c, `ap_internal_redirect`); the handler that redirects then
//! returns `OK`, for a request whose connection is no longer HTTP's. So the outermost request of
//! what may become such a chain is supervised: a hook that comes before all other handlers runs
//! them itself, and answers httpd in their place when one of them has led to a WebSocket.

#![allow(unsafe_code)]

use std::cell::Cell;
use std::ffi::{CStr, c_int};
use std::ptr;

use super::config::HANDLER;
use crate::httpd::answer::Answer;
use crate::httpd::request::Request;
use crate::httpd::{slot, sys};

const CONTENT_LENGTH: &CStr = c"Content-Length";

/// What the handlers of an outermost request have done with its connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Outcome {
    /// It is still HTTP's.
    #[default]
    Http,
    /// It became a WebSocket, which has ended or does without httpd.
    Upgraded,
    /// It became a WebSocket and waits for the MPM to let it go.
    Suspended,
}

/// Stands on the stack of [`supervise`]; the outermost request points to it.
struct Supervision {
    outcome: Cell<Outcome>,
    /// The client's `Content-Length`. The handler of a CGI program removes that header when it
    /// redirects, because it has read the body (cgi_common.h).
    content_length: Option<Vec<u8>>,
}

/// The first of all handlers: runs the others for the outermost request of a chain that may end in
/// a WebSocket.
///
/// # Safety
///
/// This is the handler's thread, and `request` its live request.
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
    // SAFETY: the slot is this module's own, and used by the thread of the request alone. It points
    // to `supervision` only while that is on the stack: the handlers are C functions, through which
    // no panic passes.
    let status = unsafe {
        let slot = slot(request);
        if !(*slot).is_null() {
            // The handlers are being run from here already.
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

/// Whether what the handler of `request` answers is what the MPM is told, so that it may be
/// `SUSPENDED`.
pub(super) fn is_answer_heard(request: Request) -> bool {
    request.is_outermost() || supervision_of(request).is_some()
}

/// The `Content-Length` that the client sent, also if a CGI program has had the body.
pub(super) fn content_length(request: &Request) -> Option<&[u8]> {
    match supervision_of(*request) {
        Some(supervision) => supervision.content_length.as_deref(),
        None => request.header(CONTENT_LENGTH),
    }
}

/// What the handler of `request` has to return in place of `answer`. After the 101 response nothing
/// may be answered to the client, whatever has happened.
pub(super) fn settle(request: Request, answer: Answer) -> Answer {
    if !request.has_left_http() {
        return answer;
    }
    let is_suspended = answer == Answer::Suspended;
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

/// The supervision of the chain `request` is in, valid until the handler returns.
fn supervision_of<'a>(request: Request) -> Option<&'a Supervision> {
    // SAFETY: see `supervise`, below which the handler runs if the slot is set.
    unsafe { (*slot(request.outermost())).as_ref() }
}

/// This module's place in the configuration of a request.
fn slot(request: Request) -> *mut *const Supervision {
    // SAFETY: the request is live. The pointer is null at first, and this module puts nothing else
    // there.
    unsafe { slot::slot::<Supervision>((*request.as_ptr()).request_config).cast() }
}
