//! Signatures against vectors computed elsewhere (`openssl dgst -sha256 -hmac`), and everything that must not pass.

use super::*;

const BODY: &[u8] = br#"{"id":"evt_1","type":"payment_intent.succeeded"}"#;
const FIRST: (&str, &str) =
    ("whsec_K7p2Qd9ZrT4mXw8LbN3vYc6H", "3737c91d4a10b31e4ecda3bc853d5fcf783f700f502496b57838cccee713dd5c");
const SECOND: (&str, &str) =
    ("whsec_A1s2D3f4G5h6J7k8L9z0X1c2", "78e8d2bb0853abc1ff4e36023e70bd203e26650e3b78b4d04e0522de82673f06");
const SIGNED_AT: i64 = 1_700_000_000;
const ZEROS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

fn secrets(secrets: &[&str]) -> Secrets {
    Secrets::new(secrets.iter().map(|&secret| secret.into()).collect()).unwrap()
}

fn check_at(header: &str, body: &[u8], offset_s: i64) -> Result<(), WebhookRefused> {
    let now = Timestamp::from_second(SIGNED_AT + offset_s).unwrap();
    verify(&secrets(&[FIRST.0, SECOND.0]), header, body, now)
}

#[test]
fn a_good_signature_passes_with_any_secret_in_use_and_any_signature_in_the_header() {
    for header in [
        format!("t=1700000000,v1={}", FIRST.1),
        format!("t=1700000000,v1={}", SECOND.1),
        format!("t=1700000000,v1={ZEROS},v1={}", SECOND.1),
        format!("v1={},t=1700000000,v0=ignored", FIRST.1),
        format!(" t=1700000000 , v1=broken, v1={}", FIRST.1),
    ] {
        assert_eq!(check_at(&header, BODY, 0), Ok(()), "{header}");
    }
}

#[test]
fn a_bad_signature_does_not() {
    for header in [
        format!("t=1700000000,v1={ZEROS}"),
        format!("t=1700000001,v1={}", FIRST.1),
        format!("t=01700000000,v1={}", FIRST.1),
    ] {
        assert_eq!(check_at(&header, BODY, 0), Err(WebhookRefused::SignatureMismatch), "{header}");
    }
    let header = format!("t=1700000000,v1={}", FIRST.1);
    assert_eq!(check_at(&header, b"{}", 0), Err(WebhookRefused::SignatureMismatch));
    let now = Timestamp::from_second(SIGNED_AT).unwrap();
    assert_eq!(verify(&secrets(&[SECOND.0]), &header, BODY, now), Err(WebhookRefused::SignatureMismatch));
    assert_eq!(verify(&Secrets::none(), &header, BODY, now), Err(WebhookRefused::SignatureMismatch));
}

#[test]
fn what_is_no_signature_at_all_is_missing() {
    let good = FIRST.1;
    for header in [
        String::new(),
        "t=1700000000".to_owned(),
        format!("v1={good}"),
        format!("t=,v1={good}"),
        format!("t=-1,v1={good}"),
        format!("t=+1700000000,v1={good}"),
        format!("t=99999999999999999999,v1={good}"),
        format!("t=1700000000,t=1700000000,v1={good}"),
        format!("t=1700000000,v0={good}"),
        format!("t=1700000000,v1={}", &good[1..]),
        format!("t=1700000000,v1={good}00"),
        format!("t 1700000000 v1 {good}"),
    ] {
        assert_eq!(check_at(&header, BODY, 0), Err(WebhookRefused::SignatureMissing), "{header}");
    }
}

#[test]
fn a_signature_holds_for_five_minutes_either_way() {
    let header = format!("t=1700000000,v1={}", FIRST.1);
    for (offset_s, expected) in [
        (300, Ok(())),
        (-300, Ok(())),
        (301, Err(WebhookRefused::TimestampOutsideTolerance)),
        (-301, Err(WebhookRefused::TimestampOutsideTolerance)),
        (31_536_000, Err(WebhookRefused::TimestampOutsideTolerance)),
    ] {
        assert_eq!(check_at(&header, BODY, offset_s), expected, "{offset_s}");
    }
}

#[test]
fn no_number_of_signatures_in_a_header_makes_work_without_end() {
    let header = format!("t=1700000000{},v1={}", format!(",v1={ZEROS}").repeat(MAX_SIGNATURES), FIRST.1);
    assert_eq!(check_at(&header, BODY, 0), Err(WebhookRefused::SignatureMismatch));
}

#[test]
fn secrets_that_cannot_be_any_are_refused() {
    for (bad, expected) in [
        ("", SecretInvalid::Form),
        ("whsec_short", SecretInvalid::Form),
        ("whsec_with a space in the middle", SecretInvalid::Form),
        ("whsec_...", SecretInvalid::Placeholder),
        ("whsec_your_signing_secret_goes_in_here", SecretInvalid::Placeholder),
        ("whsec_CHANGEME_CHANGEME_CHANGEME", SecretInvalid::Placeholder),
        ("<the endpoint's signing secret>", SecretInvalid::Placeholder),
        ("whsec_00000000000000000000000000000000", SecretInvalid::Placeholder),
    ] {
        assert_eq!(Secrets::new(vec![bad.into()]).err(), Some(expected), "{bad}");
    }
    assert_eq!(Secrets::new(vec![]).err(), Some(SecretInvalid::Number));
    let many = (0..=MAX_SECRETS).map(|_| FIRST.0.into()).collect();
    assert_eq!(Secrets::new(many).err(), Some(SecretInvalid::Number));
}
