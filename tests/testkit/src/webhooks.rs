//! Webhooks as a PSP sends them, and as it should not: doubled, reordered, forged, stale, cut.
//!
//! Not here: what a webhook says (the dialect) and what happened (the mock PSP).

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use workflow::port::clock::{Clock, SystemClock};

use crate::dialect::{Dialect, Happened, Item, News, Signed};

/// The number of a secret that nobody configured.
const FORGED_SECRET_NUMBER: u8 = 0xee;
/// A receiver that is slower than this hangs.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Webhooks that can be sent, one after the other. Each method gives changed ones; nothing is sent until
/// [`Webhooks::deliver_to`].
#[derive(Clone)]
pub struct Webhooks {
    dialect: Arc<dyn Dialect>,
    batches: Vec<Vec<Item>>,
    secret: String,
    at: Timestamp,
    stale: SignedDuration,
    tampered: Tampered,
}

/// Whether the body is changed after it was signed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Tampered {
    No,
    Yes,
}

impl Webhooks {
    pub(crate) fn of_news(dialect: Arc<dyn Dialect>, news: &[News], secret: String) -> Self {
        let batches = news.iter().filter_map(|news| dialect.item(news)).map(|item| vec![item]).collect();
        Self { dialect, batches, secret, at: SystemClock.now(), stale: SignedDuration::ZERO, tampered: Tampered::No }
    }

    /// Signed at this time, such as a test clock's. Otherwise, when they were asked for.
    #[must_use]
    pub fn at(self, now: Timestamp) -> Self {
        Self { at: now, ..self }
    }

    /// Signed this long before the time they would be signed at; after it, when it is negative.
    #[must_use]
    pub fn stale(self, by: SignedDuration) -> Self {
        Self { stale: by, ..self }
    }

    /// Signed with this secret.
    #[must_use]
    pub fn signed_with(self, secret: &str) -> Self {
        Self { secret: secret.to_owned(), ..self }
    }

    /// Signed with a secret that nobody configured.
    #[must_use]
    pub fn forged(self) -> Self {
        let secret = self.dialect.webhook_secret(FORGED_SECRET_NUMBER);
        Self { secret, ..self }
    }

    /// Changed on the way: signed well, and then about another payment.
    #[must_use]
    pub fn tampered(self) -> Self {
        Self { tampered: Tampered::Yes, ..self }
    }

    /// Those about one payment, by our name for it or the PSP's.
    #[must_use]
    pub fn of(self, payment: impl ToString) -> Self {
        let name = payment.to_string();
        self.filtered(|news| {
            news.account.psp_reference == name || news.account.merchant_reference.as_deref() == Some(name.as_str())
        })
    }

    /// Those that tell of this.
    #[must_use]
    pub fn telling(self, happened: Happened) -> Self {
        self.filtered(|news| news.happened == happened)
    }

    fn filtered(mut self, is_wanted: impl Fn(&News) -> bool) -> Self {
        self.batches.iter_mut().for_each(|batch| batch.retain(|item| is_wanted(&item.news)));
        self.batches.retain(|batch| !batch.is_empty());
        self
    }

    /// Each twice in a row.
    #[must_use]
    pub fn doubled(mut self) -> Self {
        self.batches = self.batches.into_iter().flat_map(|batch| [batch.clone(), batch]).collect();
        self
    }

    /// The last one first.
    #[must_use]
    pub fn reversed(mut self) -> Self {
        self.batches.reverse();
        self
    }

    /// In any order, the same for the same seed.
    #[must_use]
    pub fn shuffled(mut self, seed: u64) -> Self {
        self.batches.shuffle(&mut StdRng::seed_from_u64(seed));
        self
    }

    /// As many in one as the PSP puts there.
    #[must_use]
    pub fn bundled(mut self) -> Self {
        let items: Vec<Item> = self.batches.into_iter().flatten().collect();
        self.batches = items.chunks(self.dialect.max_items()).map(<[Item]>::to_vec).collect();
        self
    }

    /// How many will be sent.
    #[must_use]
    pub fn len(&self) -> usize {
        self.batches.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    /// The PSP's names for the kinds of events in them, in order.
    #[must_use]
    pub fn kinds(&self) -> Vec<&str> {
        self.batches.iter().flatten().map(|item| item.kind.as_str()).collect()
    }

    /// As they travel.
    #[must_use]
    pub fn signed(&self) -> Vec<Signed> {
        self.batches.iter().map(|batch| self.sign(batch)).collect()
    }

    fn sign(&self, batch: &[Item]) -> Signed {
        let mut signed = self.dialect.sign(batch, &self.secret, self.at - self.stale);
        if self.tampered == Tampered::Yes
            && let Some(item) = batch.first()
        {
            let ours = &item.news.account.psp_reference;
            let mut theirs = ours.clone();
            theirs.pop();
            theirs.push(if ours.ends_with('9') { '8' } else { '9' });
            signed.body = String::from_utf8_lossy(&signed.body).replace(ours, &theirs).into_bytes();
        }
        signed
    }

    /// Sends them to a URL, one after the other, and returns what each was answered.
    ///
    /// # Panics
    /// When the receiver does not answer at all.
    pub async fn deliver_to(&self, url: &str) -> Vec<u16> {
        let http = crate::http_client(TIMEOUT);
        let mut answers = Vec::with_capacity(self.batches.len());
        for signed in self.signed() {
            let request = http.post(url).header("content-type", "application/json").body(signed.body);
            let request = signed.headers.iter().fold(request, |request, (name, value)| request.header(name, value));
            let answer = request.send().await.unwrap_or_else(|error| panic!("{url} does not take webhooks: {error}"));
            answers.push(answer.status().as_u16());
        }
        answers
    }
}
