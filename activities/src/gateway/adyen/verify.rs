//! Whether a webhook is Adyen's and about our account: the whole request is believed or none of it.
//!
//! Sources: <https://docs.adyen.com/development-resources/webhooks/webhook-types> (structure) and
//! <https://docs.adyen.com/development-resources/webhooks/secure-webhooks>. Not here: what an item says.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::value::RawValue;
use sha2::Sha256;
use workflow::port::gateway::WebhookRefused;

use super::AdyenConfig;
use super::wire::{Amount, Text};

/// Items in one request. JSON webhooks carry one, says the documentation, and the format allows more.
const MAX_ITEMS: usize = 64;
/// The longest merchant reference: 80 characters, of up to four bytes.
const MAX_MERCHANT_REFERENCE: usize = 320;

/// User and password that Adyen has to send with webhooks.
pub struct BasicAuth(SecretString);

/// The credentials cannot be used. Fix the configuration.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the webhook's user and password are not empty, have no control characters, and the user has no colon")]
pub struct BasicAuthInvalid;

impl BasicAuth {
    /// As they were given in the Customer Area.
    ///
    /// # Errors
    /// When they cannot be sent as basic authentication.
    pub fn new(user: &str, password: &SecretString) -> Result<Self, BasicAuthInvalid> {
        let password = password.expose_secret();
        let is_odd = |text: &str| text.is_empty() || text.chars().any(char::is_control);
        if is_odd(user) || is_odd(password) || user.contains(':') {
            return Err(BasicAuthInvalid);
        }
        Ok(Self(STANDARD.encode(format!("{user}:{password}")).into()))
    }

    /// Compares in constant time: both sides become codes under a key that nobody outside can know.
    fn admits(&self, header: &str) -> bool {
        let Some(given) = header.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("basic")) else {
            return false;
        };
        let ours = self.0.expose_secret().as_bytes();
        Hmac::<Sha256>::new_from_slice(ours).is_ok_and(|mac| {
            let expected = mac.clone().chain_update(ours).finalize().into_bytes();
            mac.chain_update(given.1.trim()).verify_slice(&expected).is_ok()
        })
    }
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(rename = "notificationItems", borrow)]
    items: Vec<Wrapper<'a>>,
}

#[derive(Deserialize)]
struct Wrapper<'a> {
    #[serde(rename = "NotificationRequestItem", borrow)]
    item: &'a RawValue,
}

/// What is signed of an item, and the signature.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Signed<'a> {
    #[serde(borrow)]
    psp_reference: Text<'a>,
    #[serde(borrow)]
    original_reference: Option<Text<'a>>,
    #[serde(borrow)]
    merchant_account_code: Text<'a>,
    #[serde(borrow)]
    merchant_reference: Option<Text<'a>>,
    #[serde(borrow)]
    amount: Amount<'a>,
    #[serde(borrow)]
    event_code: Text<'a>,
    #[serde(borrow)]
    success: Text<'a>,
    #[serde(borrow)]
    additional_data: Option<WithSignature<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WithSignature<'a> {
    #[serde(borrow)]
    hmac_signature: Option<Text<'a>>,
}

/// The items of an authentic request, each as it came.
pub(super) fn verify(
    config: &AdyenConfig,
    authorization: Option<&str>,
    body: &[u8],
) -> Result<Vec<Vec<u8>>, WebhookRefused> {
    if let Some(basic) = &config.basic {
        let given = authorization.ok_or(WebhookRefused::SignatureMissing)?;
        if !basic.admits(given) {
            return Err(WebhookRefused::SignatureMismatch);
        }
    }
    let envelope: Envelope<'_> = serde_json::from_slice(body).map_err(|_| WebhookRefused::Malformed)?;
    if !(1..=MAX_ITEMS).contains(&envelope.items.len()) {
        return Err(WebhookRefused::Malformed);
    }
    envelope.items.iter().map(|wrapper| verify_item(config, wrapper.item.get())).collect()
}

fn verify_item(config: &AdyenConfig, item: &str) -> Result<Vec<u8>, WebhookRefused> {
    let signed: Signed<'_> = serde_json::from_str(item).map_err(|_| WebhookRefused::Malformed)?;
    let text = signed_text(&signed).ok_or(WebhookRefused::Malformed)?;
    let signature = signed
        .additional_data
        .and_then(|data| STANDARD.decode(data.hmac_signature?.as_str()).ok())
        .ok_or(WebhookRefused::SignatureMissing)?;
    if !config.keys.fit(&text, &signature) {
        return Err(WebhookRefused::SignatureMismatch);
    }
    // Authentic, and about an account that is not ours to keep books of.
    if signed.merchant_account_code.as_str() != config.merchant_account {
        return Err(WebhookRefused::Malformed);
    }
    Ok(item.as_bytes().to_vec())
}

/// The text that is signed. None when it could be divided in more than one way.
fn signed_text(signed: &Signed<'_>) -> Option<String> {
    let original = signed.original_reference.as_ref().map_or("", Text::as_str);
    let reference = signed.merchant_reference.as_ref().map_or("", Text::as_str);
    let (account, currency) = (signed.merchant_account_code.as_str(), signed.amount.currency.as_str());
    let (event, success) = (signed.event_code.as_str(), signed.success.as_str());
    let psp = signed.psp_reference.as_str();
    let is_ambiguous = [psp, original, account, currency, event, success].iter().any(|field| field.contains(':'));
    if is_ambiguous || reference.len() > MAX_MERCHANT_REFERENCE {
        return None;
    }
    let value = signed.amount.value;
    Some(format!("{psp}:{original}:{account}:{reference}:{value}:{currency}:{event}:{success}"))
}
