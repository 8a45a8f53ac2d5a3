//! What a client asks of a list: the page and the filters, read from the query, and written back for the next page.

use std::ops::RangeInclusive;

use axum::extract::{FromRequestParts, Query};
use http::request::Parts;
use jiff::Timestamp;
use url::form_urlencoded::Serializer;
use workflow::ids::PaymentId;
use workflow::money::MAX_AMOUNT_MINOR;
use workflow::port::store::{ListFilter, Walk};

use crate::App;
use crate::fields::{METADATA_KEY_MAX, METADATA_VALUE_MAX};
use crate::parse;
use crate::problem::{Code, Problem};

/// Charges on a page, when nobody says how many.
const LIMIT_DEFAULT: u32 = 20;

/// Charges on a page at most: what a server can answer and a person can read.
const LIMIT_MAX: u32 = 100;

/// Entries of metadata in one filter. More than the first are compared charge by charge.
pub(super) const ENTRIES_MAX: usize = 4;

/// Characters of a PSP's name for a charge.
const REFERENCE_MAX: usize = 255;

/// Microseconds, the unit in which charges' times are kept.
const TICK: jiff::SignedDuration = jiff::SignedDuration::from_micros(1);

/// Which page of which list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct ListRequest {
    pub(super) filter: ListFilter,
    pub(super) walk: Walk,
    pub(super) cursor: Option<PaymentId>,
    pub(super) limit: u32,
    /// The filters and the limit as they were said.
    said: Vec<(String, String)>,
}

impl FromRequestParts<App> for ListRequest {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let pairs = Query::<Vec<(String, String)>>::from_request_parts(parts, app).await;
        let Query(pairs) = pairs.map_err(|_| Problem::new(Code::ParameterInvalid, "The query cannot be read."))?;
        read(pairs)
    }
}

impl ListRequest {
    /// The query of another page of the same list.
    pub(super) fn query(&self, cursor: &str, id: PaymentId) -> String {
        let mut query = Serializer::new(String::new());
        query.extend_pairs(&self.said);
        query.append_pair(cursor, &id.to_string());
        query.finish()
    }
}

fn read(pairs: Vec<(String, String)>) -> Result<ListRequest, Problem> {
    let mut request = ListRequest {
        filter: ListFilter::default(),
        walk: Walk::Older,
        cursor: None,
        limit: LIMIT_DEFAULT,
        said: Vec::new(),
    };
    let mut seen = std::collections::HashSet::new();
    for (name, value) in pairs {
        let param = parameter(&name).ok_or_else(|| parse::unknown(&name))?;
        if !seen.insert(name.clone()) || !request.take(&name, &value) {
            return Err(parse::invalid(param));
        }
        if !matches!(param, "starting_after" | "ending_before") {
            request.said.push((name, value));
        }
    }
    if seen.contains("starting_after") && seen.contains("ending_before") {
        return Err(parse::invalid("ending_before"));
    }
    Ok(request)
}

/// The parameter's name as problems tell it.
fn parameter(name: &str) -> Option<&'static str> {
    Some(match name {
        "limit" => "limit",
        "starting_after" => "starting_after",
        "ending_before" => "ending_before",
        "status" => "status",
        "created[gte]" | "created[gt]" | "created[lt]" | "created[lte]" => "created",
        "amount" | "amount[gte]" | "amount[gt]" | "amount[lt]" | "amount[lte]" => "amount[…]",
        "currency" => "currency",
        "psp_reference" => "psp_reference",
        _ if entry_key(name).is_some() => "metadata[…]",
        _ => return None,
    })
}

/// The key of `metadata[key]`.
fn entry_key(name: &str) -> Option<&str> {
    name.strip_prefix("metadata[")?.strip_suffix(']')
}

impl ListRequest {
    /// Takes a known parameter; false when its value cannot be used.
    fn take(&mut self, name: &str, value: &str) -> bool {
        let taken = match name {
            "limit" => {
                value.parse().ok().filter(|limit| (1..=LIMIT_MAX).contains(limit)).map(|limit| self.limit = limit)
            }
            "starting_after" => value.parse().ok().map(|id| (self.walk, self.cursor) = (Walk::Older, Some(id))),
            "ending_before" => value.parse().ok().map(|id| (self.walk, self.cursor) = (Walk::Newer, Some(id))),
            "status" => value.parse().ok().map(|state| self.filter.state = Some(state)),
            "currency" => value.parse().ok().map(|currency| self.filter.currency = Some(currency)),
            "psp_reference" => ((1..=REFERENCE_MAX).contains(&value.len()) && !value.chars().any(char::is_control))
                .then(|| self.filter.psp_reference = Some(value.to_owned())),
            _ => match (name.split_once('['), entry_key(name)) {
                (Some(("created", bound)), _) => self.created(bound, value),
                (Some(("amount", bound)), _) => self.amount(bound, value),
                (None, _) => self.amount("=]", value),
                (Some(_), Some(key)) => self.entry(key, value),
                (Some(_), None) => None,
            },
        };
        taken.is_some()
    }

    fn created(&mut self, bound: &str, value: &str) -> Option<()> {
        let at: Timestamp = value.parse().ok()?;
        let filter = &mut self.filter;
        match bound {
            "gte]" => filter.created_from = filter.created_from.max(at),
            "gt]" => filter.created_from = filter.created_from.max(at.checked_add(TICK).ok()?),
            "lt]" => filter.created_before = filter.created_before.min(at),
            _lte => filter.created_before = filter.created_before.min(at.checked_add(TICK).ok()?),
        }
        Some(())
    }

    fn amount(&mut self, bound: &str, value: &str) -> Option<()> {
        let amount = value.parse().ok().filter(|amount| (1..=MAX_AMOUNT_MINOR).contains(amount))?;
        let narrow = |by: RangeInclusive<i64>, range: &RangeInclusive<i64>| {
            (*by.start()).max(*range.start())..=(*by.end()).min(*range.end())
        };
        let by = match bound {
            "gte]" => amount..=MAX_AMOUNT_MINOR,
            "gt]" => amount + 1..=MAX_AMOUNT_MINOR,
            "lt]" => 0..=amount - 1,
            "lte]" => 0..=amount,
            _exactly => amount..=amount,
        };
        self.filter.amount_minor = narrow(by, &self.filter.amount_minor);
        Some(())
    }

    fn entry(&mut self, key: &str, value: &str) -> Option<()> {
        let fits = |text: &str, most: usize| text.chars().count() <= most && !text.chars().any(char::is_control);
        let entries = &mut self.filter.metadata;
        let is_entry = !key.is_empty() && fits(key, METADATA_KEY_MAX) && fits(value, METADATA_VALUE_MAX);
        if !is_entry || entries.len() == ENTRIES_MAX {
            return None;
        }
        entries.insert(key.to_owned(), value.to_owned()).is_none().then_some(())
    }
}

#[cfg(test)]
mod tests {
    use workflow::definition::State;

    use super::*;

    fn asked(query: &str) -> Result<ListRequest, Problem> {
        read(url::form_urlencoded::parse(query.as_bytes()).into_owned().collect())
    }

    #[test]
    fn a_query_is_read_and_written_back() {
        let query = "status=failed&created%5Bgte%5D=2026-11-01T00%3A00%3A00Z&amount%5Blt%5D=500&currency=EUR\
                     &psp_reference=pi_1&metadata%5Border+no%5D=7%2F1&limit=5";
        let request = asked(query).unwrap();
        let filter = &request.filter;
        assert_eq!(filter.state, Some(State::Failed));
        assert_eq!(filter.created_from, "2026-11-01T00:00:00Z".parse().unwrap());
        assert_eq!(filter.amount_minor, 0..=499);
        assert_eq!(filter.metadata["order no"], "7/1");
        let id: PaymentId = "ch_0197f3c2a1b47c6e8d5f00112233aaba".parse().unwrap();
        let next = request.query("starting_after", id);
        assert_eq!(next, format!("{query}&starting_after={id}"));
        let next = asked(&next).unwrap();
        assert_eq!((next.cursor, next.walk, next.filter), (Some(id), Walk::Older, request.filter));
    }

    #[test]
    fn bounds_narrow_each_other() {
        let created = asked("created[gt]=2026-11-01T00:00:00Z&created[lte]=2026-11-01T00:00:01Z").unwrap().filter;
        assert_eq!(created.created_from, "2026-11-01T00:00:00.000001Z".parse().unwrap());
        assert_eq!(created.created_before, "2026-11-01T00:00:01.000001Z".parse().unwrap());
        assert_eq!(asked("amount[gte]=5&amount[lte]=7&amount=6").unwrap().filter.amount_minor, 6..=6);
        assert!(asked("amount=5&amount[gt]=5").unwrap().filter.amount_minor.is_empty(), "no charge is both");
    }

    #[test]
    fn what_cannot_be_meant_is_refused_by_name() {
        for (query, code, param) in [
            ("limit=0", Code::ParameterInvalid, Some("limit")),
            ("limit=101", Code::ParameterInvalid, Some("limit")),
            ("limit=5&limit=5", Code::ParameterInvalid, Some("limit")),
            ("starting_after=ch_1", Code::ParameterInvalid, Some("starting_after")),
            ("status=paid", Code::ParameterInvalid, Some("status")),
            ("created[gte]=yesterday", Code::ParameterInvalid, Some("created")),
            ("created[ge]=2026-11-01T00:00:00Z", Code::ParameterUnknown, None),
            ("created=2026-11-01T00:00:00Z", Code::ParameterUnknown, Some("created")),
            ("amount=0", Code::ParameterInvalid, Some("amount[…]")),
            ("amount[gte]=1.5", Code::ParameterInvalid, Some("amount[…]")),
            ("currency=euro", Code::ParameterInvalid, Some("currency")),
            ("psp_reference=", Code::ParameterInvalid, Some("psp_reference")),
            ("metadata[]=7", Code::ParameterInvalid, Some("metadata[…]")),
            ("metadata[a]=1&metadata[a]=2", Code::ParameterInvalid, Some("metadata[…]")),
            (
                "metadata[a]=1&metadata[b]=1&metadata[c]=1&metadata[d]=1&metadata[e]=1",
                Code::ParameterInvalid,
                Some("metadata[…]"),
            ),
            ("stauts=failed", Code::ParameterUnknown, Some("stauts")),
        ] {
            let problem = asked(query).unwrap_err();
            assert_eq!((problem.code, problem.param.as_deref()), (code, param), "{query}");
        }
    }
}
