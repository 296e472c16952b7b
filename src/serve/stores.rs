//! The store, for many requests at once: its calls block, so each runs on a thread for that, some at a time.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::error::{ApiError, Code};
use super::limits::{MAX_STORE_CALLS, STORE_WAIT};
use crate::edge::store::{Store, StoreError};

/// Open stores that wait for the next call.
#[derive(Debug)]
pub(super) struct Stores {
    path: PathBuf,
    idle: Mutex<Vec<Store>>,
    turns: Semaphore,
}

impl Stores {
    pub(super) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), idle: Mutex::default(), turns: Semaphore::new(MAX_STORE_CALLS) }
    }

    /// The database's file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// A store of its own, which waits for locks no longer than [`STORE_WAIT`].
    ///
    /// # Errors
    /// Those of opening it.
    pub(super) fn open(&self) -> Result<Store, StoreError> {
        let store = Store::open(&self.path)?;
        store.wait_at_most(STORE_WAIT)?;
        Ok(store)
    }

    /// Has `call` run with the store on a thread that may block. Where all are busy for [`STORE_WAIT`], it does not run.
    ///
    /// # Errors
    /// Those of `call`; 503 where its turn did not come.
    pub(super) async fn call<T, F>(self: &std::sync::Arc<Self>, call: F) -> Result<T, ApiError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Store) -> Result<T, ApiError> + Send + 'static,
    {
        let Ok(Ok(_turn)) = timeout(STORE_WAIT, self.turns.acquire()).await else {
            let seconds = STORE_WAIT.as_secs();
            return Err(ApiError::unavailable(format!("the store was busy for {seconds} s; try again")));
        };
        let stores = self.clone();
        let called = tokio::task::spawn_blocking(move || {
            let idle = stores.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let mut store = idle.map_or_else(|| stores.open(), Ok)?;
            let answer = call(&mut store)?;
            // After an error it is opened anew: the file may be another one.
            stores.idle.lock().unwrap_or_else(PoisonError::into_inner).push(store);
            Ok(answer)
        });
        called.await.unwrap_or_else(|_| {
            Err(ApiError::new(Code::Internal, "the request failed by a fault of this program"))
        })
    }
}
