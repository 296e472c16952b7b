//! What changes in the store, as events for whoever watches: made once for all of them.
//!
//! The latest events are kept, so that a connection that broke goes on where it was. Whoever was away for longer reads
//! anew what it shows.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex};

use serde::Serialize;
use serde_json::json;
use tokio::sync::watch;

use super::error::ApiError;
use super::own::{CurvePoint, notes_of, reduce};
use super::snapshots::Snapshot;
use super::summary::{Note, TrialRow};
use super::{Shared, limits, lock};
use crate::edge::store::{Etag, Store};
use crate::study::Trial;
use crate::units::TrialId;

/// The most events that are kept for connections that broke, and their most bytes.
const MAX_KEPT: usize = 10_000;
/// See [`MAX_KEPT`].
const MAX_KEPT_BYTES: usize = 4 << 20;

/// The most points of one event; more of them come as a curve that is reduced to as many.
const MAX_POINTS: usize = 1_000;

/// An event.
#[derive(Debug, Clone)]
pub(super) struct FeedEvent {
    /// Its number: the first is 1.
    pub(super) number: u64,
    /// Its job.
    pub(super) job: Arc<str>,
    /// `job`, `trial`, `points` or `note`.
    pub(super) name: &'static str,
    /// What it says, in JSON.
    pub(super) data: Arc<str>,
}

/// All that is watched.
#[derive(Debug)]
pub(super) struct Feed {
    /// Tells numbers of this process from those of another one.
    instance: String,
    kept: Mutex<Kept>,
    latest: watch::Sender<u64>,
    /// Held for moments only. Where both are, `told` comes first.
    watched: Mutex<Watched>,
    /// Held while the store is read.
    told: Mutex<AllTold>,
}

#[derive(Debug, Default)]
struct Kept {
    events: VecDeque<FeedEvent>,
    n_bytes: usize,
}

#[derive(Debug, Default)]
struct Watched {
    /// How many watch all jobs.
    n_all: usize,
    /// How many watch a job.
    jobs: HashMap<String, usize>,
}

/// What those who watch have been told.
#[derive(Debug, Default)]
struct AllTold {
    /// Of each job that somebody watches.
    jobs: HashMap<String, Told>,
    /// Which revision of each job was told, and whether a process led it.
    summaries: HashMap<String, (Etag, bool)>,
}

/// What those who watch a job have been told.
#[derive(Debug, Default)]
struct Told {
    etag: Option<Etag>,
    last_note: Option<Note>,
    curves: BTreeMap<TrialId, ToldCurve>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct ToldCurve {
    n: u64,
    last: Option<i64>,
    run: u64,
}

impl Feed {
    /// Without events; `instance` is another text in each process.
    pub(super) fn new(instance: String) -> Self {
        Self {
            instance,
            kept: Mutex::default(),
            latest: watch::Sender::new(0),
            watched: Mutex::default(),
            told: Mutex::default(),
        }
    }

    /// The id of an event, for `Last-Event-ID`.
    pub(super) fn id_of(&self, number: u64) -> String {
        format!("{}-{number}", self.instance)
    }

    /// The number behind which a connection goes on: that of the event with this id, where all since then are kept;
    /// otherwise the latest.
    pub(super) fn behind(&self, last: Option<&str>) -> u64 {
        let latest = *self.latest.borrow();
        let number =
            last.and_then(|id| id.strip_prefix(&*self.instance)?.strip_prefix('-')?.parse::<u64>().ok());
        let first = lock(&self.kept).events.front().map_or(latest, |event| event.number - 1);
        number.filter(|number| (first..=latest).contains(number)).unwrap_or(latest)
    }

    /// The first event behind a number that is about a job, or any; waits for it. `None` where events behind it are not kept
    /// any more: whoever waits is to read anew what it shows.
    pub(super) async fn next(&self, behind: u64, job: Option<&str>) -> Option<FeedEvent> {
        let mut latest = self.latest.subscribe();
        let mut behind = behind;
        loop {
            let newest = *latest.borrow_and_update();
            {
                let kept = lock(&self.kept);
                let first = kept.events.front().map_or(newest + 1, |event| event.number);
                if first > behind + 1 {
                    return None;
                }
                let from = kept.events.partition_point(|event| event.number <= behind);
                let mut rest = kept.events.range(from..);
                let found = rest.find(|event| match job {
                    Some(job) => *event.job == *job,
                    None => event.name == "job",
                });
                if let Some(found) = found {
                    return Some(found.clone());
                }
            }
            behind = behind.max(newest);
            latest.changed().await.ok()?;
        }
    }

    /// Begins to watch a job, as it stands in `snapshot`.
    pub(super) fn watch(self: &Arc<Self>, snapshot: &Snapshot) -> Watching {
        let mut told = lock(&self.told);
        let stored = &snapshot.known.stored;
        let id = &stored.job.id;
        *lock(&self.watched).jobs.entry(id.clone()).or_default() += 1;
        told.jobs.entry(id.clone()).or_insert_with(|| Told::all_of(snapshot));
        told.summaries.entry(id.clone()).or_insert((stored.etag, snapshot.is_led));
        Watching { feed: self.clone(), job: Some(id.clone()) }
    }

    /// Begins to watch all jobs, as they stand in the store.
    ///
    /// # Errors
    /// The store cannot be read.
    pub(super) fn watch_all(self: &Arc<Self>, store: &Store) -> Result<Watching, ApiError> {
        let heads = store.heads()?;
        let mut told = lock(&self.told);
        lock(&self.watched).n_all += 1;
        for head in heads {
            let now = (head.etag, head.is_held());
            told.summaries.entry(head.id).or_insert(now);
        }
        Ok(Watching { feed: self.clone(), job: None })
    }

    /// Tells what has changed since the last look. What cannot be read of a job is told at the next look.
    ///
    /// # Errors
    /// The store cannot be read.
    pub(super) fn look(&self, shared: &Shared, store: &Store) -> Result<(), ApiError> {
        let mut told = lock(&self.told);
        let AllTold { jobs, summaries } = &mut *told;
        let watches_all = {
            let watched = lock(&self.watched);
            jobs.retain(|id, _| watched.jobs.contains_key(id));
            watched.n_all > 0
        };
        if jobs.is_empty() && !watches_all {
            summaries.clear();
            return Ok(());
        }
        let mut new = Vec::new();
        for head in store.heads()?.iter().filter(|head| !head.is_study) {
            let now = (head.etag, head.is_held());
            let of_job = jobs.get_mut(&head.id);
            if (of_job.is_none() && !watches_all) || summaries.get(&head.id) == Some(&now) {
                continue;
            }
            let job: Arc<str> = head.id.as_str().into();
            if let Some(of_job) = of_job {
                // One that cannot be read holds up no other.
                let Ok(snapshot) = shared.snapshots.get(store, &head.id) else { continue };
                of_job.tell(&job, &snapshot, &mut new);
            }
            let Ok(summary) = shared.snapshots.summary(store, head) else { continue };
            new.push((job, "job", to_json(&summary)));
            summaries.insert(head.id.clone(), now);
        }
        if !new.is_empty() {
            self.put(new);
        }
        Ok(())
    }

    fn put(&self, new: Vec<(Arc<str>, &'static str, Arc<str>)>) {
        let mut kept = lock(&self.kept);
        let mut number = *self.latest.borrow();
        for (job, name, data) in new {
            number += 1;
            kept.n_bytes += data.len();
            kept.events.push_back(FeedEvent { number, job, name, data });
        }
        while kept.events.len() > MAX_KEPT || kept.n_bytes > MAX_KEPT_BYTES {
            let Some(oldest) = kept.events.pop_front() else { break };
            kept.n_bytes -= oldest.data.len();
        }
        drop(kept);
        self.latest.send_replace(number);
    }
}

fn to_json<T: Serialize>(value: &T) -> Arc<str> {
    serde_json::to_string(value).unwrap_or_default().into()
}

impl Told {
    /// All that there is of a job now.
    fn all_of(snapshot: &Snapshot) -> Self {
        let stored = &snapshot.known.stored;
        let curve = |trial: &Trial| (trial.id, ToldCurve::of(snapshot, trial));
        Self {
            etag: Some(stored.etag),
            last_note: notes_of(&stored.job).pop(),
            curves: stored.trials.iter().map(curve).collect(),
        }
    }

    /// Tells what there is beyond.
    fn tell(
        &mut self,
        job: &Arc<str>,
        snapshot: &Snapshot,
        new: &mut Vec<(Arc<str>, &'static str, Arc<str>)>,
    ) {
        let stored = &snapshot.known.stored;
        let since = self.etag.replace(stored.etag);
        let is_new = |trial: &&Trial| match (since, snapshot.changed.get(&trial.id)) {
            (Some(since), Some(at)) => *at > since,
            _ => true,
        };
        for trial in stored.trials.iter().filter(is_new) {
            let now = ToldCurve::of(snapshot, trial);
            let before = self.curves.insert(trial.id, now).unwrap_or_default();
            if before != now {
                let points = points_since(trial, before, now);
                let points = json!({"jobId": &**job, "trialId": trial.id.get(), "points": points});
                new.push((job.clone(), "points", to_json(&points)));
            }
            let row = json!({"jobId": &**job, "trial": TrialRow::of(snapshot, trial)});
            new.push((job.clone(), "trial", to_json(&row)));
        }
        let mut notes = notes_of(&stored.job);
        // There are only the last of them.
        let told = self.last_note.as_ref().and_then(|last| notes.iter().rposition(|note| note == last));
        for note in notes.iter().skip(told.map_or(0, |n| n + 1)) {
            let note = json!({"jobId": &**job, "at": note.at, "text": note.text});
            new.push((job.clone(), "note", to_json(&note)));
        }
        self.last_note = notes.pop();
    }
}

impl ToldCurve {
    fn of(snapshot: &Snapshot, trial: &Trial) -> Self {
        Self {
            n: snapshot.counts.get(&trial.id).copied().unwrap_or_default(),
            last: trial.curve.by_global_step().next_back().map(|(step, _)| step.0),
            run: snapshot.rewinds.get(&trial.id).copied().unwrap_or_default(),
        }
    }
}

/// The points that follow those that were told, or the whole curve where some of those are void.
fn points_since(trial: &Trial, before: ToldCurve, now: ToldCurve) -> Vec<CurvePoint> {
    if before.run == now.run && before.n <= now.n {
        let behind = before.last.unwrap_or(i64::MIN);
        let new = trial.curve.by_global_step().rev().take_while(|(step, _)| step.0 > behind);
        let mut points: Vec<CurvePoint> =
            new.take(MAX_POINTS + 1).map(|(step, m)| CurvePoint(step.0, m.value)).collect();
        if points.len() <= MAX_POINTS {
            points.reverse();
            return points;
        }
    }
    reduce(&trial.curve, MAX_POINTS)
}

/// Somebody watches as long as this is there.
#[derive(Debug)]
pub(super) struct Watching {
    feed: Arc<Feed>,
    job: Option<String>,
}

impl Drop for Watching {
    fn drop(&mut self) {
        let mut watched = lock(&self.feed.watched);
        let Some(job) = &self.job else {
            watched.n_all -= 1;
            return;
        };
        if let Some(n) = watched.jobs.get_mut(job) {
            *n -= 1;
            if *n == 0 {
                watched.jobs.remove(job);
            }
        }
    }
}

/// How many streams there may be.
pub(super) const MAX_STREAMS: usize = limits::MAX_CONNECTIONS / 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whoever_has_missed_events_is_not_told_the_rest() {
        let feed = Feed::new("i".into());
        let put = |n: usize| {
            let event = || (Arc::from("j"), "job", Arc::from("{}"));
            feed.put(std::iter::repeat_with(event).take(n).collect());
        };
        put(MAX_KEPT);
        assert_eq!(feed.next(0, None).await.map(|event| event.number), Some(1));
        put(1);
        assert!(feed.next(0, None).await.is_none(), "the first is forgotten");
        assert_eq!(feed.next(1, Some("j")).await.map(|event| event.number), Some(2));
        // One that is too long to be kept is missed by all.
        let long = "x".repeat(MAX_KEPT_BYTES + 1);
        feed.put(vec![(Arc::from("j"), "job", Arc::from(long))]);
        assert!(feed.next(MAX_KEPT as u64, None).await.is_none());
    }
}
