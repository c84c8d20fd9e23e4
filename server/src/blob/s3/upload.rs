//! How a staged file becomes an object of a bucket.
//!
//! A small one is one request. A larger one goes up in parts: the upload is begun, its id written
//! down on stable storage, the parts sent a few at a time, and then put together in one step that
//! makes the object visible. Whatever answer got lost on the way, a look at the object tells how
//! the step came out: it carries its digests. What did not become an object is aborted, and looked
//! at until no part is left; what could not be aborted stays in the journal for the sweep.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::{
    Attribute, Attributes, GetOptions, ObjectStore, PutMode, PutMultipartOptions, PutOptions,
    PutPayload,
};

use super::S3Blobs;
use super::failure::{self, Said, said_by};
use super::transport::hearing;
use crate::blob::digests::Running;
use crate::blob::spool::{Staged, blocking};
use crate::blob::{BlobError, Upload};
use crate::door::random;

/// Parts of one upload that travel at once.
const PARTS_AT_ONCE: usize = 4;
/// Most parts of an upload (S3 and OSS).
const PARTS_LIMIT: u64 = 10_000;
/// Tries of a step whose outcome was not clear and that had not taken place.
const TRIES: u32 = 4;
const PAUSE: Duration = Duration::from_millis(200);
/// Aborts of one upload in a row: a part that was on its way may arrive after the first.
const ABORTS: usize = 4;
/// What an object says of itself, in the metadata that a client chooses: its CRC-64/XZ, decimal, and
/// its SHA-256, lower-case hex, where that was computed.
const CRC64: &str = "haulage-crc64";
const SHA256: &str = "haulage-sha256";
const SEND: &str = "store an object";

/// What lies under a key.
enum Found {
    Nothing,
    Same,
    /// As long as it should be, and it does not say what it is.
    SameSize,
    Other,
}

impl S3Blobs {
    pub(super) async fn upload(&self, staged: Staged, object_key: &str) -> Result<(), BlobError> {
        let path = self.path(object_key)?;
        // Also tells a missing right or bucket before gigabytes are sent.
        if self.is_there(&path, &staged).await? {
            staged.remove();
            return Ok(());
        }
        let opened = staged.path().to_owned();
        let file = blocking("open a staged file", move || File::open(opened)).await?;
        let file = Arc::new(file);
        if staged.size() <= self.0.part_bytes {
            self.put_whole(&path, &staged, &file).await?;
        } else {
            self.put_in_parts(&path, object_key, &staged, &file).await?;
        }
        staged.remove();
        Ok(())
    }

    async fn put_whole(
        &self,
        path: &Path,
        staged: &Staged,
        file: &Arc<File>,
    ) -> Result<(), BlobError> {
        let _slot = self.slot().await;
        let bytes = read_part(file, 0, staged.size()).await?;
        let put = || async {
            let mode = if self.is_conditional() { PutMode::Create } else { PutMode::Overwrite };
            let attributes = attributes(staged);
            let options = PutOptions { mode, attributes, ..PutOptions::default() };
            let payload = PutPayload::from(bytes.clone());
            let done = hearing(self.0.store.put_opts(path, payload, options)).await;
            done.map(|_| ()).map_err(|(error, said)| said_by(&error, said))
        };
        self.settle(path, staged, put).await.map(|_| ())
    }

    async fn put_in_parts(
        &self,
        path: &Path,
        object_key: &str,
        staged: &Staged,
        file: &Arc<File>,
    ) -> Result<(), BlobError> {
        let attributes = attributes(staged);
        let options = PutMultipartOptions { attributes, ..PutMultipartOptions::default() };
        let begun = hearing(self.0.store.create_multipart_opts(path, options)).await;
        let upload_id = begun.map_err(|e| failure::of("begin an upload", e))?;
        let upload = Upload { object_key: object_key.to_owned(), upload_id };
        // Not one part before this: what is not written down could be left behind by a crash.
        let entry = match self.0.journal.begin(&upload).await {
            Ok(entry) => entry,
            Err(error) => {
                if let Err(error) = self.abort_until_empty(&upload).await {
                    tracing::warn!(object_key, %error, "an upload stays that is not written down");
                }
                return Err(error);
            }
        };
        let done = match self.send_parts(path, &upload, staged, file).await {
            Ok(parts) => self.put_together(path, &upload, staged, &parts).await,
            Err(error) => Err(error),
        };
        if done.is_ok() {
            entry.forget().await;
            return done;
        }
        match self.abort_until_empty(&upload).await {
            Ok(()) => entry.forget().await,
            Err(error) => {
                tracing::warn!(object_key, %error, "cannot abort an upload; the sweep will");
            }
        }
        done
    }

    async fn send_parts(
        &self,
        path: &Path,
        upload: &Upload,
        staged: &Staged,
        file: &Arc<File>,
    ) -> Result<Vec<PartId>, BlobError> {
        let size = staged.size();
        let part = part_bytes(self.0.part_bytes, size);
        let count = usize::try_from(size.div_ceil(part)).unwrap_or(usize::MAX);
        let sent = stream::iter(0..count).map(|index| async move {
            let _slot = self.slot().await;
            let start = index as u64 * part;
            let bytes = read_part(file, start, part.min(size - start)).await?;
            let payload = PutPayload::from(bytes);
            let put = self.0.store.put_part(path, &upload.upload_id, index, payload);
            hearing(put).await.map_err(|e| failure::of("send a part of an object", e))
        });
        sent.buffered(PARTS_AT_ONCE).try_collect().await
    }

    /// The step that makes the object visible.
    async fn put_together(
        &self,
        path: &Path,
        upload: &Upload,
        staged: &Staged,
        parts: &[PartId],
    ) -> Result<(), BlobError> {
        let complete = || async {
            if self.is_conditional() {
                return self.complete_new(path, &upload.upload_id, parts).await;
            }
            let store = &self.0.store;
            let done = store.complete_multipart(path, &upload.upload_id, parts.to_vec());
            let done = hearing(done).await;
            done.map(|_| ()).map_err(|(error, said)| said_by(&error, said))
        };
        if self.settle(path, staged, complete).await? == Settled::Seen {
            return Ok(());
        }
        match self.look(path, staged).await? {
            Found::Same | Found::SameSize => Ok(()),
            Found::Nothing => Err(Said::Nonsense.error("put the parts of an object together")),
            // The key is this attempt's alone, so what lies there is ours and damaged.
            Found::Other => {
                let removed = hearing(self.remove(path)).await;
                removed.map_err(|e| failure::of("delete an object", e))?;
                Err(Said::Nonsense.error("put the parts of an object together"))
            }
        }
    }

    /// Runs a step that makes an object until it is certain that it took place or did not. After
    /// a failure the object itself is asked, because an answer may have been lost.
    async fn settle<F, Fut>(
        &self,
        path: &Path,
        staged: &Staged,
        step: F,
    ) -> Result<Settled, BlobError>
    where
        F: Fn() -> Fut,
        Fut: Future<Output = Result<(), Said>>,
    {
        let mut tries = 0;
        loop {
            let conditional = self.is_conditional();
            let Err(said) = step().await else { return Ok(Settled::Told) };
            tries += 1;
            if conditional && said.is_unsupported() {
                // Only once for a bucket: what it lacks, the token in the key makes up for.
                tracing::info!(bucket = %self.0.bucket, "conditional requests are not supported");
                self.0.conditional.store(false, Ordering::Relaxed);
                continue;
            }
            if self.is_there(path, staged).await? {
                return Ok(Settled::Seen);
            }
            let passing = said.is_transient() || said.is_taken();
            if !passing || tries >= TRIES {
                return Err(said.error(SEND));
            }
            tokio::time::sleep(PAUSE.mul_f64(f64::from(tries) + random::fraction())).await;
        }
    }

    /// Whether the object lies there already, read again if it does not say what it is.
    async fn is_there(&self, path: &Path, staged: &Staged) -> Result<bool, BlobError> {
        match self.look(path, staged).await? {
            Found::Nothing => Ok(false),
            Found::Same => Ok(true),
            Found::SameSize if self.reads_the_same(path, staged).await? => Ok(true),
            Found::SameSize | Found::Other => Err(BlobError::Taken(path.to_string())),
        }
    }

    async fn look(&self, path: &Path, staged: &Staged) -> Result<Found, BlobError> {
        let options = GetOptions { head: true, ..GetOptions::default() };
        let found = match hearing(self.0.store.get_opts(path, options)).await {
            Ok(found) => found,
            Err((error, said)) => {
                // The answer to HEAD has no body, so a missing bucket looks like a missing object;
                // the request that follows tells.
                let said = said_by(&error, said);
                let none = said.is_not_there();
                return if none {
                    Ok(Found::Nothing)
                } else {
                    Err(said.error("look for an object"))
                };
            }
        };
        if found.meta.size != staged.size() {
            return Ok(Found::Other);
        }
        let says = |name: &'static str| {
            found.attributes.get(&Attribute::Metadata(name.into())).map(|value| value.to_string())
        };
        // What is not said is never taken for equal.
        let Some(crc64) = says(CRC64) else { return Ok(Found::SameSize) };
        let same_sha256 = match (says(SHA256), staged.sha256()) {
            (Some(theirs), Some(ours)) => theirs == ours,
            (None, _) | (_, None) => true,
        };
        let same = crc64 == staged.crc64().to_string() && same_sha256;
        Ok(if same { Found::Same } else { Found::Other })
    }

    /// Whether the object's bytes are the staged ones.
    async fn reads_the_same(&self, path: &Path, staged: &Staged) -> Result<bool, BlobError> {
        const ACTION: &str = "read an object again";
        let opened = hearing(self.0.store.get_opts(path, GetOptions::default())).await;
        let mut pieces = opened.map_err(|e| failure::of(ACTION, e))?.into_stream();
        let mut found = Running::new();
        while let Some(piece) =
            hearing(pieces.try_next()).await.map_err(|e| failure::of(ACTION, e))?
        {
            found.update(&piece);
        }
        Ok(staged.agrees_with(&found.finish()))
    }

    /// Ends an upload, and looks until nothing of it is left: a part that was on its way when the
    /// abort came stays otherwise, and is paid for.
    pub(super) async fn abort_until_empty(&self, upload: &Upload) -> Result<(), BlobError> {
        const ACTION: &str = "abort an upload";
        let path = self.any_path(&upload.object_key);
        for _ in 0..ABORTS {
            let abort = self.0.store.abort_multipart(&path, &upload.upload_id);
            if let Err((error, said)) = hearing(abort).await {
                let said = said_by(&error, said);
                if !said.is_not_there() {
                    return Err(said.error(ACTION));
                }
            }
            match self.has_parts(&path, &upload.upload_id).await {
                Ok(false) => return Ok(()),
                Ok(true) => {}
                // The abort was answered; who cannot list has done what can be done.
                Err(said) if said.is_unsupported() => return Ok(()),
                Err(said) => return Err(said.error("list the parts of an upload")),
            }
        }
        Err(Said::Nonsense.error(ACTION))
    }

    /// A place for one part in memory.
    async fn slot(&self) -> Option<tokio::sync::SemaphorePermit<'_>> {
        // Nobody closes it; if somebody did, there would be no limit any more.
        self.0.slots.acquire().await.ok()
    }

    fn is_conditional(&self) -> bool {
        self.0.conditional.load(Ordering::Relaxed)
    }
}

/// How it became certain that a step took place.
#[derive(PartialEq, Eq)]
enum Settled {
    /// The storage answered so.
    Told,
    /// The object is there, whole.
    Seen,
}

/// Bytes of a part: as configured, or more where that would make too many of them.
fn part_bytes(configured: u64, size: u64) -> u64 {
    configured.max(size.div_ceil(PARTS_LIMIT))
}

fn attributes(staged: &Staged) -> Attributes {
    let mut attributes = Attributes::new();
    let mut say = |name: &'static str, value: String| {
        attributes.insert(Attribute::Metadata(name.into()), value.into());
    };
    say(CRC64, staged.crc64().to_string());
    if let Some(sha256) = staged.sha256() {
        say(SHA256, sha256);
    }
    attributes
}

async fn read_part(file: &Arc<File>, start: u64, len: u64) -> Result<Bytes, BlobError> {
    let file = Arc::clone(file);
    blocking("read a staged file", move || {
        let len = usize::try_from(len).map_err(std::io::Error::other)?;
        let mut part = vec![0; len];
        file.read_exact_at(&mut part, start)?;
        Ok(Bytes::from(part))
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_object_has_more_parts_than_the_service_takes() {
        let part = 16 << 20;
        let most = part * PARTS_LIMIT;
        for (size, bytes) in [(1, part), (most, part), (most + 1, part + 1), (most * 2, part * 2)] {
            assert_eq!(part_bytes(part, size), bytes, "of {size}");
            assert!(size.div_ceil(bytes) <= PARTS_LIMIT);
        }
    }
}
