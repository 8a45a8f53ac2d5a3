//! Times, money and counts as people read them.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use workflow::decide::Signature;
use workflow::definition::State;
use workflow::money::Money;
use workflow::timeline::duration;

/// How long ago, as `12.5 s` or `2 h 5 min`.
pub(crate) fn age(at: Timestamp, now: Timestamp) -> String {
    duration(between_ms(at, now).max(0))
}

/// Milliseconds from one instant to another.
pub(crate) fn between_ms(from: Timestamp, to: Timestamp) -> i64 {
    to.as_millisecond() - from.as_millisecond()
}

/// `2026-11-23 09:01:22 UTC`.
pub(crate) fn instant(at: Timestamp) -> String {
    at.to_zoned(TimeZone::UTC).strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// To the millisecond, for rows that follow each other closely.
pub(crate) fn clock(at: Timestamp) -> String {
    at.to_zoned(TimeZone::UTC).strftime("%H:%M:%S%.3f").to_string()
}

/// An amount with its thousands apart: `1,234.50 EUR`.
pub(crate) fn money(money: Money) -> String {
    let text = money.to_string();
    let digits = text.find(|letter: char| !letter.is_ascii_digit() && letter != '-').unwrap_or(text.len());
    let (whole, rest) = text.split_at(digits);
    let (sign, whole) = whole.strip_prefix('-').map_or(("", whole), |whole| ("-", whole));
    format!("{sign}{}{rest}", grouped(whole))
}

/// A number with its thousands apart.
pub(crate) fn count(number: impl TryInto<i64>) -> String {
    let number = number.try_into().unwrap_or(i64::MAX);
    let sign = if number < 0 { "-" } else { "" };
    format!("{sign}{}", grouped(&number.unsigned_abs().to_string()))
}

fn grouped(digits: &str) -> String {
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `41.7 %`; a dash when there is nothing to take a share of.
pub(crate) fn share(part: usize, whole: usize) -> String {
    if whole == 0 {
        return "–".to_owned();
    }
    let per_mille = (part * 1_000 + whole / 2) / whole;
    format!("{}.{} %", per_mille / 10, per_mille % 10)
}

/// A word of the program's as people write it.
pub(crate) fn words(name: &str) -> String {
    name.replace('_', " ")
}

/// A kind of failure in words: what it is called, and after what, where that says more.
pub(crate) fn failure(signature: &Signature) -> String {
    let text = signature.to_string();
    let told = match text.split_once(" after ") {
        Some((reason, event)) if reason == event => reason,
        Some(_) | None => &text,
    };
    words(told)
}

/// A clause as a sentence begins.
pub(crate) fn sentence(clause: &str) -> String {
    let mut letters = clause.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// What colour a state has: what it means to somebody who looks for trouble.
pub(crate) fn tone(state: State) -> &'static str {
    match state {
        State::Created
        | State::Authorizing
        | State::Reconciling
        | State::Finalizing
        | State::Canceling
        | State::Refunding => "works",
        State::RequiresAction | State::AwaitingWebhook | State::Authorized | State::AwaitingCapture => "waits",
        State::Succeeded => "good",
        State::Failed => "bad",
        State::Canceled | State::Expired => "quiet",
        State::InReview => "alarm",
    }
}

/// An id that leaves the middle out, for narrow places.
pub(crate) fn short(id: &str) -> String {
    let letters = id.chars().count();
    if letters <= 18 {
        return id.to_owned();
    }
    let (head, tail): (String, String) = (id.chars().take(9).collect(), id.chars().skip(letters - 6).collect());
    format!("{head}…{tail}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_money_have_their_thousands_apart() {
        let text = |amount_minor, code: &str| money(Money { amount_minor, currency: code.parse().unwrap() });
        assert_eq!(text(123_456_789, "eur"), "1,234,567.89 EUR");
        assert_eq!(text(1_200, "eur"), "12.00 EUR");
        assert_eq!(text(-100_000, "jpy"), "-100,000 JPY");
        assert_eq!([count(0), count(999), count(1_000), count(-1_234_567)], ["0", "999", "1,000", "-1,234,567"]);
    }

    #[test]
    fn a_share_is_rounded_and_of_nothing_a_dash() {
        assert_eq!([share(1, 3), share(0, 5), share(5, 5), share(0, 0)], ["33.3 %", "0.0 %", "100.0 %", "–"]);
    }

    #[test]
    fn instants_are_written_for_everybody_in_the_same_way() {
        let at = Timestamp::from_microsecond(1_767_225_600_123_456).unwrap();
        assert_eq!(instant(at), "2026-01-01 00:00:00 UTC");
        assert_eq!(clock(at), "00:00:00.123");
        assert_eq!(short("ch_0197f3c2a1b47c6e8d5f00112233aaba"), "ch_0197f3…33aaba");
    }
}
