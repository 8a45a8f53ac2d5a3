//! `GET /v1/charges`: a merchant's charges, page by page, in either direction and by what they have in common.
//!
//! Not here: what a client may ask for ([`asked`]), and how a store walks along its indexes.

mod asked;

use std::time::{Duration, Instant};

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::{HeaderValue, LINK};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{IntoResponses, PartialSchema, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use workflow::ids::{MerchantId, PaymentId};
use workflow::payment::Payment;
use workflow::port::store::{ListStep, Walk};

use self::asked::{ENTRIES_MAX, ListRequest};
use super::{as_json, charges::URL};
use crate::App;
use crate::auth::{ChargesRead, Client};
use crate::document::{self, ChargeStatus, Responses, problems};
use crate::fields::schema;
use crate::problem::{Code, Problem};
use crate::view::{self, ChargeListView};

/// Charges that the first step of a page looks at, where not all of them fit: enough for what is common.
const FIRST_LOOK: u32 = 500;

/// Charges that a step looks at, at most: a database does so within some tens of milliseconds.
const LONGEST_LOOK: u32 = 20_000;

/// The same where the index alone tells which charges fit.
const LONGEST_LOOK_AT_INDEX: u32 = 200_000;

/// How long a page may be searched for. Then it is answered as far as it has come, and the next page goes on from there.
const SEARCH_TIME: Duration = Duration::from_secs(2);

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list))
}

/// List charges
///
/// Newest first. The `Link` header leads to the neighbouring pages, with the same filters. Charges that are made meanwhile
/// change no page that lies behind a cursor. Of several filters all have to hold.
///
/// `status`, `created`, `psp_reference` and `metadata` are looked up; `amount` and `currency` are searched for, which takes
/// longer the rarer they are. A search that takes too long ends early: the page then has fewer charges than it could, or
/// none, `has_more` is true, and the next page, by its `Link`, goes on where the search ended.
#[utoipa::path(
    get, path = "/v1/charges", operation_id = "list_charges", tag = "charges", security(("api_key" = ["charges:read"])),
    params(
        ("limit" = Option<u32>, Query, description = "At most so many.", minimum = 1, maximum = 100),
        ("starting_after" = Option<String>, Query, description = "Only charges older than this one: the last of the page before.", pattern = "^ch_[0-9a-f]{31}[02468ace]$"),
        ("ending_before" = Option<String>, Query, description = "Only charges newer than this one, those next to it: the first of the page after.", pattern = "^ch_[0-9a-f]{31}[02468ace]$"),
        ("status" = Option<ChargeStatus>, Query, description = "Only charges in this status."),
        ("created[gte]" = Option<String>, Query, format = DateTime, description = "Only charges accepted then or later (RFC 3339).", example = "2026-11-01T00:00:00Z"),
        ("created[gt]" = Option<String>, Query, format = DateTime, description = "Only charges accepted later."),
        ("created[lt]" = Option<String>, Query, format = DateTime, description = "Only charges accepted earlier."),
        ("created[lte]" = Option<String>, Query, format = DateTime, description = "Only charges accepted then or earlier."),
        ("amount" = Option<i64>, Query, description = "Only charges of this amount, in minor units.", minimum = 1, maximum = 999999999999_i64),
        ("amount[gte]" = Option<i64>, Query, description = "Only charges of so much or more.", minimum = 1, maximum = 999999999999_i64),
        ("amount[lte]" = Option<i64>, Query, description = "Only charges of so much or less.", minimum = 1, maximum = 999999999999_i64),
        ("currency" = Option<String>, Query, description = "Only charges in this currency.", pattern = "^[A-Za-z]{3}$"),
        ("psp_reference" = Option<String>, Query, description = "Only charges that a PSP knows, or knew, by this name.", min_length = 1, max_length = 255, pattern = r"^[^\u0000-\u001f\u007f-\u009f]+$"),
        ("metadata" = inline(Option<MetadataFilter>), Query, style = DeepObject, explode, description = "Only charges whose metadata has this entry: `metadata[order]=7`. Up to four."),
    ),
    responses(
        (status = 200, description = "A page of charges.", body = ChargeListView, headers(
            ("Link" = String, description = "The next and the previous page, when there are any (RFC 8288)."),
        )),
        ListProblems,
    )
)]
async fn list(State(app): State<App>, client: Client<ChargesRead>, asked: ListRequest) -> Result<Response, Problem> {
    let page = search(&app, client.merchant_id, &asked).await?;
    let body = view::json(&ChargeListView::of(&page.payments, page.goes_on.is_some(), URL));
    let mut response = as_json(body).into_response();
    let links = links(&asked, &page);
    if !links.is_empty() {
        let links = HeaderValue::try_from(links).expect("a query is percent-encoded");
        response.headers_mut().insert(LINK, links);
    }
    Ok(response)
}

/// Entries of metadata to look for.
struct MetadataFilter;

impl ToSchema for MetadataFilter {}

impl PartialSchema for MetadataFilter {
    fn schema() -> RefOr<Schema> {
        schema::metadata_filter(ENTRIES_MAX).into()
    }
}

struct ListProblems;

impl IntoResponses for ListProblems {
    fn responses() -> Responses {
        problems(&[document::CLIENTS, &[Code::ParameterInvalid, Code::ParameterUnknown]])
    }
}

/// A page, newest first.
struct Page {
    payments: Vec<Payment>,
    /// Behind which charge the next page in the same direction begins, if there may be one.
    goes_on: Option<PaymentId>,
}

async fn search(app: &App, merchant_id: MerchantId, asked: &ListRequest) -> Result<Page, Problem> {
    let begun = Instant::now();
    // One more than asked for tells whether there are more.
    let wanted = asked.limit + 1;
    let mut look_at = if asked.filter.passes_others() { FIRST_LOOK.max(wanted) } else { wanted };
    let longest_look = if asked.filter.is_told_by_index() { LONGEST_LOOK_AT_INDEX } else { LONGEST_LOOK };
    let mut payments: Vec<Payment> = Vec::new();
    let mut after = asked.cursor;
    let limit = usize::try_from(asked.limit).unwrap_or(usize::MAX);
    let unfinished = loop {
        let missing = wanted.saturating_sub(u32::try_from(payments.len()).unwrap_or(u32::MAX));
        let step = ListStep { merchant_id, filter: &asked.filter, walk: asked.walk, after, look_at, limit: missing };
        let listed = app.engine.store().list(&step).await?;
        payments.extend(listed.payments.into_iter().filter(|payment| asked.filter.fits(payment)));
        let Some(next) = listed.next else { break None };
        if payments.len() > limit {
            break None;
        }
        if begun.elapsed() > SEARCH_TIME {
            break Some(next);
        }
        after = Some(next);
        look_at = look_at.saturating_mul(4).min(longest_look);
    };
    let has_more = payments.len() > limit;
    payments.truncate(limit);
    let goes_on = if has_more { payments.last().map(|payment| payment.id) } else { unfinished };
    if asked.walk == Walk::Newer {
        payments.reverse();
    }
    Ok(Page { payments, goes_on })
}

/// The neighbouring pages. Whoever came from somewhere can go back there.
fn links(asked: &ListRequest, page: &Page) -> String {
    let (first, last) =
        (page.payments.first().map(|payment| payment.id), page.payments.last().map(|payment| payment.id));
    let (older, newer) = match asked.walk {
        Walk::Older => (page.goes_on, first.filter(|_| asked.cursor.is_some())),
        Walk::Newer => (last, page.goes_on),
    };
    let older = older.map(|id| format!("<{URL}?{}>; rel=\"next\"", asked.query("starting_after", id)));
    let newer = newer.map(|id| format!("<{URL}?{}>; rel=\"prev\"", asked.query("ending_before", id)));
    [older, newer].into_iter().flatten().collect::<Vec<_>>().join(", ")
}
