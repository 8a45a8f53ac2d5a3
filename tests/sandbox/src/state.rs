//! Everything the sandbox remembers, and the one place where a call takes effect: fault, idempotency key, effect,
//! ledger, journal and webhook, together under one lock.
//!
//! Not here: HTTP (`routes`, `answer`) and the rules of a payment's states (`machine`).

mod act;
mod late;
mod replay;

use std::borrow::Cow;
use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use tokio::task::JoinHandle;

use crate::answer::Answer;
use crate::error::{ApiError, to_json};
use crate::event::{About, Effects, Event};
use crate::faults::Faults;
use crate::idempotency::{Answers, Key, Known};
use crate::intent::{ChargeView, DisputeView, Intent, IntentView, More, Refund, RefundList, RefundView};
use crate::journal::{AnswerRecord, Fired, Journal, Keys, Record};
use crate::ledger::Entry;
use crate::params::{Action, Call, Expand, RefundPage};
use crate::scenario::{self, Fault, Scenario};
use crate::webhook::{EventRecord, Sending, Webhooks};

pub(crate) use late::Late;

/// Where an answer comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    Fresh,
    /// Its idempotency key had an answer already.
    Replayed,
}

/// What a call came to, for `answer::carry_out`.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) answer: Answer,
    pub(crate) origin: Origin,
    pub(crate) fault: Option<Fault>,
    /// The webhook on its way, for faults that wait for it.
    pub(crate) delivery: Option<JoinHandle<()>>,
    /// What is still to come because of the call.
    pub(crate) later: Vec<Late>,
}

impl Reply {
    pub(crate) fn plain(answer: Answer) -> Self {
        Self { answer, origin: Origin::Fresh, fault: None, delivery: None, later: Vec::new() }
    }
}

/// What to do with a call.
#[derive(Debug)]
pub(crate) enum Step {
    Done(Reply),
    /// Its key is in flight now; call [`State::perform_delayed`] after this time.
    Later(Duration),
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) intents: HashMap<String, Intent>,
    pub(crate) refunds: HashMap<String, Refund>,
    /// The refunds of each payment, the oldest first.
    refunds_of: HashMap<String, Vec<String>>,
    /// Which payment each dispute is about.
    disputes: HashMap<String, String>,
    pub(crate) ledger: Vec<Entry>,
    pub(crate) faults: Faults,
    answers: Answers,
    journal: Option<Journal>,
    webhooks: Arc<Webhooks>,
    base_url: String,
}

/// What a call changed, for the journal.
#[derive(Debug, Default)]
struct Touched {
    intent: Option<String>,
    refund: Option<String>,
    fired: Option<Fired>,
}

impl State {
    /// One call: replayed, refused, put off, or executed once.
    pub(crate) fn perform(&mut self, call: &Call, key: Option<&Key>) -> Step {
        if let Some(reply) = key.and_then(|key| self.known(call, key)) {
            return Step::Done(reply);
        }
        let mut touched = Touched::default();
        let fault = match self.faults.take(call.operation(), |_| true) {
            Some(fault) => Some(fault),
            None => self.planned(call, key, &mut touched),
        };
        match fault {
            Some(Fault::Delayed(delay)) => {
                if let Some(key) = key {
                    self.answers.begin(key);
                }
                Step::Later(delay)
            }
            Some(fault @ (Fault::Throttled | Fault::DropBefore | Fault::Error500Unstored)) => {
                self.write(&touched, &[], None);
                Step::Done(self.before_effect(fault))
            }
            fault => Step::Done(self.execute(call, key, fault, touched)),
        }
    }

    /// The second half of a call that was put off. The delay was its fault; it meets no other.
    pub(crate) fn perform_delayed(&mut self, call: &Call, key: Option<&Key>) -> Reply {
        self.execute(call, key, None, Touched::default())
    }

    /// The answer of a key that is not new. Programmed faults of the connection strike replays, too.
    fn known(&mut self, call: &Call, key: &Key) -> Option<Reply> {
        let error = match self.answers.look_up(key) {
            Known::Nothing => return None,
            Known::Other => ApiError::key_reused(&key.text),
            Known::InFlight => ApiError::key_in_use(),
            Known::Finished(answer) => {
                let fault = self.faults.take(call.operation(), Fault::is_about_the_wire);
                return Some(match fault {
                    Some(fault @ (Fault::Throttled | Fault::Error500Unstored)) => self.before_effect(fault),
                    fault => Reply { origin: Origin::Replayed, fault, ..Reply::plain(answer) },
                });
            }
        };
        Some(Reply::plain(error.into_answer(&self.base_url)))
    }

    /// The reply to a call that is turned away: 429, 500, or nothing at all.
    fn before_effect(&self, fault: Fault) -> Reply {
        let error = if fault == Fault::Error500Unstored { ApiError::internal() } else { ApiError::throttled() };
        let answer = error.into_answer(&self.base_url);
        Reply { fault: Some(fault), ..Reply::plain(answer) }
    }

    /// The fault that comes with the payment method, once per payment.
    fn planned(&mut self, call: &Call, key: Option<&Key>, touched: &mut Touched) -> Option<Fault> {
        let intent = call.payment_intent().and_then(|id| self.intents.get(id));
        let name = call.payment_method().or_else(|| intent?.payment_method.as_deref())?;
        let plan = scenario::find(name)?.plan?;
        if !plan.on.covers(call.operation()) {
            return None;
        }
        let reference = match &call.action {
            Action::Create(create) => create.metadata.get("fincore_payment").map(String::as_str),
            Action::Confirm { .. }
            | Action::Capture { .. }
            | Action::Cancel { .. }
            | Action::Refund(_)
            | Action::AnswerDispute { .. }
            | Action::CloseDispute { .. } => None,
        };
        let subject = reference
            .or_else(|| intent?.reference())
            .or_else(|| intent.map(|intent| intent.id.as_str()))
            .or_else(|| key.map(|key| key.text.as_str()))
            .unwrap_or_default();
        let (fault, fired) = self.faults.strike(plan, format!("{subject}/{name}"))?;
        touched.fired = fired;
        Some(fault)
    }

    /// Lets the call take effect and remembers everything about it.
    fn execute(&mut self, call: &Call, key: Option<&Key>, fault: Option<Fault>, mut touched: Touched) -> Reply {
        let mut effects = Effects::default();
        let result = match fault {
            Some(Fault::Error500) => Err(ApiError::internal()),
            _ => self.act(call, fault, &mut effects, &mut touched),
        };
        let answer = match (result, fault) {
            (_, Some(Fault::Error500AfterEffect)) => ApiError::internal().into_answer(&self.base_url),
            (Ok(body), _) => Answer { status: 200, body },
            (Err(error), _) => error.into_answer(&self.base_url),
        };
        if let Some(key) = key {
            self.answers.finish(key, answer.clone());
        }
        self.write(&touched, &effects.entries, key.zip(Some(&answer)));
        let delivery = self.emit(&touched, &effects, Sending::of(fault));
        self.ledger.append(&mut effects.entries);
        let later = self.still_to_come(&touched);
        Reply { fault, delivery, later, ..Reply::plain(answer) }
    }

    /// A PaymentIntent as JSON.
    pub(crate) fn intent(&self, id: &str, expand: Expand) -> Result<Bytes, ApiError> {
        let intent = self.intents.get(id).ok_or_else(|| ApiError::missing("payment_intent", "intent", id))?;
        Ok(to_json(&IntentView::new(intent, &self.base_url, expand)))
    }

    /// A refund as JSON.
    pub(crate) fn refund(&self, id: &str) -> Result<Bytes, ApiError> {
        let refund = self.refunds.get(id).ok_or_else(|| ApiError::missing("refund", "id", id))?;
        Ok(to_json(&RefundView::new(refund)))
    }

    /// As Stripe may do after a day: a repeated key makes a new request.
    pub(crate) fn forget_keys(&mut self) {
        self.answers.forget_all();
        if let Some(mut journal) = self.journal.take() {
            let written = journal.append(&Record { keys: Keys::Forgotten, ..Record::default() });
            self.keep(journal, written);
        }
    }

    /// Remembers a refund, new or changed.
    fn keep_refund(&mut self, refund: Refund) {
        let of_payment = self.refunds_of.entry(refund.payment_intent.clone()).or_default();
        if !self.refunds.contains_key(&refund.id) {
            of_payment.push(refund.id.clone());
        }
        self.refunds.insert(refund.id.clone(), refund);
    }

    /// Refunds of a payment as JSON, the newest first.
    pub(crate) fn refunds(&self, page: &RefundPage) -> Result<Bytes, ApiError> {
        if !self.intents.contains_key(&page.payment_intent) {
            return Err(ApiError::missing("payment_intent", "payment_intent", &page.payment_intent));
        }
        let all = self.refunds_of.get(&page.payment_intent).map_or(&[][..], Vec::as_slice);
        let end = match &page.starting_after {
            None => all.len(),
            Some(id) => {
                all.iter().position(|one| one == id).ok_or_else(|| ApiError::missing("refund", "starting_after", id))?
            }
        };
        let older = all.get(..end).unwrap_or_default();
        let refunds = older.iter().rev().filter_map(|id| self.refunds.get(id)).map(RefundView::new);
        let more = if older.len() > page.limit { More::Follows } else { More::Nothing };
        Ok(to_json(&RefundList::new(refunds.take(page.limit).collect(), more)))
    }

    /// A dispute as JSON.
    pub(crate) fn dispute(&self, id: &str) -> Result<Bytes, ApiError> {
        let view = self.disputed(id).and_then(|payment_intent| self.intents.get(payment_intent));
        let view = view.and_then(DisputeView::new).ok_or_else(|| ApiError::missing("dispute", "dispute", id))?;
        Ok(to_json(&view))
    }

    /// The payment that a dispute is about.
    fn disputed(&self, id: &str) -> Option<&str> {
        self.disputes.get(id).map(String::as_str)
    }

    /// Queues the webhooks of what happened.
    fn emit(&mut self, touched: &Touched, effects: &Effects, sending: Sending) -> Option<JoinHandle<()>> {
        let intent = self.intents.get(touched.intent.as_deref()?)?;
        if let Some(dispute) = &intent.dispute {
            self.disputes.insert(dispute.id.clone(), intent.id.clone());
        }
        let refund = touched.refund.as_ref().and_then(|id| self.refunds.get(id));
        let records = effects.events.iter().filter_map(|event| {
            let object = self.rendered(event, intent, refund)?;
            Some(EventRecord::new(event, &intent.id, &object))
        });
        self.webhooks.emit(records.collect(), sending)
    }

    fn rendered(&self, event: &Event, intent: &Intent, refund: Option<&Refund>) -> Option<Bytes> {
        Some(match event.kind.about() {
            About::Intent => to_json(&IntentView::new(intent, &self.base_url, Expand::Nothing)),
            About::Charge => to_json(&ChargeView::new(intent)?),
            About::Refund => to_json(&RefundView::new(refund?)),
            About::Dispute => to_json(&DisputeView::new(intent)?),
        })
    }

    /// One line of the journal with what the call changed.
    fn write(&mut self, touched: &Touched, entries: &[Entry], answer: Option<(&Key, &Answer)>) {
        let Some(mut journal) = self.journal.take() else { return };
        let written = journal.append(&Record {
            intent: touched.intent.as_ref().and_then(|id| self.intents.get(id)).map(Cow::Borrowed),
            refund: touched.refund.as_ref().and_then(|id| self.refunds.get(id)).map(Cow::Borrowed),
            entries: Cow::Borrowed(entries),
            answer: answer.map(|(key, answer)| AnswerRecord {
                key: Cow::Borrowed(&key.text),
                fingerprint: hex::encode(key.fingerprint),
                status: answer.status,
                body: String::from_utf8_lossy(&answer.body),
            }),
            fired: touched.fired.clone(),
            keys: Keys::Kept,
        });
        self.keep(journal, written);
    }

    fn keep(&mut self, journal: Journal, written: io::Result<()>) {
        match written {
            Ok(()) => self.journal = Some(journal),
            Err(error) => tracing::error!(%error, "sandbox journal cannot be written; it ends here"),
        }
    }
}

/// The scenario of a payment method.
fn scenario_of(name: &str) -> Result<&'static Scenario, ApiError> {
    scenario::find(name).ok_or_else(|| ApiError::unknown_payment_method(name))
}
