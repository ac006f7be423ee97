//! Sessions with a scripted stream and a scripted application.

mod account;
mod case;
mod closing;
mod delivery;
mod drain;
mod home;
mod memory;
mod parts;
mod pause;
mod plugin;
mod slow;
mod timers;
mod turns;
mod wire;
mod writing;

use case::{Case, LIMIT, READ, frame, text};
use home::Loop;
use plugin::{Events, OnMessage, Plugin};
use wire::Wire;
