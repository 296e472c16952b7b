//! The tags of one run while its files grow, without their points: which values stand, which attempt they
//! belong to, and where a later attempt replaces an earlier one.
//!
//! It follows the same rules as [`super::Series`], but a follower of it keeps the points, or lets them go.
//! Where a rewind leaves points standing (those of writers side by side), they are to be told again from the
//! files: [`Rewound::again`]. Of values of several writers at one step, that which is told last stands.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::attempts::{Attempts, Voids};
use super::history::standing;
use super::writer::Moment;
use super::{Point, Rewind, RewindReason, SmallMap, Stretches, Writer, WriterId, Written};
use crate::limits::{MAX_SESSIONS, MAX_TAGS};
use crate::units::{Step, Tag, WallTime};

/// The tags of one run while its files grow.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(into = "Stored", from = "Stored")]
pub struct Live {
    writers: SmallMap<WriterId, AtWork>,
    tags: SmallMap<Tag, LiveTag>,
    attempts: Attempts,
    /// When the last of the writers started.
    latest_start: Option<Moment>,
}

/// One writer of a run.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct AtWork {
    writer: Writer,
    /// The steps of the sessions that it began.
    sessions: Vec<Step>,
}

/// One tag of a run.
#[derive(Debug, Clone, Default)]
struct LiveTag {
    parts: SmallMap<WriterId, Stretches>,
    voids: Voids,
}

/// What became of an offered point.
#[derive(Debug, Clone)]
pub enum Told {
    /// It stands, and belongs to this attempt, from 1.
    Stands(u32),
    /// A later attempt was there before it: it is void.
    Void,
    /// It replaces what was told before, which is to be told first; whether it stands itself.
    Rewinds(Rewound, bool),
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
    /// What is to be told again.
    pub again: Again,
}

/// Points that stand behind a rewind and are to be told again: they are in the files.
#[derive(Debug, Clone)]
pub struct Again {
    from: Step,
    voids: Voids,
    attempts: Attempts,
    /// The writers, with their sessions so far and how many values each wrote.
    parts: Vec<(Writer, Vec<Step>, usize)>,
}

impl Again {
    /// Whether nothing stands.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// The writers whose first values are to be read again, with how many of the tag.
    pub fn writers(&self) -> impl Iterator<Item = (WriterId, usize)> {
        self.parts.iter().map(|(writer, _, n)| (writer.id, *n))
    }

    /// The points to tell, by rising step, each with its attempt, out of what the writers wrote.
    #[must_use]
    pub fn points(&self, written: &BTreeMap<WriterId, Written>) -> Vec<(Point, u32)> {
        let parts = self.parts.iter().filter_map(|(writer, ..)| Some((writer, written.get(&writer.id)?)));
        let standing = standing(parts, &self.voids, self.from);
        standing.iter().map(|s| (s.point, self.attempts.of(&s.writer, s.n_sessions))).collect()
    }
}

impl Live {
    /// Takes a session's start (`SessionLog.START`) at `step`: where a writer whose first event has the
    /// clock `started` resumed. It takes effect with the writer's next point of each tag.
    pub fn session_start(&mut self, writer: WriterId, started: WallTime, step: Step) {
        let at_work = self.writer(writer, started);
        if at_work.sessions.len() < MAX_SESSIONS {
            at_work.sessions.push(step);
        }
    }

    /// Takes it that some event of a writer, whatever its tag, has this clock. Where it had not ended as it
    /// seemed, its values stand again: the rewinds are to be told.
    pub fn at_work(&mut self, writer: WriterId, started: WallTime, clock: WallTime) -> Vec<Rewound> {
        let latest_start = self.latest_start;
        let known = &mut self.writer(writer, started).writer;
        let before = *known;
        known.at_work(clock);
        let after = *known;
        if latest_start.is_none_or(|latest| before.end() >= latest) || before.end() == after.end() {
            return Vec::new();
        }
        let mut rewound = Vec::new();
        for (tag, live) in self.tags.iter() {
            let Some(stretches) = live.parts.get(&writer) else { continue };
            let Some(from) =
                live.voids.of(&before).filter(|_| live.voids.of(&after) != live.voids.of(&before))
            else {
                continue;
            };
            if stretches.iter().any(|stretch| stretch.last_step >= from) {
                let sessions = self.writers.get(&writer).map_or(0, |at_work| at_work.sessions.len());
                rewound.push(Rewound {
                    tag: tag.clone(),
                    rewind: Rewind { from, reason: RewindReason::StillWriting },
                    attempt: self.attempts.of(&after, sessions),
                    again: self.again(live, from, None),
                });
            }
        }
        rewound
    }

    /// Takes a point, after [`Self::at_work`] with its clock.
    pub fn offer(&mut self, id: WriterId, tag: &str, point: Point) -> Told {
        let Some(AtWork { writer, sessions }) = self.writers.get(&id) else { return Told::LeftOut };
        if self.tags.get(tag).is_none() {
            if self.tags.len() >= MAX_TAGS {
                return Told::LeftOut;
            }
            self.tags.get_or_insert_with(Tag::from(tag), LiveTag::default);
        }
        let Some(live) = self.tags.get_mut(tag) else { return Told::LeftOut };
        let stretches = live.parts.get_or_insert_with(id, Stretches::default);
        let n_before = stretches.iter().len();
        stretches.add(sessions, point.step, point.wall_time, Some(point.value));
        let begun = stretches.iter().nth(n_before).map(|stretch| stretch.resumed);
        let (writer, n_sessions) = (*writer, sessions.len());
        let replaced = begun.filter(|resumed| {
            let replaces = live.parts.iter().any(|(other, stretches)| {
                let told_until = match self.writers.get(other) {
                    Some(other) if other.writer.id == id || other.writer.end() < writer.start() => {
                        live.voids.of(&other.writer)
                    }
                    Some(_) | None => return false,
                };
                let earlier = if *other == id { n_before } else { usize::MAX };
                let reaches = stretches.iter().take(earlier).any(|stretch| stretch.last_step >= resumed.from);
                reaches && told_until.is_none_or(|until| until > resumed.from)
            });
            live.voids.add(writer.start(), resumed.from);
            replaces
        });
        let is_void = live.voids.of(&writer).is_some_and(|until| point.step >= until);
        if let Some(rewind) = replaced {
            self.attempts.begin(&writer, n_sessions);
            let from = rewind.from.min(point.step);
            let attempt = self.attempts.of(&writer, n_sessions);
            let Some((tag, live)) = self.tags.get_key_value(tag) else { return Told::LeftOut };
            let again = self.again(live, from, Some(id));
            let rewound = Rewound { tag: tag.clone(), rewind: Rewind { from, ..rewind }, attempt, again };
            return Told::Rewinds(rewound, !is_void);
        }
        if is_void {
            return Told::Void;
        }
        Told::Stands(self.attempts.of(&writer, n_sessions))
    }

    /// How many attempts the run has had.
    #[must_use]
    pub fn n_attempts(&self) -> u32 {
        self.attempts.n()
    }

    /// The sessions that a writer began.
    #[must_use]
    pub fn sessions(&self, writer: WriterId) -> &[Step] {
        self.writers.get(&writer).map_or(&[], |at_work| &at_work.sessions)
    }

    /// What stands from `from` on, but for what `but` wrote.
    fn again(&self, live: &LiveTag, from: Step, but: Option<WriterId>) -> Again {
        let parts = live.parts.iter().filter(|(id, _)| Some(**id) != but).filter_map(|(id, stretches)| {
            let AtWork { writer, sessions } = self.writers.get(id)?;
            let stands = live.voids.of(writer).is_none_or(|until| until > from)
                && stretches.iter().any(|stretch| stretch.last_step >= from);
            let n_values = stretches.iter().map(|stretch| stretch.n_values).sum();
            stands.then(|| (*writer, sessions.clone(), n_values))
        });
        Again { from, voids: live.voids.clone(), attempts: self.attempts.clone(), parts: parts.collect() }
    }

    fn writer(&mut self, id: WriterId, started: WallTime) -> &mut AtWork {
        let latest = &mut self.latest_start;
        self.writers.get_or_insert_with(id, || {
            let writer = Writer::new(id, started);
            *latest = (*latest).max(Some(writer.start()));
            AtWork { writer, sessions: Vec::new() }
        })
    }
}

/// A [`Live`] as it is stored: what follows from the rest is left out.
#[derive(Serialize, Deserialize)]
struct Stored {
    writers: Vec<AtWork>,
    tags: Vec<(Tag, Vec<(WriterId, Stretches)>)>,
    attempts: Attempts,
}

impl From<Live> for Stored {
    fn from(live: Live) -> Self {
        let tags = live.tags.into_entries().into_iter();
        let tags = tags.map(|(tag, of_tag)| (tag, of_tag.parts.into_entries()));
        let writers = live.writers.into_entries().into_iter().map(|(_, at_work)| at_work);
        Self { writers: writers.collect(), tags: tags.collect(), attempts: live.attempts }
    }
}

impl From<Stored> for Live {
    fn from(stored: Stored) -> Self {
        let writers: SmallMap<WriterId, AtWork> =
            stored.writers.into_iter().map(|at_work| (at_work.writer.id, at_work)).collect();
        let of_tag = |parts: Vec<(WriterId, Stretches)>| {
            let mut voids = Voids::default();
            for (id, stretches) in &parts {
                let Some(AtWork { writer, .. }) = writers.get(id) else { continue };
                stretches.iter().for_each(|stretch| voids.add(writer.start(), stretch.resumed.from));
            }
            LiveTag { parts: parts.into_iter().collect(), voids }
        };
        let tags = stored.tags.into_iter().map(|(tag, parts)| (tag, of_tag(parts))).collect();
        let latest_start = writers.values().map(|at_work| at_work.writer.start()).max();
        Self { writers, tags, attempts: stored.attempts, latest_start }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::series::{Attempts, History};
    use crate::units::MetricValue;

    /// What one file says of a tag: from which clock on, and each a session or a point, with its clock.
    type File = (u8, Vec<(bool, i64, u8)>);

    /// A follower: it keeps what it is told, and the files to read again.
    #[derive(Default)]
    struct Follower {
        live: Live,
        files: BTreeMap<WriterId, Written>,
        told: BTreeMap<i64, f64>,
        n_rewinds: usize,
    }

    impl Follower {
        fn rewind(&mut self, rewound: &Rewound) {
            self.n_rewinds += 1;
            self.told.split_off(&rewound.rewind.from.0);
            let told: BTreeMap<WriterId, usize> = rewound.again.writers().collect();
            let read = self.files.iter().filter(|(id, _)| told.contains_key(id));
            let read = read.map(|(id, written)| (*id, written.clone())).collect();
            self.told.extend(rewound.again.points(&read).iter().map(|(p, _)| (p.step.0, p.wall_time.0)));
        }

        fn take(&mut self, writer: WriterId, started: WallTime, is_session: bool, step: i64, clock: f64) {
            if is_session {
                return self.live.session_start(writer, started, Step(step));
            }
            let point =
                Point { step: Step(step), wall_time: WallTime(clock), value: MetricValue::F64(clock) };
            for rewound in self.live.at_work(writer, started, point.wall_time) {
                self.rewind(&rewound);
            }
            let told = self.live.offer(writer, "m", point);
            match &told {
                Told::Rewinds(rewound, _) => self.rewind(rewound),
                Told::Stands(_) | Told::Void => {}
                Told::LeftOut => panic!("it is not left out"),
            }
            if !matches!(told, Told::Void | Told::Rewinds(_, false)) {
                self.told.insert(step, clock);
            }
            let sessions = self.live.sessions(writer).to_vec();
            self.files.entry(writer).or_default().add(&sessions, point);
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
            let mut history = History::default();
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
                history.offer(writer, written);
            }
            let attempts = Attempts::default();
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
        assert!(matches!(follower.live.offer(WriterId(1), "m", point), Told::Stands(2)));
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
