//! What plugins count, in memory that all processes share.
//!
//! A series has a record, which says what it is, and a row of cells in the part of each child. A
//! child writes only to its own cells; who reads adds up those of all children. Records are found
//! by a hash of plugin, name and labels. They are written once and never change, as plugins keep
//! pointers to the cells. Two children that add the same series at the same time may use two
//! records for it; who reads adds up what has the same name and labels.

mod catalog;
mod declared;
mod family;
mod record;

pub(super) use catalog::{Catalog, Cells, families};
pub use catalog::{MOST_LABELLED_SERIES, MOST_SERIES};
pub use declared::{Declared, Kind, Refused};
pub use family::{Family, Sample, Value};

#[cfg(test)]
mod tests;
