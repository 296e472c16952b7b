//! Steps, times, tags, runs and values as types.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::ops::Add;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

#[cfg(feature = "serde")]
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A training step as its writer counted it (`Event.step`): dimensionless, usually from 0 upwards.
/// Nothing in the format forbids negative or falling steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
#[cfg_attr(feature = "serde", serde(transparent))]
pub struct Step(pub i64);

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// A writer's clock at an event (`Event.wall_time`), in seconds since the Unix epoch.
///
/// Writers put anything here: NaN, 0 and the future all occur. It is shown, kept and used to tell
/// which writer came later; a value is never dropped for it.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Default)]
pub struct WallTime(pub f64);

/// A moment on the caller's clock, as the time since the Unix epoch.
///
/// It is compared with other moments of the same clock and with the times at which files were last written. A virtual
/// clock may start anywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Time(pub Duration);

impl Time {
    /// The Unix epoch.
    pub const EPOCH: Self = Self(Duration::ZERO);

    /// Later than any other: never.
    pub const MAX: Self = Self(Duration::MAX);

    /// The system's time of day; the epoch where its clock stands before that.
    #[must_use]
    pub fn now() -> Self {
        SystemTime::now().into()
    }

    /// The moment `wait` later; [`Self::MAX`] where that is too far.
    #[must_use]
    pub fn after(self, wait: Duration) -> Self {
        Self(self.0.saturating_add(wait))
    }

    /// How much later this is than `earlier`; 0 where it is not.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for Time {
    type Output = Self;

    /// As [`Time::after`].
    fn add(self, wait: Duration) -> Self {
        self.after(wait)
    }
}

impl From<SystemTime> for Time {
    fn from(time: SystemTime) -> Self {
        Self(time.duration_since(UNIX_EPOCH).unwrap_or_default())
    }
}

/// The name under which a writer files a series of values, such as `eval/accuracy`. Compared whole,
/// byte for byte, as its text is, so that a map is asked by text; shown in [`natural_order`]. Cloning is cheap.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(Serialize))]
#[cfg_attr(feature = "serde", serde(transparent))]
pub struct Tag(Arc<str>);

/// A directory that holds event files, relative to the root that was asked for, with `/` between
/// its parts; `.` is the root itself. Ordered by [`natural_order`]. Cloning is cheap.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(Serialize))]
#[cfg_attr(feature = "serde", serde(transparent))]
pub struct RunName(Arc<str>);

macro_rules! name_type {
    ($name:ident) => {
        impl $name {
            /// The name as it was written.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.into())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    };
}

name_type!(Tag);
name_type!(RunName);

impl Borrow<str> for Tag {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl PartialOrd for RunName {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for RunName {
    fn cmp(&self, other: &Self) -> Ordering {
        natural_order(&self.0, &other.0)
    }
}

/// The order of names as people count: `trial_2` before `trial_10`, and `lr_0.25` before `lr_0.5`. Digits are compared as the
/// whole number that they are; those behind `0.` as a fraction. Names that differ in leading zeros alone (`7`, `007`) are
/// ordered by their bytes, so that only equal ones are equal.
#[must_use]
pub fn natural_order(a: &str, b: &str) -> Ordering {
    if a == b {
        return Ordering::Equal;
    }
    pieces(a).cmp(pieces(b)).then_with(|| a.cmp(b))
}

/// The bytes of a name with each run of digits as one piece: what stands for it among the other bytes, how many digits
/// count, and these. A whole number begins with its first digit but 0; a fraction is compared digit by digit.
fn pieces(text: &str) -> impl Iterator<Item = (u8, usize, &[u8])> {
    let mut rest = text.as_bytes();
    let mut is_fraction = false;
    std::iter::from_fn(move || {
        let n_digits = rest.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(rest.len());
        let (piece, behind) = rest.split_at_checked(n_digits.max(1))?;
        rest = behind;
        if n_digits == 0 {
            return piece.first().map(|byte| (*byte, 0, [].as_slice()));
        }
        if std::mem::take(&mut is_fraction) {
            return Some((b'0', 0, piece));
        }
        let n_zeros = piece.iter().position(|digit| *digit != b'0').unwrap_or(n_digits);
        let number = piece.get(n_zeros..).unwrap_or_default();
        is_fraction = number.is_empty() && rest.first() == Some(&b'.');
        Some((b'0', number.len(), number))
    })
}

#[cfg(feature = "serde")]
impl<'de> Deserialize<'de> for Tag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self::from(&*text))
    }
}

#[cfg(feature = "serde")]
impl<'de> Deserialize<'de> for RunName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self::from(&*text))
    }
}

impl From<WallTime> for f64 {
    fn from(time: WallTime) -> Self {
        time.0
    }
}

impl From<f64> for WallTime {
    fn from(seconds: f64) -> Self {
        Self(seconds)
    }
}

/// A float as the number that its bits are: JSON has no NaN and no infinity.
#[cfg(feature = "serde")]
pub(crate) mod bits {
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<T: Into<f64> + Copy, S: Serializer>(
        value: &T,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64((*value).into().to_bits())
    }

    pub(crate) fn deserialize<'de, T: From<f64>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<T, D::Error> {
        u64::deserialize(deserializer).map(|bits| T::from(f64::from_bits(bits)))
    }
}

impl Tag {
    /// Whether this is the tag `text`.
    #[inline(always)]
    #[must_use]
    pub fn is(&self, text: &str) -> bool {
        is_same(self.0.as_bytes(), text.as_bytes())
    }
}

/// Whether two short strings are the same. A call of the C library's comparison takes longer than what is
/// left to do of a record whose tag is known.
#[inline(always)]
pub(crate) fn is_same(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    match (a.last_chunk::<8>(), b.last_chunk::<8>()) {
        // Words from the start; the last ones, which end with the strings, may overlap those before.
        (Some(last_a), Some(last_b)) => {
            let words = a.as_chunks::<8>().0.iter().zip(b.as_chunks::<8>().0);
            words.chain([(last_a, last_b)]).all(|(a, b)| u64::from_ne_bytes(*a) == u64::from_ne_bytes(*b))
        }
        _ => match (a.last_chunk::<4>(), b.last_chunk::<4>()) {
            (Some(last_a), Some(last_b)) => last_a == last_b && a.first_chunk::<4>() == b.first_chunk::<4>(),
            _ => a.iter().zip(b).all(|(a, b)| a == b),
        },
    }
}

impl RunName {
    /// The run of the root directory itself.
    #[must_use]
    pub fn root() -> Self {
        Self::from(".")
    }
}

/// A scalar exactly as its writer stored it, with its type.
///
/// The number that it stands for is the same wherever it is written, stored or compared
/// ([`MetricValue::as_f64`]): texts and tables, the store, rules and results alike.
#[derive(Debug, Clone, Copy)]
pub enum MetricValue {
    /// `simple_value`, or a tensor of float32, float16 or bfloat16 (both widen without loss).
    F32(f32),
    /// A tensor of float64.
    F64(f64),
    /// A tensor of a signed integer type or of booleans.
    I64(i64),
    /// A tensor of an unsigned integer type.
    U64(u64),
}

impl MetricValue {
    /// The number that the value stands for, as a 64-bit float.
    ///
    /// A whole `f32` is that number, to the last digit: 2147483648 is not the 2147483600 that would be enough to tell
    /// it from other floats. Any other `f32` is the shortest decimal that reads back as it, for that is what was meant: 0.1,
    /// and not 0.10000000149011612. Either becomes the same `f32` again where it is narrowed, and of two the larger gives the
    /// larger number. An `f64` is itself; integers beyond 2^53 round. NaN and infinities stay what they are.
    #[must_use]
    pub fn as_f64(self) -> f64 {
        match self {
            Self::F32(v) if has_fraction(v) => {
                let mut buffer = zmij::Buffer::new();
                let text = buffer.format_finite(v);
                from_plain(text).or_else(|| text.parse().ok()).unwrap_or(f64::from(v))
            }
            Self::F32(v) => f64::from(v),
            Self::F64(v) => v,
            Self::I64(v) => v as f64,
            Self::U64(v) => v as f64,
        }
    }

    /// Nearly the number, to draw it: an `f32` as it is stored, within half a unit in its last place. It costs nothing,
    /// and is never written.
    #[must_use]
    pub fn widen(self) -> f64 {
        if let Self::F32(v) = self { v.into() } else { self.as_f64() }
    }

    /// How the numbers compare, integers to the last digit; `None` where one is NaN.
    #[inline]
    #[must_use]
    pub fn compare(self, other: Self) -> Option<Ordering> {
        match (self, other) {
            // As their numbers do, without the way through them.
            (Self::F32(a), Self::F32(b)) => a.partial_cmp(&b),
            (a, b) => match (a.as_integer(), b.as_integer()) {
                (Some(a), Some(b)) => Some(a.cmp(&b)),
                _ => a.as_f64().partial_cmp(&b.as_f64()),
            },
        }
    }

    /// The integer that a value of an integer type is.
    #[must_use]
    pub fn as_integer(self) -> Option<i128> {
        match self {
            Self::F32(_) | Self::F64(_) => None,
            Self::I64(v) => Some(v.into()),
            Self::U64(v) => Some(v.into()),
        }
    }

    /// Whether the value is neither NaN nor an infinity.
    #[inline]
    #[must_use]
    pub fn is_finite(self) -> bool {
        match self {
            Self::F32(v) => v.is_finite(),
            Self::F64(v) => v.is_finite(),
            Self::I64(_) | Self::U64(_) => true,
        }
    }
}

/// Equal when type and bits are equal: NaN equals itself, and 0.0 differs from -0.0.
impl PartialEq for MetricValue {
    fn eq(&self, other: &Self) -> bool {
        match (*self, *other) {
            (Self::F32(a), Self::F32(b)) => a.to_bits() == b.to_bits(),
            (Self::F64(a), Self::F64(b)) => a.to_bits() == b.to_bits(),
            (Self::I64(a), Self::I64(b)) => a == b,
            (Self::U64(a), Self::U64(b)) => a == b,
            (Self::F32(_) | Self::F64(_) | Self::I64(_) | Self::U64(_), _) => false,
        }
    }
}

/// The shortest text that reads back to the same number ([`MetricValue::as_f64`]), integers whole; `NaN`, `inf`, `-inf`.
impl fmt::Display for MetricValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            // The digits of its number. Where two decimals are equally near, another formatter may take the other one.
            Self::F32(v) if has_fraction(v) && v.abs() > 1e-5 => {
                f.write_str(zmij::Buffer::new().format_finite(v))
            }
            Self::F32(_) => Self::F64(self.as_f64()).fmt(f),
            Self::F64(v) if is_unwieldy(v) => write!(f, "{v:e}"),
            Self::F64(v) => write!(f, "{v}"),
            Self::I64(v) => write!(f, "{v}"),
            Self::U64(v) => write!(f, "{v}"),
        }
    }
}

/// As a JSON number where JSON has one; otherwise the strings of proto3's JSON mapping (`"NaN"`,
/// `"Infinity"`, `"-Infinity"`).
#[cfg(feature = "serde")]
impl Serialize for MetricValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match *self {
            Self::F32(_) => json_number(self.as_f64(), serializer),
            Self::F64(v) => json_number(v, serializer),
            Self::I64(v) => serializer.serialize_i64(v),
            Self::U64(v) => serializer.serialize_u64(v),
        }
    }
}

/// Serializes a float as [`MetricValue`] does, for `#[cfg_attr(feature = "serde", serde(serialize_with))]`.
///
/// # Errors
/// Errors of the serializer.
#[cfg(feature = "serde")]
pub fn serialize_f64<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    json_number(*value, serializer)
}

#[cfg(feature = "serde")]
fn json_number<S: Serializer>(value: f64, serializer: S) -> Result<S::Ok, S::Error> {
    if value.is_finite() {
        serializer.serialize_f64(value)
    } else if value.is_nan() {
        serializer.serialize_str("NaN")
    } else if value > 0.0 {
        serializer.serialize_str("Infinity")
    } else {
        serializer.serialize_str("-Infinity")
    }
}

/// The shortest text that reads back to the same number, whole numbers without `.0`, and an
/// exponent where plain digits would run long: how a trainer's argument spells a number.
#[must_use]
pub fn shortest(value: f64) -> String {
    MetricValue::F64(value).to_string()
}

/// Whether plain decimal digits would run to more than about 17 places.
fn is_unwieldy(value: f64) -> bool {
    value.is_finite() && value != 0.0 && !(1e-5..1e16).contains(&value.abs())
}

/// The number that a plain decimal of few digits is; `None` for another text. It takes a third of the time that the standard
/// library takes, which must know all texts.
fn from_plain(text: &str) -> Option<f64> {
    let (is_negative, digits) = text.strip_prefix('-').map_or((false, text), |digits| (true, digits));
    let (whole, fraction) = digits.split_once('.')?;
    // 10^15 is below 2^53, so that the digits as well as the power of ten are floats, and their quotient is the nearest one.
    let power = POWERS_OF_TEN.get(fraction.len()).filter(|_| digits.len() <= 16)?;
    let digit = |number: u64, byte: u8| byte.is_ascii_digit().then(|| number * 10 + u64::from(byte - b'0'));
    let number = whole.bytes().chain(fraction.bytes()).try_fold(0, digit)? as f64 / power;
    Some(if is_negative { -number } else { number })
}

const POWERS_OF_TEN: [f64; 16] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];

/// Whether it is a finite number that is not whole.
#[must_use]
pub fn has_fraction(value: f32) -> bool {
    value.is_finite() && value.fract() != 0.0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_in_the_order_in_which_people_count() {
        let sorted = [
            "",
            ".",
            "lr_0",
            "lr_0.001/layers_2",
            "lr_0.001/layers_10",
            "lr_0.01",
            "lr_0.25",
            "lr_0.5",
            "lr_1",
            "run",
            "run/2/train",
            "run/10",
            "run1",
            "trial_02",
            "trial_2",
            "trial_10",
            "trial_99999999999999999999998",
            "trial_99999999999999999999999",
            "v1.9",
            "v1.10",
            "é2",
            "é10",
        ];
        let mut names: Vec<&str> = sorted.iter().copied().rev().collect();
        names.sort_by(|a, b| natural_order(a, b));
        assert_eq!(names, sorted);
    }

    proptest! {
        /// It is a total order that agrees with equality, whatever the names hold.
        #[test]
        fn the_order_of_names_is_total(names in proptest::collection::vec("[a0-2.é/]{0,6}", 3)) {
            let [a, b, c] = [&names[0], &names[1], &names[2]];
            prop_assert_eq!(natural_order(a, b), natural_order(b, a).reverse());
            prop_assert_eq!(natural_order(a, b).is_eq(), a == b);
            if natural_order(a, b).is_le() && natural_order(b, c).is_le() {
                prop_assert!(natural_order(a, c).is_le());
            }
        }
    }

    #[test]
    fn a_value_prints_as_the_shortest_text_that_reads_back() {
        #[track_caller]
        fn check(value: MetricValue, expected: &str) {
            assert_eq!(value.to_string(), expected);
        }
        check(MetricValue::F32(0.1), "0.1");
        check(MetricValue::F64(1.0 / 3.0), "0.3333333333333333");
        check(MetricValue::F64(128.0), "128");
        check(MetricValue::F64(1e-7), "1e-7");
        check(MetricValue::F64(1e300), "1e300");
        check(MetricValue::F32(f32::MIN_POSITIVE), "1.1754944e-38");
        check(MetricValue::I64(i64::MIN), "-9223372036854775808");
        check(MetricValue::U64(u64::MAX), "18446744073709551615");
        check(MetricValue::F32(f32::NAN), "NaN");
        check(MetricValue::F32(f32::NEG_INFINITY), "-inf");
    }

    #[cfg(feature = "serde")]
    #[test]
    fn json_stays_valid_for_every_value() {
        #[track_caller]
        fn check(value: MetricValue, expected: &str) {
            assert_eq!(serde_json::to_string(&value).expect("it serializes"), expected);
        }
        check(MetricValue::F32(0.1), "0.1");
        check(MetricValue::F64(f64::NAN), "\"NaN\"");
        check(MetricValue::F32(f32::INFINITY), "\"Infinity\"");
        check(MetricValue::F64(f64::NEG_INFINITY), "\"-Infinity\"");
    }

    #[test]
    fn a_float32_is_the_whole_number_that_it_is_or_the_decimal_that_was_meant() {
        #[track_caller]
        fn check(value: f32, number: f64, text: &str) {
            let value = MetricValue::F32(value);
            assert_eq!((value.as_f64(), &*value.to_string()), (number, text));
            #[cfg(feature = "serde")]
            assert_eq!(serde_json::to_value(value).expect("it serializes"), number);
        }
        check(0.1, 0.1, "0.1");
        check(-1e-5, -1e-5, "-0.00001");
        check(9e-6, 9e-6, "9e-6");
        check(16_777_216.0, 16_777_216.0, "16777216");
        check(123_456_789.0, 123_456_792.0, "123456792");
        check(1_597_463_007.0, 1_597_463_040.0, "1597463040");
        check(-2_147_483_648.0, -2_147_483_648.0, "-2147483648");
        check(2_414_953.2, 2_414_953.2, "2414953.2");
        check(1e20, 100_000_002_004_087_734_272.0, "1.0000000200408773e20");
        check(f32::MAX, f64::from(f32::MAX), "3.4028234663852886e38");
        assert!(MetricValue::F32(f32::NAN).as_f64().is_nan());
        assert_eq!(MetricValue::F32(-0.0).to_string(), "-0");
    }

    #[test]
    fn values_compare_as_their_numbers_do() {
        #[track_caller]
        fn check(a: MetricValue, b: MetricValue, expected: Option<Ordering>) {
            assert_eq!(a.compare(b), expected);
            assert_eq!(b.compare(a), expected.map(Ordering::reverse));
        }
        use MetricValue::{F32, F64, I64, U64};
        check(F32(0.1), F64(0.1), Some(Ordering::Equal));
        check(F32(0.1), F32(0.2), Some(Ordering::Less));
        check(F32(2_147_483_648.0), I64(2_147_483_620), Some(Ordering::Greater));
        check(I64(i64::MAX), U64(i64::MAX.unsigned_abs() + 1), Some(Ordering::Less));
        check(F64(f64::NAN), I64(1), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn a_plain_decimal_is_the_number_that_the_standard_library_reads(
            bits: u32,
            number in -20_000_000_i64..20_000_000,
            shift in 0..16,
        ) {
            for text in [f32::from_bits(bits).to_string(), (number as f64 / 10_f64.powi(shift)).to_string()] {
                if let Some(number) = from_plain(&text) {
                    prop_assert_eq!(Ok(number.to_bits()), text.parse().map(f64::to_bits), "{}", text);
                }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(5000))]

        /// Whatever of a float32 is kept, all else follows from it.
        #[test]
        fn the_number_of_a_float32_has_its_text_its_order_and_its_bits(a: u32, b: u32) {
            let (a, b) = (f32::from_bits(a), f32::from_bits(b));
            let number = MetricValue::F32(a).as_f64();
            prop_assert_eq!(MetricValue::F32(a).to_string(), shortest(number));
            prop_assert!(a.is_nan() && number.is_nan() || (number as f32).to_bits() == a.to_bits());
            prop_assert_eq!(number.partial_cmp(&MetricValue::F32(b).as_f64()), a.partial_cmp(&b));
        }
    }
}
