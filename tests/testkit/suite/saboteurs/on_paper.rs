//! One way to spoil a gateway for each check without a network.

use workflow::event::Unknown;
use workflow::port::gateway::{Operation, Outcome, Standing};

use super::{Believes, GOOD, Sabotage, declined, unknown};

/// What breaks on paper, and by what.
pub(super) const ON_PAPER: &[(&str, Sabotage)] = &[
    (
        "the PSP understands every request as what it is meant",
        Sabotage { request: |_, request| request.path = request.path.replace("/capture", "/take"), ..GOOD },
    ),
    (
        "every acting call carries its idempotency key",
        Sabotage { request: |_, request| request.headers.retain(|(name, _)| *name != "idempotency-key"), ..GOOD },
    ),
    (
        "a call is the same on every attempt, byte for byte",
        Sabotage {
            request: |call, request| request.body.push_str(&format!("&metadata[attempt]={}", call.payment.attempt)),
            ..GOOD
        },
    ),
    (
        "every call names the payment, and the first one by our reference",
        Sabotage { request: |_, request| request.body = request.body.replace("fincore_payment", "order"), ..GOOD },
    ),
    (
        "no secret is in a request, and its path stays below the base URL",
        Sabotage { request: |_, request| request.headers.push(("authorization", "Bearer x".to_owned())), ..GOOD },
    ),
    (
        "no stored reference can lead a call elsewhere",
        Sabotage {
            request: |call, request| {
                request.path =
                    format!("/v1/payment_intents/{}", call.payment.psp_reference.clone().unwrap_or_default());
            },
            ..GOOD
        },
    ),
    (
        "an inquiry changes nothing",
        Sabotage { request: |call, request| request.headers.push(("idempotency-key", call.key.to_owned())), ..GOOD },
    ),
    ("an amount that the PSP cannot take exactly is not supported", Sabotage { supports: |_, _| Ok(()), ..GOOD }),
    (
        "an amount is written in the PSP's units",
        Sabotage {
            request: |call, request| {
                let naive = format!("amount={}&", call.payment.amount_minor);
                let rest = request.body.split_once('&').map(|(_, rest)| rest.to_owned());
                if let (Operation::Register, Some(rest)) = (call.operation, rest) {
                    request.body = naive + &rest;
                }
            },
            ..GOOD
        },
    ),
    (
        "an amount is read from the PSP's units",
        Sabotage {
            read: |_, payment, _, outcome| match outcome {
                Outcome::Approved(Standing::Authorized { psp_reference, mut money }) => {
                    if payment.currency.exponent() == 0 {
                        money.amount_minor *= 100;
                    }
                    Outcome::Approved(Standing::Authorized { psp_reference, money })
                }
                other => other,
            },
            ..GOOD
        },
    ),
    (
        "another amount than asked for is reported as it is",
        Sabotage {
            read: |_, payment, _, outcome| match outcome {
                Outcome::Approved(Standing::Authorized { psp_reference, .. }) => {
                    Outcome::Approved(Standing::Authorized { psp_reference, money: payment.asked() })
                }
                other => other,
            },
            ..GOOD
        },
    ),
    (
        "a success is read as what it proves",
        Sabotage {
            read: |operation, payment, _, outcome| match operation {
                Operation::Register => {
                    Outcome::Approved(Standing::Captured { psp_reference: "pi".to_owned(), money: payment.asked() })
                }
                _other => outcome,
            },
            ..GOOD
        },
    ),
    (
        "an answer about another payment proves nothing",
        Sabotage {
            read: |_, payment, answer, outcome| match (answer.status, &payment.psp_reference) {
                (200, Some(reference)) if matches!(outcome, Outcome::Unknown { .. }) => {
                    Outcome::Approved(Standing::Authorized { psp_reference: reference.clone(), money: payment.asked() })
                }
                _other => outcome,
            },
            ..GOOD
        },
    ),
    (
        "a decline is Declined, with the category its code has, and a code",
        Sabotage {
            read: |_, _, _, outcome| if matches!(outcome, Outcome::Declined(_)) { declined() } else { outcome },
            ..GOOD
        },
    ),
    (
        "a refused request is not a decline",
        Sabotage {
            read: |_, _, _, outcome| if matches!(outcome, Outcome::Rejected(_)) { declined() } else { outcome },
            ..GOOD
        },
    ),
    (
        "a reused key is neither a success nor a decline",
        Sabotage { read: |_, _, answer, outcome| if answer.status == 400 { declined() } else { outcome }, ..GOOD },
    ),
    (
        "a server error is never a no, even with a decline in its body",
        Sabotage {
            read: |_, _, answer, outcome| {
                let says_no = String::from_utf8_lossy(&answer.body).contains("card_error");
                if answer.status >= 500 && says_no { declined() } else { outcome }
            },
            ..GOOD
        },
    ),
    (
        "an action of the customer's is read with its page",
        Sabotage {
            read: |_, _, _, outcome| match outcome {
                Outcome::ActionRequired { psp_reference, .. } => Outcome::Pending { psp_reference },
                other => other,
            },
            ..GOOD
        },
    ),
    (
        "a result that comes later is Pending",
        Sabotage {
            read: |_, _, _, outcome| if matches!(outcome, Outcome::Pending { .. }) { unknown() } else { outcome },
            ..GOOD
        },
    ),
    (
        "429 is Throttled, for as long as the PSP asks, whatever its body",
        Sabotage {
            read: |_, _, _, outcome| match outcome {
                Outcome::Throttled { .. } => Outcome::Throttled { retry_after_ms: None },
                other => other,
            },
            ..GOOD
        },
    ),
    (
        "a body that says nothing is never a success or a decline",
        Sabotage {
            read: |_, _, answer, outcome| {
                assert!(answer.body != b"null", "null is not an intent");
                outcome
            },
            ..GOOD
        },
    ),
    (
        "an answer cut anywhere is Unknown",
        Sabotage {
            read: |_, _, answer, outcome| {
                let is_cut = answer.status == 200 && answer.body.len() > 100 && answer.body.last() != Some(&b'}');
                if is_cut { Outcome::Pending { psp_reference: None } } else { outcome }
            },
            ..GOOD
        },
    ),
    (
        "a refused API key is no outcome of the payment",
        Sabotage { read: |_, _, answer, outcome| if answer.status == 401 { declined() } else { outcome }, ..GOOD },
    ),
    (
        "a proxy's error page does not end an operation",
        Sabotage {
            read: |_, _, answer, outcome| match answer.status {
                502 => Outcome::Unknown { why: Unknown::EndedInError, detail: String::new() },
                _other => outcome,
            },
            ..GOOD
        },
    ),
    ("an authentic webhook is believed", Sabotage { believes: Believes::Nothing, ..GOOD }),
    ("a forged, altered or unsigned webhook is refused", Sabotage { believes: Believes::Everything, ..GOOD }),
    ("a stale webhook, or one from the future, is refused", Sabotage { believes: Believes::Stale, ..GOOD }),
    (
        "a webhook secret that is empty, short or a placeholder is refused",
        Sabotage { takes_any_secret: || true, ..GOOD },
    ),
    ("no bytes and no header make it panic or believe", Sabotage { believes: Believes::Everything, ..GOOD }),
    (
        "a doubled webhook has the same event id, and two events have two",
        Sabotage { hears: |heard, _| heard.event_id = "the one event".to_owned(), ..GOOD },
    ),
    (
        "a webhook names its payment",
        Sabotage {
            hears: |heard, _| {
                heard.payment_id = None;
                heard.psp_reference = None;
            },
            ..GOOD
        },
    ),
    (
        "a webhook means what happened",
        Sabotage {
            hears: |heard, _| {
                if heard.event_type == "payment_intent.payment_failed" {
                    heard.news = None;
                }
            },
            ..GOOD
        },
    ),
];
