//! UploadMediaByURL (§9.1): URLs and their metadata become sources.

use sha2::{Digest, Sha256};

use super::metadata::{Metadatas, is_illegal};
use super::reader::Reader;
use super::{Source, UploadMediaByUrl, url, user_data};
use crate::code::Fault;
use crate::params::Params;
use crate::spec::{COMMON_PARAMETERS, Kind, METADATA_FIELDS};

/// Title of a source whose URL has no file name.
const NO_TITLE: &str = "untitled";

/// Common parameters that some clients add and the table does not list: they differ between two
/// tries of the same call, or say nothing about it.
const OTHER_COMMON_PARAMETERS: [&str; 6] = [
    "TimeStamp",
    "BearerToken",
    "OwnerId",
    "OwnerAccount",
    "ResourceOwnerId",
    "ResourceOwnerAccount",
];

impl UploadMediaByUrl {
    pub(super) fn read(reader: &Reader<'_>) -> Result<Self, Fault> {
        let urls = reader.urls("UploadURLs")?.unwrap_or_default();
        let call = Call::read(reader)?;
        let mut sources: Vec<Source> = Vec::with_capacity(urls.len());
        for (at, url) in urls.into_iter().enumerate() {
            let occurrence = sources.iter().filter(|source| source.url == url).count();
            sources.push(call.source(at + 1, url, occurrence)?);
        }
        // Checked, and without effect: they concern work that the server does not do.
        reader.boolean("EnableFirstFrameCover")?;
        reader.boolean("GenerateThumbnail")?;
        Ok(Self {
            sources,
            session_id: reader.text("SessionId")?.map(str::to_owned),
            fingerprint: fingerprint(reader.params()),
        })
    }
}

/// What a call says about all its URLs.
struct Call<'a> {
    metadatas: Metadatas,
    template_group_id: Option<&'a str>,
    workflow_id: Option<&'a str>,
    storage_location: Option<&'a str>,
    app_id: Option<&'a str>,
    user_data: Option<&'a str>,
}

impl<'a> Call<'a> {
    fn read(reader: &Reader<'a>) -> Result<Self, Fault> {
        let metadatas = match reader.text("UploadMetadatas")? {
            Some(text) => Metadatas::parse(text)?,
            None => Metadatas::none(),
        };
        let user_data = reader.text("UserData")?;
        if let Some(text) = user_data {
            user_data::parse(text)?;
        }
        Ok(Self {
            metadatas,
            template_group_id: reader.text("TemplateGroupId")?,
            workflow_id: reader.text("WorkflowId")?,
            storage_location: reader.text("StorageLocation")?,
            app_id: reader.text("AppId")?,
            user_data,
        })
    }

    /// The source for item `number` (from 1), the `occurrence`-th of its URL.
    fn source(&self, number: usize, url: String, occurrence: usize) -> Result<Source, Fault> {
        let mut source = Source {
            template_group_id: self.template_group_id.map(str::to_owned),
            workflow_id: self.workflow_id.map(str::to_owned),
            storage_location: self.storage_location.map(str::to_owned),
            app_id: self.app_id.map(str::to_owned),
            user_data: self.user_data.map(str::to_owned),
            ..Source::default()
        };
        let mut extension = url::extension(&url);
        if let Some(entry) = self.metadatas.of(&url, occurrence) {
            extension = entry.file_extension()?.or(extension);
            source.title = entry.prose("Title")?.unwrap_or_default().to_owned();
            source.title_given = !source.title.is_empty();
            source.description = entry.prose("Description")?.map(str::to_owned);
            source.tags = entry.tags()?.map(str::to_owned);
            source.cover_url = entry.cover_url()?;
            source.cate_id = entry.integer("CateId")?;
            source.file_size = entry.integer("FileSize")?.map(i64::unsigned_abs);
            source.priority = entry.priority()?;
            source.md5 = entry.digest("Md5")?;
            source.sha256 = entry.digest("Sha256")?;
            source.crc64 = entry.crc64()?;
            source.headers = entry.headers()?;
            source.reference_id = entry.id("ReferenceId")?.map(str::to_owned);
            override_with(&mut source.template_group_id, entry.id("TemplateGroupId")?);
            override_with(&mut source.workflow_id, entry.id("WorkflowId")?);
        }
        let extension = extension.ok_or_else(|| {
            let why = format_args!("Item {number}: it does not end in a supported extension.");
            Fault::invalid_because("UploadURLs", why)
        })?;
        if !source.title_given {
            source.title = title_from(&url);
        }
        Ok(Source { url, extension: extension.to_owned(), ..source })
    }
}

fn override_with(value: &mut Option<String>, better: Option<&str>) {
    if let Some(better) = better {
        *value = Some(better.to_owned());
    }
}

/// The URL's file name as a title: what a title may not contain left out, and cut to the limit.
fn title_from(url: &str) -> String {
    let limit = METADATA_FIELDS.iter().find_map(|field| match (field.name, field.kind) {
        ("Title", Kind::Text { max }) => Some(max),
        _ => None,
    });
    let mut title: String = url::file_name(url).chars().filter(|c| !is_illegal(*c)).collect();
    title.truncate(title.floor_char_boundary(limit.unwrap_or(usize::MAX)));
    if title.trim().is_empty() { NO_TITLE.to_owned() } else { title }
}

/// See [`UploadMediaByUrl::fingerprint`]. Lengths are hashed with the texts, so that no two lists
/// of parameters run into each other; empty values count as absent.
fn fingerprint(params: &Params) -> [u8; 32] {
    let is_common = |name: &str| {
        COMMON_PARAMETERS.iter().any(|common| common.name == name)
            || OTHER_COMMON_PARAMETERS.contains(&name)
    };
    let mut hash = Sha256::new();
    for (name, value) in params.sorted() {
        if is_common(name) || value.is_empty() {
            continue;
        }
        for text in [name, value] {
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text);
        }
    }
    hash.finalize().into()
}
