//! What operators ask of the engine. Every act is an event in the payment's history, with the person and the reason.

use super::{Engine, EngineError, MAX_CONFLICTS};
use crate::decide::{Decided, Decision, Occurrence, Redriving, Step};
use crate::event::{Actor, Event};
use crate::ids::PaymentId;
use crate::payment::Payment;
use crate::port::store::{Origin, Updated};

/// An operator's wish to send a payment back to work.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Redrive {
    /// Who: goes into the payment's history.
    pub operator: String,
    /// Why: goes into the payment's history.
    pub why: String,
    /// Whether the operator has settled what a redrive would decide.
    pub decided: Decided,
}

/// What became of a wish to redrive.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Redriven {
    /// The payment is due: a worker asks the PSP first, and repeats nothing before it knows.
    Sent(Box<Payment>),
    /// It was left in review: this has to be settled before.
    Refused(&'static str),
}

/// What a redrive would do now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RedrivePlan {
    /// The payment as it stands.
    pub before: Payment,
    /// The payment as the redrive would leave it.
    pub after: Payment,
    /// What that would mean.
    pub redriving: Redriving,
}

impl Engine {
    /// Sends a payment in review back to work. It asks the PSP first and repeats nothing before it knows. What more than
    /// that would be decided needs a person's word ([`Decided::Yes`]).
    ///
    /// # Errors
    /// [`EngineError::Illegal`] when the payment is not in review.
    pub async fn redrive(&self, id: PaymentId, redrive: &Redrive) -> Result<Redriven, EngineError> {
        for _ in 0..MAX_CONFLICTS {
            let (before, step, redriving) = self.redrive_step(id, redrive).await?;
            if let Some(what) = redriving.undecided(redrive.decided) {
                return Ok(Redriven::Refused(what));
            }
            let after = step.payment.clone();
            if self.write(&before, vec![step], Origin::Plain).await? == Updated::Applied {
                self.tell_if_due(&after);
                return Ok(Redriven::Sent(Box::new(after)));
            }
        }
        Err(EngineError::Contended)
    }

    /// What a redrive would do now; nothing is written.
    ///
    /// # Errors
    /// [`EngineError::Illegal`] when the payment is not in review.
    pub async fn plan_redrive(&self, id: PaymentId) -> Result<RedrivePlan, EngineError> {
        let nobody = Redrive { operator: String::new(), why: String::new(), decided: Decided::No };
        let (before, step, redriving) = self.redrive_step(id, &nobody).await?;
        Ok(RedrivePlan { before, after: step.payment, redriving })
    }

    /// The letter is read after the payment: a later one goes with a later `seq`, which the update would then miss.
    async fn redrive_step(&self, id: PaymentId, redrive: &Redrive) -> Result<(Payment, Step, Redriving), EngineError> {
        let payment = self.load(id).await?.ok_or(EngineError::NotFound)?;
        let letter = self.store.dead_letters_of(id, 1).await?.pop();
        let redriving = letter.map_or(
            Redriving::Decides("no dead letter says why it is here: read its history and find out at the PSP"),
            |letter| Redriving::of(letter.letter.reason, payment.goal),
        );
        let decided = match (redriving, redrive.decided) {
            (Redriving::Decides(what), Decided::Yes) => Some(what.to_owned()),
            (Redriving::Decides(_), Decided::No) | (Redriving::Asks, _) => None,
        };
        let occurrence = Occurrence {
            event: Event::Redriven { reason: redrive.why.clone(), decided },
            actor: Actor::Operator(redrive.operator.clone()),
            payload_hash: None,
        };
        let step = match self.decide(&payment, &occurrence, self.now())? {
            Decision::Record(step) => *step,
            Decision::Illegal(why) => return Err(EngineError::Illegal { state: payment.state, why }),
        };
        Ok((payment, step, redriving))
    }
}
