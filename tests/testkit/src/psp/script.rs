//! What is to happen to the next calls: scenarios, as data and as sentences.
//!
//! Not here: doing it (`stage.rs`).

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use workflow::payment::FailureCategory;
use workflow::port::gateway::Operation;

use super::MockPsp;
use crate::dialect::{Decline, WireAnswer};

/// What a call does at the PSP.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Effect {
    /// What was asked for; with another amount, if there is one.
    Approved {
        amount_minor: Option<i64>,
    },
    Declined(Decline),
    ActionRequired,
    Pending,
    Rejected(String),
    /// Nothing at all.
    None,
}

/// What becomes of its answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Travels {
    Whole,
    Never,
    HangUp,
    ServerError,
    Throttled(Duration),
    Garbage,
    Instead(WireAnswer),
}

/// One step of a scenario.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Step {
    pub(super) operation: Operation,
    pub(super) card: Option<String>,
    pub(super) effect: Effect,
    pub(super) travels: Travels,
    pub(super) left: Left,
}

/// How often a step is still played.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Left {
    Times(u32),
    Always,
}

impl Step {
    /// What happens when nobody said anything.
    pub(super) fn usual(operation: Operation) -> Self {
        let effect = Effect::Approved { amount_minor: None };
        Self { operation, card: None, effect, travels: Travels::Whole, left: Left::Times(1) }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.operation)?;
        if let Some(card) = &self.card {
            write!(f, " of {card}")?;
        }
        match &self.effect {
            Effect::Approved { amount_minor: None } => f.write_str(" approves"),
            Effect::Approved { amount_minor: Some(amount) } => write!(f, " approves {amount} instead"),
            Effect::Declined(decline) => write!(f, " declines ({})", decline.code),
            Effect::ActionRequired => f.write_str(" requires action"),
            Effect::Pending => f.write_str(" stays pending"),
            Effect::Rejected(code) => write!(f, " is rejected ({code})"),
            Effect::None => f.write_str(" does nothing"),
        }?;
        f.write_str(match &self.travels {
            Travels::Whole => "",
            Travels::Never => " and never answers",
            Travels::HangUp => " and hangs up",
            Travels::ServerError => " and answers 500",
            Travels::Throttled(_) => " and answers 429",
            Travels::Garbage => " and answers garbage",
            Travels::Instead(_) => " and answers what the test wrote",
        })?;
        match self.left {
            Left::Times(1) | Left::Always => Ok(()),
            Left::Times(times) => write!(f, ", {times} times"),
        }
    }
}

/// All steps that are to come.
#[derive(Default)]
pub(super) struct Steps {
    steps: VecDeque<(u64, Step)>,
    added: u64,
}

impl Steps {
    /// Adds a step and names it.
    fn add(&mut self, step: Step) -> u64 {
        self.added += 1;
        self.steps.push_back((self.added, step));
        self.added
    }

    /// Steps are refined in the sentence that says them.
    fn refine(&mut self, id: u64, change: impl FnOnce(&mut Step)) {
        let step = self.steps.iter_mut().find(|(found, _)| *found == id);
        let (_, step) = step.expect("write the whole scenario before the calls it is about");
        change(step);
    }

    /// The step for a call: the next one for this card, else the next one for any.
    pub(super) fn take(&mut self, operation: Operation, card: Option<&str>) -> Step {
        let of = |step: &Step, wanted: Option<&str>| step.operation == operation && step.card.as_deref() == wanted;
        let own = card.and_then(|card| self.steps.iter().position(|(_, step)| of(step, Some(card))));
        let Some(at) = own.or_else(|| self.steps.iter().position(|(_, step)| of(step, None))) else {
            return Step::usual(operation);
        };
        let step = self.steps[at].1.clone();
        match step.left {
            Left::Always => {}
            Left::Times(times) if times > 1 => self.steps[at].1.left = Left::Times(times - 1),
            Left::Times(_) => drop(self.steps.remove(at)),
        }
        step
    }

    /// Steps that must still come for the scenario to be true.
    pub(super) fn open(&self) -> impl Iterator<Item = &Step> {
        self.steps.iter().map(|(_, step)| step).filter(|step| step.left != Left::Always)
    }
}

/// Says what the next call of one operation does; see [`MockPsp`]. Nothing is said until a method says it.
#[must_use = "say what happens, for example .approves()"]
pub struct Script<'a> {
    pub(super) psp: &'a MockPsp,
    pub(super) operation: Operation,
    pub(super) card: Option<String>,
}

/// A step that was said. It may still be refined, and another may follow.
pub struct Said<'a> {
    psp: &'a MockPsp,
    operation: Operation,
    card: Option<String>,
    id: u64,
}

impl<'a> Script<'a> {
    /// It does what it was asked.
    #[track_caller]
    pub fn approves(self) -> Said<'a> {
        self.say(Effect::Approved { amount_minor: None }, Travels::Whole)
    }

    /// It does it with another amount than it was asked for.
    #[track_caller]
    pub fn approves_instead(self, amount_minor: i64) -> Said<'a> {
        self.say(Effect::Approved { amount_minor: Some(amount_minor) }, Travels::Whole)
    }

    /// The issuer says no, with a code of the PSP's.
    ///
    /// # Panics
    /// When the PSP has no such code.
    #[track_caller]
    pub fn declines(self, code: &str) -> Said<'a> {
        match self.psp.dialect().decline(code) {
            Ok(decline) => self.say(Effect::Declined(decline), Travels::Whole),
            Err(why) => panic!("{why}"),
        }
    }

    /// The issuer says no; the same card may work later. For tests that are the same for every PSP.
    #[track_caller]
    pub fn declines_softly(self) -> Said<'a> {
        self.declines_as(FailureCategory::SoftDecline)
    }

    /// The issuer says no for good.
    #[track_caller]
    pub fn declines_hard(self) -> Said<'a> {
        self.declines_as(FailureCategory::HardDecline)
    }

    /// The issuer says no, because the customer did not authenticate.
    #[track_caller]
    pub fn declines_for_authentication(self) -> Said<'a> {
        self.declines_as(FailureCategory::Authentication)
    }

    #[track_caller]
    fn declines_as(self, category: FailureCategory) -> Said<'a> {
        let decline = self.psp.dialect().decline_of(category);
        self.say(Effect::Declined(decline), Travels::Whole)
    }

    /// The customer has to act first (3-D Secure); [`MockPsp::customer_authenticates`] lets them.
    #[track_caller]
    pub fn requires_action(self) -> Said<'a> {
        self.say(Effect::ActionRequired, Travels::Whole)
    }

    /// It is taken and its result stays open until [`MockPsp::settles`].
    #[track_caller]
    pub fn stays_pending(self) -> Said<'a> {
        self.say(Effect::Pending, Travels::Whole)
    }

    /// The PSP refuses the request itself, with this code.
    #[track_caller]
    pub fn rejects(self, code: &str) -> Said<'a> {
        self.say(Effect::Rejected(code.to_owned()), Travels::Whole)
    }

    /// Nothing happens, and no answer comes.
    pub fn times_out(self) -> Said<'a> {
        self.say(Effect::None, Travels::Never)
    }

    /// The money moves, and no answer comes: the same as `approves().but_times_out()`.
    pub fn times_out_after_charging(self) -> Said<'a> {
        self.approves().but_times_out()
    }

    /// Nothing happens, and the connection is closed without an answer.
    pub fn hangs_up(self) -> Said<'a> {
        self.say(Effect::None, Travels::HangUp)
    }

    /// Nothing happens, and a server error is answered.
    pub fn answers_500(self) -> Said<'a> {
        self.say(Effect::None, Travels::ServerError)
    }

    /// Turned away with 429 and this `Retry-After`, in whole seconds.
    pub fn is_throttled(self, retry_after: Duration) -> Said<'a> {
        self.say(Effect::None, Travels::Throttled(retry_after))
    }

    /// Nothing happens, and 200 is answered with something that is not the PSP's.
    pub fn answers_garbage(self) -> Said<'a> {
        self.say(Effect::None, Travels::Garbage)
    }

    /// Nothing happens, and exactly this is answered.
    pub fn answers(self, status: u16, body: &str) -> Said<'a> {
        let answer = WireAnswer { status, headers: Vec::new(), body: body.as_bytes().to_vec() };
        self.say(Effect::None, Travels::Instead(answer))
    }

    /// # Panics
    /// When it is a sentence without a meaning.
    #[track_caller]
    fn say(self, effect: Effect, travels: Travels) -> Said<'a> {
        let Self { psp, operation, card } = self;
        let is_plain = matches!(effect, Effect::Approved { amount_minor: None } | Effect::None);
        assert!(
            operation != Operation::Inquire || is_plain,
            "an inquiry can fail but tells the truth: say what the call does that it asks about"
        );
        assert!(
            operation == Operation::Authorize || effect != Effect::ActionRequired,
            "only an authorization requires an action of the customer's, no {operation}"
        );
        let step = Step { operation, card: card.clone(), effect, travels, left: Left::Times(1) };
        let id = psp.with_stage(|stage| stage.steps.add(step));
        Said { psp, operation, card, id }
    }
}

impl<'a> Said<'a> {
    /// It happens as said, but no answer comes.
    pub fn but_times_out(self) -> Self {
        self.but(Travels::Never)
    }

    /// It happens as said, but the connection is closed without an answer.
    pub fn but_hangs_up(self) -> Self {
        self.but(Travels::HangUp)
    }

    /// It happens as said, but a server error is answered.
    pub fn but_answers_500(self) -> Self {
        self.but(Travels::ServerError)
    }

    /// It happens as said, but 200 is answered with something that is not the PSP's.
    pub fn but_answers_garbage(self) -> Self {
        self.but(Travels::Garbage)
    }

    fn but(self, travels: Travels) -> Self {
        self.change(|step| step.travels = travels);
        self
    }

    /// The step is played this often before the next one.
    pub fn times(self, times: u32) -> Self {
        assert!(times > 0, "a step that is played 0 times is better left out");
        self.change(|step| step.left = Left::Times(times));
        self
    }

    /// The step is played for every call from here on, also never.
    pub fn always(self) {
        self.change(|step| step.left = Left::Always);
    }

    /// What the next new call of this operation does, after this step.
    pub fn then(self) -> Script<'a> {
        Script { psp: self.psp, operation: self.operation, card: self.card }
    }

    fn change(&self, change: impl FnOnce(&mut Step)) {
        self.psp.with_stage(|stage| stage.steps.refine(self.id, change));
    }
}

/// Scripts calls for payments with one payment method alone.
pub struct Card<'a> {
    pub(super) psp: &'a MockPsp,
    pub(super) name: String,
}

impl Card<'_> {
    fn of(&self, operation: Operation) -> Script<'_> {
        Script { psp: self.psp, operation, card: Some(self.name.clone()) }
    }

    /// What the next authorization of this card does.
    pub fn authorize(&self) -> Script<'_> {
        self.of(Operation::Authorize)
    }

    /// What the next capture of this card does.
    pub fn capture(&self) -> Script<'_> {
        self.of(Operation::Capture)
    }

    /// What the next void of this card does.
    pub fn void(&self) -> Script<'_> {
        self.of(Operation::Void)
    }

    /// What the next refund to this card does.
    pub fn refund(&self) -> Script<'_> {
        self.of(Operation::Refund)
    }
}
