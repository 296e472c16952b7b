//! How alike two points' values are, by their distance.

/// A stationary covariance function of variance 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kernel {
    /// Matérn with smoothness 5/2: twice differentiable functions.
    Matern52,
    /// Squared exponential: very smooth ones.
    SquaredExponential,
}

impl Kernel {
    /// The covariance at a squared distance in units of the lengthscales, 0 or more, and its slope by that squared
    /// distance. Source: Rasmussen and Williams, "Gaussian Processes for Machine Learning" (2006), section 4.2.1.
    pub(super) fn at(self, squared_distance: f64) -> (f64, f64) {
        match self {
            Self::Matern52 => {
                let s = (5.0 * squared_distance).sqrt();
                let decay = libm::exp(-s);
                ((1.0 + s + s * s / 3.0) * decay, -5.0 / 6.0 * (1.0 + s) * decay)
            }
            Self::SquaredExponential => {
                let k = libm::exp(-0.5 * squared_distance);
                (k, -0.5 * k)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slope_is_that_of_finite_differences() {
        for kernel in [Kernel::Matern52, Kernel::SquaredExponential] {
            assert_eq!(kernel.at(0.0).0, 1.0);
            for squared in [1e-4, 0.1, 1.0, 9.0] {
                let h = 1e-6 * squared;
                let difference = (kernel.at(squared + h).0 - kernel.at(squared - h).0) / (2.0 * h);
                let slope = kernel.at(squared).1;
                assert!((difference - slope).abs() < 1e-6, "{kernel:?} at {squared}: {difference}, {slope}");
            }
        }
    }
}
