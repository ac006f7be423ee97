//! The filters of a connection that stops speaking HTTP.

use std::ffi::CStr;
use std::ptr::{self, NonNull};

use super::pool::bytes;
use super::sys;

/// Filters to remove: they exist only for requests, or would disturb a long-lived connection.
/// mod_reqtimeout takes everything for a request body that arrives too slowly, and mod_ssl's
/// coalescing filter holds back what should go out.
const INPUT: [&CStr; 2] = [c"HTTP_IN", c"reqtimeout"];
const OUTPUT: [&CStr; 1] = [c"SSL/TLS Coalescing Filter"];

/// Filters that pass bytes on unchanged and keep none, so that the socket may be used directly
/// while they are in place; and `reqtimeout`, which is removed. mod_logio's filter counts bytes,
/// for which its optional functions serve as well.
const TRANSPARENT_INPUT: [&[u8]; 3] = [b"core_in", b"reqtimeout", b"log_input_output"];
const TRANSPARENT_OUTPUT: [&[u8]; 3] = [b"core", b"reqtimeout", b"log_input_output"];

/// The name of filters that read and write nothing. They are for redirected requests whose
/// connection another request has taken from HTTP, and for a response that only collects headers.
const NOTHING: &CStr = c"websocket_nothing";

/// Registers the filters.
///
/// # Safety
///
/// Called in the hook that registers hooks.
pub unsafe fn register() {
    // SAFETY: the functions are those of filters, and the name is a constant.
    unsafe {
        let place = sys::AP_FTYPE_PROTOCOL;
        sys::ap_register_input_filter(NOTHING.as_ptr(), Some(read_nothing), None, place);
        sys::ap_register_output_filter(NOTHING.as_ptr(), Some(write_nothing), None, place);
    }
}

/// Takes the HTTP filters of a chain of requests away. From now on the bytes of the connection are
/// those of the first request, which is the one that is answered. The other requests read and write
/// nothing, whatever their handlers still do.
///
/// # Safety
///
/// The requests are live, and this is their handlers' thread.
pub unsafe fn leave_http(chain: impl Iterator<Item = NonNull<sys::request_rec>>) {
    // SAFETY: the caller vouches for the requests, which have one connection.
    unsafe {
        for (position, request) in chain.enumerate() {
            let request = request.as_ptr();
            let connection = (*request).connection;
            if position == 0 {
                for name in INPUT {
                    sys::ap_remove_input_filter_byhandle((*request).input_filters, name.as_ptr());
                }
                for name in OUTPUT {
                    let filters = (*connection).output_filters;
                    sys::ap_remove_output_filter_byhandle(filters, name.as_ptr());
                }
                (*connection).keepalive = sys::AP_CONN_CLOSE;
            }
            (*request).input_filters = (*connection).input_filters;
            (*request).proto_input_filters = (*connection).input_filters;
            (*request).output_filters = (*connection).output_filters;
            (*request).proto_output_filters = (*connection).output_filters;
            (*request).sent_bodyct = 1;
            // mod_http2 ends the stream at the end mark of the response. So httpd must still pass
            // that mark on when the handler has returned.
            if position > 0 || (*connection).master.is_null() {
                (*request).eos_sent = 1;
            }
            if position > 0 {
                add_nothing(request);
            }
        }
    }
}

/// Adds filters to a request that read and write nothing.
///
/// # Safety
///
/// The request is live, and this is its handler's thread.
pub(super) unsafe fn add_nothing(request: *mut sys::request_rec) {
    // SAFETY: the caller vouches for the request; the filter is registered.
    unsafe {
        let connection = (*request).connection;
        sys::ap_add_input_filter(NOTHING.as_ptr(), ptr::null_mut(), request, connection);
        add_sink(request);
    }
}

/// Adds an output filter to a request that discards everything.
///
/// # Safety
///
/// The request is live, and this is its handler's thread.
pub unsafe fn add_sink(request: *mut sys::request_rec) {
    // SAFETY: the caller vouches for the request; the filter is registered.
    unsafe {
        let connection = (*request).connection;
        sys::ap_add_output_filter(NOTHING.as_ptr(), ptr::null_mut(), request, connection);
    }
}

unsafe extern "C" fn read_nothing(
    _filter: *mut sys::ap_filter_t,
    _brigade: *mut sys::apr_bucket_brigade,
    _mode: sys::ap_input_mode_t,
    _block: sys::apr_read_type_e,
    _length: sys::apr_off_t,
) -> sys::apr_status_t {
    sys::APR_EOF
}

unsafe extern "C" fn write_nothing(
    _filter: *mut sys::ap_filter_t,
    brigade: *mut sys::apr_bucket_brigade,
) -> sys::apr_status_t {
    // SAFETY: httpd passes a live brigade to a filter, which has it to itself.
    unsafe { sys::apr_brigade_cleanup(brigade.cast()) }
}

/// Whether no filter stands between the connection's bytes and its socket.
///
/// # Safety
///
/// `connection` is live and no other thread changes its filters.
pub unsafe fn are_transparent(connection: *const sys::conn_rec) -> bool {
    // SAFETY: the caller vouches for the connection; its filters are linked lists that end with
    // null.
    unsafe {
        all((*connection).input_filters, &TRANSPARENT_INPUT)
            && all((*connection).output_filters, &TRANSPARENT_OUTPUT)
    }
}

/// Makes the core output filter write as much of what it holds as it can without waiting. event.c
/// does the same; `ap_pass_brigade` does not accept the null brigade.
///
/// # Safety
///
/// The caller has the live connection to itself.
pub unsafe fn flush_core(connection: *mut sys::conn_rec) -> sys::apr_status_t {
    // SAFETY: the last output filter is always the core's, whose function takes a null brigade.
    unsafe {
        let core = last((*connection).output_filters);
        match (*(*core).frec).filter_func.out_func {
            Some(write) => write(core, ptr::null_mut()),
            None => sys::APR_SUCCESS,
        }
    }
}

/// The last filter of a connection, which is the core's.
///
/// # Safety
///
/// `filter` is one of a live connection, and nobody changes its filters meanwhile.
pub(super) unsafe fn last(mut filter: *mut sys::ap_filter_t) -> *mut sys::ap_filter_t {
    // SAFETY: the caller vouches for the filter; its list ends with null.
    unsafe {
        while !(*filter).next.is_null() {
            filter = (*filter).next;
        }
    }
    filter
}

/// The sentinel of a brigade, which the last bucket links to and the first one back to
/// (`APR_BRIGADE_SENTINEL`).
///
/// # Safety
///
/// The brigade is live.
pub(super) unsafe fn end(brigade: *mut sys::apr_bucket_brigade) -> *mut sys::apr_bucket {
    // SAFETY: the caller vouches for the brigade. A brigade is a ring through the `link` of its
    // buckets, which is their first field, and through its own `list` (apr_ring.h).
    unsafe { (&raw mut (*brigade).list).cast() }
}

/// `APR_BRIGADE_INSERT_TAIL`, which is a macro.
///
/// # Safety
///
/// The caller has both to itself. The bucket is in no brigade.
pub unsafe fn append(brigade: *mut sys::apr_bucket_brigade, bucket: *mut sys::apr_bucket) {
    // SAFETY: the caller vouches for both. Afterwards they are links of one ring (`end`).
    unsafe {
        let sentinel = end(brigade);
        let last = (*brigade).list.prev;
        (*bucket).link.next = sentinel;
        (*bucket).link.prev = last;
        (*last).link.next = bucket;
        (*brigade).list.prev = bucket;
    }
}

/// `apr_bucket_delete`, which is a macro.
///
/// # Safety
///
/// The caller has the bucket to itself, and the brigade it is in.
pub unsafe fn delete(bucket: *mut sys::apr_bucket) {
    // SAFETY: the caller vouches for both; `end` describes the ring. A bucket is destroyed and
    // freed by its own functions (apr_buckets.h).
    unsafe {
        let sys::apr_bucket__bindgen_ty_1 { next, prev } = (*bucket).link;
        (*prev).link.next = next;
        (*next).link.prev = prev;
        if let Some(destroy) = (*(*bucket).type_).destroy {
            destroy((*bucket).data);
        }
        if let Some(free) = (*bucket).free {
            free(bucket.cast());
        }
    }
}

/// The buckets of a brigade, in order.
///
/// # Safety
///
/// The caller has the brigade to itself, and does not change it until it has dropped the result.
pub unsafe fn buckets(
    brigade: *mut sys::apr_bucket_brigade,
) -> impl Iterator<Item = *mut sys::apr_bucket> {
    // SAFETY: the caller vouches for the brigade; each link leads to a bucket or to the end.
    let (sentinel, mut next) = unsafe { (end(brigade), (*brigade).list.next) };
    std::iter::from_fn(move || {
        let bucket = (next != sentinel).then_some(next)?;
        // SAFETY: as above.
        next = unsafe { (*bucket).link.next };
        Some(bucket)
    })
}

unsafe fn all(mut filter: *const sys::ap_filter_t, allowed: &[&[u8]]) -> bool {
    // SAFETY: see `are_transparent`; a filter's record and its name are constants of their module.
    unsafe {
        while let Some(this) = filter.as_ref() {
            let name = bytes((*this.frec).name).unwrap_or_default();
            if !allowed
                .iter()
                .any(|allowed| allowed.eq_ignore_ascii_case(name))
            {
                return false;
            }
            filter = this.next;
        }
    }
    true
}
