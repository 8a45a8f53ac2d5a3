//! What an attempt asks the PSP next. Every activity is one pure function from the payment to an [`Ask`]; the worker
//! asks, reports the outcome, and comes again while it holds the payment.

use workflow::definition::Activity;
use workflow::payment::Payment;
use workflow::port::gateway::{Gateway, Operation, Standing};

use crate::{authorize, cancel, finalize, reconcile, refund};

/// What to ask next.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Ask {
    /// Call the PSP.
    Psp(Operation),
    /// Nothing: we know the answer without a call.
    Known(Standing),
}

impl Ask {
    /// What an activity asks next for this payment.
    pub(crate) fn next(activity: Activity, payment: &Payment, gateway: &dyn Gateway) -> Self {
        match activity {
            Activity::Authorize => authorize::next(payment, gateway),
            Activity::Reconcile => reconcile::next(payment, gateway),
            Activity::Finalize => finalize::next(payment, gateway),
            Activity::Cancel => cancel::next(payment, gateway),
            Activity::Refund => refund::next(payment, gateway),
        }
    }
}
