//! What following a directory brings to light, as the lines to deliver.
//!
//! Pure: a feed takes what a tail finds and gives items, in order; how far it has come is plain data, so that
//! another process can go on from there.

use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroU64;

use serde::{Deserialize, Serialize};

use crate::limits::{MAX_DAMAGES_LISTED, MAX_TAGS};
use crate::objective::Seen;
use crate::objective::SeriesFilter;
use crate::report::watch::Line;
use crate::units::{RunName, Step, Tag, WallTime};
use tfevents::scalar::{Content, Kind};
use tfevents::series::{Live, OfferResult, Point, Rewound, Standing, WriterId};
use tfevents::tail::{Found, Ingested, MISSED_REPORTS, Unreadable};

/// Which values are delivered.
#[derive(Debug, Clone)]
pub struct Selection {
    /// The tags and runs.
    pub filter: SeriesFilter,
    /// The first of each so many values of a tag.
    pub every: NonZeroU64,
    /// Those from this step on.
    pub since: Option<Step>,
}

impl Default for Selection {
    fn default() -> Self {
        Self { filter: SeriesFilter::default(), every: NonZeroU64::MIN, since: None }
    }
}

impl Selection {
    /// Whether a value at this step is wanted at all.
    fn has_step(&self, step: Step) -> bool {
        self.since.is_none_or(|since| step >= since)
    }
}

/// Something to deliver.
#[derive(Debug)]
pub(super) enum Item {
    /// A line as it is.
    Line(Line),
    /// A value.
    Point {
        /// Its run directory.
        run: RunName,
        /// Its tag.
        tag: Tag,
        /// Where it stands.
        point: Point,
        /// Its attempt, from 1.
        attempt: u32,
    },
    /// A rewind of a run, and what is to be read again for it.
    Rewind(RunName, Box<Rewound>),
}

/// What a feed has seen so far.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Memory {
    runs: BTreeMap<RunName, RunMemory>,
    /// How many values were delivered, and how many were left out as was asked for.
    pub(super) n_points: u64,
    /// See above.
    pub(super) n_left_out: u64,
    /// How many stretches of damage there were.
    pub(super) n_damages: u64,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct RunMemory {
    live: Live,
    #[serde(with = "entries")]
    tags: BTreeMap<Tag, TagMemory>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct TagMemory {
    kind: Kind,
    /// How many values stood when they came.
    n_points: u64,
}

/// A map as a list of its entries.
mod entries {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::{BTreeMap, Tag, TagMemory};

    pub(super) fn serialize<S: Serializer>(
        tags: &BTreeMap<Tag, TagMemory>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        tags.iter().collect::<Vec<_>>().serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<Tag, TagMemory>, D::Error> {
        Vec::deserialize(deserializer).map(|entries| entries.into_iter().collect())
    }
}

/// Turns what is found into items.
#[derive(Debug)]
pub(super) struct Feed {
    selection: Selection,
    memory: Memory,
    items: Vec<Item>,
    warnings: Vec<String>,
}

impl Feed {
    /// A feed that goes on from what another had seen.
    #[must_use]
    pub(super) fn new(selection: Selection, memory: Memory) -> Self {
        Self { selection, memory, items: Vec::new(), warnings: Vec::new() }
    }

    /// What was seen so far, the items that were taken included.
    #[must_use]
    pub(super) fn memory(&self) -> &Memory {
        &self.memory
    }

    /// How many items wait.
    #[must_use]
    pub(super) fn n_items(&self) -> usize {
        self.items.len()
    }

    /// The items since the last call, in order.
    pub(super) fn take_items(&mut self) -> Vec<Item> {
        std::mem::take(&mut self.items)
    }

    /// What went wrong outside of the files since the last call, in words.
    pub(super) fn take_warnings(&mut self) -> Vec<String> {
        std::mem::take(&mut self.warnings)
    }

    /// Takes it that so many values were delivered.
    pub(super) fn count(&mut self, n_points: u64) {
        self.memory.n_points += n_points;
    }

    /// Leaves out all values but the last of each tag, where no rewind lies between.
    pub(super) fn coalesce(&mut self, items: &mut Vec<Item>) {
        let mut later: HashMap<(RunName, Tag), ()> = HashMap::new();
        let mut kept = Vec::with_capacity(items.len());
        for item in items.drain(..).rev() {
            match &item {
                Item::Point { run, tag, .. } => {
                    if later.insert((run.clone(), tag.clone()), ()).is_some() {
                        self.memory.n_left_out += 1;
                        continue;
                    }
                }
                Item::Rewind(run, rewound) => {
                    later.remove(&(run.clone(), rewound.tag.clone()));
                }
                Item::Line(_) => {}
            }
            kept.push(item);
        }
        kept.reverse();
        *items = kept;
    }

    /// The line of an item.
    pub(super) fn line(item: Item) -> Line {
        match item {
            Item::Line(line) => line,
            Item::Point { run, tag, point, attempt } => {
                let Point { step, wall_time, value } = point;
                Line::Point { run, tag, step, wall_time: wall_time.0, value, attempt }
            }
            Item::Rewind(run, rewound) => {
                let Rewound { tag, rewind, attempt, .. } = *rewound;
                Line::Rewind { run, tag, from_step: rewind.from, attempt, reason: rewind.reason.name() }
            }
        }
    }

    /// Which values of a series stand from a step on, of all its writers but one.
    pub(super) fn standing(&self, run: &RunName, tag: &Tag, from: Step, but: Option<WriterId>) -> Standing {
        let run = self.memory.runs.get(run);
        run.map_or_else(Standing::default, |run| run.live.standing(tag.as_str(), from, but))
    }

    /// Whether a value at this step is wanted.
    pub(super) fn has_step(&self, step: Step) -> bool {
        self.selection.has_step(step)
    }

    /// What is there, in case a wanted tag is not.
    #[must_use]
    pub(super) fn seen(&self, n_files: usize) -> Seen {
        let runs = self.memory.runs.iter();
        let tags =
            runs.flat_map(|(run, memory)| memory.tags.iter().map(move |(tag, known)| (run, tag, known.kind)));
        Seen::of(n_files, tags)
    }

    /// The tags that were asked for by name and of which no value has come.
    pub(super) fn missing(&self) -> impl Iterator<Item = &Tag> {
        let has_come = |tag: &Tag| {
            let mut runs = self.memory.runs.values();
            runs.any(|run| run.tags.get(tag).is_some_and(|known| known.n_points > 0))
        };
        self.selection.filter.names().iter().filter(move |tag| !has_come(tag))
    }

    /// Takes it that a writer of a run, whose first event has the clock `started`, was alive at `clock`.
    pub(super) fn is_alive(&mut self, run: &RunName, writer: WriterId, started: WallTime, clock: WallTime) {
        let memory = self.memory.runs.entry(run.clone()).or_default();
        for rewound in memory.live.at_work(writer, started, clock) {
            self.items.push(Item::Rewind(run.clone(), Box::new(rewound)));
        }
    }

    /// Takes something that was found.
    pub(super) fn handle(&mut self, found: Found<'_>) {
        match found {
            Found::File { .. } => {}
            Found::Event { run, path, writer, started, ingested } => match ingested {
                Ingested::Value { step, wall_time, tag, content, .. } => {
                    let value = match content {
                        Content::Scalar(value) => Ok(Point { step, wall_time, value }),
                        Content::Other(kind) => Err(kind),
                    };
                    self.take(run, writer, (started, wall_time), tag, value);
                }
                Ingested::SessionStart(step) => {
                    if self.selection.filter.has_run(run) {
                        let rewound = self.run(run).live.session_start(writer, started, step);
                        self.items
                            .extend(rewound.into_iter().map(|r| Item::Rewind(run.clone(), Box::new(r))));
                    }
                }
                Ingested::Damage(damage) => {
                    self.memory.n_damages += 1;
                    if self.memory.n_damages <= MAX_DAMAGES_LISTED as u64 {
                        self.items.push(Item::Line(Line::Damage {
                            file: path.to_owned(),
                            offset: damage.offset,
                            bytes: damage.bytes,
                            damage: damage.kind.name(),
                        }));
                    }
                }
                Ingested::Opened { .. } | Ingested::Graph => {}
            },
            Found::Hypertune { run, writer, entry, .. } => {
                let point = Point { step: entry.step, wall_time: entry.wall_time, value: entry.value };
                let clocks = (entry.wall_time, entry.wall_time);
                self.take(run, writer, clocks, &entry.tag, Ok(point));
            }
            Found::Rewritten { path } => {
                self.items.push(Item::Line(Line::Rewritten { file: path.to_owned() }));
            }
            Found::Unreadable { path, error } => {
                self.warnings.push(format!("{path}: cannot be read: {error}; it is tried again"));
            }
            Found::Foreign { path, what } => self.warnings.push(what.in_words(path)),
            Found::UnreadableReports { path, unreadable, .. } => {
                let words = Unreadable::in_words(unreadable.n, &unreadable.example);
                self.warnings.push(format!("{path}: {words}"));
            }
            Found::MissedReports { path } => self.warnings.push(format!("{path}: {MISSED_REPORTS}")),
            Found::TooManyFiles { path } => {
                self.warnings.push(format!("too many event files: {path} and later ones are not followed"));
            }
        }
    }

    fn run(&mut self, run: &RunName) -> &mut RunMemory {
        self.memory.runs.entry(run.clone()).or_default()
    }

    /// Takes a value, or the kind of what is none, with the clocks of its file's first event and its own.
    fn take(
        &mut self,
        run: &RunName,
        writer: WriterId,
        (started, clock): (WallTime, WallTime),
        tag: &str,
        value: Result<Point, Kind>,
    ) {
        if !self.selection.filter.has_run(run) {
            return;
        }
        let memory = self.memory.runs.entry(run.clone()).or_default();
        for rewound in memory.live.at_work(writer, started, clock) {
            self.items.push(Item::Rewind(run.clone(), Box::new(rewound)));
        }
        if !memory.tags.contains_key(tag) && memory.tags.len() < MAX_TAGS {
            let kind = value.err().unwrap_or(Kind::Scalar);
            memory.tags.insert(Tag::from(tag), TagMemory { kind, n_points: 0 });
            let line = Line::Tag { run: run.clone(), tag: Tag::from(tag), holds: kind.name() };
            self.items.push(Item::Line(line));
        }
        let (Ok(point), true) = (value, self.selection.filter.has_tag(tag)) else { return };
        let (attempt, points) = match memory.live.offer(writer, tag, point) {
            OfferResult::Stands(attempt) => (attempt, vec![point]),
            OfferResult::Rewinds(rewound, points) => {
                let attempt = rewound.attempt;
                self.items.push(Item::Rewind(run.clone(), Box::new(rewound)));
                (attempt, points)
            }
            OfferResult::Void | OfferResult::LeftOut => {
                self.memory.n_left_out += 1;
                return;
            }
        };
        let Some((tag, n_before)) =
            memory.tags.get_key_value(tag).map(|(tag, known)| (tag.clone(), known.n_points))
        else {
            self.memory.n_left_out += 1;
            return;
        };
        if let Some(memory) = memory.tags.get_mut(&tag) {
            memory.n_points += points.len() as u64;
        }
        for (n, point) in (n_before..).zip(points) {
            if n % self.selection.every.get() == 0 && self.selection.has_step(point.step) {
                self.items.push(Item::Point { run: run.clone(), tag: tag.clone(), point, attempt });
            } else {
                self.memory.n_left_out += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::MetricValue;
    use tfevents::scalar::Metadata;

    fn offer(feed: &mut Feed, writer: u32, started: f64, tag: &str, step: i64) {
        let (run, clock) = (RunName::root(), WallTime(started + step as f64));
        let content = Content::Scalar(MetricValue::I64(step));
        feed.handle(Found::Event {
            run: &run,
            path: "x.tfevents.1",
            writer: WriterId(writer),
            started: WallTime(started),
            ingested: Ingested::Value {
                step: Step(step),
                wall_time: clock,
                tag,
                content,
                metadata: Metadata::default(),
            },
        });
    }

    fn told(items: &[Item]) -> Vec<String> {
        let word = |item: &Item| match item {
            Item::Line(Line::Tag { tag, .. }) => format!("tag {tag}"),
            Item::Line(line) => format!("{line:?}"),
            Item::Point { tag, point, attempt, .. } => format!("{tag} {} in {attempt}", point.step),
            Item::Rewind(_, rewound) => format!("{} from {}", rewound.tag, rewound.rewind.from),
        };
        items.iter().map(word).collect()
    }

    #[test]
    fn only_what_is_selected_is_told() {
        let selection = Selection {
            filter: SeriesFilter::of_names_and_globs(&["a".to_owned()], &[], &[]).expect("no globs"),
            every: NonZeroU64::new(2).expect("not 0"),
            since: Some(Step(3)),
        };
        let mut feed = Feed::new(selection, Memory::default());
        for step in 1..=6 {
            offer(&mut feed, 0, 10.0, "a", step);
            offer(&mut feed, 0, 10.0, "ab", step);
        }
        assert_eq!(told(&feed.take_items()), ["tag a", "tag ab", "a 3 in 1", "a 5 in 1"]);
        assert_eq!(feed.memory().n_left_out, 4);
        assert_eq!(feed.missing().count(), 0);
    }

    #[test]
    fn a_restart_is_told_before_its_first_value() {
        let mut feed = Feed::new(Selection::default(), Memory::default());
        (1..=4).for_each(|step| offer(&mut feed, 0, 10.0, "a", step));
        feed.take_items();
        (3..=4).for_each(|step| offer(&mut feed, 1, 100.0, "a", step));
        assert_eq!(told(&feed.take_items()), ["a from 3", "a 3 in 2", "a 4 in 2"]);
    }

    #[test]
    fn of_the_values_of_a_while_the_last_is_kept_and_each_rewind() {
        let mut feed = Feed::new(Selection::default(), Memory::default());
        (1..=4).for_each(|step| offer(&mut feed, 0, 10.0, "a", step));
        (3..=9).for_each(|step| offer(&mut feed, 1, 100.0, "a", step));
        let mut items = feed.take_items();
        feed.coalesce(&mut items);
        assert_eq!(told(&items), ["tag a", "a 4 in 1", "a from 3", "a 9 in 2"]);
        assert_eq!(feed.memory().n_left_out, 9);
    }
}
