//! Activities: what FinCore does to the world. Each asks a PSP for one thing, safely twice; the worker runs them.
//!
//! Read [`worker`] first, then `ask.rs` for how an activity chooses its calls, then [`gateway`] for how a PSP
//! is spoken to. [`alerts`] tells people. Not here: deciding what an outcome means; the workflow definition does.

pub mod alerts;
mod ask;
mod authorize;
mod cancel;
pub mod census;
mod finalize;
pub mod gateway;
pub mod outbound;
pub mod psps;
mod reconcile;
mod refund;
mod signed_post;
pub mod sweeper;
pub mod worker;
