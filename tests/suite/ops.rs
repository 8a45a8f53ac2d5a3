//! The operators' pages from outside: who may see and do what, and what they show.
//!
//! Not here: what a real browser makes of them (`third_party::browser`).

mod access;
mod acts;
mod million;
mod proxy;
mod shown;
mod webhooks;
