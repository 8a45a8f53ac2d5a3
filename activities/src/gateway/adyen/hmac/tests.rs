//! Signatures against the documentation's example and vectors computed elsewhere (`openssl dgst -sha256 -mac hmac`).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::*;

const FIRST: &str = "9f3c1b7e5a2d4860c8e1f7035b9ad26413e8704bc95f2da6017b3e84d6a91c5f";
const SECOND: &str = "0b64c2f81d9e37a5f4186b03ce72d95a8831e6fd4029bc7715ac0fe3928d46b7";
const SIGNED: &str = "QFQTPCQ8HXSKGK82:8835511210681234:FinCoreTest:order:7:a:500:ISK:CAPTURE:false";

fn keys(keys: &[&str]) -> Keys {
    Keys::new(keys.iter().map(|&key| key.into()).collect()).unwrap()
}

fn fits(keys: &Keys, signed: &str, signature: &str) -> bool {
    keys.fit(signed, &STANDARD.decode(signature).unwrap())
}

#[test]
fn the_documentations_example_fits_the_documentations_key() {
    let signed = "7914073381342284::TestMerchant:TestPayment-1407325143704:1130:EUR:AUTHORISATION:true";
    let signature = "coqCmt/IZ4E3CzPvMY8zTjQVL5hYJUiBRg8UU+iCWo0=";
    assert!(fits(&Keys::of_the_documentation(), signed, signature));
    assert!(!fits(&Keys::of_the_documentation(), &signed.replace("1130", "1131"), signature));
    assert!(!fits(&keys(&[FIRST]), signed, signature));
    assert!(!fits(&Keys::none(), signed, signature));
}

#[test]
fn any_key_in_use_may_have_signed() {
    let (by_first, by_second) =
        ("DIlsqSpozri2V4Xc8EKplTylxMFhB3Oj6l5Id/bCDp0=", "nlSut9nv9/t1TdaQ9AbgHGe+A179wpHXBGXV0bR4MNs=");
    for signature in [by_first, by_second] {
        assert!(fits(&keys(&[FIRST, SECOND]), SIGNED, signature));
    }
    assert!(!fits(&keys(&[SECOND]), SIGNED, by_first));
    assert!(keys(&[&FIRST.to_uppercase()]).fit(SIGNED, &STANDARD.decode(by_first).unwrap()));
}

#[test]
fn a_signature_of_another_length_fits_nothing() {
    let whole = STANDARD.decode("DIlsqSpozri2V4Xc8EKplTylxMFhB3Oj6l5Id/bCDp0=").unwrap();
    for length in 0..whole.len() {
        assert!(!keys(&[FIRST]).fit(SIGNED, &whole[..length]), "{length}");
    }
    assert!(!keys(&[FIRST]).fit(SIGNED, &[whole.as_slice(), &[0]].concat()));
}

#[test]
fn keys_that_cannot_be_any_are_refused() {
    let counting: String = (0..32).map(|byte| format!("{byte:02x}")).collect();
    for (bad, expected) in [
        ("", KeyInvalid::Form),
        ("<the HMAC key>", KeyInvalid::Form),
        (&FIRST[..62], KeyInvalid::Form),
        (&FIRST[..63], KeyInvalid::Form),
        (&FIRST.repeat(3), KeyInvalid::Form),
        (&"0".repeat(64), KeyInvalid::Placeholder),
        (&"0123456789abcdef".repeat(4), KeyInvalid::Placeholder),
        (&counting, KeyInvalid::Placeholder),
        (EXAMPLE, KeyInvalid::Placeholder),
        (&EXAMPLE.to_lowercase(), KeyInvalid::Placeholder),
    ] {
        assert_eq!(Keys::new(vec![bad.into()]).err(), Some(expected), "{bad}");
    }
    assert_eq!(Keys::new(vec![]).err(), Some(KeyInvalid::Number));
    let many = (0..=MAX_KEYS).map(|_| FIRST.into()).collect();
    assert_eq!(Keys::new(many).err(), Some(KeyInvalid::Number));
}
