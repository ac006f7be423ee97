//! Plugins for the tests of the module in a real httpd, all in one library.
#![forbid(unsafe_code)]

mod author;
mod bookkeeper;
mod census;
mod clerk;
mod clinger;
mod fragile;
mod herald;
mod hermit;
mod metronome;
mod miser;
mod pendulum;
mod porter;
mod scribe;
mod settings;
mod unmakeable;
mod valve;
mod visitor;
mod waiter;
mod witness;
