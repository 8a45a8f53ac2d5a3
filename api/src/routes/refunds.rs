//! `/v1/charges/{id}/refunds`: give money of a charge back, and the refunds that were made.
//!
//! Not here: how one refund stands (`retrieve.rs`), and how much may be given back; the workflow guards that.

use std::collections::BTreeMap;

use axum::extract::{FromRequestParts, Query, State};
use axum::response::{IntoResponse, Response};
use http::header::{HeaderMap, HeaderValue, LINK};
use http::request::Parts;
use serde::{Deserialize, Serialize};
use utoipa::{IntoResponses, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use workflow::definition::Kind;
use workflow::engine::client::Refund;
use workflow::ids::PaymentId;
use workflow::money::{Amount, Money};
use workflow::payment::RefundReason;

use super::{ChargeId, as_json, owned, recorded, supported};
use crate::App;
use crate::auth::{ChargesRead, Client, RefundsWrite};
use crate::document::{self, Responses, problems};
use crate::expand::Expansions;
use crate::fields::{self, schema};
use crate::idempotency::IdempotencyKey;
use crate::parse::{self, ParsedOrDefault};
use crate::problem::{Code, Problem};
use crate::view::{self, RefundListView, RefundView};
use crate::waiting::{self, AskedBy, Wait};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(create, list))
}

// The fields stand in alphabetical order, as in every request.
/// What to give back.
#[derive(Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RefundRequest {
    /// All that is left when it is not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = schema::amount_or_null)]
    amount: Option<Amount>,
    #[serde(deserialize_with = "fields::metadata", skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(schema_with = schema::metadata)]
    metadata: BTreeMap<String, String>,
    /// Goes to the PSP as well, where it takes one.
    #[serde(deserialize_with = "fields::word", skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = workflow::view::openapi::refund_reason_or_null)]
    reason: Option<RefundReason>,
}

/// Refund a charge
///
/// Gives back all that is left of a captured charge, or a part of it, as often as there is something left: the sum, with
/// refunds that are still under way, never exceeds what was captured. Answered as soon as it is stored; it is then carried
/// through by itself. A refund may fail later, when the customer's bank sends the money back: its status tells.
#[utoipa::path(
    post, path = "/v1/charges/{id}/refunds", operation_id = "create_refund", tag = "refunds",
    security(("api_key" = ["refunds:write"])),
    params(
        ("id" = String, Path, description = "The charge.", example = "ch_0197f3c2a1b47c6e8d5f00112233aaba"),
        ("Idempotency-Key" = String, Header),
        ("Prefer" = Option<String>, Header, description = "`wait=N` waits for N seconds at most, 60 at the most (RFC 7240).", example = "wait=10"),
    ),
    request_body(content = Option<RefundRequest>, examples(
        ("part" = (summary = "A part of it.", value = json!({"amount": 500, "reason": "requested_by_customer"}))),
        ("all" = (summary = "All that is left.", value = json!({}))),
    )),
    responses(
        (status = 202, description = "Recorded.", body = RefundView, headers(
            ("Location" = String),
            ("Retry-After" = u16),
            ("Idempotency-Answer" = String),
            ("Idempotency-Replayed" = String),
            ("Preference-Applied" = String),
        )),
        CreateProblems,
    )
)]
async fn create(
    State(app): State<App>,
    client: Client<RefundsWrite>,
    ChargeId(id): ChargeId,
    key: IdempotencyKey,
    headers: HeaderMap,
    ParsedOrDefault(asked): ParsedOrDefault<RefundRequest>,
) -> Result<Response, Problem> {
    if let Some(amount) = asked.amount {
        let charge = owned(&app, client, id).await?;
        supported(&app, &charge.psp, Money { amount_minor: amount.minor(), currency: charge.currency })?;
    }
    let request = key.request(client, format!("POST /v1/charges/{id}/refunds"), &asked);
    let refund = Refund { amount: asked.amount, reason: asked.reason, metadata: asked.metadata };
    let reply = app.engine.refund(id, refund, request, &view::payment).await?;
    let refund = reply.payment_id;
    let mut response = recorded(reply)?;
    if let Some(seconds) = waiting::preferred_seconds(&headers) {
        response.extensions_mut().insert(Wait {
            id: refund,
            seconds,
            asked_by: AskedBy::Preference,
            expand: Expansions::new(),
        });
    }
    Ok(response)
}

struct CreateProblems;

impl IntoResponses for CreateProblems {
    fn responses() -> Responses {
        problems(&[document::CLIENTS, document::WRITES, document::MOVES])
    }
}

/// List a charge's refunds
///
/// Newest first. The `Link` header leads to the next page.
#[utoipa::path(
    get, path = "/v1/charges/{id}/refunds", operation_id = "list_refunds", tag = "refunds",
    security(("api_key" = ["charges:read"])),
    params(
        ("id" = String, Path, description = "The charge.", example = "ch_0197f3c2a1b47c6e8d5f00112233aaba"),
        ("limit" = Option<u32>, Query, description = "At most so many.", minimum = 1, maximum = 100),
        ("starting_after" = Option<String>, Query, description = "Only refunds older than this one: the last of the page before.", pattern = "^re_[0-9a-f]{31}[13579bdf]$"),
    ),
    responses(
        (status = 200, description = "A page of refunds.", body = RefundListView, headers(
            ("Link" = String),
        )),
        ListProblems,
    )
)]
async fn list(
    State(app): State<App>,
    client: Client<ChargesRead>,
    ChargeId(id): ChargeId,
    asked: ListRequest,
) -> Result<Response, Problem> {
    let charge = owned(&app, client, id).await?;
    // One more than asked for tells whether there are more.
    let mut refunds = app.engine.store().refunds(charge.id, asked.starting_after, asked.limit + 1).await?;
    let limit = usize::try_from(asked.limit).unwrap_or(usize::MAX);
    let has_more = refunds.len() > limit;
    refunds.truncate(limit);
    let url = format!("/v1/charges/{id}/refunds");
    let mut response = as_json(view::json(&RefundListView::of(&refunds, has_more, &url))).into_response();
    if has_more && let Some(last) = refunds.last() {
        let link = format!("<{url}?limit={limit}&starting_after={}>; rel=\"next\"", last.id);
        response.headers_mut().insert(LINK, HeaderValue::try_from(link).expect("an id is hexadecimal behind a prefix"));
    }
    Ok(response)
}

struct ListProblems;

impl IntoResponses for ListProblems {
    fn responses() -> Responses {
        problems(&[document::CLIENTS, &[Code::ChargeNotFound, Code::ParameterInvalid, Code::ParameterUnknown]])
    }
}

/// Refunds on a page, when nobody says how many.
const LIMIT_DEFAULT: u32 = 20;

/// Refunds on a page at most.
const LIMIT_MAX: u32 = 100;

/// Which page of the list.
#[derive(PartialEq, Eq, Debug)]
struct ListRequest {
    limit: u32,
    starting_after: Option<PaymentId>,
}

impl FromRequestParts<App> for ListRequest {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let pairs = Query::<Vec<(String, String)>>::from_request_parts(parts, app).await;
        let Query(pairs) = pairs.map_err(|_| Problem::new(Code::ParameterInvalid, "The query cannot be read."))?;
        page(&pairs)
    }
}

fn page(pairs: &[(String, String)]) -> Result<ListRequest, Problem> {
    let (mut limit, mut starting_after) = (None, None);
    for (name, value) in pairs {
        match name.as_str() {
            "limit" if limit.is_none() => {
                let number = value.parse().ok().filter(|number| (1..=LIMIT_MAX).contains(number));
                limit = Some(number.ok_or_else(|| parse::invalid("limit"))?);
            }
            "starting_after" if starting_after.is_none() => {
                let id = value.parse().ok().filter(|id: &PaymentId| id.kind() == Kind::Refund);
                starting_after = Some(id.ok_or_else(|| parse::invalid("starting_after"))?);
            }
            "limit" => return Err(parse::invalid("limit")),
            "starting_after" => return Err(parse::invalid("starting_after")),
            unknown => return Err(parse::unknown(unknown)),
        }
    }
    Ok(ListRequest { limit: limit.unwrap_or(LIMIT_DEFAULT), starting_after })
}
