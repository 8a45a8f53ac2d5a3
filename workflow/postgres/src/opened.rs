//! Payments that begin with another one's move, as rows in JSON: they are few, and their statement has many parameters
//! already.
//!
//! Not here: payments that clients start (`start.rs`).

use serde_json::{Value, json};
use workflow::port::store::{Opened, StoreError};

use crate::columns::us;

/// The rows, by the names of their columns. What a new refund has nothing in is left out.
pub(crate) fn rows(opened: &[&Opened]) -> Result<String, StoreError> {
    let rows: Vec<Value> = opened.iter().map(|opened| row(opened)).collect::<Result<_, _>>()?;
    Ok(Value::Array(rows).to_string())
}

fn row(opened: &Opened) -> Result<Value, StoreError> {
    let payment = &opened.payment;
    let metadata = serde_json::to_string(&payment.metadata).map_err(|error| StoreError::Refused(error.into()))?;
    let refund_of = payment.refund_of.as_ref();
    Ok(json!({
        "id": payment.id.uuid(),
        "merchant_id": payment.merchant_id.uuid(),
        "psp": payment.psp,
        "payment_method": payment.payment_method,
        "amount_minor": payment.amount_minor,
        "currency": payment.currency.to_string(),
        "capture_method": <&str>::from(payment.capture_method),
        "metadata": metadata,
        "definition_version": payment.definition_version,
        "created_at_us": us(payment.created_at),
        "refund_of": refund_of.map(|of| of.charge.uuid()),
        "refund_of_reference": refund_of.map(|of| &of.psp_reference),
        "refund_reason": refund_of.and_then(|of| of.reason).map(<&str>::from),
        "state": <&str>::from(payment.state),
        "state_since_us": us(payment.state_since),
        "goal": <&str>::from(payment.goal),
        "seq": payment.seq,
        "head_hash": format!("\\x{}", payment.head_hash),
        "fence": payment.fence,
        "next_wake_at_us": payment.next_wake_at.map(us),
        "attempt": payment.attempt,
        "claims": payment.claims,
        "operation": payment.operation,
        "updated_at_us": us(payment.updated_at),
    }))
}
