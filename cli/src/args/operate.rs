//! The command lines of operators' acts.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use jiff::Timestamp;
use strum::VariantArray as _;
use workflow::ids::PaymentId;
use workflow::payment::{Outcome, RefundReason};
use workflow::port::audit::{AuditAct, AuditFilter};

use super::dlq::Since;

/// Payments that one command acts on at most: each is shown and answered for.
const MAX_PAYMENTS: usize = 1_000;

/// Who acts, why, and how.
#[derive(clap::Args, Debug)]
pub(crate) struct Acting {
    /// Why: goes into the payment's history, which its merchant can read
    #[arg(long, value_name = "TEXT", required_unless_present = "dry_run")]
    pub(crate) why: Option<String>,
    /// Who you are: goes into history and the audit log
    #[arg(long, env = "USER", default_value = "operator")]
    pub(crate) operator: String,
    /// Show what would be done, and do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Do not ask before doing it
    #[arg(long, short = 'y')]
    pub(crate) yes: bool,
    /// Print JSON for programs
    #[arg(long)]
    pub(crate) json: bool,
}

/// An act on payments that need nothing more said.
#[derive(clap::Args, Debug)]
pub(crate) struct OnPayments {
    /// The payments, for example ch_0197f3c2a1b47c6e8d5f00112233aaba
    #[arg(required = true, value_name = "PAYMENT", num_args = 1..=MAX_PAYMENTS)]
    pub(crate) payments: Vec<PaymentId>,
    #[command(flatten)]
    pub(crate) acting: Acting,
}

/// Options of `fincore redrive`.
#[derive(clap::Args, Debug)]
pub(crate) struct RedriveOne {
    #[command(flatten)]
    pub(crate) on: OnPayments,
    /// You have settled, for each of these payments, what `fincore explain` says has to be settled first
    #[arg(long)]
    pub(crate) decided: bool,
}

/// Options of `fincore resolve`.
#[derive(clap::Args, Debug)]
pub(crate) struct Resolve {
    /// The payment in review
    pub(crate) payment: PaymentId,
    /// How it ended, by the evidence that you name with --why
    #[arg(long, value_name = "OUTCOME", value_parser = outcomes())]
    pub(crate) outcome: Outcome,
    /// Of a charge that succeeded: how much the PSP captured, in minor units
    #[arg(long, value_name = "MINOR")]
    pub(crate) captured: Option<i64>,
    /// The PSP's reference, if you found one
    #[arg(long, value_name = "TEXT")]
    pub(crate) psp_reference: Option<String>,
    #[command(flatten)]
    pub(crate) acting: Acting,
}

/// Options of `fincore refund`.
#[derive(clap::Args, Debug)]
pub(crate) struct Refund {
    /// The charge whose money is to be given back
    pub(crate) charge: PaymentId,
    /// How much, in minor units [default: all that is left]
    #[arg(long, value_name = "MINOR")]
    pub(crate) amount: Option<i64>,
    /// Why, in a word that PSPs share: duplicate, fraudulent, requested_by_customer
    #[arg(long, value_name = "WORD")]
    pub(crate) refund_reason: Option<RefundReason>,
    #[command(flatten)]
    pub(crate) acting: Acting,
}

/// Options of `fincore approve` and `fincore withdraw`.
#[derive(clap::Args, Debug)]
pub(crate) struct OnProposal {
    /// The payment
    pub(crate) payment: PaymentId,
    /// The number of the proposal that you have looked at; `fincore explain` shows it
    #[arg(long, value_name = "NUMBER")]
    pub(crate) proposal: i64,
    #[command(flatten)]
    pub(crate) acting: Acting,
}

/// What to do with PSP accounts.
#[derive(clap::Subcommand, Debug)]
pub(crate) enum Psp {
    /// List the PSP accounts of the settings, and which are paused
    List {
        /// Print JSON for programs
        #[arg(long)]
        json: bool,
    },
    /// Send nothing to a PSP account until it is resumed; payments that are due there wait
    Pause(OnPsp),
    /// Let a paused PSP account go on
    Resume(OnPsp),
}

/// Options of `fincore psp pause` and `fincore psp resume`.
#[derive(clap::Args, Debug)]
pub(crate) struct OnPsp {
    /// The account's configured name
    // Not `psp`: that is the id of a setting, which the argument would then be as well.
    #[arg(value_name = "PSP")]
    pub(crate) account: String,
    #[command(flatten)]
    pub(crate) acting: Acting,
}

/// Options of `fincore audit`.
#[derive(clap::Args, Debug)]
pub(crate) struct Audit {
    /// Only what this operator did
    #[arg(long, value_name = "NAME")]
    pub(crate) operator: Option<String>,
    /// Only what was done to this payment
    #[arg(long, value_name = "PAYMENT")]
    pub(crate) payment: Option<PaymentId>,
    /// Only acts of this kind
    #[arg(long, value_name = "ACT", value_parser = acts())]
    pub(crate) act: Option<AuditAct>,
    /// Only since then: a time (2026-01-31T08:00:00Z) or so long ago (90m, 24h, 3d)
    #[arg(long, value_name = "WHEN", value_parser = super::dlq::since)]
    pub(crate) since: Option<Since>,
    /// How many to show, the newest first
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub(crate) limit: u32,
    /// Print JSON for programs
    #[arg(long)]
    pub(crate) json: bool,
}

impl Audit {
    /// The filter for the store.
    pub(crate) fn filter(&self, now: Timestamp) -> AuditFilter {
        let since = self.since.map(|since| since.before(now));
        AuditFilter { actor: self.operator.clone(), payment_id: self.payment, act: self.act, since }
    }
}

/// Options of `fincore explain`.
#[derive(clap::Args, Debug)]
pub(crate) struct Explain {
    /// The payment, for example ch_0197f3c2a1b47c6e8d5f00112233aaba
    pub(crate) payment: PaymentId,
    /// Print JSON for programs
    #[arg(long)]
    pub(crate) json: bool,
    /// Go on showing it as it changes, until it has ended
    #[arg(long, conflicts_with = "json")]
    pub(crate) watch: bool,
}

fn outcomes() -> impl TypedValueParser<Value = Outcome> {
    let names = PossibleValuesParser::new(Outcome::VARIANTS.iter().map(<&str>::from));
    names.try_map(|name| name.parse::<Outcome>())
}

fn acts() -> impl TypedValueParser<Value = AuditAct> {
    let names = PossibleValuesParser::new(AuditAct::VARIANTS.iter().map(<&str>::from));
    names.try_map(|name| name.parse::<AuditAct>())
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use crate::args::Args;

    #[test]
    fn an_act_says_which_and_why() {
        let charge = "ch_0197f3c2a1b47c6e8d5f00112233aaba";
        let parse = |words: &str| Args::try_parse_from(["fincore"].into_iter().chain(words.split(' ')));
        for good in [
            &format!("retry {charge} --why x"),
            &format!("retry {charge} {charge} --dry-run --json"),
            &format!("redrive {charge} --why x --decided -y"),
            &format!("resolve {charge} --outcome succeeded --captured 1200 --psp-reference pi_1 --why x"),
            &format!("refund {charge} --why x --refund-reason duplicate"),
            &format!("approve {charge} --proposal 7 --why x --operator grace"),
            "psp list",
            "psp pause stripe_eu --why x",
            &format!("audit --payment {charge} --act approve --since 3d"),
            &format!("explain {charge} --watch"),
        ] {
            parse(good).unwrap_or_else(|error| panic!("{good}: {error}"));
        }
        for bad in [
            "retry --why x",
            &format!("retry {charge}"),
            &format!("resolve {charge} --why x"),
            &format!("resolve {charge} --outcome expired --why x"),
            &format!("approve {charge} --why x"),
            "psp pause --why x",
            "audit --act nothing",
            &format!("explain {charge} --watch --json"),
        ] {
            assert!(parse(bad).is_err(), "{bad} was accepted");
        }
    }
}
