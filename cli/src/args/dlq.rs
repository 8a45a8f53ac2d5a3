//! The command line of `fincore dlq`.

use std::num::NonZeroU32;

use clap::ArgGroup;
use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use jiff::{SignedDuration, Span, SpanRelativeTo, Timestamp};
use strum::IntoEnumIterator as _;
use workflow::decide::ReviewReason;
use workflow::ids::PaymentId;
use workflow::port::store::{LetterFilter, LetterScope};

/// Redrives a second at most: each makes a worker ask the PSP, on top of what customers do.
const MAX_RATE: u32 = 1_000;

/// What to do with dead letters.
#[derive(clap::Subcommand, Debug)]
pub(crate) enum Dlq {
    /// List the charges that wait for a person, newest first, with what is at stake
    List(ListLetters),
    /// Show why one charge waits for a person, who was told, and what a redrive would do
    Show(ShowLetter),
    /// Send charges back to work: the PSP is asked before anything is repeated
    Redrive(Redrive),
}

/// Which dead letters are meant.
#[derive(clap::Args, Debug, Default)]
pub(crate) struct Select {
    /// Only those with this reason
    #[arg(long, value_name = "REASON", value_parser = reasons())]
    pub(crate) reason: Option<ReviewReason>,
    /// Only those of this PSP account
    #[arg(long, value_name = "NAME")]
    pub(crate) account: Option<String>,
    /// Only those written since then: a time (2026-01-31T08:00:00Z) or so long ago (90m, 24h, 3d)
    #[arg(long, value_name = "WHEN", value_parser = since)]
    pub(crate) since: Option<Since>,
}

/// Options of `fincore dlq list`.
#[derive(clap::Args, Debug)]
pub(crate) struct ListLetters {
    #[command(flatten)]
    pub(crate) select: Select,
    /// Also those whose charge no longer waits
    #[arg(long)]
    pub(crate) all_letters: bool,
    /// How many to show; the totals count all of them
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub(crate) limit: u32,
    /// Print JSON for programs
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of `fincore dlq show`.
#[derive(clap::Args, Debug)]
pub(crate) struct ShowLetter {
    /// The charge, for example ch_0197f3c2a1b47c6e8d5f00112233aaba
    pub(crate) charge: PaymentId,
}

/// Options of `fincore dlq redrive`.
#[derive(clap::Args, Debug)]
#[command(group(
    ArgGroup::new("which").args(["charges", "all", "reason", "account", "since"]).required(true).multiple(true)
))]
pub(crate) struct Redrive {
    /// The charges
    #[arg(value_name = "CHARGE", conflicts_with_all = ["all", "reason", "account", "since"])]
    pub(crate) charges: Vec<PaymentId>,
    /// Every charge that waits for a person
    #[arg(long, conflicts_with_all = ["reason", "account", "since"])]
    pub(crate) all: bool,
    #[command(flatten)]
    pub(crate) select: Select,
    /// Say what would happen, and do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Redrives a second at most, 1 to 1000
    #[arg(long, value_name = "N/s", default_value = "10/s", value_parser = rate)]
    pub(crate) rate: NonZeroU32,
    /// Why: goes into each charge's history
    #[arg(long, value_name = "TEXT", required_unless_present = "dry_run")]
    pub(crate) why: Option<String>,
    /// You have settled, for each of these charges, what `dlq show` says has to be decided first; names charges or one --reason
    #[arg(long, conflicts_with = "all")]
    pub(crate) decided: bool,
    /// Who you are: goes into each charge's history
    #[arg(long, env = "USER", default_value = "operator")]
    pub(crate) operator: String,
}

/// A point in time as people say it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Since {
    /// So long before now.
    Ago(SignedDuration),
    /// Then.
    At(Timestamp),
}

impl Since {
    /// The point in time.
    pub(crate) fn before(self, now: Timestamp) -> Timestamp {
        match self {
            Self::Ago(ago) => now.saturating_sub(ago).unwrap_or(Timestamp::MIN),
            Self::At(at) => at,
        }
    }
}

impl Select {
    /// The filter for the store.
    pub(crate) fn filter(&self, scope: LetterScope, now: Timestamp) -> LetterFilter {
        let since = self.since.map(|since| since.before(now));
        LetterFilter { scope, reason: self.reason, psp: self.account.clone(), since }
    }
}

fn reasons() -> impl clap::builder::TypedValueParser<Value = ReviewReason> {
    let names = PossibleValuesParser::new(ReviewReason::iter().map(<&str>::from));
    names.try_map(|name| name.parse::<ReviewReason>())
}

pub(super) fn since(text: &str) -> Result<Since, String> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(Since::At(at));
    }
    let ago = text.parse::<Span>().and_then(|span| span.to_duration(SpanRelativeTo::days_are_24_hours()));
    match ago {
        Ok(ago) if ago.is_positive() => Ok(Since::Ago(ago)),
        Ok(_) | Err(_) => Err("expected a time like 2026-01-31T08:00:00Z, or how long ago, like 90m, 24h or 3d".into()),
    }
}

fn rate(text: &str) -> Result<NonZeroU32, String> {
    let number = text.strip_suffix("/s").unwrap_or(text).parse().ok();
    let number = number.filter(|number| *number <= MAX_RATE).and_then(NonZeroU32::new);
    number.ok_or_else(|| format!("expected redrives a second, from 1 to {MAX_RATE}, like 10/s"))
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::args::Args;

    #[test]
    fn times_are_said_as_people_say_them() {
        assert_eq!(since("90m"), Ok(Since::Ago(SignedDuration::from_mins(90))));
        assert_eq!(since("3d"), Ok(Since::Ago(SignedDuration::from_hours(72))));
        assert_eq!(since("2026-01-31T08:00:00Z"), Ok(Since::At("2026-01-31T08:00:00Z".parse().unwrap())));
        for bad in ["", "yesterday", "-1h", "0s", "1 month"] {
            assert!(since(bad).is_err(), "{bad} was accepted");
        }
    }

    #[test]
    fn a_rate_is_bounded() {
        assert_eq!((rate("10/s").unwrap().get(), rate("1000").unwrap().get()), (10, 1_000));
        for bad in ["", "0", "-1", "1001", "10/m", "1.5"] {
            assert!(rate(bad).is_err(), "{bad} was accepted");
        }
    }

    #[test]
    fn a_redrive_says_which_and_why() {
        let charge = "ch_0197f3c2a1b47c6e8d5f00112233aaba";
        let parse =
            |words: &str| Args::try_parse_from(["fincore", "dlq", "redrive"].into_iter().chain(words.split(' ')));
        for good in [
            &format!("{charge} --why x"),
            &format!("{charge} {charge} --why x --decided"),
            "--all --dry-run",
            "--all --why x --rate 5/s",
            "--reason capture_failed --account stripe --since 3d --why x --decided",
        ] {
            parse(good).unwrap_or_else(|error| panic!("{good}: {error}"));
        }
        for bad in [
            "--why x",
            "--all",
            charge,
            &format!("{charge} --all --why x"),
            "--all --reason capture_failed --why x",
            "--all --decided --why x",
            "--reason bad_luck --why x",
        ] {
            assert!(parse(bad).is_err(), "{bad} was accepted");
        }
    }
}
