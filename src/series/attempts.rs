//! Which attempt of a restarted trainer a value belongs to, and which values stand.
//!
//! A writer resumes at its first value, or right behind the step of the session that it began with. What
//! it writes replaces, from that step on, the values of writers that had ended before it started, and
//! its own of earlier sessions. Of writers side by side none replaces values of another, but for the very
//! same step, where the later clock decides. None of this depends on the order in which files are read.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use serde::{Deserialize, Serialize};

use super::stretch::Stretch;
use super::writer::Moment;
use super::{Rewind, Stretches, Writer};
use crate::units::{Step, Tag};

/// From which step on the values of writers are replaced, for one tag.
///
/// By when a writer starts: the least step from which it or a later one resumed. Both rise.
#[derive(Debug, Clone, Default)]
pub(super) struct Voids(Vec<(Moment, Step)>);

impl Voids {
    /// Takes it that a writer which started at `start` resumed at `from`.
    pub(super) fn add(&mut self, start: Moment, from: Step) {
        let at = self.0.partition_point(|(moment, _)| *moment < start);
        if self.0.get(at).is_some_and(|(_, least)| *least <= from) {
            return;
        }
        // Both rise: what it makes superfluous lies together.
        let first = self.0.partition_point(|(moment, least)| *moment < start && *least < from);
        let end = at + usize::from(self.0.get(at).is_some_and(|(moment, _)| *moment == start));
        if self.0.is_empty() {
            self.0.reserve_exact(1);
        }
        self.0.splice(first..end, [(start, from)]);
    }

    /// The step from which on the values of a writer are replaced by those of later ones.
    pub(super) fn of(&self, writer: &Writer) -> Option<Step> {
        let end = writer.end();
        self.0.get(self.0.partition_point(|(moment, _)| *moment <= end)).map(|(_, from)| *from)
    }
}

/// A session of a writer, by which an attempt may begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Beginning {
    start: Moment,
    session: usize,
}

/// The attempts of one run: its tags are restarted together.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Attempts {
    /// By which sessions the second and later ones began, in order.
    begun: Vec<Beginning>,
}

impl Attempts {
    /// The attempts of a run of which each writer wrote some tags.
    pub fn of_run<'a, T>(files: impl IntoIterator<Item = (Writer, T)>) -> Self
    where
        T: IntoIterator<Item = (&'a Tag, &'a Stretches)>,
    {
        let mut by_tag: HashMap<&Tag, Vec<(Writer, &Stretches)>> = HashMap::new();
        for (writer, tags) in files {
            for (tag, stretches) in tags {
                by_tag.entry(tag).or_default().push((writer, stretches));
            }
        }
        Self::of_tags(by_tag.into_values())
    }

    /// The attempts that some tags tell of, each with what its writers wrote.
    pub fn of_tags<'a, T>(tags: impl IntoIterator<Item = T>) -> Self
    where
        T: IntoIterator<Item = (Writer, &'a Stretches)>,
    {
        let mut begun: Vec<Beginning> =
            tags.into_iter().flat_map(|parts| rewinds(parts).into_iter().map(|(by, _)| by)).collect();
        begun.sort_unstable();
        begun.dedup();
        Self { begun }
    }

    /// Takes it that a session of a writer replaced values of an earlier attempt.
    pub(super) fn begin(&mut self, writer: &Writer, session: usize) {
        let beginning = Beginning { start: writer.start(), session };
        if let Err(at) = self.begun.binary_search(&beginning) {
            self.begun.insert(at, beginning);
        }
    }

    /// How many attempts there are, at least 1.
    #[must_use]
    pub fn n(&self) -> u32 {
        number(self.begun.len())
    }

    /// The attempt, from 1, that values belong to which a writer wrote when it had begun `n_sessions`.
    #[must_use]
    pub fn of(&self, writer: &Writer, n_sessions: usize) -> u32 {
        let at = Beginning { start: writer.start(), session: n_sessions };
        number(self.begun.partition_point(|begun| *begun <= at))
    }
}

fn number(n_begun: usize) -> u32 {
    u32::try_from(n_begun).unwrap_or(u32::MAX).saturating_add(1)
}

/// Where values of one tag were replaced, in the order in which the writers started.
pub(super) fn told_rewinds<'a>(parts: impl IntoIterator<Item = (Writer, &'a Stretches)>) -> Vec<Rewind> {
    rewinds(parts).into_iter().map(|(_, rewind)| rewind).collect()
}

fn rewinds<'a>(parts: impl IntoIterator<Item = (Writer, &'a Stretches)>) -> Vec<(Beginning, Rewind)> {
    let mut parts: Vec<(Writer, &Stretches)> = parts.into_iter().collect();
    parts.sort_by_key(|(writer, _)| writer.start());
    let mut found = Vec::new();
    // The largest step that stands, of writers that have ended by now together and of each other one.
    let mut ended: Option<Step> = None;
    let mut at_work: BinaryHeap<Reverse<(Moment, Option<Step>)>> = BinaryHeap::new();
    for (writer, stretches) in parts {
        while let Some(Reverse((_, largest))) =
            at_work.peek().copied().filter(|Reverse((end, _))| *end < writer.start())
        {
            at_work.pop();
            ended = ended.max(largest);
        }
        let mut own: Option<Step> = None;
        for Stretch { session, resumed, last_step, .. } in stretches.iter() {
            let before = Some(resumed.from);
            if ended.max(own) >= before {
                found.push((Beginning { start: writer.start(), session: *session }, *resumed));
                let still = resumed.from.0.checked_sub(1).map(Step);
                (ended, own) = (ended.min(still), own.min(still));
            }
            own = own.max(Some(*last_step));
        }
        at_work.push(Reverse((writer.end(), own)));
    }
    found
}

/// The last value of one tag that stands: of the largest step, where several wrote it, the latest.
pub(super) fn last_standing<'a>(
    parts: impl IntoIterator<Item = (Writer, &'a Stretches)> + Clone,
) -> Option<&'a Stretch> {
    let mut voids = Voids::default();
    for (writer, stretches) in parts.clone() {
        stretches.iter().for_each(|stretch| voids.add(writer.start(), stretch.resumed.from));
    }
    // Whoever replaced values has one at or behind the step from which it did: the largest step that
    // stands is the last of a stretch that nobody cut short.
    let mut last: Option<(Step, Moment, &Stretch)> = None;
    for (writer, stretches) in parts {
        let mut until = voids.of(&writer);
        for stretch in stretches.iter().rev() {
            if until.is_none_or(|until| stretch.last_step < until) {
                let at = Moment::of_value(stretch.last_clock, writer.id);
                if last.is_none_or(|(step, clock, _)| (stretch.last_step, at) > (step, clock)) {
                    last = Some((stretch.last_step, at, stretch));
                }
            }
            let from = stretch.resumed.from;
            until = Some(until.map_or(from, |until| until.min(from)));
        }
    }
    last.map(|(_, _, stretch)| stretch)
}
