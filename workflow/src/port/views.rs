//! Charges as they were last shown, for clients that poll.
//!
//! A reader that fills the cache races with a worker that moves the payment: the reader may have read before the move and
//! fill after it. That is harmless because entries carry the payment's `seq`. A move leaves its `seq` behind as a mark
//! without a body, and an older `seq` never replaces a newer one. Should the mark get lost, or come late, an entry lives
//! for [`LIVES_FOR`] and no longer.
//!
//! Losing it costs: reads of the database.

use std::time::Duration;

use async_trait::async_trait;

use crate::ids::{MerchantId, PaymentId};

/// How long an entry is kept, marks included. The most that a stale view outlives a move whose mark was lost; long
/// enough to spare most reads of a client that polls every second.
pub const LIVES_FOR: Duration = Duration::from_secs(5);

/// A view may be filled in so long after its payment was read. Shorter than a mark lives, so that whoever read before a
/// move finds its mark.
pub const FILL_WITHIN: Duration = Duration::from_secs(1);

/// The largest body that is kept. The largest charge takes about 30 KiB, most take one.
pub const MAX_BYTES: usize = 64 * 1024;

/// A charge as its merchant sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct View {
    /// Whose it is. Nobody else may see it: whoever gets a view checks.
    pub merchant_id: MerchantId,
    /// Where its history stood.
    pub seq: i64,
    /// The body of the answer, at most [`MAX_BYTES`].
    pub body: String,
}

/// A cache of views. Every call returns within a small bound, whatever is down.
#[async_trait]
pub trait Views: Send + Sync {
    /// The view, unless the payment is known to have moved since.
    async fn get(&self, id: PaymentId) -> Option<View>;

    /// Keeps a view for [`LIVES_FOR`], unless the payment is known to have moved since.
    async fn fill(&self, id: PaymentId, view: View);
}
