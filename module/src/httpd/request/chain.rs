//! The chain of requests that leads to the one httpd is answering.
//!
//! An internal redirect (mod_rewrite in a directory, `Action`, the `Location` header of a CGI
//! program, a local `ErrorDocument`) makes a new request, whose `prev` is the redirected one. All
//! requests of such a chain share one pool, one connection and the protocol filters. The
//! *outermost* one is what the client asked for. A request that makes a part of another request's
//! page (mod_include) is a sub-request: it has a `main`.

use std::ffi::c_int;
use std::fmt;
use std::iter;
use std::ptr::NonNull;

use super::Request;
use crate::httpd::sys;

/// Why a request is never upgraded, even if it asks for a WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// It makes a part of another request's response.
    SubRequest,
    /// It answers for a request that failed with this status.
    AnswerToError(c_int),
    /// The response has begun.
    ResponseBegun,
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SubRequest => f.write_str("it is a sub-request"),
            Self::AnswerToError(status) => write!(f, "it is the answer to an error ({status})"),
            Self::ResponseBegun => f.write_str("the response has begun"),
        }
    }
}

/// The state of one request of a chain, as far as it matters here.
#[derive(Clone, Copy, Debug)]
struct State {
    status: c_int,
    is_sub_request: bool,
    has_response_begun: bool,
}

/// Whether the innermost request of a chain may be upgraded.
fn check(chain: impl IntoIterator<Item = State>) -> Result<(), Obstacle> {
    chain.into_iter().try_for_each(|state| {
        if state.is_sub_request {
            Err(Obstacle::SubRequest)
        } else if state.status != sys::HTTP_OK {
            Err(Obstacle::AnswerToError(state.status))
        } else if state.has_response_begun {
            Err(Obstacle::ResponseBegun)
        } else {
            Ok(())
        }
    })
}

impl Request {
    /// This request, then the one that was redirected to it, and so on to the outermost one.
    pub fn chain(self) -> impl Iterator<Item = NonNull<sys::request_rec>> {
        // SAFETY: the requests of a chain are in one pool, so all of them live as long as this one.
        iter::successors(Some(self.0), |request| unsafe {
            NonNull::new(request.as_ref().prev)
        })
    }

    /// Checks that a WebSocket may take the place of this request's response. It may not replace a
    /// part of a page, the report of an error, or a response that has begun. For the handler's
    /// thread.
    ///
    /// # Errors
    ///
    /// The first obstacle.
    pub fn check_chain(self) -> Result<(), Obstacle> {
        check(self.chain().map(|request| {
            // SAFETY: as in `chain`; the handler's thread has the requests to itself.
            let request = unsafe { request.as_ref() };
            State {
                status: request.status,
                is_sub_request: !request.main.is_null(),
                has_response_begun: request.sent_bodyct != 0,
            }
        }))
    }

    /// The request that the client sent, as opposed to those that httpd made of it.
    pub fn outermost(self) -> Self {
        Self(self.chain().last().unwrap_or(self.0))
    }

    /// Whether the client sent this request itself.
    pub fn is_outermost(&self) -> bool {
        self.get().prev.is_null() && self.get().main.is_null()
    }

    /// The method as the client wrote it, even where a redirect has changed it to `GET`, as
    /// redirects of CGI programs do.
    #[must_use]
    pub fn method(&self) -> &[u8] {
        if self.is_outermost() {
            return self.text(self.get().method).unwrap_or_default();
        }
        let line = self.text(self.get().the_request).unwrap_or_default();
        line.split(|&byte| byte == b' ').next().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::{Obstacle, State, check};

    const FINE: State = State {
        status: 200,
        is_sub_request: false,
        has_response_begun: false,
    };

    #[test]
    fn a_request_may_be_upgraded_at_the_end_of_any_chain_of_redirects() {
        for length in 1..=10 {
            assert_eq!(check(vec![FINE; length]), Ok(()));
        }
    }

    #[test]
    fn one_obstacle_anywhere_in_the_chain_is_enough() {
        let obstacles = [
            (
                State {
                    is_sub_request: true,
                    ..FINE
                },
                Obstacle::SubRequest,
            ),
            (
                State {
                    status: 401,
                    ..FINE
                },
                Obstacle::AnswerToError(401),
            ),
            (
                State {
                    has_response_begun: true,
                    ..FINE
                },
                Obstacle::ResponseBegun,
            ),
        ];
        for (state, obstacle) in obstacles {
            for position in 0..4 {
                let mut chain = [FINE; 4];
                chain[position] = state;
                assert_eq!(check(chain), Err(obstacle), "{position}");
            }
        }
    }
}
