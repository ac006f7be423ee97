//! The border that no panic crosses.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::log::{Level, log_server};

/// Runs the body of a function that C calls. A panic ends here: it is logged, and C receives
/// `fallback`.
pub fn guard<T>(entry: &str, fallback: T, body: impl FnOnce() -> T) -> T {
    // A body that panicked half way may leave its own data inconsistent, but not memory-unsafe; every
    // entry works on the data of one request or one configuration, which its caller then gives up.
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|panic| {
        log_server(
            Level::Error,
            &format!("panic in {entry}: {}", message_of(panic.as_ref())),
        );
        fallback
    })
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
