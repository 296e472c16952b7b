//! What one writer wrote of one tag, from session to session, without its points.
//!
//! A writer resumes where it says so, by the start of a session. Within one file it may resume without a word:
//! then its steps fall back. That is taken for a restart where all of this holds, and for nothing otherwise:
//!
//! - Its steps had risen in a row of three values at least, evenly (by no more than one and a half of their mean rise), and
//!   far more often than they fell: the order of a writer that leaves gaps, or goes to and fro, says nothing.
//! - They fall *by more than one step of its own*: below the last but one of the values in a row, so that two of them at
//!   least are written anew. A value that is late by one belongs to no other attempt.
//! - They do not fall to the beginning, which begins a pass; see `pass.rs`. A restart from the very beginning is a new
//!   process with a new file.
//! - The values that follow *go on from there*: they rise, over more than would fill the widest gap that the writer has
//!   left so far, without coming back to the front. What does that, or fills a gap, was only late.
//! - Their clocks do not fall with them. A value with an earlier clock than that of the largest step was written before
//!   it, and was only read late, as lines around a hole in a file are.
//!
//! So 100, 200, 300, 101, 201 resumes at 101, known by 201; 100, 200, 300, 250, 350 and 100, 200, 300, 101, 400 do not.
//! Falling steps speak for their own tag alone: tags are counted differently, and one that begins anew in each epoch
//! must not take the others along.

#[cfg(feature = "serde")]
use serde::{Deserialize, Serialize};

use super::Rise;
use super::pass::{Passes, Shape};
use crate::limits::MAX_STRETCHES;
use crate::units::{MetricValue, Step, WallTime};

/// How many values in a row must have risen before a fall may be a restart.
const LEAST_RISING: u32 = 3;

/// How many times as many values in a row must have risen as there were falls that were no restart.
const RISING_A_FALL: u32 = 8;

/// How many values after a fall are waited for that show whether the writer goes on from there.
const MAX_FALLEN: usize = 4;

/// Where a later attempt replaced an earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
pub struct Rewind {
    /// Values of the earlier attempt from this step on are void.
    pub from: Step,
    /// How it is known.
    pub reason: RewindReason,
}

/// How it is known that a writer resumed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
pub enum RewindReason {
    /// It said so, by the start of a session.
    #[cfg_attr(feature = "serde", serde(rename = "session-start"))]
    Session,
    /// Its first value lies at or below a step that was there before, or its steps fell back and went on from there.
    FallingSteps,
    /// The writer of an earlier attempt goes on: it was only silent, and its values stand again.
    StillWriting,
}

impl RewindReason {
    /// A word for it, stable for JSON output.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Session => "session-start",
            Self::FallingSteps => "falling-steps",
            Self::StillWriting => "still-writing",
        }
    }
}

/// The rewind that a session's start at `step` makes: a checkpoint holds the training up to its step, so that a value
/// at that step stands until it is written anew.
pub(super) fn session_rewind(step: Step) -> Rewind {
    Rewind { from: Step(step.0.saturating_add(1)), reason: RewindReason::Session }
}

/// Which of a writer's sessions a value belongs to, and which restart within it that only falling steps told of; both
/// count from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
pub(super) struct Section {
    /// How many sessions the writer had begun by then.
    pub(super) session: usize,
    /// How many times it had resumed in that session without saying so.
    #[cfg_attr(feature = "serde", serde(default))]
    pub(super) restart: u32,
}

/// What one writer wrote of one tag between two places at which it resumed.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
pub(super) struct Stretch {
    #[cfg_attr(feature = "serde", serde(flatten))]
    pub(super) section: Section,
    /// Where the writer resumed.
    pub(super) resumed: Rewind,
    /// How many values there are.
    pub(super) n_values: usize,
    /// The step of the first of them.
    #[cfg_attr(feature = "serde", serde(default))]
    pub(super) first_step: Step,
    /// The largest step.
    pub(super) last_step: Step,
    /// The clock of the value there; of several, the last written.
    #[cfg_attr(feature = "serde", serde(with = "crate::units::bits"))]
    pub(super) last_clock: WallTime,
    /// The value there, where it is a number.
    #[cfg_attr(feature = "serde", serde(skip))]
    pub(super) last_value: Option<MetricValue>,
}

/// A value as it is added.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
pub(super) struct Added {
    pub(super) step: Step,
    #[cfg_attr(feature = "serde", serde(with = "crate::units::bits"))]
    pub(super) clock: WallTime,
    /// The value, where it is a number.
    #[cfg_attr(feature = "serde", serde(with = "exact"))]
    pub(super) value: Option<MetricValue>,
}

/// A value as the letter of its type and its bits.
#[cfg(feature = "serde")]
mod exact {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::MetricValue;

    pub(super) fn serialize<S: Serializer>(
        value: &Option<MetricValue>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let exact = value.map(|value| match value {
            MetricValue::F32(v) => ('f', u64::from(v.to_bits())),
            MetricValue::F64(v) => ('d', v.to_bits()),
            MetricValue::I64(v) => ('i', v.cast_unsigned()),
            MetricValue::U64(v) => ('u', v),
        });
        exact.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<MetricValue>, D::Error> {
        let exact = Option::<(char, u64)>::deserialize(deserializer)?;
        Ok(exact.map(|(kind, bits)| match kind {
            'f' => MetricValue::F32(f32::from_bits(u32::try_from(bits).unwrap_or(f32::NAN.to_bits()))),
            'd' => MetricValue::F64(f64::from_bits(bits)),
            'i' => MetricValue::I64(bits.cast_signed()),
            _ => MetricValue::U64(bits),
        }))
    }
}

/// What one writer wrote of one tag: a stretch for each session in which it wrote some and for each restart, the
/// first [`MAX_STRETCHES`] of them; later values count as the last one's.
#[derive(Debug, Clone, Default)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
#[cfg_attr(feature = "serde", serde(from = "Stored"))]
pub struct Stretches {
    list: Vec<Stretch>,
    /// The steps of late, once there are two.
    trend: Option<Box<Trend>>,
    /// The largest step that may stand after all that the writer itself made void. Values at and below it may be
    /// void too.
    #[cfg_attr(feature = "serde", serde(skip))]
    reach: Option<Step>,
}

/// As it is stored; before restarts without a session were told apart it was the list alone.
#[cfg(feature = "serde")]
#[derive(Deserialize)]
#[serde(untagged)]
enum Stored {
    List(Vec<Stretch>),
    Whole { list: Vec<Stretch>, trend: Option<Box<Trend>> },
}

#[cfg(feature = "serde")]
impl From<Stored> for Stretches {
    fn from(stored: Stored) -> Self {
        match stored {
            Stored::List(list) => Self { list, ..Self::default() },
            Stored::Whole { list, trend } => Self { list, trend, reach: None },
        }
    }
}

/// What a value that was added begins.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Begun {
    /// Nothing new.
    Nothing,
    /// The first values of a session, or of the writer: from there on it replaces what was there before. Where that was
    /// told when the session began, no more becomes void than a value at the very step of this one, whose place it takes.
    Stretch { resumed: Rewind, is_told: bool },
    /// The writer is found to have resumed: from the first of these values on, which were added before, and up to
    /// this one.
    Restart(Rewind, Vec<Added>),
}

impl Stretches {
    /// Of a writer that wrote none.
    pub(super) const NONE: Self = Self { list: Vec::new(), trend: None, reach: None };

    /// Takes a value; `sessions` are the steps of all sessions that the writer has begun so far.
    #[inline(always)]
    pub fn add(&mut self, sessions: &[Step], step: Step, clock: WallTime, value: Option<MetricValue>) {
        self.take(sessions, Added { step, clock, value });
    }

    /// The same. The answer is what it begins.
    #[inline(always)]
    pub(super) fn take(&mut self, sessions: &[Step], added: Added) -> Begun {
        let is_full = self.list.len() >= MAX_STRETCHES;
        match self.list.last_mut() {
            Some(stretch) if stretch.section.session == sessions.len() || is_full => {
                if let Some(trend) = &mut self.trend
                    && trend.rises_to(added.step)
                {
                    trend.passes.rise(&added);
                    stretch.add(added);
                    self.reach = self.reach.max(Some(added.step));
                    return Begun::Nothing;
                }
                self.take_out_of_order(added, is_full)
            }
            _ => self.begin(sessions, added),
        }
    }

    /// Whether [`Self::take_rise`] may be given these values, `n_sessions` being how many sessions the writer has begun so far.
    #[must_use]
    pub fn accepts(&self, n_sessions: usize, rise: &Rise) -> bool {
        let is_full = self.list.len() >= MAX_STRETCHES;
        let goes_on = |stretch: &Stretch| stretch.section.session == n_sessions || is_full;
        self.list.last().is_some_and(goes_on) && self.trend.as_ref().is_some_and(|trend| trend.accepts(rise))
    }

    /// Takes values that [`Self::accepts`] has accepted, as [`Self::add`] takes each of them.
    pub fn take_rise(&mut self, rise: &Rise) {
        let (Some(stretch), Some(trend)) = (self.list.last_mut(), &mut self.trend) else { return };
        trend.take_rise(rise);
        stretch.n_values += rise.n as usize - 1;
        stretch.add(rise.last());
        self.reach = self.reach.max(Some(rise.last_step));
    }

    #[inline(never)]
    fn take_out_of_order(&mut self, added: Added, is_full: bool) -> Begun {
        let Some(stretch) = self.list.last_mut() else { return Begun::Nothing };
        if added.step < stretch.last_step && added.clock < stretch.last_clock {
            stretch.add(added);
            return Begun::Nothing;
        }
        let trend = self.trend.get_or_insert_with(|| Box::new(Trend::new(stretch.last_step)));
        let restart = trend.take(added);
        if let Some(first) = restart.first() {
            trend.passes.resume(first.step);
            restart.iter().for_each(|added| trend.passes.rise(added));
        }
        if restart.is_empty() || is_full {
            stretch.add(added);
            self.reach = self.reach.max(Some(added.step));
            return Begun::Nothing;
        }
        // All but this one were taken for values of the stretch before.
        stretch.n_values = stretch.n_values.saturating_sub(restart.len() - 1);
        let first = restart.first().map_or(added.step, |first| first.step);
        let rewind = Rewind { from: first, reason: RewindReason::FallingSteps };
        let Section { session, restart: before } = stretch.section;
        let mut next = Stretch::new(Section { session, restart: before.saturating_add(1) }, rewind, added);
        next.n_values = restart.len();
        self.list.push(next);
        self.cut(first);
        self.reach = self.reach.max(Some(added.step));
        Begun::Restart(rewind, restart)
    }

    #[inline(never)]
    fn begin(&mut self, sessions: &[Step], added: Added) -> Begun {
        let n_before = self.list.last().map_or(0, |stretch| stretch.section.session);
        let new = sessions.get(n_before..).unwrap_or_default();
        let least = new.iter().map(|step| session_rewind(*step).from).min();
        let resumed = match new.last() {
            Some(session) => {
                let Rewind { from, reason } = session_rewind(*session);
                Rewind { from: added.step.min(from), reason }
            }
            None => Rewind { from: added.step, reason: RewindReason::FallingSteps },
        };
        let is_told = new.last().is_some_and(|session| added.step >= *session);
        if self.list.is_empty() {
            self.list.reserve_exact(1);
        }
        self.list.push(Stretch::new(Section { session: sessions.len(), restart: 0 }, resumed, added));
        if let Some(trend) = &mut self.trend {
            trend.passes.resume(added.step);
            trend.begin(added.step);
        }
        least.into_iter().chain([resumed.from]).for_each(|from| self.cut(from));
        self.reach = self.reach.max(Some(added.step));
        Begun::Stretch { resumed, is_told }
    }

    /// Takes it that the writer made its own values from `from` on void.
    pub(super) fn cut(&mut self, from: Step) {
        let still = from.0.checked_sub(1).map(Step);
        self.reach = self.reach.min(still);
    }

    /// The largest step that may stand after all that the writer itself made void.
    pub(super) fn reach(&self) -> Option<Step> {
        self.reach
    }

    /// Works out anew what is not stored; `sessions` are those that the writer has begun.
    #[cfg(feature = "serde")]
    pub(super) fn restore(&mut self, sessions: &[Step]) {
        let untils = self.untils(sessions);
        let reach = |(stretch, until): (&Stretch, &Option<Step>)| match until {
            Some(until) => stretch.last_step.min(Step(until.0.saturating_sub(1))),
            None => stretch.last_step,
        };
        self.reach = self.list.iter().zip(&untils).map(reach).max();
    }

    /// For each stretch, the step from which on its values are void by what the same writer resumed at later.
    pub(super) fn untils(&self, sessions: &[Step]) -> Vec<Option<Step>> {
        let mut least: Option<Step> = None;
        let lower = |least: Option<Step>, from: Step| Some(least.map_or(from, |least| least.min(from)));
        let mut n_left = sessions.len();
        let mut untils: Vec<Option<Step>> = Vec::with_capacity(self.list.len());
        for stretch in self.list.iter().rev() {
            for session in sessions.get(stretch.section.session..n_left).unwrap_or_default() {
                least = lower(least, session_rewind(*session).from);
            }
            n_left = n_left.min(stretch.section.session);
            untils.push(least);
            least = lower(least, stretch.resumed.from);
        }
        untils.reverse();
        untils
    }

    /// All at which the writer resumed and all that it wrote, in order.
    pub(super) fn walk(&self, sessions: &[Step]) -> impl Iterator<Item = Walked<'_>> {
        let mut n_begun = 0;
        let ends = self.list.iter().map(Some).chain([None]);
        ends.flat_map(move |stretch| {
            let until = stretch.map_or(sessions.len(), |stretch| stretch.section.session);
            let begun = sessions.get(n_begun..until).unwrap_or_default().iter().zip(n_begun + 1..);
            let begun: Vec<Walked<'_>> = begun
                .map(|(step, session)| {
                    Walked::Resumed(Section { session, restart: 0 }, session_rewind(*step))
                })
                .collect();
            n_begun = n_begun.max(until);
            let session =
                until.checked_sub(1).and_then(|last| sessions.get(last)).filter(|_| !begun.is_empty());
            let is_told = |stretch: &&Stretch| session.is_some_and(|step| stretch.resumed.from >= *step);
            let resumed = stretch.filter(|stretch| !is_told(stretch));
            let resumed = resumed.map(|stretch| Walked::Resumed(stretch.section, stretch.resumed));
            begun.into_iter().chain(resumed).chain(stretch.map(Walked::Wrote))
        })
    }

    /// The number of the pass that the last value belongs to, from 0.
    #[must_use]
    pub fn pass(&self) -> u32 {
        self.trend.as_ref().map_or(0, |trend| trend.passes.number())
    }

    /// What is unusual in how steps were written.
    #[must_use]
    pub fn shape(&self) -> Shape {
        self.trend.as_ref().map_or_else(Shape::default, |trend| trend.passes.shape())
    }

    /// The value at the largest step of the last pass that has more than one step, where that is not the first.
    pub(super) fn end_of_pass(&self) -> Option<(Step, WallTime, Option<MetricValue>)> {
        self.trend.as_ref()?.passes.end()
    }

    /// Whether the writer resumed without saying so.
    #[must_use]
    pub fn has_restarts(&self) -> bool {
        self.list.iter().any(|stretch| stretch.section.restart > 0)
    }

    /// Whether a value is at a step beyond 0.
    #[must_use]
    pub fn is_beyond_step_0(&self) -> bool {
        self.list.iter().any(|stretch| stretch.last_step > Step(0))
    }

    /// The smallest step that a stretch of it began with, and the largest of all.
    pub(super) fn steps(&self) -> Option<(Step, Step)> {
        let first = self.list.iter().map(|stretch| stretch.first_step).min()?;
        Some((first, self.list.iter().map(|stretch| stretch.last_step).max()?))
    }

    /// How many values there are.
    #[must_use]
    pub fn n_values(&self) -> usize {
        self.list.iter().map(|stretch| stretch.n_values).sum()
    }

    /// The stretches, in the order in which they were written.
    pub(super) fn iter(&self) -> std::slice::Iter<'_, Stretch> {
        self.list.iter()
    }
}

/// What a writer did, in order.
#[derive(Debug, Clone, Copy)]
pub(super) enum Walked<'a> {
    /// It resumed.
    Resumed(Section, Rewind),
    /// It wrote these values.
    Wrote(&'a Stretch),
}

impl Stretch {
    fn new(section: Section, resumed: Rewind, added: Added) -> Self {
        let Added { step, clock, value } = added;
        Self {
            section,
            resumed,
            n_values: 1,
            first_step: step,
            last_step: step,
            last_clock: clock,
            last_value: value,
        }
    }

    #[inline]
    fn add(&mut self, added: Added) {
        self.n_values += 1;
        if added.step >= self.last_step {
            (self.last_step, self.last_clock) = (added.step, added.clock);
            self.last_value = added.value.or(self.last_value);
        }
    }
}

/// The steps of late, by which it is known whether a fall is a restart.
#[derive(Debug, Clone)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
struct Trend {
    /// The least step of all.
    least: Step,
    /// The last of the values in a row of which each rose, and the one before it.
    top: Step,
    before: Step,
    /// The first of them.
    first: Step,
    /// The widest rise among them.
    widest: u64,
    /// How many there are.
    n_rising: u32,
    /// How often the steps fell otherwise.
    n_falls: u32,
    /// The values since a fall that may be a restart.
    fallen: Vec<Added>,
    #[cfg_attr(feature = "serde", serde(default))]
    passes: Passes,
}

impl Trend {
    fn new(first: Step) -> Self {
        Self {
            least: first,
            top: first,
            before: first,
            first,
            widest: 0,
            n_rising: 1,
            n_falls: 0,
            fallen: Vec::new(),
            passes: Passes::new(first),
        }
    }

    /// Takes the next step where it rises, as nearly all do.
    #[inline]
    fn rises_to(&mut self, step: Step) -> bool {
        let is_rise = step > self.top && self.fallen.is_empty();
        if is_rise {
            self.widest = self.widest.max(step.0.abs_diff(self.top.0));
            self.before = self.top;
            self.top = step;
            self.n_rising = self.n_rising.saturating_add(1);
        }
        is_rise
    }

    fn accepts(&self, rise: &Rise) -> bool {
        rise.first_step > self.top && self.fallen.is_empty() && self.passes.is_long()
    }

    /// Takes values that were accepted.
    fn take_rise(&mut self, rise: &Rise) {
        self.widest = self.widest.max(rise.first_step.0.abs_diff(self.top.0)).max(rise.widest);
        self.before = if rise.n > 1 { rise.before } else { self.top };
        self.top = rise.last_step;
        self.n_rising = self.n_rising.saturating_add(rise.n);
        self.passes.take_rise(rise);
    }

    /// Takes a value. The answer is the values of a restart, where it shows one.
    fn take(&mut self, added: Added) -> Vec<Added> {
        let step = added.step;
        if self.rises_to(step) {
            self.passes.rise(&added);
            return Vec::new();
        }
        if step == self.top && self.fallen.is_empty() {
            self.passes.repeat(&added);
            return Vec::new();
        }
        if self.fallen.is_empty() && self.passes.fall(&added) {
            self.begin(step);
            return Vec::new();
        }
        if let (Some(first), Some(last)) = (self.fallen.first(), self.fallen.last()) {
            let (first, goes_on) = (first.step, step >= last.step && step <= self.top);
            if goes_on && self.fallen.len() < MAX_FALLEN {
                self.fallen.push(added);
                // Values that fill a gap rise by less than it is wide.
                if step == first || step.0.abs_diff(first.0) < self.widest - self.widest / 4 {
                    return Vec::new();
                }
                let restart = std::mem::take(&mut self.fallen);
                self.begin(first);
                for added in &restart {
                    self.rises_to(added.step);
                }
                return restart;
            }
            self.fallen = Vec::new();
            if step > self.top {
                self.passes.rise(&added);
                self.n_falls = self.n_falls.saturating_add(1);
            } else if !self.passes.fall(&added) {
                self.n_falls = self.n_falls.saturating_add(1);
            }
            self.begin(step);
        } else if step < self.top {
            let is_far = self.is_even() && step < self.before && step > self.least;
            if is_far && self.n_rising > self.n_falls.saturating_mul(RISING_A_FALL) {
                self.fallen = vec![added];
            } else {
                self.n_falls = self.n_falls.saturating_add(1);
                self.begin(step);
            }
        }
        Vec::new()
    }

    /// Whether there are enough in a row, and none rose by more than one and a half of their mean rise.
    fn is_even(&self) -> bool {
        let (n, all) = (u128::from(self.n_rising) - 1, u128::from(self.top.0.abs_diff(self.first.0)));
        self.n_rising >= LEAST_RISING && 2 * u128::from(self.widest) * n <= 3 * all
    }

    /// Takes it that values in a row begin with this step.
    fn begin(&mut self, step: Step) {
        self.least = self.least.min(step);
        (self.first, self.before, self.top, self.widest, self.n_rising) = (step, step, step, 0, 1);
        self.fallen = Vec::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: [i64; 0] = [];

    /// Where a writer of these steps is found to have resumed, without a session.
    fn restarts(steps: impl IntoIterator<Item = i64>) -> Vec<i64> {
        let mut stretches = Stretches::default();
        for step in steps {
            stretches.add(&[], Step(step), WallTime(1.0), None);
        }
        stretches.iter().skip(1).map(|stretch| stretch.resumed.from.0).collect()
    }

    #[track_caller]
    fn check(steps: &[i64], expected: &[i64]) {
        assert_eq!(restarts(steps.iter().copied()), expected, "{steps:?}");
    }

    #[test]
    fn steps_that_fall_far_and_go_on_from_there_are_a_restart() {
        check(&[100, 200, 300, 101, 201], &[101]);
        check(&[100, 200, 300, 101, 201, 301, 401, 102, 202], &[101, 102]);
        check(&[0, 1, 2, 3, 4, 2, 3, 4], &[2]);
        assert_eq!(restarts((0..1_000).chain(501..2_000)), [501]);
        assert_eq!(restarts((0..500).chain([499, 499]).chain(500..900).chain(700..1_000)), [700]);
    }

    #[test]
    fn a_small_step_back_or_a_late_value_is_none() {
        check(&[100, 200, 300], &[]);
        check(&[100, 200, 300, 101], &[]);
        check(&[100, 200, 300, 250, 350], &[]);
        check(&[100, 200, 300, 200, 300, 400], &[]);
        check(&[100, 200, 300, 101, 400, 500], &[]);
        // They fill a gap.
        check(&[1, 2, 3, 6, 7, 8, 4, 5, 9, 10], &[]);
        check(&[1, 2, 3, 4, 5, 8, 9, 12, 6, 7, 10, 11, 13], &[]);
        check(&[100, 200, 101, 201], &[]);
    }

    #[test]
    fn values_that_were_written_before_and_read_late_are_none() {
        let mut stretches = Stretches::default();
        for step in [7, 8, 9, 10, 12, 14, 11, 13, 15, 16] {
            stretches.add(&[], Step(step), WallTime(1000.0 + step as f64), None);
        }
        assert_eq!(stretches.iter().count(), 1);
        check(&[7, 8, 9, 10, 12, 14, 11, 13, 15, 16], &[11]);
    }

    #[test]
    fn steps_that_begin_anew_in_each_epoch_are_none() {
        assert_eq!(restarts((0..6).flat_map(|_| 0..20)), NONE);
        assert_eq!(restarts((0..6).flat_map(|_| (10..200).step_by(10))), NONE);
    }

    #[test]
    fn the_steps_of_a_writer_that_goes_to_and_fro_say_nothing() {
        assert_eq!(restarts((0..1_000).rev()), NONE);
        assert_eq!(restarts((0..500).flat_map(|i| [i, 1_000 - i])), NONE);
        let mut random = 1u64;
        let order = (0..10_000).map(|_| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 44) as i64
        });
        let n = restarts(order).len();
        assert!(n <= 1, "{n} of 10,000");
    }

    #[test]
    fn values_of_every_type_are_stored_to_the_bit() {
        let values =
            [MetricValue::F32(f32::NAN), MetricValue::F64(-0.1), MetricValue::I64(-3), MetricValue::U64(7)];
        for value in values {
            let added = Added { step: Step(1), clock: WallTime(2.5), value: Some(value) };
            let text = serde_json::to_string(&added).expect("it is stored");
            let read: Added = serde_json::from_str(&text).expect("it is read");
            assert_eq!(read, added);
        }
    }

    #[test]
    fn what_is_stored_goes_on_and_the_form_of_earlier_versions_is_read() {
        let mut stretches = Stretches::default();
        for step in [100, 200, 300, 101] {
            stretches.add(&[], Step(step), WallTime(1.0), None);
        }
        let text = serde_json::to_string(&stretches).expect("it is stored");
        let mut read: Stretches = serde_json::from_str(&text).expect("it is read");
        read.restore(&[]);
        read.add(&[], Step(201), WallTime(1.0), None);
        assert_eq!(read.iter().map(|stretch| stretch.n_values).collect::<Vec<_>>(), [3, 2]);
        let old = r#"[{"session":1,"resumed":{"from":3,"reason":"session-start"},"n_values":2,"last_step":9,"last_clock":0}]"#;
        let mut read: Stretches = serde_json::from_str(old).expect("it is read");
        read.restore(&[Step(2)]);
        assert_eq!(read.reach(), Some(Step(9)));
    }
}
