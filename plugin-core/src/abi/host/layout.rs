//! Compares two layouts and describes the difference in one line for the log.

use super::IncompatibleError;
use abi_stable::abi_stability::abi_checking::{
    AbiInstability, AbiInstabilityError, CheckingGlobals, ExpectedFound,
    check_layout_compatibility_with_globals,
};
use abi_stable::type_layout::{TLFieldOrFunction, TypeLayout};
use std::fmt::Display;

/// Whether a module that knows `expected` can use a plugin with the layout `found`.
///
/// Either side may be newer and have more fields at the end. `abi_stable` must be told which side
/// that is, so this tries both.
pub(super) fn check(
    expected: &'static TypeLayout,
    found: &'static TypeLayout,
) -> Result<(), IncompatibleError> {
    let newer_plugin = check_newer(expected, found);
    newer_plugin.or_else(|differences| {
        check_newer(found, expected).map_err(|_| IncompatibleError(differences.join("; ")))
    })
}

/// Compares the layouts with an empty cache. `abi_stable`'s public function caches the layouts that
/// it has seen in a global map. They lie in the plugin's library, which httpd unloads between two
/// readings of its configuration.
fn check_newer(old: &'static TypeLayout, new: &'static TypeLayout) -> Result<(), Vec<String>> {
    check_layout_compatibility_with_globals(old, new, &CheckingGlobals::new()).map_err(|e| {
        e.errors
            .iter()
            .filter(|e| !e.errs.is_empty())
            .map(describe)
            .collect()
    })
}

fn describe(error: &AbiInstabilityError) -> String {
    let differences: Vec<String> = error.errs.iter().map(difference).collect();
    format!("`{}`: {}", path(error), differences.join(", "))
}

/// The path to the difference, from the table inwards. `skip` leaves out the pointer to the table,
/// and `dedup` the name of a function, which repeats that of its field.
fn path(error: &AbiInstabilityError) -> String {
    let mut path = vec!["Extension"];
    path.extend(
        error
            .stack_trace
            .iter()
            .skip(1)
            .map(|step| name(&step.expected)),
    );
    path.dedup();
    path.join(".")
}

fn name(step: &TLFieldOrFunction) -> &'static str {
    match step {
        TLFieldOrFunction::Field(field) => field.name(),
        TLFieldOrFunction::Function(function) => function.name.as_str(),
    }
}

fn difference(difference: &AbiInstability) -> String {
    match difference {
        AbiInstability::UnexpectedField(f) => either(
            format_args!("field `{}`", f.expected.name()),
            format_args!("`{}`", f.found.name()),
        ),
        AbiInstability::FieldCountMismatch(n) => format!("number of fields: {}", pair(n)),
        AbiInstability::MismatchedPrefixSize(n) => format!("number of first fields: {}", pair(n)),
        AbiInstability::Size(n) => format!("size: {}", pair(n)),
        AbiInstability::Alignment(n) => format!("alignment: {}", pair(n)),
        AbiInstability::Name(n) => format!("type: {}", pair(n)),
        AbiInstability::Package(n) => format!("package: {}", pair(n)),
        AbiInstability::PackageVersion(n) => format!("version: {}", pair(n)),
        other => variant(&format!("{other:?}")),
    }
}

fn pair<T: Display>(values: &ExpectedFound<T>) -> String {
    either(&values.expected, &values.found)
}

fn either(expected: impl Display, found: impl Display) -> String {
    format!("the module has {expected}, the plugin {found}")
}

/// The name of the variant. That is enough for the rare ones, whose contents print whole layouts.
fn variant(debug: &str) -> String {
    debug
        .split(['(', ' ', '{'])
        .next()
        .unwrap_or_default()
        .to_owned()
}

#[cfg(test)]
mod tests;
