//! httpd's variables for a request.

use std::ffi::{CStr, c_char};
use std::mem;
use std::ptr;

use super::Request;
use crate::httpd::sys;

/// mod_ssl's optional function `ssl_var_lookup` (mod_ssl.h).
type SslVarLookup = unsafe extern "C" fn(
    *mut sys::apr_pool_t,
    *mut sys::server_rec,
    *mut sys::conn_rec,
    *mut sys::request_rec,
    *const c_char,
) -> *const c_char;

impl Request {
    /// The value of a variable; null if there is none. First those of the request's environment,
    /// which `SetEnv` and mod_rewrite set; then those that mod_ssl knows, such as
    /// `SSL_CLIENT_S_DN`. Valid while the request is. For the handler's thread.
    #[must_use]
    pub fn variable_ptr(&self, name: &CStr) -> *const c_char {
        // SAFETY: the handler has the request to itself.
        let value = unsafe { sys::apr_table_get(self.get().subprocess_env, name.as_ptr()) };
        if value.is_null() {
            self.ssl_variable(name)
        } else {
            value
        }
    }

    fn ssl_variable(&self, name: &CStr) -> *const c_char {
        let request = self.get();
        // SAFETY: the optional function of this name has this type. mod_ssl registers it while it
        // is loaded, as long as which requests are served. It takes a live request, with its server
        // and connection, and allocates the text from its pool; it does not change the name. It
        // returns an empty text for a variable without a value.
        unsafe {
            let function = sys::apr_dynamic_fn_retrieve(c"ssl_var_lookup".as_ptr());
            let Some(function) = function else {
                return ptr::null();
            };
            let lookup = mem::transmute::<unsafe extern "C" fn(), SslVarLookup>(function);
            let value = lookup(
                request.pool,
                request.server,
                request.connection,
                self.0.as_ptr(),
                name.as_ptr(),
            );
            if value.is_null() || *value == 0 {
                return ptr::null();
            }
            value
        }
    }
}
