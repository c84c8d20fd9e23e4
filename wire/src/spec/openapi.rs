//! The table as an OpenAPI 3.1 document, for tools.

use serde_json::{Value, json};

/// The API of the server at `server_url`.
pub fn openapi(server_url: &str) -> Value {
    json!({ "openapi": "3.1.0", "servers": [{ "url": server_url }] })
}
