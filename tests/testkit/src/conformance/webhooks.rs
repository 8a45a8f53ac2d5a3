//! Webhooks: only authentic ones are believed, and they say the same each time they come.

use jiff::{SignedDuration, Timestamp};
use workflow::money::Money;
use workflow::payment::FailureCategory;
use workflow::port::gateway::{self, Notification, Operation, Outcome, Standing, WebhookRefused};

use super::candidate::{Candidate, usual};
use super::report::Report;
use crate::dialect::{Freshness, Happened, Item, News, Signed, Stands};
use crate::heard::hear;

/// Secrets that were never one.
const PLACEHOLDERS: &[&str] = &[
    "",
    " ",
    "secret",
    "changeme",
    "whsec_...",
    "your_webhook_secret_here_00000000",
    "<your-hmac-key>",
    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
];

fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).expect("within time")
}

/// The item that tells of this, if the PSP sends one.
fn item(candidate: &Candidate, happened: Happened, money: Money, number: u64) -> Option<Item> {
    let payment = candidate.payment(1, money);
    let stands = match happened {
        Happened::Authorized => Stands::Authorized,
        Happened::Declined => Stands::Declined,
        Happened::ActionRequired => Stands::ActionRequired,
        Happened::Pending => Stands::Pending(Operation::Authorize),
        Happened::Captured | Happened::Refunded => Stands::Captured,
        Happened::Voided => Stands::Voided,
        Happened::Failed(_) => Stands::Authorized,
    };
    let mut account = candidate.account(&payment, stands);
    if happened == Happened::Declined {
        account.decline = Some(candidate.dialect().decline_of(FailureCategory::SoftDecline));
    }
    let deed = candidate.dialect().reference(number + 10, Operation::Capture);
    candidate.dialect().item(&News { number, happened, account, deed, money, at: now() })
}

fn sign(candidate: &Candidate, item: &Item, at: Timestamp) -> Signed {
    candidate.dialect().sign(std::slice::from_ref(item), &candidate.secret(), at)
}

type Heard = Result<Vec<Notification>, WebhookRefused>;

fn heard(candidate: &Candidate, signed: &Signed) -> Heard {
    let items = hear(candidate.gateway(), signed, now())?;
    Ok(items.into_iter().map(|(_, notification)| notification).collect())
}

pub(super) fn check(candidate: &Candidate, report: &mut Report) {
    authenticity(candidate, report);
    meaning(candidate, report);
}

fn authenticity(candidate: &Candidate, report: &mut Report) {
    let authorized = item(candidate, Happened::Authorized, usual(), 1).expect("every PSP tells of an authorization");
    let good = sign(candidate, &authorized, now());

    let fix = "compute the signature as the PSP's manual has it, over the raw bytes";
    report.check("an authentic webhook is believed", fix, |cases| {
        let heard = heard(candidate, &good);
        cases.expect(heard.as_ref().is_ok_and(|items| items.len() == 1), || format!("{heard:?}"));
    });

    let fix = "verify before reading: a signature by another key, of other bytes, or none at all refuses the webhook";
    report.check("a forged, altered or unsigned webhook is refused", fix, |cases| {
        let other = candidate.dialect().webhook_secret(0xee);
        let forged = candidate.dialect().sign(std::slice::from_ref(&authorized), &other, now());
        let text = String::from_utf8_lossy(&good.body).into_owned();
        let reference = candidate.reference();
        let altered = text.replace(&reference, &candidate.dialect().reference(99, Operation::Register));
        let altered = Signed { body: altered.into_bytes(), ..good.clone() };
        let unsigned = Signed { headers: Vec::new(), body: authorized.body.to_string().into_bytes() };
        for (what, signed) in [("forged", forged), ("altered", altered)] {
            let heard = heard(candidate, &signed);
            cases.expect(is_not_authentic(&heard), || format!("{what}: {heard:?}"));
        }
        let heard = heard(candidate, &unsigned);
        cases.expect(heard.is_err(), || format!("unsigned: {heard:?}"));
    });

    let name = "a stale webhook, or one from the future, is refused";
    match candidate.dialect().freshness() {
        Freshness::Timestamped => {
            let fix = "compare the signed time with the `now` that is passed in, both ways, after the signature";
            report.check(name, fix, |cases| {
                for hours in [-1, 1, -24 * 365] {
                    let heard =
                        heard(candidate, &sign(candidate, &authorized, now() + SignedDuration::from_hours(hours)));
                    let is_refused = heard == Err(WebhookRefused::TimestampOutsideTolerance);
                    cases.expect(is_refused, || format!("{hours} h: {heard:?}"));
                }
            });
        }
        Freshness::Timeless => {
            report.not_concerned(name, "this PSP's signatures have no time; event ids tell repetitions")
        }
    }

    let fix =
        "refuse such secrets when the gateway is configured: a program with one believes anybody who read the manual";
    report.check("a webhook secret that is empty, short or a placeholder is refused", fix, |cases| {
        for secret in PLACEHOLDERS {
            cases.expect(!candidate.takes_secret(secret), || format!("{secret:?} is taken"));
        }
    });

    let fix = "bear any header and any body: refuse, never panic";
    report.check("no bytes and no header make it panic or believe", fix, |cases| {
        let headers: Vec<String> = good.headers.iter().map(|(name, _)| name.clone()).collect();
        // What it would say if anybody had signed it.
        let unsigned = authorized.body.to_string().into_bytes();
        let odd = [
            &b""[..],
            b"null",
            b"{}",
            b"[]",
            b"\xff\xfe",
            b"{\"notificationItems\":[]}",
            b"{\"notificationItems\":[{}]}",
        ];
        for body in odd.into_iter().chain([unsigned.as_slice()]) {
            for value in ["", "t=", "t=1,v1=", "t=x,v1=zz,v1=", "v1=00,t=18446744073709551616", "\u{e9}", ",,,,===="] {
                let headers = headers.iter().map(|name| (name.clone(), value.to_owned())).collect();
                let heard = heard(candidate, &Signed { headers, body: body.to_vec() });
                let is_believed = heard.as_ref().is_ok_and(|items| !items.is_empty());
                cases.expect(!is_believed, || format!("{body:?} with {value:?}: {heard:?}"));
            }
            let _bears = candidate.gateway().notification(body);
        }
    });
}

fn is_not_authentic(heard: &Heard) -> bool {
    matches!(heard, Err(WebhookRefused::SignatureMissing | WebhookRefused::SignatureMismatch))
}

fn meaning(candidate: &Candidate, report: &mut Report) {
    let fix = "take the event's id from what is the same on every delivery, never from the time or the signature";
    report.check("a doubled webhook has the same event id, and two events have two", fix, |cases| {
        let ids: Vec<String> =
            [(Happened::Authorized, 1, 0), (Happened::Authorized, 1, 60), (Happened::Captured, 2, 0)]
                .into_iter()
                .filter_map(|(happened, number, seconds)| {
                    let item = item(candidate, happened, usual(), number)?;
                    let signed = sign(candidate, &item, now() + SignedDuration::from_secs(seconds));
                    heard(candidate, &signed).ok()?.pop().map(|notification| notification.event_id)
                })
                .collect();
        let is_right = ids.len() == 3 && ids[0] == ids[1] && ids[1] != ids[2] && !ids[0].is_empty();
        cases.expect(is_right, || format!("{ids:?}"));
    });

    let fix = "read our reference or the PSP's from every event about a payment";
    report.check("a webhook names its payment", fix, |cases| {
        let payment = candidate.payment(1, usual());
        for happened in
            [Happened::Authorized, Happened::Declined, Happened::Captured, Happened::Voided, Happened::Refunded]
        {
            let Some(item) = item(candidate, happened, usual(), 1) else { continue };
            let heard = heard(candidate, &sign(candidate, &item, now()));
            let is_named = heard.as_ref().is_ok_and(|items| {
                items.iter().all(|notification| {
                    notification.payment_id == Some(payment.id)
                        || notification.psp_reference.as_deref() == Some(candidate.reference().as_str())
                })
            });
            cases.expect(is_named, || format!("{happened:?}: {heard:?}"));
        }
    });

    let fix = "read each event as the outcome it proves, its amount from the PSP's units; one that only looks like success (success: \"false\") is no success";
    report.check("a webhook means what happened", fix, |cases| {
        for money in [usual(), money(5, "isk"), money(1_230, "kwd"), money(500, "jpy"), money(1_200, "clp")] {
            if candidate.gateway().supports(money).is_err() {
                continue;
            }
            for happened in [Happened::Authorized, Happened::Declined, Happened::Captured, Happened::Voided] {
                let Some(item) = item(candidate, happened, money, 1) else { continue };
                let heard = heard(candidate, &sign(candidate, &item, now()));
                let outcome = heard.as_ref().ok().and_then(|items| items.first()).and_then(|first| outcome(first));
                cases.expect(means(happened, money, outcome), || format!("{happened:?} of {money}: {outcome:?}"));
            }
            for operation in [Operation::Capture, Operation::Void, Operation::Refund] {
                let Some(item) = item(candidate, Happened::Failed(operation), money, 1) else { continue };
                let heard = heard(candidate, &sign(candidate, &item, now()));
                let is_success =
                    |notification: &Notification| matches!(outcome(notification), Some(Outcome::Approved(_)));
                let is_right = heard.as_ref().is_ok_and(|items| !items.iter().any(is_success));
                cases.expect(is_right, || format!("a failed {operation} of {money}: {heard:?}"));
            }
        }
    });

    let fix = "read every item of a webhook, not the first alone";
    let name = "every item of a webhook is read";
    match candidate.dialect().max_items() {
        1 => report.not_concerned(name, "this PSP sends one event in a webhook"),
        _more => report.check(name, fix, |cases| {
            let happened = [Happened::Authorized, Happened::Captured];
            let items: Vec<Item> = happened
                .into_iter()
                .zip(1..)
                .filter_map(|(what, number)| item(candidate, what, usual(), number))
                .collect();
            let signed = candidate.dialect().sign(&items, &candidate.secret(), now());
            let heard = heard(candidate, &signed);
            cases.expect(heard.as_ref().is_ok_and(|heard| heard.len() == items.len()), || format!("{heard:?}"));
        }),
    }
}

fn means(happened: Happened, expected: Money, outcome: Option<&Outcome>) -> bool {
    match (happened, outcome) {
        (Happened::Authorized, Some(Outcome::Approved(Standing::Authorized { money, .. })))
        | (Happened::Captured, Some(Outcome::Approved(Standing::Captured { money, .. }))) => *money == expected,
        (Happened::Declined, Some(Outcome::Declined(_)))
        | (Happened::Voided, Some(Outcome::Approved(Standing::Voided { .. }))) => true,
        _other => false,
    }
}

fn money(amount_minor: i64, code: &str) -> Money {
    Money { amount_minor, currency: code.parse().expect("a currency") }
}

/// What a notification says of how the payment stands; later news of money says something else.
fn outcome(notification: &Notification) -> Option<&Outcome> {
    if let Some(gateway::News::Outcome(outcome)) = &notification.news { Some(outcome) } else { None }
}
