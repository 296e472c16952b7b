//! Points of a search space as rows of numbers, and back.

use std::sync::Arc;

use crate::study::{Assignment, Domain, ParamValue, Parameter, Space};

/// Up to so many values a coordinate is searched value by value, not by its slope.
const MAX_SEARCHED_WHOLE: usize = 16;

/// A search space as a box: of each parameter that has a choice one coordinate, a number by its place on its scale
/// (0 to 1), a category by its index.
#[derive(Debug, Clone)]
pub(super) struct Encoding {
    parameters: Vec<Parameter>,
    coordinates: Vec<Coordinate>,
}

/// One coordinate.
#[derive(Debug, Clone)]
pub(super) struct Coordinate {
    /// The parameter's place in the space.
    parameter: usize,
    /// What values it may have.
    pub(super) kind: Kind,
}

/// What values a coordinate may have.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    /// All from 0 to 1.
    Continuous,
    /// Many numbers with gaps: it is searched as if all were feasible, and then the nearest taken.
    Stepped,
    /// These few.
    Few(Vec<f64>),
    /// An index below this.
    Category(usize),
}

impl Encoding {
    pub(super) fn new(space: &Space) -> Self {
        let parameters = space.parameters.clone();
        let coordinates = parameters
            .iter()
            .enumerate()
            .filter_map(|(parameter, p)| Some(Coordinate { parameter, kind: Kind::of(&p.domain)? }))
            .collect();
        Self { parameters, coordinates }
    }

    /// The coordinates.
    pub(super) fn coordinates(&self) -> &[Coordinate] {
        &self.coordinates
    }

    /// The parameter of each coordinate.
    pub(super) fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.coordinates.iter().filter_map(|c| Some(&self.parameters.get(c.parameter)?.name))
    }

    /// Which coordinates are categories.
    pub(super) fn is_category(&self) -> Vec<bool> {
        self.coordinates.iter().map(|c| matches!(c.kind, Kind::Category(_))).collect()
    }

    /// The row of a point; `None` where it is not one of this space: a trial from elsewhere may lie outside.
    pub(super) fn encode(&self, point: &Assignment) -> Option<Vec<f64>> {
        let unit = |c: &Coordinate| {
            let parameter = self.parameters.get(c.parameter)?;
            let (_, value) = point.0.iter().find(|(name, _)| *name == parameter.name)?;
            Some(parameter.domain.unit(value)).filter(|u| u.is_finite())
        };
        self.coordinates.iter().map(unit).collect()
    }

    /// The point nearest to a row.
    pub(super) fn decode(&self, row: &[f64]) -> Assignment {
        let mut values: Vec<(Arc<str>, ParamValue)> =
            self.parameters.iter().map(|p| (p.name.clone(), p.domain.nearest(0.0))).collect();
        for (c, u) in self.coordinates.iter().zip(row) {
            if let (Some(value), Some(p)) = (values.get_mut(c.parameter), self.parameters.get(c.parameter)) {
                value.1 = p.domain.nearest(*u);
            }
        }
        Assignment(values)
    }

    /// Moves a row to the nearest feasible one.
    pub(super) fn snap(&self, row: &mut [f64]) {
        for (c, u) in self.coordinates.iter().zip(row) {
            match (&c.kind, self.parameters.get(c.parameter)) {
                (Kind::Continuous, _) | (_, None) => *u = u.clamp(0.0, 1.0),
                (_, Some(p)) => *u = p.domain.unit(&p.domain.nearest(*u)),
            }
        }
    }
}

impl Coordinate {
    /// The feasible place for a uniform draw, 0 to 1, each of a few having the same share.
    pub(super) fn place(&self, uniform: f64) -> f64 {
        let nth = |n: usize| ((uniform * n as f64) as usize).min(n.saturating_sub(1));
        match &self.kind {
            Kind::Continuous | Kind::Stepped => uniform,
            Kind::Few(places) => places.get(nth(places.len())).copied().unwrap_or(0.0),
            Kind::Category(n) => nth(*n) as f64,
        }
    }

    /// Whether it is searched along its slope.
    pub(super) fn is_smooth(&self) -> bool {
        matches!(self.kind, Kind::Continuous | Kind::Stepped)
    }

    /// All places of a coordinate that is searched one by one.
    pub(super) fn places(&self) -> Vec<f64> {
        match &self.kind {
            Kind::Continuous | Kind::Stepped => Vec::new(),
            Kind::Few(places) => places.clone(),
            Kind::Category(n) => (0..*n).map(|i| i as f64).collect(),
        }
    }
}

impl Kind {
    /// `None` for a parameter that has no choice.
    fn of(domain: &Domain) -> Option<Self> {
        let Some(size) = domain.size() else { return Some(Self::Continuous) };
        if size < 2 {
            return None;
        }
        Some(match domain {
            Domain::Categorical(values) => Self::Category(values.len()),
            _ if size <= MAX_SEARCHED_WHOLE as u64 => {
                Self::Few((0..size).filter_map(|n| Some(domain.unit(&domain.nth(n)?))).collect())
            }
            _ => Self::Stepped,
        })
    }
}
