//! The tags of one run while its files grow, without their points: which values stand, which attempt they
//! belong to, and where a later attempt replaces an earlier one.
//!
//! A follower of it keeps the points, or lets them go. Where a rewind leaves points standing (those of writers side by
//! side), they are to be told again: [`Live::standing`] says which of a writer's values those are. Which of the values of
//! writers side by side at one step counts is for the follower to say.

#[cfg(feature = "serde")]
use serde::{Deserialize, Serialize};

use super::attempts::{Begun as AttemptsBegun, Standing, SupersededFrom, least, segments};
use super::stretch::{Added, Begun, Section, session_rewind};
use super::writer::Moment;
use super::{Point, Rewind, RewindReason, Shape, SmallMap, Stretches, Writer, WriterId};
use crate::limits::{MAX_SESSIONS, MAX_TAGS};
use crate::units::{Step, Tag, WallTime};

/// The tags of one run while its files grow.
#[derive(Debug, Clone, Default)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
#[cfg_attr(feature = "serde", serde(into = "Stored", from = "Stored"))]
pub struct Live {
    writers: SmallMap<WriterId, AtWork>,
    tags: SmallMap<Tag, LiveTag>,
    attempts: AttemptsBegun,
    /// When the writers started, in order.
    starts: Vec<Moment>,
    /// Of the sessions, for all tags.
    voids: SupersededFrom,
    /// No value of any writer that its own later sessions left standing lies behind this step.
    reach: Option<Step>,
}

/// One writer of a run.
#[derive(Debug, Clone)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
struct AtWork {
    writer: Writer,
    /// The steps of the sessions that it began.
    sessions: Vec<Step>,
}

/// One tag of a run.
#[derive(Debug, Clone, Default)]
struct LiveTag {
    parts: SmallMap<WriterId, Stretches>,
    /// What its writers resumed at, once there are two.
    voids: SupersededFrom,
}

/// What became of an offered point.
#[derive(Debug, Clone)]
pub enum OfferResult {
    /// It stands, and belongs to this attempt, from 1.
    Stands(u32),
    /// A later attempt was there before it: it is void.
    Void,
    /// What was told before from some step on is void, which is to be told first. These points of its writer stand
    /// behind it: the last is the one that was offered, where it stands; those before it were told already.
    Rewinds(Rewound, Vec<Point>),
    /// There are too many tags to follow this one.
    LeftOut,
}

/// Points of a tag that were told and are void now.
#[derive(Debug, Clone)]
pub struct Rewound {
    /// The tag.
    pub tag: Tag,
    /// From which step on all that was told is void, and how it is known.
    pub rewind: Rewind,
    /// The attempt that begins, from 1; for a writer that goes on, that of its values.
    pub attempt: u32,
    /// Whether points of writers other than [`Self::by`] stand all the same, which are to be told again.
    pub leaves_some: bool,
    /// The writer that replaced them.
    pub by: Option<WriterId>,
}

impl Live {
    /// Takes a session's start (`SessionLog.START`) at `step`: where a writer whose first event has the clock
    /// `started` resumed. What it makes void under each tag is to be told.
    pub fn session_start(&mut self, id: WriterId, started: WallTime, step: Step) -> Vec<Rewound> {
        let at_work = self.writer(id, started);
        if at_work.sessions.len() >= MAX_SESSIONS {
            return Vec::new();
        }
        at_work.sessions.push(step);
        let (writer, section) = (at_work.writer, Section { session: at_work.sessions.len(), restart: 0 });
        let rewind = session_rewind(step);
        let mut rewound = Vec::new();
        // Of many sessions in turn only those look at every tag that may make something void.
        if self.reach >= Some(rewind.from) {
            self.reach = None;
            for (tag, live) in self.tags.iter_mut() {
                if live.is_replaced(&self.writers, &self.voids, &writer, rewind.from) {
                    rewound.push(tag.clone());
                }
                if let Some(own) = live.parts.get_mut(&id) {
                    own.cut(rewind.from);
                }
                self.reach = self.reach.max(live.reach());
            }
        }
        self.voids.add(writer.start(), rewind.from);
        if !rewound.is_empty() {
            self.attempts.add(&writer, section);
        }
        let attempt = self.attempts.of(&writer, section);
        let rewound = rewound.into_iter().map(|tag| {
            let leaves_some = self.leaves_some(tag.as_str(), rewind.from, Some(id));
            Rewound { tag, rewind, attempt, leaves_some, by: Some(id) }
        });
        rewound.collect()
    }

    /// Takes it that some event of a writer, whatever its tag, has this clock. Where it had not ended as it
    /// seemed, its values stand again: the rewinds are to be told.
    pub fn at_work(&mut self, id: WriterId, started: WallTime, clock: WallTime) -> Vec<Rewound> {
        let known = &mut self.writer(id, started).writer;
        let before = *known;
        known.at_work(clock);
        let after = *known;
        let n_started_by = |end: Moment| self.starts.partition_point(|start| *start <= end);
        if self.starts.last().is_none_or(|last| *last <= before.end())
            || n_started_by(before.end()) == n_started_by(after.end())
        {
            return Vec::new();
        }
        let mut rewound = Vec::new();
        for (tag, live) in self.tags.iter() {
            let Some(stretches) = live.parts.get(&id) else { continue };
            let until = |writer| least([live.voids.of(writer), self.voids.of(writer)]);
            let Some(from) = until(&before).filter(|from| until(&after) != Some(*from)) else { continue };
            if stretches.reach() >= Some(from) {
                let section = stretches.iter().next_back().map_or(Section::default(), |last| last.section);
                rewound.push(Rewound {
                    tag: tag.clone(),
                    rewind: Rewind { from, reason: RewindReason::StillWriting },
                    attempt: self.attempts.of(&after, section),
                    leaves_some: true,
                    by: None,
                });
            }
        }
        rewound
    }

    /// Takes a point, after [`Self::at_work`] with its clock.
    pub fn offer(&mut self, id: WriterId, tag: &str, point: Point) -> OfferResult {
        let Some(AtWork { writer, sessions }) = self.writers.get(&id) else { return OfferResult::LeftOut };
        if self.tags.get(tag).is_none() {
            if self.tags.len() >= MAX_TAGS {
                return OfferResult::LeftOut;
            }
            self.tags.get_or_insert_with(Tag::from(tag), LiveTag::default);
        }
        let Some(live) = self.tags.get_mut(tag) else { return OfferResult::LeftOut };
        self.reach = self.reach.max(Some(point.step));
        let writer = *writer;
        let stretches = live.part(id, &self.writers);
        let reach = stretches.reach();
        let added = Added { step: point.step, clock: point.wall_time, value: Some(point.value) };
        let begun = stretches.take(sessions, added);
        let section = stretches.iter().next_back().map_or(Section::default(), |last| last.section);
        let (rewind, points, is_told) = match begun {
            Begun::Nothing => (None, Vec::new(), true),
            Begun::Stretch { resumed, is_told } => (Some(resumed), vec![point], is_told),
            Begun::Restart(rewind, values) => {
                (Some(rewind), values.into_iter().filter_map(as_point).collect(), false)
            }
        };
        let rewind = rewind.filter(|rewind| {
            let own = reach >= Some(rewind.from) && stands(&live.voids, &self.voids, &writer, rewind.from);
            let is_replaced =
                own || live.is_replaced_of_others(&self.writers, &self.voids, &writer, rewind.from);
            live.note(&writer, rewind.from);
            is_replaced && !is_told
        });
        let is_standing = |step: Step| stands(&live.voids, &self.voids, &writer, step);
        if let Some(rewind) = rewind {
            self.attempts.add(&writer, section);
            let points = points.into_iter().filter(|point| is_standing(point.step)).collect();
            let attempt = self.attempts.of(&writer, section);
            let leaves_some = self.leaves_some(tag, rewind.from, Some(id));
            let tag = self.tags.get_key_value(tag).map_or_else(|| Tag::from(tag), |(tag, _)| tag.clone());
            return OfferResult::Rewinds(Rewound { tag, rewind, attempt, leaves_some, by: Some(id) }, points);
        }
        if is_standing(point.step) {
            OfferResult::Stands(self.attempts.of(&writer, section))
        } else {
            OfferResult::Void
        }
    }

    /// How many attempts the run has had.
    #[must_use]
    pub fn n_attempts(&self) -> u32 {
        self.attempts.n()
    }

    /// Whether anything is known of a writer.
    #[must_use]
    pub fn has_writer(&self, id: WriterId) -> bool {
        self.writers.get(&id).is_some()
    }

    /// Which values of a tag stand from a step on, of all its writers but one.
    #[must_use]
    pub fn standing(&self, tag: &str, from: Step, but: Option<WriterId>) -> Standing {
        let mut standing = Standing { from, writers: Vec::new() };
        let Some(live) = self.tags.get(tag) else { return standing };
        for (id, stretches) in live.parts.iter().filter(|(id, _)| Some(**id) != but) {
            let Some(AtWork { writer, sessions }) = self.writers.get(id) else { continue };
            if stretches.reach() >= Some(from) && stands(&live.voids, &self.voids, writer, from) {
                let others = least([live.voids.of(writer), self.voids.of(writer)]);
                standing.writers.push((*id, segments(writer, stretches, sessions, others, &self.attempts)));
            }
        }
        standing
    }

    /// The pass that a writer is in under a tag, from 0.
    pub(super) fn pass(&self, id: WriterId, tag: &str) -> u32 {
        self.tags.get(tag).and_then(|live| live.parts.get(&id)).map_or(0, Stretches::pass)
    }

    /// What is unusual in how the steps of a tag were written.
    #[must_use]
    pub fn shape(&self, tag: &str) -> Shape {
        let parts = self.tags.get(tag).into_iter().flat_map(|live| live.parts.iter());
        parts.map(|(_, stretches)| stretches.shape()).reduce(Shape::join).unwrap_or_default()
    }

    /// A writer and when it was at work, where anything is known of it.
    pub(super) fn known_writer(&self, id: WriterId) -> Option<&Writer> {
        self.writers.get(&id).map(|at_work| &at_work.writer)
    }

    fn leaves_some(&self, tag: &str, from: Step, but: Option<WriterId>) -> bool {
        let Some(live) = self.tags.get(tag) else { return false };
        live.parts.iter().filter(|(id, _)| Some(**id) != but).any(|(id, stretches)| {
            let writer = self.writers.get(id).map(|at_work| &at_work.writer);
            let is_standing = |writer| stands(&live.voids, &self.voids, writer, from);
            stretches.reach() >= Some(from) && writer.is_some_and(is_standing)
        })
    }

    fn writer(&mut self, id: WriterId, started: WallTime) -> &mut AtWork {
        let starts = &mut self.starts;
        self.writers.get_or_insert_with(id, || {
            let writer = Writer::new(id, started);
            starts.insert(starts.partition_point(|start| *start <= writer.start()), writer.start());
            AtWork { writer, sessions: Vec::new() }
        })
    }
}

fn as_point(Added { step, clock, value }: Added) -> Option<Point> {
    Some(Point { step, wall_time: clock, value: value? })
}

/// Whether a value of a writer at a step is replaced by no other writer.
fn stands(of_tag: &SupersededFrom, of_run: &SupersededFrom, writer: &Writer, step: Step) -> bool {
    least([of_tag.of(writer), of_run.of(writer)]).is_none_or(|until| step < until)
}

impl LiveTag {
    /// What a writer wrote of it.
    fn part(&mut self, id: WriterId, writers: &SmallMap<WriterId, AtWork>) -> &mut Stretches {
        if self.parts.len() == 1 && self.parts.get(&id).is_none() {
            for (other, stretches) in self.parts.iter() {
                let Some(other) = writers.get(other) else { continue };
                stretches.iter().for_each(|s| self.voids.add(other.writer.start(), s.resumed.from));
            }
        }
        self.parts.get_or_insert_with(id, Stretches::default)
    }

    /// No value of any writer lies behind this step, but for those that it made void itself.
    fn reach(&self) -> Option<Step> {
        self.parts.iter().filter_map(|(_, stretches)| stretches.reach()).max()
    }

    /// Notes where a writer resumed.
    fn note(&mut self, writer: &Writer, from: Step) {
        if self.parts.len() > 1 {
            self.voids.add(writer.start(), from);
        }
    }

    /// Whether values from a step on stood that a writer replaces which resumes there.
    fn is_replaced(
        &self,
        writers: &SmallMap<WriterId, AtWork>,
        of_run: &SupersededFrom,
        by: &Writer,
        from: Step,
    ) -> bool {
        let own = self.parts.get(&by.id).and_then(Stretches::reach) >= Some(from);
        (own && stands(&self.voids, of_run, by, from))
            || self.is_replaced_of_others(writers, of_run, by, from)
    }

    fn is_replaced_of_others(
        &self,
        writers: &SmallMap<WriterId, AtWork>,
        of_run: &SupersededFrom,
        by: &Writer,
        from: Step,
    ) -> bool {
        self.parts.iter().filter(|(id, _)| **id != by.id).any(|(id, stretches)| {
            let has_ended = |at_work: &&AtWork| at_work.writer.end() < by.start();
            let ended = writers.get(id).filter(has_ended);
            stretches.reach() >= Some(from)
                && ended.is_some_and(|other| stands(&self.voids, of_run, &other.writer, from))
        })
    }
}

/// A [`Live`] as it is stored: what follows from the rest is left out.
#[cfg(feature = "serde")]
#[derive(Serialize, Deserialize)]
struct Stored {
    writers: Vec<AtWork>,
    tags: Vec<(Tag, Vec<(WriterId, Stretches)>)>,
    attempts: AttemptsBegun,
}

#[cfg(feature = "serde")]
impl From<Live> for Stored {
    fn from(live: Live) -> Self {
        let tags = live.tags.into_entries().map(|(tag, of_tag)| (tag, of_tag.parts.into_entries().collect()));
        let writers = live.writers.into_entries().map(|(_, at_work)| at_work);
        Self { writers: writers.collect(), tags: tags.collect(), attempts: live.attempts }
    }
}

#[cfg(feature = "serde")]
impl From<Stored> for Live {
    fn from(stored: Stored) -> Self {
        let mut live = Self { attempts: stored.attempts, ..Self::default() };
        for at_work in &stored.writers {
            let start = at_work.writer.start();
            live.starts.push(start);
            at_work.sessions.iter().for_each(|step| live.voids.add(start, session_rewind(*step).from));
        }
        live.starts.sort_unstable();
        live.writers = stored.writers.into_iter().map(|at_work| (at_work.writer.id, at_work)).collect();
        let of_tag = |mut parts: Vec<(WriterId, Stretches)>| {
            let mut voids = SupersededFrom::default();
            let is_one = parts.len() == 1;
            for (id, stretches) in &mut parts {
                let Some(AtWork { writer, sessions }) = live.writers.get(id) else { continue };
                stretches.restore(sessions);
                if !is_one {
                    stretches.iter().for_each(|stretch| voids.add(writer.start(), stretch.resumed.from));
                }
            }
            LiveTag { parts: parts.into_iter().collect(), voids }
        };
        live.tags = stored.tags.into_iter().map(|(tag, parts)| (tag, of_tag(parts))).collect();
        live.reach = live.tags.iter().filter_map(|(_, tag)| tag.reach()).max();
        live
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use std::collections::BTreeMap;

    use super::*;
    use crate::series::{History, Written};
    use crate::units::MetricValue;

    /// What one file says of a tag: from which clock on, and each a session or a point, with its clock.
    type File = (u8, Vec<(bool, i64, u8)>);

    /// A follower: it keeps what it is told, and the files to read again.
    #[derive(Default)]
    struct Follower {
        live: Live,
        files: BTreeMap<WriterId, Vec<Point>>,
        told: BTreeMap<i64, f64>,
        n_rewinds: usize,
    }

    impl Follower {
        fn rewind(&mut self, rewound: &Rewound) {
            self.n_rewinds += 1;
            self.told.split_off(&rewound.rewind.from.0);
            let standing = self.live.standing("m", rewound.rewind.from, rewound.by);
            assert_eq!(standing.is_empty(), !rewound.leaves_some);
            for writer in standing.writers() {
                let mut go_over = standing.go_over(writer);
                let read = self.files.get(&writer).into_iter().flatten();
                let read = read.filter(|point| go_over.next(point.step).is_some());
                self.told.extend(read.map(|point| (point.step.0, point.wall_time.0)));
            }
        }

        fn take(&mut self, writer: WriterId, started: WallTime, is_session: bool, step: i64, clock: f64) {
            if is_session {
                let rewound = self.live.session_start(writer, started, Step(step));
                return rewound.iter().for_each(|rewound| self.rewind(rewound));
            }
            let point =
                Point { step: Step(step), wall_time: WallTime(clock), value: MetricValue::F64(clock) };
            for rewound in self.live.at_work(writer, started, point.wall_time) {
                self.rewind(&rewound);
            }
            match self.live.offer(writer, "m", point) {
                OfferResult::Rewinds(rewound, points) => {
                    self.rewind(&rewound);
                    self.told.extend(points.iter().map(|point| (point.step.0, point.wall_time.0)));
                }
                OfferResult::Stands(_) => drop(self.told.insert(step, clock)),
                OfferResult::Void => {}
                OfferResult::LeftOut => panic!("it is not left out"),
            }
            self.files.entry(writer).or_default().push(point);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        /// However the events of several files are mixed as they arrive, and wherever the follower is stopped
        /// and goes on from what it stored, it ends with the steps that a reader of the whole files gets. The
        /// values are the same where no two writers wrote one step.
        #[test]
        fn following_and_reading_agree(
            files in prop::collection::vec((1u8..40, prop::collection::vec((prop::bool::weighted(0.1), 1i64..12, 0u8..20), 1..8)), 1..5),
            order in prop::collection::vec((any::<prop::sample::Index>(), prop::bool::weighted(0.1)), 40),
        ) {
            let files: Vec<File> = files;
            let mut queues: Vec<Vec<(bool, i64, f64)>> = files.iter().map(|(started, said)| {
                let mut clock = f64::from(*started);
                said.iter().map(|(is_session, step, later)| {
                    clock += f64::from(*later);
                    (*is_session, *step, clock)
                }).collect()
            }).collect();
            let whole = queues.clone();
            queues.iter_mut().for_each(|queue| queue.reverse());
            let mut follower = Follower::default();
            for (pick, is_stopped) in order.iter().cycle() {
                let left: Vec<usize> = (0..queues.len()).filter(|i| !queues[*i].is_empty()).collect();
                if left.is_empty() {
                    break;
                }
                let i = left[pick.index(left.len())];
                let (is_session, step, clock) = queues[i].pop().expect("it is not empty");
                follower.take(WriterId(i as u32), WallTime(f64::from(files[i].0)), is_session, step, clock);
                if *is_stopped {
                    let stored = serde_json::to_string(&follower.live).expect("it is stored");
                    follower.live = serde_json::from_str(&stored).expect("it is read");
                }
            }
            let mut files_read = Vec::new();
            for (i, said) in whole.iter().enumerate() {
                let mut writer = Writer::new(WriterId(i as u32), WallTime(f64::from(files[i].0)));
                let (mut sessions, mut written) = (Vec::new(), Written::default());
                for (is_session, step, clock) in said {
                    let (step, wall_time) = (Step(*step), WallTime(*clock));
                    if *is_session {
                        sessions.push(step);
                        continue;
                    }
                    writer.at_work(wall_time);
                    written.add(&sessions, Point { step, wall_time, value: MetricValue::F64(*clock) });
                }
                files_read.push((writer, sessions, written));
            }
            let (history, attempts) = History::of_files(files_read);
            let read: Vec<(i64, f64)> =
                history.latest(&attempts).map(|(p, _)| (p.step.0, p.wall_time.0)).collect();
            let steps: Vec<i64> = follower.told.keys().copied().collect();
            prop_assert_eq!(steps, read.iter().map(|(step, _)| *step).collect::<Vec<_>>());
            if files.len() == 1 {
                prop_assert_eq!(follower.told.into_iter().collect::<Vec<_>>(), read);
            }
        }
    }

    fn offer(follower: &mut Follower, writer: u32, steps: impl IntoIterator<Item = i64>, later: f64) {
        for step in steps {
            follower.take(WriterId(writer), WallTime(later), false, step, later + step as f64);
        }
    }

    #[test]
    fn a_restart_is_told_once_and_counts_an_attempt() {
        let mut follower = Follower::default();
        offer(&mut follower, 0, 0..=100, 1000.0);
        follower.take(WriterId(1), WallTime(2000.0), true, 80, 2000.0);
        offer(&mut follower, 1, 81..=90, 2000.0);
        assert_eq!((follower.n_rewinds, follower.live.n_attempts()), (1, 2));
        assert_eq!(follower.told.len(), 91);
        let point = Point { step: Step(91), wall_time: WallTime(2091.0), value: MetricValue::F64(1.0) };
        assert!(matches!(follower.live.offer(WriterId(1), "m", point), OfferResult::Stands(2)));
    }

    #[test]
    fn a_run_that_goes_on_in_a_new_file_is_no_restart() {
        let mut follower = Follower::default();
        offer(&mut follower, 0, 0..=10, 1000.0);
        offer(&mut follower, 1, 11..=20, 2000.0);
        offer(&mut follower, 0, [21, 22], 2100.0);
        assert_eq!((follower.n_rewinds, follower.live.n_attempts()), (0, 1));
    }
}
