//! Topics: what is published to one comes to all that have subscribed to it, in whatever child.
//!
//! ```text
//!   publish ---> Log (all children) ---> Delivery ---> Members ---> Output of each subscriber
//!                  |                        ^
//!                  +--> futex --> Tail -----+   of every other child
//! ```
//!
//! All messages go through the log, those to subscribers of the same child, too: the log is what
//! makes their order the same for everybody. Whoever publishes delivers to the subscribers of its
//! own child, unless another thread is doing that already; then that one goes on. A thread of each
//! child that has subscribers (`ws-topics`) waits for what others publish.
//!
//! With a broker, what is published goes there first, and comes into the log of each host from
//! there (`broker.rs`).
//!
//! A message is sent to the subscribers of a child as a `Broadcast` of the output: encoded and
//! compressed once. Nobody waits for a client. One that does not keep up is closed with 1013, as
//! are all subscribers of a child that missed messages because it was stopped for too long: none
//! is left out in silence.

mod api;
mod attendance;
mod broker;
mod child;
mod delivering;
mod delivery;
mod digest;
mod epoch;
mod error;
mod hub;
mod lock;
mod log;
mod members;
mod message;
mod once;
mod once_key;
mod outbox;
mod presence;
mod published;
mod publisher;
mod random;
mod relay;
mod report;
mod rules;
mod space;
mod subscriber;
mod tail;
mod waiter;

pub use api::{
    count, count_in_all, history, longest_message, publish, publish_to_all, visit_members,
};
pub use broker::{
    Address as BrokerAddress, Credentials as BrokerCredentials,
    DEFAULT_KEEP as DEFAULT_BROKER_KEEP, Settings as BrokerSettings,
};
pub use child::{Settings, configure, disable, stop};
pub use error::TopicError;
pub use log::Listed;
pub use message::Kind;
pub use once::{Claim, claim, give_up, settle};
pub use once_key::OnceKey;
pub use outbox::Partition;
pub use published::Published;
pub use publisher::Publisher;
pub use rules::{HistoryRule, Keep, SpaceRules};
pub use space::SpaceId;
pub use subscriber::{Options, Subscribed, Subscriber};
