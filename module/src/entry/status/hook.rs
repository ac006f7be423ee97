//! What the page of mod_status says of WebSockets.

use std::ffi::c_int;
use std::fmt::Write as _;
use std::{mem, ptr};

use crate::httpd::guard::guard;
use crate::httpd::scoreboard::{Open, Process, Report, report};
use crate::httpd::sys;

/// What mod_status calls its hook with.
type StatusHook = unsafe extern "C" fn(*mut sys::request_rec, c_int) -> c_int;

/// Hooks into mod_status, whether it is loaded or not.
///
/// # Safety
///
/// httpd is just having this module register its hooks.
pub(in crate::entry) unsafe fn hook() {
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
        let report = report();
        let text = if flags & sys::AP_STATUS_SHORT != 0 {
            lines(&report)
        } else {
            page(&report, flags & sys::AP_STATUS_NOTABLE == 0)
        };
        let length = c_int::try_from(text.len()).unwrap_or(0);
        // SAFETY: mod_status passes the live request it answers; the text lives until the call
        // returns.
        unsafe { sys::ap_rwrite(text.as_ptr().cast(), length, request) };
        sys::OK
    })
}

/// For programs.
fn lines(report: &Report) -> String {
    let Open {
        event_driven,
        detached,
        with_thread,
    } = open(report);
    let Sums {
        accepted,
        received,
        sent,
        queued,
        refused,
    } = Sums::of(report);
    format!(
        "WebSocketsEventDriven: {event_driven}\nWebSocketsDetached: {detached}\n\
         WebSocketsWithThread: {with_thread}\nWebSocketsAccepted: {accepted}\n\
         WebSocketsRefused: {refused}\nWebSocketsMessagesReceived: {}\n\
         WebSocketsMessagesSent: {}\nWebSocketsBytesReceived: {}\nWebSocketsBytesSent: {}\n\
         WebSocketsBytesQueued: {queued}\n",
        received[0], sent[0], received[1], sent[1]
    )
}

/// For people: the sums, and which process has how many.
fn page(report: &Report, has_table: bool) -> String {
    let Open {
        event_driven,
        detached,
        with_thread,
    } = open(report);
    let Sums {
        accepted,
        received,
        sent,
        queued,
        refused,
    } = Sums::of(report);
    let mut page = format!(
        "<hr>\n<h2>WebSockets</h2>\n<dl>\n\
         <dt>Open: {event_driven} event-driven, {detached} detached, {with_thread} with a thread</dt>\n\
         <dt>Accepted since httpd was started: {accepted}; refused: {refused}</dt>\n\
         <dt>Messages received: {} ({} bytes); sent: {} ({} bytes); queued: {queued} bytes</dt>\n\
         </dl>\n",
        received[0], received[1], sent[0], sent[1]
    );
    let is_used = |process: &&Process| process.open != Open::default();
    let processes: Vec<_> = report.processes.iter().filter(is_used).collect();
    if has_table && !processes.is_empty() {
        page += "<table rules=\"all\" cellpadding=\"1%\">\n<tr><th>PID</th><th>Event-driven</th>\
                 <th>Detached</th><th>With a thread</th></tr>\n";
        for Process { pid, open, .. } in processes {
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

fn open(report: &Report) -> Open {
    let processes = report.processes.iter();
    processes.fold(Open::default(), |sum, process| sum.plus(process.open))
}

/// What is shown of all locations together.
#[derive(Default)]
struct Sums {
    accepted: u64,
    /// Messages and bytes.
    received: [u64; 2],
    sent: [u64; 2],
    queued: u64,
    refused: u64,
}

impl Sums {
    fn of(report: &Report) -> Self {
        let mut sums = Self::default();
        for series in &report.series {
            sums.accepted += series.accepted;
            sums.received[0] += series.received[0];
            sums.received[1] += series.received[1];
            sums.sent[0] += series.sent[0];
            sums.sent[1] += series.sent[1];
            sums.queued += series.queued;
            sums.refused += series.refused.iter().sum::<u64>();
        }
        sums
    }
}
