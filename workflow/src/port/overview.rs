//! What operators read across all merchants: how many payments stand where, what became of the latest ones, which PSP calls
//! they took, what was sent to us and what we send.
//!
//! Every call looks at a bounded number of rows, whatever it is asked, so that looking is never what slows payments down.
//! What is counted is exact for payments that have not ended; of those that have, the latest are looked at. Not here:
//! what a person reads about one payment ([`super::store::Store`]).

use std::ops::RangeInclusive;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};

use super::outbound::{Disabled, DisabledReason};
use super::store::{Bounds, Listed, StoreError, Walk, WebhookEvent, WebhookOutcome};
use crate::definition::{EventKind, Kind, State};
use crate::ids::{EndpointId, EventId, MerchantId, PaymentId};
use crate::money::{Currency, MAX_AMOUNT_MINOR};

/// Open payments that a list or a count looks at, at most.
pub const OPEN_MOST: u32 = 200_000;

/// How long a payment may be due before that is somebody's business: sweeps come by every second, those of functions every
/// minute.
pub const OVERDUE_AFTER: SignedDuration = SignedDuration::from_secs(120);

/// Open payments that run by one version and stand in one state.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Standing {
    /// Their kind.
    pub kind: Kind,
    /// The workflow version they run by.
    pub definition_version: i32,
    /// Where they stand.
    pub state: State,
    /// How many.
    pub count: i64,
    /// Since when the one that has stood there the longest does.
    pub oldest_since: Timestamp,
    /// How many of them are late: their time came [`OVERDUE_AFTER`] ago, and nobody has taken them since.
    pub overdue: i64,
}

/// All payments that have not ended.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct OpenPayments {
    /// By version and state.
    pub standings: Vec<Standing>,
    /// How many are due and in nobody's hands: what a queue would hold.
    pub due: i64,
    /// Since when the one that has been due the longest is.
    pub due_since: Option<Timestamp>,
}

/// What charts and rates need of one payment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RecentPayment {
    /// Which.
    pub id: PaymentId,
    /// The PSP account it goes to.
    pub psp: String,
    /// Where it stands.
    pub state: State,
    /// The workflow version it runs by.
    pub definition_version: i32,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When its last history row was written.
    pub updated_at: Timestamp,
}

/// A row that a worker wrote into a payment's history: an attempt that begins, or what a PSP call came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WorkerRow {
    /// Whose history.
    pub payment_id: PaymentId,
    /// The PSP account the payment goes to.
    pub psp: String,
    /// What happened.
    pub event: EventKind,
    /// When.
    pub at: Timestamp,
}

/// What payments of a list have in common, whosever they are. Everything that is said has to hold.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FindFilter {
    /// They stand here.
    pub state: Option<State>,
    /// They are this merchant's.
    pub merchant_id: Option<MerchantId>,
    /// They go to this PSP account.
    pub psp: Option<String>,
    /// They are about so much, in minor units.
    pub amount_minor: RangeInclusive<i64>,
    /// They are in this currency.
    pub currency: Option<Currency>,
    /// They failed with this code, or this code of the issuer's.
    pub error_code: Option<String>,
    /// They have not ended, and have stood where they stand since then or longer.
    pub waiting_since: Option<Timestamp>,
    /// They were tried so often where they stand.
    pub min_attempts: i32,
    /// They run by this workflow version.
    pub definition_version: Option<i32>,
}

impl Default for FindFilter {
    /// All payments.
    fn default() -> Self {
        Self {
            state: None,
            merchant_id: None,
            psp: None,
            amount_minor: 0..=MAX_AMOUNT_MINOR,
            currency: None,
            error_code: None,
            waiting_since: None,
            min_attempts: 0,
            definition_version: None,
        }
    }
}

/// What a step of a search walks along.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FindSource {
    /// All payments that have not ended, [`OPEN_MOST`] at most.
    Open,
    /// One merchant's.
    Merchant,
    /// All payments.
    All,
}

impl FindSource {
    /// As the statements name it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Merchant => "merchant",
            Self::All => "all",
        }
    }
}

impl FindFilter {
    /// What to walk along: what leaves the fewest payments to look at.
    #[must_use]
    pub fn source(&self) -> FindSource {
        let is_open = self.state.is_some_and(|state| !crate::definition::has_ended(state));
        match self.merchant_id {
            _ if is_open || self.waiting_since.is_some() => FindSource::Open,
            Some(_) => FindSource::Merchant,
            None => FindSource::All,
        }
    }

    /// What stands in a stored failure with this code.
    #[must_use]
    pub fn failure_part(&self) -> Option<String> {
        // A string in JSON, so that a quote in the code cannot end it.
        self.error_code.as_ref().map(|code| format!("code\":{}", serde_json::Value::from(code.as_str())))
    }
}

/// One step of a search.
#[derive(Clone, Copy, Debug)]
pub struct FindStep<'a> {
    /// What is searched for.
    pub filter: &'a FindFilter,
    /// Which way.
    pub walk: Walk,
    /// From behind this one on.
    pub after: Option<PaymentId>,
    /// Payments to look at, at most.
    pub look_at: u32,
    /// Payments to return, at most.
    pub limit: u32,
}

impl FindStep<'_> {
    /// Between which ids it walks.
    #[must_use]
    pub fn bounds(&self) -> Bounds {
        let all = Bounds { above: uuid::Uuid::nil(), below: uuid::Uuid::max() };
        match (self.walk, self.after.map(PaymentId::uuid)) {
            (Walk::Older, Some(after)) => Bounds { below: after, ..all },
            (Walk::Newer, Some(after)) => Bounds { above: after, ..all },
            (Walk::Older | Walk::Newer, None) => all,
        }
    }
}

/// Which webhook events of PSPs are meant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Inbox {
    /// Those that fit no payment yet.
    Unmatched,
    /// Those that the table does not allow, and those that nobody could read.
    Refused,
}

/// A webhook event of a PSP, without its body.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InboxRow {
    /// Which PSP account sent it.
    pub psp: String,
    /// The PSP's name for it.
    pub event_id: String,
    /// The PSP's name for its kind.
    pub event_type: String,
    /// When it came.
    pub received_at: Timestamp,
    /// The payment it was matched with.
    pub payment_id: Option<PaymentId>,
    /// What became of it.
    pub outcome: WebhookOutcome,
}

impl From<WebhookEvent> for InboxRow {
    fn from(event: WebhookEvent) -> Self {
        let WebhookEvent { psp, event_id, event_type, received_at, payment_id, outcome, body: _ } = event;
        Self { psp, event_id, event_type, received_at, payment_id, outcome }
    }
}

/// An endpoint of a merchant's, as operators see it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EndpointRow {
    /// Its name.
    pub id: EndpointId,
    /// Whose.
    pub merchant_id: MerchantId,
    /// Where events are sent.
    pub url: String,
    /// Since when and why nothing is sent, if so.
    pub disabled: Option<Disabled>,
    /// Since when nothing has arrived, while something should have.
    pub failing_since: Option<Timestamp>,
    /// Events on their way to it, [`PENDING_MOST`] at most.
    pub pending: i64,
    /// Since when the one that has been on its way the longest is.
    pub pending_since: Option<Timestamp>,
}

impl EndpointRow {
    /// Whether somebody should look: it fails, or was disabled by us.
    #[must_use]
    pub fn is_in_trouble(&self) -> bool {
        self.failing_since.is_some()
            || self.disabled.is_some_and(|disabled| disabled.reason != DisabledReason::Requested)
    }
}

/// Events on their way to one endpoint that are counted, at most.
pub const PENDING_MOST: i64 = 10_000;

/// What operators read across all merchants.
#[async_trait]
pub trait Overview: Send + Sync {
    /// The latest payments, newest first.
    ///
    /// # Errors
    /// The database did not answer, or a row cannot be read.
    async fn recent_payments(&self, limit: u32) -> Result<Vec<RecentPayment>, StoreError>;

    /// What workers wrote into the histories of the latest payments, each history in order.
    ///
    /// # Errors
    /// The database did not answer, or a row cannot be read.
    async fn recent_worker_rows(&self, payments: u32) -> Result<Vec<WorkerRow>, StoreError>;

    /// One step of a search: the next payments that fit, as far as a bounded look reaches.
    ///
    /// # Errors
    /// The database did not answer, or a row cannot be read.
    async fn find(&self, step: &FindStep<'_>) -> Result<Listed, StoreError>;

    /// Payments that a PSP, whichever, knows or knew by this name.
    ///
    /// # Errors
    /// The database did not answer.
    async fn by_any_reference(&self, psp_reference: &str, limit: u32) -> Result<Vec<PaymentId>, StoreError>;

    /// The payment that an event of ours tells of.
    ///
    /// # Errors
    /// The database did not answer.
    async fn payment_of_event(&self, id: EventId) -> Result<Option<PaymentId>, StoreError>;

    /// Webhook events of PSPs that a person may have to look at, newest first: those received before `before`.
    ///
    /// # Errors
    /// The database did not answer, or a row cannot be read.
    async fn inbox(&self, which: Inbox, before: Timestamp, limit: u32) -> Result<Vec<InboxRow>, StoreError>;

    /// Endpoints of merchants, those in trouble first, at most so many.
    ///
    /// # Errors
    /// The database did not answer, or a row cannot be read.
    async fn all_endpoints(&self, limit: u32) -> Result<Vec<EndpointRow>, StoreError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_walks_along_what_leaves_the_fewest_payments() {
        let all = FindFilter::default();
        assert_eq!(all.source(), FindSource::All);
        let merchant_id = Some(MerchantId::new(Timestamp::UNIX_EPOCH, [1, 1]));
        let of_merchant = FindFilter { merchant_id, ..all.clone() };
        assert_eq!(of_merchant.source(), FindSource::Merchant);
        let ended = FindFilter { state: Some(State::Failed), ..all.clone() };
        assert_eq!(ended.source(), FindSource::All);
        for open in [
            FindFilter { state: Some(State::InReview), ..of_merchant },
            FindFilter { waiting_since: Some(Timestamp::UNIX_EPOCH), ..all },
        ] {
            assert_eq!(open.source(), FindSource::Open);
        }
    }

    #[test]
    fn a_code_cannot_reach_beyond_its_quotes() {
        let filter = |code: &str| FindFilter { error_code: Some(code.to_owned()), ..FindFilter::default() };
        assert_eq!(filter("card_declined").failure_part().unwrap(), r#"code":"card_declined""#);
        assert_eq!(filter(r#"a","b":"c"#).failure_part().unwrap(), r#"code":"a\",\"b\":\"c""#);
    }
}
