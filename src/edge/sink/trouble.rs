//! Trying again: pauses that grow, and trouble that is told once.
//!
//! Imports the limits only; it neither waits nor writes itself.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use crate::limits::MAX_FAILURES_TOLD;

/// How long a sink waits between two tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pauses {
    /// The longest pause after the first failed try; each further one may be twice as long ...
    pub(super) first: Duration,
    /// ... up to this.
    pub(super) longest: Duration,
}

impl Pauses {
    /// The pause after so many failed tries: drawn evenly between none and the longest that it may be, so
    /// that those who failed together do not come back together.
    pub(super) fn after(self, n_failed: u32) -> Duration {
        let doubled = 1_u32.checked_shl(n_failed.saturating_sub(1)).unwrap_or(u32::MAX);
        let may = self.first.checked_mul(doubled).map_or(self.longest, |may| may.min(self.longest));
        may.mul_f64(draw())
    }
}

/// A number from 0 to 1.
fn draw() -> f64 {
    // Each of these hashers has a new random key.
    let bits = RandomState::new().hash_one(0);
    (bits >> 11) as f64 / (1_u64 << 53) as f64
}

/// What goes wrong at one place, and what of it was told already. `K` tells kinds of trouble apart.
#[derive(Debug)]
pub(super) struct Troubles<K> {
    place: String,
    told: Vec<K>,
    n_failed: u32,
    last: String,
}

impl<K: PartialEq> Troubles<K> {
    /// No trouble at `place`, which has no secrets in it.
    pub(super) fn at(place: impl Into<String>) -> Self {
        Self { place: place.into(), told: Vec::new(), n_failed: 0, last: String::new() }
    }

    /// A try failed. It is told in `words`, with what is done about it, if it is new. The answer is how
    /// many tries failed in a row.
    pub(super) fn met(&mut self, kind: K, words: &str, done: &str, tell: &mut dyn FnMut(String)) -> u32 {
        self.n_failed = self.n_failed.saturating_add(1);
        self.last = self.say(words);
        if !self.told.contains(&kind) && self.told.len() < MAX_FAILURES_TOLD {
            self.told.push(kind);
            tell(format!("{}; {done}", self.last));
        }
        self.n_failed
    }

    /// Things went on: pauses are short again, but nothing is told before all is well.
    pub(super) fn progressed(&mut self) {
        self.n_failed = 0;
        self.last.clear();
    }

    /// All is well; told if trouble was.
    pub(super) fn passed(&mut self, tell: &mut dyn FnMut(String)) {
        self.progressed();
        if !self.told.is_empty() {
            self.told.clear();
            tell(self.say("takes lines again"));
        }
    }

    /// Words about this place.
    pub(super) fn say(&self, words: &str) -> String {
        format!("{}: {words}", self.place)
    }

    /// What was wrong with the last try; nothing where things went on since.
    pub(super) fn last(&self) -> String {
        self.last.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_the_longest() {
        let pauses = Pauses { first: Duration::from_millis(10), longest: Duration::from_millis(35) };
        for n_failed in [0, 1, 2, 3, 4, 40, u32::MAX] {
            let may = Duration::from_millis(match n_failed {
                0 | 1 => 10,
                2 => 20,
                _ => 35,
            });
            for _ in 0..100 {
                assert!(pauses.after(n_failed) <= may);
            }
        }
        let drawn: Vec<_> = (0..100).map(|_| pauses.after(40)).collect();
        assert!(drawn.iter().any(|&pause| pause > Duration::from_millis(20)), "{drawn:?}");
        assert!(drawn.iter().any(|&pause| pause < Duration::from_millis(15)), "{drawn:?}");
    }

    #[test]
    fn a_kind_of_trouble_is_told_once_and_once_more_when_it_has_passed() {
        let mut told = Vec::new();
        let mut troubles = Troubles::at("there");
        for kind in [1, 2, 1, 1, 2] {
            troubles.met(kind, &format!("trouble {kind}"), "tries again", &mut |words| told.push(words));
        }
        assert_eq!(troubles.last(), "there: trouble 2");
        troubles.passed(&mut |words| told.push(words));
        troubles.passed(&mut |words| told.push(words));
        assert_eq!(troubles.met(1, "trouble 1", "tries again", &mut |words| told.push(words)), 1);
        let expected = [
            "there: trouble 1; tries again",
            "there: trouble 2; tries again",
            "there: takes lines again",
            "there: trouble 1; tries again",
        ];
        assert_eq!(told, expected);
    }
}
