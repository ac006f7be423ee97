//! What `cargo xtask bench` consists of.
//!
//! * [`field`]: the servers, all started before the first measurement and idle while another runs.
//! * [`load`]: the generator, a program of its own, and what it prints.
//! * [`shape`], [`compression`]: how a load looks.
//! * [`results`], [`idle`], [`neighbours`], [`fanout`], [`topics`]: what the experiments have
//!   shown, as tables and charts.
//! * [`table`], [`chart`], [`report`]: Markdown, SVG, and the file that keeps the last results.
//! * [`cores`], [`machine`]: where all that runs.
//!
//! `cargo xtask soak` has the same generator and the same tables.

pub(crate) mod chart;
pub(crate) mod compression;
pub(crate) mod cores;
pub(crate) mod fanout;
pub(crate) mod field;
pub(crate) mod idle;
pub(crate) mod load;
pub(crate) mod machine;
pub(crate) mod neighbours;
pub(crate) mod numbers;
pub(crate) mod peer;
pub(crate) mod report;
pub(crate) mod results;
pub(crate) mod shape;
pub(crate) mod table;
pub(crate) mod topics;
pub(crate) mod values;
