//! Amounts as Adyen counts them: <https://docs.adyen.com/development-resources/currency-codes> (the table's "differs
//! from standard").

use workflow::money::Money;

use crate::gateway::units::{Exception, Units};

/// Four currencies have other decimals than ISO 4217 gives them.
pub(super) const UNITS: Units = Units {
    exceptions: &[
        Exception { currency: "clp", decimals: 2, multiple_of: 100 },
        Exception { currency: "cve", decimals: 0, multiple_of: 1 },
        Exception { currency: "idr", decimals: 0, multiple_of: 1 },
        Exception { currency: "isk", decimals: 2, multiple_of: 100 },
    ],
    three_decimals_multiple_of: 1,
};

/// Our amount as the number of a request; none when Adyen cannot take it. It is never rounded: the request then goes
/// without its amount, and Adyen refuses it (error 100, "No amount specified",
/// <https://docs.adyen.com/development-resources/error-codes>).
pub(super) fn to_wire(money: Money) -> Option<i64> {
    UNITS.write(money).ok()
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
            (1_000, "eur", Ok(1_000)),
            (500, "jpy", Ok(500)),
            (5_124, "kwd", Ok(5_124)),
            (10, "ugx", Ok(10)),
            (10, "clp", Ok(1_000)),
            (10, "isk", Ok(1_000)),
            (1_000, "cve", Ok(10)),
            (1_000, "idr", Ok(10)),
            (1_050, "cve", Err(Unsupported::Step { step_minor: 100 })),
            (1_050, "idr", Err(Unsupported::Step { step_minor: 100 })),
            (1_000, "clf", Err(Unsupported::Currency)),
        ] {
            assert_eq!(UNITS.write(money(amount_minor, code)), expected, "{amount_minor} {code}");
        }
    }

    #[test]
    fn what_cannot_be_an_amount_is_not_read_as_one() {
        assert_eq!(UNITS.read(-1, "eur".parse().unwrap()), None);
        assert_eq!(UNITS.read(1_050, "clp".parse().unwrap()), None);
        assert_eq!(UNITS.read(1_050, "isk".parse().unwrap()), None);
        assert_eq!(UNITS.read(i64::MAX, "idr".parse().unwrap()), None);
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back_the_same(
            amount_minor in 0..=workflow::money::MAX_AMOUNT_MINOR,
            code in prop::sample::select(vec!["eur", "jpy", "clp", "cve", "idr", "isk", "kwd", "clf"]),
        ) {
            let money = money(amount_minor, code);
            if let Ok(wire) = UNITS.write(money) {
                prop_assert_eq!(UNITS.read(wire, money.currency), Some(money));
            }
        }
    }
}
