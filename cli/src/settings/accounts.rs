//! Which PSP accounts there are and who is charged where, as far as the settings file says it.
//!
//! Not here: the accounts themselves, and gateways made of them (`activities::gateway::accounts`).

use std::collections::BTreeMap;

use activities::gateway::accounts::Account;
use anyhow::{Context, bail};
use serde::Deserialize;
use workflow::ids::MerchantId;

/// Where one merchant's charges go, as a table `[merchants.ID]` of the file.
#[derive(Deserialize, Clone, Debug)]
#[serde(deny_unknown_fields)]
pub struct Merchant {
    /// Accounts: the first, then the others in the order in which they are tried.
    pub psps: Vec<String>,
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
}
