//! Gateways under fire: arbitrary statuses, headers and bytes, near enough to real answers to get past the first check.
//!
//! Every round has a seed of its own and can be played again alone. Works for any gateway: a test gives examples of
//! what its PSP sends. `cargo xtask fuzz` goes on for as long as it is told; in the gate a bounded number of rounds is
//! played. Not here: what certain answers mean; each gateway has tests of its own.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use workflow::payment::Payment;
use workflow::port::gateway::{Answer, Gateway, Operation, Outcome};

use crate::build;

/// How long to go on, in minutes; without it, so many rounds as the test says.
pub const MINUTES: &str = "FINCORE_FUZZ_MINUTES";
/// Plays this one round only.
pub const SEED: &str = "FINCORE_FUZZ_SEED";

/// The chance of one more change: mostly none or few, or nothing would be understood any more.
const ONE_MORE: f64 = 0.6;
const MOST_CHANGES: usize = 8;
/// The longest body; the client that reads answers has a limit, too.
const MAX_BODY: usize = 64 * 1024;
/// What a reader makes of an answer goes into rows and logs: it stays this small, however large the answer.
const MAX_READ: usize = 16 * 1024;
const MINUTE: Duration = Duration::from_secs(60);

const OPERATIONS: [Operation; 6] = [
    Operation::Register,
    Operation::Authorize,
    Operation::Capture,
    Operation::Void,
    Operation::Refund,
    Operation::Inquire,
];
const STATUSES: [u16; 16] = [0, 100, 200, 201, 204, 302, 400, 401, 402, 403, 404, 409, 422, 429, 500, 503];

/// A gateway, and what its PSP sends.
pub struct Target<'a> {
    /// Whose secrets sign nothing that is made up here.
    pub gateway: &'a dyn Gateway,
    /// Bodies of answers and webhooks.
    pub bodies: &'a [&'a str],
    /// Values of the headers a webhook comes with.
    pub headers: &'a [&'a str],
}

/// Plays rounds until the number, or the time in the environment, is over. Panics at the first that goes wrong and
/// says how to play it again.
pub fn play(target: &Target<'_>, rounds: u64) {
    let number = |name| std::env::var(name).ok().map(|text| text.parse().expect("it is a number"));
    let one: Option<u64> = number(SEED);
    let minutes: Option<u64> = number(MINUTES);
    let first = one.unwrap_or_else(rand::random);
    let (begin, mut played, mut evidence) = (Instant::now(), 0, 0);
    let goes_on = |played: u64| match (one, minutes) {
        (Some(_), _) => played < 1,
        (None, Some(minutes)) => begin.elapsed().as_secs() / MINUTE.as_secs() < minutes,
        (None, None) => played < rounds,
    };
    while goes_on(played) {
        let told = Told(first.wrapping_add(played));
        evidence += round(target, &mut StdRng::seed_from_u64(told.0));
        std::mem::forget(told);
        played += 1;
    }
    eprintln!("{played} rounds against {} from seed {first}; {evidence} answers were understood", target.gateway.psp());
    // Noise that is never understood would prove nothing.
    assert!(one.is_some() || evidence >= played / 20, "the examples are too far from what this gateway reads");
}

/// Tells the seed of the round in which it is dropped: one that panics.
struct Told(u64);

impl Drop for Told {
    fn drop(&mut self) {
        eprintln!("\nthe round of seed {0} went wrong; alone: {SEED}={0} cargo test -p fincore-tests fuzz\n", self.0);
    }
}

/// Returns how many operations took the answer for evidence.
fn round(target: &Target<'_>, rng: &mut StdRng) -> u64 {
    let gateway = target.gateway;
    let body = body(target.bodies, rng);
    let status = match rng.random_range(0..10) {
        0..5 => 200,
        5..9 => pick(&STATUSES, rng),
        _ => rng.random(),
    };
    let retry_after_ms = rng.random_bool(0.2).then(|| rng.random());
    let answer = Answer { status, retry_after_ms, body };
    let payment = payment(target, rng);
    let mut evidence = 0;
    for operation in OPERATIONS {
        let outcome = gateway.read(operation, &payment, &answer);
        assert_eq!(outcome, gateway.read(operation, &payment, &answer), "{operation}: read twice, understood twice");
        assert!(is_small(&outcome), "{operation}: more was read than can be kept");
        assert!(
            !is_evidence(&outcome) || (200..=499).contains(&status) && !(300..=399).contains(&status),
            "{operation}: HTTP {status} is evidence of nothing: {outcome:?}"
        );
        evidence += u64::from(is_evidence(&outcome));
    }
    let read = gateway.notification(&answer.body);
    assert_eq!(read, gateway.notification(&answer.body));
    assert!(is_small(&read), "more was read than can be kept");
    let header = header(target.headers, rng);
    let now = Timestamp::from_second(rng.random_range(-1_000_000_000..4_000_000_000)).expect("within time");
    let believed = gateway.verify(&|_| header.clone(), &answer.body, now);
    assert!(believed.is_err(), "nobody signed this with {header:?}");
    evidence
}

/// Whether an outcome claims to know what became of the money.
fn is_evidence(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Approved(_)
        | Outcome::ActionRequired { .. }
        | Outcome::Pending { .. }
        | Outcome::Declined(_)
        | Outcome::Rejected(_) => true,
        Outcome::Throttled { .. } | Outcome::NotSent { .. } | Outcome::Unknown { .. } => false,
    }
}

fn is_small(read: &impl std::fmt::Debug) -> bool {
    format!("{read:?}").len() <= MAX_READ
}

fn pick<T: Copy>(from: &[T], rng: &mut StdRng) -> T {
    from[rng.random_range(0..from.len())]
}

/// A payment that the answer may be about: some are known by an id that stands in an example.
fn payment(target: &Target<'_>, rng: &mut StdRng) -> Payment {
    let payment = if rng.random_bool(0.5) { build::payment(1) } else { build::full(1) };
    let example: Option<Value> = serde_json::from_str(pick(target.bodies, rng)).ok();
    let id = example
        .and_then(|example| ["id", "pspReference"].iter().find_map(|name| Some(example[name].as_str()?.to_owned())));
    let amount_captured_minor = if rng.random_bool(0.5) { payment.amount_minor } else { 0 };
    Payment { psp_reference: id.filter(|_| rng.random_bool(0.8)), amount_captured_minor, ..payment }
}

fn header(examples: &[&str], rng: &mut StdRng) -> Option<String> {
    if rng.random_bool(0.1) {
        return None;
    }
    let mut bytes = pick(examples, rng).as_bytes().to_vec();
    for _ in 0..changes(rng) {
        change_bytes(&mut bytes, examples, rng);
    }
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

fn changes(rng: &mut StdRng) -> usize {
    (0..MOST_CHANGES).take_while(|_| rng.random_bool(ONE_MORE)).count()
}

/// An example that was changed as a document, as bytes, or both; rarely, bytes out of nowhere.
fn body(examples: &[&str], rng: &mut StdRng) -> Vec<u8> {
    if rng.random_bool(0.02) {
        return (0..rng.random_range(0..512)).map(|_| rng.random()).collect();
    }
    let example = pick(examples, rng);
    let mut bytes = example.as_bytes().to_vec();
    if let Ok(mut document) = serde_json::from_str::<Value>(example) {
        for _ in 0..changes(rng) {
            change_document(&mut document, examples, rng);
        }
        bytes = document.to_string().into_bytes();
    }
    if rng.random_bool(0.3) {
        for _ in 0..changes(rng) {
            change_bytes(&mut bytes, examples, rng);
        }
    }
    bytes.truncate(MAX_BODY);
    bytes
}

/// Changes a random place of a document.
fn change_document(document: &mut Value, examples: &[&str], rng: &mut StdRng) {
    let mut place = document;
    // Examples are not deeper than this.
    for _ in 0..8 {
        let inside = match place {
            Value::Object(fields) => fields.len(),
            Value::Array(items) => items.len(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
        };
        if inside == 0 || rng.random_bool(0.2) {
            break;
        }
        let index = rng.random_range(0..inside);
        place = match place {
            Value::Object(fields) => fields.values_mut().nth(index).expect("it is within"),
            Value::Array(items) => &mut items[index],
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => unreachable!("nothing is inside"),
        };
    }
    let like = if place.is_number() {
        odd_number(rng)
    } else if place.is_string() {
        odd_text(rng)
    } else {
        Value::Null
    };
    // What has the right type gets further.
    *place = if like.is_null() || rng.random_bool(0.3) { odd(examples, rng) } else { like };
}

fn odd_number(rng: &mut StdRng) -> Value {
    match rng.random_range(0..4) {
        0 => json!(pick(&[0.5, 1e300, -0.0], rng)),
        1 => json!(u64::MAX),
        _ => json!(pick(&[0, 1, -1, 99, 1_200, 1 << 53, i64::MAX, i64::MAX / 10, i64::MIN], rng)),
    }
}

fn odd_text(rng: &mut StdRng) -> Value {
    const TEXTS: &[&str] =
        &["", "-", "eur", "EUR", "mga", "isk", "kwd", "succeeded", "true", "1200", "pi_1", "../x?y#z"];
    match rng.random_range(0..8) {
        0 => json!("x".repeat(rng.random_range(0..20_000))),
        1 => json!("ü\u{0}\u{202e}🧾"),
        _ => json!(pick(TEXTS, rng)),
    }
}

/// A value of any type.
fn odd(examples: &[&str], rng: &mut StdRng) -> Value {
    match rng.random_range(0..7) {
        0 => Value::Null,
        1 => json!(rng.random_bool(0.5)),
        2 => odd_number(rng),
        3 => odd_text(rng),
        4 => json!([]),
        5 => json!({}),
        // A whole other message in its place.
        _ => serde_json::from_str(pick(examples, rng)).unwrap_or(Value::Null),
    }
}

/// Changes random bytes.
fn change_bytes(bytes: &mut Vec<u8>, examples: &[&str], rng: &mut StdRng) {
    if bytes.is_empty() {
        bytes.push(rng.random());
        return;
    }
    let at = rng.random_range(0..bytes.len());
    let end = (at + rng.random_range(1..64)).min(bytes.len());
    match rng.random_range(0..8) {
        0 => bytes[at] = rng.random(),
        1 => bytes[at] ^= 1 << rng.random_range(0..8),
        2 => bytes.insert(at, pick(b"\"\\{}[]:,0-e.\x00\xff=t", rng)),
        3 => drop(bytes.drain(at..end)),
        4 => bytes.truncate(at),
        5 => {
            let again = bytes[at..end].to_vec();
            bytes.splice(at..at, again);
        }
        6 => {
            let other = pick(examples, rng).as_bytes();
            let from = rng.random_range(0..other.len().max(1)).min(other.len());
            bytes.splice(at..end, other[from..].iter().copied().take(64));
        }
        // Deeper than any reader should follow.
        _ => drop(bytes.splice(at..at, std::iter::repeat_n(pick(b"[{\"", rng), rng.random_range(1..2_000)))),
    }
}
