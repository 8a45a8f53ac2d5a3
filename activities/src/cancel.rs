//! Cancel: release the money, or give it back when it was captured after the payment had ended.
//!
//! A payment that the PSP can never have acted on is voided by knowing so: nothing is registered only to be voided.

use workflow::definition::Goal;
use workflow::payment::Payment;
use workflow::port::gateway::{Gateway, Operation, Standing};

use crate::ask::Ask;

/// What to ask next.
pub(crate) fn next(payment: &Payment, gateway: &dyn Gateway) -> Ask {
    if payment.goal == Goal::Reverse && payment.kept_minor() > 0 {
        Ask::Psp(Operation::Refund)
    } else if let Some(Standing::Untouched { .. }) = gateway.known_standing(payment) {
        Ask::Known(Standing::Voided { psp_reference: None })
    } else {
        Ask::Psp(Operation::Void)
    }
}
