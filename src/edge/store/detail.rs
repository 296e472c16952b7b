//! What a service keeps of trials and studies that no rule of a study reads.

use std::collections::BTreeMap;

use rusqlite::types::{Value, ValueRef};
use rusqlite::{Row, Transaction, params};
use serde::Serialize;
use serde_json::{Map, Value as Json};

use super::rows::{self, Unreadable};
use super::{JobNumber, Store, StoreError};
use crate::units::{Step, TrialId, serialize_f64};
use tfevents::series::Position;

/// A detail to be stored with records; see [`Store::write_with`].
#[derive(Debug, Clone, PartialEq)]
pub enum Detail {
    /// The id of the client that executes a trial.
    Client(TrialId, String),
    /// What a client reported with a value of a trial's objective.
    Reported(TrialId, Reported),
    /// A piece of metadata; one of the same trial, namespace and key is replaced.
    Metadata(Metadata),
}

/// What a client reported with a value of the objective. The value itself is a measurement of the trial: a rewind
/// that voids it voids this too.
#[derive(Debug, Clone, PartialEq)]
pub struct Reported {
    /// The pass and the step of the value.
    pub position: Position,
    /// The seconds since the trial's start, by the client's clock; `None` where the client did not say. NaN is stored
    /// as `None`.
    pub elapsed_s: Option<f64>,
    /// Metrics beside the objective, NaN and infinities included.
    pub metrics: BTreeMap<String, f64>,
}

/// A piece of metadata.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    /// The trial that it is of; `None`: the study.
    pub trial: Option<TrialId>,
    /// Its namespace.
    pub namespace: String,
    /// Its key, unique in the namespace.
    pub key: String,
    /// Its value.
    pub value: MetadataValue,
}

/// A value of metadata.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MetadataValue {
    /// A text.
    Text(String),
    /// A message that its writer has encoded.
    Bytes(Vec<u8>),
}

/// The details of a job but for [`Reported`], which may be many.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Details {
    /// The client of each trial that has one.
    pub clients: BTreeMap<TrialId, String>,
    /// Metadata of the study, then of its trials by number; each by namespace and key.
    pub metadata: Vec<Metadata>,
}

/// A number, or its name where JSON has no digits for it.
#[derive(Serialize)]
struct Number(#[serde(serialize_with = "serialize_f64")] f64);

pub(super) fn write(transaction: &Transaction<'_>, job: i64, detail: &Detail) -> rusqlite::Result<()> {
    match detail {
        Detail::Client(trial, client) => transaction
            .prepare_cached("UPDATE trial SET client = ? WHERE job = ? AND id = ?")?
            .execute(params![client, job, trial.get()]),
        Detail::Reported(trial, Reported { position, elapsed_s, metrics }) => {
            let number = |value: &f64| serde_json::to_value(Number(*value)).unwrap_or_default();
            let metrics: Json = metrics.iter().map(|(name, value)| (name.clone(), number(value))).collect();
            transaction
                .prepare_cached(
                    "INSERT OR REPLACE INTO measurement_detail (job, trial, pass, step, elapsed_s, metrics)
                     VALUES (?, ?, ?, ?, ?, ?)",
                )?
                .execute(params![
                    job,
                    trial.get(),
                    position.pass,
                    position.step.0,
                    elapsed_s,
                    metrics.to_string()
                ])
        }
        Detail::Metadata(Metadata { trial, namespace, key, value }) => {
            let value = match value {
                MetadataValue::Text(text) => Value::Text(text.clone()),
                MetadataValue::Bytes(bytes) => Value::Blob(bytes.clone()),
            };
            let trial = trial.map_or(0, TrialId::get);
            transaction
                .prepare_cached(
                    "INSERT OR REPLACE INTO metadata (job, trial, namespace, key, value) VALUES (?, ?, ?, ?, ?)",
                )?
                .execute(params![job, trial, namespace, key, value])
        }
    }
    .map(drop)
}

impl Store {
    /// The clients and the metadata of a job.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn details(&self, job: JobNumber) -> Result<Details, StoreError> {
        let read = || -> rusqlite::Result<Details> {
            let clients = "SELECT id, client FROM trial WHERE job = ? AND client IS NOT NULL ORDER BY id";
            let mut query = self.connection.prepare_cached(clients)?;
            let client = |row: &Row<'_>| Ok((row.get::<_, u32>("id")?, row.get("client")?));
            let rows = query.query_map([job.0], client)?.collect::<rusqlite::Result<Vec<_>>>()?;
            let clients =
                rows.into_iter().filter_map(|(id, client)| Some((TrialId::new(id)?, client))).collect();
            let metadata = "SELECT trial, namespace, key, value FROM metadata WHERE job = ?
                            ORDER BY trial, namespace, key";
            let mut query = self.connection.prepare_cached(metadata)?;
            let metadata = query.query_map([job.0], read_metadata)?.collect::<rusqlite::Result<_>>()?;
            Ok(Details { clients, metadata })
        };
        read().map_err(|e| self.fail(e))
    }

    /// What clients have reported with the values of a trial, by position.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn reported(&self, job: JobNumber, trial: TrialId) -> Result<Vec<Reported>, StoreError> {
        let read = || -> rusqlite::Result<Vec<Reported>> {
            let reported = "SELECT pass, step, elapsed_s, metrics FROM measurement_detail
                            WHERE job = ? AND trial = ? ORDER BY pass, step";
            let mut query = self.connection.prepare_cached(reported)?;
            let of = || format!("a measurement of trial {trial}");
            query.query_map(params![job.0, trial.get()], |row| read_reported(row, of))?.collect()
        };
        read().map_err(|e| self.fail(e))
    }
}

fn read_metadata(row: &Row<'_>) -> rusqlite::Result<Metadata> {
    let value = match row.get_ref("value")? {
        ValueRef::Blob(bytes) => MetadataValue::Bytes(bytes.to_owned()),
        other => MetadataValue::Text(other.as_str()?.to_owned()),
    };
    let trial = TrialId::new(row.get("trial")?);
    Ok(Metadata { trial, namespace: row.get("namespace")?, key: row.get("key")?, value })
}

fn read_reported(row: &Row<'_>, of: impl Fn() -> String) -> rusqlite::Result<Reported> {
    let number = |(name, value): (String, Json)| {
        let number = value.as_f64().or_else(|| value.as_str()?.parse().ok());
        number.map(|number| (name, number)).ok_or_else(|| format!("{value} is no number"))
    };
    let metrics: Map<String, Json> = rows::parsed(row, "metrics", &of)?.unwrap_or_default();
    let metrics: Result<_, String> = metrics.into_iter().map(number).collect();
    Ok(Reported {
        position: Position { pass: row.get("pass")?, step: Step(row.get("step")?) },
        elapsed_s: row.get("elapsed_s")?,
        metrics: metrics.map_err(|why| Unreadable::error(of(), "metrics", why))?,
    })
}
