//! The search space: parameters, their domains and scales, and points in it.

use std::fmt;
use std::sync::Arc;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::units::shortest;

/// All parameters of a study, in the order of the configuration file.
#[derive(Debug, Clone, Default)]
pub struct Space {
    /// The parameters.
    pub parameters: Vec<Parameter>,
}

/// One parameter.
#[derive(Debug, Clone)]
pub struct Parameter {
    /// The name, as the trainer's argument spells it.
    pub name: Arc<str>,
    /// The values that it may take.
    pub domain: Domain,
}

/// The values that a parameter may take. All bounds are finite and in order.
#[derive(Debug, Clone, PartialEq)]
pub enum Domain {
    /// Any number from `min` to `max`, both included.
    Double {
        /// The smallest value.
        min: f64,
        /// The largest value.
        max: f64,
        /// How the search measures distance.
        scale: Scale,
    },
    /// Any whole number from `min` to `max`, both included.
    Integer {
        /// The smallest value; beyond ±2^53 a configuration is refused.
        min: i64,
        /// The largest value.
        max: i64,
        /// How the search measures distance.
        scale: Scale,
    },
    /// One of these numbers, strictly rising.
    Discrete {
        /// The numbers.
        values: Vec<f64>,
        /// How the search measures distance.
        scale: Scale,
    },
    /// One of these texts, which have no order.
    Categorical(Vec<Arc<str>>),
}

/// How a range is stretched for the search. The logarithmic scales need a smallest value above 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Scale {
    /// Evenly.
    #[default]
    Linear,
    /// Evenly by order of magnitude: the small end gets more attention.
    Log,
    /// The mirror image of [`Scale::Log`]: the large end gets more attention.
    ReverseLog,
}

impl Scale {
    /// The number at `u` (0 to 1) between `min` and `max`.
    #[must_use]
    pub fn at(self, u: f64, min: f64, max: f64) -> f64 {
        let value = match self {
            // Not min + u * (max - min): that overflows between the largest numbers.
            Self::Linear => min * (1.0 - u) + max * u,
            Self::Log => libm::exp(libm::log(min) * (1.0 - u) + libm::log(max) * u),
            Self::ReverseLog => min + (max - libm::exp(libm::log(min) * u + libm::log(max) * (1.0 - u))),
        };
        value.clamp(min, max)
    }

    /// Where `value` lies between `min` and `max`, 0 to 1: the inverse of [`Self::at`]. An empty range is 0.
    #[must_use]
    pub fn unit(self, value: f64, min: f64, max: f64) -> f64 {
        // Halves, since the whole range may overflow.
        let linear = |value: f64, min: f64, max: f64| (value / 2.0 - min / 2.0) / (max / 2.0 - min / 2.0);
        let u = match self {
            Self::Linear => linear(value, min, max),
            Self::Log => linear(libm::log(value), libm::log(min), libm::log(max)),
            Self::ReverseLog => 1.0 - linear(libm::log(min + (max - value)), libm::log(min), libm::log(max)),
        };
        if u.is_nan() { 0.0 } else { u.clamp(0.0, 1.0) }
    }
}

impl Domain {
    /// The value at `u`, 0 to 1: a uniform `u` gives each whole number, each discrete number and
    /// each category its share.
    #[must_use]
    pub fn at(&self, u: f64) -> ParamValue {
        match self {
            Self::Double { min, max, scale } => ParamValue::Number(scale.at(u, *min, *max)),
            Self::Integer { min, max, scale } => {
                let (low, high) = (*min as f64, *max as f64);
                let value = match scale {
                    // Half a step more at both ends, so that the bounds are as likely as the rest.
                    Scale::Linear => scale.at(u, low - 0.5, high + 0.5),
                    Scale::Log | Scale::ReverseLog => scale.at(u, low, high),
                };
                // Adding 0 makes a negative zero positive.
                ParamValue::Number(value.round().clamp(low, high) + 0.0)
            }
            Self::Discrete { values, scale } => match (values.first(), values.last(), scale) {
                (Some(min), Some(max), Scale::Log | Scale::ReverseLog) => {
                    ParamValue::Number(nearest(values, scale.at(u, *min, *max)))
                }
                _ => ParamValue::Number(pick(values, u).copied().unwrap_or(f64::NAN)),
            },
            Self::Categorical(values) => {
                ParamValue::Text(pick(values, u).cloned().unwrap_or_else(|| Arc::from("")))
            }
        }
    }

    /// Where a value of this domain lies on its scale, 0 to 1; of a category its index. NaN for what is none of
    /// its values.
    #[must_use]
    pub fn unit(&self, value: &ParamValue) -> f64 {
        match (self, value) {
            (Self::Double { min, max, scale }, ParamValue::Number(v)) => scale.unit(*v, *min, *max),
            (Self::Integer { min, max, scale }, ParamValue::Number(v)) => {
                scale.unit(*v, *min as f64, *max as f64)
            }
            (Self::Discrete { values, scale }, ParamValue::Number(v)) => {
                match (values.first(), values.last()) {
                    (Some(min), Some(max)) => scale.unit(*v, *min, *max),
                    _ => f64::NAN,
                }
            }
            (Self::Categorical(values), ParamValue::Text(v)) => {
                values.iter().position(|known| known == v).map_or(f64::NAN, |i| i as f64)
            }
            (Self::Double { .. } | Self::Integer { .. } | Self::Discrete { .. }, ParamValue::Text(_))
            | (Self::Categorical(_), ParamValue::Number(_)) => f64::NAN,
        }
    }

    /// The value of this domain that lies nearest to `unit` on its scale; of categories that with this index.
    #[must_use]
    pub fn nearest(&self, unit: f64) -> ParamValue {
        match self {
            Self::Double { min, max, scale } => ParamValue::Number(scale.at(unit, *min, *max)),
            Self::Integer { min, max, scale } => {
                let (low, high) = (*min as f64, *max as f64);
                // Adding 0 makes a negative zero positive.
                ParamValue::Number(scale.at(unit, low, high).round().clamp(low, high) + 0.0)
            }
            Self::Discrete { values, .. } => {
                let off = |v: f64| (self.unit(&ParamValue::Number(v)) - unit).abs();
                let nearest = values.iter().copied().min_by(|a, b| off(*a).total_cmp(&off(*b)));
                ParamValue::Number(nearest.unwrap_or(f64::NAN))
            }
            Self::Categorical(values) => {
                let index = (unit.max(0.0) as usize).min(values.len().saturating_sub(1));
                ParamValue::Text(values.get(index).cloned().unwrap_or_else(|| Arc::from("")))
            }
        }
    }

    /// How many values there are; `None` for a range of real numbers.
    #[must_use]
    pub fn size(&self) -> Option<u64> {
        match self {
            Self::Double { min, max, .. } => (min == max).then_some(1),
            Self::Integer { min, max, .. } => Some(max.abs_diff(*min).saturating_add(1)),
            Self::Discrete { values, .. } => Some(values.len() as u64),
            Self::Categorical(values) => Some(values.len() as u64),
        }
    }

    /// The `n`-th value, counted from 0, of a domain that has a [`Self::size`].
    #[must_use]
    pub fn nth(&self, n: u64) -> Option<ParamValue> {
        match self {
            Self::Double { min, max, .. } => (min == max && n == 0).then_some(ParamValue::Number(*min)),
            Self::Integer { min, max, .. } => {
                let value = min.checked_add_unsigned(n)?;
                (value <= *max).then_some(ParamValue::Number(value as f64))
            }
            Self::Discrete { values, .. } => Some(ParamValue::Number(*values.get(usize::try_from(n).ok()?)?)),
            Self::Categorical(values) => {
                Some(ParamValue::Text(values.get(usize::try_from(n).ok()?)?.clone()))
            }
        }
    }

    /// Whether `value` is one of the domain's.
    #[must_use]
    pub fn contains(&self, value: &ParamValue) -> bool {
        match (self, value) {
            (Self::Double { min, max, .. }, ParamValue::Number(v)) => (*min..=*max).contains(v),
            (Self::Integer { min, max, .. }, ParamValue::Number(v)) => {
                v.fract() == 0.0 && (*min as f64..=*max as f64).contains(v)
            }
            (Self::Discrete { values, .. }, ParamValue::Number(v)) => values.contains(v),
            (Self::Categorical(values), ParamValue::Text(v)) => values.contains(v),
            (Self::Double { .. } | Self::Integer { .. } | Self::Discrete { .. }, ParamValue::Text(_))
            | (Self::Categorical(_), ParamValue::Number(_)) => false,
        }
    }
}

/// The values that there are, for people.
impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Double { min, max, .. } => {
                write!(f, "a number from {} to {}", shortest(*min), shortest(*max))
            }
            Self::Integer { min, max, .. } => write!(f, "a whole number from {min} to {max}"),
            Self::Discrete { values, .. } => {
                let values: Vec<String> = values.iter().map(|v| shortest(*v)).collect();
                write!(f, "one of the numbers {}", values.join(", "))
            }
            Self::Categorical(values) => write!(f, "one of the texts {}", values.join(", ")),
        }
    }
}

fn pick<T>(values: &[T], u: f64) -> Option<&T> {
    let i = (u * values.len() as f64) as usize;
    values.get(i.min(values.len().saturating_sub(1)))
}

fn nearest(values: &[f64], wanted: f64) -> f64 {
    let distance = |v: f64| (v - wanted).abs();
    values.iter().copied().min_by(|a, b| distance(*a).total_cmp(&distance(*b))).unwrap_or(wanted)
}

impl Space {
    /// What is different in `other`, apart from the order; `None` where nothing is.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Option<String> {
        for parameter in &self.parameters {
            match other.parameters.iter().find(|p| p.name == parameter.name) {
                None => return Some(format!("there is a parameter `{}`", parameter.name)),
                Some(theirs) if theirs.domain != parameter.domain => {
                    return Some(format!("parameter `{}` has other values", parameter.name));
                }
                Some(_) => {}
            }
        }
        let is_missing = |p: &&Parameter| self.parameters.iter().all(|own| own.name != p.name);
        let missing = other.parameters.iter().find(is_missing)?;
        Some(format!("there is no parameter `{}`", missing.name))
    }

    /// How many points there are, saturating; `None` where a parameter has a range of real numbers.
    #[must_use]
    pub fn size(&self) -> Option<u64> {
        self.parameters.iter().try_fold(1_u64, |n, p| Some(n.saturating_mul(p.domain.size()?)))
    }

    /// The point whose parameters are made by `value`, in order.
    #[must_use]
    pub fn assign(&self, mut value: impl FnMut(&Domain) -> ParamValue) -> Assignment {
        Assignment(self.parameters.iter().map(|p| (p.name.clone(), value(&p.domain))).collect())
    }

    /// The `n`-th combination of a finite space, counted from 0, the last parameter fastest; `None`
    /// behind the last, and in a space that is not finite.
    #[must_use]
    pub fn nth(&self, mut n: u64) -> Option<Assignment> {
        if n >= self.size()? {
            return None;
        }
        let mut values = Vec::with_capacity(self.parameters.len());
        for parameter in self.parameters.iter().rev() {
            let size = parameter.domain.size()?;
            values.push((parameter.name.clone(), parameter.domain.nth(n % size)?));
            n /= size;
        }
        values.reverse();
        Some(Assignment(values))
    }

    /// Whether `point` names exactly these parameters, each with a value of its domain.
    #[must_use]
    pub fn contains(&self, point: &Assignment) -> bool {
        self.refusal(point).is_none()
    }

    /// Why `point` does not name exactly these parameters in order, each with a value of its domain.
    #[must_use]
    pub fn refusal(&self, point: &Assignment) -> Option<String> {
        if self.parameters.len() != point.0.len() {
            return Some(format!("got {} parameters, want {}", point.0.len(), self.parameters.len()));
        }
        self.parameters.iter().zip(&point.0).find_map(|(p, (name, value))| match value {
            _ if p.name != *name => Some(format!("got parameter `{name}`, want `{}`", p.name)),
            _ if p.domain.contains(value) => None,
            // `0.05` is a number, "0.05" is none.
            ParamValue::Text(text) => {
                Some(format!("params.{name}: got the text {text:?}, want {}", p.domain))
            }
            ParamValue::Number(number) => {
                Some(format!("params.{name}: got the number {}, want {}", shortest(*number), p.domain))
            }
        })
    }
}

/// A value of a parameter.
#[derive(Debug, Clone, PartialEq)]
pub enum ParamValue {
    /// Of a DOUBLE, INTEGER or DISCRETE parameter; finite.
    Number(f64),
    /// Of a CATEGORICAL one.
    Text(Arc<str>),
}

/// As the trainer's argument spells it: `128`, `0.5`, `1.0e-7`, or the category itself.
impl fmt::Display for ParamValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(v) => f.pad(&number_for_any_reader(*v)),
            Self::Text(v) => f.pad(v),
        }
    }
}

/// A number in its shortest spelling that every reader of numbers takes for one: YAML 1.1, which trainers read their
/// arguments by (PyYAML), wants a point and a sign where there is an exponent.
fn number_for_any_reader(value: f64) -> String {
    let text = shortest(value);
    let Some((digits, exponent)) = text.split_once('e') else { return text };
    let point = if digits.contains('.') { "" } else { ".0" };
    let sign = if exponent.starts_with('-') { "" } else { "+" };
    format!("{digits}{point}e{sign}{exponent}")
}

/// A value for each parameter, in the order of the space.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Assignment(pub Vec<(Arc<str>, ParamValue)>);

impl Assignment {
    /// The names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &ParamValue)> {
        self.0.iter().map(|(name, value)| (&**name, value))
    }

    /// The value of a parameter.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&ParamValue> {
        self.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }
}

/// The service's `hyperparameters`: a map of strings.
impl Serialize for Assignment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in self.iter() {
            map.serialize_entry(name, &value.to_string())?;
        }
        map.end()
    }
}

/// `lr=0.01 layers=3`, for people.
impl fmt::Display for Assignment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (name, value)) in self.iter().enumerate() {
            write!(f, "{}{name}={value}", if i == 0 { "" } else { " " })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_number_is_one_to_every_reader() {
        #[track_caller]
        fn check(value: f64, expected: &str) {
            assert_eq!(ParamValue::Number(value).to_string(), expected);
            assert_eq!(expected.parse::<f64>(), Ok(value));
        }
        check(1e-8, "1.0e-8");
        check(-2.5e-7, "-2.5e-7");
        check(1e300, "1.0e+300");
        check(1.25e22, "1.25e+22");
        check(1e-5, "0.00001");
        check(128.0, "128");
        check(0.5, "0.5");
    }

    #[test]
    fn the_ends_and_the_middle_of_each_scale() {
        #[track_caller]
        fn check(scale: Scale, u: f64, expected: f64) {
            let got = scale.at(u, 1.0, 100.0);
            assert!((got - expected).abs() < 1e-9, "{scale:?} at {u}: got {got}, want {expected}");
        }
        check(Scale::Linear, 0.0, 1.0);
        check(Scale::Linear, 0.5, 50.5);
        check(Scale::Linear, 1.0, 100.0);
        check(Scale::Log, 0.0, 1.0);
        check(Scale::Log, 0.5, 10.0);
        check(Scale::Log, 1.0, 100.0);
        check(Scale::ReverseLog, 0.0, 1.0);
        check(Scale::ReverseLog, 0.5, 91.0);
        check(Scale::ReverseLog, 1.0, 100.0);
        assert!(Scale::Linear.at(0.5, -f64::MAX, f64::MAX).is_finite());
    }

    #[test]
    fn a_place_is_the_inverse_of_each_scale_at_its_bounds_and_inside() {
        for scale in [Scale::Linear, Scale::Log, Scale::ReverseLog] {
            for (min, max) in [(1.0, 100.0), (1e-12, 1e12), (0.5, 0.5000001)] {
                assert_eq!((scale.unit(min, min, max), scale.unit(max, min, max)), (0.0, 1.0), "{scale:?}");
                for u in [0.1, 0.5, 0.9] {
                    let value = scale.at(u, min, max);
                    // One step of a float at 1e12 is a part of 1e-5 of the way that is left to the bound.
                    let tolerance = if scale == Scale::ReverseLog { 1e-3 } else { 1e-6 };
                    let error = (scale.unit(value, min, max) - u).abs();
                    let is_resolved = scale != Scale::ReverseLog || u < 0.4 || max < 1e6;
                    assert!(!is_resolved || error < tolerance, "{scale:?} {min} {max} {u}: {error}");
                }
            }
            assert_eq!(scale.unit(3.0, 3.0, 3.0), 0.0, "an empty range");
        }
        assert_eq!(Scale::Linear.unit(0.0, -f64::MAX, f64::MAX), 0.5);
    }

    #[test]
    fn whole_numbers_are_equally_likely() {
        let domain = Domain::Integer { min: 1, max: 3, scale: Scale::Linear };
        let mut counts = [0; 3];
        for i in 0..300 {
            let ParamValue::Number(v) = domain.at((f64::from(i) + 0.5) / 300.0) else { panic!("no number") };
            counts[v as usize - 1] += 1;
        }
        assert_eq!(counts, [100; 3]);
    }

    #[test]
    fn values_print_as_a_trainer_s_arguments() {
        #[track_caller]
        fn check(value: ParamValue, expected: &str) {
            assert_eq!(value.to_string(), expected);
        }
        check(ParamValue::Number(128.0), "128");
        check(ParamValue::Number(0.5), "0.5");
        check(ParamValue::Number(-3.0), "-3");
        check(ParamValue::Number(1e-7), "1.0e-7");
        check(ParamValue::Number(9_007_199_254_740_992.0), "9007199254740992");
        check(ParamValue::Text("a \"b\" c".into()), "a \"b\" c");
    }

    fn any_domain() -> impl Strategy<Value = Domain> {
        let scale = prop_oneof![Just(Scale::Linear), Just(Scale::Log), Just(Scale::ReverseLog)];
        prop_oneof![
            (1e-12..1e3f64, 0.0..1e12f64, scale.clone()).prop_map(|(min, span, scale)| Domain::Double {
                min,
                max: min + span,
                scale
            }),
            (1i64..1000, 0i64..100_000, scale.clone()).prop_map(|(min, span, scale)| Domain::Integer {
                min,
                max: min + span,
                scale
            }),
            (1usize..9, scale).prop_map(|(n, scale)| Domain::Discrete {
                values: (1..=n).map(|i| i as f64 * 1.5).collect(),
                scale
            }),
            (1usize..5).prop_map(|n| Domain::Categorical((0..n).map(|i| format!("c{i}").into()).collect())),
        ]
    }

    proptest! {
        #[test]
        fn every_value_lies_in_its_domain(domain in any_domain(), u in 0.0..=1.0f64) {
            prop_assert!(domain.contains(&domain.at(u)), "{:?} gave {:?}", domain, domain.at(u));
        }

        #[test]
        fn a_value_is_found_again_by_its_place(domain in any_domain(), u in 0.0..=1.0f64) {
            let value = domain.at(u);
            let again = domain.nearest(domain.unit(&value));
            let is_same = match (&domain, &value, &again) {
                (Domain::Double { max, .. }, ParamValue::Number(a), ParamValue::Number(b)) => (a - b).abs() <= 1e-9 * max,
                _ => value == again,
            };
            prop_assert!(is_same, "{:?}: {:?} became {:?}", domain, value, again);
            prop_assert!(domain.contains(&again));
        }

        #[test]
        fn every_place_has_a_feasible_value(domain in any_domain(), u in -0.5..=1.5f64) {
            prop_assert!(domain.contains(&domain.nearest(u)));
        }

        #[test]
        fn the_nth_values_are_the_domain(domain in any_domain()) {
            if let Some(size) = domain.size().filter(|size| *size < 1000) {
                for n in 0..size {
                    let value = domain.nth(n).expect("n is below the size");
                    prop_assert!(domain.contains(&value));
                }
                prop_assert_eq!(domain.nth(size), None);
            }
        }
    }
}
