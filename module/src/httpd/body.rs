//! The body of a request.

use super::request::Request;
use super::{brigades, sys};

/// Bytes read at a time.
const PIECE: u16 = 16 * 1024;

/// Why a body could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyError {
    /// The body is longer than the limit.
    TooLong,
    /// There is no memory for it.
    NoMemory,
    /// The client has gone, was too slow, or has not sent what it announced.
    Broken,
    /// httpd has refused the body and has answered the request (`LimitRequestBody`).
    Answered,
}

impl Request {
    /// Reads the body, of at most `most` bytes. Only the handler's thread may call this, and only
    /// once. It waits for the client as long as `Timeout` and mod_reqtimeout allow.
    ///
    /// # Errors
    ///
    /// See [`BodyError`]. After an error the connection ends with the response, because nobody
    /// knows where the next request begins.
    pub fn read_body(self, most: usize) -> Result<Vec<u8>, BodyError> {
        let announced = self.header(c"Content-Length").and_then(length);
        let body = if announced.is_some_and(|announced| announced > most) {
            Err(BodyError::TooLong)
        } else {
            self.read_pieces(most)
        };
        if body.is_err() {
            self.end_connection();
        }
        body
    }

    fn read_pieces(self, most: usize) -> Result<Vec<u8>, BodyError> {
        let request = self.as_ptr();
        let mut body = Vec::new();
        let mut piece = vec![0; PIECE.into()];
        // SAFETY: the request is live and this is its handler's thread; the brigade lives in the
        // request's pool, and APR writes at most `length` bytes into the piece.
        unsafe {
            let allocator = (*(*request).connection).bucket_alloc;
            let brigade = sys::apr_brigade_create((*request).pool, allocator);
            loop {
                // A client that waits for "100 Continue" gets it here.
                let status = sys::ap_get_brigade(
                    (*request).input_filters,
                    brigade,
                    sys::AP_MODE_READBYTES,
                    sys::APR_BLOCK_READ,
                    PIECE.into(),
                );
                if status == sys::AP_FILTER_ERROR {
                    return Err(BodyError::Answered);
                }
                if status != sys::APR_SUCCESS {
                    return Err(BodyError::Broken);
                }
                let mut length = piece.len();
                let pointer = piece.as_mut_ptr().cast();
                let status = sys::apr_brigade_flatten(brigade, pointer, &raw mut length);
                let is_end = brigades::has_end_of_body(brigade);
                sys::apr_brigade_cleanup(brigade.cast());
                if status != sys::APR_SUCCESS {
                    return Err(BodyError::Broken);
                }
                if body.len() + length > most {
                    return Err(BodyError::TooLong);
                }
                body.try_reserve(length).map_err(|_| BodyError::NoMemory)?;
                body.extend_from_slice(&piece[..length]);
                if is_end {
                    return Ok(body);
                }
            }
        }
    }
}

/// The length that a `Content-Length` states; `usize::MAX` if it does not fit. httpd has checked
/// its syntax.
fn length(value: &[u8]) -> Option<usize> {
    let text = str::from_utf8(value).ok()?;
    Some(text.trim().parse().unwrap_or(usize::MAX))
}
