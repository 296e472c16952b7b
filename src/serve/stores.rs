//! The store, for many requests at once: its calls block, so each runs on a thread for that, some at a time.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::error::{ApiError, Code};
use super::limits::{MAX_STORE_CALLS, STORE_WAIT};
use super::lock;
use crate::edge::store::{Store, StoreError};

/// Open stores that wait for the next call.
#[derive(Debug)]
pub(super) struct Stores {
    path: PathBuf,
    idle: Mutex<Vec<Store>>,
    turns: Arc<Semaphore>,
}

impl Stores {
    pub(super) fn new(path: &Path) -> Self {
        let turns = Arc::new(Semaphore::new(MAX_STORE_CALLS));
        Self { path: path.to_owned(), idle: Mutex::default(), turns }
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
    /// Once begun it runs to its end, and has its turn until then, whether or not it is still waited for.
    ///
    /// # Errors
    /// Those of `call`; 503 where its turn did not come.
    pub(super) async fn call<T, F>(self: &Arc<Self>, call: F) -> Result<T, ApiError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Store) -> Result<T, ApiError> + Send + 'static,
    {
        let Ok(Ok(turn)) = timeout(STORE_WAIT, self.turns.clone().acquire_owned()).await else {
            let seconds = STORE_WAIT.as_secs();
            return Err(ApiError::unavailable(format!("the store was busy for {seconds} s; try again")));
        };
        let stores = self.clone();
        let called = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            let idle = lock(&stores.idle).pop();
            let mut store = idle.map_or_else(|| stores.open(), Ok)?;
            let answer = call(&mut store)?;
            // After an error it is opened anew: the file may be another one.
            lock(&stores.idle).push(store);
            Ok(answer)
        });
        called.await.unwrap_or_else(|_| {
            Err(ApiError::new(Code::Internal, "the request failed by a fault of this program"))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn a_call_that_nobody_waits_for_any_more_keeps_its_turn_until_it_is_done() {
        let place = tempfile::tempdir().expect("a directory");
        let stores = Arc::new(Stores::new(&place.path().join("store.db")));
        let (begun, has_begun) = mpsc::channel();
        let (go, may_go) = mpsc::channel::<()>();
        let waiting = tokio::spawn({
            let stores = stores.clone();
            async move {
                let call = move |_: &mut Store| {
                    begun.send(()).expect("it is waited for");
                    may_go.recv().expect("it is let go");
                    Ok(())
                };
                stores.call(call).await
            }
        });
        let has_begun = tokio::task::spawn_blocking(move || has_begun.recv());
        has_begun.await.expect("no panic").expect("it begins");
        waiting.abort();
        assert!(waiting.await.is_err_and(|e| e.is_cancelled()));
        assert_eq!(stores.turns.available_permits(), MAX_STORE_CALLS - 1);
        go.send(()).expect("it waits");
        let all = u32::try_from(MAX_STORE_CALLS).expect("a small number");
        assert!(stores.turns.acquire_many(all).await.is_ok(), "its turn is free then");
    }
}
