//! Minimisation of a smooth function within bounds: limited-memory BFGS, projected.
//!
//! Source: Nocedal and Wright, "Numerical Optimization" (2006), algorithms 7.4 and 7.5; the bounds are kept as
//! by Bertsekas, "Projected Newton methods" (1982): coordinates at a bound that the gradient pushes against
//! stay there, and the step of the others is projected.

use crate::linear::dot;

/// How many past steps shape the next one.
const MEMORY: usize = 8;

/// A step is taken when it gains at least this share of what the slope promises.
const SUFFICIENT: f64 = 1e-4;

/// How often one step is shortened before the search ends.
const MAX_SHORTENINGS: usize = 12;

/// Minimises `f`, which gives its value and writes its gradient, from `x` within `bounds`, by at most `max_calls`
/// calls. Values that are not finite are never gone to. The answer is the smallest value; `x` is where it is.
pub(super) fn minimize(
    x: &mut Vec<f64>,
    bounds: &[(f64, f64)],
    max_calls: usize,
    tolerance: f64,
    f: &mut dyn FnMut(&[f64], &mut [f64]) -> f64,
) -> f64 {
    let n = x.len();
    for (x, (low, high)) in x.iter_mut().zip(bounds) {
        *x = x.clamp(*low, *high);
    }
    let mut gradient = vec![0.0; n];
    let mut value = f(x, &mut gradient);
    let mut n_calls = 1;
    let mut steps: Vec<(Vec<f64>, Vec<f64>, f64)> = Vec::new();
    let (mut next, mut next_gradient) = (x.clone(), gradient.clone());
    while n_calls < max_calls && value.is_finite() {
        let is_free: Vec<bool> = (x.iter().zip(bounds).zip(&gradient))
            .map(|((x, (low, high)), g)| !((*x <= *low && *g > 0.0) || (*x >= *high && *g < 0.0)))
            .collect();
        let free = |v: &[f64]| -> Vec<f64> {
            v.iter().zip(&is_free).map(|(v, is_free)| if *is_free { *v } else { 0.0 }).collect()
        };
        let slope = free(&gradient);
        let steepness = slope.iter().fold(0.0_f64, |max, g| max.max(g.abs()));
        if steepness <= tolerance {
            break;
        }
        let mut direction = newton_direction(&slope, &steps);
        direction = free(&direction);
        if dot(&direction, &slope) >= 0.0 {
            steps.clear();
            direction = slope.iter().map(|g| -g).collect();
        }
        // Without memory the scale of a step is not known: a tenth of the smallest range.
        let mut length = if steps.is_empty() {
            let range = bounds.iter().map(|(low, high)| high - low).fold(f64::INFINITY, f64::min);
            (0.1 * range / steepness).min(1.0)
        } else {
            1.0
        };
        let mut found = false;
        for _ in 0..MAX_SHORTENINGS {
            if n_calls >= max_calls {
                break;
            }
            for (((next, x), d), (low, high)) in next.iter_mut().zip(&*x).zip(&direction).zip(bounds) {
                *next = (x + length * d).clamp(*low, *high);
            }
            let next_value = f(&next, &mut next_gradient);
            n_calls += 1;
            let moved: Vec<f64> = next.iter().zip(&*x).map(|(a, b)| a - b).collect();
            let promise = dot(&slope, &moved);
            if next_value.is_finite() && next_value <= value + SUFFICIENT * promise {
                let turned: Vec<f64> = next_gradient.iter().zip(&gradient).map(|(a, b)| a - b).collect();
                let curvature = dot(&moved, &turned);
                if curvature > 1e-12 * dot(&turned, &turned).max(f64::MIN_POSITIVE) {
                    if steps.len() == MEMORY {
                        steps.remove(0);
                    }
                    steps.push((moved, turned, curvature));
                }
                let gain = value - next_value;
                std::mem::swap(x, &mut next);
                std::mem::swap(&mut gradient, &mut next_gradient);
                value = next_value;
                found = gain > 1e-12 * value.abs().max(1e-12);
                break;
            }
            length *= if next_value.is_finite() { 0.4 } else { 0.1 };
        }
        if !found {
            break;
        }
    }
    value
}

/// Minus the gradient, turned and stretched by the inverse of the curvature that the last steps met.
fn newton_direction(slope: &[f64], steps: &[(Vec<f64>, Vec<f64>, f64)]) -> Vec<f64> {
    let mut direction: Vec<f64> = slope.iter().map(|g| -g).collect();
    let mut factors = Vec::with_capacity(steps.len());
    for (moved, turned, curvature) in steps.iter().rev() {
        let factor = dot(moved, &direction) / curvature;
        add(&mut direction, turned, -factor);
        factors.push(factor);
    }
    if let Some((_, turned, curvature)) = steps.last() {
        let scale = curvature / dot(turned, turned);
        direction.iter_mut().for_each(|d| *d *= scale);
    }
    for ((moved, turned, curvature), factor) in steps.iter().zip(factors.into_iter().rev()) {
        let back = dot(turned, &direction) / curvature;
        add(&mut direction, moved, factor - back);
    }
    direction
}

fn add(target: &mut [f64], other: &[f64], factor: f64) {
    for (target, other) in target.iter_mut().zip(other) {
        *target += factor * other;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rosenbrock(x: &[f64], gradient: &mut [f64]) -> f64 {
        let (a, b) = (x[0], x[1]);
        gradient[0] = -400.0 * a * (b - a * a) - 2.0 * (1.0 - a);
        gradient[1] = 200.0 * (b - a * a);
        100.0 * (b - a * a).powi(2) + (1.0 - a).powi(2)
    }

    #[test]
    fn a_curved_valley_is_followed_to_its_end() {
        let mut x = vec![-1.2, 1.0];
        let value = minimize(&mut x, &[(-5.0, 5.0), (-5.0, 5.0)], 200, 1e-9, &mut rosenbrock);
        assert!(value < 1e-12, "{value} at {x:?}");
        assert!((x[0] - 1.0).abs() < 1e-6 && (x[1] - 1.0).abs() < 1e-6, "{x:?}");
    }

    #[test]
    fn bounds_are_kept() {
        let mut x = vec![-1.2, 3.0];
        minimize(&mut x, &[(-2.0, 0.5), (-1.0, 2.0)], 200, 1e-9, &mut rosenbrock);
        assert!((x[0] - 0.5).abs() < 1e-9 && (x[1] - 0.25).abs() < 1e-6, "{x:?}");
    }

    #[test]
    fn a_function_that_is_nowhere_finite_moves_nothing() {
        let mut x = vec![0.5];
        assert!(minimize(&mut x, &[(0.0, 1.0)], 50, 1e-9, &mut |_, _| f64::NAN).is_nan());
        assert_eq!(x, [0.5]);
    }
}
