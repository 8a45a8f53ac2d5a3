//! What a refusal means for the client: whether the same card can work later, and what to do now.
//!
//! Sources: <https://docs.adyen.com/development-resources/refusal-reasons> (codes and reasons; no details for shoppers)
//! and <https://docs.adyen.com/development-resources/raw-acquirer-responses> (raw responses, merchant advice codes).
//! Answers carry the code, webhooks the reason in words. A reason that is in no list here is a soft decline: it only
//! means that this try failed.

use workflow::payment::{Failure, FailureCategory};

use super::wire::Text;

/// Code, the documentation's reason, and what it means.
const REASONS: &[(&str, &str, Meaning)] = &[
    ("2", "Refused", Meaning::Soft),
    ("3", "Referral", Meaning::Soft),
    ("4", "Acquirer Error", Meaning::Soft),
    ("5", "Blocked Card", Meaning::Sensitive),
    ("6", "Expired Card", Meaning::Hard),
    ("7", "Invalid Amount", Meaning::Soft),
    ("8", "Invalid Card Number", Meaning::Hard),
    ("9", "Issuer Unavailable", Meaning::Soft),
    ("10", "Not supported", Meaning::Hard),
    ("11", "3D Not Authenticated", Meaning::Authentication),
    ("12", "Not enough balance", Meaning::Soft),
    ("14", "Acquirer Fraud", Meaning::Sensitive),
    ("15", "Cancelled", Meaning::Authentication),
    ("16", "Shopper Cancelled", Meaning::Authentication),
    ("17", "Invalid Pin", Meaning::Soft),
    ("18", "Pin tries exceeded", Meaning::Hard),
    ("19", "Pin validation not possible", Meaning::Soft),
    ("20", "FRAUD", Meaning::Sensitive),
    ("21", "Not Submitted", Meaning::Soft),
    ("22", "FRAUD-CANCELLED", Meaning::Sensitive),
    ("23", "Transaction Not Permitted", Meaning::Hard),
    ("24", "CVC Declined", Meaning::Soft),
    ("25", "Restricted Card", Meaning::Sensitive),
    ("26", "Revocation Of Auth", Meaning::Hard),
    ("27", "Declined Non Generic", Meaning::Soft),
    ("28", "Withdrawal amount exceeded", Meaning::Soft),
    ("29", "Withdrawal count exceeded", Meaning::Soft),
    ("31", "Issuer Suspected Fraud", Meaning::Sensitive),
    ("32", "AVS Declined", Meaning::Soft),
    ("33", "Card requires online pin", Meaning::Hard),
    ("34", "No checking account available on Card", Meaning::Hard),
    ("35", "No savings account available on Card", Meaning::Hard),
    ("36", "Mobile pin required", Meaning::Soft),
    ("37", "Contactless fallback", Meaning::Soft),
    ("38", "Authentication required", Meaning::Authentication),
    ("39", "RReq not received from DS", Meaning::Authentication),
    ("40", "Current AID is in Penalty Box", Meaning::Soft),
    ("41", "CVM Required Restart Payment", Meaning::Soft),
    ("42", "3DS Authentication Error", Meaning::Authentication),
    ("43", "Online PIN required", Meaning::Hard),
    ("44", "Try another interface", Meaning::Soft),
    ("45", "Chip downgrade mode", Meaning::Soft),
    ("46", "Transaction blocked by Adyen to prevent excessive retry fees", Meaning::Hard),
];

/// Merchant advice codes that forbid another try with this card: "do not try again" and "stop recurring payments".
const NEVER_AGAIN: &[&str] = &["03", "21"];

const ADVICE_SOFT: &str = "The same card may work later: let the customer try again, or use another card.";
const ADVICE_HARD: &str = "Do not try this card again: ask the customer for another one.";
const ADVICE_SENSITIVE: &str =
    "Do not try this card again: ask for another one, and tell the customer only that the card was declined.";
const ADVICE_AUTHENTICATION: &str =
    "The customer has to authenticate: start another charge while the customer is present.";

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Meaning {
    /// This try failed.
    Soft,
    /// The card will not work, and the customer may know why.
    Hard,
    /// The card will not work, and whoever holds it must not learn why.
    Sensitive,
    /// The customer has to authenticate and did not, could not, or would not: nothing to try elsewhere without them.
    Authentication,
}

/// What Adyen tells of a refusal: answers and webhooks each fill what they have.
pub(super) struct Told<'a> {
    /// The reason by its code when nothing else tells one.
    pub(super) otherwise: &'static str,
    pub(super) reason_code: Option<&'a Text<'a>>,
    pub(super) reason: Option<&'a Text<'a>>,
    pub(super) raw: Option<&'a Text<'a>>,
    pub(super) advice: Option<&'a Text<'a>>,
}

/// The failure that a refusal tells of.
pub(super) fn failure(told: &Told<'_>) -> Failure {
    let code = told.reason_code.and_then(Text::as_code);
    let by_words = || told.reason.and_then(|reason| by_reason(reason.as_str()));
    let by_default = || if code.is_none() { by_code(told.otherwise) } else { None };
    let known = code.and_then(by_code).or_else(by_words).or_else(by_default);
    let name = known.map_or_else(|| format!("refused_{}", code.unwrap_or_default()), named);
    let forbidden = told.advice.and_then(Text::leading_code).is_some_and(|code| NEVER_AGAIN.contains(&code.as_str()));
    let (category, advice) = match known.map_or(Meaning::Soft, |&(_, _, meaning)| meaning) {
        Meaning::Sensitive => (FailureCategory::HardDecline, ADVICE_SENSITIVE),
        Meaning::Authentication => (FailureCategory::Authentication, ADVICE_AUTHENTICATION),
        Meaning::Hard => (FailureCategory::HardDecline, ADVICE_HARD),
        Meaning::Soft if forbidden => (FailureCategory::HardDecline, ADVICE_HARD),
        Meaning::Soft => (FailureCategory::SoftDecline, ADVICE_SOFT),
    };
    let decline_code = told.raw.and_then(Text::leading_code);
    Failure { category, code: name, decline_code, advice: Some(advice.to_owned()) }
}

type Reason = (&'static str, &'static str, Meaning);

fn by_code(code: &str) -> Option<&'static Reason> {
    REASONS.iter().find(|(known, _, _)| *known == code)
}

/// Webhooks do not agree with the documentation on capitals and hyphens.
fn by_reason(words: &str) -> Option<&'static Reason> {
    REASONS.iter().find(|(_, known, _)| in_snake_case(known) == in_snake_case(words))
}

/// The reason as a code for programs, such as `not_enough_balance`.
fn named(reason: &Reason) -> String {
    in_snake_case(reason.1)
}

fn in_snake_case(words: &str) -> String {
    let mut name = String::with_capacity(words.len());
    for word in words.split(|letter: char| !letter.is_ascii_alphanumeric()).filter(|word| !word.is_empty()) {
        if !name.is_empty() {
            name.push('_');
        }
        name.push_str(&word.to_ascii_lowercase());
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_one_code_and_one_name_that_can_be_stored() {
        for (index, reason) in REASONS.iter().enumerate() {
            assert_eq!(by_code(reason.0), Some(reason));
            assert_eq!(by_reason(&reason.1.to_uppercase()), Some(reason));
            assert!(named(reason).len() <= 64, "{}", named(reason));
            assert!(REASONS[..index].iter().all(|earlier| earlier.0 != reason.0));
        }
    }
}
