//! Cancel: release the money, or give it back when it was captured after the payment had ended.
//!
//! A payment that the PSP may not know is registered first, under the key its authorization used: if an earlier
//! request is still on its way, both mean the same payment there, and the void closes it for good.

use workflow::definition::Goal;
use workflow::payment::Payment;
use workflow::port::gateway::{Gateway, Operation};

use crate::ask::Ask;

/// What to ask next.
pub(crate) fn next(payment: &Payment, gateway: &dyn Gateway) -> Ask {
    if payment.goal == Goal::Reverse && payment.kept_minor() > 0 {
        Ask::Psp(Operation::Refund)
    } else if gateway.needs_registration(payment) {
        Ask::Psp(Operation::Register)
    } else {
        Ask::Psp(Operation::Void)
    }
}
