//! Reconcile: find out what happened to the payment at the PSP, without making anything new happen.
//!
//! A PSP that can be asked is asked, which may be repeated at will. One that cannot is given the call in doubt once more
//! under its key, and answers as it did the first time; the engine refuses this once the PSP may have forgotten the key.

use workflow::payment::Payment;
use workflow::port::gateway::{Gateway, Operation, Query, Standing};

use crate::ask::Ask;

/// What to ask next.
pub(crate) fn next(payment: &Payment, gateway: &dyn Gateway) -> Ask {
    match (gateway.capabilities().query, payment.key_use) {
        // A refund gets its name from the PSP with the very call that may be in doubt: it is looked for.
        (Query::ByReference, _) if payment.refund_of.is_some() => Ask::Psp(Operation::Inquire),
        (Query::ByReference, _) => gateway.known_standing(payment).map_or(Ask::Psp(Operation::Inquire), Ask::Known),
        (Query::ByReplay, Some(used)) => Ask::next(used.activity, payment, gateway),
        (Query::ByReplay, None) => Ask::Known(recorded(payment)),
    }
}

/// How the payment stands when no call is in doubt: as the row says.
fn recorded(payment: &Payment) -> Standing {
    let money = |amount_minor| workflow::money::Money { amount_minor, currency: payment.currency };
    match &payment.psp_reference {
        Some(reference) if payment.kept_minor() > 0 => {
            Standing::Captured { psp_reference: reference.clone(), money: money(payment.amount_captured_minor) }
        }
        Some(reference) if payment.amount_authorized_minor > 0 => {
            Standing::Authorized { psp_reference: reference.clone(), money: money(payment.amount_authorized_minor) }
        }
        Some(_) | None => Standing::Untouched { evidence: "no call of this operation was ever made".to_owned() },
    }
}
