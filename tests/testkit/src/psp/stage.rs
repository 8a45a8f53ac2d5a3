//! Where a call meets the scenario and the books: key, step, effect, answer, in this order and under one lock.
//!
//! Not here: how things are written (the dialect) and how answers leave (`mount.rs`).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use workflow::money::Money;
use workflow::payment::FailureCategory;
use workflow::port::clock::{Clock, SystemClock};
use workflow::port::gateway::Operation;

use super::books::{Books, EffectKind};
use super::script::{Effect, Steps, Travels};
use crate::dialect::{Account, Asked, Decline, Dialect, Fact, Happened, Incoming, News, Stands, WireAnswer};

/// Requests that are kept: no test makes more, and a loop that does should not eat the machine.
const MAX_REQUESTS: usize = 10_000;

/// How an answer leaves.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Leaves {
    /// Whole.
    Whole(WireAnswer),
    /// Never.
    Never,
    /// The connection is closed instead.
    HangUp,
}

/// The answer under a key.
struct Stored {
    request: Incoming,
    answer: WireAnswer,
}

pub(super) struct Stage {
    pub(super) dialect: Arc<dyn Dialect>,
    pub(super) books: Books,
    pub(super) steps: Steps,
    pub(super) news: Vec<News>,
    /// What came and could be read.
    pub(super) calls: Vec<Asked>,
    /// What came and could not, in words.
    pub(super) strangers: Vec<String>,
    answers: HashMap<String, Stored>,
    deeds: u64,
}

/// What a call came to.
enum Came {
    Done { account: Account, money: Money },
    Declined { account: Account, decline: Decline },
    Impossible(Account),
    Missing,
    Rejected(String),
}

impl Stage {
    pub(super) fn new(dialect: Arc<dyn Dialect>) -> Self {
        Self {
            dialect,
            books: Books::default(),
            steps: Steps::default(),
            news: Vec::new(),
            calls: Vec::new(),
            strangers: Vec::new(),
            answers: HashMap::new(),
            deeds: 0,
        }
    }

    /// One request.
    pub(super) fn meet(&mut self, request: Incoming) -> Leaves {
        let asked = match self.admit(&request) {
            Ok(asked) => asked,
            Err(why) => return Leaves::Whole(self.stranger(&request, &why)),
        };
        self.calls.push(asked.clone());
        if let Some(stored) = asked.key.as_ref().and_then(|key| self.answers.get(key)) {
            let is_same = stored.request.path == request.path && stored.request.body == request.body;
            let answer = if is_same { stored.answer.clone() } else { self.dialect.answer(&asked, Fact::KeyReused) };
            return Leaves::Whole(answer);
        }
        let card = self.account(&asked).and_then(|account| account.payment_method).or(asked.payment_method.clone());
        let step = self.steps.take(asked.operation, card.as_deref());
        let truth = self.act(&asked, &step.effect);
        let answer = match step.travels {
            Travels::Throttled(wait) => return Leaves::Whole(self.dialect.answer(&asked, Fact::Throttled(wait))),
            Travels::Instead(answer) => return Leaves::Whole(answer),
            Travels::ServerError => {
                let error = self.dialect.answer(&asked, Fact::ServerError);
                // Where errors are not stored, the key still stands for what was done.
                let stored = if self.dialect.is_stored(error.status) { Some(&error) } else { truth.as_ref() };
                self.store(&asked, request, stored);
                return Leaves::Whole(error);
            }
            Travels::Whole | Travels::Never | Travels::HangUp | Travels::Garbage => truth,
        };
        self.store(&asked, request, answer.as_ref());
        match (step.travels, answer) {
            (Travels::HangUp, _) => Leaves::HangUp,
            (Travels::Garbage, _) => Leaves::Whole(garbage()),
            (Travels::Whole, Some(answer)) => Leaves::Whole(answer),
            _never => Leaves::Never,
        }
    }

    fn admit(&self, request: &Incoming) -> Result<Asked, String> {
        if self.calls.len() >= MAX_REQUESTS {
            return Err(format!("{MAX_REQUESTS} requests are more than a test makes: something goes in circles"));
        }
        let credentials = self.dialect.credentials();
        if request.header(credentials).is_none() {
            return Err(format!("it carries no credentials: the header {credentials} is missing"));
        }
        self.dialect.read(request)
    }

    /// Remembers a request that is none of this PSP's, and tells its sender too.
    fn stranger(&mut self, request: &Incoming, why: &str) -> WireAnswer {
        const NOT_IMPLEMENTED: u16 = 501;
        let words = format!("{}  → {why}\n", request.written());
        let body = format!("The mock PSP does not understand this request: {why}\n").into_bytes();
        if self.strangers.len() < MAX_REQUESTS {
            self.strangers.push(words);
        }
        WireAnswer { status: NOT_IMPLEMENTED, headers: Vec::new(), body }
    }

    fn store(&mut self, asked: &Asked, request: Incoming, answer: Option<&WireAnswer>) {
        if let (Some(key), Some(answer)) = (&asked.key, answer)
            && self.dialect.is_stored(answer.status)
        {
            self.answers.insert(key.clone(), Stored { request, answer: answer.clone() });
        }
    }

    /// As PSPs may after some days: a repeated key makes a new request.
    pub(super) fn forget_keys(&mut self) {
        self.answers.clear();
    }

    /// The payment that a call names.
    fn account(&self, asked: &Asked) -> Option<Account> {
        let name = asked.psp_reference.as_ref().or(asked.merchant_reference.as_ref())?;
        self.books.find(name).cloned()
    }

    fn deed(&mut self, operation: Operation) -> String {
        self.deeds += 1;
        self.dialect.reference(self.deeds, operation)
    }

    /// Lets a call take effect and renders what it came to; nothing when it does nothing.
    fn act(&mut self, asked: &Asked, effect: &Effect) -> Option<WireAnswer> {
        if *effect == Effect::None {
            return None;
        }
        let dialect = Arc::clone(&self.dialect);
        if asked.operation == Operation::Inquire {
            let account = self.account(asked);
            let fact = account.as_ref().map_or(Fact::Missing, |account| {
                let money = account.asked;
                Fact::Done { account, deed: &account.psp_reference, money }
            });
            return Some(dialect.answer(asked, fact));
        }
        let deed = self.deed(asked.operation);
        let came = self.come(asked, effect, &deed);
        Some(match &came {
            Came::Done { account, money } => dialect.answer(asked, Fact::Done { account, deed: &deed, money: *money }),
            Came::Declined { account, decline } => {
                dialect.answer(asked, Fact::Declined { account, decline, deed: &deed })
            }
            Came::Impossible(account) => dialect.answer(asked, Fact::Impossible { account, deed: &deed }),
            Came::Missing => dialect.answer(asked, Fact::Missing),
            Came::Rejected(code) => dialect.answer(asked, Fact::Rejected(code)),
        })
    }

    fn come(&mut self, asked: &Asked, effect: &Effect, deed: &str) -> Came {
        if let Effect::Rejected(code) = effect {
            return Came::Rejected(code.clone());
        }
        let creates =
            asked.psp_reference.is_none() && matches!(asked.operation, Operation::Register | Operation::Authorize);
        let known = if creates { self.opened(asked, deed) } else { self.account(asked) };
        let Some(account) = known else {
            return if creates { Came::Rejected("invalid_amount".to_owned()) } else { Came::Missing };
        };
        if asked.currency.is_some_and(|currency| currency != account.asked.currency) {
            return Came::Rejected("invalid_currency".to_owned());
        }
        let operation = match asked.otherwise {
            Some(otherwise) if !can(asked.operation, account.stands) => otherwise,
            Some(_) | None => asked.operation,
        };
        let limit = match operation {
            Operation::Register | Operation::Authorize | Operation::Complete | Operation::Inquire => i64::MAX,
            Operation::Capture | Operation::Void => account.authorized_minor,
            Operation::Refund => account.captured_minor - account.refunded_minor,
        };
        let wanted = match asked.amount_wire.map(|amount| self.dialect.read_amount(amount, account.asked.currency)) {
            Some(Some(money)) => money.amount_minor,
            Some(None) => return Came::Rejected("invalid_amount".to_owned()),
            None if operation == Operation::Authorize => account.asked.amount_minor,
            None => limit,
        };
        if !can(operation, account.stands) || wanted > limit {
            self.tell(Happened::Failed(operation), &account, deed, wanted);
            return Came::Impossible(account);
        }
        match effect {
            Effect::Declined(decline) => self.declined(operation, account, decline.clone(), deed, wanted),
            Effect::ActionRequired => self.waits(account, Stands::ActionRequired, deed),
            Effect::Pending => self.waits(account, Stands::Pending(operation), deed),
            Effect::Approved { amount_minor } => self.done(operation, account, amount_minor.unwrap_or(wanted), deed),
            // Dealt with before any payment was looked for.
            Effect::Rejected(_) | Effect::None => Came::Impossible(account),
        }
    }

    /// A payment that this call makes known.
    fn opened(&self, asked: &Asked, deed: &str) -> Option<Account> {
        let asked_money = self.dialect.read_amount(asked.amount_wire?, asked.currency?)?;
        Some(Account {
            psp_reference: deed.to_owned(),
            merchant_reference: asked.merchant_reference.clone(),
            payment_method: asked.payment_method.clone(),
            asked: asked_money,
            stands: Stands::Registered,
            authorized_minor: 0,
            captured_minor: 0,
            refunded_minor: 0,
            decline: None,
        })
    }

    /// What was open is done.
    pub(super) fn done_later(&mut self, operation: Operation, account: Account) {
        let amount = match operation {
            Operation::Capture | Operation::Void => account.authorized_minor,
            Operation::Refund => account.captured_minor - account.refunded_minor,
            Operation::Register | Operation::Authorize | Operation::Complete | Operation::Inquire => {
                account.asked.amount_minor
            }
        };
        let deed = self.deed(operation);
        self.done(operation, account, amount, &deed);
    }

    /// An authorization that was open is declined.
    pub(super) fn declined_later(&mut self, account: Account, category: FailureCategory) {
        let decline = self.dialect.decline_of(category);
        let (deed, amount) = (account.psp_reference.clone(), account.asked.amount_minor);
        self.declined(Operation::Authorize, account, decline, &deed, amount);
    }

    fn done(&mut self, operation: Operation, mut account: Account, amount: i64, deed: &str) -> Came {
        let (stands, happened) = match operation {
            Operation::Register | Operation::Inquire => {
                self.books.keep(account.clone());
                return Came::Done { money: account.asked, account };
            }
            Operation::Authorize | Operation::Complete => {
                account.authorized_minor = amount;
                self.books.enter(EffectKind::Authorized, &account, amount);
                (Stands::Authorized, Happened::Authorized)
            }
            Operation::Capture => {
                account.captured_minor = amount;
                self.books.enter(EffectKind::Captured, &account, amount);
                (Stands::Captured, Happened::Captured)
            }
            Operation::Void => {
                if account.authorized_minor > 0 {
                    self.books.enter(EffectKind::Voided, &account, account.authorized_minor);
                }
                (Stands::Voided, Happened::Voided)
            }
            Operation::Refund => {
                account.refunded_minor += amount;
                self.books.enter(EffectKind::Refunded, &account, amount);
                (Stands::Captured, Happened::Refunded)
            }
        };
        account.stands = stands;
        account.decline = None;
        self.books.keep(account.clone());
        self.tell(happened, &account, deed, amount);
        Came::Done { money: account.money(amount), account }
    }

    /// A declined authorization is a state; a declined capture, void or refund changes nothing.
    fn declined(
        &mut self,
        operation: Operation,
        mut account: Account,
        decline: Decline,
        deed: &str,
        amount: i64,
    ) -> Came {
        let happened = match operation {
            Operation::Register | Operation::Authorize | Operation::Complete | Operation::Inquire => {
                account.stands = Stands::Declined;
                account.decline = Some(decline.clone());
                self.books.keep(account.clone());
                Happened::Declined
            }
            Operation::Capture | Operation::Void | Operation::Refund => Happened::Failed(operation),
        };
        self.tell(happened, &account, deed, amount);
        Came::Declined { account, decline }
    }

    fn waits(&mut self, mut account: Account, stands: Stands, deed: &str) -> Came {
        account.stands = stands;
        self.books.keep(account.clone());
        let is_pending = matches!(stands, Stands::Pending(_));
        let happened = if is_pending { Happened::Pending } else { Happened::ActionRequired };
        let amount = account.asked.amount_minor;
        self.tell(happened, &account, deed, amount);
        Came::Done { money: account.asked, account }
    }

    fn tell(&mut self, happened: Happened, account: &Account, deed: &str, amount: i64) {
        let number = self.news.len() as u64 + 1;
        let (account, deed, money) = (account.clone(), deed.to_owned(), account.money(amount));
        self.news.push(News { number, happened, account, deed, money, at: SystemClock.now() });
    }
}

/// Whether a payment that stands so allows this.
fn can(operation: Operation, stands: Stands) -> bool {
    match operation {
        Operation::Register | Operation::Inquire => true,
        Operation::Authorize | Operation::Complete => {
            matches!(stands, Stands::Registered | Stands::ActionRequired | Stands::Declined)
        }
        Operation::Capture => stands == Stands::Authorized,
        Operation::Void => {
            matches!(stands, Stands::Registered | Stands::ActionRequired | Stands::Declined | Stands::Authorized)
        }
        Operation::Refund => stands == Stands::Captured,
    }
}

fn garbage() -> WireAnswer {
    WireAnswer { status: 200, headers: Vec::new(), body: b"<html>upstream connect error".to_vec() }
}

/// How long "never" is: longer than any call's timeout, and short enough for a hung test to be seen.
pub(super) const NEVER: Duration = Duration::from_secs(120);
