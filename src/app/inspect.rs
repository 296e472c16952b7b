//! `inspect`: what is in event files.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use super::Failure;
use crate::edge::clock::Clock;
use crate::edge::files::{Reader, Root};
use crate::limits::MAX_DAMAGES_LISTED;
use crate::scalar::{Content, OWN_DIRECTORY};
use crate::series::TagSummary;
use crate::tail::{Found, Ingested};
use crate::tfrecord::{Damage, DamageKind};
use crate::units::{MetricValue, RunName, Step, Tag};

/// What lies below one path.
#[derive(Debug, Default)]
pub struct Inspection {
    /// The runs by name.
    pub runs: BTreeMap<RunName, Run>,
    /// What could not be read, in the system's words.
    pub troubles: Vec<String>,
}

/// One run directory.
#[derive(Debug, Default)]
pub struct Run {
    /// How many event files it holds.
    pub n_files: u64,
    /// The programs that wrote them, where they say.
    pub writers: Vec<String>,
    /// How many graphs it holds.
    pub n_graphs: u64,
    /// The tags by name.
    pub tags: BTreeMap<Tag, TagSummary>,
    /// The first stretches that gave no event, with the path of their file.
    pub damages: Vec<(String, Damage)>,
    /// How many there are.
    pub n_damages: u64,
    /// Files that end inside a record, with the stretch: they may still be written.
    pub unfinished: Vec<(String, Damage)>,
}

impl Inspection {
    /// Whether anything is damaged or could not be read, or nothing is there at all.
    #[must_use]
    pub fn has_faults(&self) -> bool {
        self.runs.is_empty() || !self.troubles.is_empty() || self.runs.values().any(|run| run.n_damages > 0)
    }

    fn handle(&mut self, found: Found<'_>) {
        match found {
            Found::File { run, .. } => self.run(run).n_files += 1,
            Found::Event { run, path, ingested, .. } => self.run(run).handle(path, ingested),
            Found::Hypertune { entry, .. } => {
                let content = Content::Scalar(entry.value);
                self.run(&RunName::from(OWN_DIRECTORY)).add(&entry.tag, entry.step, &content);
            }
            Found::Unreadable { path, error } => self.troubles.push(format!("{path}: {error}")),
            Found::Rewritten { path } => self.troubles.push(format!("{path}: rewritten while it was read")),
            Found::TooManyFiles { path } => {
                self.troubles.push(format!("too many files: {path} and later are left out"))
            }
        }
    }

    fn run(&mut self, name: &RunName) -> &mut Run {
        self.runs.entry(name.clone()).or_default()
    }
}

impl Run {
    fn handle(&mut self, path: &str, ingested: Ingested<'_>) {
        match ingested {
            Ingested::Opened { writer, .. } => {
                if !writer.is_empty() && !self.writers.iter().any(|w| w == writer) {
                    self.writers.push(writer.to_owned());
                }
            }
            Ingested::Value { step, tag, content, .. } => self.add(tag, step, &content),
            Ingested::Graph => self.n_graphs += 1,
            Ingested::SessionStart(_) => {}
            Ingested::Damage(damage) if damage.kind == DamageKind::Torn => {
                if self.unfinished.len() < MAX_DAMAGES_LISTED {
                    self.unfinished.push((path.to_owned(), damage));
                }
            }
            Ingested::Damage(damage) => {
                self.n_damages += 1;
                if self.damages.len() < MAX_DAMAGES_LISTED {
                    self.damages.push((path.to_owned(), damage));
                }
            }
        }
    }

    fn add(&mut self, tag: &str, step: Step, content: &Content) {
        match self.tags.get_mut(tag) {
            Some(summary) => summary.add(step, content),
            None => {
                self.tags.insert(Tag::from(tag), TagSummary::new(step, content));
            }
        }
    }
}

/// Reads everything below `path` and sums it up.
///
/// # Errors
/// `path` is missing or cannot be looked at. What goes wrong below it is part of the answer.
pub fn inspect(path: &Path) -> Result<Inspection, Failure> {
    let root = Root::open(path).map_err(|e| Failure::usage(format!("{}: {e}", path.display())))?;
    let mut inspection = Inspection::default();
    Reader::new(root, Clock::start()).read_to_end(&mut |found| inspection.handle(found));
    Ok(inspection)
}

/// An inspection as JSON.
#[derive(Debug, Serialize)]
pub struct InspectionJson<'a> {
    path: String,
    runs: Vec<RunJson<'a>>,
    troubles: &'a [String],
}

#[derive(Debug, Serialize)]
struct RunJson<'a> {
    run: &'a RunName,
    files: u64,
    writers: &'a [String],
    graphs: u64,
    tags: Vec<TagJson<'a>>,
    damaged: u64,
    damages: Vec<DamageJson<'a>>,
    unfinished: Vec<DamageJson<'a>>,
}

#[derive(Debug, Serialize)]
struct TagJson<'a> {
    tag: &'a Tag,
    kind: &'static str,
    count: u64,
    first_step: Step,
    last_step: Step,
    last_value: Option<MetricValue>,
    min: Option<MetricValue>,
    max: Option<MetricValue>,
    non_finite: u64,
}

#[derive(Debug, Serialize)]
struct DamageJson<'a> {
    file: &'a str,
    kind: &'static str,
    offset: u64,
    bytes: u64,
}

impl<'a> InspectionJson<'a> {
    /// The inspection of `path` as JSON.
    #[must_use]
    pub fn new(path: &Path, inspection: &'a Inspection) -> Self {
        let runs = inspection.runs.iter().map(|(name, run)| RunJson {
            run: name,
            files: run.n_files,
            writers: &run.writers,
            graphs: run.n_graphs,
            tags: run.tags.iter().map(|(tag, summary)| tag_json(tag, summary)).collect(),
            damaged: run.n_damages,
            damages: run.damages.iter().map(damage_json).collect(),
            unfinished: run.unfinished.iter().map(damage_json).collect(),
        });
        Self { path: path.display().to_string(), runs: runs.collect(), troubles: &inspection.troubles }
    }
}

fn damage_json((file, damage): &(String, Damage)) -> DamageJson<'_> {
    DamageJson { file, kind: damage.kind.name(), offset: damage.offset, bytes: damage.bytes }
}

fn tag_json<'a>(tag: &'a Tag, summary: &TagSummary) -> TagJson<'a> {
    TagJson {
        tag,
        kind: summary.kind.name(),
        count: summary.n_values,
        first_step: summary.min_step,
        last_step: summary.max_step,
        last_value: summary.last,
        min: summary.min,
        max: summary.max,
        non_finite: summary.n_non_finite,
    }
}
