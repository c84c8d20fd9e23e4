//! Opens the storage locations that a configuration names.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::Semaphore;
use wire::reply::StorageInfo;

use super::serve::{OBJECTS_DIR, StartError};
use crate::blob::place::Bucket;
use crate::blob::s3::BucketSettings;
use crate::blob::{Blobs, LocalBlobs, Locations, Place, S3Blobs};
use crate::config::Config;
use crate::domain::media::DEFAULT_LOCATION;
use crate::fetch::trusted_roots;

/// Where uploads are written down, a directory for each location, in the data directory.
const UPLOADS_DIR: &str = "uploads";

/// All locations of a node with where they are, the default one first.
pub fn places(config: &Config) -> Vec<(&str, Place)> {
    let default = config.storage_url.clone();
    let default = default.unwrap_or_else(|| Place::Directory(config.data_dir.join(OBJECTS_DIR)));
    let named = config.storage_locations.iter().map(|(name, place)| (name.as_str(), place.clone()));
    std::iter::once((DEFAULT_LOCATION, default)).chain(named).collect()
}

/// The directory of the default location's objects; `None` when it is a bucket.
pub fn local_objects(config: &Config) -> Option<PathBuf> {
    match &config.storage_url {
        None => Some(config.data_dir.join(OBJECTS_DIR)),
        Some(Place::Directory(path)) => Some(path.clone()),
        Some(Place::Bucket(_)) => None,
    }
}

/// The endpoints of buckets that the configuration has as addresses: no source may lead there. What a
/// name stands for is judged like any other address.
pub(super) fn endpoints(config: &Config) -> Vec<SocketAddr> {
    let endpoint = |(_, place)| match place {
        Place::Directory(_) => None,
        Place::Bucket(bucket) => bucket.address(),
    };
    places(config).into_iter().filter_map(endpoint).collect()
}

/// Opens all of them. Buckets are not asked anything yet.
///
/// # Errors
/// [`StartError`] when a directory cannot be made, or roots cannot be read.
pub(super) async fn open(config: &Config) -> Result<Locations, StartError> {
    let slots = Arc::new(Semaphore::new(config.storage_parts));
    let mut locations: Option<Locations> = None;
    for (name, place) in places(config) {
        let blobs: Arc<dyn Blobs> = match place {
            Place::Directory(path) => Arc::new(LocalBlobs::open(path).await?),
            Place::Bucket(bucket) => {
                let settings = bucket_settings(config, name, bucket, slots.clone())?;
                Arc::new(S3Blobs::open(settings)?)
            }
        };
        locations = Some(match locations {
            None => Locations::new(blobs),
            Some(others) => others.and(name.to_owned(), blobs),
        });
    }
    locations.ok_or(StartError::Storage)
}

/// What a bucket is opened with.
///
/// # Errors
/// When it has no key, or the extra roots cannot be read.
pub fn bucket_settings(
    config: &Config,
    location: &str,
    bucket: Bucket,
    slots: Arc<Semaphore>,
) -> Result<BucketSettings, StartError> {
    let key = config.storage_keys.get(location).cloned().ok_or(StartError::Storage)?;
    Ok(BucketSettings {
        bucket,
        key,
        roots: Arc::new(trusted_roots(config.extra_ca.as_deref())?),
        timeout: config.storage_timeout,
        part_bytes: config.storage_part_bytes,
        slots,
        journal: config.data_dir.join(UPLOADS_DIR).join(location),
    })
}

/// What an operator is shown of them.
pub(super) fn shown(config: &Config) -> Vec<StorageInfo> {
    let shown = |(location, place): (&str, Place)| StorageInfo {
        location: location.to_owned(),
        kind: place.kind().to_owned(),
        place: place.to_string(),
    };
    places(config).into_iter().map(shown).collect()
}
