//! Scripts, styles and the icon, embedded in the binary.
//!
//! Their addresses contain one hash over all of them: an address never changes its meaning, so
//! browsers may keep it for good, and relative imports between scripts stay within one version.

use std::sync::LazyLock;

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use sha2::{Digest, Sha256};

use super::harden;

/// Characters of the hash in addresses; enough to tell two builds apart.
const VERSION_LENGTH: usize = 16;

const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const IMAGE: &str = "image/svg+xml";

/// One embedded file.
#[derive(Debug)]
pub struct Asset {
    /// Relative to `/assets/{version}/`.
    pub path: &'static str,
    pub content_type: &'static str,
    pub text: &'static str,
}

macro_rules! assets {
    ($($kind:ident $path:literal;)+) => {
        /// Every embedded file.
        pub const ASSETS: &[Asset] = &[$(Asset {
            path: $path,
            content_type: $kind,
            text: include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/assets/", $path)),
        }),+];
    };
}

assets! {
    STYLE "base.css";
    STYLE "console.css";
    STYLE "explorer.css";
    IMAGE "icon.svg";
    SCRIPT "console.js";
    SCRIPT "signin.js";
    SCRIPT "page.js";
    SCRIPT "search.js";
    SCRIPT "lookup.js";
    SCRIPT "dom.js";
    SCRIPT "controls.js";
    SCRIPT "values.js";
    SCRIPT "percent.js";
    SCRIPT "hash.js";
    SCRIPT "sign.js";
    SCRIPT "compare.js";
    SCRIPT "pretty.js";
    SCRIPT "samples/all.js";
    SCRIPT "samples/quote.js";
    SCRIPT "samples/python_new.js";
    SCRIPT "samples/python_classic.js";
    SCRIPT "samples/node_new.js";
    SCRIPT "samples/node_classic.js";
    SCRIPT "samples/java.js";
    SCRIPT "samples/go.js";
    SCRIPT "samples/php.js";
    SCRIPT "samples/csharp.js";
    SCRIPT "samples/rust.js";
    SCRIPT "samples/curl.js";
    SCRIPT "samples/haulage.js";
    SCRIPT "samples/aliyun.js";
}

/// The hash in all addresses of this binary's assets.
pub fn version() -> &'static str {
    static VERSION: LazyLock<String> = LazyLock::new(|| {
        let mut hash = Sha256::new();
        for asset in ASSETS {
            // With the lengths, so that no two sets of files read the same.
            hash.update(format!("{} {}\n", asset.path, asset.text.len()));
            hash.update(asset.text);
        }
        let mut text = hex::encode(hash.finalize());
        text.truncate(VERSION_LENGTH);
        text
    });
    &VERSION
}

/// Answers `/assets/{version}/{path}`; an address of another build is not found.
pub fn serve(asked_version: &str, path: &str) -> Response {
    let found = ASSETS.iter().find(|asset| asset.path == path && asked_version == version());
    let Some(asset) = found else { return StatusCode::NOT_FOUND.into_response() };
    let mut response = asset.text.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(asset.content_type));
    let for_good = HeaderValue::from_static("public, max-age=31536000, immutable");
    headers.insert(header::CACHE_CONTROL, for_good);
    harden(headers);
    response
}
