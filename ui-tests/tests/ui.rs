//! Compiles the files in `pass/`, and those in `fail/`, one per mistake, whose messages stand beside
//! them. After a change of a message, or of the toolchain, `TRYBUILD=overwrite` writes them anew.

#[test]
fn ui() {
    let cases = trybuild::TestCases::new();
    cases.pass("pass/*.rs");
    cases.compile_fail("fail/*.rs");
}
