//! Reads the configuration of an installed httpd, as httpd itself reports it.

pub mod control;
pub mod descriptors;
pub mod directives;
