//! What a decline means for the client: whether the same card can work later, and what to do now.
//!
//! Sources: <https://docs.stripe.com/declines/codes> (codes and next steps) and
//! <https://docs.stripe.com/declines/card#retrying-issuer-declines> (advice codes). A code that is in no list here is a
//! soft decline: it only means that this try failed.

use workflow::payment::{Failure, FailureCategory};

use super::wire::Text;

/// The card will not work, and the customer may know why.
const HARD: &[&str] = &[
    "card_not_supported",
    "currency_not_supported",
    "do_not_try_again",
    "expired_card",
    "incorrect_number",
    "invalid_account",
    "invalid_expiry_month",
    "invalid_expiry_year",
    "invalid_number",
    "new_account_information_available",
    "not_permitted",
    "pin_try_exceeded",
    "revocation_of_all_authorizations",
    "revocation_of_authorization",
    "service_not_allowed",
    "stop_payment_order",
    "testmode_decline",
    "transaction_not_allowed",
];

/// The card will not work, and whoever holds it must not learn why.
const SENSITIVE: &[&str] = &[
    "fraudulent",
    "lost_card",
    "merchant_blacklist",
    "pickup_card",
    "restricted_card",
    "security_violation",
    "stolen_card",
];

/// The customer has to authenticate and did not, or could not.
const AUTHENTICATION: &[&str] =
    &["authentication_not_handled", "authentication_required", "payment_intent_authentication_failure"];

const ADVICE_SOFT: &str = "The same card may work later: let the customer try again, or use another card.";
const ADVICE_HARD: &str = "Do not try this card again: ask the customer for another one.";
const ADVICE_SENSITIVE: &str =
    "Do not try this card again: ask for another one, and tell the customer only that the card was declined.";
const ADVICE_AUTHENTICATION: &str =
    "The customer has to authenticate: start another charge while the customer is present.";

/// The failure that a card error tells of.
pub(super) fn failure(code: Option<&Text<'_>>, decline_code: Option<&Text<'_>>, advice: Option<&Text<'_>>) -> Failure {
    let code = code.and_then(Text::as_code);
    let decline_code = decline_code.and_then(Text::as_code);
    let (category, words) = classify(decline_code.or(code).unwrap_or_default(), code.unwrap_or_default(), advice);
    Failure {
        category,
        code: code.unwrap_or("card_error").to_owned(),
        decline_code: decline_code.map(str::to_owned),
        advice: Some(words.to_owned()),
    }
}

fn classify(reason: &str, code: &str, advice: Option<&Text<'_>>) -> (FailureCategory, &'static str) {
    if SENSITIVE.contains(&reason) {
        (FailureCategory::HardDecline, ADVICE_SENSITIVE)
    } else if AUTHENTICATION.contains(&reason) || AUTHENTICATION.contains(&code) {
        (FailureCategory::Authentication, ADVICE_AUTHENTICATION)
    } else if HARD.contains(&reason) || advice.is_some_and(|advice| advice.as_str() == "do_not_try_again") {
        (FailureCategory::HardDecline, ADVICE_HARD)
    } else {
        (FailureCategory::SoftDecline, ADVICE_SOFT)
    }
}
