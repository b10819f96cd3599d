//! The OpenAPI 3.1 document of this API, made of the table of routes that is enforced
//! (`ops/access/routes.rs`) and of the types that bodies are read into; and a page of it.

use std::sync::LazyLock;

use axum::Json;
use axum::http::header;
use axum::response::{IntoResponse, Response as HttpResponse};
use serde_json::{Value, json};
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::path::{
    HttpMethod, Operation, OperationBuilder, Parameter, ParameterBuilder, ParameterIn, Paths,
};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::schema::{
    ArrayBuilder, ComponentsBuilder, Object, ObjectBuilder, Schema, SchemaType, Type,
};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{InfoBuilder, OpenApi, OpenApiBuilder, Ref, RefOr, Required};

use crate::ops::access::{Need, ROUTES, Route};

use super::once::KEY_HEADER;
use super::openapi_about::{About, Answer, Body};
use super::openapi_routes::about_route;
use super::problem::PROBLEM_JSON;

const JSON: &str = "application/json";
const TOML: &str = "application/toml";
const SCHEME: &str = "token";

/// An object that has these, each of its type.
fn object(keys: &[&str]) -> Object {
    let mut object = ObjectBuilder::new();
    for key in keys {
        let (name, kind) = key.split_once(": ").unwrap_or((key, ""));
        object = object.property(name, of_kind(kind)).required(name);
    }
    object.build()
}

/// A type by its name; with `?` it may be null.
fn of_kind(kind: &str) -> RefOr<Schema> {
    let (name, is_null_too) = match kind.strip_suffix('?') {
        Some(name) => (name, true),
        None => (kind, false),
    };
    let kind = match name {
        "integer" => Type::Integer,
        "string" => Type::String,
        "boolean" => Type::Boolean,
        "object" => Type::Object,
        "array" => Type::Array,
        component => {
            let rows = ArrayBuilder::new().items(Ref::from_schema_name(component));
            return Schema::Array(rows.build()).into();
        }
    };
    let kinds = [kind].into_iter().chain(is_null_too.then_some(Type::Null));
    let kinds = SchemaType::from_iter(kinds);
    ObjectBuilder::new().schema_type(kinds).into()
}

fn operation(route: &Route, about: About) -> Operation {
    let name: String = route
        .path
        .chars()
        .map(|letter| {
            if letter.is_ascii_alphanumeric() {
                letter
            } else {
                '_'
            }
        })
        .collect();
    let id = format!("{}{name}", route.method.to_lowercase());
    let (security, role) = match route.need {
        Need::Nearby => (
            SecurityRequirement::default(),
            "no token on this machine".to_owned(),
        ),
        Need::Token(role) => (
            SecurityRequirement::new(SCHEME, [role.name()]),
            format!("role {role}"),
        ),
    };
    let mut operation = OperationBuilder::new()
        .operation_id(Some(id))
        .summary(Some(about.summary))
        .description(Some(format!("Takes: {role}.")))
        .security(security);
    let parts = route.path.split('/');
    for part in parts.filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')) {
        operation = operation.parameter(in_path(part));
    }
    for parameter in about.query.map(|query| query()).into_iter().flatten() {
        operation = operation.parameter(parameter);
    }
    if about.is_guarded {
        operation = operation.parameter(if_match());
    }
    if route.method == "POST" {
        operation = operation.parameter(key_header());
    }
    if let Some(body) = about.body {
        let (media, schema) = match body {
            Body::Json(schema) => (JSON, schema()),
            Body::Toml => (TOML, of_kind("string")),
        };
        let content = ContentBuilder::new().schema(Some(schema)).build();
        let body = RequestBodyBuilder::new()
            .required(Some(Required::True))
            .content(media, content)
            .build();
        operation = operation.request_body(Some(body));
    }
    let schema: Option<RefOr<Schema>> = match about.answer {
        Answer::Object(keys) => Some(Schema::Object(object(keys)).into()),
        Answer::List => Some(Schema::Array(ObjectBuilder::new().to_array_builder().build()).into()),
        Answer::Other => None,
    };
    let mut good = ResponseBuilder::new().description("Done; what is written is durable.");
    if schema.is_some() {
        good = good.content(JSON, ContentBuilder::new().schema(schema).build());
    }
    for media in about.others {
        good = good.content(*media, ContentBuilder::new().build());
    }
    operation = operation.response("200", good);
    for (status, what) in PROBLEMS {
        let problem = Ref::from_schema_name("Problem");
        let content = ContentBuilder::new().schema(Some(problem)).build();
        let answer = ResponseBuilder::new()
            .description(*what)
            .content(PROBLEM_JSON, content);
        operation = operation.response(*status, answer);
    }
    operation.build()
}

/// Every answer that is not good.
const PROBLEMS: &[(&str, &str)] = &[
    ("400", "A mistake in the request."),
    ("401", "No token, or none that counts."),
    ("403", "The role of the token is not enough."),
    ("404", "It is not there."),
    ("409", "It does not fit how things stand."),
    ("410", "What would be needed of the journal is gone."),
    ("412", "It is not as `If-Match` says any more."),
    ("413", "The body is too long."),
    ("415", "The body is of another media type."),
    ("422", "It is not allowed."),
    ("429", "Too often, or too many wrong tokens."),
    (
        "502",
        "What was asked on behalf of the caller did not answer.",
    ),
    (
        "503",
        "The switch is stopping, or what is asked for is not to be had now.",
    ),
];

fn in_path(name: &str) -> Parameter {
    let schema = match name {
        "name" => ObjectBuilder::new().schema_type(Type::String),
        _ => ObjectBuilder::new()
            .schema_type(Type::Integer)
            .minimum(Some(1)),
    };
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Path)
        .required(Required::True)
        .schema(Some(schema))
        .build()
}

fn if_match() -> Parameter {
    let schema = ObjectBuilder::new()
        .schema_type(Type::String)
        .pattern(Some("^\"[a-z0-9-]{1,60}\"$"));
    ParameterBuilder::new()
        .name("if-match")
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(
            "The `ETag` of what was read: the order counts only while that is so still.",
        ))
        .schema(Some(schema))
        .build()
}

fn key_header() -> Parameter {
    let schema = ObjectBuilder::new()
        .schema_type(Type::String)
        .min_length(Some(1))
        .max_length(Some(64))
        .pattern(Some("^[!-~]{1,64}$"));
    ParameterBuilder::new()
        .name(KEY_HEADER)
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some("The same key never has the same thing done twice."))
        .schema(Some(schema))
        .build()
}

/// One of these words.
pub(super) fn words(list: &[&str]) -> RefOr<Schema> {
    let text = ObjectBuilder::new().schema_type(Type::String);
    text.enum_values(Some(list.iter().copied())).into()
}

/// What a row of `/v1/activity` is: the same file that readers of exports and streams have.
const ACTIVITY: &str = include_str!("../../../spec/activity.schema.json");

/// The whole document.
fn document() -> Value {
    let mut document = json!(paths());
    // The schema is JSON already, and stays as it is written.
    if let Ok(Value::Object(mut activity)) = serde_json::from_str(ACTIVITY) {
        activity.remove("$schema");
        document["components"]["schemas"]["Activity"] = Value::Object(activity);
    }
    document
}

fn paths() -> OpenApi {
    let mut paths = Paths::new();
    for route in ROUTES {
        if let Some(about) = about_route(route.method, route.path) {
            let method = match route.method {
                "GET" => HttpMethod::Get,
                _ => HttpMethod::Post,
            };
            paths.add_path_operation(route.path, vec![method], operation(route, about));
        }
    }
    let problem = object(&[
        "type: string",
        "title: string",
        "status: integer",
        "detail: string",
    ]);
    let scheme = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("cst_...")
        .build();
    let components = ComponentsBuilder::new()
        .schema("Problem", Schema::Object(problem))
        .security_scheme(SCHEME, SecurityScheme::Http(scheme))
        .build();
    let info = InfoBuilder::new()
        .title("cardswitch operators' API")
        .version(env!("CARGO_PKG_VERSION"));
    OpenApiBuilder::new()
        .info(info)
        .paths(paths)
        .components(Some(components))
        .build()
}

static DOCUMENT: LazyLock<Value> = LazyLock::new(document);

/// The document.
pub(super) async fn openapi() -> Json<&'static Value> {
    Json(&DOCUMENT)
}

/// The document as a page: no script, nothing from elsewhere.
pub(super) async fn page() -> HttpResponse {
    let policy = "default-src 'none'; style-src 'unsafe-inline'";
    let media = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, policy),
    ];
    (media, rendered(&DOCUMENT)).into_response()
}

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;margin:2em auto;max-width:60em;\
padding:0 1em;color-scheme:light dark}code,pre{font:13px/1.4 ui-monospace,monospace}\
pre{overflow:auto;border-left:3px solid #888;padding-left:1em}\
h2{margin:1.6em 0 .2em;font-size:1em}";

fn rendered(document: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let title = text(&document["info"]["title"]);
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\
         <style>{STYLE}</style></head><body><h1>{title}</h1>\n<p>Every request shows a token: \
         <code>Authorization: Bearer cst_...</code>. Errors are problem documents (RFC 9457). \
         For programs: <code>GET /v1/openapi.json</code>.</p>\n"
    );
    let paths = document["paths"].as_object().into_iter().flatten();
    for (path, methods) in paths {
        for (method, operation) in methods.as_object().into_iter().flatten() {
            let method = method.to_uppercase();
            page += &format!(
                "<h2><code>{method} {path}</code></h2><p>{} {}</p>\n",
                text(&operation["summary"]),
                text(&operation["description"])
            );
            let body = &operation["requestBody"]["content"][JSON]["schema"]["properties"];
            let fields = body.as_object().into_iter().flatten();
            let fields: Vec<&str> = fields.map(|field| field.0.as_str()).collect();
            if !fields.is_empty() {
                page += &format!("<pre>{}</pre>\n", fields.join(", "));
            }
        }
    }
    page += "</body></html>\n";
    page
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::account::Kyc;
    use crate::domain::card::CardStatus;
    use crate::domain::card_limit::CardWindow;
    use crate::domain::conditions::{Attendance, EntryMode};
    use crate::domain::facts::{Initiation, Presence, Purpose};
    use crate::domain::programme::Channel;
    use crate::domain::rare_facts::LoadChannel;
    use crate::engine::operation_money::Paper;

    #[test]
    fn every_route_is_in_the_document_and_nothing_else_is() {
        let document = document();
        assert_eq!(document["openapi"], "3.1.0");
        let activity = &document["components"]["schemas"]["Activity"];
        assert_eq!(activity["type"], "object");
        let mut told: Vec<(String, String)> = Vec::new();
        for (path, methods) in document["paths"].as_object().unwrap() {
            for method in methods.as_object().unwrap().keys() {
                told.push((method.to_uppercase(), path.clone()));
            }
        }
        let mut served: Vec<(String, String)> = ROUTES
            .iter()
            .map(|route| (route.method.to_owned(), route.path.to_owned()))
            .collect();
        told.sort();
        served.sort();
        assert_eq!(told, served);
        for (method, path) in super::super::openapi_routes::told() {
            let known = (method.to_owned(), path.to_owned());
            assert!(served.contains(&known), "{method} {path} is not served");
        }
    }

    #[test]
    fn the_words_of_the_document_are_those_that_are_read() {
        fn all_read<T: serde::de::DeserializeOwned>(list: &[&str]) {
            for word in list {
                assert!(serde_json::from_value::<T>(json!(word)).is_ok(), "{word}");
            }
            assert!(serde_json::from_value::<T>(json!("other")).is_err());
        }
        all_read::<Kyc>(super::super::holders::KYC);
        all_read::<CardStatus>(super::super::cards::STATUS);
        all_read::<LoadChannel>(super::super::loads::CHANNELS);
        all_read::<Paper>(super::super::paper::PAPERS);
        all_read::<Channel>(super::super::card_limits::CHANNELS);
        all_read::<CardWindow>(super::super::card_limits::WINDOWS);
        all_read::<Purpose>(super::super::card_controls::PURPOSES);
        all_read::<EntryMode>(super::super::card_controls::ENTRIES);
        all_read::<Initiation>(super::super::card_controls::INITIATIONS);
        all_read::<Presence>(super::super::card_controls::PRESENCES);
        all_read::<Attendance>(super::super::card_controls::ATTENDANCES);
    }
}
