//! What the core needs from outside, as traits: each has one file, and its adapters live elsewhere.

pub mod clock;
pub mod gateway;
pub mod queue;
pub mod row;
pub mod store;
