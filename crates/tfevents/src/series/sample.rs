//! Which points are kept of a long series: those of some positions, whatever the order in which they come.

use super::Position;

/// A share of all positions: one, a half, a quarter and so on. A smaller one is a part of each larger one.
///
/// Which belong to it is decided by their numbers alone, spread evenly. So what is kept of a series is the same
/// whatever came first, what was made void or was written anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sample {
    n_halvings: u32,
}

impl Sample {
    /// Half of it.
    #[must_use]
    pub fn half(self) -> Self {
        Self { n_halvings: (self.n_halvings + 1).min(u64::BITS - 1) }
    }

    /// Whether it has all positions.
    #[must_use]
    pub fn is_all(self) -> bool {
        self.n_halvings == 0
    }

    /// Whether it has this position.
    #[must_use]
    pub fn has(self, at: Position) -> bool {
        // The finaliser of SplitMix64 (Steele, Lea and Flood, 2014): each bit of it depends on all of the position.
        let pass = u64::from(at.pass).wrapping_mul(0xd134_2543_de82_ef95);
        let mut bits = (at.step.0.cast_unsigned() ^ pass).wrapping_add(0x9e37_79b9_7f4a_7c15);
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (bits ^ (bits >> 31)).leading_zeros() >= self.n_halvings
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Step;

    #[test]
    fn halves_are_parts_of_each_other_and_leave_no_wide_gap() {
        let mut sample = Sample::default();
        for gap in [1, 50, 100] {
            let mut before: Vec<i64> = (0..100_000).map(|n| n * gap).collect();
            for _ in 0..4 {
                sample = sample.half();
                let kept: Vec<i64> = before
                    .iter()
                    .copied()
                    .filter(|step| sample.has(Position::first_pass(Step(*step))))
                    .collect();
                assert!((0.4..0.6).contains(&(kept.len() as f64 / before.len() as f64)));
                before = kept;
            }
            let widest = before.windows(2).map(|pair| (pair[1] - pair[0]) / gap).max();
            assert!(widest < Some(300), "{widest:?} of 100,000");
            sample = Sample::default();
        }
    }
}
