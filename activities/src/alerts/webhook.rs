//! Tells a webhook, signed by the Standard Webhooks specification, version 1: `webhook-id` is the alert's own (the same
//! on every attempt, so that receivers can leave out what they know), `webhook-signature` an HMAC-SHA256 over
//! `id.timestamp.body`.
//!
//! Source: <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>. Redirects are
//! not followed, answers are not read; any status but 2xx means that the alert is sent again.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret, SecretString};
use url::Url;
use workflow::port::alert::{Alert, Alerter, NotTold};
use workflow::port::clock::Clock;
use workflow::signing::{SECRET_PREFIX, SigningKey};

use crate::gateway::client::{Connections, is_near};
use crate::signed_post::SignedPost;

/// What a receiver may take to answer, connecting included. It only has to put the alert somewhere.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Secrets in use at once: the old and the new one of a rotation.
const MAX_SECRETS: usize = 2;
/// A secret with fewer different bytes was typed, not drawn.
const LEAST_DIFFERENT_BYTES: usize = 8;

/// The webhook cannot be used as configured. Fix the configuration.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum WebhookInvalid {
    /// The URL cannot be read, or carries a user or a fragment.
    #[error("alert_webhook_url must be an absolute URL without user and fragment")]
    Url,
    /// Alerts would travel readable for everybody.
    #[error("alert_webhook_url must be https (http is for this machine and container names only)")]
    NotEncrypted,
    /// There is none, or more than a rotation needs.
    #[error("alert_webhook_secret must be one secret, or during a rotation two with a comma between")]
    Number,
    /// It has not the form that receivers' libraries expect.
    #[error(
        "alert_webhook_secret must be {SECRET_PREFIX} and the base64 of 24 to 64 random bytes: try `echo {SECRET_PREFIX}$(openssl rand -base64 32)`"
    )]
    Form,
    /// It stands for a secret.
    #[error("alert_webhook_secret looks like a placeholder: try `echo {SECRET_PREFIX}$(openssl rand -base64 32)`")]
    Placeholder,
}

/// Posts alerts to a URL.
pub struct WebhookAlert {
    http: reqwest::Client,
    url: Url,
    keys: Vec<SigningKey>,
    clock: Arc<dyn Clock>,
}

impl WebhookAlert {
    /// Posts to this URL, signed with each of these secrets.
    ///
    /// # Errors
    /// When URL or secrets cannot be right.
    pub fn new(
        connections: &Connections,
        url: &str,
        secrets: &[SecretString],
        clock: Arc<dyn Clock>,
    ) -> Result<Self, WebhookInvalid> {
        let url = Url::parse(url).map_err(|_| WebhookInvalid::Url)?;
        let has_extras = url.password().is_some() || !url.username().is_empty() || url.fragment().is_some();
        if url.host().is_none() || has_extras {
            return Err(WebhookInvalid::Url);
        }
        if url.scheme() != "https" && !(url.scheme() == "http" && is_near(&url)) {
            return Err(WebhookInvalid::NotEncrypted);
        }
        if !(1..=MAX_SECRETS).contains(&secrets.len()) {
            return Err(WebhookInvalid::Number);
        }
        let keys = secrets.iter().map(|secret| key(secret.expose_secret())).collect::<Result<_, _>>()?;
        Ok(Self { http: connections.http().clone(), url, keys, clock })
    }
}

impl fmt::Debug for WebhookAlert {
    /// Leaves out the path and the query, which may hold a token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookAlert").field("host", &self.url.host_str()).finish_non_exhaustive()
    }
}

#[async_trait]
impl Alerter for WebhookAlert {
    fn name(&self) -> &'static str {
        "webhook"
    }

    async fn tell(&self, alert: &Alert) -> Result<(), NotTold> {
        let (id, body) = (alert.id(), alert.to_json().to_string());
        let at_second = self.clock.now().as_second();
        let post = SignedPost { id: &id, at_second, body, keys: &self.keys, timeout: TIMEOUT };
        let request = post.to(&self.http, self.url.clone());
        // Without the URL: it may hold a token.
        let response = request.send().await.map_err(|error| NotTold(Box::new(error.without_url())))?;
        let status = response.status();
        if status.is_success() { Ok(()) } else { Err(NotTold(format!("the receiver answered {status}").into())) }
    }
}

fn key(secret: &str) -> Result<SigningKey, WebhookInvalid> {
    let bytes =
        secret.strip_prefix(SECRET_PREFIX).and_then(|text| STANDARD.decode(text).ok()).ok_or(WebhookInvalid::Form)?;
    let key = SigningKey::shared(&bytes).map_err(|_| WebhookInvalid::Form)?;
    let different: std::collections::BTreeSet<u8> = bytes.iter().copied().collect();
    if different.len() < LEAST_DIFFERENT_BYTES {
        return Err(WebhookInvalid::Placeholder);
    }
    Ok(key)
}

#[cfg(test)]
mod tests {
    use workflow::port::clock::SystemClock;

    use super::*;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    fn webhook(url: &str, secrets: &[&str]) -> Result<WebhookAlert, WebhookInvalid> {
        let secrets: Vec<SecretString> = secrets.iter().map(|secret| (*secret).into()).collect();
        WebhookAlert::new(&Connections::new().unwrap(), url, &secrets, Arc::new(SystemClock))
    }

    #[test]
    fn both_secrets_of_a_rotation_sign() {
        let other = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
        let webhook = webhook("https://alerts.example/", &[SECRET, other]).unwrap();
        let signed = workflow::signing::signatures(&webhook.keys, "a", "1", b"{}");
        let signatures: Vec<&str> = signed.split(' ').collect();
        assert!(signatures.len() == 2 && signatures.iter().all(|signature| signature.starts_with("v1,")), "{signed}");
        assert_ne!(signatures[0], signatures[1]);
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for near in ["https://alerts.example/a?token=b", "http://127.0.0.1:1/", "http://alertmanager:9093/"] {
            assert!(webhook(near, &[SECRET]).is_ok(), "{near}");
        }
        for (url, refused) in [
            ("", WebhookInvalid::Url),
            ("alerts.example", WebhookInvalid::Url),
            ("https://user@alerts.example/", WebhookInvalid::Url),
            ("https://:secret@alerts.example/", WebhookInvalid::Url),
            ("https://alerts.example/#a", WebhookInvalid::Url),
            ("http://alerts.example/", WebhookInvalid::NotEncrypted),
            ("ftp://localhost/", WebhookInvalid::NotEncrypted),
        ] {
            assert_eq!(webhook(url, &[SECRET]).err(), Some(refused), "{url}");
        }
        let (short, same) = ("whsec_c2hvcnQ=", "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
        for (secrets, refused) in [
            (&[][..], WebhookInvalid::Number),
            (&[SECRET, SECRET, SECRET], WebhookInvalid::Number),
            (&[""], WebhookInvalid::Form),
            (&["whsec_"], WebhookInvalid::Form),
            (&["whsec_your_secret_here"], WebhookInvalid::Form),
            (&["MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"], WebhookInvalid::Form),
            (&[short], WebhookInvalid::Form),
            (&[same], WebhookInvalid::Placeholder),
        ] {
            assert_eq!(webhook("https://alerts.example/", secrets).err(), Some(refused), "{secrets:?}");
        }
    }

    #[test]
    fn no_debug_output_shows_a_secret() {
        let webhook = webhook("https://alerts.example/path?token=b", &[SECRET]).unwrap();
        assert_eq!(format!("{webhook:?}"), "WebhookAlert { host: Some(\"alerts.example\"), .. }");
    }
}
