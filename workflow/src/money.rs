//! Amounts of money: whole minor units and an ISO 4217 currency. There is no float in this program.
//!
//! Not here: how a PSP writes amounts (some count other decimals than ISO 4217); its gateway file knows.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The largest amount of one payment, in minor units: far above any card limit, far below `i64` overflow
/// even when a million of them are added up.
pub const MAX_AMOUNT_MINOR: i64 = 999_999_999_999;

/// An ISO 4217 currency with minor units, written in lower or upper case.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Currency(iso_currency::Currency);

/// The text is not an ISO 4217 currency that money can be charged in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a three-letter ISO 4217 currency code such as eur")]
pub struct UnknownCurrency;

impl Currency {
    /// Decimals of the minor unit by ISO 4217: 2 for EUR, 0 for JPY, 3 for KWD.
    #[must_use]
    pub fn exponent(self) -> u16 {
        self.0.exponent().unwrap_or_default()
    }
}

impl FromStr for Currency {
    type Err = UnknownCurrency;

    fn from_str(text: &str) -> Result<Self, UnknownCurrency> {
        let code = text.to_ascii_uppercase();
        let currency = iso_currency::Currency::from_code(&code).ok_or(UnknownCurrency)?;
        // Gold, test and special drawing codes have no minor unit: nothing can be charged in them.
        currency.exponent().ok_or(UnknownCurrency)?;
        Ok(Self(currency))
    }
}

impl TryFrom<String> for Currency {
    type Error = UnknownCurrency;

    fn try_from(text: String) -> Result<Self, UnknownCurrency> {
        text.parse()
    }
}

impl From<Currency> for String {
    fn from(currency: Currency) -> String {
        currency.to_string()
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.code().to_ascii_lowercase())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// An amount somebody asks for: positive and bounded.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(try_from = "i64", into = "i64")]
pub struct Amount(i64);

/// The number is not an amount one can ask for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a whole number of minor units from 1 to {MAX_AMOUNT_MINOR}")]
pub struct InvalidAmount;

impl Amount {
    /// The number of minor units.
    #[must_use]
    pub fn minor(self) -> i64 {
        self.0
    }
}

impl TryFrom<i64> for Amount {
    type Error = InvalidAmount;

    fn try_from(minor: i64) -> Result<Self, InvalidAmount> {
        if (1..=MAX_AMOUNT_MINOR).contains(&minor) { Ok(Self(minor)) } else { Err(InvalidAmount) }
    }
}

impl From<Amount> for i64 {
    fn from(amount: Amount) -> i64 {
        amount.0
    }
}

/// An amount in a currency, as a PSP reports it. It may be zero.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Money {
    /// Whole minor units by ISO 4217.
    pub amount_minor: i64,
    /// The currency it is in.
    pub currency: Currency,
}

impl fmt::Display for Money {
    /// `12.34 EUR`, with as many decimals as the currency has.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let decimals = usize::from(self.currency.exponent());
        let sign = if self.amount_minor < 0 { "-" } else { "" };
        let digits = format!("{:0>width$}", self.amount_minor.unsigned_abs(), width = decimals + 1);
        let (whole, fraction) = digits.split_at(digits.len() - decimals);
        let point = if decimals == 0 { "" } else { "." };
        write!(f, "{sign}{whole}{point}{fraction} {}", self.currency.0.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_is_written_with_the_decimals_of_its_currency() {
        let text = |amount_minor, code: &str| Money { amount_minor, currency: code.parse().unwrap() }.to_string();
        assert_eq!(text(1234, "eur"), "12.34 EUR");
        assert_eq!(text(5, "EUR"), "0.05 EUR");
        assert_eq!(text(500, "jpy"), "500 JPY");
        assert_eq!(text(-1, "kwd"), "-0.001 KWD");
    }

    #[test]
    fn only_currencies_with_a_minor_unit_can_be_charged() {
        for bad in ["", "eu", "euro", "xau", "xxx", "zzz", "€"] {
            assert!(bad.parse::<Currency>().is_err(), "{bad} was accepted");
        }
    }

    #[test]
    fn amounts_are_positive_and_bounded() {
        for bad in [0, -1, i64::MIN, MAX_AMOUNT_MINOR + 1, i64::MAX] {
            assert!(Amount::try_from(bad).is_err(), "{bad} was accepted");
        }
    }
}
