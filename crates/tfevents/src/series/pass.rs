//! Attempts and passes: the one model of steps that are written more than once.
//!
//! The steps of a series rise. Where they do not, this is what it means, and what becomes of the values that were there:
//!
//! | What is seen | What it is | Values that were there |
//! |---|---|---|
//! | a session starts at a step (`SessionLog.START`) | an attempt resumes | void from there on, in its pass |
//! | the first value of a new file lies behind the first step, and the writers before it had ended | an attempt resumes | void from there on |
//! | steps fall far within a file, to no beginning, and go on evenly from there | an attempt resumes | void from there on |
//! | steps fall to the beginning within a file, or begin anew in a new file of the same attempt | a new pass | stay what that pass wrote |
//! | the same step once more | several values at a step | the last counts, or the mean |
//! | writers that are alive together write the same steps | side by side | those of the lowest rank count, else of the first |
//! | an earlier clock, or a gap that is filled | a late value | it takes its place |
//!
//! `stretch.rs` draws the lines within a file, `attempts.rs` those between files, [`super::Series`] puts both together.
//! Readers of files show what was written last at each step. Whoever compares several trainings puts all passes one behind
//! the other: the first pass of one says nothing of the last of another.
//!
//! A pass is a trainer's own, as each epoch where the batch's number is the step, each fold of one writer, each call of
//! `fit()`. It begins where a value falls to the first step of the pass before, or below, once that had risen; and where it
//! falls below the second step of one of [`LONG_PASS`] steps or more, since a writer that logs each hundredth batch begins an
//! epoch somewhere in the first hundred.

#[cfg(feature = "serde")]
use serde::{Deserialize, Serialize};

use super::Rise;
use super::stretch::Added;
use crate::limits::MAX_PASSES;
use crate::units::{MetricValue, Step, WallTime};

/// How many steps a pass must have had for one below its second step to begin another.
const LONG_PASS: u64 = 5;

/// One in so many steps must have several values before that is told.
const SEVERAL: u64 = 4;

/// Where a value stands in a series: by pass, then by step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The number of the pass, from 0.
    pub pass: u32,
    /// The step as it was written.
    pub step: Step,
}

impl Position {
    /// Before all others.
    pub const FIRST: Self = Self { pass: 0, step: Step(i64::MIN) };

    /// A step of the first pass.
    #[must_use]
    pub fn first_pass(step: Step) -> Self {
        Self { pass: 0, step }
    }
}

/// How a writer passes over the steps of a tag.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
pub(super) struct Passes {
    /// How many passes are over; the number of this one.
    number: u32,
    first: Step,
    second: Step,
    top: Step,
    /// How many steps it has that rose above all before, up to [`LONG_PASS`].
    n_steps: u64,
    /// How many values this step has.
    n_here: u32,
    /// How many steps are over, in all passes, and how many of them have several values; the fewest and the most that one of
    /// these has.
    n_over: u64,
    n_several: u64,
    least: u32,
    most: u32,
    /// How the steps fell below 0.
    below_0: Option<Below0>,
    /// Of a pass that is not the first, the value at its largest step.
    last: Option<Added>,
    /// Whether that has several steps.
    has_several: bool,
    /// The same of the latest such pass that has more than one step.
    end: Option<Added>,
}

/// What is not known: a form of earlier versions that was stored.
impl Default for Passes {
    fn default() -> Self {
        Self { n_steps: 0, ..Self::new(Step(i64::MIN)) }
    }
}

impl Passes {
    pub(super) fn new(first: Step) -> Self {
        Self {
            number: 0,
            first,
            second: first,
            top: first,
            n_steps: 1,
            n_here: 1,
            n_over: 0,
            n_several: 0,
            least: u32::MAX,
            most: 0,
            below_0: None,
            last: None,
            has_several: false,
            end: None,
        }
    }

    /// Takes a value whose step rises.
    #[inline]
    pub(super) fn rise(&mut self, added: &Added) {
        self.n_over += 1;
        if self.n_here > 1 {
            self.close_several();
        }
        if added.step > self.top {
            self.top = added.step;
            if self.n_steps < LONG_PASS {
                self.n_steps += 1;
                if self.n_steps == 2 {
                    self.second = added.step;
                }
            }
        }
        if self.last.is_some() {
            self.add_to_end(added);
        }
    }

    /// Whether it has [`LONG_PASS`] steps or more.
    pub(super) fn is_long(&self) -> bool {
        self.n_steps >= LONG_PASS
    }

    /// Takes values whose steps rise, of a pass that is long.
    pub(super) fn take_rise(&mut self, rise: &Rise) {
        self.n_over += u64::from(rise.n) - 1;
        // Of several values the first is not always at the first step of the pass.
        self.has_several |= self.last.is_some() && rise.n > 1;
        self.rise(&rise.last());
    }

    /// Takes a value at the step of the one before.
    pub(super) fn repeat(&mut self, added: &Added) {
        self.n_here = self.n_here.saturating_add(1);
        self.add_to_end(added);
    }

    /// Takes a value whose step falls. The answer is whether it begins a pass.
    pub(super) fn fall(&mut self, added: &Added) -> bool {
        self.close_step();
        if added.step < Step(0) && self.top >= Step(0) {
            let has_wrapped = self.top.0.abs_diff(added.step.0) >= 1 << 31;
            self.below_0 = self.below_0.max(Some(if has_wrapped { Below0::Wrapped } else { Below0::Fell }));
        }
        let begins = begins_pass([self.first, self.second, self.top], self.n_steps, added.step)
            && self.number < MAX_PASSES;
        if begins {
            let number = self.number + 1;
            let Self { n_over, n_several, least, most, below_0, end, .. } = *self;
            *self = Self {
                number,
                n_over,
                n_several,
                least,
                most,
                below_0,
                last: Some(*added),
                end,
                ..Self::new(added.step)
            };
        }
        self.add_to_end(added);
        begins
    }

    /// Takes it that the writer resumed at a step of this pass.
    pub(super) fn resume(&mut self, step: Step) {
        self.close_step();
        self.first = self.first.min(step);
        if step <= self.second {
            (self.second, self.n_steps) = (step, 1);
        }
        self.top = step;
        if let Some(last) = &mut self.last {
            last.step = Step(i64::MIN);
        }
        self.end = self.end.filter(|end| end.step < step);
    }

    fn close_step(&mut self) {
        self.n_over += 1;
        if self.n_here > 1 {
            self.close_several();
        }
    }

    #[inline(never)]
    fn close_several(&mut self) {
        self.n_several += 1;
        self.least = self.least.min(self.n_here);
        self.most = self.most.max(self.n_here);
        self.n_here = 1;
    }

    fn add_to_end(&mut self, added: &Added) {
        if let Some(last) = &mut self.last {
            if added.step >= last.step {
                *last = *added;
            }
            self.has_several |= added.step != self.first;
            if self.has_several {
                self.end = Some(*last);
            }
        }
    }

    /// The number of the pass, from 0.
    pub(super) fn number(&self) -> u32 {
        self.number
    }

    /// The value at the largest step of the last pass that has more than one step, where that is not the first.
    pub(super) fn end(&self) -> Option<(Step, WallTime, Option<MetricValue>)> {
        let end = self.end?;
        Some((end.step, end.clock, end.value))
    }

    /// What is unusual.
    pub(super) fn shape(&self) -> Shape {
        // A pass of one value is none yet.
        let is_begun = self.number > 0 && !self.has_several;
        let (n_steps, n_several) = (self.n_over + 1, self.n_several + u64::from(self.n_here > 1));
        let least = if n_several < n_steps { 1 } else { self.least.min(self.n_here) };
        Shape {
            n_passes: if is_begun { self.number } else { self.number + 1 },
            n_steps,
            n_several,
            least_at_a_step: least,
            most_at_a_step: self.most.max(self.n_here),
            below_0: self.below_0,
        }
    }
}

/// Whether a value that follows those of a pass begins the next one, given the first, the second and the largest step of
/// that pass and how many it has.
#[must_use]
pub fn begins_pass([first, second, top]: [Step; 3], n_steps: u64, step: Step) -> bool {
    top > first && (step <= first || (n_steps >= LONG_PASS && step < second))
}

/// How steps fell below 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
pub enum Below0 {
    /// By less than a counter of 32 bits that wraps.
    Fell,
    /// As those of a counter of 32 bits do.
    Wrapped,
}

/// How steps were written that were written more than once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// How many passes of several steps there were, at least 1.
    pub n_passes: u32,
    /// How many steps, in all passes.
    pub n_steps: u64,
    /// How many of them have several values that follow each other.
    pub n_several: u64,
    /// The fewest values of one writer that follow each other at one step.
    pub least_at_a_step: u32,
    /// The most.
    pub most_at_a_step: u32,
    /// How steps fell below 0.
    pub below_0: Option<Below0>,
}

impl Default for Shape {
    fn default() -> Self {
        Self { n_passes: 1, n_steps: 0, n_several: 0, least_at_a_step: 1, most_at_a_step: 1, below_0: None }
    }
}

impl Shape {
    /// That of two writers of one tag together.
    #[must_use]
    pub fn join(self, other: Self) -> Self {
        Self {
            n_passes: self.n_passes.max(other.n_passes),
            n_steps: self.n_steps + other.n_steps,
            n_several: self.n_several + other.n_several,
            least_at_a_step: self.least_at_a_step.min(other.least_at_a_step),
            most_at_a_step: self.most_at_a_step.max(other.most_at_a_step),
            below_0: self.below_0.max(other.below_0),
        }
    }

    /// A sentence for each thing that is unusual; `is_mean`: of several values at a step the mean counts.
    #[must_use]
    pub fn sentences(self, is_mean: bool) -> Vec<String> {
        let mut sentences = Vec::new();
        if let Some(fall) = self.below_0 {
            let how = match fall {
                Below0::Fell => "",
                Below0::Wrapped => ", as those of a counter of 32 bits do: they count as the next pass",
            };
            sentences.push(format!("steps fall from above to below 0{how}"));
        } else if self.n_passes > 1 {
            sentences.push(format!("each step was written {} times; the last counts", self.n_passes));
        }
        // One more value at the last step, of a last evaluation, is nothing unusual.
        if SEVERAL * self.n_several >= self.n_steps && self.n_several > 0 {
            let n = match (self.least_at_a_step, self.most_at_a_step) {
                (least, most) if least == most => format!("{most} values at each step"),
                (_, most) => format!("up to {most} values at one step"),
            };
            let counts = if is_mean { "their mean counts" } else { "the last of them counts" };
            sentences.push(format!("{n}; {counts}"));
        }
        sentences
    }
}

#[cfg(test)]
mod tests {
    use super::super::Stretches;
    use super::*;

    fn stretches(steps: impl IntoIterator<Item = i64>) -> Stretches {
        let mut stretches = Stretches::default();
        for (i, step) in steps.into_iter().enumerate() {
            stretches.add(&[], Step(step), WallTime(1.0 + i as f64), Some(MetricValue::I64(i as i64)));
        }
        stretches
    }

    fn n_passes(steps: impl IntoIterator<Item = i64>) -> u32 {
        stretches(steps).shape().n_passes
    }

    #[test]
    fn steps_that_fall_to_the_beginning_are_passes() {
        assert_eq!(n_passes((0..6).flat_map(|_| 0..20)), 6);
        assert_eq!(n_passes((0..3).flat_map(|_| 0..2)), 3);
        assert_eq!(n_passes((0..4).flat_map(|_| (10..200).step_by(10))), 4);
        // Each hundredth batch of epochs of 1,050.
        assert_eq!(n_passes((0..4).flat_map(|i| (50 * (i % 2)..1_050).step_by(100))), 4);
        // Several values at a step, in each of two passes.
        assert_eq!(n_passes((0..2).flat_map(|_| (0..20).map(|i| i / 4))), 2);
        // A counter of 32 bits.
        let wrapped = stretches([i64::from(i32::MAX) - 1, i64::from(i32::MAX), i64::from(i32::MIN), -7]);
        assert_eq!((wrapped.shape().n_passes, wrapped.shape().below_0), (2, Some(Below0::Wrapped)));
        // One value at the beginning is none yet.
        assert_eq!(n_passes((0..9).chain([0])), 1);
    }

    #[test]
    fn what_falls_elsewhere_or_only_repeats_is_none() {
        assert_eq!(n_passes(0..100), 1);
        assert_eq!(n_passes((0..100).rev()), 1);
        assert_eq!(n_passes([0; 100]), 1);
        assert_eq!(n_passes([1, 2, 3, 4, 6, 7, 5, 8]), 1);
        assert_eq!(n_passes([100, 200, 300, 101, 201]), 1);
        assert_eq!(n_passes([0, 1, 2, 3, 4, 2, 3, 4, 5]), 1);
    }

    #[test]
    fn values_at_one_step_are_counted_and_told() {
        let shape = stretches((0..5).flat_map(|step| [step; 40])).shape();
        assert_eq!(shape.sentences(false), ["40 values at each step; the last of them counts"]);
        assert_eq!(shape.sentences(true), ["40 values at each step; their mean counts"]);
        let shape = stretches([0, 1, 2, 2, 2, 3]).shape();
        assert_eq!(shape.sentences(false), ["up to 3 values at one step; the last of them counts"]);
        assert_eq!(stretches((0..9).chain([8])).shape().sentences(false), Vec::<String>::new());
        assert_eq!(stretches([0, 1, 2, -1]).shape().sentences(false), ["steps fall from above to below 0"]);
        assert_eq!(stretches([0, 1, 2, 3]).shape().sentences(false), Vec::<String>::new());
        let shape = stretches((0..6).flat_map(|_| 0..20)).shape();
        assert_eq!(shape.sentences(false), ["each step was written 6 times; the last counts"]);
    }
}
