//! Reading webhook events: <https://docs.stripe.com/api/events/object>.
//!
//! An event carries a snapshot of its object; what it says is read from there, and only when the snapshot agrees with
//! the event's type. Not here: signatures. What is read here must have been verified before.

mod later;

use jiff::Timestamp;
use serde::Deserialize;
use workflow::port::gateway::{News, Notification, Operation, Outcome, Unreadable};

use super::wire::{Dispute, Intent, Metadata, Refund, Status, Text};
use super::{declines, read};

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    id: Text<'a>,
    #[serde(rename = "type", borrow)]
    kind: Text<'a>,
    /// Seconds since 1970. Of any shape: nothing depends on it.
    created: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct WithData<T> {
    data: Data<T>,
}

#[derive(Deserialize)]
struct Data<T> {
    object: T,
}

/// Any other object that belongs to an intent: a charge, for example.
#[derive(Deserialize)]
struct Relative<'a> {
    #[serde(borrow)]
    payment_intent: Option<Text<'a>>,
    #[serde(borrow)]
    metadata: Option<Metadata<'a>>,
}

/// What an authentic body says.
pub(super) fn read(body: &[u8]) -> Result<Notification, Unreadable> {
    let envelope: Envelope<'_> = serde_json::from_slice(body).map_err(|_| Unreadable)?;
    let event_id = envelope.id.as_id().ok_or(Unreadable)?.to_owned();
    let event_type = envelope.kind.as_code().ok_or(Unreadable)?.to_owned();
    let created = envelope.created.and_then(|created| created.as_i64());
    let happened_at = created.and_then(|seconds| Timestamp::from_second(seconds).ok());
    Ok(Notification { happened_at, ..about(event_id, event_type, body)? })
}

fn about(event_id: String, event_type: String, body: &[u8]) -> Result<Notification, Unreadable> {
    if event_type.starts_with("payment_intent.") {
        let intent: WithData<Intent<'_>> = serde_json::from_slice(body).map_err(|_| Unreadable)?;
        return about_intent(event_id, event_type, &intent.data.object);
    }
    if event_type.starts_with("charge.dispute.") {
        let dispute: WithData<Dispute<'_>> = serde_json::from_slice(body).map_err(|_| Unreadable)?;
        return later::about_dispute(event_id, event_type, &dispute.data.object);
    }
    if event_type.starts_with("refund.") || event_type == "charge.refund.updated" {
        let refund: WithData<Refund<'_>> = serde_json::from_slice(body).map_err(|_| Unreadable)?;
        return later::about_refund(event_type, &refund.data.object);
    }
    // An object of a kind we do not read may have any shape; then it belongs to no payment of ours.
    let relative = serde_json::from_slice::<WithData<Relative<'_>>>(body).ok().map(|event| event.data.object);
    let intent = relative.as_ref().and_then(|object| object.payment_intent.as_ref());
    Ok(Notification {
        event_id,
        event_type,
        happened_at: None,
        payment_id: relative.as_ref().and_then(|object| payment_id(object.metadata.as_ref())),
        psp_reference: intent.and_then(Text::as_id).map(str::to_owned),
        news: None,
    })
}

fn about_intent(event_id: String, event_type: String, intent: &Intent<'_>) -> Result<Notification, Unreadable> {
    let id = intent.id.as_ref().and_then(Text::as_id).ok_or(Unreadable)?;
    let news = outcome(&event_type, intent)?.map(News::Outcome);
    let payment_id = payment_id(intent.metadata.as_ref());
    Ok(Notification { event_id, event_type, happened_at: None, payment_id, psp_reference: Some(id.to_owned()), news })
}

fn outcome(event_type: &str, intent: &Intent<'_>) -> Result<Option<Outcome>, Unreadable> {
    let expected = match event_type {
        "payment_intent.amount_capturable_updated" => Status::RequiresCapture,
        "payment_intent.succeeded" => Status::Succeeded,
        "payment_intent.canceled" => Status::Canceled,
        "payment_intent.requires_action" => Status::RequiresAction,
        // `payment_intent.processing` tells nothing that the answer to our own call did not, and it may come so late that
        // it would be taken for news of the next call.
        "payment_intent.payment_failed" => Status::RequiresPaymentMethod,
        _other => return Ok(None),
    };
    if intent.status != Some(expected) {
        return Ok(None);
    }
    if expected == Status::RequiresPaymentMethod && intent.last_payment_error.is_none() {
        return Ok(Some(Outcome::Declined(declines::failure(None, None, None))));
    }
    match read::standing(Operation::Inquire, intent) {
        Outcome::Unknown { .. } => Err(Unreadable),
        outcome @ (Outcome::Approved(_)
        | Outcome::ActionRequired { .. }
        | Outcome::Pending { .. }
        | Outcome::Declined(_)
        | Outcome::Rejected(_)
        | Outcome::Throttled { .. }
        | Outcome::NotSent { .. }) => Ok(Some(outcome)),
    }
}

fn payment_id(metadata: Option<&Metadata<'_>>) -> Option<workflow::ids::PaymentId> {
    metadata?.fincore_payment.as_ref()?.as_str().parse().ok()
}

#[cfg(test)]
mod tests;
