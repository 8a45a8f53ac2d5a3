//! The command line of `fincore keys`.

use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use jiff::{SignedDuration, Span, SpanRelativeTo};
use strum::IntoEnumIterator as _;
use workflow::ids::{ApiKeyId, MerchantId};
use workflow::port::store::Scope;

/// How long the old key of a rotation may go on opening anything: long enough for a slow roll-out, and not for ever.
const OVERLAP_MAX: SignedDuration = SignedDuration::from_hours(30 * 24);

/// Characters of a key's name.
const NAME_MAX: usize = 100;

/// What to do with API keys.
#[derive(clap::Subcommand, Debug)]
pub(crate) enum Keys {
    /// Create a key and print it once; it is stored only as a hash
    Create(CreateKey),
    /// List keys with what they may do, when they were used and until when they hold
    List(ListKeys),
    /// Revoke a key; within five seconds no process takes it any more
    Revoke(RevokeKey),
    /// Put a new key in the place of another, which goes on for a while and is then revoked by itself
    Rotate(RotateKey),
}

/// Options of `fincore keys create`.
#[derive(clap::Args, Debug)]
pub(crate) struct CreateKey {
    /// The merchant it belongs to; a new one is made when left out
    #[arg(long)]
    pub(crate) merchant: Option<MerchantId>,
    /// For a merchant whose charges move real money; a merchant stays what it was made
    #[arg(long)]
    pub(crate) live: bool,
    /// What people call it, for example the program that uses it
    #[arg(long, value_name = "TEXT", default_value = "", value_parser = name)]
    pub(crate) name: String,
    /// What it may do; several times for several things [default: everything but ops:*]
    #[arg(long = "scope", value_name = "SCOPE", value_parser = scopes())]
    pub(crate) scopes: Vec<Scope>,
}

/// Options of `fincore keys list`.
#[derive(clap::Args, Debug)]
pub(crate) struct ListKeys {
    /// Only those of this merchant
    #[arg(long)]
    pub(crate) merchant: Option<MerchantId>,
    /// Also those that are revoked
    #[arg(long)]
    pub(crate) revoked: bool,
    /// Print JSON for programs, one key a line
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of `fincore keys revoke`.
#[derive(clap::Args, Debug)]
pub(crate) struct RevokeKey {
    /// The key, for example key_0197f3c2a1b47c6e8d5f00112233aabb
    pub(crate) key: ApiKeyId,
}

/// Options of `fincore keys rotate`.
#[derive(clap::Args, Debug)]
pub(crate) struct RotateKey {
    /// The key to replace; the new one has its merchant, name and scopes
    pub(crate) key: ApiKeyId,
    /// How long both keys hold: 0s to 30d
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = overlap)]
    pub(crate) overlap: SignedDuration,
}

fn scopes() -> impl clap::builder::TypedValueParser<Value = Scope> {
    let names = PossibleValuesParser::new(Scope::iter().map(<&str>::from));
    names.try_map(|name| name.parse::<Scope>())
}

fn name(text: &str) -> Result<String, String> {
    if text.chars().count() > NAME_MAX || text.chars().any(char::is_control) {
        return Err(format!("expected at most {NAME_MAX} characters, and none that control anything"));
    }
    Ok(text.to_owned())
}

fn overlap(text: &str) -> Result<SignedDuration, String> {
    let overlap = text.parse::<Span>().and_then(|span| span.to_duration(SpanRelativeTo::days_are_24_hours())).ok();
    let overlap = overlap.filter(|overlap| (SignedDuration::ZERO..=OVERLAP_MAX).contains(overlap));
    overlap.ok_or_else(|| "expected a time from 0s to 30d, like 0s, 90m, 24h or 7d".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_overlap_is_bounded() {
        assert_eq!(overlap("0s"), Ok(SignedDuration::ZERO));
        assert_eq!(overlap("90m"), Ok(SignedDuration::from_mins(90)));
        assert_eq!(overlap("30d"), Ok(OVERLAP_MAX));
        for bad in ["", "soon", "-1h", "31d", "1 month"] {
            assert!(overlap(bad).is_err(), "{bad} was accepted");
        }
    }
}
