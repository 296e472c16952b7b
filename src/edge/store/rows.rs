//! Records into rows, and rows into jobs and trials.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value as Json};

use super::request;
use super::{ConfigFormat, Etag, JobNumber, NewJob, Resource, StoredJob};
use crate::edge::process_tree::ProcessIdentity;
use crate::limits::FOLLOW_BATCH;
use crate::objective::Change;
use crate::study::{
    Assignment, JobEnd, Measurement, Outcome, ParamValue, Record, State, StopDecision, Trial,
};
use crate::units::{Step, TrialId, WallTime};

pub(super) const WHOLE_CURVES: &str =
    "SELECT trial, pass, step, value, wall_time FROM measurement WHERE job = ?1";

/// The last three of each trial, which say which is its last measurement ([`crate::study::Curve::last`]), and those that have the largest and the smallest finite value: with a lone `max` or `min`,
/// SQLite takes the other columns from the row that has it.
pub(super) const ENDS_OF_CURVES: &str = "
    SELECT m.trial AS trial, m.pass AS pass, m.step AS step, m.value AS value, m.wall_time AS wall_time
          FROM trial t CROSS JOIN measurement m ON m.job = t.job AND m.trial = t.id
          WHERE t.job = ?1 AND (m.pass, m.step) IN (
              SELECT pass, step FROM measurement WHERE job = t.job AND trial = t.id
              ORDER BY pass DESC, step DESC LIMIT 3)
    UNION SELECT trial, pass, step, max(value) AS value, wall_time FROM measurement
          WHERE job = ?1 AND abs(value) < 9e999 GROUP BY trial
    UNION SELECT trial, pass, step, min(value) AS value, wall_time FROM measurement
          WHERE job = ?1 AND abs(value) < 9e999 GROUP BY trial
    ORDER BY trial";

/// None at all.
pub(super) const NO_CURVES: &str =
    "SELECT trial, pass, step, value, wall_time FROM measurement WHERE job = ?1 AND 0";

/// Stores a record.
pub(super) fn write(transaction: &Transaction<'_>, job: i64, record: &Record) -> rusqlite::Result<()> {
    let run = |sql: &str, params: &[&dyn rusqlite::ToSql]| {
        transaction.prepare_cached(sql)?.execute(params).map(drop)
    };
    match record {
        Record::Suggested(trial, values) => {
            run("INSERT INTO trial (job, id, params) VALUES (?, ?, ?)", params![job, trial.get(), to_json(values)])
        }
        Record::Started(trial, at, attempt) => run(
            "UPDATE trial SET started_ms = coalesce(started_ms, ?1), attempt_ms = ?1, attempt = ?2, waiting = NULL
             WHERE job = ?3 AND id = ?4",
            params![at.as_millisecond(), attempt, job, trial.get()],
        ),
        Record::Changed(trial, changes) => changes.iter().try_for_each(|change| match change {
            Change::Source(name) => {
                run("DELETE FROM measurement WHERE job = ? AND trial = ?", params![job, trial.get()])?;
                run("DELETE FROM measurement_detail WHERE job = ? AND trial = ?", params![job, trial.get()])?;
                run("UPDATE trial SET run = ? WHERE job = ? AND id = ?", params![name.as_str(), job, trial.get()])
            }
            Change::Rewind(from) => {
                run(
                    "DELETE FROM measurement WHERE job = ? AND trial = ? AND (pass, step) >= (?, ?)",
                    params![job, trial.get(), from.pass, from.step.0],
                )?;
                run(
                    "DELETE FROM measurement_detail WHERE job = ? AND trial = ? AND (pass, step) >= (?, ?)",
                    params![job, trial.get(), from.pass, from.step.0],
                )
            }
            Change::Point { pass, point } => run(
                "INSERT OR REPLACE INTO measurement (job, trial, pass, step, value, wall_time)
                 VALUES (?, ?, ?, ?, ?, ?)",
                params![job, trial.get(), pass, point.step.0, point.value.as_f64(), point.wall_time.0],
            ),
        }),
        Record::StopDecided(trial, at, reason) => {
            let reason = serde_json::to_string(reason).unwrap_or_default();
            run(
                "INSERT INTO decision (job, trial, at_ms, kind, reason) VALUES (?, ?, ?, 'stop', ?)",
                params![job, trial.get(), at.as_millisecond(), reason],
            )?;
            request::answer_stop(transaction, job, *trial, *at)
        }
        Record::Retried(trial, at, outcome, attempt) => {
            let outcome = serde_json::to_string(outcome).unwrap_or_default();
            run(
                "UPDATE trial SET attempt = ?, attempt_ms = NULL, waiting = ? WHERE job = ? AND id = ?",
                params![attempt, outcome, job, trial.get()],
            )?;
            run(
                "INSERT INTO decision (job, trial, at_ms, kind, reason) VALUES (?, ?, ?, 'retry', ?)",
                params![job, trial.get(), at.as_millisecond(), outcome],
            )
        }
        Record::Ended(trial, at, outcome) => {
            let outcome = serde_json::to_string(outcome).unwrap_or_default();
            run(
                "UPDATE trial SET ended_ms = ?, outcome = ? WHERE job = ? AND id = ?",
                params![at.as_millisecond(), outcome, job, trial.get()],
            )?;
            request::answer_stop(transaction, job, *trial, *at)
        }
        Record::CancelDecided(at) => {
            run(
                "UPDATE job SET state = ? WHERE number = ?",
                params![State::Cancelling.name(), job],
            )?;
            run(
                "INSERT INTO decision (job, at_ms, kind, reason) VALUES (?, ?, 'cancel', '{}')",
                params![job, at.as_millisecond()],
            )?;
            request::answer_cancel(transaction, job, *at)
        }
        Record::FailDecided(at, why) => {
            run("UPDATE job SET message = ? WHERE number = ?", params![why, job])?;
            run(
                "INSERT INTO decision (job, at_ms, kind, reason) VALUES (?, ?, 'fail', ?)",
                params![job, at.as_millisecond(), Json::from(why.as_str()).to_string()],
            )
        }
        Record::JobEnded(at, JobEnd { state, message }) => {
            run(
                "UPDATE job SET state = ?, message = ?, ended_ms = ?, holder = NULL WHERE number = ?",
                params![state.name(), message, at.as_millisecond(), job],
            )?;
            request::answer_all(transaction, job, *at)
        }
    }
}

/// How much is kept of long curves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keep {
    All,
    Sample,
}

/// A job, with the rows of measurements that a query gives.
pub(super) fn read_job(
    connection: &Connection,
    id: &str,
    measurements: &str,
    keep: Keep,
) -> rusqlite::Result<Option<StoredJob>> {
    let columns = "number, id, state, message, created_ms, started_ms, ended_ms, config, seed, command, job_dir, \
                   directory, deadline_ms, previous, holder, heartbeat_ms, config_format, owner, display_name, \
                   labels, revision, changed_ms, max_trials";
    let found = connection
        .query_row(&format!("SELECT {columns} FROM job WHERE id = ?"), [id], |row| {
            let of_job = format!("job `{id}`");
            let job = NewJob {
                id: row.get("id")?,
                config: row.get("config")?,
                seed: row.get::<_, i64>("seed")?.cast_unsigned(),
                command: parsed(row, "command", || of_job.clone())?.unwrap_or_default(),
                job_dir: row.get::<_, String>("job_dir")?.into(),
                created_at: time(row, "created_ms", || of_job.clone())?.unwrap_or_default(),
                directory: row.get::<_, String>("directory")?.into(),
                deadline: time(row, "deadline_ms", || of_job.clone())?,
                previous: row.get("previous")?,
                max_trials: row.get("max_trials")?,
                resource: Resource {
                    config_format: named(row, "config_format", || of_job.clone(), ConfigFormat::from_name)?,
                    owner: row.get("owner")?,
                    display_name: row.get("display_name")?,
                    labels: parsed(row, "labels", || of_job.clone())?,
                },
            };
            let state = state(row, id)?;
            let started_at = time(row, "started_ms", || of_job.clone())?;
            // Older programs had no queue.
            let started_at = started_at.or((state != State::Queued).then_some(job.created_at));
            Ok(StoredJob {
                number: JobNumber(row.get("number")?),
                etag: etag(row)?,
                changed_at: time(row, "changed_ms", || of_job.clone())?,
                state,
                message: row.get("message")?,
                started_at,
                ended_at: time(row, "ended_ms", || of_job.clone())?,
                trials: Vec::new(),
                holder: read_holder(row, id)?,
                job,
            })
        })
        .optional()?;
    let Some(mut job) = found else { return Ok(None) };
    let number = job.number.0;
    let mut query = connection.prepare(
        "SELECT id, params, run, started_ms, ended_ms, outcome, attempt, attempt_ms, waiting
         FROM trial WHERE job = ? ORDER BY id",
    )?;
    let decisions = read_decisions(connection, number, id)?;
    job.trials =
        query.query_map([number], |row| read_trial(row, id, &decisions))?.collect::<rusqlite::Result<_>>()?;
    let mut query = connection.prepare(measurements)?;
    let mut rows = query.query([number])?;
    // Their numbers rise by one, from 1 or behind those of the job that is continued.
    let first = job.trials.first().map_or(1, |first| first.id.get());
    let mut put = |trial: u32, read: &mut Vec<Measurement>| {
        if let Some(trial) = trial.checked_sub(first).and_then(|n| job.trials.get_mut(n as usize)) {
            trial.curve.insert_all(std::mem::take(read));
            if keep == Keep::Sample {
                trial.curve.thin();
            }
        }
    };
    let (mut of_trial, mut read) = (0, Vec::new());
    while let Some(row) = rows.next()? {
        let trial: u32 = row.get("trial")?;
        let number = |column| row.get::<_, Option<f64>>(column).map(|v| v.unwrap_or(f64::NAN));
        let measurement = Measurement {
            pass: row.get("pass")?,
            step: Step(row.get("step")?),
            value: number("value")?,
            wall_time: WallTime(number("wall_time")?),
        };
        if trial != of_trial || read.len() >= FOLLOW_BATCH {
            put(of_trial, &mut read);
        }
        of_trial = trial;
        read.push(measurement);
    }
    put(of_trial, &mut read);
    Ok(Some(job))
}

fn to_json(values: &Assignment) -> String {
    let entries = values.iter().map(|(name, value)| {
        let value = match value {
            ParamValue::Number(number) => Json::from(*number),
            ParamValue::Text(text) => Json::from(&**text),
        };
        (name.to_owned(), value)
    });
    Json::Object(entries.collect::<Map<_, _>>()).to_string()
}

fn from_json(values: Map<String, Json>) -> Result<Assignment, String> {
    let value = |(name, value): (String, Json)| {
        let value = match value {
            Json::String(text) => ParamValue::Text(text.into()),
            other => ParamValue::Number(other.as_f64().ok_or_else(|| format!("`{name}` is {other}"))?),
        };
        Ok((Arc::from(name), value))
    };
    Ok(Assignment(values.into_iter().map(value).collect::<Result<_, String>>()?))
}

/// What was decided of the trials of a job, the latest of each kind.
#[derive(Debug, Default)]
struct Decisions {
    retries: BTreeMap<u32, Timestamp>,
    stops: BTreeMap<u32, (Timestamp, StopDecision)>,
}

fn read_decisions(connection: &Connection, number: i64, job: &str) -> rusqlite::Result<Decisions> {
    let mut query = connection.prepare(
        "SELECT trial, at_ms, kind, reason FROM decision WHERE job = ? AND kind IN ('stop', 'retry') ORDER BY number",
    )?;
    let mut rows = query.query([number])?;
    let mut decisions = Decisions::default();
    while let Some(row) = rows.next()? {
        let trial: u32 = row.get("trial")?;
        let of = || format!("a decision on trial {trial} of job `{job}`");
        let at = time(row, "at_ms", of)?.unwrap_or_default();
        if row.get::<_, String>("kind")? == "retry" {
            decisions.retries.insert(trial, at);
        } else if let Some(decision) = parsed(row, "reason", of)? {
            decisions.stops.insert(trial, (at, decision));
        }
    }
    Ok(decisions)
}

fn read_trial(row: &Row<'_>, job: &str, decisions: &Decisions) -> rusqlite::Result<Trial> {
    let number: u32 = row.get("id")?;
    let of = || format!("trial {number} of job `{job}`");
    let params = from_json(parsed(row, "params", of)?.unwrap_or_default());
    let params = params.map_err(|why| Unreadable::error(of(), "params", why))?;
    let mut trial = Trial::suggested(TrialId::after(number.saturating_sub(1)), params);
    if let Some(run) = row.get::<_, Option<String>>("run")? {
        trial.curve.start_over(run.as_str().into());
    }
    for record in records_of(row, trial.id, decisions, of)? {
        trial.apply(&record);
    }
    Ok(trial)
}

/// The records that a trial's row tells of, but for its parameters and its values.
fn records_of(
    row: &Row<'_>,
    id: TrialId,
    decisions: &Decisions,
    of: impl Fn() -> String + Copy,
) -> rusqlite::Result<Vec<Record>> {
    let attempt: u32 = row.get("attempt")?;
    let mut records = Vec::new();
    records.extend(time(row, "started_ms", of)?.map(|at| Record::Started(id, at, 1)));
    if let Some(outcome) = parsed(row, "waiting", of)? {
        let at = decisions.retries.get(&id.get()).copied().unwrap_or_default();
        records.push(Record::Retried(id, at, outcome, attempt));
    }
    records.extend(time(row, "attempt_ms", of)?.map(|at| Record::Started(id, at, attempt)));
    let stop = decisions.stops.get(&id.get());
    records.extend(stop.map(|(at, decision)| Record::StopDecided(id, *at, decision.clone())));
    if let Some(outcome) = parsed(row, "outcome", of)? {
        records.push(Record::Ended(id, time(row, "ended_ms", of)?.unwrap_or_default(), outcome));
    }
    Ok(records)
}

/// The process that runs a job, or ran it, and when that was last heard of.
pub(super) fn read_holder(
    row: &Row<'_>,
    job: &str,
) -> rusqlite::Result<Option<(ProcessIdentity, Timestamp)>> {
    let of = || format!("job `{job}`");
    let holder: Option<ProcessIdentity> = parsed(row, "holder", of)?;
    Ok(holder.zip(time(row, "heartbeat_ms", of)?))
}

/// The state of a job.
pub(super) fn state(row: &Row<'_>, job: &str) -> rusqlite::Result<State> {
    named(row, "state", || format!("job `{job}`"), State::from_name)
}

pub(super) fn etag(row: &Row<'_>) -> rusqlite::Result<Etag> {
    Ok(Etag(row.get::<_, i64>("revision")?.cast_unsigned()))
}

/// The number and the state of a job; `None` where there is none of that name.
pub(super) fn number_and_state(connection: &Connection, id: &str) -> rusqlite::Result<Option<(i64, State)>> {
    let select = "SELECT number, state FROM job WHERE id = ?";
    connection.query_row(select, [id], |row| Ok((row.get("number")?, state(row, id)?))).optional()
}

/// Whether a trial is over; `None` where there is none of that number.
pub(super) fn is_trial_over(
    connection: &Connection,
    job: i64,
    trial: TrialId,
) -> rusqlite::Result<Option<bool>> {
    let select = "SELECT outcome IS NOT NULL FROM trial WHERE job = ? AND id = ?";
    connection.query_row(select, params![job, trial.get()], |row| row.get(0)).optional()
}

pub(super) fn outcome(
    connection: &Connection,
    job: i64,
    trial: TrialId,
) -> rusqlite::Result<Option<Outcome>> {
    let select = "SELECT outcome FROM trial WHERE job = ? AND id = ?";
    let of = || format!("trial {trial}");
    let read = |row: &Row<'_>| parsed(row, "outcome", of);
    connection.query_row(select, params![job, trial.get()], read).optional().map(Option::flatten)
}

pub(super) fn labels_to_json(labels: &BTreeMap<String, String>) -> String {
    labels.iter().map(|(key, value)| (key.clone(), Json::from(value.as_str()))).collect::<Json>().to_string()
}

/// Raises the revision of a job.
pub(super) fn touch(transaction: &Transaction<'_>, job: i64) -> rusqlite::Result<()> {
    transaction
        .prepare_cached("UPDATE job SET revision = revision + 1, changed_ms = ? WHERE number = ?")?
        .execute(params![Timestamp::now().as_millisecond(), job])
        .map(drop)
}

/// A row that this program cannot read: nothing is made up in its place.
#[derive(Debug, thiserror::Error)]
#[error("{of}: what is stored as `{column}` cannot be read: {why}")]
pub(super) struct Unreadable {
    of: String,
    column: &'static str,
    why: String,
}

impl Unreadable {
    pub(super) fn error(of: String, column: &'static str, why: String) -> rusqlite::Error {
        rusqlite::Error::FromSqlConversionFailure(0, Type::Text, Box::new(Self { of, column, why }))
    }
}

/// What a column holds as JSON; `None` where it holds nothing. `of` names the row.
pub(super) fn parsed<T: DeserializeOwned>(
    row: &Row<'_>,
    column: &'static str,
    of: impl Fn() -> String,
) -> rusqlite::Result<Option<T>> {
    let Some(text) = row.get::<_, Option<String>>(column)? else { return Ok(None) };
    serde_json::from_str(&text).map(Some).map_err(|e| Unreadable::error(of(), column, e.to_string()))
}

/// What a column holds by its name. `of` names the row.
fn named<T>(
    row: &Row<'_>,
    column: &'static str,
    of: impl Fn() -> String,
    from_name: impl Fn(&str) -> Option<T>,
) -> rusqlite::Result<T> {
    let name: String = row.get(column)?;
    from_name(&name).ok_or_else(|| Unreadable::error(of(), column, format!("unknown name `{name}`")))
}

/// A time in milliseconds; `None` where there is none. `of` names the row.
pub(super) fn time(
    row: &Row<'_>,
    column: &'static str,
    of: impl Fn() -> String,
) -> rusqlite::Result<Option<Timestamp>> {
    let Some(ms) = row.get::<_, Option<i64>>(column)? else { return Ok(None) };
    Timestamp::from_millisecond(ms).map(Some).map_err(|e| Unreadable::error(of(), column, e.to_string()))
}
