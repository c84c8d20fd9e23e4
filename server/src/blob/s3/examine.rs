//! Tries everything that a node does to a bucket, with an object and an upload of its own, and
//! takes both away again.

use bytes::Bytes;
use object_store::multipart::MultipartStore;
use object_store::path::Path;
use object_store::{
    GetOptions, GetRange, ObjectStore, PutMode, PutMultipartOptions, PutOptions, PutPayload,
};

use super::S3Blobs;
use super::failure::{self, Said, said_by};
use super::transport::hearing;
use crate::blob::{BlobError, Blobs};
use crate::door::random;

const BYTES: &[u8] = b"haulage doctor was here";
/// Characters that keep two visits apart.
const TAIL: usize = 12;

/// What of a bucket does not work as well as it could.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lack {
    /// Two writers of one key are kept apart by the token in it alone.
    Conditions,
    /// Uploads whose beginning was never acknowledged cannot be found.
    UploadList,
}

impl Lack {
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Conditions => "it knows no conditional requests",
            Self::UploadList => "it does not list unfinished uploads",
        }
    }
}

impl S3Blobs {
    /// Writes, reads, lists and deletes a small object, begins and aborts an upload.
    ///
    /// # Errors
    /// The first thing that does not work.
    pub async fn examine(&self) -> Result<Vec<Lack>, BlobError> {
        let key = format!("haulage-doctor-{}", random::alphanumeric(TAIL));
        let path = self.any_path(&key);
        let examined = self.examine_at(&path).await;
        let removed = hearing(self.remove(&path)).await;
        let lacks = examined?;
        removed.map_err(|e| failure::of("delete an object", e))?;
        Ok(lacks)
    }

    async fn examine_at(&self, path: &Path) -> Result<Vec<Lack>, BlobError> {
        let mut lacks = Vec::new();
        if !self.put_twice(path).await? {
            lacks.push(Lack::Conditions);
        }
        let range = GetRange::Bounded(8..14);
        let options = GetOptions { range: Some(range), ..GetOptions::default() };
        let read = hearing(async {
            let found = self.0.store.get_opts(path, options).await?;
            found.bytes().await
        });
        let read = read.await.map_err(|e| failure::of("read an object", e))?;
        if read != BYTES[8..14] {
            return Err(Said::Nonsense.error("read a part of an object"));
        }
        self.list(None, 1).await?;
        let begun = self.0.store.create_multipart_opts(path, PutMultipartOptions::default());
        let id = hearing(begun).await.map_err(|e| failure::of("begin an upload", e))?;
        let listed = self.list_uploads(None, 1).await;
        let aborted = hearing(self.0.store.abort_multipart(path, &id)).await;
        aborted.map_err(|e| failure::of("abort an upload", e))?;
        match listed {
            Ok(_) => {}
            Err(said) if said.is_unsupported() => lacks.push(Lack::UploadList),
            Err(said) => return Err(said.error("list the uploads")),
        }
        match self.has_parts(path, &id).await {
            Ok(_) => Ok(lacks),
            Err(said) => Err(said.error("list the parts of an upload")),
        }
    }

    /// Whether the second of two writers is refused.
    async fn put_twice(&self, path: &Path) -> Result<bool, BlobError> {
        const ACTION: &str = "store an object";
        let put = |mode| {
            let options = PutOptions { mode, ..PutOptions::default() };
            let payload = PutPayload::from(Bytes::from_static(BYTES));
            hearing(self.0.store.put_opts(path, payload, options))
        };
        put(PutMode::Overwrite).await.map_err(|e| failure::of(ACTION, e))?;
        match put(PutMode::Create).await {
            Ok(_) => Ok(false),
            Err((error, said)) => {
                let said = said_by(&error, said);
                if said.is_taken() {
                    Ok(true)
                } else if said.is_unsupported() {
                    Ok(false)
                } else {
                    Err(said.error(ACTION))
                }
            }
        }
    }
}
