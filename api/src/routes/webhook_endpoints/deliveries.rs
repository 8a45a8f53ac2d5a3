//! `/v1/webhook_endpoints/{id}/deliveries`: what was sent to an endpoint, and what it said.

use axum::extract::{FromRequestParts, Query, State};
use axum::response::{IntoResponse, Response};
use http::header::{HeaderValue, LINK};
use http::request::Parts;
use utoipa::IntoResponses;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use workflow::ids::EventId;
use workflow::port::outbound::{DeliveryPage, DeliveryState};

use super::{DeliveryPath, EndpointPath, ONE, URL, owned};
use crate::App;
use crate::auth::{Client, WebhooksManage};
use crate::document::{self, Responses, problems};
use crate::parse;
use crate::problem::{Code, Problem};
use crate::routes::as_json;
use crate::view::endpoint::{DeliveryListView, DeliveryView};
use crate::view::json;

/// Deliveries on a page, when nobody says how many, and at most.
const LIMIT_DEFAULT: u32 = 20;
const LIMIT_MAX: u32 = 100;

/// Attempts that are shown of one delivery.
const ATTEMPTS_SHOWN: u32 = 100;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(retrieve))
}

/// List a webhook endpoint's deliveries
///
/// Newest event first, each with its last attempt. The `Link` header leads to the next page.
#[utoipa::path(
    get, path = "/v1/webhook_endpoints/{id}/deliveries", operation_id = "list_webhook_deliveries",
    tag = "webhook_endpoints", security(("api_key" = ["webhooks:manage"])),
    params(
        ("id" = String, Path, description = "The endpoint.", example = "we_0197f3c2a1b47c6e8d5f00112233aabb"),
        ("limit" = Option<u32>, Query, description = "At most so many.", minimum = 1, maximum = 100),
        ("starting_after" = Option<String>, Query, description = "Only deliveries of events older than this one: the last of the page before.", pattern = "^evt_[0-9a-f]{32}$"),
        ("status" = Option<String>, Query, description = "Only those that stand like this: `pending`, `delivered` or `failed`.", pattern = "^(pending|delivered|failed)$"),
    ),
    responses(
        (status = 200, description = "A page of deliveries.", body = DeliveryListView, headers(
            ("Link" = String, description = "The next page, when there is one (RFC 8288)."),
        )),
        ListProblems,
    )
)]
async fn list(
    State(app): State<App>,
    client: Client<WebhooksManage>,
    EndpointPath(id): EndpointPath,
    asked: ListRequest,
) -> Result<Response, Problem> {
    owned(&app, client, id).await?;
    // One more than asked for tells whether there are more.
    let page =
        DeliveryPage { endpoint_id: id, state: asked.state, after: asked.starting_after, limit: asked.limit + 1 };
    let mut rows = app.engine.store().deliveries(page).await?;
    let limit = usize::try_from(asked.limit).unwrap_or(usize::MAX);
    let has_more = rows.len() > limit;
    rows.truncate(limit);
    let url = format!("{URL}/{id}/deliveries");
    let mut response = as_json(json(&DeliveryListView::of(&rows, has_more, &url))).into_response();
    if has_more && let Some(last) = rows.last() {
        let state = asked.state.map(|state| format!("&status={state}")).unwrap_or_default();
        let link = format!("<{url}?limit={limit}&starting_after={}{state}>; rel=\"next\"", last.event_id);
        response.headers_mut().insert(LINK, HeaderValue::try_from(link).expect("ids are hexadecimal behind a prefix"));
    }
    Ok(response)
}

struct ListProblems;

impl IntoResponses for ListProblems {
    fn responses() -> Responses {
        problems(&[document::CLIENTS, ONE, &[Code::ParameterInvalid, Code::ParameterUnknown]])
    }
}

/// Retrieve a webhook delivery
///
/// With all its attempts.
#[utoipa::path(
    get, path = "/v1/webhook_endpoints/{id}/deliveries/{event}", operation_id = "retrieve_webhook_delivery",
    tag = "webhook_endpoints", security(("api_key" = ["webhooks:manage"])),
    params(
        ("id" = String, Path, description = "The endpoint.", example = "we_0197f3c2a1b47c6e8d5f00112233aabb"),
        ("event" = String, Path, description = "The event.", example = "evt_0197f3c2a1b47c6e8d5f00112233aabb"),
    ),
    responses((status = 200, description = "The delivery.", body = DeliveryView), RetrieveProblems)
)]
async fn retrieve(
    State(app): State<App>,
    client: Client<WebhooksManage>,
    DeliveryPath(id, event_id): DeliveryPath,
) -> Result<Response, Problem> {
    let store = app.engine.store();
    let is_ours = store.endpoint(client.merchant_id, id).await?.is_some();
    let row = if is_ours { store.delivery(id, event_id).await? } else { None };
    let row = row.ok_or_else(Problem::webhook_delivery_not_found)?;
    let attempts = store.attempts(id, event_id, ATTEMPTS_SHOWN).await?;
    Ok(as_json(json(&DeliveryView::with_log(&row, &attempts))).into_response())
}

struct RetrieveProblems;

impl IntoResponses for RetrieveProblems {
    fn responses() -> Responses {
        problems(&[document::CLIENTS, &[Code::WebhookDeliveryNotFound]])
    }
}

/// Which page of the list.
struct ListRequest {
    limit: u32,
    starting_after: Option<EventId>,
    state: Option<DeliveryState>,
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
    let (mut limit, mut starting_after, mut state) = (None, None, None);
    for (name, value) in pairs {
        match name.as_str() {
            "limit" if limit.is_none() => {
                let number = value.parse().ok().filter(|number| (1..=LIMIT_MAX).contains(number));
                limit = Some(number.ok_or_else(|| parse::invalid("limit"))?);
            }
            "starting_after" if starting_after.is_none() => {
                starting_after = Some(value.parse().map_err(|_| parse::invalid("starting_after"))?);
            }
            "status" if state.is_none() => state = Some(value.parse().map_err(|_| parse::invalid("status"))?),
            "limit" => return Err(parse::invalid("limit")),
            "starting_after" => return Err(parse::invalid("starting_after")),
            "status" => return Err(parse::invalid("status")),
            unknown => return Err(parse::unknown(unknown)),
        }
    }
    Ok(ListRequest { limit: limit.unwrap_or(LIMIT_DEFAULT), starting_after, state })
}
