//! The command line of `fincore list` and `fincore stats`.

use std::num::NonZeroU32;

use jiff::SignedDuration;
use workflow::definition::State;
use workflow::ids::{MerchantId, PaymentId};
use workflow::money::{Currency, MAX_AMOUNT_MINOR};

/// Options of `fincore list`. What is not said excludes nothing.
#[derive(clap::Args, Debug)]
pub(crate) struct List {
    /// Only those in this state
    #[arg(long)]
    pub(crate) state: Option<State>,
    /// Only those of this merchant
    #[arg(long)]
    pub(crate) merchant: Option<MerchantId>,
    /// Only those at this PSP account
    #[arg(long, value_name = "NAME")]
    pub(crate) account: Option<String>,
    /// Only those about so much or more, in minor units
    #[arg(long, value_name = "MINOR", default_value_t = 0)]
    pub(crate) least: i64,
    /// Only those about so much or less, in minor units
    #[arg(long, value_name = "MINOR", default_value_t = MAX_AMOUNT_MINOR)]
    pub(crate) most: i64,
    /// Only those in this currency
    #[arg(long)]
    pub(crate) currency: Option<Currency>,
    /// Only those that failed with this code
    #[arg(long, value_name = "CODE")]
    pub(crate) error: Option<String>,
    /// Only those that have not ended and have stood where they stand for longer, for example 10m or 2h
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(crate) waiting: Option<SignedDuration>,
    /// Only those that were tried so often where they stand
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) attempts: i32,
    /// Only those that run by this workflow version
    #[arg(long, value_name = "N")]
    pub(crate) definition_version: Option<i32>,
    /// Only those accepted before this one
    #[arg(long, value_name = "PAYMENT")]
    pub(crate) after: Option<PaymentId>,
    /// So many at most, the newest ones
    #[arg(long, value_name = "N", default_value = "50")]
    pub(crate) limit: NonZeroU32,
    /// Print JSON for programs
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of `fincore stats`.
#[derive(clap::Args, Debug)]
pub(crate) struct Stats {
    /// Payments that rates are made of, the latest ones
    #[arg(long, value_name = "N", default_value_t = 5_000)]
    pub(crate) recent: u32,
    /// Print JSON for programs
    #[arg(long, conflicts_with = "watch")]
    pub(crate) json: bool,
    /// Show it again and again, until Ctrl-C
    #[arg(long)]
    pub(crate) watch: bool,
}

fn time(text: &str) -> Result<SignedDuration, String> {
    let time = text.parse::<SignedDuration>().ok().filter(|time| !time.is_negative());
    time.ok_or_else(|| "expected a time, like 10m, 2h or 36h".into())
}
