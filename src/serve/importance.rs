//! How much each parameter of a job matters: the model behind it takes a moment, so it is kept, and made anew beside the
//! requests where trials have ended since.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::snapshots::Snapshot;
use super::summary::Share;
use crate::suggest::insight::insight;

/// The most jobs of which it is kept.
const MAX_KEPT: usize = 1_000;

/// What is known of jobs.
#[derive(Debug, Clone, Default)]
pub(super) struct Importances(Arc<Mutex<HashMap<String, Known>>>);

#[derive(Debug, Clone)]
struct Known {
    /// Of how many trials that had ended.
    n_ended: usize,
    shares: Option<Vec<Share>>,
    is_at_work: bool,
}

impl Importances {
    /// What is known of a job; of one that was never asked for, after a moment. Blocks.
    pub(super) fn of(&self, snapshot: &Snapshot) -> Option<Vec<Share>> {
        let id = &snapshot.known.stored.job.id;
        let n_ended = snapshot.known.n_ended();
        let known = self.lock().get(id).cloned();
        let Some(known) = known else {
            let shares = shares(snapshot);
            self.put(id, Known { n_ended, shares: shares.clone(), is_at_work: false });
            return shares;
        };
        if known.n_ended != n_ended && !known.is_at_work {
            self.put(id, Known { is_at_work: true, ..known.clone() });
            let (this, snapshot, id) = (self.clone(), snapshot.clone(), id.clone());
            tokio::task::spawn_blocking(move || {
                this.put(&id, Known { n_ended, shares: shares(&snapshot), is_at_work: false });
            });
        }
        known.shares
    }

    fn put(&self, id: &str, known: Known) {
        let mut all = self.lock();
        if all.len() >= MAX_KEPT {
            all.clear();
        }
        all.insert(id.to_owned(), known);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) fn shares(snapshot: &Snapshot) -> Option<Vec<Share>> {
    let insight = insight(snapshot.known.spec(), &snapshot.known.stored.trials)?;
    let share = |i: &crate::suggest::insight::Importance| Share {
        parameter: i.parameter.to_string(),
        share: i.share,
    };
    Some(insight.importance.iter().map(share).collect())
}
