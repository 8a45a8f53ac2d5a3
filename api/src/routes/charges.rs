//! `/v1/charges`: create.
//!
//! Not here: the list (`list.rs`).

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::Response;
use http::header::HeaderMap;
use serde::{Deserialize, Serialize};
use utoipa::{IntoResponses, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use workflow::engine::client::Charge;
use workflow::money::{Amount, Currency, Money};
use workflow::payment::{CaptureMethod, Destination};
use workflow::port::store::Mode;

use super::{recorded, supported};
use crate::App;
use crate::auth::{ChargesWrite, Client};
use crate::document::{self, Responses, problems};
use crate::expand::Expansions;
use crate::fields::{self, schema};
use crate::idempotency::IdempotencyKey;
use crate::parse::{self, Parsed};
use crate::problem::{Code, Problem};
use crate::view::{self, ChargeView};
use crate::waiting::{self, AskedBy, Wait};

/// Where charges are.
pub(super) const URL: &str = "/v1/charges";

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(create))
}

// The fields stand in alphabetical order, and those that are not there are left out: serialized, it is the canonical
// form that repetitions are recognized by.
/// What to charge.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChargeRequest {
    #[schema(schema_with = schema::amount)]
    amount: Amount,
    #[serde(default, deserialize_with = "fields::capture_method")]
    #[schema(schema_with = schema::capture_method)]
    capture_method: CaptureMethod,
    #[schema(schema_with = schema::currency)]
    currency: Currency,
    #[serde(default, deserialize_with = "fields::description", skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = schema::description)]
    description: Option<String>,
    #[serde(default, deserialize_with = "fields::fallbacks", skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(schema_with = schema::fallbacks)]
    fallback_payment_methods: BTreeMap<String, String>,
    #[serde(default, deserialize_with = "fields::metadata", skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(schema_with = schema::metadata)]
    metadata: BTreeMap<String, String>,
    #[serde(deserialize_with = "fields::payment_method")]
    #[schema(schema_with = schema::payment_method)]
    payment_method: String,
    #[serde(default, deserialize_with = "fields::return_url", skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = schema::return_url)]
    return_url: Option<String>,
}

impl ChargeRequest {
    /// The accounts to try after the first, in the merchant's order.
    fn fallbacks(&self, others: &[String]) -> Result<Vec<Destination>, Problem> {
        let named = &self.fallback_payment_methods;
        if named.keys().any(|psp| !others.contains(psp)) {
            return Err(parse::invalid("fallback_payment_methods"));
        }
        let destination = |psp: &String| {
            let payment_method = named.get(psp)?.clone();
            Some(Destination { psp: psp.clone(), payment_method })
        };
        Ok(others.iter().filter_map(destination).collect())
    }

    fn to(self, psp: &str, fallbacks: Vec<Destination>) -> Charge {
        Charge {
            psp: psp.to_owned(),
            fallbacks,
            payment_method: self.payment_method,
            amount: self.amount,
            currency: self.currency,
            capture_method: self.capture_method,
            return_url: self.return_url,
            description: self.description,
            metadata: self.metadata,
        }
    }
}

/// Create a charge
///
/// Answered as soon as it is stored. It is then carried through by itself: read it to see how it went.
///
/// With `Prefer: wait=N`, the answer waits until the charge has ended, or stays where it is until somebody acts, and shows
/// it as it then stands; `Preference-Applied` says so. What is stored for repetitions is the first answer all the same.
#[utoipa::path(
    post, path = "/v1/charges", operation_id = "create_charge", tag = "charges", security(("api_key" = ["charges:write"])),
    params(
        ("Idempotency-Key" = String, Header),
        ("Prefer" = Option<String>, Header, description = "`wait=N` waits for N seconds at most, 60 at the most (RFC 7240).", example = "wait=10"),
    ),
    request_body(content = ChargeRequest, examples(
        ("automatic" = (summary = "Take the money as soon as possible.", value = json!({
            "amount": 1999, "currency": "eur", "payment_method": "pm_card_visa",
            "description": "Order 7", "metadata": {"order": "7"}
        }))),
        ("manual" = (summary = "Reserve it, to be captured later.", value = json!({
            "amount": 1999, "currency": "eur", "payment_method": "pm_card_visa", "capture_method": "manual"
        }))),
        ("customer" = (summary = "The customer may have to act.", value = json!({
            "amount": 500, "currency": "jpy", "payment_method": "pm_card_authenticationRequired",
            "return_url": "https://shop.example/return"
        }))),
    )),
    responses(
        (status = 202, description = "Recorded.", body = ChargeView, headers(
            ("Location" = String),
            ("Retry-After" = u16),
            ("Idempotency-Replayed" = String),
            ("Idempotency-Answer" = String),
            ("Preference-Applied" = String),
        )),
        CreateProblems,
    )
)]
async fn create(
    State(app): State<App>,
    client: Client<ChargesWrite>,
    key: IdempotencyKey,
    headers: HeaderMap,
    Parsed(asked): Parsed<ChargeRequest>,
) -> Result<Response, Problem> {
    let money = Money { amount_minor: asked.amount.minor(), currency: asked.currency };
    let (psp, others) = app.config.psps.of(client.merchant_id);
    let fallbacks = asked.fallbacks(others)?;
    for psp in std::iter::once(psp).chain(fallbacks.iter().map(|destination| destination.psp.as_str())) {
        of_one_mode(&app, client.mode, psp)?;
        supported(&app, psp, money)?;
    }
    let request = key.request(client, format!("POST {URL}"), &asked);
    let reply = app.engine.start(asked.to(psp, fallbacks), request, &view::payment).await?;
    let id = reply.payment_id;
    let mut response = recorded(reply)?;
    if let Some(seconds) = waiting::preferred_seconds(&headers) {
        response.extensions_mut().insert(Wait {
            id,
            seconds,
            asked_by: AskedBy::Preference,
            expand: Expansions::new(),
        });
    }
    Ok(response)
}

/// Refuses to move real money for a test, and to pretend with a live charge.
fn of_one_mode(app: &App, mode: Mode, psp: &str) -> Result<(), Problem> {
    if app.config.psp_modes.get(psp) == Some(&mode) {
        return Ok(());
    }
    let detail = format!(
        "This is a {mode} key, and the PSP account that its charges go to is not a {mode} account. Use a key of the \
         other mode, or a server that is configured for {mode} charges."
    );
    Err(Problem::new(Code::ModeMismatch, detail).about("Authorization"))
}

struct CreateProblems;

impl IntoResponses for CreateProblems {
    fn responses() -> Responses {
        problems(&[document::CLIENTS, document::WRITES, &[Code::ParameterMissing, Code::ModeMismatch]])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(text: &str) -> String {
        let asked: ChargeRequest = serde_json::from_str(text).unwrap();
        serde_json::to_string(&asked).unwrap()
    }

    #[test]
    fn requests_that_ask_for_the_same_have_one_canonical_form() {
        let form = r#"{"amount":1,"capture_method":"automatic","currency":"eur","payment_method":"pm"}"#;
        for text in [
            form,
            r#" { "payment_method": "pm", "currency": "EUR", "amount": 1 } "#,
            r#"{"amount":1,"currency":"eur","payment_method":"\u0070m","metadata":{},"description":null}"#,
        ] {
            assert_eq!(canonical(text), form, "{text}");
        }
        assert_ne!(canonical(&form.replace('1', "2")), form);
    }

    #[test]
    fn the_canonical_form_has_sorted_keys() {
        let text = canonical(
            r#"{"return_url":"https://shop.example/","payment_method":"pm","metadata":{"b":"1","a":"2"},
                "description":"d","currency":"jpy","capture_method":"manual","amount":7}"#,
        );
        let sorted: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(text, sorted.to_string());
    }
}
