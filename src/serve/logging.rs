//! The logs of jobs as Cloud Logging gives them: what `gcloud … jobs stream-logs` reads.
//!
//! Source: the reference of `entries.list`, and the filters that `gcloud` sends. An entry's `insertId` orders those of
//! one time: it is made of where the line stands.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::routing::post;
use jiff::Timestamp;
use serde_json::{Map, Value as Json, json};

use super::body::{Answer, read_object};
use super::entry_filter::{Condition, Fields};
use super::error::ApiError;
use super::executor::events_of;
use super::log_times::{Look, look};
use super::ml::check_name;
use super::{App, Shared};
use crate::app::jobs::KnownJob;
use crate::edge::trial_files::TrialFiles;
use crate::study::Replica;

/// The largest page, as the service has it.
const MAX_ENTRIES: usize = 1_000;

/// The longest line of an entry, in bytes; what is longer is cut.
const MAX_LINE_BYTES: u64 = 16 << 10;

/// Whose lines those are that no trial has.
const SERVICE: &str = "service";

pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new().route("/v2/entries:list", post(list))
}

/// A line of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    at_us: i64,
    insert_id: String,
    severity: &'static str,
    task: String,
    trial: Option<String>,
    text: String,
    job: Arc<str>,
}

impl Fields for Entry {
    fn field(&self, name: &str) -> Option<&str> {
        match name {
            "resource.type" => Some("ml_job"),
            "resource.labels.job_id" => Some(&self.job),
            "resource.labels.task_name" | "labels.ml.googleapis.com/task_name" => Some(&self.task),
            "labels.ml.googleapis.com/trial_id" => self.trial.as_deref(),
            "insertId" => Some(&self.insert_id),
            "severity" => Some(self.severity),
            "textPayload" => Some(&self.text),
            _ => None,
        }
    }

    fn at_us(&self) -> i64 {
        self.at_us
    }
}

impl Entry {
    fn to_json(&self, project: &str) -> Json {
        let mut labels = Map::new();
        labels.insert("ml.googleapis.com/job_id".into(), (*self.job).into());
        labels.insert("ml.googleapis.com/task_name".into(), self.task.clone().into());
        labels.extend(
            self.trial.clone().map(|trial| ("ml.googleapis.com/trial_id".to_owned(), Json::from(trial))),
        );
        let at = Timestamp::from_microsecond(self.at_us).unwrap_or_default();
        // Clients compare times as texts: all have as many digits.
        let at = format!("{at:.6}");
        json!({
            "insertId": self.insert_id,
            "timestamp": at,
            "receiveTimestamp": at,
            "severity": self.severity,
            "textPayload": self.text,
            "logName": format!("projects/{project}/logs/{}", self.task),
            "resource": {
                "type": "ml_job",
                "labels": {"job_id": &*self.job, "project_id": project, "task_name": self.task},
            },
            "labels": labels,
        })
    }
}

async fn list(State(shared): App, body: Body) -> Result<Answer, ApiError> {
    let request = read_object(body).await?;
    let text = |name: &str| request.get(name).and_then(Json::as_str).unwrap_or_default().to_owned();
    let condition = Condition::read(&text("filter"))?;
    if text("orderBy").contains("desc") {
        return Err(ApiError::of_field("orderBy", "want timestamp asc"));
    }
    let size = request.get("pageSize").and_then(Json::as_u64).filter(|size| *size > 0);
    let size =
        size.and_then(|size| usize::try_from(size).ok()).map_or(MAX_ENTRIES, |size| size.min(MAX_ENTRIES));
    let Some(job) = condition.required("resource.labels.job_id").map(str::to_owned) else {
        return Err(ApiError::of_field(
            "filter",
            "want resource.labels.job_id=\"JOB\": the logs of one job are read",
        ));
    };
    check_name(&job)?;
    let behind = match text("pageToken") {
        token if token.is_empty() => None,
        token => Some(
            position(&token)
                .ok_or_else(|| ApiError::of_field("pageToken", "is none that was given out here"))?,
        ),
    };
    let names =
        request.get("resourceNames").and_then(Json::as_array).and_then(|names| names.first()?.as_str());
    let project = names.and_then(|name| name.strip_prefix("projects/")).unwrap_or("hptune").to_owned();
    let sharing = shared.clone();
    let listed = shared.stores.call(move |store| {
        let snapshot = sharing.snapshots.get(store, &job)?;
        let mut entries = gather(&snapshot.known, &condition, behind.as_ref(), size + 1);
        let has_more = entries.len() > size;
        entries.truncate(size);
        let mut answer = Map::new();
        let shown: Vec<Json> = entries.iter().map(|entry| entry.to_json(&project)).collect();
        answer.insert("entries".into(), shown.into());
        if let Some(last) = entries.last().filter(|_| has_more) {
            answer.insert("nextPageToken".into(), format!("{}/{}", last.at_us, last.insert_id).into());
        }
        Answer::new(&answer)
    });
    listed.await
}

/// The place of an entry among all, as a token has it.
fn position(token: &str) -> Option<(i64, String)> {
    let (at, id) = token.split_once('/')?;
    Some((at.parse().ok()?, id.to_owned()))
}

/// The first entries that a condition takes, in order: no more than `most`.
fn gather(
    known: &KnownJob,
    condition: &Condition,
    behind: Option<&(i64, String)>,
    most: usize,
) -> Vec<Entry> {
    let from_us = behind.map_or(i64::MIN, |(at, _)| *at).max(condition.not_before_us());
    let mut found: Vec<Entry> = Vec::new();
    let mut take = |entry: Entry| {
        let is_behind = behind.is_none_or(|(at, id)| (entry.at_us, &entry.insert_id) > (*at, id));
        let is_taken = is_behind && condition.takes(&entry);
        if is_taken {
            found.push(entry);
            // A log has far more lines than a page: those that cannot be on it are dropped now and then.
            if found.len() >= 2 * most {
                sort(&mut found, most);
            }
        }
        is_taken
    };
    let job: Arc<str> = known.stored.job.id.as_str().into();
    of_job(known, &job, &mut take);
    for trial in &known.stored.trials {
        let files = TrialFiles::of(&known.stored.job, trial.id);
        for replica in known.config.cluster.replicas() {
            let source = Source { job: job.clone(), trial: trial.id.get(), task: task_of(replica) };
            // A log that cannot be read now is read the next time.
            let _ = of_log(&files.log(replica), !trial.is_active(), from_us, &source, most, &mut take);
        }
    }
    sort(&mut found, most);
    found
}

fn sort(entries: &mut Vec<Entry>, most: usize) {
    entries.sort_by(|a, b| (a.at_us, &a.insert_id).cmp(&(b.at_us, &b.insert_id)));
    entries.truncate(most);
}

/// What the service called a replica.
fn task_of(replica: Replica) -> String {
    format!("{}-replica-{}", replica.role.name(), replica.index)
}

/// Whose log it is.
struct Source {
    job: Arc<str>,
    trial: u32,
    task: String,
}

/// What was said of a job, from the file of its events.
fn of_job(known: &KnownJob, job: &Arc<str>, take: &mut dyn FnMut(Entry) -> bool) {
    let mut say =
        |at: Timestamp, order: usize, severity: &'static str, trial: Option<String>, text: String| {
            take(Entry {
                at_us: at.as_microsecond(),
                insert_id: format!("0-{order:012}"),
                severity,
                task: SERVICE.to_owned(),
                trial,
                text,
                job: job.clone(),
            });
        };
    let stored = &known.stored;
    say(
        stored.job.created_at,
        0,
        "INFO",
        None,
        "Job creation request has been validated; the job is queued.".into(),
    );
    if let Ok(file) = File::open(events_of(&stored.job)) {
        for (order, line) in (1..).zip(lines(BufReader::new(file))) {
            let Ok(event) = serde_json::from_slice::<Json>(&line.bytes) else { continue };
            let field = |name: &str| event.get(name).and_then(Json::as_str);
            let Some(at) = field("at").and_then(|at| at.parse().ok()) else { continue };
            let Some((severity, text)) = in_words(&event) else { continue };
            say(at, order, severity, field("trial").map(str::to_owned), text);
        }
    }
}

/// An event in words, with how bad it is.
fn in_words(event: &Json) -> Option<(&'static str, String)> {
    let field = |name: &str| event.get(name).and_then(Json::as_str).unwrap_or_default();
    Some(match field("kind") {
        "job_started" => ("INFO", format!("Job started; its directory is {}.", field("job_dir"))),
        "trial_started" => {
            let parameters: Vec<String> = event
                .get("hyperparameters")
                .and_then(Json::as_object)
                .into_iter()
                .flatten()
                .map(|(name, value)| format!("{name}={}", value.as_str().unwrap_or_default()))
                .collect();
            ("INFO", format!("Trial started with {}.", parameters.join(" ")))
        }
        "stop_decided" => ("INFO", format!("Trial is stopped early: {}.", field("reason"))),
        "trial_retried" => ("WARNING", format!("Trial {}; it is tried again.", field("outcome"))),
        "trial_ended" if field("state") == "FAILED" => ("ERROR", format!("Trial {}.", field("outcome"))),
        "trial_ended" => ("INFO", format!("Trial {}.", field("outcome"))),
        "note" => ("INFO", field("text").to_owned()),
        "cancelling" => ("INFO", "Job is being cancelled.".to_owned()),
        "job_ended" if field("state") == "FAILED" => ("ERROR", format!("Job failed: {}", field("message"))),
        "job_ended" => ("INFO", format!("Job ended: {}.", field("state"))),
        _ => return None,
    })
}

/// A line and where it begins.
struct Line {
    offset: u64,
    bytes: Vec<u8>,
}

/// The lines of a text, each no longer than [`MAX_LINE_BYTES`]; the rest of a longer one is another one.
fn lines(mut reader: impl BufRead) -> impl Iterator<Item = Line> {
    let mut offset = 0;
    std::iter::from_fn(move || {
        let mut bytes = Vec::new();
        let n = reader.by_ref().take(MAX_LINE_BYTES).read_until(b'\n', &mut bytes).ok().filter(|n| *n > 0)?;
        let line = Line { offset, bytes };
        offset += n as u64;
        Some(line)
    })
}

/// The lines of a trainer's log from a time on: no more than `most` that are taken.
fn of_log(
    log: &Path,
    is_whole: bool,
    from_us: i64,
    source: &Source,
    most: usize,
    take: &mut dyn FnMut(Entry) -> bool,
) -> io::Result<()> {
    let looks = look(log, is_whole)?;
    let first = looks.partition_point(|look| look.at_us < from_us);
    let mut looks = looks.iter().skip(first.saturating_sub(1));
    let start = if first > 0 { looks.next().map_or(0, |look| look.offset) } else { 0 };
    let mut file = File::open(log)?;
    file.seek(SeekFrom::Start(start))?;
    let (mut n_taken, mut look): (usize, Option<&Look>) = (0, looks.next());
    for line in lines(BufReader::new(file)) {
        let offset = start + line.offset;
        while look.is_some_and(|look| look.offset <= offset) {
            look = looks.next();
        }
        // What no look has seen yet comes the next time.
        let Some(seen) = look else { break };
        let text = String::from_utf8_lossy(&line.bytes).trim_end().to_owned();
        let entry = Entry {
            at_us: seen.at_us,
            insert_id: format!("{:06}-{}-{offset:014}", source.trial, source.task),
            severity: severity_of(&text),
            task: source.task.clone(),
            trial: Some(source.trial.to_string()),
            text,
            job: source.job.clone(),
        };
        n_taken += usize::from(take(entry));
        if n_taken >= most {
            break;
        }
    }
    Ok(())
}

/// How bad a line is, by the words that logging libraries put before it.
fn severity_of(line: &str) -> &'static str {
    let begins = |words: &[&str]| words.iter().any(|word| line.starts_with(word));
    if begins(&["ERROR", "CRITICAL", "FATAL", "Traceback", "E0", "E1"]) || line.contains("Error: ") {
        "ERROR"
    } else if begins(&["WARN", "W0", "W1"]) || line.contains("Warning: ") {
        "WARNING"
    } else {
        "INFO"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_how_bad_it_is() {
        #[track_caller]
        fn check(line: &str, expected: &str) {
            assert_eq!(severity_of(line), expected);
        }
        check("step 3: loss 0.3", "INFO");
        check("Epoch 1", "INFO");
        check("ERROR:root:no", "ERROR");
        check("E1127 12:00:00.0 file.cc:1] no", "ERROR");
        check("ValueError: x", "ERROR");
        check("WARNING:tensorflow:old", "WARNING");
        check("/a.py:3: UserWarning: old", "WARNING");
    }

    #[test]
    fn a_page_begins_behind_the_one_before() {
        let place = tempfile::tempdir().expect("a directory");
        let log = place.path().join("trainer.log");
        std::fs::write(&log, "a\nb\nc\n").expect("it is written");
        let source = Source { job: "job".into(), trial: 1, task: "master-replica-0".into() };
        let read = |from_us| {
            let mut texts = Vec::new();
            of_log(&log, true, from_us, &source, 100, &mut |entry| {
                texts.push((entry.at_us, entry.text));
                true
            })
            .expect("it is read");
            texts
        };
        let all = read(i64::MIN);
        assert_eq!(all.iter().map(|(_, text)| text.as_str()).collect::<Vec<_>>(), ["a", "b", "c"]);
        std::fs::write(&log, "a\nb\nc\nd\n").expect("it is written");
        let later = read(i64::MIN);
        assert_eq!(later[..3], all);
        assert_eq!(read(later[3].0).iter().map(|(_, text)| text.as_str()).collect::<Vec<_>>(), ["d"]);
    }
}
