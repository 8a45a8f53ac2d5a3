//! Reconcile: ask the PSP what it knows of the payment. Changes nothing there, so it may be repeated at will.

use workflow::payment::Payment;
use workflow::port::gateway::{Gateway, Operation};

use crate::ask::Ask;

/// What to ask next.
pub(crate) fn next(payment: &Payment, gateway: &dyn Gateway) -> Ask {
    gateway.known_standing(payment).map_or(Ask::Psp(Operation::Inquire), Ask::Known)
}
