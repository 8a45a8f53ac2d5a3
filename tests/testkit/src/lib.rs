//! What developers mock PSPs with.
#![doc = include_str!("../../../docs/TESTKIT.md")]

pub mod clock;
pub mod conformance;
pub mod dialect;
mod heard;
pub mod history;
pub mod psp;
pub mod rig;
pub mod webhooks;
pub mod wire;

use std::time::Duration;

pub use clock::TestClock;
pub use history::{assert_history, assert_ledger};
pub use psp::{Effects, MockPsp};
pub use rig::Rig;
pub use webhooks::Webhooks;
pub use wire::{Damage, FaultyWire};

/// A client that goes straight to this machine.
pub(crate) fn http_client(timeout: Duration) -> reqwest::Client {
    // There is one TLS provider in the program; a second call finds it installed.
    let _already = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().timeout(timeout).build().expect("TLS can be set up")
}
