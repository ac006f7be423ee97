//! What `cargo xtask bench` and `cargo xtask soak` run besides httpd: a load generator and echo
//! servers to compare with.
//!
//! * `load` opens connections, keeps messages in flight on them, checks every byte that comes back
//!   and prints what it measured.
//! * `floor` echoes with as little work as an epoll loop can: what any server has to spend.
//!   `floor-fanout` sends every message to all in the same manner, and [`bare`] is what the two
//!   share.
//! * `peer-tungstenite` and `peer-fastwebsockets` are the usual Rust servers, written as their
//!   documentation shows. Neither compresses; `peer-yawc` does.
//!
//! The generator, from the outside in: [`run`] and [`idle`] are the two experiments of the bench,
//! [`generator`] is the event loop under both, [`connection`] one WebSocket on it; [`soak`] is the
//! experiment of `cargo xtask soak`, with a thread for each WebSocket; [`neighbours`] and
//! [`fanout`] are those of `cargo xtask bench --neighbours` and `--fanout`, and [`subscriptions`]
//! is part of the latter; [`transport`] is their bytes with or without TLS, [`frames`] what they
//! must be.

pub mod bare;
pub mod connection;
pub mod deflate;
pub mod echo;
pub mod fanout;
pub mod frames;
pub mod generator;
pub mod idle;
pub mod json;
pub mod limits;
pub mod neighbours;
pub mod opening;
pub mod peer;
pub mod run;
pub mod server;
pub mod shape;
pub mod soak;
pub mod subscriptions;
pub mod texts;
pub mod transport;
