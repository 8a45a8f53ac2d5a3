//! PSP accounts beyond the first: tables of the settings file, with secrets from the environment, and who is charged where.
//!
//! Not here: making gateways of them (`app.rs`).

use std::collections::BTreeMap;

use anyhow::{Context, bail};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use workflow::ids::MerchantId;

/// One account at a PSP, as a table `[psps.NAME]` of the file.
#[derive(Deserialize, Clone, Debug)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum Account {
    /// PaymentIntents.
    Stripe {
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

/// Where one merchant's charges go, as a table `[merchants.ID]` of the file.
#[derive(Deserialize, Clone, Debug)]
#[serde(deny_unknown_fields)]
pub struct Merchant {
    /// Accounts: the first, then the others in the order in which they are tried.
    pub psps: Vec<String>,
}

/// Reads the secrets of all accounts from the environment.
pub(super) fn with_environment(
    accounts: BTreeMap<String, Account>,
    variable: &dyn Fn(&str) -> Option<String>,
) -> BTreeMap<String, Account> {
    let read = |(name, account): (String, Account)| {
        let account = account.with_environment(&name, variable);
        (name, account)
    };
    accounts.into_iter().map(read).collect()
}

/// Checks that names are names, and that whoever is named exists.
pub(super) fn check(
    first: &str,
    fallbacks: &[String],
    accounts: &BTreeMap<String, Account>,
    merchants: &BTreeMap<String, Merchant>,
) -> anyhow::Result<()> {
    for name in accounts.keys().map(String::as_str).chain([first]) {
        if !is_name(name) {
            bail!("{name} must be 1 to 32 lower-case letters, digits or underscores: it is part of the webhook URL");
        }
    }
    let exists = |name: &String| name == first || accounts.contains_key(name);
    if let Some(unknown) = fallbacks.iter().find(|name| !exists(name) || *name == first) {
        bail!("fallback_psps names {unknown}, which is not another account: add a table [psps.{unknown}]");
    }
    for (id, merchant) in merchants {
        id.parse::<MerchantId>().map_err(|_| anyhow::anyhow!("[merchants.{id}]: this is no merchant's id"))?;
        if merchant.psps.is_empty() {
            bail!("[merchants.{id}]: psps is empty; name at least one account, or remove the table");
        }
        if let Some(unknown) = merchant.psps.iter().find(|name| !exists(name)) {
            bail!("[merchants.{id}] names {unknown}, which is no account: add a table [psps.{unknown}]");
        }
    }
    Ok(())
}

fn is_name(name: &str) -> bool {
    (1..=32).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

/// Secrets that stand in one text, separated by commas.
pub(crate) fn separated(secrets: &SecretString) -> Vec<SecretString> {
    secrets.expose_secret().split(',').map(str::trim).map(Into::into).collect()
}

/// The order of accounts for the API.
///
/// # Errors
/// A merchant's id cannot be read.
pub(crate) fn order(
    first: &str,
    fallbacks: &[String],
    merchants: &BTreeMap<String, Merchant>,
) -> anyhow::Result<api::PspOrder> {
    let mut order = api::PspOrder::new(first, fallbacks.to_vec());
    for (id, merchant) in merchants {
        let merchant_id = id.parse().map_err(|_| anyhow::anyhow!("{id} is no merchant's id"))?;
        let (first, others) = merchant.psps.split_first().context("a merchant has at least one account")?;
        order = order.and_for(merchant_id, first.clone(), others.to_vec());
    }
    Ok(order)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Knobs, Settings};

    fn read(file: &str) -> anyhow::Result<Settings> {
        let path = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(path.path(), file).unwrap();
        Settings::read(&Knobs { config: Some(path.path().into()), ..Knobs::default() })
    }

    const ADYEN: &str = "[psps.adyen_eu]\nkind = \"adyen\"\nurl = \"https://checkout-test.adyen.com/v71\"\nmerchant_account = \"ShopECOM\"\n";

    #[test]
    fn accounts_and_merchants_are_tables_of_the_file() {
        let settings = read(&format!(
            "fallback_psps = [\"adyen_eu\"]\n{ADYEN}[merchants.mer_00000000000070008000000000010000]\npsps = [\"adyen_eu\", \"stripe\"]\n"
        ))
        .unwrap();
        assert_eq!(settings.fallback_psps, ["adyen_eu"]);
        assert!(
            matches!(&settings.psps["adyen_eu"], Account::Adyen { merchant_account, .. } if merchant_account == "ShopECOM")
        );
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_what_to_do() {
        for (file, told) in [
            ("fallback_psps = [\"adyen_eu\"]", "add a table [psps.adyen_eu]"),
            ("fallback_psps = [\"stripe\"]", "not another account"),
            ("[psps.adyen_eu]\nkind = \"adyen\"\nurl = \"https://x.example/v71\"\n", "merchant_account"),
            ("[psps.x]\nkind = \"paypal\"\n", "paypal"),
            ("[psps.x]\nkind = \"stripe\"\nmerchant_account = \"x\"\n", "merchant_account"),
            ("[psps.\"X/y\"]\nkind = \"stripe\"\n", "lower-case"),
            ("[merchants.nobody]\npsps = [\"stripe\"]\n", "no merchant's id"),
            ("[merchants.mer_00000000000070008000000000010000]\npsps = []\n", "at least one account"),
            ("[merchants.mer_00000000000070008000000000010000]\npsps = [\"other\"]\n", "add a table [psps.other]"),
        ] {
            let error = format!("{:#}", read(file).unwrap_err());
            assert!(error.contains(told), "{file}: {error}");
        }
    }

    #[test]
    fn secrets_of_the_environment_win_over_the_file() {
        let settings = read(&format!("{ADYEN}api_key = \"in the file\"\n")).unwrap();
        let variable = |name: &str| match name {
            "FINCORE_PSPS_ADYEN_EU_API_KEY" => Some("of the environment".to_owned()),
            _other => None,
        };
        let accounts = with_environment(settings.psps, &variable);
        let Account::Adyen { api_key, .. } = &accounts["adyen_eu"] else { panic!() };
        assert_eq!(api_key.expose_secret(), "of the environment");
    }
}
