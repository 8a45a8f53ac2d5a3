//! What clients ask of the engine: start a payment, capture it, cancel it. Each request is stored in the same
//! transaction as what it did, so its repetition is answered and not done again.

use std::sync::Arc;

use jiff::Timestamp;
use tracing::field;

use super::{Engine, EngineError, MAX_CONFLICTS, following};
use crate::decide::{self, Decision, Occurrence};
use crate::definition::{self, Goal, Kind, State};
use crate::event::{Actor, Event};
use crate::history::Hash;
use crate::ids::{MerchantId, PaymentId};
use crate::money::{Amount, Currency, Money};
use crate::payment::{CaptureMethod, Destination, Payment, RefundOf, RefundReason, Refunds, Route};
use crate::port::gateway::Captures;
use crate::port::store::{NewPayment, Origin, RequestRecord, RequestScope, Started, StoreError, Updated};
use crate::trace;

/// What a client asks to be charged.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Charge {
    /// The PSP account it goes to.
    pub psp: String,
    /// The PSP's token for the customer's means of payment.
    pub payment_method: String,
    /// Other accounts that may be tried, in this order, when this one surely did not take the money.
    pub fallbacks: Vec<Destination>,
    /// How much.
    pub amount: Amount,
    /// In which currency.
    pub currency: Currency,
    /// When to take it.
    pub capture_method: CaptureMethod,
    /// Where the PSP sends the customer back to.
    pub return_url: Option<String>,
    /// The client's words.
    pub description: Option<String>,
    /// The client's data.
    pub metadata: std::collections::BTreeMap<String, String>,
}

/// What a client asks to be given back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refund {
    /// How much; all that is left when it is not said.
    pub amount: Option<Amount>,
    /// Why.
    pub reason: Option<RefundReason>,
    /// The client's data.
    pub metadata: std::collections::BTreeMap<String, String>,
}

/// Who asks, and what their repetition is known by.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Request {
    /// The idempotency key and what it is unique within.
    pub scope: RequestScope,
    /// Hash of the request's canonical content.
    pub fingerprint: Hash,
    /// The client, by its API key.
    pub actor: String,
}

/// The answer to a request: a status and a body, to be sent byte for byte.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: String,
    /// The payment it concerns.
    pub payment_id: PaymentId,
    /// Whether this answers an earlier request again.
    pub replayed: Replayed,
}

/// Whether an answer was given before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Replayed {
    /// It was not: the request did something just now.
    No,
    /// It was, byte for byte.
    Stored,
    /// The request was answered before, so long ago that the answer is not kept. This shows the payment as it stands now.
    Afresh,
}

/// Makes the answer's body from the payment as it is about to be stored.
pub type Render<'a> = &'a (dyn Fn(&Payment) -> String + Sync);

/// Accepted: the work is stored and goes on by itself.
const ACCEPTED: u16 = 202;

impl Engine {
    /// Stores a new payment with its history and its request, then says that it is due.
    ///
    /// # Errors
    /// [`EngineError::KeyReused`], or the store did not answer and nothing is acknowledged.
    pub async fn start(&self, charge: Charge, request: Request, render: Render<'_>) -> Result<Reply, EngineError> {
        let _turn = self.in_hand.turn(&request.scope).await.ok_or(EngineError::KeyInUse)?;
        let now = self.now();
        let payment = created(charge, request.scope.merchant_id, PaymentId::new(now, self.random_pair()), now);
        let step = decide::start(payment, &Actor::Client(request.actor.clone()));
        let payment = step.payment;
        let record = answered(&request, &payment, render, now);
        let reply = Reply { status: ACCEPTED, body: sent(&record), payment_id: payment.id, replayed: Replayed::No };
        let span = tracing::info_span!("start", payment = %payment.id, trace_id = field::Empty);
        let id = payment.id;
        let fresh = NewPayment { payment, row: step.row, request: record };
        match trace::step(span, id, Box::pin(self.store_new(fresh))).await? {
            Started::Created => Ok(reply),
            Started::Repeated(earlier) => self.repeated(*earlier, &request, render).await,
        }
    }

    async fn store_new(&self, fresh: NewPayment) -> Result<Started, EngineError> {
        let payment = Arc::clone(&fresh.payment);
        // A new payment waits for no row but that of its key.
        let started = self.starts.commit(fresh).await.map_err(|error| match &*error {
            StoreError::Held(_) => EngineError::KeyInUse,
            StoreError::Unavailable(_) | StoreError::Corrupt(_) | StoreError::Refused(_) => error.into(),
        })?;
        if matches!(started, Started::Created) {
            metrics::counter!("fincore_payments_started_total").increment(1);
            self.timeouts.follow(following(None, &payment));
            self.tell_if_due(&payment);
        }
        Ok(started)
    }

    /// Stores a refund of a charge with its history and its request, counts its money on the charge in the same
    /// transaction, then says that it is due.
    ///
    /// # Errors
    /// [`EngineError::NotFound`] also for another merchant's charge; [`EngineError::Illegal`] when the charge has not so
    /// much left.
    pub async fn refund(
        &self,
        charge: PaymentId,
        refund: Refund,
        request: Request,
        render: Render<'_>,
    ) -> Result<Reply, EngineError> {
        let _turn = self.in_hand.turn(&request.scope).await.ok_or(EngineError::KeyInUse)?;
        let actor = Actor::Client(request.actor.clone());
        for _ in 0..MAX_CONFLICTS {
            if let Some(earlier) = self.store.request(&request.scope).await? {
                return self.repeated(earlier, &request, render).await;
            }
            let before = self.owned(charge, &request).await?;
            let now = self.now();
            let id = PaymentId::new_refund(now, self.random_pair());
            let amount_minor = refund.amount.map_or_else(|| before.refundable_minor(), Amount::minor);
            let money = Money { amount_minor, currency: before.currency };
            let event = Event::RefundRequested { refund: id, money, approval: None };
            let occurrence = Occurrence { event, actor: actor.clone(), payload_hash: None };
            let illegal = |why| EngineError::Illegal { state: before.state, why };
            let step = match self.decide(&before, &occurrence, now)? {
                Decision::Illegal(why) => return Err(illegal(why)),
                Decision::Record(step) => *step,
            };
            let amount = Amount::try_from(amount_minor).map_err(|_| illegal("nothing is left to give back"))?;
            let opened = decide::start(refund_of(&before, amount, &refund, id, now), &actor);
            let payment = Arc::clone(&opened.payment);
            let record = answered(&request, &payment, render, now);
            let reply = Reply { status: ACCEPTED, body: sent(&record), payment_id: payment.id, replayed: Replayed::No };
            let change = self.change(before, vec![step]);
            let span = tracing::info_span!("start", payment = %id, charge = %charge, trace_id = field::Empty);
            let write = Box::pin(async {
                let updated = self.write_with(change, None, Some(opened), Origin::Request(record)).await?;
                if updated == Updated::Applied {
                    metrics::counter!("fincore_refunds_started_total").increment(1);
                    self.tell_if_due(&payment);
                }
                Ok::<_, EngineError>(updated)
            });
            if trace::step(span, id, write).await? == Updated::Applied {
                return Ok(reply);
            }
        }
        Err(EngineError::Contended)
    }

    /// The client's own payment.
    async fn owned(&self, id: PaymentId, request: &Request) -> Result<Arc<Payment>, EngineError> {
        let payment = self.load(id).await?;
        payment.filter(|payment| payment.merchant_id == request.scope.merchant_id).ok_or(EngineError::NotFound)
    }

    /// Applies a client's capture or cancel, and says so when work follows.
    ///
    /// # Errors
    /// [`EngineError::NotFound`] also for another merchant's payment; [`EngineError::Illegal`] when the table refuses.
    pub async fn request(
        &self,
        id: PaymentId,
        event: Event,
        request: Request,
        render: Render<'_>,
    ) -> Result<Reply, EngineError> {
        let kind = <&str>::from(event.kind());
        let span = tracing::info_span!("client", otel.name = kind, payment = %id, trace_id = field::Empty);
        let work = Box::pin(self.apply(id, event, request, render));
        trace::step(span, id, work).await
    }

    async fn apply(
        &self,
        id: PaymentId,
        event: Event,
        request: Request,
        render: Render<'_>,
    ) -> Result<Reply, EngineError> {
        let _turn = self.in_hand.turn(&request.scope).await.ok_or(EngineError::KeyInUse)?;
        // What the customer brings back does not enter history; its hash does.
        let payload_hash =
            if let Event::ActionCompleted { result } = &event { Some(Hash::of(result.as_bytes())) } else { None };
        let occurrence = Occurrence { event, actor: Actor::Client(request.actor.clone()), payload_hash };
        for _ in 0..MAX_CONFLICTS {
            if let Some(earlier) = self.store.request(&request.scope).await? {
                return self.repeated(earlier, &request, render).await;
            }
            let payment = self.owned(id, &request).await?;
            if let Event::CaptureRequested { amount_minor } = &occurrence.event
                && *amount_minor != payment.amount_minor
                && self.capabilities.get(&payment.psp).is_some_and(|psp| psp.captures == Captures::Whole)
            {
                return Err(EngineError::Illegal {
                    state: payment.state,
                    why: "this PSP captures all of it or nothing",
                });
            }
            let now = self.now();
            let step = match self.decide(&payment, &occurrence, now)? {
                Decision::Illegal(why) => return Err(EngineError::Illegal { state: payment.state, why }),
                Decision::Record(step) => step,
            };
            let after = Arc::clone(&step.payment);
            let record = answered(&request, &after, render, now);
            let reply = Reply { status: ACCEPTED, body: sent(&record), payment_id: id, replayed: Replayed::No };
            if self.write(&payment, vec![*step], Origin::Request(record)).await? == Updated::Applied {
                self.tell_if_due(&after);
                return Ok(reply);
            }
        }
        Err(EngineError::Contended)
    }

    /// The answer to a request that was answered before.
    async fn repeated(
        &self,
        earlier: RequestRecord,
        request: &Request,
        render: Render<'_>,
    ) -> Result<Reply, EngineError> {
        if earlier.fingerprint != request.fingerprint {
            return Err(EngineError::KeyReused);
        }
        let RequestRecord { scope, payment_id, status, body, .. } = earlier;
        let payment_id = payment_id
            .ok_or_else(|| StoreError::Corrupt(format!("the answer to {} concerns no payment", scope.route)))?;
        if let Some(body) = body {
            return Ok(Reply { status, body, payment_id, replayed: Replayed::Stored });
        }
        let payment = self.load(payment_id).await?.ok_or(EngineError::NotFound)?;
        Ok(Reply { status, body: render(&payment), payment_id, replayed: Replayed::Afresh })
    }
}

fn answered(request: &Request, payment: &Payment, render: Render<'_>, now: Timestamp) -> RequestRecord {
    RequestRecord {
        scope: request.scope.clone(),
        fingerprint: request.fingerprint,
        payment_id: Some(payment.id),
        status: ACCEPTED,
        body: Some(render(payment)),
        created_at: now,
    }
}

/// The body that goes out now: the one that is kept.
fn sent(record: &RequestRecord) -> String {
    record.body.clone().unwrap_or_default()
}

/// A payment nobody has worked on yet.
fn created(charge: Charge, merchant_id: MerchantId, id: PaymentId, now: Timestamp) -> Payment {
    Payment {
        id,
        merchant_id,
        psp: charge.psp,
        payment_method: charge.payment_method,
        amount_minor: charge.amount.minor(),
        currency: charge.currency,
        capture_method: charge.capture_method,
        return_url: charge.return_url,
        description: charge.description,
        metadata: charge.metadata,
        definition_version: definition::current(Kind::Charge).version,
        created_at: now,
        refund_of: None,
        state: State::Created,
        state_since: now,
        goal: Goal::from(charge.capture_method),
        seq: 0,
        head_hash: Hash::ZERO,
        fence: 0,
        lease_until: None,
        next_wake_at: Some(now),
        attempt: 0,
        claims: 0,
        operation: 1,
        psp_reference: None,
        amount_authorized_minor: 0,
        amount_to_capture_minor: None,
        amount_captured_minor: 0,
        amount_refunded_minor: 0,
        amount_refund_pending_minor: 0,
        refunds: Refunds::default(),
        proposal: None,
        failure: None,
        next_action: None,
        action_result: None,
        amount_charged_back_minor: 0,
        key_use: None,
        doubt: None,
        route: Route { former: Vec::new(), next: charge.fallbacks },
        updated_at: now,
    }
}

/// A refund nobody has worked on yet. What goes to the PSP is decided here once, whatever becomes of the charge later.
pub(super) fn refund_of(charge: &Payment, amount: Amount, refund: &Refund, id: PaymentId, now: Timestamp) -> Payment {
    let asked = Charge {
        psp: charge.psp.clone(),
        payment_method: charge.payment_method.clone(),
        fallbacks: Vec::new(),
        amount,
        currency: charge.currency,
        capture_method: charge.capture_method,
        return_url: None,
        description: None,
        metadata: refund.metadata.clone(),
    };
    Payment {
        definition_version: definition::current(Kind::Refund).version,
        goal: Goal::Reverse,
        refund_of: Some(RefundOf {
            charge: charge.id,
            // What was captured has a name at the PSP.
            psp_reference: charge.psp_reference.clone().unwrap_or_default(),
            reason: refund.reason,
        }),
        ..created(asked, charge.merchant_id, id, now)
    }
}
