//! Authorize: make the payment known to the PSP, then ask it to reserve the money.
//!
//! Two calls, because the PSP's name for the payment has to be on our row before money can move: whatever happens
//! after that, we know what to ask about.

use workflow::payment::Payment;
use workflow::port::gateway::{Gateway, Operation};

use crate::ask::Ask;

/// What to ask next.
pub(crate) fn next(payment: &Payment, gateway: &dyn Gateway) -> Ask {
    if gateway.needs_registration(payment) { Ask::Psp(Operation::Register) } else { Ask::Psp(Operation::Authorize) }
}
