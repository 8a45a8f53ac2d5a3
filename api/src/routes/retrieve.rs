//! `/v1/charges/{id}` and `/v1/refunds/{id}`: how a payment stands, at once or when it has come to rest.
//!
//! Not here: the cache that clients who poll are served from ([`crate::cache`]), and how an answer waits
//! ([`crate::waiting`]).

use std::time::Instant;

use axum::extract::{FromRequestParts, Query, State};
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use utoipa::IntoResponses;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use workflow::definition;
use workflow::ids::PaymentId;
use workflow::port::views::FILL_WITHIN;

use super::{ChargeId, RefundId, as_json, owned};
use crate::App;
use crate::auth::{ChargesRead, Client};
use crate::cache;
use crate::document::{self, Responses, examples, problems};
use crate::expand::{self, Expansion, Expansions};
use crate::parse;
use crate::problem::{Code, Problem};
use crate::view::{self, ChargeView, RefundView};
use crate::waiting::{AskedBy, MAX_SECONDS, Wait};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(retrieve)).routes(routes!(retrieve_refund))
}

/// Retrieve a charge
///
/// With `wait`, the answer waits until the charge has ended, or stays where it is until the customer, you or an operator
/// acts; at the latest so many seconds. It shows the charge as it then stands.
#[utoipa::path(
    get, path = "/v1/charges/{id}", operation_id = "retrieve_charge", tag = "charges", security(("api_key" = ["charges:read"])),
    params(
        ("id" = String, Path, description = "The charge.", example = "ch_0197f3c2a1b47c6e8d5f00112233aaba"),
        ("wait" = Option<u64>, Query, description = "Seconds to wait at most.", maximum = 60),
        ("expand" = Option<Vec<Expansion>>, Query, description = "What to show beside the charge; repeat it for several."),
    ),
    responses(
        (status = 200, description = "The charge as it stands.", body = ChargeView, examples(
            ("succeeded" = (summary = "The money is there.", value = json!(examples::succeeded()))),
            ("authorized" = (summary = "It waits to be captured.", value = json!(examples::authorized()))),
            ("requires_action" = (summary = "The customer has to act.", value = json!(examples::requires_action()))),
            ("expanded" = (summary = "With its history.", value = json!(examples::expanded()))),
            ("failed" = (summary = "The answer was no.", value = json!(examples::failed()))),
        )),
        RetrieveProblems,
    )
)]
async fn retrieve(
    State(app): State<App>,
    client: Client<ChargesRead>,
    ChargeId(id): ChargeId,
    asked: RetrieveRequest,
) -> Result<Response, Problem> {
    answer(&app, client, id, asked).await
}

/// Retrieve a refund
///
/// With `wait`, the answer waits until the refund has ended or a person has to look; at the latest so many seconds. It
/// shows the refund as it then stands.
#[utoipa::path(
    get, path = "/v1/refunds/{id}", operation_id = "retrieve_refund", tag = "refunds", security(("api_key" = ["charges:read"])),
    params(
        ("id" = String, Path, description = "The refund.", example = "re_0197f3c2a1b47c6e8d5f00112233aabb"),
        ("wait" = Option<u64>, Query, description = "Seconds to wait at most.", maximum = 60),
        ("expand" = Option<Vec<Expansion>>, Query, description = "What to show beside the refund; repeat it for several."),
    ),
    responses((status = 200, description = "The refund as it stands.", body = RefundView), RetrieveRefundProblems)
)]
async fn retrieve_refund(
    State(app): State<App>,
    client: Client<ChargesRead>,
    RefundId(id): RefundId,
    asked: RetrieveRequest,
) -> Result<Response, Problem> {
    answer(&app, client, id, asked).await
}

async fn answer(
    app: &App,
    client: Client<ChargesRead>,
    id: PaymentId,
    asked: RetrieveRequest,
) -> Result<Response, Problem> {
    let RetrieveRequest { wait_seconds, expand } = asked;
    if wait_seconds.is_none() && expand.is_empty() {
        return Ok(as_json(shown(app, client, id).await?).into_response());
    }
    let payment = owned(app, client, id).await?;
    let mut response = as_json(expand::show(app, &payment, &expand).await?).into_response();
    if let Some(seconds) = wait_seconds.filter(|_| !definition::rests(payment.state)) {
        response.extensions_mut().insert(Wait { id: payment.id, seconds, asked_by: AskedBy::Query, expand });
    }
    Ok(response)
}

struct RetrieveProblems;

impl IntoResponses for RetrieveProblems {
    fn responses() -> Responses {
        problems(&[document::CLIENTS, &[Code::ChargeNotFound, Code::ParameterInvalid, Code::ParameterUnknown]])
    }
}

struct RetrieveRefundProblems;

impl IntoResponses for RetrieveRefundProblems {
    fn responses() -> Responses {
        problems(&[document::CLIENTS, &[Code::RefundNotFound, Code::ParameterInvalid, Code::ParameterUnknown]])
    }
}

/// The payment as its client sees it, from the cache or else from the store.
async fn shown(app: &App, client: Client<ChargesRead>, id: PaymentId) -> Result<String, Problem> {
    if let Some(body) = cache::recall(app, client, id).await {
        return Ok(body);
    }
    let asked_at = Instant::now();
    let payment = owned(app, client, id).await?;
    let body = view::payment(&payment);
    if asked_at.elapsed() < FILL_WITHIN {
        cache::keep(app, &payment, &body).await;
    }
    Ok(body)
}

/// How the payment is to be read.
#[derive(PartialEq, Eq, Debug)]
struct RetrieveRequest {
    wait_seconds: Option<u64>,
    expand: Expansions,
}

impl FromRequestParts<App> for RetrieveRequest {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let pairs = Query::<Vec<(String, String)>>::from_request_parts(parts, app).await;
        let Query(pairs) = pairs.map_err(|_| Problem::new(Code::ParameterInvalid, "The query cannot be read."))?;
        read(&pairs)
    }
}

fn read(pairs: &[(String, String)]) -> Result<RetrieveRequest, Problem> {
    let (mut wait, mut expand) = (None, Expansions::new());
    for (name, value) in pairs {
        match name.as_str() {
            "wait" if wait.is_none() => {
                let seconds = value.parse().ok().filter(|seconds| *seconds <= MAX_SECONDS);
                wait = Some(seconds.ok_or_else(|| parse::invalid("wait"))?);
            }
            "wait" => return Err(parse::invalid("wait")),
            "expand" => {
                expand.insert(value.parse().map_err(|_| parse::invalid("expand"))?);
            }
            unknown => return Err(parse::unknown(unknown)),
        }
    }
    Ok(RetrieveRequest { wait_seconds: wait.filter(|seconds| *seconds > 0), expand })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_is_a_bounded_number_of_seconds() {
        let asked = |text: &str| read(&[("wait".to_owned(), text.to_owned())]);
        for (text, wait_seconds) in [("0", None), ("1", Some(1)), ("60", Some(60))] {
            assert_eq!(asked(text), Ok(RetrieveRequest { wait_seconds, expand: Expansions::new() }), "{text}");
        }
        for bad in ["", "61", "-1", "1.5", "soon", "18446744073709551616"] {
            assert_eq!(asked(bad).unwrap_err().code, Code::ParameterInvalid, "{bad}");
        }
        let detail = asked("99").unwrap_err().detail;
        assert!(detail.contains(&format!("from 0 to {MAX_SECONDS}")), "{detail}");
        assert_eq!(read(&[("await".to_owned(), "1".to_owned())]).unwrap_err().code, Code::ParameterUnknown);
        assert!(read(&[("wait".to_owned(), "1".to_owned()), ("wait".to_owned(), "1".to_owned())]).is_err());
    }

    #[test]
    fn only_what_there_is_can_be_asked_for_beside_a_charge() {
        let asked = |texts: &[&str]| {
            let pairs: Vec<_> = texts.iter().map(|text| ("expand".to_owned(), (*text).to_owned())).collect();
            read(&pairs).map(|asked| asked.expand)
        };
        assert_eq!(asked(&["history"]), Ok(Expansions::from([Expansion::History])));
        assert_eq!(asked(&["history", "history"]), asked(&["history"]));
        for bad in ["", "History", "history,history", "refund", "customer"] {
            let problem = asked(&["history", bad]).unwrap_err();
            assert_eq!((problem.code, problem.param.as_deref()), (Code::ParameterInvalid, Some("expand")), "{bad}");
            assert!(problem.detail.contains("`history`"), "{}", problem.detail);
        }
    }
}
