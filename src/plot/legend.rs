//! The legend of a picture: each curve once, with its colour and dash.
//!
//! Imports `palette` and the types of this module. Does no IO.

use std::collections::HashSet;

use super::palette::{DASHES, LIGHT, number};
use super::{Chart, Curve};

/// The dash of the curves with this number.
pub(super) fn dash(number: usize) -> &'static [f64] {
    DASHES.get(number / LIGHT.len() % DASHES.len()).copied().unwrap_or_default()
}

/// An entry of the legend of some charts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry<'c> {
    /// Its curve, or the first of them.
    pub(super) curve: &'c Curve,
    /// See [`super::palette::number`].
    pub(super) number: Option<usize>,
    /// How many curves it stands for, where they are quiet.
    pub(super) n_quiet: usize,
}

/// The legend of some charts: each curve once, whichever chart shows it; a faint one only where none of its number is not;
/// all quiet ones together, at the end.
pub(super) fn legend(charts: &[Chart]) -> Vec<Entry<'_>> {
    let all = || {
        let places = |chart: &'_ Chart| (0..chart.curves.len()).collect::<Vec<_>>();
        charts.iter().flat_map(move |chart| chart.curves.iter().zip(places(chart)))
    };
    let named: HashSet<Option<usize>> =
        all().filter(|(curve, _)| !curve.is_faint).map(|(curve, place)| number(curve, place)).collect();
    let (mut entries, mut seen, mut quiet) = (Vec::new(), HashSet::new(), HashSet::new());
    let mut first_quiet = None;
    for (curve, place) in all() {
        let number = number(curve, place);
        if number.is_none() {
            first_quiet.get_or_insert(curve);
            quiet.insert(&*curve.name);
        } else if !(curve.is_faint && named.contains(&number)) && seen.insert((number, &*curve.name)) {
            entries.push(Entry { curve, number, n_quiet: 0 });
        }
    }
    entries.extend(first_quiet.map(|curve| Entry { curve, number: None, n_quiet: quiet.len() }));
    entries
}
