//! Amounts as PSPs count them: mostly ISO 4217 minor units, each PSP with exceptions of its own, as data.
//!
//! Not here: which exceptions; each PSP's file has its table and where it is taken from.

use workflow::money::{Currency, Money};

/// A currency that a PSP counts differently from ISO 4217.
#[derive(Clone, Copy, Debug)]
pub(super) struct Exception {
    /// Which, in lower case.
    pub(super) currency: &'static str,
    /// Decimals of the PSP's amounts.
    pub(super) decimals: u32,
    /// The PSP's amounts have to be whole multiples of this.
    pub(super) multiple_of: i64,
}

/// How a PSP counts money.
#[derive(Clone, Copy, Debug)]
pub(super) struct Units {
    /// What differs from ISO 4217.
    pub(super) exceptions: &'static [Exception],
    /// Amounts in currencies of three decimals have to be whole multiples of this.
    pub(super) three_decimals_multiple_of: i64,
}

/// The PSP cannot charge this amount. The client has to ask for another one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum Unsupported {
    /// The amount is finer than the PSP's steps.
    #[error("this currency is charged in steps of {step_minor} minor units")]
    Step {
        /// The step, in ISO 4217 minor units.
        step_minor: i64,
    },
    /// The currency has more decimals than the PSP counts, or the amount is beyond what it can write.
    #[error("this currency cannot be charged")]
    Currency,
}

/// The most decimals any PSP here counts.
const MAX_DECIMALS: u32 = 3;

impl Units {
    /// Our amount in the PSP's units.
    pub(super) fn write(self, money: Money) -> Result<i64, Unsupported> {
        let rule = self.rule(money.currency)?;
        let ours = u32::from(money.currency.exponent());
        let scaled = if rule.decimals >= ours {
            money.amount_minor.checked_mul(power(rule.decimals - ours)).ok_or(Unsupported::Currency)?
        } else if money.amount_minor % power(ours - rule.decimals) == 0 {
            money.amount_minor / power(ours - rule.decimals)
        } else {
            return Err(Unsupported::Step { step_minor: power(ours - rule.decimals) });
        };
        if scaled % rule.multiple_of == 0 {
            Ok(scaled)
        } else {
            Err(Unsupported::Step { step_minor: rule.multiple_of })
        }
    }

    /// The PSP's amount in our units; none when it cannot be an amount.
    pub(super) fn read(self, amount: i64, currency: Currency) -> Option<Money> {
        let rule = self.rule(currency).ok()?;
        let ours = u32::from(currency.exponent());
        let amount_minor = if rule.decimals >= ours {
            let scale = power(rule.decimals - ours);
            (amount % scale == 0).then(|| amount / scale)?
        } else {
            amount.checked_mul(power(ours - rule.decimals))?
        };
        (amount_minor >= 0).then_some(Money { amount_minor, currency })
    }

    fn rule(self, currency: Currency) -> Result<Exception, Unsupported> {
        let code = currency.to_string();
        if let Some(exception) = self.exceptions.iter().find(|exception| exception.currency == code) {
            return Ok(*exception);
        }
        let decimals = u32::from(currency.exponent());
        let multiple_of = if decimals == MAX_DECIMALS { self.three_decimals_multiple_of } else { 1 };
        if decimals > MAX_DECIMALS {
            Err(Unsupported::Currency)
        } else {
            Ok(Exception { currency: "", decimals, multiple_of })
        }
    }
}

fn power(exponent: u32) -> i64 {
    10_i64.pow(exponent)
}
