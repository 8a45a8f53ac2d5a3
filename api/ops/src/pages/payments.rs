//! Payments: a list by what they have in common, and a search by any id or reference. The address of a list is the list: it
//! can be kept and sent.

use std::collections::BTreeMap;

use askama::Template;
use axum::Extension;
use axum::extract::{Query, State};
use axum::response::Response;
use jiff::{SignedDuration, Timestamp};
use strum::VariantArray as _;
use workflow::definition::State as Stands;
use workflow::ids::{EventId, MerchantId, PaymentId};
use workflow::money::MAX_AMOUNT_MINOR;
use workflow::payment::Payment;
use workflow::port::overview::{FindFilter, FindStep};
use workflow::port::store::Walk;

use super::{Frame, Section};
use crate::access::Visitor;
use crate::answer::{Trouble, page, see};
use crate::desk::App;
use crate::humane::{age, instant, money, short, tone, words};

/// Payments on a page.
const PAGE: u32 = 50;

/// Payments that a page looks at. A rare kind of payment takes several pages to find, each in a bounded time.
const LOOK_AT: u32 = 20_000;

/// Payments that one reference may lead to: one per PSP account.
const REFERENCES: u32 = 20;

/// A payment in a list.
pub(crate) struct Line {
    pub(crate) id: String,
    pub(crate) short: String,
    pub(crate) state: String,
    pub(crate) tone: &'static str,
    pub(crate) since: String,
    pub(crate) money: String,
    pub(crate) psp: String,
    pub(crate) merchant: String,
    pub(crate) merchant_short: String,
    pub(crate) attempt: i32,
    pub(crate) failure: String,
    pub(crate) created: String,
    pub(crate) created_at: String,
}

impl Line {
    pub(crate) fn of(payment: &Payment, now: Timestamp) -> Self {
        let (id, merchant) = (payment.id.to_string(), payment.merchant_id.to_string());
        Self {
            short: short(&id),
            id,
            state: words(payment.state.into()),
            tone: tone(payment.state),
            since: age(payment.state_since, now),
            money: money(payment.asked()),
            psp: payment.psp.clone(),
            merchant_short: short(&merchant),
            merchant,
            attempt: payment.attempt,
            failure: payment.failure.as_ref().map(|failure| failure.code.clone()).unwrap_or_default(),
            created: age(payment.created_at, now),
            created_at: instant(payment.created_at),
        }
    }
}

/// What was asked for, as it was written: forms show it again.
#[derive(Default)]
struct Asked(BTreeMap<String, String>);

/// The filters there are.
const FILTERS: [&str; 10] =
    ["state", "merchant", "psp", "currency", "least", "most", "error", "waiting", "attempts", "version"];

impl Asked {
    fn of(query: Vec<(String, String)>) -> Self {
        let said = query.into_iter().map(|(name, value)| (name, value.trim().to_owned()));
        Self(said.filter(|(name, value)| FILTERS.contains(&name.as_str()) && !value.is_empty()).collect())
    }

    fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    fn parsed<T: std::str::FromStr>(&self, name: &str, expected: &str) -> Result<Option<T>, Trouble> {
        let Some(text) = self.0.get(name) else { return Ok(None) };
        let unreadable = || Trouble::Unreadable(format!("{name} is {text}; expected {expected}."));
        text.parse().map(Some).map_err(|_| unreadable())
    }

    fn filter(&self, now: Timestamp) -> Result<FindFilter, Trouble> {
        let least = self.parsed("least", "whole minor units, like 1200")?.unwrap_or(0);
        let most = self.parsed("most", "whole minor units, like 1200")?.unwrap_or(MAX_AMOUNT_MINOR);
        let waiting = self.0.get("waiting").map(|text| {
            let time = text.parse::<SignedDuration>().ok().filter(|time| !time.is_negative());
            let unreadable =
                || Trouble::Unreadable(format!("waiting is {text}; expected a time, like 10m, 2h or 36h."));
            time.ok_or_else(unreadable)
        });
        Ok(FindFilter {
            state: self.parsed("state", "a state of the definition, like in_review")?,
            merchant_id: self.parsed::<MerchantId>("merchant", "a merchant's id, like mer_0197…")?,
            psp: self.0.get("psp").cloned(),
            amount_minor: least..=most,
            currency: self.parsed("currency", "an ISO 4217 code, like eur")?,
            error_code: self.0.get("error").cloned(),
            waiting_since: waiting.transpose()?.map(|time| now.saturating_sub(time).unwrap_or(Timestamp::MIN)),
            min_attempts: self.parsed("attempts", "a number")?.unwrap_or(0),
            definition_version: self.parsed("version", "a number")?,
        })
    }

    /// The address of this list from behind a payment on.
    fn link(&self, after: Option<PaymentId>) -> String {
        let after = after.map(|id| ("after".to_owned(), id.to_string()));
        let pairs: Vec<_> = self.0.clone().into_iter().chain(after).collect();
        format!("/ops/payments?{}", serde_html_form::to_string(pairs).unwrap_or_default())
    }
}

struct Choice {
    value: &'static str,
    name: String,
    is_chosen: bool,
}

#[derive(Template)]
#[template(path = "payments.html")]
struct ListPage {
    frame: Frame,
    lines: Vec<Line>,
    asked: Asked,
    states: Vec<Choice>,
    is_filtered: bool,
    /// From behind the last payment that was looked at on, and whether this page is full.
    next: Option<String>,
    is_full: bool,
    is_first: bool,
    looked_at: String,
}

pub(crate) async fn list(
    State(app): State<App>,
    Extension(visitor): Extension<Visitor>,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Response, Trouble> {
    let after = query.iter().find(|(name, _)| name == "after").map(|(_, id)| id.parse());
    let after = after.transpose().map_err(|_| Trouble::Unreadable("after is no payment's id.".to_owned()))?;
    let (asked, now) = (Asked::of(query), app.now());
    let filter = asked.filter(now)?;
    let step = FindStep { filter: &filter, walk: Walk::Older, after, look_at: LOOK_AT, limit: PAGE };
    let found = app.state.overview.find(&step).await?;
    let state = |state: &Stands| Choice {
        value: state.into(),
        name: words(state.into()),
        is_chosen: filter.state == Some(*state),
    };
    Ok(page(&ListPage {
        frame: Frame::of(&visitor, Section::Payments, "Payments"),
        is_full: found.payments.len() >= PAGE as usize,
        lines: found.payments.iter().map(|payment| Line::of(payment, now)).collect(),
        states: Stands::VARIANTS.iter().map(state).collect(),
        is_filtered: !asked.0.is_empty(),
        next: found.next.map(|id| asked.link(Some(id))),
        is_first: after.is_none(),
        looked_at: crate::humane::count(LOOK_AT),
        asked,
    }))
}

#[derive(Template)]
#[template(path = "search.html")]
struct SearchPage {
    frame: Frame,
    lines: Vec<Line>,
}

/// Leads to what an id or a reference names.
pub(crate) async fn search(
    State(app): State<App>,
    Extension(visitor): Extension<Visitor>,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Response, Trouble> {
    let asked = query.into_iter().find(|(name, _)| name == "q").map(|(_, value)| value).unwrap_or_default();
    let asked = asked.trim();
    if asked.is_empty() {
        return Ok(see("/ops/payments"));
    }
    if let Ok(merchant) = asked.parse::<MerchantId>() {
        return Ok(see(&format!("/ops/payments?merchant={merchant}")));
    }
    let found = payments_named(&app, asked).await?;
    if let [only] = found.as_slice() {
        return Ok(see(&format!("/ops/payments/{only}")));
    }
    let loaded = app.state.engine.store().load(&found).await?;
    let now = app.now();
    let mut frame = Frame::of(&visitor, Section::Payments, format!("Search for {asked}"));
    frame.search = asked.to_owned();
    let lines = loaded.iter().flatten().map(|payment| Line::of(payment, now)).collect();
    Ok(page(&SearchPage { frame, lines }))
}

/// The payments that this text names: by their id, also as part of one of our idempotency keys; by an event of ours or of a
/// PSP's; or by a PSP's reference.
async fn payments_named(app: &App, asked: &str) -> Result<Vec<PaymentId>, Trouble> {
    let id = asked.get(..35).unwrap_or(asked).parse::<PaymentId>();
    if let Ok(id) = id
        && app.state.engine.load(id).await?.is_some()
    {
        return Ok(vec![id]);
    }
    if let Ok(event) = asked.parse::<EventId>() {
        return Ok(app.state.overview.payment_of_event(event).await?.into_iter().collect());
    }
    let mut found = app.state.overview.by_any_reference(asked, REFERENCES).await?;
    for psp in &app.state.psps {
        let event = app.state.engine.store().webhook(psp, asked).await?;
        found.extend(event.and_then(|event| event.payment_id));
    }
    found.dedup();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(pairs: &[(&str, &str)]) -> Asked {
        Asked::of(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn a_list_is_its_address() {
        let now = Timestamp::from_second(10_000).unwrap();
        let asked =
            asked(&[("state", "in_review"), ("waiting", "1h"), ("error", " a&b "), ("other", "1"), ("psp", "")]);
        let filter = asked.filter(now).unwrap();
        assert_eq!((filter.state, filter.psp), (Some(Stands::InReview), None));
        assert_eq!(filter.waiting_since, Some(Timestamp::from_second(6_400).unwrap()));
        assert_eq!(asked.link(None), "/ops/payments?error=a%26b&state=in_review&waiting=1h");
    }

    #[test]
    fn what_cannot_be_meant_is_said() {
        for pair in [
            ("state", "stuck"),
            ("merchant", "me"),
            ("least", "1.5"),
            ("waiting", "long"),
            ("waiting", "-1h"),
            ("version", "v1"),
        ] {
            assert!(matches!(asked(&[pair]).filter(Timestamp::UNIX_EPOCH), Err(Trouble::Unreadable(_))), "{pair:?}");
        }
    }
}
