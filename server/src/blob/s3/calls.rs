//! The calls that the library has not: which parts an upload has, which uploads a bucket has, and
//! a completion that never replaces an object. Each is a request that the library signs.

use std::time::Duration;

use bytes::Bytes;
use http::header::IF_NONE_MATCH;
use http::{Method, Request};
use http_body_util::{BodyExt, Limited};
use object_store::client::{HttpErrorKind, HttpRequestBody, HttpService};
use object_store::multipart::PartId;
use object_store::path::Path;
use object_store::signer::{SignedUrlOptions, Signer};
use serde::{Deserialize, Serialize};

use super::S3Blobs;
use super::failure::{self, Said};
use crate::blob::Upload;

/// How long such a signature is good: S3 allows for clocks that differ by 15 minutes.
const VALIDITY: Duration = Duration::from_secs(900);
/// Largest answer that is read: a page of 1,000 uploads with keys of 1 KiB.
const ANSWER_BYTES: usize = 4 << 20;

#[derive(Serialize)]
#[serde(rename = "CompleteMultipartUpload")]
struct Complete {
    #[serde(rename = "Part")]
    parts: Vec<Part>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Part {
    part_number: usize,
    #[serde(rename = "ETag")]
    e_tag: String,
}

/// What a completion that did take place answers.
#[derive(Deserialize)]
struct Completed {
    #[serde(rename = "ETag")]
    _e_tag: String,
}

#[derive(Deserialize)]
struct Parts {
    #[serde(rename = "Part", default)]
    parts: Vec<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
struct Uploads {
    #[serde(rename = "Upload", default)]
    uploads: Vec<ListedUpload>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListedUpload {
    key: String,
    upload_id: String,
}

impl S3Blobs {
    /// Makes an object of the parts, unless there is one already.
    pub(super) async fn complete_new(
        &self,
        path: &Path,
        id: &str,
        parts: &[PartId],
    ) -> Result<(), Said> {
        let numbered = (1..).zip(parts);
        let parts = numbered
            .map(|(part_number, part)| Part { part_number, e_tag: part.content_id.clone() })
            .collect();
        let body = quick_xml::se::to_string(&Complete { parts }).map_err(|_| Said::Unknown)?;
        let call = Call { method: Method::POST, path, query: &[("uploadId", id)], body };
        let answer = self.send(call, Fresh::Only).await?;
        // A success may still be an error: S3 answers before it has put the parts together.
        match quick_xml::de::from_reader::<_, Completed>(&answer[..]) {
            Ok(_) => Ok(()),
            Err(_) => Err(Said::Status(200, failure::code(&answer))),
        }
    }

    /// Whether an upload has parts; `false` also when there is no such upload.
    pub(super) async fn has_parts(&self, path: &Path, id: &str) -> Result<bool, Said> {
        let query = [("uploadId", id), ("max-parts", "1")];
        let call = Call { method: Method::GET, path, query: &query, body: String::new() };
        match self.send(call, Fresh::Any).await {
            Ok(answer) => {
                let parts: Parts =
                    quick_xml::de::from_reader(&answer[..]).map_err(|_| Said::Nonsense)?;
                Ok(!parts.parts.is_empty())
            }
            Err(said) if said.is_not_there() => Ok(false),
            Err(said) => Err(said),
        }
    }

    /// Uploads under our prefix, in the order of their keys, after `after`.
    pub(super) async fn list_uploads(
        &self,
        after: Option<&Upload>,
        limit: usize,
    ) -> Result<Vec<Upload>, Said> {
        let (prefix, limit) = (self.full(""), limit.to_string());
        let marker = after.map(|upload| self.full(&upload.object_key));
        let mut query = vec![("uploads", ""), ("max-uploads", &limit), ("prefix", &prefix)];
        if let (Some(marker), Some(after)) = (&marker, after) {
            query.push(("key-marker", marker));
            query.push(("upload-id-marker", &after.upload_id));
        }
        let path = Path::default();
        let call = Call { method: Method::GET, path: &path, query: &query, body: String::new() };
        let answer = self.send(call, Fresh::Any).await?;
        let found: Uploads = quick_xml::de::from_reader(&answer[..]).map_err(|_| Said::Nonsense)?;
        let ours = found.uploads.into_iter().filter_map(|listed| {
            let object_key = listed.key.strip_prefix(&prefix)?.to_owned();
            Some(Upload { object_key, upload_id: listed.upload_id })
        });
        Ok(ours.collect())
    }

    async fn send(&self, call: Call<'_>, fresh: Fresh) -> Result<Bytes, Said> {
        let Call { method, path, query, body } = call;
        let options = SignedUrlOptions::default().with_query(query.iter().copied());
        let signed = self.0.store.signed_url_opts(method.clone(), path, VALIDITY, &options);
        let url = signed.await.map_err(|_| Said::Unknown)?;
        let mut request = Request::builder().method(method).uri(url.as_str());
        if let Fresh::Only = fresh {
            request = request.header(IF_NONE_MATCH, "*");
        }
        let request = request.body(HttpRequestBody::from(body)).map_err(|_| Said::Unknown)?;
        let answer = self.0.transport.call(request).await.map_err(|error| match error.kind() {
            HttpErrorKind::Connect => Said::NoConnection,
            HttpErrorKind::Timeout => Said::NoAnswer,
            _ => Said::Broken,
        })?;
        let (parts, body) = answer.into_parts();
        let read = Limited::new(body, ANSWER_BYTES).collect().await;
        let bytes = read.map_err(|_| Said::Broken)?.to_bytes();
        if parts.status.is_success() { Ok(bytes) } else { Err(Said::status(parts.status, &bytes)) }
    }
}

struct Call<'a> {
    method: Method,
    path: &'a Path,
    query: &'a [(&'a str, &'a str)],
    body: String,
}

/// Whether the object must not be there yet.
enum Fresh {
    Only,
    Any,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_completion_lists_its_parts_with_their_tags_escaped() {
        let part = |part_number, tag: &str| Part { part_number, e_tag: tag.to_owned() };
        let body = Complete { parts: vec![part(1, "\"a\""), part(2, "<b>")] };
        assert_eq!(
            quick_xml::se::to_string(&body).unwrap(),
            "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>\"a\"</ETag></Part>\
             <Part><PartNumber>2</PartNumber><ETag>&lt;b&gt;</ETag></Part></CompleteMultipartUpload>"
        );
    }

    #[test]
    fn only_the_answer_of_a_completion_counts_as_one() {
        let good = "<?xml version=\"1.0\"?>\n  \n<CompleteMultipartUploadResult xmlns=\"http://s3\">\
                    <Location>x</Location><ETag>\"a-2\"</ETag></CompleteMultipartUploadResult>";
        assert!(quick_xml::de::from_reader::<_, Completed>(good.as_bytes()).is_ok());
        for bad in ["", "<Error><Code>InternalError</Code></Error>", "<html></html>"] {
            assert!(quick_xml::de::from_reader::<_, Completed>(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn lists_of_parts_and_uploads_are_read() {
        let none = "<ListPartsResult><IsTruncated>false</IsTruncated></ListPartsResult>";
        let parsed: Parts = quick_xml::de::from_reader(none.as_bytes()).unwrap();
        assert!(parsed.parts.is_empty());
        let one = "<ListPartsResult><Part><PartNumber>1</PartNumber></Part></ListPartsResult>";
        let parsed: Parts = quick_xml::de::from_reader(one.as_bytes()).unwrap();
        assert_eq!(parsed.parts.len(), 1);
        let uploads = "<ListMultipartUploadsResult><Bucket>b</Bucket><Upload><Key>k</Key>\
                       <UploadId>u</UploadId><Initiated>x</Initiated></Upload>\
                       <Upload><Key>l</Key><UploadId>v</UploadId></Upload></ListMultipartUploadsResult>";
        let parsed: Uploads = quick_xml::de::from_reader(uploads.as_bytes()).unwrap();
        let ids: Vec<_> = parsed.uploads.iter().map(|u| (&*u.key, &*u.upload_id)).collect();
        assert_eq!(ids, [("k", "u"), ("l", "v")]);
    }
}
