//! Objects in a bucket of an object store that speaks the S3 protocol, Alibaba OSS included.
//!
//! The library (`object_store`, ADR 0012) signs requests and repeats those that may be repeated;
//! [`calls`] adds what it has not, [`transport`] is the way there, [`upload`] how a staged file
//! becomes an object, [`journal`] remembers begun uploads, [`failure`] judges refusals, and
//! [`examine`] is what `haulage doctor` does.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::{StreamExt, TryStreamExt, stream};
use http::Method;
use object_store::aws::{AmazonS3, AmazonS3Builder, S3ConditionalPut};
use object_store::path::Path;
use object_store::signer::{SignedUrlOptions, Signer};
use object_store::{
    BackoffConfig, ClientOptions, GetOptions, GetRange, ObjectStore, ObjectStoreExt, RetryConfig,
};
use tokio::sync::Semaphore;

use super::place::{Bucket, BucketKey, Play, Service, Style};
use super::{
    BlobError, Blobs, ByteStream, CHUNK_BYTES, Cleared, Delivery, ObjectReader, ReadRange, Staged,
    Upload, parse_object_key,
};
use crate::domain::time::Timestamp;
use failure::{Said, said_by};
use journal::Journal;
use transport::{Transport, hearing};

mod calls;
mod examine;
mod failure;
mod journal;
mod transport;
mod upload;

pub use examine::Lack;
pub use failure::Said as StorageSaid;

/// Smallest and largest part (S3 and OSS: 5 MiB to 5 GiB, of which one must fit into memory).
pub const PART_BYTES: std::ops::RangeInclusive<u64> = 5 << 20..=512 << 20;
/// Repetitions of one request by the library, and how long they may take together.
const RETRIES: usize = 3;
const RETRY_TIME: Duration = Duration::from_secs(60);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Longest validity of a presigned URL (Signature Version 4: seven days).
const LONGEST_PLAY: Duration = Duration::from_secs(7 * 86_400);
/// Objects that are not ours and are passed over in one look for ours.
const FOREIGN_LIMIT: usize = 100_000;

/// What a bucket is opened with.
#[derive(Clone)]
pub struct BucketSettings {
    pub bucket: Bucket,
    pub key: BucketKey,
    /// Roots that may vouch for the endpoint.
    pub roots: Arc<rustls::RootCertStore>,
    /// Longest wait for an answer, and longest pause in one.
    pub timeout: Duration,
    /// Bytes of a part; whoever has no more goes up in one request. Kept within [`PART_BYTES`].
    pub part_bytes: u64,
    /// One permit for each part that this node may hold in memory.
    pub slots: Arc<Semaphore>,
    /// The directory for the journal of this location.
    pub journal: PathBuf,
}

impl fmt::Debug for BucketSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BucketSettings({}, {:?})", self.bucket, self.key)
    }
}

/// Published objects in a bucket.
#[derive(Clone)]
pub struct S3Blobs(Arc<Inner>);

struct Inner {
    bucket: Bucket,
    store: AmazonS3,
    transport: Transport,
    journal: Journal,
    part_bytes: u64,
    slots: Arc<Semaphore>,
    /// Whether the service knows requests that only make what is not there yet. Found out.
    conditional: AtomicBool,
}

impl fmt::Debug for S3Blobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "S3Blobs({})", self.0.bucket)
    }
}

impl S3Blobs {
    /// Opens a bucket. Nothing is asked of it yet: a node starts, answers queries and takes
    /// cancels while its storage is away.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn open(settings: BucketSettings) -> Result<Self, BlobError> {
        let BucketSettings { bucket, key, roots, timeout, part_bytes, slots, journal } = settings;
        let journal = Journal::new(journal);
        let transport = Transport::new(roots, timeout).map_err(|e| BlobError::Io {
            action: "set up TLS for the storage",
            source: std::io::Error::other(e),
        })?;
        let store = client(&bucket, &key, transport.clone()).map_err(|e| BlobError::Io {
            action: "set up the storage",
            source: std::io::Error::other(e),
        })?;
        // OSS has another header for the same, which the library does not send.
        let conditional = AtomicBool::new(bucket.service == Service::S3);
        let part_bytes = part_bytes.clamp(*PART_BYTES.start(), *PART_BYTES.end());
        Ok(Self(Arc::new(Inner {
            bucket,
            store,
            transport,
            journal,
            part_bytes,
            slots,
            conditional,
        })))
    }

    /// The key in the bucket of one of ours.
    fn full(&self, object_key: &str) -> String {
        match self.0.bucket.prefix.as_str() {
            "" => object_key.to_owned(),
            prefix => format!("{prefix}/{object_key}"),
        }
    }

    /// The place of an object. A key is checked before anything is asked about it.
    fn path(&self, object_key: &str) -> Result<Path, BlobError> {
        match parse_object_key(object_key) {
            Some(_) => Ok(self.any_path(object_key)),
            None => Err(BlobError::BadName(object_key.to_owned())),
        }
    }

    fn any_path(&self, object_key: &str) -> Path {
        Path::from(self.full(object_key))
    }

    fn prefix(&self) -> Option<Path> {
        let prefix = self.0.bucket.prefix.as_str();
        (!prefix.is_empty()).then(|| Path::from(prefix))
    }

    async fn remove(&self, path: &Path) -> object_store::Result<()> {
        self.0.store.delete(path).await
    }
}

fn client(
    bucket: &Bucket,
    key: &BucketKey,
    transport: Transport,
) -> object_store::Result<AmazonS3> {
    let endpoint = match bucket.style {
        Style::Path => bucket.endpoint.clone(),
        Style::Virtual => bucket.base(),
    };
    AmazonS3Builder::new()
        .with_bucket_name(&bucket.name)
        .with_region(&bucket.region)
        .with_endpoint(endpoint)
        .with_virtual_hosted_style_request(bucket.style == Style::Virtual)
        .with_access_key_id(&key.id)
        .with_secret_access_key(&key.secret)
        .with_allow_http(bucket.is_plain())
        .with_client_options(ClientOptions::new().with_allow_http(bucket.is_plain()))
        .with_conditional_put(S3ConditionalPut::ETagMatch)
        // One by one: the call for many is the one that compatible services lack most often.
        .with_disable_bulk_delete(true)
        .with_retry(RetryConfig {
            backoff: BackoffConfig {
                init_backoff: FIRST_PAUSE,
                max_backoff: LONGEST_PAUSE,
                base: 2.0,
            },
            max_retries: RETRIES,
            retry_timeout: RETRY_TIME,
        })
        .with_http_connector(transport)
        .build()
}

#[async_trait]
impl Blobs for S3Blobs {
    async fn publish(&self, staged: Staged, object_key: &str) -> Result<(), BlobError> {
        self.upload(staged, object_key).await
    }

    async fn open(&self, object_key: &str) -> Result<Option<ObjectReader>, BlobError> {
        let path = self.path(object_key)?;
        let found = match hearing(self.0.store.head(&path)).await {
            Ok(found) => found,
            Err((error, said)) => {
                let said = said_by(&error, said);
                let none = said.is_not_there();
                return if none { Ok(None) } else { Err(said.error("open an object")) };
            }
        };
        let modified = Timestamp(found.last_modified.timestamp_millis());
        let source = Box::new(BucketObject { blobs: self.clone(), path, e_tag: found.e_tag });
        Ok(Some(ObjectReader::new(found.size, Some(modified), source)))
    }

    async fn delete(&self, object_key: &str) -> Result<bool, BlobError> {
        let path = self.path(object_key)?;
        // A DELETE answers alike whether or not there was something.
        if self.open(object_key).await?.is_none() {
            return Ok(false);
        }
        match hearing(self.remove(&path)).await {
            Ok(()) => Ok(true),
            Err((error, said)) => {
                let said = said_by(&error, said);
                if said.is_not_there() { Ok(false) } else { Err(said.error("delete an object")) }
            }
        }
    }

    async fn list(&self, after: Option<&str>, limit: usize) -> Result<Vec<String>, BlobError> {
        let ours = self.full("");
        let prefix = self.prefix();
        let mut listed = match after {
            Some(after) => self.0.store.list_with_offset(prefix.as_ref(), &self.any_path(after)),
            None => self.0.store.list(prefix.as_ref()),
        };
        let (mut keys, mut foreign) = (Vec::new(), 0);
        while keys.len() < limit && foreign < FOREIGN_LIMIT {
            let next = hearing(listed.try_next()).await;
            let Some(found) = next.map_err(|e| failure::of("list the objects", e))? else { break };
            match found.location.as_ref().strip_prefix(&ours) {
                Some(key) if parse_object_key(key).is_some() => keys.push(key.to_owned()),
                Some(_) | None => foreign += 1,
            }
        }
        Ok(keys)
    }

    async fn free_bytes(&self) -> Result<Option<u64>, BlobError> {
        Ok(None)
    }

    async fn play_url(
        &self,
        object_key: &str,
        delivery: &Delivery,
        validity: Duration,
    ) -> Result<Option<String>, BlobError> {
        let presigned = match self.0.bucket.play {
            Play::Direct => (Duration::from_secs(1)..=LONGEST_PLAY).contains(&validity),
            Play::Proxy => false,
        };
        if !presigned {
            return Ok(None);
        }
        let path = self.path(object_key)?;
        let options = SignedUrlOptions::default().with_query([
            ("response-content-type", delivery.content_type.as_str()),
            ("response-content-disposition", delivery.disposition.as_str()),
        ]);
        let signed = self.0.store.signed_url_opts(Method::GET, &path, validity, &options).await;
        let url = signed.map_err(|_| Said::Unknown.error("sign a play URL"))?;
        Ok(Some(url.into()))
    }

    fn play_origin(&self) -> Option<String> {
        match (self.0.bucket.play, self.0.bucket.style) {
            (Play::Direct, Style::Path) => Some(self.0.bucket.endpoint.clone()),
            (Play::Direct, Style::Virtual) => Some(self.0.bucket.base()),
            (Play::Proxy, _) => None,
        }
    }

    async fn clear_abandoned(&self) -> Result<Cleared, BlobError> {
        let mut cleared = Cleared::default();
        for (entry, upload) in self.0.journal.abandoned().await? {
            match self.abort_until_empty(&upload).await {
                Ok(()) => {
                    entry.forget().await;
                    cleared.aborted += 1;
                }
                Err(error) => {
                    tracing::warn!(object_key = upload.object_key, %error, "an upload stays");
                    cleared.failed += 1;
                }
            }
        }
        Ok(cleared)
    }

    async fn uploads(
        &self,
        after: Option<&Upload>,
        limit: usize,
    ) -> Result<Vec<Upload>, BlobError> {
        match self.list_uploads(after, limit).await {
            Ok(uploads) => Ok(uploads),
            Err(said) if said.is_unsupported() => {
                tracing::info!(bucket = %self.0.bucket, "it does not list its uploads");
                Ok(Vec::new())
            }
            Err(said) => Err(said.error("list the uploads")),
        }
    }

    async fn abort(&self, upload: &Upload) -> Result<(), BlobError> {
        self.abort_until_empty(upload).await
    }
}

/// An object of a bucket, as it was when it was opened: another one under its key is not read.
struct BucketObject {
    blobs: S3Blobs,
    path: Path,
    e_tag: Option<String>,
}

#[async_trait]
impl ReadRange for BucketObject {
    async fn read_range(&self, start: u64, len: u64) -> Result<ByteStream, BlobError> {
        const ACTION: &str = "read an object";
        if len == 0 {
            return Ok(stream::empty().boxed());
        }
        let range = GetRange::Bounded(start..start.saturating_add(len));
        let if_match = self.e_tag.clone();
        let options = GetOptions { range: Some(range), if_match, ..GetOptions::default() };
        let opened = hearing(self.blobs.0.store.get_opts(&self.path, options)).await;
        let pieces = opened.map_err(|e| failure::of(ACTION, e))?.into_stream();
        let pieces = pieces.map_err(|e| failure::of(ACTION, (e, None)));
        // Cut to our size, and counted: a stream that ends early must not look whole.
        let cut = stream::try_unfold((pieces, bytes::Bytes::new(), len), move |state| async move {
            let (mut pieces, mut piece, left) = state;
            while piece.is_empty() {
                match pieces.try_next().await? {
                    Some(next) => piece = next,
                    None if left == 0 => return Ok(None),
                    None => return Err(Said::Broken.error(ACTION)),
                }
            }
            let now = piece.split_to(piece.len().min(CHUNK_BYTES));
            let left = left.checked_sub(now.len() as u64).ok_or(Said::Nonsense.error(ACTION))?;
            Ok(Some((now, (pieces, piece, left))))
        });
        Ok(cut.boxed())
    }
}

#[cfg(test)]
mod tests;
