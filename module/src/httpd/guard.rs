//! The border between Rust and C, which no panic crosses.

use std::panic::{AssertUnwindSafe, catch_unwind};

#[cfg(not(test))]
use super::log::{Level, log_server};

/// Runs the body of a function that C calls, or of one of this module's threads. A panic ends here:
/// it is logged, and the result is `fallback`.
pub fn guard<T>(entry: &str, fallback: T, body: impl FnOnce() -> T) -> T {
    // A panic may leave the body's own data inconsistent, but not memory-unsafe. Each entry works
    // on the data of one request, connection or configuration, which its caller gives up after a
    // panic. A lock that the body held can still be taken: no lock here heeds poisoning.
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|panic| {
        report(&format!("panic in {entry}: {}", message_of(panic.as_ref())));
        fallback
    })
}

#[cfg(not(test))]
fn report(panic: &str) {
    log_server(Level::Error, panic);
}

/// Unit tests have no httpd to log to.
#[cfg(test)]
fn report(panic: &str) {
    eprintln!("{panic}");
}

fn message_of(panic: &(dyn std::any::Any + Send)) -> &str {
    if let Some(message) = panic.downcast_ref::<&str>() {
        message
    } else if let Some(message) = panic.downcast_ref::<String>() {
        message
    } else {
        "no message"
    }
}

#[cfg(test)]
mod tests {
    use super::message_of;
    use std::panic::catch_unwind;

    #[test]
    fn the_text_of_a_panic_is_found_however_it_was_made() {
        let number = 7;
        let literal = catch_unwind(|| panic!("plain")).unwrap_err();
        let formatted = catch_unwind(|| panic!("number {number}")).unwrap_err();
        let value = catch_unwind(|| std::panic::panic_any(number)).unwrap_err();
        assert_eq!(message_of(literal.as_ref()), "plain");
        assert_eq!(message_of(formatted.as_ref()), "number 7");
        assert_eq!(message_of(value.as_ref()), "no message");
    }
}
