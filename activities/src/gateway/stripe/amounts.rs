//! Amounts as Stripe counts them: <https://docs.stripe.com/currencies> ("Zero-decimal currencies", "Three-decimal
//! currencies", "Special cases").

use workflow::money::Money;

use crate::gateway::units::{Exception, Units};

/// The last of three decimals is not sent to the card networks.
pub(super) const UNITS: Units = Units {
    exceptions: &[
        // Zero decimals in practice, two decimals in the API for compatibility, always 00.
        Exception { currency: "isk", decimals: 2, multiple_of: 100 },
        Exception { currency: "ugx", decimals: 2, multiple_of: 100 },
        // ISO 4217 gives the ariary two decimals; it has none that anybody uses.
        Exception { currency: "mga", decimals: 0, multiple_of: 1 },
    ],
    three_decimals_multiple_of: 10,
};

/// Our amount as the text of a request. An amount that Stripe cannot charge is never rounded: it is written as the
/// decimal fraction it is, which Stripe refuses as not being an integer.
pub(super) fn to_wire_text(money: Money) -> String {
    UNITS.write(money).map_or_else(|_| format!("{}.00", money.amount_minor), |amount| amount.to_string())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::gateway::units::Unsupported;

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
            (5_124, "kwd", Err(Unsupported::Step { step_minor: 10 })),
            (1_200, "mga", Ok(12)),
            (1_250, "mga", Err(Unsupported::Step { step_minor: 100 })),
            (1_000, "clf", Err(Unsupported::Currency)),
        ] {
            assert_eq!(UNITS.write(money(amount_minor, code)), expected, "{amount_minor} {code}");
        }
    }

    #[test]
    fn an_amount_that_cannot_be_charged_is_not_rounded_but_written_so_that_it_is_refused() {
        assert_eq!(to_wire_text(money(5_124, "kwd")), "5124.00");
        assert_eq!(to_wire_text(money(5_120, "kwd")), "5120");
    }

    #[test]
    fn what_cannot_be_an_amount_is_not_read_as_one() {
        assert_eq!(UNITS.read(-1, "eur".parse().unwrap()), None);
        assert_eq!(UNITS.read(550, "isk".parse().unwrap()), None);
        assert_eq!(UNITS.read(i64::MAX, "mga".parse().unwrap()), None);
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back_the_same(
            amount_minor in 0..=workflow::money::MAX_AMOUNT_MINOR,
            code in prop::sample::select(vec!["eur", "jpy", "isk", "ugx", "kwd", "mga", "clf", "huf"]),
        ) {
            let money = money(amount_minor, code);
            if let Ok(wire) = UNITS.write(money) {
                prop_assert_eq!(UNITS.read(wire, money.currency), Some(money));
            }
        }
    }
}
