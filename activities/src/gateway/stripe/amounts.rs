//! Amounts as Stripe counts them: mostly ISO 4217 minor units, with the exceptions of
//! <https://docs.stripe.com/currencies> ("Zero-decimal currencies", "Three-decimal currencies", "Special cases").

use workflow::money::{Currency, Money};

/// Stripe cannot charge this amount. The client has to ask for another one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum Unsupported {
    /// The last of three decimals is not sent to the card networks.
    #[error("amounts with three decimals must end in 0")]
    LastDigit,
    /// The currency is charged in whole units only.
    #[error("this currency is charged in whole units only")]
    Fraction,
    /// The currency has more decimals than Stripe counts.
    #[error("this currency cannot be charged")]
    Currency,
}

/// How an amount is written on the wire.
enum Scale {
    /// As ISO 4217 has it.
    Same,
    /// As ISO 4217 has it, and the last of three digits is 0.
    Tens,
    /// With two decimals that ISO 4217 does not have, always 00.
    Hundredfold,
    /// Without the two decimals that ISO 4217 has.
    Whole,
    None,
}

fn scale(currency: Currency) -> Scale {
    match (currency.to_string().as_str(), currency.exponent()) {
        // Zero decimals in practice, two decimals in the API for compatibility.
        ("isk" | "ugx", _) => Scale::Hundredfold,
        // ISO 4217 gives the ariary two decimals; it has none that anybody uses.
        ("mga", _) => Scale::Whole,
        (_, 0..=2) => Scale::Same,
        (_, 3) => Scale::Tens,
        (_, _) => Scale::None,
    }
}

/// Our amount in Stripe's units.
pub(super) fn to_wire(money: Money) -> Result<i64, Unsupported> {
    let minor = money.amount_minor;
    match scale(money.currency) {
        Scale::Same => Ok(minor),
        Scale::Tens if minor % 10 == 0 => Ok(minor),
        Scale::Tens => Err(Unsupported::LastDigit),
        Scale::Hundredfold => minor.checked_mul(100).ok_or(Unsupported::Currency),
        Scale::Whole if minor % 100 == 0 => Ok(minor / 100),
        Scale::Whole => Err(Unsupported::Fraction),
        Scale::None => Err(Unsupported::Currency),
    }
}

/// Our amount as the text of a request. An amount that Stripe cannot charge is never rounded: it is written as the
/// decimal fraction it is, which Stripe refuses as not being an integer.
pub(super) fn to_wire_text(money: Money) -> String {
    to_wire(money).map_or_else(|_| format!("{}.00", money.amount_minor), |amount| amount.to_string())
}

/// Stripe's amount in our units; none when it cannot be an amount.
pub(super) fn from_wire(amount: i64, currency: Currency) -> Option<Money> {
    let amount_minor = match scale(currency) {
        Scale::Same | Scale::Tens => amount,
        Scale::Hundredfold if amount % 100 == 0 => amount / 100,
        Scale::Hundredfold | Scale::None => return None,
        Scale::Whole => amount.checked_mul(100)?,
    };
    (amount_minor >= 0).then_some(Money { amount_minor, currency })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn money(amount_minor: i64, code: &str) -> Money {
        Money { amount_minor, currency: code.parse().unwrap() }
    }

    #[test]
    fn amounts_are_written_as_the_documentation_has_them() {
        for (amount_minor, code, expected) in [
            (1_000, "usd", Ok(1_000)),
            (500, "jpy", Ok(500)),
            (5, "isk", Ok(500)),
            (5, "ugx", Ok(500)),
            (5_120, "kwd", Ok(5_120)),
            (5_124, "kwd", Err(Unsupported::LastDigit)),
            (1_200, "mga", Ok(12)),
            (1_250, "mga", Err(Unsupported::Fraction)),
            (1_000, "clf", Err(Unsupported::Currency)),
        ] {
            assert_eq!(to_wire(money(amount_minor, code)), expected, "{amount_minor} {code}");
        }
    }

    #[test]
    fn an_amount_that_cannot_be_charged_is_not_rounded_but_written_so_that_it_is_refused() {
        assert_eq!(to_wire_text(money(5_124, "kwd")), "5124.00");
        assert_eq!(to_wire_text(money(5_120, "kwd")), "5120");
    }

    #[test]
    fn what_cannot_be_an_amount_is_not_read_as_one() {
        assert_eq!(from_wire(-1, "eur".parse().unwrap()), None);
        assert_eq!(from_wire(550, "isk".parse().unwrap()), None);
        assert_eq!(from_wire(i64::MAX, "mga".parse().unwrap()), None);
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back_the_same(
            amount_minor in 0..=workflow::money::MAX_AMOUNT_MINOR,
            code in prop::sample::select(vec!["eur", "jpy", "isk", "ugx", "kwd", "mga", "clf", "huf"]),
        ) {
            let money = money(amount_minor, code);
            if let Ok(wire) = to_wire(money) {
                prop_assert_eq!(from_wire(wire, money.currency), Some(money));
            }
        }
    }
}
