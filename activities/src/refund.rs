//! Refund: give captured money back, because the client asked for it.

use workflow::payment::Payment;
use workflow::port::gateway::{Gateway, Operation};

use crate::ask::Ask;

/// What to ask next.
pub(crate) fn next(_payment: &Payment, _gateway: &dyn Gateway) -> Ask {
    Ask::Psp(Operation::Refund)
}
