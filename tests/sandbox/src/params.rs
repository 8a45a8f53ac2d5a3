//! Reads Stripe's forms and turns them into typed calls. A call that comes out of here is well formed.
//!
//! Not here: whether the call is allowed in the payment's state (`machine`).

mod form;

use std::collections::BTreeMap;

use crate::error::ApiError;
use crate::intent::CaptureMethod;
use crate::limits;
use crate::scenario::Operation;
pub(crate) use form::Form;

/// Real parameters that the sandbox accepts and ignores.
const IGNORED_BY_CREATE: [&str; 10] = [
    "automatic_payment_methods",
    "confirmation_method",
    "payment_method_options",
    "receipt_email",
    "setup_future_usage",
    "shipping",
    "statement_descriptor",
    "statement_descriptor_suffix",
    "transfer_group",
    "use_stripe_sdk",
];
const CREATE: [&str; 13] = [
    "amount",
    "capture_method",
    "confirm",
    "currency",
    "customer",
    "description",
    "error_on_requires_action",
    "expand",
    "metadata",
    "off_session",
    "payment_method",
    "payment_method_types",
    "return_url",
];
const CONFIRM: [&str; 11] = [
    "capture_method",
    "client_secret",
    "error_on_requires_action",
    "expand",
    "off_session",
    "payment_method",
    "payment_method_options",
    "receipt_email",
    "return_url",
    "setup_future_usage",
    "use_stripe_sdk",
];
const CAPTURE: [&str; 6] =
    ["amount_to_capture", "expand", "final_capture", "metadata", "statement_descriptor", "statement_descriptor_suffix"];
const CANCEL: [&str; 2] = ["cancellation_reason", "expand"];
const REFUND: [&str; 5] = ["amount", "expand", "metadata", "payment_intent", "reason"];
const DISPUTE: [&str; 4] = ["evidence", "expand", "metadata", "submit"];
const CLOSE_DISPUTE: [&str; 1] = ["expand"];
const REFUNDS: [&str; 3] = ["limit", "payment_intent", "starting_after"];
const RETRIEVE: [&str; 2] = ["client_secret", "expand"];

const CANCELLATION_REASONS: [&str; 4] = ["abandoned", "duplicate", "fraudulent", "requested_by_customer"];
const REFUND_REASONS: [&str; 3] = ["duplicate", "fraudulent", "requested_by_customer"];

/// What the payer's part of a confirmation says.
#[derive(Debug, Default)]
pub(crate) struct Confirmation {
    pub(crate) payment_method: Option<String>,
    pub(crate) return_url: Option<String>,
    pub(crate) payer: Payer,
}

/// Whether the payer is there to authenticate.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Payer {
    #[default]
    Present,
    Absent,
}

/// Whether the new payment is confirmed in the same call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CreateMode {
    CreateOnly,
    CreateAndConfirm,
}

#[derive(Debug)]
pub(crate) struct Create {
    pub(crate) amount: i64,
    pub(crate) currency: String,
    pub(crate) capture_method: CaptureMethod,
    pub(crate) metadata: BTreeMap<String, String>,
    pub(crate) description: Option<String>,
    pub(crate) customer: Option<String>,
    pub(crate) payment_method_types: Vec<String>,
    pub(crate) mode: CreateMode,
    pub(crate) confirmation: Confirmation,
}

#[derive(Debug)]
pub(crate) struct Refund {
    pub(crate) payment_intent: String,
    pub(crate) amount: Option<i64>,
    pub(crate) reason: Option<String>,
    pub(crate) metadata: BTreeMap<String, String>,
}

/// A well-formed call that changes something.
#[derive(Debug)]
pub(crate) enum Action {
    Create(Create),
    Confirm { id: String, confirmation: Confirmation, capture_method: Option<CaptureMethod> },
    Capture { id: String, amount: Option<i64>, metadata: BTreeMap<String, String> },
    Cancel { id: String, reason: Option<String> },
    Refund(Refund),
    AnswerDispute { id: String, evidence: Option<String> },
    CloseDispute { id: String },
}

/// Whether `latest_charge` is answered as an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expand {
    Nothing,
    LatestCharge,
}

/// An [`Action`] and how its answer shall look.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) action: Action,
    pub(crate) expand: Expand,
}

impl Call {
    pub(crate) fn create(form: &Form) -> Result<Self, ApiError> {
        form.allow(&[&CREATE, &IGNORED_BY_CREATE])?;
        let currency = form.required("currency")?.to_ascii_lowercase();
        if currency.len() != 3 || !currency.bytes().all(|byte| byte.is_ascii_lowercase()) {
            return Err(ApiError::invalid("currency", format!("Invalid currency: {currency}.")));
        }
        form.required("amount")?;
        let mode = if form.flag("confirm")? { CreateMode::CreateAndConfirm } else { CreateMode::CreateOnly };
        let mut payment_method_types: Vec<String> =
            form.list("payment_method_types").into_iter().map(str::to_owned).collect();
        if payment_method_types.is_empty() {
            payment_method_types.push("card".to_owned());
        }
        let create = Create {
            amount: form.amount("amount")?.unwrap_or_default(),
            currency,
            capture_method: capture_method(form)?.unwrap_or(CaptureMethod::Automatic),
            metadata: form.metadata()?,
            description: form.text("description").map(str::to_owned),
            customer: form.text("customer").map(str::to_owned),
            payment_method_types,
            mode,
            confirmation: confirmation(form)?,
        };
        Ok(Self { action: Action::Create(create), expand: expand(form)? })
    }

    pub(crate) fn confirm(id: String, form: &Form) -> Result<Self, ApiError> {
        form.allow(&[&CONFIRM])?;
        let action = Action::Confirm { id, confirmation: confirmation(form)?, capture_method: capture_method(form)? };
        Ok(Self { action, expand: expand(form)? })
    }

    pub(crate) fn capture(id: String, form: &Form) -> Result<Self, ApiError> {
        form.allow(&[&CAPTURE])?;
        let action = Action::Capture { id, amount: form.amount("amount_to_capture")?, metadata: form.metadata()? };
        Ok(Self { action, expand: expand(form)? })
    }

    pub(crate) fn cancel(id: String, form: &Form) -> Result<Self, ApiError> {
        form.allow(&[&CANCEL])?;
        let action = Action::Cancel { id, reason: form.one_of("cancellation_reason", &CANCELLATION_REASONS)? };
        Ok(Self { action, expand: expand(form)? })
    }

    pub(crate) fn refund(form: &Form) -> Result<Self, ApiError> {
        form.allow(&[&REFUND])?;
        let action = Action::Refund(Refund {
            payment_intent: form.required("payment_intent")?.to_owned(),
            amount: form.amount("amount")?,
            reason: form.one_of("reason", &REFUND_REASONS)?,
            metadata: form.metadata()?,
        });
        Ok(Self { action, expand: expand(form)? })
    }

    /// Only `evidence[uncategorized_text]` counts, as the rest decides nothing in a sandbox.
    pub(crate) fn answer_dispute(id: String, form: &Form) -> Result<Self, ApiError> {
        form.allow(&[&DISPUTE])?;
        let evidence = form.text("evidence[uncategorized_text]").map(str::to_owned);
        Ok(Self { action: Action::AnswerDispute { id, evidence }, expand: Expand::Nothing })
    }

    pub(crate) fn close_dispute(id: String, form: &Form) -> Result<Self, ApiError> {
        form.allow(&[&CLOSE_DISPUTE])?;
        Ok(Self { action: Action::CloseDispute { id }, expand: Expand::Nothing })
    }

    /// The kind of call, as programmed faults name it.
    pub(crate) fn operation(&self) -> Operation {
        match &self.action {
            Action::Create(create) => match create.mode {
                CreateMode::CreateOnly => Operation::Create,
                CreateMode::CreateAndConfirm => Operation::Confirm,
            },
            Action::Confirm { .. } => Operation::Confirm,
            Action::Capture { .. } => Operation::Capture,
            Action::Cancel { .. } => Operation::Cancel,
            Action::Refund(_) => Operation::Refund,
            Action::AnswerDispute { .. } | Action::CloseDispute { .. } => Operation::Dispute,
        }
    }

    /// The payment it is about, unless it makes one.
    pub(crate) fn payment_intent(&self) -> Option<&str> {
        match &self.action {
            Action::Create(_) | Action::AnswerDispute { .. } | Action::CloseDispute { .. } => None,
            Action::Confirm { id, .. } | Action::Capture { id, .. } | Action::Cancel { id, .. } => Some(id),
            Action::Refund(refund) => Some(&refund.payment_intent),
        }
    }

    /// The payment method it brings along.
    pub(crate) fn payment_method(&self) -> Option<&str> {
        match &self.action {
            Action::Create(create) => create.confirmation.payment_method.as_deref(),
            Action::Confirm { confirmation, .. } => confirmation.payment_method.as_deref(),
            Action::Capture { .. }
            | Action::Cancel { .. }
            | Action::Refund(_)
            | Action::AnswerDispute { .. }
            | Action::CloseDispute { .. } => None,
        }
    }
}

/// Checks the query of a `GET`.
pub(crate) fn retrieve(query: &Form) -> Result<Expand, ApiError> {
    query.allow(&[&RETRIEVE])?;
    expand(query)
}

/// Which refunds of which payment.
#[derive(Debug)]
pub(crate) struct RefundPage {
    pub(crate) payment_intent: String,
    pub(crate) limit: usize,
    pub(crate) starting_after: Option<String>,
}

/// Reads the query of a list of refunds. Here, unlike at Stripe, it is always about one payment.
pub(crate) fn refunds(query: &Form) -> Result<RefundPage, ApiError> {
    query.allow(&[&REFUNDS])?;
    let limit = match query.text("limit").map(str::parse) {
        None => limits::PAGE,
        Some(Ok(limit)) if (1..=limits::LARGEST_PAGE).contains(&limit) => limit,
        Some(_) => return Err(ApiError::invalid("limit", "Invalid limit: must be from 1 to 100.".to_owned())),
    };
    Ok(RefundPage {
        payment_intent: query.required("payment_intent")?.to_owned(),
        limit,
        starting_after: query.text("starting_after").map(str::to_owned),
    })
}

fn confirmation(form: &Form) -> Result<Confirmation, ApiError> {
    Ok(Confirmation {
        payment_method: form.text("payment_method").map(str::to_owned),
        return_url: form.text("return_url").map(str::to_owned),
        payer: if form.flag("off_session")? { Payer::Absent } else { Payer::Present },
    })
}

fn capture_method(form: &Form) -> Result<Option<CaptureMethod>, ApiError> {
    match form.text("capture_method") {
        None => Ok(None),
        Some("automatic" | "automatic_async") => Ok(Some(CaptureMethod::Automatic)),
        Some("manual") => Ok(Some(CaptureMethod::Manual)),
        Some(other) => Err(ApiError::invalid("capture_method", format!("Invalid capture_method: {other}"))),
    }
}

fn expand(form: &Form) -> Result<Expand, ApiError> {
    let mut expand = Expand::Nothing;
    for name in form.list("expand") {
        if name != "latest_charge" {
            return Err(ApiError::invalid("expand", format!("This property cannot be expanded ({name}).")));
        }
        expand = Expand::LatestCharge;
    }
    Ok(expand)
}

impl Form {
    /// An amount in minor units, at least 1.
    fn amount(&self, name: &'static str) -> Result<Option<i64>, ApiError> {
        let Some(text) = self.text(name) else { return Ok(None) };
        match text.parse::<i64>() {
            Err(_) => {
                Err(ApiError::invalid_code("parameter_invalid_integer", name, format!("Invalid integer: {text}")))
            }
            Ok(amount) if amount < 1 => Err(ApiError::invalid_code(
                "parameter_invalid_integer",
                name,
                "This value must be greater than or equal to 1.".to_owned(),
            )),
            Ok(amount) if amount > limits::AMOUNT_MINOR => Err(ApiError::invalid_code(
                "amount_too_large",
                name,
                format!("Amount must be no more than {}", limits::AMOUNT_MINOR),
            )),
            Ok(amount) => Ok(Some(amount)),
        }
    }
}
