//! The table as an OpenAPI 3.1 document, for tools.
//!
//! OpenAPI knows operations by path; this API knows them by a parameter. The usual way out is a
//! path that contains the parameter: `/?Action=CancelUrlUploadJobs`. The signature differs for
//! every request and is therefore described, not declared as a security scheme.

use serde_json::{Map, Value, json};

use super::{
    API_VERSION, COMMON_PARAMETERS, Field, FieldKind, Kind, OPERATIONS, Operation, Parameter,
};
use crate::code::Code;

/// Errors of the gateway that every operation can answer; they share one schema.
const ERROR_SCHEMA: &str = "#/components/schemas/Error";

/// The API of the server at `server_url`.
pub fn openapi(server_url: &str) -> Value {
    let paths: Map<String, Value> = OPERATIONS
        .iter()
        .map(|operation| (format!("/?Action={}", operation.action), path_item(operation)))
        .collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Haulage",
            "summary": "URL-based upload, compatible with the ApsaraVideo VOD API.",
            "description": "RPC style: GET or POST on /, parameters in the query or in a form \
                body, the operation in Action. Requests are signed with HMAC-SHA1 \
                (SignatureVersion 1.0, in parameters) or ACS3-HMAC-SHA256 (in headers, which \
                then also carry action, version, time and nonce).",
            "version": API_VERSION,
        },
        "servers": [{ "url": server_url }],
        "paths": paths,
        "components": {
            "schemas": { "Error": error_schema() },
            "parameters": COMMON_PARAMETERS.iter()
                .map(|common| (common.name.to_owned(), parameter(common)))
                .collect::<Map<_, _>>(),
        },
    })
}

fn path_item(operation: &Operation) -> Value {
    json!({
        "get": method(operation, "get"),
        "post": method(operation, "post"),
    })
}

fn method(operation: &Operation, method: &str) -> Value {
    // With a V3 signature the common parameters are headers; their references stay optional.
    let common = COMMON_PARAMETERS
        .iter()
        .filter(|common| common.name != "Action")
        .map(|common| json!({ "$ref": format!("#/components/parameters/{}", common.name) }));
    let parameters: Vec<Value> = operation.parameters.iter().map(parameter).chain(common).collect();
    json!({
        "operationId": format!("{method}{}", operation.action),
        "summary": operation.summary,
        "description": operation.doc,
        "parameters": parameters,
        "responses": {
            "200": {
                "description": "Success.",
                "content": {
                    "application/json": { "schema": reply_schema(operation, false) },
                    "text/xml": { "schema": reply_schema(operation, true) },
                },
            },
            "default": {
                "description": "An error.",
                "content": {
                    "application/json": { "schema": { "$ref": ERROR_SCHEMA } },
                    "text/xml": { "schema": { "$ref": ERROR_SCHEMA } },
                },
            },
        },
        "x-access-level": operation.access.as_str(),
        "x-calls-per-second": operation.qps,
        "x-calls-per-day": operation.daily,
        "x-error-codes": operation.errors.iter().map(|code| code.as_str()).collect::<Vec<_>>(),
        "x-addition-of-this-server": operation.ours,
    })
}

fn parameter(parameter: &Parameter) -> Value {
    let is_common = COMMON_PARAMETERS.iter().any(|common| std::ptr::eq(common, parameter));
    let mut value = json!({
        "name": parameter.name,
        "in": "query",
        "required": parameter.required && !is_common,
        "description": format!("{} ({})", parameter.doc, parameter.kind.limits()),
        "schema": parameter_schema(parameter.kind),
        "x-addition-of-this-server": parameter.ours,
    });
    if !parameter.example.is_empty() {
        value["example"] = parameter.example.into();
    }
    value
}

fn parameter_schema(kind: Kind) -> Value {
    match kind {
        Kind::Text { max } | Kind::Url { max } => json!({ "type": "string", "maxLength": max }),
        Kind::Word { min, max } => {
            json!({ "type": "string", "pattern": format!("^[A-Za-z0-9_-]{{{min},{max}}}$") })
        }
        Kind::Integer { min, max } => {
            json!({ "type": "integer", "format": "int64", "minimum": min, "maximum": max })
        }
        Kind::Boolean => json!({ "type": "boolean" }),
        Kind::Json { max } => {
            json!({ "type": "string", "contentMediaType": "application/json", "maxLength": max })
        }
        Kind::OneOf(values) => json!({ "type": "string", "enum": values }),
        Kind::Time => json!({ "type": "string", "format": "date-time" }),
        Kind::SomeOf(_) | Kind::List { .. } | Kind::Urls { .. } => {
            json!({ "type": "string", "x-list-separator": "," })
        }
    }
}

fn reply_schema(operation: &Operation, is_xml: bool) -> Value {
    let mut schema = object_schema(operation.reply);
    schema["properties"]["RequestId"] = json!({ "type": "string" });
    if let Some(required) = schema["required"].as_array_mut() {
        required.insert(0, "RequestId".into());
    }
    if is_xml {
        schema["xml"] = json!({ "name": format!("{}Response", operation.action) });
    }
    schema
}

fn object_schema(fields: &[Field]) -> Value {
    let properties: Map<String, Value> =
        fields.iter().map(|field| (field.name.to_owned(), field_schema(field))).collect();
    let required: Vec<&str> =
        fields.iter().filter(|field| !field.optional).map(|field| field.name).collect();
    json!({ "type": "object", "properties": properties, "required": required })
}

fn field_schema(field: &Field) -> Value {
    let mut schema = match field.kind {
        FieldKind::String => json!({ "type": "string" }),
        FieldKind::Long => json!({ "type": "integer", "format": "int64" }),
        FieldKind::Double => json!({ "type": "number", "format": "double" }),
        FieldKind::Boolean => json!({ "type": "boolean" }),
        FieldKind::Object(fields) => object_schema(fields),
        FieldKind::FlatStrings => {
            json!({ "type": "array", "items": { "type": "string" }, "xml": { "wrapped": false } })
        }
        FieldKind::Flat(fields) => {
            json!({ "type": "array", "items": object_schema(fields), "xml": { "wrapped": false } })
        }
        FieldKind::Wrapped(item, fields) => json!({
            "type": "object",
            "properties": { item: { "type": "array", "items": object_schema(fields) } },
            "required": [item],
        }),
    };
    schema["description"] = field.doc.into();
    schema
}

fn error_schema() -> Value {
    let names = ["RequestId", "HostId", "Code", "Message", "Recommend"];
    let properties: Map<String, Value> =
        names.iter().map(|name| ((*name).to_owned(), json!({ "type": "string" }))).collect();
    let codes: Vec<Value> = Code::ALL
        .iter()
        .map(|code| json!({ "code": code.as_str(), "status": code.status() }))
        .collect();
    json!({
        "type": "object",
        "properties": properties,
        "required": names,
        "xml": { "name": "Error" },
        "x-codes": codes,
    })
}
