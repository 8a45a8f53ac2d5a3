//! The OpenAPI 3.1 document: its frame, and the schemas of types that are not ours to annotate. Paths come from the
//! annotations in [`crate::routes`], what operations have in common from [`everywhere`], their problems from
//! [`problems`]; and what can drift comes from the code itself.

mod everywhere;
pub(crate) mod examples;
mod problems;

use utoipa::openapi::schema::ComponentsBuilder;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, ServerBuilder};
use utoipa::{PartialSchema, ToSchema};

use crate::expand::Expansion;
use crate::fields;
use crate::problem::ProblemBody;

pub(crate) use workflow::view::openapi::{ChargeStatus, PaymentStatus, RefundStatus, object_list};

pub(crate) use problems::{CLIENTS, MOVES, PROBLEM_JSON, Responses, WRITES, problems};

/// The name of the security scheme.
const API_KEY: &str = "api_key";

/// The frame that the routes are put into.
pub(crate) fn frame() -> OpenApi {
    let scheme = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some(
            "An API key: `fc_test_` or `fc_live_` and 64 hexadecimal digits. Each operation names the scope it needs.",
        ))
        .build();
    let components = fields::schema::named()
        .into_iter()
        .fold(ComponentsBuilder::new(), |to, (name, schema)| to.schema(name, schema));
    let components = components
        .security_scheme(API_KEY, SecurityScheme::Http(scheme))
        .schema(ProblemBody::name(), ProblemBody::schema())
        .schema(ChargeStatus::name(), ChargeStatus::schema())
        .schema(RefundStatus::name(), RefundStatus::schema())
        .schema(PaymentStatus::name(), PaymentStatus::schema())
        .schema(Expansion::name(), Expansion::schema())
        .build();
    let tag = |name: &str, words: &str| TagBuilder::new().name(name).description(Some(words)).build();
    OpenApiBuilder::new()
        .info(
            InfoBuilder::new()
                .title("FinCore")
                .version(env!("CARGO_PKG_VERSION"))
                .license(Some(
                    LicenseBuilder::new()
                        .name("Apache-2.0")
                        .url(Some("https://www.apache.org/licenses/LICENSE-2.0"))
                        .build(),
                ))
                .description(Some(
                    "Durable payments. A `202` means that the request is stored and will be carried through; \
                     read the charge to see how it went. Amounts are whole minor units. Problems are RFC 9457.",
                ))
                .build(),
        )
        .servers(Some([ServerBuilder::new().url("/").description(Some("Where this document comes from.")).build()]))
        .components(Some(components))
        .tags(Some([
            tag("charges", "Take money."),
            tag("refunds", "Give it back."),
            tag("webhook_endpoints", "Where you are told what happened, signed by Standard Webhooks."),
            tag("webhooks", "Where PSPs tell what happened."),
            tag("operations", "For whoever runs the server. No API key needed; keep them inside your network."),
        ]))
        .build()
}

/// The document as text: the same bytes for the same code.
pub(crate) fn text(document: OpenApi) -> String {
    let mut document = document;
    everywhere::complete(&mut document);
    let mut text = document.to_pretty_json().expect("a document of texts is always JSON");
    text.push('\n');
    text
}
