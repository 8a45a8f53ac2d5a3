//! The checklist finds what it is for: a good gateway, spoiled in one way, breaks the check of that name.

#![allow(clippy::wildcard_enum_match_arm, reason = "a saboteur spoils one thing and passes the rest on")]

mod on_paper;

use std::sync::{Arc, Mutex};

use activities::gateway::client::Account;
use activities::gateway::stripe;
use jiff::Timestamp;
use testkit::MockPsp;
use testkit::conformance::{self, Candidate, Cards};
use testkit::dialect;
use workflow::event::Unknown;
use workflow::money::Money;
use workflow::payment::{Failure, FailureCategory, Payment};
use workflow::port::gateway::{
    Answer, Call, Capabilities, Gateway, Notification, Operation, Outcome, Request, Standing, Unreadable,
    WebhookRefused,
};

use on_paper::ON_PAPER;

/// How a gateway is spoiled.
#[derive(Clone, Copy)]
struct Sabotage {
    request: fn(&Call<'_>, &mut Request),
    supports: fn(Money, Result<(), String>) -> Result<(), String>,
    read: fn(Operation, &Payment, &Answer, Outcome) -> Outcome,
    believes: Believes,
    hears: fn(&mut Notification, Timestamp),
    takes_any_secret: fn() -> bool,
}

/// Which webhooks are believed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Believes {
    Authentic,
    Everything,
    Stale,
    Nothing,
}

const GOOD: Sabotage = Sabotage {
    request: |_, _| {},
    supports: |_, answer| answer,
    read: |_, _, _, outcome| outcome,
    believes: Believes::Authentic,
    hears: |_, _| {},
    takes_any_secret: || false,
};

struct Spoiled {
    good: stripe::Stripe,
    how: Sabotage,
    verified_at: Mutex<Timestamp>,
}

impl Gateway for Spoiled {
    fn psp(&self) -> &str {
        self.good.psp()
    }

    fn capabilities(&self) -> Capabilities {
        self.good.capabilities()
    }

    fn supports(&self, money: Money) -> Result<(), String> {
        (self.how.supports)(money, self.good.supports(money))
    }

    fn needs_registration(&self, payment: &Payment) -> bool {
        self.good.needs_registration(payment)
    }

    fn known_standing(&self, payment: &Payment) -> Option<Standing> {
        self.good.known_standing(payment)
    }

    fn request(&self, call: Call<'_>) -> Request {
        let mut request = self.good.request(call);
        (self.how.request)(&call, &mut request);
        request
    }

    fn read(&self, operation: Operation, payment: &Payment, answer: &Answer) -> Outcome {
        (self.how.read)(operation, payment, answer, self.good.read(operation, payment, answer))
    }

    fn verify(
        &self,
        header: &dyn Fn(&str) -> Option<String>,
        body: &[u8],
        now: Timestamp,
    ) -> Result<Vec<Vec<u8>>, WebhookRefused> {
        *self.verified_at.lock().unwrap() = now;
        match (self.how.believes, self.good.verify(header, body, now)) {
            (Believes::Nothing, _) => Err(WebhookRefused::SignatureMismatch),
            (Believes::Everything, _) | (Believes::Stale, Err(WebhookRefused::TimestampOutsideTolerance)) => {
                Ok(vec![body.to_vec()])
            }
            (Believes::Authentic | Believes::Stale, verified) => verified,
        }
    }

    fn notification(&self, event: &[u8]) -> Result<Notification, Unreadable> {
        let mut heard = self.good.notification(event)?;
        (self.how.hears)(&mut heard, *self.verified_at.lock().unwrap());
        Ok(heard)
    }
}

fn candidate(how: Sabotage) -> Candidate {
    Candidate::new(dialect::stripe::Stripe, move |secret| {
        let config = match stripe::StripeConfig::new("stripe", vec![secret.to_owned().into()]) {
            Err(_) if (how.takes_any_secret)() => stripe::StripeConfig::calls_only("stripe"),
            config => config,
        };
        let good = stripe::Stripe::new(config.map_err(|invalid| invalid.to_string())?);
        let verified_at = Mutex::new(Timestamp::UNIX_EPOCH);
        Ok(Arc::new(Spoiled { good, how, verified_at }) as Arc<dyn Gateway>)
    })
}

fn declined() -> Outcome {
    Outcome::Declined(Failure {
        category: FailureCategory::SoftDecline,
        code: "no".to_owned(),
        decline_code: None,
        advice: None,
    })
}

fn unknown() -> Outcome {
    Outcome::Unknown { why: Unknown::Unreadable, detail: String::new() }
}

#[test]
fn each_check_on_paper_finds_the_gateway_that_breaks_it() {
    std::panic::set_hook(Box::new(|_| {}));
    let missed: Vec<String> = ON_PAPER
        .iter()
        .filter_map(|(name, sabotage)| {
            let broken = conformance::on_paper(&candidate(*sabotage)).broken();
            (!broken.contains(name)).then(|| format!("{name}; broken are {broken:?}"))
        })
        .collect();
    drop(std::panic::take_hook());
    assert!(missed.is_empty(), "not found: {missed:#?}");
    let names: Vec<&str> = conformance::on_paper(&candidate(GOOD)).checks.iter().map(|checked| checked.name).collect();
    let unproven: Vec<_> = names.iter().filter(|name| !ON_PAPER.iter().any(|(proven, _)| proven == *name)).collect();
    assert_eq!(unproven, [&"every item of a webhook is read"], "a check that nothing breaks proves nothing");
}

async fn broken_over_http(how: Sabotage) -> Vec<&'static str> {
    let psp = MockPsp::stripe().await;
    psp.card("pm_declined").authorize().declines_hard().always();
    let cards = Cards { approved: "pm_card_visa".to_owned(), declined: "pm_declined".to_owned() };
    let broken = conformance::over_http(&candidate(how), account(&psp), &cards).await.broken();
    let _told = psp.complaints();
    broken
}

async fn broken_under_faults(how: Sabotage) -> Vec<&'static str> {
    let psp = MockPsp::stripe().await;
    let broken = conformance::under_faults(&candidate(how), account(&psp), &psp).await.broken();
    let _told = psp.complaints();
    broken
}

fn account(psp: &MockPsp) -> Account {
    stripe::account("stripe", &psp.url(), "sk_test_0123456789abcdef".into()).unwrap()
}

/// A gateway that takes every answer to an inquiry for "nothing happened".
const FORGETFUL: Sabotage = Sabotage {
    read: |operation, _, _, outcome| match operation {
        Operation::Inquire => Outcome::Approved(Standing::Untouched { evidence: "guessed".to_owned() }),
        _other => outcome,
    },
    ..GOOD
};

/// A gateway that makes every call a new one.
const KEYLESS: Sabotage =
    Sabotage { request: |_, request| request.headers.retain(|(name, _)| *name != "idempotency-key"), ..GOOD };

#[tokio::test]
async fn the_checks_over_http_find_the_gateways_that_break_them() {
    let lost = Sabotage { request: |_, request| request.path = request.path.replace("/cancel", "/void"), ..GOOD };
    assert_eq!(broken_over_http(lost).await, ["each operation is done over HTTP"]);
    assert_eq!(broken_over_http(FORGETFUL).await, ["an inquiry tells how the payment stands"]);
    assert!(broken_over_http(KEYLESS).await.contains(&"a repeated call comes to the same"));
    let soft =
        Sabotage { read: |_, _, answer, outcome| if answer.status == 402 { unknown() } else { outcome }, ..GOOD };
    assert_eq!(broken_over_http(soft).await, ["a declined card is Declined"]);
}

#[tokio::test]
async fn the_checks_under_faults_find_the_gateways_that_break_them() {
    let hasty =
        Sabotage { read: |_, _, answer, outcome| if answer.status == 500 { declined() } else { outcome }, ..GOOD };
    let fresh_keys = Sabotage {
        request: |_, request| {
            for (name, value) in &mut request.headers {
                if *name == "idempotency-key" {
                    *value = format!("{:032x}", rand::random::<u128>());
                }
            }
        },
        ..GOOD
    };
    let sunny = Sabotage {
        read: |operation, payment, answer, outcome| match (operation, answer.status) {
            (Operation::Capture, 402) => {
                Outcome::Approved(Standing::Captured { psp_reference: "pi".to_owned(), money: payment.asked() })
            }
            _other => outcome,
        },
        ..GOOD
    };
    let (hasty, forgetful, fresh_keys, sunny) = tokio::join!(
        broken_under_faults(hasty),
        broken_under_faults(FORGETFUL),
        broken_under_faults(fresh_keys),
        broken_under_faults(sunny),
    );
    assert!(hasty.contains(&"a fault in a call is read as what it proves"), "{hasty:?}");
    assert!(forgetful.contains(&"after a fault the inquiry tells the truth"), "{forgetful:?}");
    assert!(forgetful.contains(&"a decline whose answer was lost is found by the inquiry"), "{forgetful:?}");
    assert!(fresh_keys.contains(&"a call that is repeated after a fault takes effect once"), "{fresh_keys:?}");
    assert_eq!(sunny, ["a refused modification is no success"]);
}
