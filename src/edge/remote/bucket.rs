//! A bucket as a place that holds event files.
//!
//! An object is written whole each time it grows. A new generation that begins as the one before is the same file,
//! longer; which it is the tail finds out by the first bytes. What is read belongs to the generation that was
//! listed, or is not read at all.

use std::collections::BTreeMap;
use std::fmt;
use std::io;

use futures_util::TryStreamExt;
use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::path::Path;
use object_store::{
    Error, GetOptions, GetRange, ObjectMeta, ObjectStore, ObjectStoreExt, ObjectStoreScheme, RetryConfig,
};
use reqwest::Url;
use tfevents::follow::ListError;
use tfevents::follow::Place;
use tokio::runtime::Runtime;

use crate::layout::is_followed;
use crate::limits::{MAX_READ_RETRIES, REMOTE_PATIENCE};
use tfevents::tail::{FileId, Listed};

/// Everything below a prefix of a bucket.
pub struct Bucket {
    runtime: Runtime,
    store: Box<dyn ObjectStore>,
    prefix: Path,
    /// The generation of each object that was seen last, by its path below the prefix.
    seen: BTreeMap<String, ObjectMeta>,
}

impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bucket")
            .field("store", &self.store.to_string())
            .field("prefix", &self.prefix)
            .finish()
    }
}

impl Bucket {
    /// The objects below `address`. Credentials and the endpoint come from the variables that the stores' own
    /// tools take (`AWS_*`, `GOOGLE_*`, `AZURE_*`), out of `environment`.
    ///
    /// # Errors
    /// The address is none, or credentials are incomplete; what to set is said.
    pub fn open(address: &str, environment: impl Iterator<Item = (String, String)>) -> io::Result<Self> {
        let bad = |e: &dyn fmt::Display| io::Error::new(io::ErrorKind::InvalidInput, e.to_string());
        // Without a provider every connection by TLS fails; another may be there already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let url = Url::parse(address).map_err(|e| bad(&e))?;
        let (scheme, prefix) = ObjectStoreScheme::parse(&url).map_err(|e| bad(&e))?;
        let retry = RetryConfig {
            max_retries: MAX_READ_RETRIES as usize,
            retry_timeout: REMOTE_PATIENCE,
            ..RetryConfig::default()
        };
        let options = environment.map(|(name, value)| (name.to_ascii_lowercase(), value));
        let store: Box<dyn ObjectStore> = match scheme {
            ObjectStoreScheme::AmazonS3 => {
                let builder = options
                    .filter_map(|(name, value)| {
                        Some((name.strip_prefix("aws_").map(|_| name.parse())?.ok()?, value))
                    })
                    .fold(AmazonS3Builder::new().with_url(address), |b, (key, value)| {
                        b.with_config(key, value)
                    });
                Box::new(builder.with_retry(retry).build().map_err(|e| bad(&e))?)
            }
            ObjectStoreScheme::GoogleCloudStorage => {
                let builder = options
                    .filter_map(|(name, value)| {
                        Some((name.strip_prefix("google_").map(|_| name.parse())?.ok()?, value))
                    })
                    .fold(GoogleCloudStorageBuilder::new().with_url(address), |b, (key, value)| {
                        b.with_config(key, value)
                    });
                Box::new(builder.with_retry(retry).build().map_err(|e| bad(&e))?)
            }
            ObjectStoreScheme::MicrosoftAzure => {
                let builder = options
                    .filter_map(|(name, value)| {
                        Some((name.strip_prefix("azure_").map(|_| name.parse())?.ok()?, value))
                    })
                    .fold(MicrosoftAzureBuilder::new().with_url(address), |b, (key, value)| {
                        b.with_config(key, value)
                    });
                Box::new(builder.with_retry(retry).build().map_err(|e| bad(&e))?)
            }
            _ => {
                return Err(bad(&format!(
                    "{address}: want gs://BUCKET/PATH, s3://BUCKET/PATH or az://CONTAINER/PATH"
                )));
            }
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Self { runtime, store, prefix, seen: BTreeMap::new() })
    }

    /// The content of the one object that the address names.
    ///
    /// # Errors
    /// Errors of the store.
    pub fn fetch(&self) -> io::Result<Vec<u8>> {
        let got = self.runtime.block_on(async { self.store.get(&self.prefix).await?.bytes().await });
        Ok(got.map_err(io::Error::other)?.into())
    }

    fn path_of(&self, path: &str) -> Result<Path, Error> {
        let mut whole = self.prefix.to_string();
        if !whole.is_empty() {
            whole.push('/');
        }
        whole.push_str(path);
        Ok(Path::parse(whole)?)
    }
}

impl Place for Bucket {
    fn list(&mut self) -> (Vec<Listed>, Vec<ListError>) {
        let prefix = (!self.prefix.as_ref().is_empty()).then_some(&self.prefix);
        let mut objects = Vec::new();
        let listed = self.runtime.block_on(async {
            let mut listing = self.store.list(prefix);
            while let Some(object) = listing.try_next().await? {
                objects.push(object);
            }
            Ok::<(), Error>(())
        });
        let mut files = Vec::new();
        for object in objects {
            let below = object.location.as_ref().strip_prefix(self.prefix.as_ref()).unwrap_or_default();
            let path = below.trim_start_matches('/').to_owned();
            if is_followed(&path) {
                files.push(describe(&path, &object));
                self.seen.insert(path, object);
            }
        }
        files.sort_by(|a, b| a.path.cmp(&b.path));
        let errors = listed.err().map(|e| ListError { path: self.store.to_string(), error: told(e) });
        (files, errors.into_iter().collect())
    }

    fn look(&mut self, path: &str) -> io::Result<Option<Listed>> {
        let whole = self.path_of(path).map_err(told)?;
        let object = self.runtime.block_on(self.store.head(&whole)).map_err(told)?;
        let listed = is_followed(path).then(|| describe(path, &object));
        self.seen.insert(path.to_owned(), object);
        Ok(listed)
    }

    fn read(&mut self, path: &str, _: FileId, offset_bytes: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(object) = self.seen.get(path) else { return Err(io::ErrorKind::NotFound.into()) };
        let end = object.size.min(offset_bytes.saturating_add(buffer.len() as u64));
        if offset_bytes >= end {
            return Ok(0);
        }
        let options = GetOptions {
            range: Some(GetRange::Bounded(offset_bytes..end)),
            if_match: object.e_tag.clone(),
            version: object.version.clone().filter(|_| object.e_tag.is_none()),
            ..GetOptions::default()
        };
        let location = object.location.clone();
        let bytes =
            self.runtime.block_on(async { self.store.get_opts(&location, options).await?.bytes().await });
        let bytes = bytes.map_err(told)?;
        let room = buffer
            .get_mut(..bytes.len())
            .ok_or_else(|| io::Error::other("the store gave more than was asked for"))?;
        room.copy_from_slice(&bytes);
        Ok(bytes.len())
    }
}

/// An object as the tail knows files: it is one file as long as it has its path.
fn describe(path: &str, object: &ObjectMeta) -> Listed {
    let generation = (object.e_tag.as_deref(), object.version.as_deref());
    let generation = format!("{generation:?}");
    Listed {
        path: path.to_owned(),
        // No local device has this number.
        id: FileId { device: u64::MAX, inode: hash(path.as_bytes()) },
        bytes: object.size,
        // Generations may follow each other within the second that stores count in.
        modified_ns: i128::from(object.last_modified.timestamp_micros()) << 64
            | i128::from(hash(generation.as_bytes())),
    }
}

/// FNV-1a: the same for the same bytes in every version of the program.
fn hash(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}

/// A store's error by its kind: a lack of permission and of the object last, everything else may pass.
fn told(error: Error) -> io::Error {
    let text = error.to_string();
    // What a listing met is told in words only.
    let says = |word: &str| text.contains(word);
    let kind = match &error {
        Error::Precondition { .. } => {
            return io::Error::other("a new generation was written while it was read");
        }
        Error::NotFound { .. } => io::ErrorKind::NotFound,
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => io::ErrorKind::PermissionDenied,
        _ if says("403 Forbidden") || says("401 Unauthorized") => io::ErrorKind::PermissionDenied,
        _ => io::ErrorKind::Other,
    };
    io::Error::new(kind, in_short(&text))
}

/// The store's answer without the request, how long it took, and the page that came with it.
fn in_short(text: &str) -> String {
    let answer = text.rsplit_once(" - ").map_or(text, |(_, answer)| answer);
    let answer = answer.split(": <").next().unwrap_or(answer);
    answer.lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::super::is_address;
    use super::*;

    #[test]
    fn an_error_is_told_in_short() {
        #[track_caller]
        fn check(text: &str, expected: &str) {
            assert_eq!(in_short(text), expected);
        }
        let answer = "Server returned non-2xx status code: 404 Not Found";
        check(
            &format!("Generic S3 error: GET http://x/b?prefix=j in 5.0ms - {answer}: <?xml?>\n<Error>"),
            answer,
        );
        check("no route to host", "no route to host");
    }

    #[test]
    fn an_object_is_one_file_and_each_generation_a_change() {
        let object = |e_tag: &str| ObjectMeta {
            location: Path::from("a"),
            last_modified: Default::default(),
            size: 5,
            e_tag: Some(e_tag.to_owned()),
            version: None,
        };
        let (first, second) = (describe("a", &object("1")), describe("a", &object("2")));
        assert_eq!(first.id, second.id);
        assert_ne!(first.modified_ns, second.modified_ns);
        assert_ne!(first.id, describe("b", &object("1")).id);
    }

    #[test]
    fn an_address_that_is_none_is_refused() {
        let open = |address: &str| Bucket::open(address, std::iter::empty()).map(|_| ());
        assert!(open("ftp://x/y").is_err());
        assert!(is_address("gs://b/p") && !is_address("/gs://b/p"));
    }
}
