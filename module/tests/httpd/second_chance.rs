//! A few cases that fail beside others run once more, alone.
//!
//! Eight cases run at a time, thousands of them wait for something within a time limit, and the
//! machine may have other work. A case that passes alone is named at the end, with its error, but
//! does not fail the run. A crash of httpd, a panic of the case and a number of failures never get
//! a second chance.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Result;
use libtest_mimic::Failed;
use xtask::httpd::take_last_log;

use crate::support::{Case, Context};

/// So many failures are an accident. More are a fault.
const MOST: usize = 3;

/// What httpd logs of a child that a signal has ended (`AH00051` and `AH00052`).
const CRASH: &str = "exit signal";

/// The cases that have failed.
#[derive(Clone, Default)]
pub(crate) struct SecondChances(Arc<Mutex<Vec<Failure>>>);

struct Failure {
    context: Context,
    case: &'static Case,
    has_crashed: bool,
}

impl SecondChances {
    /// Runs a case, and remembers it if it fails.
    ///
    /// # Errors
    ///
    /// The error of the case, and the error log of its last server.
    pub(crate) fn run(&self, context: &Context, case: &'static Case) -> Result<(), Failed> {
        run(context, case).inspect_err(|failed| {
            let failure = Failure {
                context: context.clone(),
                case,
                has_crashed: failed.message().is_some_and(|text| text.contains(CRASH)),
            };
            self.lock().push(failure);
        })
    }

    /// Whether all cases have passed, those that failed when they ran again. `failed` is the number
    /// of failures, panics included.
    #[must_use]
    pub(crate) fn have_all_passed(&self, failed: u64) -> bool {
        let failures = std::mem::take(&mut *self.lock());
        let has_chance = failures.len() <= MOST
            && u64::try_from(failures.len()) == Ok(failed)
            && failures.iter().all(|failure| !failure.has_crashed);
        has_chance && failures.iter().all(Failure::passes_alone)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Failure>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Failure {
    fn passes_alone(&self) -> bool {
        let mut line = format!("{}: {}: failed beside others", self.context, self.case.name);
        let again = run(&self.context, self.case);
        let outcome = match &again {
            Ok(()) => write!(line, ", and passes alone. Find out what it needs"),
            Err(failed) => {
                let text = failed.message().unwrap_or_default();
                write!(line, ", and alone: {text}")
            }
        };
        outcome.expect("a string takes any text");
        println!("{line}");
        again.is_ok()
    }
}

fn run(context: &Context, case: &Case) -> Result<(), Failed> {
    // Of another case that has run on this thread.
    drop(take_last_log());
    (case.run)(context).map_err(|error| {
        let log = take_last_log().map(|log| format!("\nThe last server's error log:\n{log}"));
        format!("{error:#}{}", log.unwrap_or_default()).into()
    })
}
