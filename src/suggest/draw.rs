//! Numbers drawn at random, the same for a seed on every machine.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// The generator of one trial: a suggestion does not depend on how many numbers earlier ones took.
#[derive(Debug)]
pub(super) struct Draw(ChaCha8Rng);

impl Draw {
    /// For the trial that follows `n_trials` others.
    pub(super) fn new(seed: u64, n_trials: usize) -> Self {
        let mut generator = ChaCha8Rng::seed_from_u64(seed);
        generator.set_stream(n_trials as u64 + 1);
        Self(generator)
    }

    /// A number in [0, 1): the upper 53 bits of a draw.
    pub(super) fn unit(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 * (1.0 / (1_u64 << 53) as f64)
    }

    /// A whole number below `n`; 0 where `n` is 0.
    pub(super) fn below(&mut self, n: usize) -> usize {
        ((self.unit() * n as f64) as usize).min(n.saturating_sub(1))
    }

    /// A number of the standard normal distribution, by Box and Muller's transformation.
    pub(super) fn normal(&mut self) -> f64 {
        let (a, b) = (1.0 - self.unit(), self.unit());
        (-2.0 * libm::log(a)).sqrt() * libm::cos(std::f64::consts::TAU * b)
    }

    /// Any number of 32 bits.
    pub(super) fn bits(&mut self) -> u32 {
        self.0.next_u32()
    }
}

/// Coordinate `j` of point `n` of a sequence that fills the unit cube evenly, in [0, 1): Owen-scrambled Sobol points.
pub(super) fn even(n: usize, j: usize, scramble: u32) -> f64 {
    // The library has tables for so many dimensions; beyond them another scrambling stands in.
    const DIMENSIONS: usize = 256;
    let scramble = scramble ^ ((j / DIMENSIONS) as u32).wrapping_mul(0x9e37_79b9);
    let n = n as u32 % (1 << 16);
    f64::from(sobol_burley::sample(n, (j % DIMENSIONS) as u32, scramble))
}
