//! Which attempt of a restarted trainer a value belongs to, and which values stand.
//!
//! A writer resumes where it says so, at the start of a session: from behind the step of the session on, whatever it
//! writes then and whether it writes at all, that replaces what writers that had ended before it started wrote under
//! every tag of the run, and its own of before. Without a session it resumes at its first value of a tag, or where its
//! steps fall back (`stretch.rs` has the line); that replaces values of this tag alone.
//! Of writers side by side none replaces values of another, but for the very same step, where those of the first count.
//! None of this depends on the order in which files are read.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};

#[cfg(feature = "serde")]
use serde::{Deserialize, Serialize};

use super::stretch::{Section, Walked, session_rewind};
use super::writer::{Claim, Moment, counting};
use super::{Rewind, Stretches, Writer, WriterId};
use crate::units::{MetricValue, Step, Tag, WallTime};

/// From which step on the values of writers are replaced.
///
/// By when a writer starts: the least step from which it or a later one resumed. Both rise.
#[derive(Debug, Clone, Default)]
pub(super) struct SupersededFrom(Vec<(Moment, Step)>);

impl SupersededFrom {
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

/// The least of some steps, where there is one.
pub(super) fn least(steps: impl IntoIterator<Item = Option<Step>>) -> Option<Step> {
    steps.into_iter().flatten().min()
}

/// What a writer resumed at, by which an attempt may begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
struct Beginning {
    start: Moment,
    #[cfg_attr(feature = "serde", serde(flatten))]
    section: Section,
}

/// The sessions that the writers of one run began.
#[derive(Debug, Clone, Default)]
pub(super) struct Sessions {
    writers: BTreeMap<WriterId, (Writer, Vec<Step>)>,
    voids: SupersededFrom,
}

impl Sessions {
    fn add(&mut self, writer: Writer, steps: &[Step]) {
        if steps.is_empty() {
            return;
        }
        steps.iter().for_each(|step| self.voids.add(writer.start(), session_rewind(*step).from));
        self.writers.insert(writer.id, (writer, steps.to_vec()));
    }

    pub(super) fn of(&self, writer: WriterId) -> &[Step] {
        self.writers.get(&writer).map_or(&[], |(_, steps)| steps)
    }
}

/// The attempts of one run: its tags are restarted together.
#[derive(Debug, Clone, Default)]
pub struct Attempts {
    begun: Begun,
    sessions: Sessions,
}

/// By what the second and later attempts began, in order.
#[derive(Debug, Clone, Default)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
pub(super) struct Begun {
    begun: Vec<Beginning>,
}

impl Begun {
    /// Takes it that a writer, resuming, replaced values of an earlier attempt.
    pub(super) fn add(&mut self, writer: &Writer, section: Section) {
        let beginning = Beginning { start: writer.start(), section };
        if let Err(at) = self.begun.binary_search(&beginning) {
            self.begun.insert(at, beginning);
        }
    }

    pub(super) fn n(&self) -> u32 {
        number(self.begun.len())
    }

    pub(super) fn of(&self, writer: &Writer, section: Section) -> u32 {
        let at = Beginning { start: writer.start(), section };
        number(self.begun.partition_point(|begun| *begun <= at))
    }
}

impl Attempts {
    /// The sessions that the writers of a run began, without its attempts.
    pub fn of_sessions<'a>(writers: impl IntoIterator<Item = (Writer, &'a [Step])>) -> Self {
        let mut sessions = Sessions::default();
        writers.into_iter().for_each(|(writer, steps)| sessions.add(writer, steps));
        Self { sessions, ..Self::default() }
    }

    /// The attempts of a run of which each writer began some sessions and wrote some tags.
    pub fn of_run<'a, T>(files: impl IntoIterator<Item = (Writer, &'a [Step], T)>) -> Self
    where
        T: IntoIterator<Item = (&'a Tag, &'a Stretches)>,
    {
        let mut sessions = Sessions::default();
        let mut by_tag: HashMap<&Tag, Vec<(Writer, &Stretches)>> = HashMap::new();
        for (writer, steps, tags) in files {
            sessions.add(writer, steps);
            for (tag, stretches) in tags {
                by_tag.entry(tag).or_default().push((writer, stretches));
            }
        }
        let rewinds = by_tag.into_values().flat_map(|parts| rewinds(parts, &sessions));
        let mut begun: Vec<Beginning> = rewinds.map(|(by, _)| by).collect();
        begun.sort_unstable();
        begun.dedup();
        Self { begun: Begun { begun }, sessions }
    }

    /// How many attempts there are, at least 1.
    #[must_use]
    pub fn n(&self) -> u32 {
        self.begun.n()
    }

    /// The attempt, from 1, that values belong to which a writer wrote in a section.
    pub(super) fn of(&self, writer: &Writer, section: Section) -> u32 {
        self.begun.of(writer, section)
    }

    /// The attempt of values under a tag whose writer resumes where it says so alone, when it had begun `n_sessions`.
    #[must_use]
    pub fn of_session(&self, writer: &Writer, n_sessions: usize) -> u32 {
        self.of(writer, Section { session: n_sessions, restart: 0 })
    }

    /// The attempts of the values that a writer wrote of a tag, in order: how many values follow each other in each.
    pub fn of_values<'a>(
        &'a self,
        writer: &'a Writer,
        stretches: &'a Stretches,
    ) -> impl Iterator<Item = (usize, u32)> + use<'a> {
        stretches.iter().map(|stretch| (stretch.n_values, self.of(writer, stretch.section)))
    }

    /// Where values of one tag were replaced, in the order in which the writers started.
    pub(super) fn rewinds<'a>(
        &self,
        parts: impl IntoIterator<Item = (Writer, &'a Stretches)>,
    ) -> Vec<Rewind> {
        rewinds(parts, &self.sessions).into_iter().map(|(_, rewind)| rewind).collect()
    }

    /// What stands of one tag.
    pub(super) fn standing<'a>(
        &self,
        parts: impl IntoIterator<Item = (Writer, &'a Stretches)> + Clone,
    ) -> Standing {
        let mut voids = SupersededFrom::default();
        for (writer, stretches) in parts.clone() {
            stretches.iter().for_each(|stretch| voids.add(writer.start(), stretch.resumed.from));
        }
        let of_writer = |(writer, stretches): (Writer, &Stretches)| {
            let others = least([voids.of(&writer), self.sessions.voids.of(&writer)]);
            let segments = segments(&writer, stretches, self.sessions.of(writer.id), others, &self.begun);
            (writer.id, segments)
        };
        Standing { from: Step(i64::MIN), writers: parts.into_iter().map(of_writer).collect() }
    }
}

fn number(n_begun: usize) -> u32 {
    u32::try_from(n_begun).unwrap_or(u32::MAX).saturating_add(1)
}

/// Which values of a tag stand: for each writer, in the order in which it wrote them.
#[derive(Debug, Clone, Default)]
pub struct Standing {
    pub(super) from: Step,
    pub(super) writers: Vec<(WriterId, Vec<Segment>)>,
}

/// Values of one writer that follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) n_values: usize,
    /// From this step on they are void.
    pub(super) until: Option<Step>,
    pub(super) attempt: u32,
}

impl Segment {
    /// Whether values of it may be void.
    pub(super) fn is_cut(&self) -> bool {
        self.until.is_some()
    }
}

/// The segments of a writer whose values are replaced by those of others from the step `others` on.
pub(super) fn segments(
    writer: &Writer,
    stretches: &Stretches,
    sessions: &[Step],
    others: Option<Step>,
    begun: &Begun,
) -> Vec<Segment> {
    let untils = stretches.untils(sessions);
    let mut segments: Vec<Segment> = Vec::with_capacity(untils.len().min(16));
    for (stretch, own) in stretches.iter().zip(untils) {
        let (until, attempt) = (least([own, others]), begun.of(writer, stretch.section));
        match segments.last_mut().filter(|last| (last.until, last.attempt) == (until, attempt)) {
            Some(last) => last.n_values += stretch.n_values,
            None => segments.push(Segment { n_values: stretch.n_values, until, attempt }),
        }
    }
    segments
}

impl Standing {
    /// Whether nothing stands.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.writers.is_empty()
    }

    /// The writers of which some values may stand.
    pub fn writers(&self) -> impl Iterator<Item = WriterId> {
        self.writers.iter().map(|(id, _)| *id)
    }

    /// Goes over the values of one of them, in the order in which it wrote them.
    #[must_use]
    pub fn go_over(&self, writer: WriterId) -> GoOver<'_> {
        let segments = self.writers.iter().find(|(id, _)| *id == writer).map(|(_, segments)| &**segments);
        GoOver { from: self.from, segments: segments.unwrap_or_default(), n_gone: 0 }
    }
}

/// Says of one value after the other whether it stands.
#[derive(Debug)]
pub struct GoOver<'a> {
    from: Step,
    segments: &'a [Segment],
    /// How many values of the first segment are gone over.
    n_gone: usize,
}

impl GoOver<'_> {
    /// Whether all values are gone over that there were when this was made.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.segments.is_empty()
    }

    /// Goes over so many values.
    pub(super) fn skip(&mut self, mut n_values: usize) {
        while let Some((segment, rest)) = self.segments.split_first() {
            let n_left = segment.n_values - self.n_gone;
            if n_values < n_left {
                self.n_gone += n_values;
                return;
            }
            n_values -= n_left;
            (self.segments, self.n_gone) = (rest, 0);
        }
    }

    /// Takes the step of the next value. The answer is its attempt, where it stands.
    pub fn next(&mut self, step: Step) -> Option<u32> {
        let (segment, rest) = self.segments.split_first()?;
        self.n_gone += 1;
        if self.n_gone >= segment.n_values {
            (self.segments, self.n_gone) = (rest, 0);
        }
        let stands = step >= self.from && segment.until.is_none_or(|until| step < until);
        stands.then_some(segment.attempt)
    }
}

fn rewinds<'a>(
    parts: impl IntoIterator<Item = (Writer, &'a Stretches)>,
    sessions: &Sessions,
) -> Vec<(Beginning, Rewind)> {
    static NONE: Stretches = Stretches::NONE;
    let silent = sessions.writers.values().map(|(writer, _)| (writer.id, (*writer, &NONE)));
    let mut writers: BTreeMap<WriterId, (Writer, &Stretches)> = silent.collect();
    writers.extend(parts.into_iter().map(|(writer, stretches)| (writer.id, (writer, stretches))));
    let mut writers: Vec<(Writer, &Stretches)> = writers.into_values().collect();
    writers.sort_by_key(|(writer, _)| writer.start());
    let mut found = Vec::new();
    // The largest step that stands, of writers that have ended by now together and of each other one.
    let mut ended: Option<Step> = None;
    let mut at_work: BinaryHeap<Reverse<(Moment, Option<Step>)>> = BinaryHeap::new();
    for (writer, stretches) in writers {
        while let Some(Reverse((_, largest))) =
            at_work.peek().copied().filter(|Reverse((end, _))| *end < writer.start())
        {
            at_work.pop();
            ended = ended.max(largest);
        }
        let mut own: Option<Step> = None;
        for walked in stretches.walk(sessions.of(writer.id)) {
            match walked {
                Walked::Wrote(stretch) => own = own.max(Some(stretch.last_step)),
                Walked::Resumed(section, rewind) if ended.max(own) >= Some(rewind.from) => {
                    found.push((Beginning { start: writer.start(), section }, rewind));
                    let still = rewind.from.0.checked_sub(1).map(Step);
                    (ended, own) = (ended.min(still), own.min(still));
                }
                Walked::Resumed(..) => {}
            }
        }
        at_work.push(Reverse((writer.end(), own)));
    }
    found
}

/// The last value of one tag that stands: of the largest step, where several wrote it, that which counts; of a writer that
/// passed over its steps several times, of the last pass.
#[derive(Debug, Clone, Copy)]
pub(super) enum LastStanding {
    /// None.
    None,
    /// This.
    Of(Ended),
    /// One before a step at which values were made void with none written behind it: which one only the values
    /// themselves say.
    Hidden,
}

/// A value at a largest step.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ended {
    pub(super) step: Step,
    pub(super) clock: WallTime,
    pub(super) value: Option<MetricValue>,
    pub(super) by: Writer,
}

/// The values at the largest step that any writer wrote.
#[derive(Debug, Clone, Default)]
pub(super) struct Largest(Vec<Ended>);

impl Largest {
    /// Takes a value; of one writer at one step the last.
    pub(super) fn take(&mut self, ended: Ended) {
        if let Some(step) = self.0.first().map(|last| last.step)
            && step != ended.step
        {
            if ended.step < step {
                return;
            }
            self.0.clear();
        }
        match self.0.iter_mut().find(|known| known.by.id == ended.by.id) {
            Some(known) => *known = ended,
            None => self.0.push(ended),
        }
    }

    /// That which counts; `None` before there is one.
    pub(super) fn counting(&self) -> Option<Ended> {
        let claim = |ended: &Ended| Claim { value: *ended, by: ended.by, clock: ended.clock, rank: None };
        let claims: Vec<Claim<Ended>> = self.0.iter().map(claim).collect();
        counting(&claims).map(|claim| claim.value)
    }
}

/// The last value of a tag that stands, of which `standing` says what does.
pub(super) fn last_standing<'a>(
    parts: impl IntoIterator<Item = (Writer, &'a Stretches)>,
    attempts: &Attempts,
) -> LastStanding {
    let mut parts: Vec<(Writer, &Stretches)> = parts.into_iter().collect();
    parts.sort_by_key(|(writer, _)| writer.start());
    let mut voids = SupersededFrom::default();
    for (writer, stretches) in &parts {
        stretches.iter().for_each(|stretch| voids.add(writer.start(), stretch.resumed.from));
    }
    let mut last = Largest::default();
    let mut hidden: Option<Step> = None;
    for (by, stretches) in parts {
        let others = least([voids.of(&by), attempts.sessions.voids.of(&by)]);
        let untils = stretches.untils(attempts.sessions.of(by.id));
        if let Some((step, clock, value)) = stretches.end_of_pass()
            && others.is_none_or(|until| step < until)
        {
            last.take(Ended { step, clock, value, by });
            continue;
        }
        let mut own: Option<Ended> = None;
        for (stretch, until) in stretches.iter().zip(untils).rev() {
            let until = least([until, others]);
            if let Some(until) = until.filter(|until| stretch.last_step >= *until) {
                hidden = hidden.max(until.0.checked_sub(1).map(Step));
                continue;
            }
            let (step, clock, value) = (stretch.last_step, stretch.last_clock, stretch.last_value);
            if own.is_none_or(|own| step > own.step) {
                own = Some(Ended { step, clock, value, by });
            }
        }
        own.into_iter().for_each(|ended| last.take(ended));
    }
    match (last.counting(), hidden) {
        (Some(last), hidden) if hidden.is_none_or(|hidden| hidden < last.step) => LastStanding::Of(last),
        (None, None) => LastStanding::None,
        (_, _) => LastStanding::Hidden,
    }
}
