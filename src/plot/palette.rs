//! Which colour and dash a curve has, for light and for dark paper: one table for every picture and page.
//!
//! Imports the types of this module only. Does no IO.

use super::{Curve, Paint};

/// Red, green, blue.
pub(super) type Rgb = (u8, u8, u8);

/// Okabe and Ito's colours, which the colour-blind tell apart, without the yellow that white swallows, and a violet.
pub(super) const LIGHT: [Rgb; 8] = [
    (0, 114, 178),
    (230, 135, 0),
    (0, 140, 100),
    (204, 100, 155),
    (70, 165, 220),
    (190, 70, 0),
    (110, 80, 180),
    (90, 90, 90),
];

/// The same on dark paper.
pub(super) const DARK: [Rgb; 8] = [
    (74, 168, 232),
    (245, 166, 35),
    (47, 199, 149),
    (238, 143, 192),
    (143, 208, 247),
    (255, 127, 69),
    (168, 143, 240),
    (184, 190, 196),
];

/// Strokes and gaps in pixels: curves beyond the colours have these in turn, [`crate::limits::MAX_CURVES`] together.
pub(super) const DASHES: [&[f64]; 7] = [
    &[],
    &[7.0, 3.0],
    &[2.0, 3.0],
    &[9.0, 3.0, 2.0, 3.0],
    &[14.0, 4.0],
    &[8.0, 2.5, 2.0, 2.5, 2.0, 2.5],
    &[1.5, 6.0],
];

/// The number of a curve at a place of its chart: it has a colour and a dash of its own. `None` for quiet ones.
pub(super) fn number(curve: &Curve, place: usize) -> Option<usize> {
    match curve.paint {
        Paint::ByPlace => Some(place),
        Paint::Of(number) => Some(number),
        Paint::Quiet => None,
    }
}
