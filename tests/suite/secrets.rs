//! No secret and no card number in anything that the whole run has written: the last test of the gate, which names the
//! folder and asks for it.

use std::collections::BTreeMap;
use std::path::Path;

use aho_corasick::AhoCorasick;
use fincore_tests::world::{SECRET_KEY, WEBHOOK_SECRET};
use fincore_tests::written::{self, Kind};
use strum::IntoEnumIterator;

/// Set when everything else has run.
const SEARCH: &str = "FINCORE_TEST_SEARCH";

/// What tests configure and send.
const SECRETS: [&str; 6] = [
    WEBHOOK_SECRET,
    SECRET_KEY,
    crate::alerts::SECRET,
    "sk_test_sandbox_of_this_machine",
    "whsec_sandbox_of_this_machine_only",
    "$argon2id$",
];

/// Cards that tests try to pay with, as digits alone.
const CARDS: [&str; 8] = [
    "4242424242424242",
    "4111111111111111",
    "5555555555554444",
    "4000002500003155",
    "378282246310005",
    "6011111111111117",
    "4222222222222",
    "30569309025904",
];

/// What secrets of ours and of PSPs begin with; so many characters of the same word follow, and the word is one.
const SHAPES: [(&str, usize); 9] = [
    ("whsec_", 20),
    ("whsk_", 20),
    ("sk_test_", 16),
    ("sk_live_", 16),
    ("fc_test_", 20),
    ("fc_live_", 20),
    ("Bearer ", 16),
    ("Basic ", 16),
    ("-----BEGIN ", 8),
];

/// What is searched for: what is known, and what was made by chance.
fn secrets(made: &[String]) -> AhoCorasick {
    AhoCorasick::new(SECRETS.iter().copied().chain(made.iter().map(String::as_str))).unwrap()
}

/// The first secret in a text.
fn found(text: &str, secrets: &AhoCorasick) -> Option<String> {
    let known = secrets.find(text).map(|found| &text[found.range()]);
    let shaped = SHAPES.iter().find_map(|(start, least)| {
        text.match_indices(start).find_map(|(at, _)| {
            let rest = &text[at + start.len()..];
            let is_of_it = |letter: char| letter.is_ascii_alphanumeric() || "+/=_-".contains(letter);
            let len = rest.find(|letter| !is_of_it(letter)).unwrap_or(rest.len());
            (len >= *least).then(|| format!("{start}{}", &rest[..len]))
        })
    });
    let closed_up: String = text.chars().filter(|letter| !matches!(letter, ' ' | '-')).collect();
    let card = CARDS.iter().copied().find(|card| closed_up.contains(card));
    known.map(str::to_owned).or(shaped).or(card.map(str::to_owned))
}

fn files(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    entries.map(|entry| String::from_utf8_lossy(&std::fs::read(entry.unwrap().path()).unwrap()).into_owned()).collect()
}

#[test]
fn nothing_that_was_written_holds_a_secret() {
    let Some(folder) = written::folder().filter(|_| std::env::var_os(SEARCH).is_some()) else { return };
    let of_kind = |kind: Kind| files(&folder.join(<&str>::from(kind)));
    let mut made: Vec<String> = of_kind(Kind::Secret).join("\n").lines().map(str::to_owned).collect();
    made.retain(|secret| secret.len() >= 12);
    made.sort_unstable();
    made.dedup();
    let (secrets, mut sizes) = (secrets(&made), BTreeMap::new());
    for kind in Kind::iter().filter(|kind| *kind != Kind::Secret) {
        for text in of_kind(kind) {
            *sizes.entry(<&str>::from(kind)).or_insert(0) += text.len();
            for line in text.lines() {
                let secret = found(line, &secrets);
                assert_eq!(secret, None, "{kind:?}: {line}");
            }
        }
    }
    // What the search went over, so that nobody is content with an empty folder.
    println!("searched {sizes:?} bytes for {} secrets", made.len());
    let least = [
        ("process_log", 10_000),
        ("log", 1_000_000),
        ("page", 100_000),
        ("metrics", 10_000),
        ("spans", 1_000),
        ("command", 1_000),
    ];
    for (kind, least) in least {
        assert!(sizes.get(kind).is_some_and(|size| *size >= least), "too little of {kind} was kept: {sizes:?}");
    }
    assert!(made.len() > 100, "{} secrets were made", made.len());
}

#[test]
fn secrets_and_cards_are_found_where_they_are() {
    let secrets = secrets(&["made-by-chance".to_owned()]);
    for hidden in [
        format!("{{\"key\":\"{SECRET_KEY}\"}}"),
        "signed with whsec_abcdefghijklmnopqrst, then sent".to_owned(),
        "Authorization: Bearer abcdefghijklmnop".to_owned(),
        "a made-by-chance word".to_owned(),
        "card 4242 4242 4242 4242 was refused".to_owned(),
        "card 4111-1111-1111-1111".to_owned(),
    ] {
        assert!(found(&hidden, &secrets).is_some(), "{hidden}");
    }
    for harmless in ["whsec_...", "fc_test_ab12…", "the scheme Bearer is needed", "ch_0197f3c2a1b47c6e8d5f00112233aaba"]
    {
        assert_eq!(found(harmless, &secrets), None, "{harmless}");
    }
}
