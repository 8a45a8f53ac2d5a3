//! How one PSP writes things down. The mock PSP keeps the truth; a dialect reads requests into it and renders answers and
//! webhooks from it.
//!
//! Each PSP has one file here, written from its public documentation and never from our gateway: two readings of the
//! same manual check each other. Not here: what happens ([`crate::psp`]).

pub mod adyen;
mod incoming;
pub mod stripe;

use std::time::Duration;

use jiff::Timestamp;
use workflow::money::{Currency, Money};
use workflow::payment::FailureCategory;
use workflow::port::gateway::Operation;

pub use incoming::Incoming;

/// What a request asks for, in our words.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Asked {
    /// What is to be done.
    pub operation: Operation,
    /// What is done instead where that is not possible: some PSPs have one call for "void, or refund".
    pub otherwise: Option<Operation>,
    /// The PSP's name for the payment, when the request names it.
    pub psp_reference: Option<String>,
    /// Our name for the payment, when the request carries it.
    pub merchant_reference: Option<String>,
    /// The token of the customer's means of payment.
    pub payment_method: Option<String>,
    /// How much, in the PSP's units, when the request says so.
    pub amount_wire: Option<i64>,
    /// In which currency, when the request says so; else it is the payment's.
    pub currency: Option<Currency>,
    /// The idempotency key.
    pub key: Option<String>,
}

/// Where a payment stands at the PSP.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stands {
    /// Known; no money moved.
    Registered,
    /// The customer has to act.
    ActionRequired,
    /// This operation has been taken and its result is open.
    Pending(Operation),
    /// The last try was declined.
    Declined,
    /// The money is reserved.
    Authorized,
    /// The money was captured.
    Captured,
    /// Released, or ended before anything was reserved.
    Voided,
}

/// One payment in the PSP's books.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Account {
    /// The PSP's name for it.
    pub psp_reference: String,
    /// Our name for it.
    pub merchant_reference: Option<String>,
    /// The token of the customer's means of payment.
    pub payment_method: Option<String>,
    /// What is to be paid.
    pub asked: Money,
    /// Where it stands.
    pub stands: Stands,
    /// Reserved in all.
    pub authorized_minor: i64,
    /// Captured of it.
    pub captured_minor: i64,
    /// Given back of that.
    pub refunded_minor: i64,
    /// The last no.
    pub decline: Option<Decline>,
}

impl Account {
    /// An amount in this payment's currency.
    #[must_use]
    pub fn money(&self, amount_minor: i64) -> Money {
        Money { amount_minor, currency: self.asked.currency }
    }
}

/// A no of the issuer, in the PSP's words.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Decline {
    /// The code.
    pub code: String,
    /// What a gateway has to make of it.
    pub category: FailureCategory,
}

/// What an answer has to tell.
#[derive(Clone, Copy, Debug)]
pub enum Fact<'a> {
    /// It is done, and this is how the payment stands now.
    Done {
        /// The payment.
        account: &'a Account,
        /// The PSP's name for this deed, where it names deeds.
        deed: &'a str,
        /// How much this deed moved.
        money: Money,
    },
    /// The issuer said no.
    Declined {
        /// The payment, unchanged by a refused capture, void or refund.
        account: &'a Account,
        /// Why.
        decline: &'a Decline,
        /// The PSP's name for this deed, where it names deeds.
        deed: &'a str,
    },
    /// The payment stands so that this cannot be done.
    Impossible {
        /// The payment.
        account: &'a Account,
        /// The PSP's name for this deed, where it names deeds.
        deed: &'a str,
    },
    /// There is no such payment.
    Missing,
    /// The request itself is refused, with this code.
    Rejected(&'a str),
    /// Something at the PSP broke.
    ServerError,
    /// Too many requests.
    Throttled(Duration),
    /// The idempotency key came with another request before.
    KeyReused,
}

/// An HTTP answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WireAnswer {
    /// The status code.
    pub status: u16,
    /// Headers besides the content type.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl WireAnswer {
    /// An answer in JSON.
    #[must_use]
    pub fn json(status: u16, body: &serde_json::Value) -> Self {
        Self { status, headers: Vec::new(), body: body.to_string().into_bytes() }
    }

    /// The same with a header.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.headers.push((name.to_owned(), value.to_string()));
        self
    }
}

/// What happened to a payment, for webhooks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Happened {
    /// The money was reserved.
    Authorized,
    /// The authorization was declined.
    Declined,
    /// The customer has to act.
    ActionRequired,
    /// An operation was taken and its result is open.
    Pending,
    /// The money was captured.
    Captured,
    /// The payment was voided.
    Voided,
    /// Money was given back.
    Refunded,
    /// A capture, void or refund that the PSP had taken was not done.
    Failed(Operation),
}

/// Something that happened, with the payment as it stood right after.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct News {
    /// Counts all news of one PSP.
    pub number: u64,
    /// What.
    pub happened: Happened,
    /// The payment.
    pub account: Account,
    /// The PSP's name for the deed.
    pub deed: String,
    /// How much it moved.
    pub money: Money,
    /// When.
    pub at: Timestamp,
}

/// One item of a webhook, unsigned.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Item {
    /// What happened.
    pub news: News,
    /// The PSP's name for the kind of event.
    pub kind: String,
    /// The item as the PSP writes it.
    pub body: serde_json::Value,
}

/// A webhook as it travels.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Signed {
    /// Headers with the signature, where it is in a header.
    pub headers: Vec<(String, String)>,
    /// The body, with the signature where it is in the body.
    pub body: Vec<u8>,
}

impl Signed {
    /// The header of this name, whatever its case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<String> {
        self.headers.iter().find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.clone())
    }
}

/// Whether a webhook's signature covers the time it was made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Freshness {
    /// It does: a stale one can be told.
    Timestamped,
    /// It does not: a replay can be told by its event id alone.
    Timeless,
}

/// How one asks this PSP what became of a payment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Inquiry {
    /// By a request of its own, which changes nothing.
    Asks,
    /// There is none: the same request is made again under the same key, and the stored answer comes.
    Replays,
}

/// One PSP's wire format.
pub trait Dialect: Send + Sync + 'static {
    /// The PSP's name, for messages and as the name it is configured by.
    fn psp(&self) -> &'static str;

    /// A customer's means of payment that works, as clients name it.
    fn payment_method(&self) -> &'static str {
        "pm_card_visa"
    }

    /// What requests look like, for messages: each with its operation.
    fn routes(&self) -> &'static [(&'static str, Operation)];

    /// The header that carries the credentials, in lower case.
    fn credentials(&self) -> &'static str;

    /// What a request asks for.
    ///
    /// # Errors
    /// It is no request of this PSP's; the text says what is wrong with it, for the developer.
    fn read(&self, request: &Incoming) -> Result<Asked, String>;

    /// The answer that tells a fact.
    fn answer(&self, asked: &Asked, fact: Fact<'_>) -> WireAnswer;

    /// Whether an answer with this status is stored under the idempotency key and given again.
    fn is_stored(&self, status: u16) -> bool;

    /// How one asks what became of a payment.
    fn inquiry(&self) -> Inquiry;

    /// The decline with this code of the PSP's.
    ///
    /// # Errors
    /// The PSP has no such code; the text names some it has.
    fn decline(&self, code: &str) -> Result<Decline, String>;

    /// The documented declines whose kind matters, each kind at least once.
    fn declines(&self) -> Vec<Decline>;

    /// A decline of this kind.
    ///
    /// # Panics
    /// When the dialect knows none: then it is unfinished.
    fn decline_of(&self, category: FailureCategory) -> Decline {
        let found = self.declines().into_iter().find(|decline| decline.category == category);
        found.unwrap_or_else(|| panic!("the dialect {} has no {category}: add one to declines()", self.psp()))
    }

    /// The PSP's name for its payment or deed of this number.
    fn reference(&self, number: u64, operation: Operation) -> String;

    /// The amount in the PSP's units; none when the PSP cannot take exactly this.
    fn write_amount(&self, money: Money) -> Option<i64>;

    /// An amount in the PSP's units; none when the PSP has no such amount.
    fn read_amount(&self, amount: i64, currency: Currency) -> Option<Money>;

    /// The webhook item that tells of this; none when the PSP sends none.
    fn item(&self, news: &News) -> Option<Item>;

    /// Items in one webhook.
    fn max_items(&self) -> usize;

    /// A webhook of these items (at least one, at most [`Dialect::max_items`]), signed with this secret at this time.
    fn sign(&self, items: &[Item], secret: &str, at: Timestamp) -> Signed;

    /// Whether signatures cover the time.
    fn freshness(&self) -> Freshness;

    /// A secret that is well-formed for this PSP and stands for this number.
    fn webhook_secret(&self, number: u8) -> String;
}
