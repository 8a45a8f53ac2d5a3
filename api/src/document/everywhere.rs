//! What operations have in common: parameters and headers, described once and referred to, and links from what was
//! created to what can be done with it.
//!
//! Annotations of routes name headers and parameters shortly; here they get their full description. What is on every
//! answer need not be named at all.

use std::collections::BTreeMap;

use serde_json::json;
use utoipa::openapi::extensions::Extensions;
use utoipa::openapi::header::{Header, HeaderBuilder};
use utoipa::openapi::link::LinkBuilder;
use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn, PathItem, Paths};
use utoipa::openapi::schema::{Array, Object, ObjectBuilder, Schema, SchemaType, Type};
use utoipa::openapi::{Components, OpenApi, Ref, RefOr, Required, Response};

use super::problems;
use crate::front::API_VERSION;
use crate::idempotency::KEY_MAX;

/// The schema of the API's version.
const VERSION: &str = "ApiVersion";

/// Whether a header is on every answer that is described with it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Given {
    Always,
    Sometimes,
}

/// Headers of answers: when they are given, what they look like, and what they tell.
fn headers() -> [(&'static str, Given, RefOr<Schema>, &'static str); 11] {
    use Given::{Always, Sometimes};
    let seconds = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1));
    let yes = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(["true"]));
    [
        ("FinCore-Version", Always, version(), "The version of the API that answered."),
        (
            "Idempotency-Answer",
            Sometimes,
            text("expired"),
            "`expired` when the first answer is not kept any more; the body shows how things stand now.",
        ),
        ("Idempotency-Replayed", Sometimes, yes.into(), "`true` on the stored answer to an earlier request."),
        (
            "Link",
            Sometimes,
            text(r#"<[^>]+>; rel="(next|prev)"(, <[^>]+>; rel="(next|prev)")?"#),
            "The next and the previous page, when there are any (RFC 8288).",
        ),
        ("Location", Always, text("/v1/.+"), "Where the resource is."),
        (
            "Preference-Applied",
            Sometimes,
            text("wait=[0-9]+"),
            "That the answer waited, and shows how things stand now.",
        ),
        (
            "RateLimit",
            Sometimes,
            text(r#""key";r=[0-9]+;t=[0-9]+"#),
            "How many requests are left (`r`), and after how many seconds all are there again (`t`).",
        ),
        (
            "RateLimit-Policy",
            Sometimes,
            text(r#""key";q=[0-9]+;w=[0-9]+"#),
            "How many requests (`q`) in how many seconds (`w`).",
        ),
        ("Request-Id", Always, text("req_[0-9a-f]{32}"), "Names this request in our logs."),
        ("Retry-After", Sometimes, seconds.into(), "Seconds to wait before asking again."),
        ("WWW-Authenticate", Always, text("Bearer .+"), "How to identify yourself (RFC 6750)."),
    ]
}

/// Parameters that many operations take.
fn parameters() -> [Parameter; 2] {
    let key = ObjectBuilder::new().schema_type(Type::String).min_length(Some(1)).max_length(Some(KEY_MAX));
    let words =
        "Your name for this request: any that is new, and the same when you try again. Printable ASCII characters.";
    let key = ParameterBuilder::new()
        .name("Idempotency-Key")
        .parameter_in(ParameterIn::Header)
        .required(Required::True)
        .schema(Some(key.pattern(Some("^[!-~]([ -~]*[!-~])?$"))))
        .description(Some(words));
    let version = ParameterBuilder::new()
        .name("FinCore-Version")
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .schema(Some(version()))
        .description(Some("The version you wrote for; another one is refused."));
    [key.build(), version.build()]
}

/// A text of which the whole has this pattern.
fn text(pattern: &str) -> RefOr<Schema> {
    ObjectBuilder::new().schema_type(Type::String).pattern(Some(format!("^{pattern}$"))).into()
}

fn version() -> RefOr<Schema> {
    Ref::from_schema_name(VERSION).into()
}

/// A header of the list above.
fn header(name: &str) -> RefOr<Header> {
    RefOr::Ref(Ref::new(format!("#/components/headers/{name}")))
}

/// Puts in what no route says of itself.
pub(super) fn complete(document: &mut OpenApi) {
    let components = document.components.get_or_insert_default();
    describe(components);
    let links = links(&document.paths);
    for operation in document.paths.paths.values_mut().flat_map(operations_mut) {
        let is_for_clients = operation.security.is_some();
        // Said explicitly, so that nobody takes it for forgotten.
        operation.security.get_or_insert_default();
        refer_to_parameters(operation, is_for_clients);
        let links = operation.operation_id.as_ref().and_then(|id| links.get(id));
        for (status, response) in &mut operation.responses.responses {
            let RefOr::T(response) = response else { continue };
            for code in problems::codes(response) {
                components.examples.entry(code.to_string()).or_insert_with(|| problems::example(code).into());
            }
            refer_to_headers(response, is_for_clients && status != "401");
            if let Some(links) = links.filter(|_| status.starts_with('2')) {
                response.links.extend(links.clone());
            }
        }
    }
}

fn describe(components: &mut Components) {
    let words = "The day on which the API was last changed in a way that could break a client.";
    let version = ObjectBuilder::new().schema_type(Type::String).enum_values(Some([API_VERSION]));
    components.schemas.insert(VERSION.into(), version.description(Some(words)).into());
    for (name, given, schema, words) in headers() {
        // Every field but those it has a name for counts as an extension there.
        let required = (given == Given::Always).then(|| Extensions::from_iter([("required", true)]));
        let header = HeaderBuilder::new().schema(Some(schema)).description(Some(words)).extensions(required);
        components.headers.insert(name.into(), header.build().into());
    }
    for parameter in parameters() {
        components.parameters.insert(parameter.name.clone(), parameter.into());
    }
}

fn refer_to_parameters(operation: &mut Operation, is_for_clients: bool) {
    let parameter = |name: &str| RefOr::Ref(Ref::new(format!("#/components/parameters/{name}")));
    let own = operation.parameters.get_or_insert_default();
    for described in parameters() {
        let named = own.iter_mut().find(|own| matches!(own, RefOr::T(own) if own.name == described.name));
        if let Some(named) = named {
            *named = parameter(&described.name);
        }
    }
    own.iter_mut().for_each(not_null);
    if is_for_clients {
        own.push(parameter("FinCore-Version"));
    }
}

/// A parameter that may be left out may not be null all the same: there is no null in a query or a header.
fn not_null(parameter: &mut RefOr<Parameter>) {
    let RefOr::T(Parameter { schema: Some(RefOr::T(schema)), .. }) = parameter else { return };
    let (Schema::Object(Object { schema_type, .. }) | Schema::Array(Array { schema_type, .. })) = schema else {
        return;
    };
    if let SchemaType::Array(types) = schema_type {
        types.retain(|one| *one != Type::Null);
        if let [one] = &types[..] {
            *schema_type = one.clone().into();
        }
    }
}

fn refer_to_headers(response: &mut Response, is_counted: bool) {
    let mut names = vec!["FinCore-Version", "Request-Id"];
    if is_counted {
        names.extend(["RateLimit", "RateLimit-Policy"]);
    }
    names.extend(headers().map(|(name, ..)| name).into_iter().filter(|name| response.headers.contains_key(*name)));
    response.headers.extend(names.into_iter().map(|name| (name.to_owned(), header(name))));
}

type Links = BTreeMap<String, RefOr<utoipa::openapi::link::Link>>;

/// For each operation that creates something: links to the operations that take its id.
fn links(paths: &Paths) -> BTreeMap<String, Links> {
    let homes: BTreeMap<&str, &str> = paths.paths.iter().filter_map(|(path, item)| home(path, item)).collect();
    let mut links = BTreeMap::new();
    for (path, item) in &paths.paths {
        let Some(operation) = &item.post else { continue };
        let home = answered(operation).and_then(|name| homes.get(name)).filter(|home| !path.starts_with(**home));
        if let (Some(home), Some(id)) = (home, &operation.operation_id) {
            links.insert(id.clone(), links_below(home, paths));
        }
    }
    links
}

/// The schema of what can be read at a path that ends with its id, and that path.
fn home<'a>(path: &'a str, item: &'a PathItem) -> Option<(&'a str, &'a str)> {
    path.ends_with('}').then(|| answered(item.get.as_ref()?).map(|name| (name, path)))?
}

fn links_below(home: &str, paths: &Paths) -> Links {
    let parameter = home.rsplit(['{', '}']).nth(1).unwrap_or_default();
    let below = paths.paths.iter().filter(|(path, _)| path.starts_with(home)).flat_map(|(_, item)| operations(item));
    let ids = below.filter_map(|operation| operation.operation_id.clone());
    let link = |id: String| {
        // A delivery has no id of its own: it is named by its event.
        let name = if parameter == "event" { "event" } else { "id" };
        let link = LinkBuilder::new().operation_id(id.clone());
        let link = link.parameter(parameter, json!(format!("$response.body#/{name}")));
        (id, link.build().into())
    };
    ids.map(link).collect()
}

/// The name of the schema that an operation answers with when it goes well.
fn answered(operation: &Operation) -> Option<&str> {
    let (_, response) = operation.responses.responses.iter().find(|(status, _)| status.starts_with('2'))?;
    let RefOr::T(response) = response else { return None };
    let RefOr::T(content) = response.content.get("application/json")? else { return None };
    let Some(RefOr::Ref(schema)) = &content.schema else { return None };
    schema.ref_location.rsplit('/').next()
}

fn operations(item: &PathItem) -> impl Iterator<Item = &Operation> {
    [&item.get, &item.post, &item.put, &item.patch, &item.delete].into_iter().flatten()
}

fn operations_mut(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.get, &mut item.post, &mut item.put, &mut item.patch, &mut item.delete].into_iter().flatten()
}
