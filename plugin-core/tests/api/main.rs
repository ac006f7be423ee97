//! The public API, compared with the listing in `public.txt`. A change of the API changes the
//! listing, and so is seen in review: `UPDATE_EXPECT=1 cargo test -p websocket-plugin --test api`
//! writes it.
//!
//! It is made from the sources, because what rustdoc knows takes a nightly toolchain. It does not
//! see what macros write, which traits the compiler implements by itself (`Send`), or whether a
//! type of another crate has changed. Items behind features are listed with their `cfg`.

mod items;
mod listing;
mod sources;

use std::path::Path;

use anyhow::{Result, ensure};
use expect_test::expect_file;

use listing::listing_of;

#[test]
fn the_public_api_is_as_listed() -> Result<()> {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    expect_file!["public.txt"].assert_eq(&listing_of(&sources)?);
    Ok(())
}

#[test]
fn the_listing_has_what_authors_of_plugins_see_and_nothing_else() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text);
    write(
        "lib.rs",
        "//! Docs.\nmod inner;\npub mod open;\n#[doc(hidden)]\npub mod hidden;\n\
         pub use inner::{Shown, deep::Deep as Renamed};\nfn private() {}\npub const N: u8 = 1;",
    )?;
    write(
        "inner.rs",
        "pub mod deep { pub struct Deep(pub u8, u16); }\n/// Docs.\n#[derive(Clone)]\n\
         pub struct Shown { pub a: u8, b: u16 }\npub struct Other;\n\
         impl Shown { pub fn f(&self) -> u8 { self.a } fn g(&self) {} }\n\
         impl Drop for Shown { fn drop(&mut self) {} }\nimpl Other { pub fn h() {} }",
    )?;
    write(
        "open.rs",
        "pub enum E { A, B(u8) }\npub(crate) fn p() {}\npub fn q<T: Clone>(t: T) {}",
    )?;
    write("hidden.rs", "pub fn secret() {}")?;
    let listing = listing_of(folder.path())?;
    for shown in [
        "pub struct Shown",
        "#[derive(Clone)]",
        "pub a: u8",
        "pub fn f(&self) -> u8",
        "impl Drop for Shown",
        "pub struct Deep",
        "as Renamed",
        "pub const N: u8",
        "pub mod open",
        "B(u8)",
        "pub fn q<T: Clone>(t: T)",
    ] {
        ensure!(listing.contains(shown), "no `{shown}` in\n{listing}");
    }
    for absent in [
        "b: u16",
        "u16",
        "fn g",
        "fn drop",
        "Other",
        "fn h",
        "secret",
        "fn p",
        "fn private",
        "Docs",
        "self.a",
    ] {
        ensure!(!listing.contains(absent), "`{absent}` in\n{listing}");
    }
    Ok(())
}
