//! Acts on one payment: a GET shows what an act would do, and writes nothing; a POST does it, with a reason. The engine
//! decides both in the same way, and enters what is done or refused into the audit log.
//!
//! What books or moves money is a proposal that a second person approves. Not here: whether an act is allowed.

use askama::Template;
use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use http::StatusCode;
use jiff::Timestamp;
use strum::{IntoEnumIterator as _, VariantArray as _};
use workflow::decide::Decided;
use workflow::engine::operator::{Act, ActKind, By, Performed, Plan, Planned, Refusal};
use workflow::ids::PaymentId;
use workflow::money::Money;
use workflow::payment::{Outcome, Payment, Proposed, RefundReason, Resolution};
use workflow::port::audit::Via;

use super::{Frame, Section};
use crate::access::{Form, Visitor};
use crate::answer::{Trouble, page_with, see};
use crate::desk::App;
use crate::humane::{age, instant, money, sentence, tone, words};

/// What is asked of an act besides the reason, as it was said in an address or a form.
pub(crate) struct Said<'a>(pub(crate) &'a dyn Fn(&str) -> Option<String>);

impl Said<'_> {
    fn get(&self, name: &str) -> Option<String> {
        (self.0)(name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
    }

    fn minor(&self, name: &str) -> Result<Option<i64>, Trouble> {
        let unreadable =
            |text| Trouble::Unreadable(format!("{name} is {text}; expected whole minor units, like 1200."));
        self.get(name).map(|text| text.parse().map_err(|_| unreadable(text))).transpose()
    }
}

/// What the act is called on buttons.
pub(crate) fn label(kind: ActKind) -> &'static str {
    match kind {
        ActKind::Retry => "Retry now",
        ActKind::Inquire => "Ask the PSP now",
        ActKind::Redrive => "Redrive",
        ActKind::Resolve => "Resolve",
        ActKind::Cancel => "Cancel",
        ActKind::Refund => "Refund",
        ActKind::Approve => "Approve",
        ActKind::Withdraw => "Withdraw",
        ActKind::Note => "Write a note",
    }
}

/// Who acts by these pages.
pub(crate) fn by(visitor: &Visitor, why: &str) -> By {
    By {
        operator: visitor.operator.name.clone(),
        role: Some(visitor.operator.role),
        why: why.to_owned(),
        via: Via::Web,
        remote: Some(visitor.address.to_string()),
    }
}

/// The act of this kind on this payment, with what was said about it.
fn act_of(kind: ActKind, payment: &Payment, said: &Said<'_>) -> Result<Act, Trouble> {
    let proposal = || said.minor("proposal").map(|number| number.unwrap_or_default());
    Ok(match kind {
        ActKind::Retry => Act::Retry,
        ActKind::Inquire => Act::Inquire,
        ActKind::Redrive => Act::Redrive(if said.get("decided").is_some() { Decided::Yes } else { Decided::No }),
        ActKind::Cancel => Act::Cancel,
        ActKind::Note => Act::Note,
        ActKind::Approve => Act::Approve { proposal: proposal()? },
        ActKind::Withdraw => Act::Withdraw { proposal: proposal()? },
        ActKind::Resolve => {
            let outcome = said.get("outcome").and_then(|word| word.parse().ok()).unwrap_or(Outcome::Failed);
            Act::Propose(Proposed::Resolution(Resolution {
                outcome,
                captured_minor: said.minor("captured")?,
                psp_reference: said.get("reference"),
            }))
        }
        ActKind::Refund => Act::Propose(Proposed::Refund {
            amount_minor: said.minor("amount")?.unwrap_or_else(|| payment.refundable_minor()),
            refund_reason: said.get("refund_reason").and_then(|word| word.parse().ok()),
        }),
    })
}

/// A field of the form that says what an act is about.
struct Field {
    name: &'static str,
    label: &'static str,
    value: String,
    choices: Vec<(String, bool)>,
    hint: String,
}

/// The fields of an act, as they stand.
fn fields(act: &Act, payment: &Payment) -> Vec<Field> {
    let field = |name, label, value: String, hint: &str| Field {
        name,
        label,
        value,
        choices: Vec::new(),
        hint: hint.to_owned(),
    };
    let choice = |name, label, choices| Field { name, label, value: String::new(), choices, hint: String::new() };
    let asked = format!("in minor units of {}", payment.currency);
    match act {
        Act::Propose(Proposed::Resolution(resolution)) => vec![
            choice(
                "outcome",
                "How it ended",
                Outcome::VARIANTS.iter().map(|outcome| (outcome.to_string(), *outcome == resolution.outcome)).collect(),
            ),
            field(
                "captured",
                "Captured, if it succeeded",
                resolution.captured_minor.map(|minor| minor.to_string()).unwrap_or_default(),
                &asked,
            ),
            field(
                "reference",
                "The PSP's reference",
                resolution.psp_reference.clone().unwrap_or_default(),
                "where you found one",
            ),
        ],
        Act::Propose(Proposed::Refund { amount_minor, refund_reason }) => vec![
            field("amount", "Amount", amount_minor.to_string(), &asked),
            choice(
                "refund_reason",
                "Why, in a word for the PSP",
                RefundReason::iter().map(|reason| (reason.to_string(), Some(reason) == *refund_reason)).collect(),
            ),
        ],
        Act::Retry
        | Act::Inquire
        | Act::Redrive(_)
        | Act::Cancel
        | Act::Note
        | Act::Approve { .. }
        | Act::Withdraw { .. } => Vec::new(),
    }
}

/// What the form that does it carries along.
fn hidden(act: &Act, fields: &[Field]) -> Vec<(&'static str, String)> {
    let proposal = match act {
        Act::Approve { proposal } | Act::Withdraw { proposal } => Some(("proposal", proposal.to_string())),
        Act::Retry | Act::Inquire | Act::Redrive(_) | Act::Cancel | Act::Note | Act::Propose(_) => None,
    };
    let said = fields.iter().map(|field| {
        let chosen = field.choices.iter().find(|(_, chosen)| *chosen).map(|(value, _)| value.clone());
        (field.name, chosen.unwrap_or_else(|| field.value.clone()))
    });
    said.chain(proposal).collect()
}

/// What an act would do, in words.
struct Steps {
    from: String,
    to: String,
    from_tone: &'static str,
    to_tone: &'static str,
    event: String,
    effect: String,
    money: Vec<String>,
    next: String,
    expires: String,
}

fn steps(plan: &Plan, now: Timestamp) -> Steps {
    let sum = |amount_minor| money(Money { amount_minor, currency: plan.before.currency });
    let at = plan.next.at.map(|at| if at > now { format!(", in {}", age(now, at)) } else { String::new() });
    Steps {
        from: words(plan.from.into()),
        to: words(plan.to.into()),
        from_tone: tone(plan.from),
        to_tone: tone(plan.to),
        event: words(plan.event.into()),
        effect: plan.effect.clone(),
        money: plan
            .money
            .iter()
            .map(|change| format!("{} {} → {}", words(change.amount), sum(change.from_minor), sum(change.to_minor)))
            .collect(),
        next: format!("{}{}", plan.next.what, at.unwrap_or_default()),
        expires: plan.expires_at.map(instant).unwrap_or_default(),
    }
}

#[derive(Template)]
#[template(path = "act.html")]
struct Page {
    frame: Frame,
    id: String,
    amount: String,
    kind: &'static str,
    label: &'static str,
    fields: Vec<Field>,
    hidden: Vec<(&'static str, String)>,
    plan: Option<Steps>,
    /// What the second person's yes would do.
    approval: Option<Steps>,
    refused: String,
    /// What has to be settled before, if that is all that is in the way.
    settle: String,
    decided: bool,
    why: String,
    takes_two: bool,
    pending: Option<(String, String, String)>,
}

async fn payment_of(app: &App, id: &str) -> Result<Arc<Payment>, Trouble> {
    let id: PaymentId = id.parse().map_err(|_| Trouble::NotFound("payment"))?;
    app.state.engine.load(id).await?.ok_or(Trouble::NotFound("payment"))
}

/// What an act would do. Nothing is written.
pub(crate) async fn plan(
    State(app): State<App>,
    Extension(visitor): Extension<Visitor>,
    Path((id, kind)): Path<(String, String)>,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Response, Trouble> {
    let payment = payment_of(&app, &id).await?;
    let kind: ActKind = kind.parse().map_err(|_| Trouble::NotFound("act"))?;
    let said = |name: &str| query.iter().find(|(found, _)| found == name).map(|(_, value)| value.clone());
    let act = act_of(kind, &payment, &Said(&said))?;
    shown(&app, &visitor, &payment, &act, "", None).await
}

/// The page of an act, as it would be now; with why it was not done, if it was tried.
async fn shown(
    app: &App,
    visitor: &Visitor,
    payment: &Payment,
    act: &Act,
    why: &str,
    tried: Option<Refusal>,
) -> Result<Response, Trouble> {
    let status = if tried.is_some() { StatusCode::CONFLICT } else { StatusCode::OK };
    let decided = matches!(act, Act::Redrive(Decided::Yes));
    // What has to be settled is asked for beside what would then be done.
    let as_decided = if matches!(act, Act::Redrive(_)) { Act::Redrive(Decided::Yes) } else { act.clone() };
    let (plan, refused) = match app.state.engine.plan(payment.id, &as_decided, &by(visitor, "(a plan)")).await? {
        Planned::Would(plan) => (Some(plan), String::new()),
        Planned::Refused(refusal) => (None, refusal.why),
    };
    let settle = sentence(plan.as_ref().and_then(|plan| plan.settle_first).unwrap_or_default());
    let (fields, now) = (fields(act, payment), app.now());
    let kind = act.kind();
    let approves = matches!(kind, ActKind::Approve | ActKind::Withdraw);
    Ok(page_with(
        status,
        &Page {
            frame: Frame::of(visitor, Section::Payments, format!("{}: {}", label(kind), payment.id)),
            id: payment.id.to_string(),
            amount: money(payment.asked()),
            kind: kind.into(),
            label: label(kind),
            hidden: hidden(act, &fields),
            fields,
            approval: plan.as_ref().and_then(|plan| plan.approval.as_deref()).map(|plan| steps(plan, now)),
            plan: plan.as_deref().map(|plan| steps(plan, now)),
            refused: tried.map_or(refused, |refusal| refusal.why),
            settle,
            decided,
            why: why.to_owned(),
            takes_two: kind.takes_two(),
            pending: payment
                .proposal
                .as_ref()
                .filter(|_| approves)
                .map(|proposal| (proposal.by.clone(), proposal.why.clone(), age(proposal.at, now))),
        },
    ))
}

/// Does it, and shows the payment; or shows why it was not done.
pub(crate) async fn perform(
    State(app): State<App>,
    Extension(visitor): Extension<Visitor>,
    Extension(form): Extension<Form>,
    Path((id, kind)): Path<(String, String)>,
) -> Result<Response, Trouble> {
    let payment = payment_of(&app, &id).await?;
    let kind: ActKind = kind.parse().map_err(|_| Trouble::NotFound("act"))?;
    let said = |name: &str| form.get(name).map(str::to_owned);
    let act = act_of(kind, &payment, &Said(&said))?;
    let why = form.get("why").unwrap_or_default();
    match app.state.engine.perform(payment.id, &act, &by(&visitor, why)).await? {
        Performed::Done(_) => Ok(see(&format!("/ops/payments/{}?done={kind}", payment.id))),
        Performed::Refused(refusal) => shown(&app, &visitor, &payment, &act, why, Some(refusal)).await,
    }
}
