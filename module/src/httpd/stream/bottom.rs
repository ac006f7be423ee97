//! The bottom of a connection's filters: what stands between those that change bytes (mod_ssl) and the
//! socket, in place of the core's filters.
//!
//! The core input filter reads 8,000 bytes at a time, half a TLS record, and again to find out that there
//! is nothing more; the core output filter writes each record by itself and waits for the client when it
//! holds 64 KiB. Here records are read many at a time, nobody asks a socket that has just been emptied,
//! and those that are passed together are written together, without ever waiting.

use std::cell::Cell;
use std::ffi::{CStr, c_char};
use std::io;
use std::mem;
use std::ptr::{self, NonNull};

use rustix::io::Errno;

use crate::buffers;
use crate::httpd::guard::guard;
use crate::httpd::socket::Socket;
use crate::httpd::{filters, sys};

/// The name of both filters.
const NAME: &CStr = c"websocket_socket";

/// So much is read at a time: the longest records of TLS, four of them.
const READ_SIZE: usize = 4 * (16 * 1024 + 256);

/// With so many bytes waiting to be sent nothing more is read: mod_ssl answers some records by itself
/// (changes of keys, handshakes that are refused), and a client need not read the answers.
const COLLECT_LIMIT: usize = 256 * 1024;

thread_local! {
    static RECEIVED: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    static COLLECTED: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Registers the filters.
///
/// # Safety
///
/// Called in the hook that registers hooks.
pub unsafe fn register() {
    // Above the core's, which are of the type behind, and below everything else.
    let place = sys::AP_FTYPE_NETWORK - 1;
    // SAFETY: the functions are those of filters, and the name is a constant.
    unsafe {
        sys::ap_register_input_filter(NAME.as_ptr(), Some(read), None, place);
        sys::ap_register_output_filter(NAME.as_ptr(), Some(write), None, place);
    }
}

/// Both filters on one connection, until they are dropped.
///
/// Its functions are unsafe because its filters use what it points to: nothing else happens on the
/// connection during a call.
pub(super) struct Bottom {
    channel: NonNull<Channel>,
    input: *mut sys::ap_filter_t,
    output: *mut sys::ap_filter_t,
}

/// What the filters work on.
struct Channel {
    socket: Socket,
    /// The core input filter has no more bytes that came right behind the request.
    is_core_drained: bool,
    /// The socket was emptied by the read that goes on.
    is_dry: bool,
    /// The read that goes on got nothing more because the client has to take output first.
    is_held_back: bool,
    /// Bytes were received or taken since this was last asked.
    has_moved: bool,
    /// Received and taken up to `taken`.
    received: Vec<u8>,
    taken: usize,
    /// To be sent, and sent up to `sent`.
    collected: Vec<u8>,
    sent: usize,
    has_progressed: bool,
    /// Bytes sent so far.
    total: i64,
}

impl Bottom {
    /// Puts the filters on a connection. `None`: something else stands at the bottom already.
    ///
    /// # Safety
    ///
    /// The connection is live and used by nobody else during the call, and longer than the result.
    pub(super) unsafe fn install(connection: *mut sys::conn_rec, socket: Socket) -> Option<Self> {
        let channel = Box::new(Channel {
            socket,
            is_core_drained: false,
            is_dry: false,
            is_held_back: false,
            has_moved: false,
            received: Vec::new(),
            taken: 0,
            collected: Vec::new(),
            sent: 0,
            has_progressed: false,
            total: 0,
        });
        let channel = NonNull::from(Box::leak(channel));
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

    /// To be called before the filters are asked for bytes.
    pub(super) unsafe fn begin_read(&mut self) {
        // SAFETY: no filter runs.
        let channel = unsafe { self.channel.as_mut() };
        channel.is_dry = false;
        channel.is_held_back = false;
    }

    /// Whether the filters above, which have given nothing, would get more bytes if they were asked again.
    pub(super) unsafe fn holds_input(&mut self) -> bool {
        // SAFETY: no filter runs.
        let channel = unsafe { self.channel.as_ref() };
        !channel.is_held_back && (channel.taken < channel.received.len() || !channel.is_dry)
    }

    /// Whether there may be more bytes, which the filters above get when the client has taken output.
    pub(super) unsafe fn is_held_back(&self) -> bool {
        // SAFETY: no filter runs.
        unsafe { self.channel.as_ref() }.is_held_back
    }

    /// Whether the filters above have got on since this was last asked.
    pub(super) unsafe fn has_moved(&mut self) -> bool {
        // SAFETY: no filter runs.
        mem::take(&mut unsafe { self.channel.as_mut() }.has_moved)
    }

    /// How many bytes were sent so far.
    pub(super) fn sent(&self) -> i64 {
        // SAFETY: no filter runs, as the stream is not in a call.
        unsafe { self.channel.as_ref() }.total
    }

    /// To be called when no more bytes are asked for.
    pub(super) unsafe fn end_read(&mut self) {
        // SAFETY: no filter runs.
        unsafe { self.channel.as_mut() }.release();
    }

    /// Sends what was collected, without waiting. Returns whether nothing is left.
    pub(super) unsafe fn send(&mut self) -> io::Result<bool> {
        // SAFETY: no filter runs.
        unsafe { self.channel.as_mut() }.send()
    }

    /// Whether something was sent since this was last asked.
    pub(super) unsafe fn has_progressed(&mut self) -> bool {
        // SAFETY: no filter runs.
        mem::take(&mut unsafe { self.channel.as_mut() }.has_progressed)
    }
}

impl Drop for Bottom {
    fn drop(&mut self) {
        // SAFETY: the connection is still there (`install`), and no filter runs. Without the filters
        // nobody knows the channel.
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

impl Channel {
    /// At most so many bytes that the client has sent, to be taken.
    fn bytes(&mut self, wanted: usize) -> Result<&[u8], sys::apr_status_t> {
        let held = self.received.len() - self.taken;
        if held < wanted && (held == 0 || !self.is_dry) {
            match self.receive() {
                Err(_) if held > 0 => {}
                result => result?,
            }
        }
        let rest = &self.received[self.taken..];
        Ok(&rest[..rest.len().min(wanted)])
    }

    /// Receives behind what is held.
    fn receive(&mut self) -> Result<(), sys::apr_status_t> {
        if self.is_dry {
            return Err(sys::APR_EAGAIN);
        }
        if self.received.capacity() == 0 {
            self.received = buffers::kept(&RECEIVED);
            self.received.reserve_exact(READ_SIZE);
        }
        self.received.drain(..self.taken);
        self.taken = 0;
        let mut received = mem::take(&mut self.received);
        let free = received.capacity() - received.len();
        if free == 0 {
            // Somebody looks further ahead than any record is long.
            self.received = received;
            return Err(sys::APR_EAGAIN);
        }
        let space = rustix::buffer::spare_capacity(&mut received);
        let result = self.socket.receive(space);
        self.received = received;
        match result {
            Ok(0) => Err(sys::APR_EOF),
            Ok(length) => {
                self.is_dry = length < free;
                self.has_moved = true;
                Ok(())
            }
            Err(Errno::AGAIN | Errno::INTR) => {
                self.is_dry = true;
                Err(sys::APR_EAGAIN)
            }
            Err(error) => Err(error.raw_os_error()),
        }
    }

    fn release(&mut self) {
        if self.taken == self.received.len() {
            self.received.clear();
            self.taken = 0;
            buffers::recycle(&RECEIVED, &mut self.received);
        }
    }

    /// Whether so much waits for the client that it has to take some of it before it is read from.
    fn must_send_first(&mut self) -> bool {
        let is_over = |channel: &Self| channel.collected.len() - channel.sent > COLLECT_LIMIT;
        if is_over(self) {
            // It may take it at once. A failure shows when it is sent again.
            let _ = self.send();
        }
        self.is_held_back = is_over(self);
        self.is_held_back
    }

    fn collect(&mut self, bytes: &[u8]) {
        if self.collected.capacity() == 0 {
            self.collected = buffers::kept(&COLLECTED);
        }
        self.collected.extend_from_slice(bytes);
    }

    fn send(&mut self) -> io::Result<bool> {
        while self.sent < self.collected.len() {
            match self.socket.send(&self.collected[self.sent..]) {
                Ok(sent) => {
                    self.sent += sent;
                    self.has_progressed = true;
                    self.total += i64::try_from(sent).unwrap_or(0);
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(false),
                Err(error) => return Err(error.into()),
            }
        }
        self.collected.clear();
        self.sent = 0;
        buffers::recycle(&COLLECTED, &mut self.collected);
        Ok(true)
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
        // SAFETY: httpd passes a filter that `Bottom` has put there, and runs it during a call of the
        // stream that owns `Bottom`, which uses the channel only between calls.
        unsafe {
            let channel = (*filter).ctx.cast::<Channel>();
            // Nobody waits here, whoever asks for it.
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
                    (*channel).has_moved = true;
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
            let list = (*(*filter).c).bucket_alloc;
            let bucket = sys::apr_bucket_transient_create(bytes.as_ptr().cast(), bytes.len(), list);
            filters::append(brigade, bucket);
            if mode == sys::AP_MODE_READBYTES {
                (*channel).taken += bytes.len();
                (*channel).has_moved = true;
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
                        (*channel).collect(std::slice::from_raw_parts(bytes.cast(), length));
                    }
                }
                // What is not data asks for a flush, and whoever passes it flushes anyway.
                filters::delete(bucket);
            }
            sys::APR_SUCCESS
        }
    })
}

/// Whether nothing but the filter of the core is below.
unsafe fn is_above_core(filter: *const sys::ap_filter_t) -> bool {
    // SAFETY: the caller vouches for the filter, if there is one; its list ends with null.
    unsafe {
        filter
            .as_ref()
            .and_then(|filter| filter.next.as_ref())
            .is_some_and(|next| next.next.is_null())
    }
}
