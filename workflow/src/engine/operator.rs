//! What operators ask of the engine. Every act is an event in the payment's history, with the person and the reason.

use super::{Engine, EngineError, MAX_CONFLICTS};
use crate::decide::{Decision, Occurrence};
use crate::event::{Actor, Event};
use crate::ids::PaymentId;
use crate::payment::Payment;
use crate::port::store::{Origin, Updated};

impl Engine {
    /// Sends a payment in review back to work. It asks the PSP first and repeats nothing before it knows.
    ///
    /// # Errors
    /// [`EngineError::Illegal`] when the payment is not in review.
    pub async fn redrive(&self, id: PaymentId, operator: &str, reason: &str) -> Result<Payment, EngineError> {
        let occurrence = Occurrence {
            event: Event::Redriven { reason: reason.to_owned() },
            actor: Actor::Operator(operator.to_owned()),
            payload_hash: None,
        };
        for _ in 0..MAX_CONFLICTS {
            let payment = self.load(id).await?.ok_or(EngineError::NotFound)?;
            let step = match self.decide(&payment, &occurrence, self.now())? {
                Decision::Record(step) => step,
                Decision::Illegal(why) => return Err(EngineError::Illegal { state: payment.state, why }),
            };
            let after = step.payment.clone();
            if self.write(&payment, vec![*step], Origin::Plain).await? == Updated::Applied {
                self.tell_if_due(&after);
                return Ok(after);
            }
        }
        Err(EngineError::Contended)
    }
}
