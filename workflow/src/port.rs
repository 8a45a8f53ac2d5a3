//! What the core needs from outside, as traits: each has one file, and its adapters live elsewhere.

pub mod alert;
pub mod archives;
pub mod audit;
pub mod breakers;
pub mod clock;
pub mod executions;
pub mod gateway;
pub mod moves;
pub mod operators;
pub mod outbound;
pub mod overview;
pub mod pauses;
pub mod queue;
pub mod rate_limits;
pub mod row;
pub mod schema;
pub mod store;
pub mod timeouts;
pub mod views;
