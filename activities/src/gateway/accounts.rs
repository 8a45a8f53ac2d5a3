//! PSP accounts as configuration tells them, and the gateways and clients that are made of them.
//!
//! Every program that calls PSPs is configured alike. Not here: where the configuration comes from, and which account a
//! charge goes to.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use workflow::port::clock::Clock;
use workflow::port::gateway::{Gateway, LONGEST_KEY};
use workflow::port::store::Mode;

use super::breaker::BreakerPolicy;
use super::client::{self, ClientNotBuilt, Connections, PspClient, Roots};
use super::{adyen, stripe};
use crate::psps::{Psp, Psps};

/// One account at a PSP.
#[derive(Deserialize, Clone, Debug)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum Account {
    /// PaymentIntents.
    Stripe {
        /// Whether it moves real money; without, its key tells.
        mode: Option<Mode>,
        /// Base URL.
        url: Option<String>,
        /// Opens the API.
        #[serde(default)]
        api_key: SecretString,
        /// Signing secrets of its webhooks, separated by a comma.
        #[serde(default)]
        webhook_secret: SecretString,
    },
    /// The Checkout API.
    Adyen {
        /// Whether it moves real money; without, its URL tells.
        mode: Option<Mode>,
        /// Base URL with the API's version: the test system's, or the merchant's own in production.
        url: String,
        /// Whose payments.
        merchant_account: String,
        /// Opens the API.
        #[serde(default)]
        api_key: SecretString,
        /// HMAC keys of its webhooks in hexadecimal, separated by a comma.
        #[serde(default)]
        webhook_secret: SecretString,
        /// User of its webhooks, where basic authentication is set up, too.
        webhook_user: Option<String>,
        /// The password that goes with it.
        #[serde(default)]
        webhook_password: SecretString,
    },
}

impl Account {
    /// Whether it moves real money.
    ///
    /// # Errors
    /// Nobody can tell, or what is said contradicts the account's key or URL.
    pub fn mode(&self, name: &str) -> Result<Mode, AccountUnusable> {
        let (said, told) = match self {
            Self::Stripe { mode, api_key, .. } => (*mode, stripe::mode_of_key(api_key.expose_secret())),
            Self::Adyen { mode, url, .. } => (*mode, adyen::mode_of_url(url)),
        };
        match (said, told) {
            (Some(said), Some(told)) if said != told => {
                Err(AccountUnusable::ModeContradicted { name: name.to_owned(), said, told })
            }
            (Some(mode), _) | (None, Some(mode)) => Ok(mode),
            (None, None) => Err(AccountUnusable::ModeUnknown { name: name.to_owned() }),
        }
    }

    /// Takes the secrets that stand in the environment, where they are better kept than in a file.
    fn with_environment(mut self, name: &str, variable: &dyn Fn(&str) -> Option<String>) -> Self {
        let secret = |what: &str, in_file: &mut SecretString| {
            if let Some(value) = variable(&format!("FINCORE_PSPS_{}_{what}", name.to_ascii_uppercase())) {
                *in_file = value.into();
            }
        };
        match &mut self {
            Self::Stripe { api_key, webhook_secret, .. } => {
                secret("API_KEY", api_key);
                secret("WEBHOOK_SECRET", webhook_secret);
            }
            Self::Adyen { api_key, webhook_secret, webhook_password, .. } => {
                secret("API_KEY", api_key);
                secret("WEBHOOK_SECRET", webhook_secret);
                secret("WEBHOOK_PASSWORD", webhook_password);
            }
        }
        self
    }
}

/// Reads the secrets of all accounts from the environment: `FINCORE_PSPS_<NAME>_API_KEY` and its siblings.
#[must_use]
pub fn with_environment(
    accounts: BTreeMap<String, Account>,
    variable: &dyn Fn(&str) -> Option<String>,
) -> BTreeMap<String, Account> {
    let read = |(name, account): (String, Account)| {
        let account = account.with_environment(&name, variable);
        (name, account)
    };
    accounts.into_iter().map(read).collect()
}

/// An account that cannot be used as it is configured.
#[derive(Debug, thiserror::Error)]
pub enum AccountUnusable {
    /// Its secrets or its URL are missing, or cannot be meant.
    #[error("cannot set up the PSP account {name}: set its url, api_key and webhook_secret (FINCORE_PSPS_{upper}_…; for the first account FINCORE_STRIPE_URL, …_SECRET_KEY and …_WEBHOOK_SECRET do as well)", upper = name.to_ascii_uppercase())]
    Configured {
        /// The account.
        name: String,
        /// What is wrong.
        #[source]
        why: Wrong,
    },
    /// The PSP takes shorter idempotency keys than ours are.
    #[error("{name} takes idempotency keys of {longest} bytes, and ours have {LONGEST_KEY}")]
    KeysTooShort {
        /// The account.
        name: String,
        /// What it takes.
        longest: usize,
    },
    /// It may move real money or not.
    #[error(
        "cannot tell whether the PSP account {name} moves real money: set mode to \"test\" or \"live\" in its table [psps.{name}]"
    )]
    ModeUnknown {
        /// The account.
        name: String,
    },
    /// It is said to be of one mode, and is of the other.
    #[error("the PSP account {name} is said to be {said}, but its key or URL is of a {told} account")]
    ModeContradicted {
        /// The account.
        name: String,
        /// What the configuration says.
        said: Mode,
        /// What the key or URL tells.
        told: Mode,
    },
    /// There is no HTTP client.
    #[error("cannot set up the HTTP client")]
    Client(#[from] ClientNotBuilt),
}

/// What a process does with its accounts. One that only calls needs no webhook secrets, and should not have them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purpose {
    /// Workers.
    Calls,
    /// Whoever takes webhooks.
    CallsAndWebhooks,
}

type Wrong = Box<dyn Error + Send + Sync>;

/// The accounts, ready to be called; they share connections.
///
/// # Errors
/// A secret is missing or a placeholder, or a URL cannot be used; says which.
pub fn psps(
    accounts: &BTreeMap<String, Account>,
    purpose: Purpose,
    roots: Roots,
    clock: &Arc<dyn Clock>,
) -> Result<Psps, AccountUnusable> {
    let connections = Connections::trusting(roots)?;
    let psps = accounts.iter().map(|(name, account)| {
        account.mode(name)?;
        let (gateway, account) =
            gateway(name, account, purpose).map_err(|why| AccountUnusable::Configured { name: name.clone(), why })?;
        let longest = gateway.capabilities().key_max_bytes;
        if LONGEST_KEY > longest {
            return Err(AccountUnusable::KeysTooShort { name: name.clone(), longest });
        }
        let client = PspClient::sharing(&connections, account, Arc::clone(clock), BreakerPolicy::default());
        Ok(Psp { gateway, client })
    });
    Ok(Psps::new(psps.collect::<Result<_, _>>()?))
}

fn gateway(name: &str, account: &Account, purpose: Purpose) -> Result<(Arc<dyn Gateway>, client::Account), Wrong> {
    match account {
        Account::Stripe { url, api_key, webhook_secret, .. } => {
            let config = match purpose {
                Purpose::Calls => stripe::StripeConfig::calls_only(name)?,
                Purpose::CallsAndWebhooks => stripe::StripeConfig::new(name, separated(webhook_secret))?,
            };
            let url = url.as_deref().unwrap_or(stripe::BASE_URL);
            let account = stripe::account(name, url, api_key.clone())?;
            Ok((Arc::new(stripe::Stripe::new(config)), account))
        }
        Account::Adyen { url, merchant_account, api_key, webhook_secret, webhook_user, webhook_password, .. } => {
            let basic = webhook_user.as_ref().map(|user| adyen::BasicAuth::new(user, webhook_password)).transpose()?;
            let config = match purpose {
                Purpose::Calls => adyen::AdyenConfig::calls_only(name, merchant_account)?,
                Purpose::CallsAndWebhooks => {
                    adyen::AdyenConfig::new(name, merchant_account, separated(webhook_secret), basic)?
                }
            };
            let account = adyen::account(name, url, api_key.clone())?;
            Ok((Arc::new(adyen::Adyen::new(config)), account))
        }
    }
}

/// Secrets that stand in one text, separated by commas.
pub(crate) fn separated(secrets: &SecretString) -> Vec<SecretString> {
    secrets.expose_secret().split(',').map(str::trim).map(Into::into).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_of_the_mode_that_its_key_or_url_tells_and_nobody_may_say_otherwise() {
        let read = |told: serde_json::Value| serde_json::from_value::<Account>(told).unwrap().mode("x");
        let stripe = |key: &str| serde_json::json!({"kind": "stripe", "api_key": key});
        let adyen = |url: &str| serde_json::json!({"kind": "adyen", "url": url, "merchant_account": "ShopECOM"});
        for (told, mode) in [
            (stripe("sk_test_1"), Mode::Test),
            (stripe("rk_live_1"), Mode::Live),
            (adyen("https://checkout-test.adyen.com/v71"), Mode::Test),
            (adyen("https://1797a841fbb37ca7-Shop-checkout-live.adyenpayments.com/checkout/v71"), Mode::Live),
        ] {
            assert_eq!(read(told.clone()).unwrap(), mode, "{told}");
            let mut said = told.clone();
            said["mode"] = mode.to_string().into();
            assert_eq!(read(said.clone()).unwrap(), mode);
            said["mode"] = if mode == Mode::Test { "live" } else { "test" }.into();
            assert!(matches!(read(said), Err(AccountUnusable::ModeContradicted { .. })), "{told}");
        }
        let mut mocked = adyen("http://127.0.0.1:1/v71");
        assert!(matches!(read(mocked.clone()), Err(AccountUnusable::ModeUnknown { .. })));
        mocked["mode"] = "test".into();
        assert_eq!(read(mocked).unwrap(), Mode::Test);
    }

    #[test]
    fn secrets_of_the_environment_win_over_the_file() {
        let told = serde_json::json!({"adyen_eu": {
            "kind": "adyen", "url": "https://checkout-test.adyen.com/v71", "merchant_account": "ShopECOM",
            "api_key": "in the file",
        }});
        let variable = |name: &str| match name {
            "FINCORE_PSPS_ADYEN_EU_API_KEY" => Some("of the environment".to_owned()),
            _other => None,
        };
        let accounts = with_environment(serde_json::from_value(told).unwrap(), &variable);
        let Account::Adyen { api_key, .. } = &accounts["adyen_eu"] else { panic!() };
        assert_eq!(api_key.expose_secret(), "of the environment");
    }
}
