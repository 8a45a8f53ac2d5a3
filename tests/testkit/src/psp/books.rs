//! The PSP's own truth: its payments, and every effect on money there ever was.
//!
//! Not here: which call does what (`stage.rs`).

use std::fmt;

use workflow::money::Money;

use crate::dialect::Account;

/// What happened to money.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EffectKind {
    /// It was reserved.
    Authorized,
    /// It was taken.
    Captured,
    /// It was released.
    Voided,
    /// It was given back.
    Refunded,
}

impl fmt::Display for EffectKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Authorized => "authorized",
            Self::Captured => "captured",
            Self::Voided => "voided",
            Self::Refunded => "refunded",
        })
    }
}

/// One effect on money.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Effect {
    /// What happened to it.
    pub kind: EffectKind,
    /// How much.
    pub money: Money,
    /// The PSP's name for the payment.
    pub psp_reference: String,
    /// Our name for it.
    pub merchant_reference: Option<String>,
}

/// Effects on money, in the order in which they happened. As text, one line each: `captured 12.00 EUR`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Effects(pub Vec<Effect>);

impl Effects {
    /// Those of one payment, by our name for it or the PSP's.
    #[must_use]
    pub fn of(&self, payment: impl ToString) -> Self {
        let name = payment.to_string();
        let is_its = |effect: &&Effect| {
            effect.psp_reference == name || effect.merchant_reference.as_deref() == Some(name.as_str())
        };
        Self(self.0.iter().filter(is_its).cloned().collect())
    }

    /// How often this happened.
    #[must_use]
    pub fn count(&self, kind: EffectKind) -> usize {
        self.0.iter().filter(|effect| effect.kind == kind).count()
    }

    /// How often money was reserved.
    #[must_use]
    pub fn authorized(&self) -> usize {
        self.count(EffectKind::Authorized)
    }

    /// How often money was taken.
    #[must_use]
    pub fn captured(&self) -> usize {
        self.count(EffectKind::Captured)
    }

    /// How often money was released.
    #[must_use]
    pub fn voided(&self) -> usize {
        self.count(EffectKind::Voided)
    }

    /// How often money was given back.
    #[must_use]
    pub fn refunded(&self) -> usize {
        self.count(EffectKind::Refunded)
    }
}

impl fmt::Display for Effects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|effect| writeln!(f, "{:<10} {}", effect.kind, effect.money))
    }
}

/// The books.
#[derive(Default)]
pub(super) struct Books {
    accounts: Vec<Account>,
    pub(super) effects: Effects,
}

impl Books {
    /// The payment of this name, ours or the PSP's. Of several with our name, the last.
    pub(super) fn find(&self, name: &str) -> Option<&Account> {
        let is_it =
            |account: &&Account| account.psp_reference == name || account.merchant_reference.as_deref() == Some(name);
        self.accounts.iter().rev().find(is_it)
    }

    /// Every payment with our name.
    pub(super) fn all_of(&self, merchant_reference: &str) -> Vec<Account> {
        let is_its = |account: &&Account| account.merchant_reference.as_deref() == Some(merchant_reference);
        self.accounts.iter().filter(is_its).cloned().collect()
    }

    /// Writes a payment down, new or changed.
    pub(super) fn keep(&mut self, account: Account) {
        match self.accounts.iter_mut().find(|kept| kept.psp_reference == account.psp_reference) {
            Some(kept) => *kept = account,
            None => self.accounts.push(account),
        }
    }

    pub(super) fn enter(&mut self, kind: EffectKind, account: &Account, amount_minor: i64) {
        self.effects.0.push(Effect {
            kind,
            money: account.money(amount_minor),
            psp_reference: account.psp_reference.clone(),
            merchant_reference: account.merchant_reference.clone(),
        });
    }
}
