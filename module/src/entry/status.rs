//! What the page of mod_status says of WebSockets.

#![allow(unsafe_code)]

use std::ffi::c_int;
use std::fmt::Write as _;
use std::{mem, ptr};

use crate::httpd::guard::guard;
use crate::httpd::scoreboard::{self, Open};
use crate::httpd::sys;

/// What mod_status calls its hook with.
type StatusHook = unsafe extern "C" fn(*mut sys::request_rec, c_int) -> c_int;

/// Hooks into mod_status, whether it is loaded or not.
///
/// # Safety
///
/// httpd is just having this module register its hooks.
pub(super) unsafe fn hook() {
    let status: StatusHook = status;
    // SAFETY: the caller vouches for the moment. APR keeps the function as one of any type;
    // mod_status calls it as `StatusHook` (mod_status.h).
    unsafe {
        let any: unsafe extern "C" fn() = mem::transmute(status);
        sys::apr_optional_hook_add(
            c"status_hook".as_ptr(),
            Some(any),
            ptr::null(),
            ptr::null(),
            sys::APR_HOOK_MIDDLE,
        );
    }
}

unsafe extern "C" fn status(request: *mut sys::request_rec, flags: c_int) -> c_int {
    guard("status_hook", sys::DECLINED, || {
        let children = scoreboard::children();
        let accepted = scoreboard::accepted();
        let text = if flags & sys::AP_STATUS_SHORT != 0 {
            lines(&children, accepted)
        } else {
            page(&children, accepted, flags & sys::AP_STATUS_NOTABLE == 0)
        };
        let length = c_int::try_from(text.len()).unwrap_or(0);
        // SAFETY: mod_status passes the live request it answers; the text lives until the call
        // returns.
        unsafe { sys::ap_rwrite(text.as_ptr().cast(), length, request) };
        sys::OK
    })
}

/// For programs.
fn lines(children: &[(u32, Open)], accepted: u64) -> String {
    let Open {
        event_driven,
        detached,
        with_thread,
    } = sum(children);
    format!(
        "WebSocketsEventDriven: {event_driven}\nWebSocketsDetached: {detached}\n\
         WebSocketsWithThread: {with_thread}\nWebSocketsAccepted: {accepted}\n"
    )
}

/// For people: the sums, and which process has how many.
fn page(children: &[(u32, Open)], accepted: u64, has_table: bool) -> String {
    let Open {
        event_driven,
        detached,
        with_thread,
    } = sum(children);
    let mut page = format!(
        "<hr>\n<h2>WebSockets</h2>\n<dl>\n\
         <dt>Open: {event_driven} event-driven, {detached} detached, {with_thread} with a thread</dt>\n\
         <dt>Accepted since httpd was started: {accepted}</dt>\n</dl>\n"
    );
    if has_table && !children.is_empty() {
        page += "<table rules=\"all\" cellpadding=\"1%\">\n<tr><th>PID</th><th>Event-driven</th>\
                 <th>Detached</th><th>With a thread</th></tr>\n";
        for (pid, open) in children {
            // A string takes all that is written to it.
            let _ = writeln!(
                page,
                "<tr><td>{pid}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
                open.event_driven, open.detached, open.with_thread
            );
        }
        page += "</table>\n";
    }
    page
}

fn sum(children: &[(u32, Open)]) -> Open {
    children
        .iter()
        .fold(Open::default(), |sum, (_, open)| Open {
            event_driven: sum.event_driven + open.event_driven,
            detached: sum.detached + open.detached,
            with_thread: sum.with_thread + open.with_thread,
        })
}
