//! The supervisor of worker processes: one story each as a list of events, and random lists of events
//! in a world of made-up processes that obeys its orders.

#![cfg(not(loom))]

#[path = "../common/mod.rs"]
mod common;
mod deaths;
mod ends;
mod fairness;
mod obeying;
mod random;
mod rules;
mod script;
mod sending;
mod shutdown;
mod waiting;
mod waits;
mod world;
