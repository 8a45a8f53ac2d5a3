//! What looks like a card number. No card data enters: what clients send and what operators write is looked at.
//!
//! The rule. Digits are read in groups: a group is a maximal run of ASCII digits, and groups that are parted by
//! exactly one space or one dash belong together. Any neighbouring groups that together have 13 to 19 digits, pass the
//! Luhn check and begin as issued numbers do look like a card number. So `4242 4242 4242 4242 123` is refused although
//! a security code follows. The beginnings are those of ISO/IEC 7812: none begins with 0; with 1 only those of 15
//! digits; those of 13 digits begin with 4. This spares timestamps in milli-, micro- and nanoseconds.
//!
//! Not looked at: identifiers, that is, words of at least 24 hexadecimal digits with a letter among them, and
//! hyphenated UUIDs. Otherwise one in some thousand of our own ids would be refused by chance.
//!
//! Not here: encodings that may hide one; whoever decodes them looks again.

use std::ops::RangeInclusive;

/// Digits of a card number, by ISO/IEC 7812.
const DIGITS: RangeInclusive<usize> = 13..=19;

/// A hexadecimal word of so many characters is an identifier: longer than any card number with a few letters stuck
/// to it, as short as the shortest identifiers in use.
const IDENTIFIER_MIN: usize = 24;

/// Lengths of the parts of a hyphenated UUID.
const UUID_PARTS: [usize; 5] = [8, 4, 4, 4, 12];

/// Whether something in the text looks like a card number.
#[must_use]
pub fn found_in(text: &[u8]) -> bool {
    let mut at = 0;
    while at < text.len() {
        let begins_word = at == 0 || !text[at - 1].is_ascii_alphanumeric();
        if begins_word && let Some(length) = identifier(&text[at..]) {
            at += length;
            continue;
        }
        let begins_group = text[at].is_ascii_digit() && (at == 0 || !text[at - 1].is_ascii_digit());
        if begins_group && begins_card_number(&text[at..]) {
            return true;
        }
        at += 1;
    }
    false
}

/// The length of the identifier that the text begins with.
fn identifier(text: &[u8]) -> Option<usize> {
    let word = text.iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
    let is_hex = |part: &[u8]| part.iter().all(u8::is_ascii_hexdigit);
    if word >= IDENTIFIER_MIN {
        let has_letter = text[..word].iter().any(u8::is_ascii_alphabetic);
        return (has_letter && is_hex(&text[..word])).then_some(word);
    }
    if word != UUID_PARTS[0] {
        return None;
    }
    let uuid: usize = UUID_PARTS.iter().sum::<usize>() + UUID_PARTS.len() - 1;
    let ends = text.get(uuid).is_none_or(|byte| !byte.is_ascii_alphanumeric());
    let mut parts = text.get(..uuid)?.split(|byte| *byte == b'-');
    let fits = UUID_PARTS.iter().all(|length| parts.next().is_some_and(|part| part.len() == *length && is_hex(part)));
    (ends && fits && parts.next().is_none()).then_some(uuid)
}

/// Whether the text, which begins with a digit, begins with a card number that ends where a group ends.
fn begins_card_number(text: &[u8]) -> bool {
    let mut digits = [0_u8; *DIGITS.end()];
    let mut count = 0;
    let mut at = 0;
    while count < digits.len() {
        let Some(digit) = text.get(at).filter(|byte| byte.is_ascii_digit()) else { return false };
        digits[count] = digit - b'0';
        count += 1;
        at += 1;
        if text.get(at).is_some_and(u8::is_ascii_digit) {
            continue;
        }
        if is_card_number(&digits[..count]) {
            return true;
        }
        // The group ends here; another belongs to it when one separator and a digit follow.
        if text.get(at).is_some_and(|byte| matches!(byte, b' ' | b'-')) {
            at += 1;
        }
    }
    false
}

fn is_card_number(digits: &[u8]) -> bool {
    let is_issued = match (digits[0], digits.len()) {
        (0, _) => false,
        (1, length) => length == 15,
        (first, 13) => first == 4,
        (_, length) => DIGITS.contains(&length),
    };
    is_issued && passes_luhn(digits)
}

fn passes_luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, digit)| match (place % 2, u32::from(*digit)) {
            (0, digit) => digit,
            (_, digit) if digit > 4 => digit * 2 - 9,
            (_, digit) => digit * 2,
        })
        .sum();
    sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use proptest::prelude::*;

    use super::*;
    use crate::ids::PaymentId;

    /// Test numbers of the card schemes, one a length.
    const PANS: [&str; 8] = [
        "4222222222222",
        "30569309025904",
        "378282246310005",
        "4242424242424242",
        "5555555555554444",
        "6011111111111117",
        "6759649826438453",
        "6304000000000000000",
    ];

    #[test]
    fn card_numbers_are_found_wherever_they_stand() {
        for pan in PANS {
            for text in [
                pan.to_owned(),
                format!("card{pan}"),
                format!("pm_{pan}_x"),
                format!("{{\"amount\":{pan}}}"),
                format!("{pan} 123"),
                format!("order 7 {pan}"),
                pan.chars().map(|digit| format!("{digit} ")).collect(),
                pan.chars().map(|digit| format!("{digit}-")).collect(),
            ] {
                assert!(found_in(text.as_bytes()), "{text} was let in");
            }
        }
        assert!(found_in(b"4242 4242-4242 4242"));
    }

    #[test]
    fn other_numbers_are_let_in() {
        for text in [
            "4242424242424241",
            "42424242424242424242",
            "4242  4242  4242  4242",
            "4242.4242.4242.4242",
            "0000000000000000",
            "1763841600000",
            "2026-11-22 19:57:00",
            "00000000-0000-4242-4242-424242424242",
            "507f4242424242424242424f",
        ] {
            assert!(!found_in(text.as_bytes()), "{text} was refused");
        }
    }

    /// Appends the digit that makes the number pass.
    fn with_check_digit(mut digits: Vec<u8>) -> String {
        digits.push(0);
        while !passes_luhn(&digits) {
            *digits.last_mut().unwrap() += 1;
        }
        digits.iter().map(|digit| char::from(b'0' + digit)).collect()
    }

    proptest! {
        #[test]
        fn issued_numbers_are_found_with_any_separators(
            first in 2_u8..=9,
            rest in proptest::collection::vec(0_u8..=9, 12..=17),
            separators in proptest::collection::vec(proptest::option::of(prop_oneof![Just(' '), Just('-')]), 18),
            before in "[^0-9 \\-a-f]{0,5}",
            after in "[^0-9a-fA-F]{0,5}",
        ) {
            let number = with_check_digit([vec![first], rest].concat());
            let parted: String = number.chars().zip(separators.into_iter().chain([None]))
                .flat_map(|(digit, separator)| [Some(digit), separator]).flatten().collect();
            let parted = parted.trim_end_matches([' ', '-']);
            let text = format!("{before}{parted}{after}");
            prop_assert!(found_in(text.as_bytes()), "{} was let in", text);
        }

        #[test]
        fn one_wrong_digit_makes_it_another_number(
            rest in proptest::collection::vec(0_u8..=9, 14), place in 0_usize..16, by in 1_u8..=9,
        ) {
            let mut digits = with_check_digit([vec![4], rest].concat()).into_bytes();
            digits[place] = b'0' + (digits[place] - b'0' + by) % 10;
            prop_assert!(!found_in(&digits));
        }

        #[test]
        fn our_own_ids_are_let_in(millis in 0_i64..4_000_000_000_000, random: [u64; 2]) {
            let id = PaymentId::new(Timestamp::from_millisecond(millis).unwrap(), random);
            prop_assert!(!found_in(id.to_string().as_bytes()));
            prop_assert!(!found_in(id.uuid().to_string().as_bytes()));
            let uri = format!("/v1/charges?starting_after={id}&limit=20");
            prop_assert!(!found_in(uri.as_bytes()));
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>) {
            let _ = found_in(&bytes);
        }
    }
}
