//! Authorize: make the payment known to the PSP, then ask it to reserve the money, and go on once the customer has acted.
//!
//! Two calls, because the PSP's name for the payment has to be on our row before money can move: whatever happens
//! after that, we know what to ask about.

use workflow::payment::Payment;
use workflow::port::gateway::{Gateway, Operation};

use crate::ask::Ask;

/// What to ask next.
pub(crate) fn next(payment: &Payment, gateway: &dyn Gateway) -> Ask {
    Ask::Psp(if gateway.needs_registration(payment) {
        Operation::Register
    } else if payment.action_result.is_some() {
        Operation::Complete
    } else {
        Operation::Authorize
    })
}
