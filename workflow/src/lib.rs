//! FinCore's core: what a payment is, which moves it may make, and the one engine that makes them.
//!
//! Start reading at [`definition`] (the table), then [`decide`] (what the table means for one payment and one
//! event), then [`engine`] (the only mover of payments). Everything outside is reached through [`port`].
//!
//! Deliberately not here: any I/O. No database, HTTP, queue or clock is named in this crate; adapters and
//! binaries hand them in.

pub mod acts;
pub mod archive;
pub mod asl;
pub mod card_data;
pub mod decide;
pub mod definition;
pub mod diagram;
pub mod endpoint_url;
pub mod engine;
pub mod event;
pub mod explain;
pub mod group_commit;
pub mod history;
pub mod ids;
pub mod instruments;
pub mod local_queue;
pub mod money;
pub mod notification;
pub mod payment;
pub mod port;
pub mod retry;
pub mod shared;
pub mod signing;
pub mod timeline;
pub mod trace;
pub mod view;
pub mod waiting;
