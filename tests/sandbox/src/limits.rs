//! Every bound of the sandbox, with its reason.
//!
//! Not here: anything that decides.

use std::time::Duration;

/// A request is a short form; Stripe's largest legal one (50 metadata values of 500 characters) fits three times.
pub(crate) const BODY_BYTES: usize = 128 * 1024;
/// Stripe's limit on idempotency keys.
pub(crate) const IDEMPOTENCY_KEY_CHARS: usize = 255;
/// Stripe's limit on metadata entries of one object.
pub(crate) const METADATA_ENTRIES: usize = 50;
/// The widest amount Stripe allows in any currency: twelve digits.
pub(crate) const AMOUNT_MINOR: i64 = 999_999_999_999;

/// About 0.7 kB each; a long benchmark makes some hundred thousand. Beyond it, creating answers 503.
pub(crate) const PAYMENT_INTENTS: usize = 2_000_000;
/// Stripe's fee for a chargeback is 15 units of a currency with two decimals; here in every currency.
pub(crate) const DISPUTE_FEE_MINOR: i64 = 1_500;
/// How long a merchant has to answer a dispute: the shortest of the card networks' times.
pub(crate) const EVIDENCE_SECONDS: i64 = 7 * 24 * 60 * 60;
/// Refunds are smaller and rarer than payments; beyond it, refunding answers 503.
pub(crate) const REFUNDS: usize = 2_000_000;
/// Stripe forgets keys after a day; here the oldest goes when there are this many (about 1.3 kB each).
pub(crate) const STORED_ANSWERS: usize = 500_000;
/// Stripe's default and largest page of a list.
pub(crate) const PAGE: usize = 10;
pub(crate) const LARGEST_PAGE: usize = 100;
/// Counters of "first time" faults; beyond it such faults no longer strike.
pub(crate) const FAULT_COUNTERS: usize = 1_000_000;
/// Programmed faults that wait for their call; a test that wants more is mistaken.
pub(crate) const PROGRAMMED_FAULTS: usize = 10_000;

/// Events kept for sending again, the oldest goes first (about 1.3 kB each); and at most held back, or waiting to be
/// overtaken.
pub(crate) const STORED_EVENTS: usize = 20_000;
/// Deliveries under way or waiting; beyond it an event is lost, as events sometimes are.
pub(crate) const WEBHOOK_QUEUE: usize = 20_000;
/// Requests to the receiver at one time: more than a test server's connection pool likes gains nothing.
pub(crate) const WEBHOOK_CONCURRENCY: usize = 64;
/// First try and five more: with the pauses below about twelve seconds, enough for a receiver's restart.
pub(crate) const WEBHOOK_ATTEMPTS: u32 = 6;
/// The pause after the first failed try; each further one is three times as long.
pub(crate) const WEBHOOK_BACKOFF: Duration = Duration::from_millis(100);
/// How long a receiver may take; Stripe gives up later, tests should not wait for it.
pub(crate) const WEBHOOK_TIMEOUT: Duration = Duration::from_secs(10);
/// How long an answer waits for its webhook when the webhook shall be first.
pub(crate) const WEBHOOK_FIRST_WAIT: Duration = Duration::from_secs(5);

/// Connections at one time; more are closed at once, so that a leaking client shows.
pub(crate) const CONNECTIONS: usize = 8_192;
/// The pause after a failed accept (file descriptors run out), as in axum.
pub(crate) const ACCEPT_PAUSE: Duration = Duration::from_secs(1);
/// "Never answers" ends here for a client without any timeout.
pub(crate) const NEVER: Duration = Duration::from_secs(3_600);
/// The pause between two bytes of a slow drip.
pub(crate) const DRIP_PAUSE: Duration = Duration::from_millis(200);
/// The bytes of a slow drip: one hour.
pub(crate) const DRIP_BYTES: usize = 18_000;
/// Lets the first half of a body leave before the connection is cut.
pub(crate) const HALF_BODY_PAUSE: Duration = Duration::from_millis(20);
/// How long `stop` waits for calls under way.
pub(crate) const STOP_WAIT: Duration = Duration::from_secs(2);
