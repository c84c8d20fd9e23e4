//! The storage locations of a node, by name. A call chooses one by `StorageLocation`, and each
//! stored object remembers the name of its own, so that it is played and removed where it lies.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{BlobError, Blobs};
use crate::domain::media::DEFAULT_LOCATION;

/// Never empty: every node has the default one.
#[derive(Clone, Debug)]
pub struct Locations(BTreeMap<String, Arc<dyn Blobs>>);

impl Locations {
    /// A node's locations, of which `default` is chosen when a call names none.
    pub fn new(default: Arc<dyn Blobs>) -> Self {
        Self(BTreeMap::from([(DEFAULT_LOCATION.to_owned(), default)]))
    }

    /// With one more.
    #[must_use]
    pub fn and(mut self, name: String, blobs: Arc<dyn Blobs>) -> Self {
        self.0.insert(name, blobs);
        self
    }

    /// The name that a call's choice stands for; `None` when there is no such location.
    pub fn choose<'a>(&self, asked: Option<&'a str>) -> Option<&'a str> {
        let name = asked.unwrap_or(DEFAULT_LOCATION);
        self.0.contains_key(name).then_some(name)
    }

    /// The location of a stored object.
    ///
    /// # Errors
    /// [`BlobError::UnknownLocation`] when the configuration names it no more.
    pub fn of(&self, name: &str) -> Result<&Arc<dyn Blobs>, BlobError> {
        self.0.get(name).ok_or_else(|| BlobError::UnknownLocation(name.to_owned()))
    }

    /// The origins that play URLs of these locations lead to, beside this server's.
    pub fn play_origins(&self) -> Vec<String> {
        self.0.values().filter_map(|blobs| blobs.play_origin()).collect()
    }

    /// All of them, by name.
    pub fn all(&self) -> impl Iterator<Item = (&str, &Arc<dyn Blobs>)> {
        self.0.iter().map(|(name, blobs)| (name.as_str(), blobs))
    }
}
