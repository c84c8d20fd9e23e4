//! Digests of stored media, for those who ask with `IncludeDigests`.

use wire::code::Fault;
use wire::reply::{Digests, UrlUploadInfo};

use super::{Ops, store_fault};
use crate::domain::id::Key;
use crate::domain::media::StoredObject;

pub(super) fn of(object: &StoredObject) -> Digests {
    Digests { sha256: object.sha256.clone(), crc64: object.crc64, md5: object.md5.clone() }
}

impl Ops {
    /// Adds the digests of jobs that have stored their medium, by one look-up for all. `keys` are
    /// those of `infos`, in the same order.
    pub(super) async fn add_digests(
        &self,
        keys: &[Key],
        infos: &mut [UrlUploadInfo],
    ) -> Result<(), Fault> {
        let objects = self.store.media_objects(keys).await.map_err(store_fault)?;
        for (key, info) in keys.iter().zip(infos) {
            let object = objects.iter().find(|(of, _)| of == key);
            info.digests = object.map(|(_, object)| of(object));
        }
        Ok(())
    }
}
