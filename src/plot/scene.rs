//! What a chart shows, before it is known how: curves sorted and smoothed, the range of either axis,
//! and what is to be said below.
//!
//! Imports `label`, `scale` and `smooth` and does no IO.

use super::label::{brief, printable};
use super::reduce::Point;
use super::scale::{Axis, Grain};
use super::smooth::{smooth, weight_within};
use super::{Curve, End, Look, Scale, palette};

/// The curves and their axes.
pub(super) struct Scene {
    pub(super) curves: Vec<Shown>,
    pub(super) x: Axis,
    pub(super) y: Axis,
    /// Whether x is counted in whole numbers.
    pub(super) x_grain: Grain,
    /// Whether there is any value to draw.
    pub(super) is_blank: bool,
    /// What the reader should know, a line each.
    pub(super) notes: Vec<String>,
}

/// One curve as it is drawn.
pub(super) struct Shown {
    /// The name, printable.
    pub(super) name: String,
    /// The y of the last point as it came; `None` without points.
    pub(super) last: Option<f64>,
    /// The points by rising x; a y that cannot be shown is NaN.
    pub(super) points: Vec<Point>,
    /// The points before they were smoothed, where they were and where that is asked for.
    pub(super) raw: Option<Vec<Point>>,
    /// See [`palette::number`].
    pub(super) number: Option<usize>,
    pub(super) is_faint: bool,
    pub(super) end: End,
}

/// Whether the raw curve is shown behind the smoothed one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Behind {
    Raw,
    Nothing,
}

impl Scene {
    pub(super) fn new(curves: &[Curve], look: &Look, behind: Behind) -> Self {
        let mut left_out = LeftOut::default();
        let numbered = curves.iter().enumerate();
        let shown = |(place, curve): (usize, &Curve)| Shown {
            number: palette::number(curve, place),
            ..shown(curve, look, behind, &mut left_out)
        };
        let curves: Vec<Shown> = numbered.map(shown).collect();
        let points = || curves.iter().flat_map(|curve| curve.points.iter().chain(curve.raw.iter().flatten()));
        let visible = || points().filter(|(_, y)| y.is_finite());
        let is_whole = points().all(|(x, _)| x.fract() == 0.0);
        let said = look.notes.iter().map(|note| printable(note));
        Self {
            x: Axis::linear(points().map(|(x, _)| *x)),
            y: Axis::over(visible().map(|(_, y)| *y), look.y_scale),
            x_grain: if is_whole { Grain::Whole } else { Grain::Fine },
            is_blank: visible().next().is_none(),
            notes: left_out.notes().into_iter().chain(smoothing_note(look)).chain(said).collect(),
            curves,
        }
    }
}

impl Scene {
    /// The narrowest part of the y axis in which most of the values lie, where that is a small one.
    #[cfg(feature = "pictures")]
    pub(super) fn crowd(&self) -> Option<(f64, f64)> {
        const MOST: f64 = 0.7;
        const SMALL: f64 = 0.3;
        const N_LOOKED_AT: usize = 20_000;
        let visible = || self.curves.iter().flat_map(|curve| &curve.points).filter(|(_, y)| y.is_finite());
        let stride = visible().count() / N_LOOKED_AT + 1;
        let mut shares: Vec<f64> = visible().step_by(stride).map(|(_, y)| self.y.share(*y)).collect();
        shares.sort_by(f64::total_cmp);
        let n = (shares.len() as f64 * MOST) as usize;
        let bands = shares.iter().zip(shares.iter().skip(n.max(1)));
        let (low, high) = bands.min_by(|a, b| (a.1 - a.0).total_cmp(&(b.1 - b.0)))?;
        (high - low < SMALL).then_some((*low, *high))
    }
}

/// The points that have a place on the x axis, by rising x.
pub(super) fn sorted(points: &[Point]) -> Vec<Point> {
    let mut kept: Vec<Point> = points.iter().copied().filter(|(x, _)| x.is_finite()).collect();
    if !kept.is_sorted_by(|a, b| a.0 <= b.0) {
        kept.sort_by(|a, b| a.0.total_cmp(&b.0));
    }
    kept
}

fn shown(curve: &Curve, look: &Look, behind: Behind, left_out: &mut LeftOut) -> Shown {
    let raw = sorted(&curve.points);
    left_out.count(curve, look.y_scale);
    let last = raw.last().map(|(_, y)| *y);
    let visible = |mut points: Vec<Point>| {
        for (_, y) in &mut points {
            if !y.is_finite() || look.y_scale == Scale::Log && *y <= 0.0 {
                *y = f64::NAN;
            }
        }
        points
    };
    let name = printable(&curve.name);
    let plain = Shown {
        name,
        last,
        points: Vec::new(),
        raw: None,
        number: None,
        is_faint: curve.is_faint,
        end: curve.end,
    };
    if look.smoothing > 0.0 {
        let smoothed = match &*curve.smoothed {
            [] => smooth(&raw, look.smoothing),
            smoothed => sorted(smoothed),
        };
        let smoothed = visible(smoothed);
        let raw = (behind == Behind::Raw).then(|| visible(raw));
        Shown { points: smoothed, raw, ..plain }
    } else {
        Shown { points: visible(raw), ..plain }
    }
}

fn smoothing_note(look: &Look) -> Option<String> {
    (look.smoothing > 0.0).then(|| format!("smoothed by {}", brief(weight_within(look.smoothing))))
}

/// How many values cannot be shown, and in how many curves.
#[derive(Default)]
struct LeftOut {
    not_finite: (usize, usize),
    not_positive: (usize, usize),
    no_place: (usize, usize),
}

impl LeftOut {
    fn count(&mut self, curve: &Curve, scale: Scale) {
        let add = |count: &mut (usize, usize), n_dropped: u64, is_left_out: &dyn Fn(&Point) -> bool| {
            let n = curve.points.iter().filter(|point| is_left_out(point)).count() + n_dropped as usize;
            count.0 += n;
            count.1 += usize::from(n > 0);
        };
        add(&mut self.no_place, 0, &|(x, _)| !x.is_finite());
        add(&mut self.not_finite, curve.dropped.n_not_finite, &|(x, y)| x.is_finite() && !y.is_finite());
        if scale == Scale::Log {
            add(&mut self.not_positive, curve.dropped.n_not_positive, &|(x, y)| {
                x.is_finite() && y.is_finite() && *y <= 0.0
            });
        }
    }

    fn notes(&self) -> Vec<String> {
        let note = |(n, n_curves): (usize, usize), what: &str| {
            let values = if n == 1 { "1 value".to_owned() } else { format!("{n} values") };
            let curves = if n_curves == 1 { "1 curve".to_owned() } else { format!("{n_curves} curves") };
            (n > 0).then(|| format!("left out {what}: {values} in {curves}"))
        };
        [
            note(self.not_finite, "as NaN or infinite"),
            note(self.not_positive, "as not positive on a logarithmic axis"),
            note(self.no_place, "without a finite x"),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}
