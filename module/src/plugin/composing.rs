//! The functions of the table for a message that a plugin writes piece by piece.

use std::ffi::c_int;

use websocket_plugin::abi;

use super::arguments::{bytes, refuse_to_send};
use super::attachment::Attachment;
use super::server::with_attached;
use crate::httpd::log::Level;
use crate::output::{NotComposed, Rest};
use crate::protocol::Opcode;

pub(super) unsafe extern "system" fn begin(
    server: *const abi::WebSocketServer,
    kind: c_int,
) -> c_int {
    // SAFETY: a plugin passes the table it was given.
    unsafe {
        with_attached(server, abi::SEND_CLOSED, |attached, _| {
            let opcode = match kind {
                abi::MESSAGE_TYPE_TEXT => Opcode::Text,
                abi::MESSAGE_TYPE_BINARY => Opcode::Binary,
                _ => return None,
            };
            let is_begun = attached.output().begin_message(opcode).ok()?;
            Some(if is_begun {
                abi::SEND_ACCEPTED
            } else {
                abi::SEND_BUSY
            })
        })
    }
}

pub(super) unsafe extern "system" fn write(
    server: *const abi::WebSocketServer,
    piece: *const u8,
    length: usize,
    how: c_int,
) -> c_int {
    // SAFETY: a plugin passes the table it was given and as many bytes as it says.
    unsafe {
        with_attached(server, abi::SEND_CLOSED, |attached, caller| {
            let Some(bytes) = bytes(piece, length) else {
                refuse_to_send(attached, piece.is_null(), length);
                attached.output().lose_message(caller);
                return None;
            };
            let rest = match how {
                abi::WRITE_MORE => Rest::More,
                abi::WRITE_FLUSH => Rest::Later,
                _ => Rest::Nothing,
            };
            if attached.traces_frames() {
                trace_piece(attached, length, rest);
            }
            Some(match attached.output().compose(bytes, rest, caller) {
                Ok(()) => abi::SEND_ACCEPTED,
                Err(NotComposed::Busy) => abi::SEND_BUSY,
                Err(NotComposed::Closed) => abi::SEND_CLOSED,
            })
        })
    }
}

#[cold]
fn trace_piece(attached: &Attachment, length: usize, rest: Rest) {
    let which = if rest == Rest::Nothing {
        "the last"
    } else {
        "a"
    };
    let text = format!("the plugin writes {which} piece of a message, {length} bytes");
    attached.log(Level::Trace4, &text);
}
