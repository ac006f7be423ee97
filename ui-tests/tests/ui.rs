//! Compiles the files in `pass/` and `fail/`. Each file in `fail/` has one mistake, and its
//! compiler output in a file next to it. If a message or the toolchain changes,
//! `TRYBUILD=overwrite` updates these files.

#[test]
fn ui() {
    let cases = trybuild::TestCases::new();
    cases.pass("pass/*.rs");
    cases.compile_fail("fail/*.rs");
}
