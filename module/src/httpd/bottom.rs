//! The lowest filters of a connection. They stand between the filters that change bytes (mod_ssl)
//! and the socket, in place of the core's filters.
//!
//! The core input filter reads 8,000 bytes at a time, which is half a TLS record, and reads once
//! more to find that there is nothing left. The core output filter writes each record by itself,
//! and waits for the client when it holds 64 KiB. The filters here read many records at a time, do
//! not ask a socket that they have just emptied, and write together what was passed together. They
//! never wait.

mod channel;

use std::ffi::{CStr, c_char};
use std::io;
use std::ptr::{self, NonNull};
use std::slice;

use super::guard::guard;
use super::socket::Socket;
use super::{filters, sys};
use channel::Channel;

/// The name of both filters.
const NAME: &CStr = c"websocket_socket";

/// Registers the filters.
///
/// # Safety
///
/// Called in the hook that registers hooks.
pub unsafe fn register() {
    // Just above the core's filters, which are of the type `AP_FTYPE_NETWORK`, and below all
    // others.
    let place = sys::AP_FTYPE_NETWORK - 1;
    // SAFETY: the functions are those of filters, and the name is a constant.
    unsafe {
        sys::ap_register_input_filter(NAME.as_ptr(), Some(read), None, place);
        sys::ap_register_output_filter(NAME.as_ptr(), Some(write), None, place);
    }
}

/// Both filters of one connection. Dropping this removes them.
///
/// [`FilteredConn`](super::filtered::FilteredConn) owns it and runs the filters of the connection.
/// So no filter runs while a reference to this exists.
pub struct Bottom {
    /// From a `Box`. The filters have the same pointer.
    channel: NonNull<Channel>,
    input: *mut sys::ap_filter_t,
    output: *mut sys::ap_filter_t,
}

impl Bottom {
    /// Puts the filters on a connection. Returns `None` if other filters than the core's are at the
    /// bottom already.
    ///
    /// # Safety
    ///
    /// The connection is live, and lives longer than the result. Nobody else uses it during the
    /// call, and its filters run only while nobody has a reference to the result.
    pub(super) unsafe fn install(connection: *mut sys::conn_rec, socket: Socket) -> Option<Self> {
        let channel = NonNull::from(Box::leak(Box::new(Channel::new(socket))));
        let context = channel.as_ptr().cast();
        // SAFETY: the caller vouches for the connection; the filters get what they expect.
        let bottom = unsafe {
            let null = ptr::null_mut();
            Self {
                channel,
                input: sys::ap_add_input_filter(NAME.as_ptr(), context, null, connection),
                output: sys::ap_add_output_filter(NAME.as_ptr(), context, null, connection),
            }
        };
        // SAFETY: the filters are on the live connection, if they are there.
        unsafe { is_above_core(bottom.input) && is_above_core(bottom.output) }.then_some(bottom)
    }

    fn channel(&self) -> &Channel {
        // SAFETY: no filter runs (`install`), and nobody else has the pointer.
        unsafe { self.channel.as_ref() }
    }

    fn channel_mut(&mut self) -> &mut Channel {
        // SAFETY: as in `channel`.
        unsafe { self.channel.as_mut() }
    }

    /// Must be called before the filters are asked for bytes.
    pub fn begin_read(&mut self) {
        self.channel_mut().begin_read();
    }

    /// Whether the filters above, which have given nothing, could get more bytes if they were asked
    /// again.
    #[must_use]
    pub fn holds_input(&self) -> bool {
        self.channel().holds_input()
    }

    /// Whether the filters above get no more bytes until the client has taken output.
    #[must_use]
    pub fn is_held_back(&self) -> bool {
        self.channel().is_held_back()
    }

    /// Whether bytes have been received, or taken by the filters above, since the last call.
    pub fn has_moved(&mut self) -> bool {
        self.channel_mut().has_moved()
    }

    /// Must be called when no more bytes are asked for.
    pub fn end_read(&mut self) {
        self.channel_mut().release();
    }

    /// Sends what was collected, without waiting. Returns whether nothing is left.
    ///
    /// # Errors
    ///
    /// When the connection is broken.
    pub fn send(&mut self) -> io::Result<bool> {
        self.channel_mut().send()
    }

    /// Whether bytes were sent since the last call.
    pub fn has_progressed(&mut self) -> bool {
        self.channel_mut().has_progressed()
    }

    /// How many bytes have been sent so far.
    pub(super) fn sent(&self) -> i64 {
        self.channel().total
    }
}

impl Drop for Bottom {
    fn drop(&mut self) {
        // SAFETY: the connection is still there, and no filter runs (`install`). Without the
        // filters nobody knows the channel, which comes from a box.
        unsafe {
            if !self.input.is_null() {
                sys::ap_remove_input_filter(self.input);
            }
            if !self.output.is_null() {
                sys::ap_remove_output_filter(self.output);
            }
            drop(Box::from_raw(self.channel.as_ptr()));
        }
    }
}

/// The input filter (`ap_in_filter_func`).
unsafe extern "C" fn read(
    filter: *mut sys::ap_filter_t,
    brigade: *mut sys::apr_bucket_brigade,
    mode: sys::ap_input_mode_t,
    block: sys::apr_read_type_e,
    wanted: sys::apr_off_t,
) -> sys::apr_status_t {
    guard("the input filter", sys::APR_EGENERAL, || {
        if mode != sys::AP_MODE_READBYTES && mode != sys::AP_MODE_SPECULATIVE {
            return sys::APR_ENOTIMPL;
        }
        // SAFETY: httpd passes a filter that `Bottom` has put there, and runs it while nobody has a
        // reference to the `Bottom` (`Bottom::install`), so the channel is this call's.
        unsafe {
            let channel = (*filter).ctx.cast::<Channel>();
            // This filter never waits, even if it is asked to.
            let nothing = match block {
                sys::APR_BLOCK_READ => sys::APR_TIMEUP,
                _ => sys::APR_EAGAIN,
            };
            if (*channel).must_send_first() {
                return nothing;
            }
            if !(*channel).is_core_drained {
                let status = sys::ap_get_brigade((*filter).next, brigade, mode, block, wanted);
                let is_drained = matches!(status, sys::APR_EAGAIN | sys::APR_EBADF)
                    || status == sys::APR_SUCCESS && filters::buckets(brigade).next().is_none();
                if !is_drained {
                    (*channel).note_move();
                    return status;
                }
                (*channel).is_core_drained = true;
            }
            let wanted = usize::try_from(wanted).unwrap_or(0);
            let bytes = match (*channel).bytes(wanted) {
                Ok(bytes) => bytes,
                Err(sys::APR_EAGAIN) => return nothing,
                Err(status) => return status,
            };
            let length = bytes.len();
            let list = (*(*filter).c).bucket_alloc;
            let bucket = sys::apr_bucket_transient_create(bytes.as_ptr().cast(), length, list);
            filters::append(brigade, bucket);
            if mode == sys::AP_MODE_READBYTES {
                (*channel).take(length);
            }
            sys::APR_SUCCESS
        }
    })
}

/// The output filter (`ap_out_filter_func`).
unsafe extern "C" fn write(
    filter: *mut sys::ap_filter_t,
    brigade: *mut sys::apr_bucket_brigade,
) -> sys::apr_status_t {
    guard("the output filter", sys::APR_EGENERAL, || {
        // SAFETY: as for `read`. Buckets are read before they are removed from the brigade.
        unsafe {
            let channel = (*filter).ctx.cast::<Channel>();
            while let Some(bucket) = filters::buckets(brigade).next() {
                let (mut bytes, mut length): (*const c_char, usize) = (ptr::null(), 0);
                let kind = (*bucket).type_;
                if (*kind).is_metadata == sys::APR_BUCKET_DATA {
                    let Some(read) = (*kind).read else {
                        return sys::APR_ENOTIMPL;
                    };
                    let status = read(bucket, &raw mut bytes, &raw mut length, sys::APR_BLOCK_READ);
                    if status != sys::APR_SUCCESS {
                        return status;
                    }
                    if length > 0 {
                        (*channel).collect(slice::from_raw_parts(bytes.cast(), length));
                    }
                }
                // A bucket without data asks for a flush. The caller that passed it flushes anyway.
                filters::delete(bucket);
            }
            sys::APR_SUCCESS
        }
    })
}

/// Whether only the core's filter is below.
unsafe fn is_above_core(filter: *const sys::ap_filter_t) -> bool {
    // SAFETY: the caller vouches for the filter, if there is one; its list ends with null.
    unsafe {
        filter
            .as_ref()
            .and_then(|filter| filter.next.as_ref())
            .is_some_and(|next| next.next.is_null())
    }
}
