//! What PSPs tell the engine. The inbox row and the move are one transaction; a doubled event moves nothing twice.
//!
//! Not here: verifying signatures; whoever calls has done so.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use tracing::field;

use super::{Engine, EngineError, MAX_CONFLICTS};
use crate::decide::{Decision, Occurrence};
use crate::event::{Actor, Event};
use crate::history::{Hash, Verdict};
use crate::ids::PaymentId;
use crate::payment::Payment;
use crate::port::gateway::{News, Notification, Outcome, Standing};
use crate::port::store::{Origin, Updated, WebhookEvent, WebhookOutcome};
use crate::trace;

/// How long an event that fits no payment is matched again. PSPs redeliver for three days.
const MATCHED_AGAIN_FOR: SignedDuration = SignedDuration::from_hours(72);

impl Engine {
    /// Takes an authentic webhook: moves the payment, or keeps the event for later.
    ///
    /// # Errors
    /// The store did not answer: the PSP is answered with an error and delivers again.
    pub async fn webhook(
        &self,
        psp: &str,
        notification: Notification,
        body: &[u8],
    ) -> Result<WebhookOutcome, EngineError> {
        let now = self.now();
        if let Some(at) = notification.happened_at {
            let lag = now.duration_since(at).as_secs_f64().max(0.0);
            metrics::histogram!("fincore_webhook_lag_seconds", "psp" => psp.to_owned()).record(lag);
        }
        self.take(psp, notification, body, now).await
    }

    /// Keeps an authentic event that nobody can read, so that a person can; the PSP need not send it again.
    ///
    /// # Errors
    /// The store did not answer: the PSP is answered with an error and delivers again.
    pub async fn keep_unreadable(&self, psp: &str, body: &[u8]) -> Result<WebhookOutcome, EngineError> {
        let event_id = format!("unreadable-{}", Hash::of(body));
        tracing::error!(psp, event = event_id, "authentic webhook that cannot be read; it is kept");
        let event = WebhookEvent {
            psp: psp.to_owned(),
            event_id,
            event_type: "unreadable".to_owned(),
            body: body.to_vec(),
            received_at: self.now(),
            payment_id: None,
            outcome: WebhookOutcome::Unreadable,
        };
        count(psp, event.outcome);
        self.keep(event).await
    }

    /// Events that fitted no payment when they came, to be read again by their gateway: the next ones after `after`.
    ///
    /// # Errors
    /// The store did not answer.
    pub async fn unmatched_webhooks(
        &self,
        after: Option<Timestamp>,
        limit: u32,
    ) -> Result<Vec<WebhookEvent>, EngineError> {
        let since = self.now().saturating_sub(MATCHED_AGAIN_FOR).unwrap_or(Timestamp::MIN);
        Ok(self.store.unmatched_webhooks(after.map_or(since, |after| after.max(since)), limit).await?)
    }

    /// Takes an event from the inbox once more.
    ///
    /// # Errors
    /// The store did not answer.
    pub async fn match_again(
        &self,
        kept: &WebhookEvent,
        notification: Notification,
    ) -> Result<WebhookOutcome, EngineError> {
        let found = match notification.payment_id {
            Some(id) => self.addressee(&kept.psp, id).await?,
            None => None,
        };
        if found.is_none() {
            return Ok(kept.outcome);
        }
        self.take(&kept.psp, notification, &kept.body, kept.received_at).await
    }

    async fn take(
        &self,
        psp: &str,
        notification: Notification,
        body: &[u8],
        received_at: Timestamp,
    ) -> Result<WebhookOutcome, EngineError> {
        let kept = WebhookEvent {
            psp: psp.to_owned(),
            event_id: notification.event_id.clone(),
            event_type: notification.event_type.clone(),
            body: body.to_vec(),
            received_at,
            payment_id: notification.payment_id,
            outcome: WebhookOutcome::Ignored,
        };
        let outcome = match (notification.news.clone(), self.named(psp, &notification).await?) {
            // It means nothing to the workflow, or it is another program's on the same account.
            (None, _) | (Some(_), None) => self.keep(kept).await?,
            (Some(news), Some(id)) => match self.addressee(psp, id).await? {
                Some(payment) if is_foreign(&payment, &notification, &news) => {
                    tracing::warn!(payment = %id, event = kept.event_id, "webhook about another PSP payment with our reference");
                    self.keep(WebhookEvent { payment_id: Some(id), ..kept }).await?
                }
                Some(payment) => {
                    let kind = kept.event_type.as_str();
                    let span = tracing::info_span!(
                        "webhook", otel.name = kind, payment = %id, psp, event = kept.event_id, trace_id = field::Empty
                    );
                    let work = Box::pin(self.tell_payment(payment, news, kept.clone()));
                    trace::step(span, id, work).await?
                }
                None => {
                    self.keep(WebhookEvent { payment_id: None, outcome: WebhookOutcome::Unmatched, ..kept }).await?
                }
            },
        };
        count(psp, outcome);
        Ok(outcome)
    }

    /// The payment that an event names: by our reference, or by the PSP's where the event is about something that does not
    /// carry ours, such as a dispute.
    async fn named(&self, psp: &str, notification: &Notification) -> Result<Option<PaymentId>, EngineError> {
        // A refund of ours may be told about under its charge's reference: the PSP's name for it is more precise.
        if let Some(name) = notification.news.as_ref().and_then(News::psp_refund)
            && let Some(refund) = self.store.by_psp_reference(psp, name).await?
        {
            return Ok(Some(refund));
        }
        match (notification.payment_id, &notification.psp_reference) {
            (Some(id), _) => Ok(Some(id)),
            (None, Some(reference)) => Ok(self.store.by_psp_reference(psp, reference).await?),
            (None, None) => Ok(None),
        }
    }

    /// The payment of this id, if it was ever sent to this PSP: a reference counts only there.
    async fn addressee(&self, psp: &str, id: PaymentId) -> Result<Option<Arc<Payment>>, EngineError> {
        let went_to =
            |payment: &Arc<Payment>| payment.psp == psp || payment.route.former.iter().any(|former| former == psp);
        Ok(self.load(id).await?.filter(went_to))
    }

    async fn tell_payment(
        &self,
        mut payment: Arc<Payment>,
        news: News,
        kept: WebhookEvent,
    ) -> Result<WebhookOutcome, EngineError> {
        let hash = Some(Hash::of(&kept.body));
        for _ in 0..MAX_CONFLICTS {
            let kept = WebhookEvent { payment_id: Some(payment.id), ..kept.clone() };
            let event = if payment.psp == kept.psp {
                Event::of_news(&payment, news.clone())
            } else if let Some(second_payment) = Event::of_former(&payment, &news) {
                second_payment
            } else {
                return self.keep(kept).await;
            };
            let occurrence = Occurrence { event, actor: Actor::Psp(kept.event_id.clone()), payload_hash: hash };
            let step = match self.decide(&payment, &occurrence, self.now())? {
                Decision::Record(step) => step,
                Decision::Illegal(why) => {
                    tracing::error!(payment = %payment.id, state = %payment.state, why, event = kept.event_id, "webhook the definition does not allow");
                    return self.keep(WebhookEvent { outcome: WebhookOutcome::Illegal, ..kept }).await;
                }
            };
            let outcome = match step.row.fact.verdict {
                Verdict::Applied => WebhookOutcome::Applied,
                Verdict::Stale => WebhookOutcome::Stale,
            };
            let after = Arc::clone(&step.payment);
            let origin = Origin::Webhook(WebhookEvent { outcome, ..kept.clone() });
            if self.write(&payment, vec![*step], origin).await? == Updated::Applied {
                self.tell_if_due(&after);
                return Ok(outcome);
            }
            if let Some(earlier) = self.store.webhook(&kept.psp, &kept.event_id).await?
                && earlier.outcome != WebhookOutcome::Unmatched
            {
                return Ok(earlier.outcome);
            }
            payment = self.fresh(payment.id).await?;
        }
        Err(EngineError::Contended)
    }

    async fn keep(&self, event: WebhookEvent) -> Result<WebhookOutcome, EngineError> {
        let outcome = event.outcome;
        self.store.keep_webhooks(&[event]).await?;
        Ok(outcome)
    }

    async fn fresh(&self, id: PaymentId) -> Result<Arc<Payment>, EngineError> {
        self.load(id).await?.ok_or(EngineError::NotFound)
    }
}

fn count(psp: &str, outcome: WebhookOutcome) {
    metrics::counter!("fincore_webhooks_total", "psp" => psp.to_owned(), "outcome" => <&str>::from(outcome))
        .increment(1);
}

/// Whether an event with our reference is about another payment at the PSP than the one we know: an abandoned first
/// registration, for example. Its money counts, for that would be a second charge; anything else says nothing of ours.
fn is_foreign(payment: &Payment, notification: &Notification, news: &News) -> bool {
    let is_money =
        matches!(news, News::Outcome(Outcome::Approved(Standing::Authorized { .. } | Standing::Captured { .. })));
    match (payment.charge_reference(), &notification.psp_reference) {
        (Some(ours), Some(theirs)) => ours != theirs && !is_money,
        (Some(_) | None, Some(_) | None) => false,
    }
}
