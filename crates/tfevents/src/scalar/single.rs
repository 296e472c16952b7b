//! The fastest way from a record to its value: by what the file said before.
//!
//! A trainer writes the same tags step after step. Of such events only clock, step and value differ; all
//! else is the same bytes, and is compared rather than read:
//!
//! ```text
//! 09 wall_time │ [10 step] │ lead: keys, lengths, the tag │ value: f32 │ trail: metadata, if any
//! ```

use std::collections::HashMap;

use super::Metadata;
use super::wire::Fields;
use crate::limits::MAX_EVENT_FORMS;
use crate::units::{Step, Tag, WallTime, is_same};

/// An event with one float32, in the form in which nearly every writer writes it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SingleFloat<'a> {
    /// The writer's clock.
    pub wall_time: WallTime,
    /// The step.
    pub step: Step,
    /// The tag.
    pub tag: &'a str,
    /// The value.
    pub value: f32,
    /// What the writer says of the tag.
    pub metadata: Metadata<'a>,
}

/// The tag and the metadata of a value, owned.
#[derive(Debug)]
pub(crate) struct Heading {
    tag: Tag,
    metadata: Vec<u8>,
}

impl Heading {
    /// The heading of a value.
    pub(crate) fn of(found: &SingleFloat<'_>) -> Self {
        Self { tag: Tag::from(found.tag), metadata: found.metadata.0.to_vec() }
    }

    /// Whether a value of the same tag has the same metadata.
    #[inline]
    pub(crate) fn is_of(&self, found: &SingleFloat<'_>) -> bool {
        is_same(&self.metadata, found.metadata.0)
    }

    /// The tag.
    pub(crate) fn tag(&self) -> &str {
        self.tag.as_str()
    }

    /// The metadata.
    pub(crate) fn metadata(&self) -> Metadata<'_> {
        Metadata(&self.metadata)
    }
}

/// Scans the records of one file for the most common of all events.
///
/// It remembers the forms of those that it found, [`MAX_EVENT_FORMS`] at most. What it finds does not
/// depend on that.
#[derive(Debug, Default)]
pub struct SingleFloats {
    forms: Vec<Form>,
    index: HashMap<Tag, usize>,
    /// The form of the last event.
    last: usize,
}

/// What the events of a tag have in common.
#[derive(Debug)]
struct Form {
    tag: Tag,
    lead: Vec<u8>,
    trail: Vec<u8>,
    /// The form of the event that came after one of this form last.
    follower: usize,
}

impl SingleFloats {
    /// Scans the data of a record; `None` where [`super::scan()`] is to be asked.
    ///
    /// It finds a `simple_value`, and the tensor that TensorFlow 2 and its like write in its place: a
    /// float32 without dimensions, with metadata that name the plugin `scalars` or without any.
    #[inline(always)]
    pub fn scan<'a>(&'a mut self, data: &'a [u8]) -> Option<SingleFloat<'a>> {
        let guess = self.forms.get(self.last).map_or(0, |form| form.follower);
        let read = self.forms.get(guess).and_then(|form| form.read(data));
        let Some((wall_time, step, value)) = read else { return self.scan_other(data) };
        self.last = guess;
        let Form { tag, trail, .. } = self.forms.get(guess)?;
        Some(SingleFloat { wall_time, step, tag: tag.as_str(), value, metadata: metadata_in(trail) })
    }

    /// Scans an event that is not of the form expected, and remembers its form.
    #[inline(never)]
    fn scan_other<'a>(&mut self, data: &'a [u8]) -> Option<SingleFloat<'a>> {
        let (float, lead, trail) = parse(data)?;
        let at = match self.index.get(float.tag) {
            Some(at) => *at,
            None if self.forms.len() >= MAX_EVENT_FORMS => return Some(float),
            None => {
                let (tag, at) = (Tag::from(float.tag), self.forms.len());
                self.index.insert(tag.clone(), at);
                self.forms.push(Form { tag, lead: Vec::new(), trail: Vec::new(), follower: at });
                at
            }
        };
        if let Some(form) = self.forms.get_mut(at) {
            for (known, bytes) in [(&mut form.lead, lead), (&mut form.trail, trail)] {
                known.clear();
                known.extend_from_slice(bytes);
            }
        }
        if let Some(last) = self.forms.get_mut(self.last) {
            last.follower = at;
        }
        self.last = at;
        Some(float)
    }
}

impl Form {
    /// What differs in an event of this form; `None` where it is of another. Lead and trail hold all lengths,
    /// so that what is between them lies as it did.
    #[inline(always)]
    fn read(&self, data: &[u8]) -> Option<(WallTime, Step, f32)> {
        let (wall_time, rest) = split_wall_time(data)?;
        let (rest, trail) = rest.split_at_checked(rest.len().checked_sub(self.trail.len())?)?;
        let (rest, value) = rest.split_last_chunk()?;
        let (step, lead) = rest.split_at_checked(rest.len().checked_sub(self.lead.len())?)?;
        let step = match step {
            [] => 0,
            [0x10, varint @ ..] => whole_varint(varint)?,
            _ => return None,
        };
        let is_this = is_same(lead, &self.lead) && is_same(trail, &self.trail);
        is_this.then_some((wall_time, Step(step.cast_signed()), f32::from_le_bytes(*value)))
    }
}

#[inline(always)]
fn split_wall_time(data: &[u8]) -> Option<(WallTime, &[u8])> {
    let (&[0x09], rest) = data.split_first_chunk()? else { return None };
    let (wall_time, rest) = rest.split_first_chunk()?;
    Some((WallTime(f64::from_le_bytes(*wall_time)), rest))
}

/// The number that `bytes` are, in 1 to 9 of them: longer ones are negative or beyond all steps.
#[inline(always)]
fn whole_varint(bytes: &[u8]) -> Option<u64> {
    let (last, others) = bytes.split_last()?;
    if *last >= 0x80 || others.len() > 8 {
        return None;
    }
    others.iter().rev().try_fold(u64::from(*last), |value, byte| {
        (*byte >= 0x80).then(|| value << 7 | u64::from(byte & 0x7f))
    })
}

/// The metadata in what follows a value: nothing, or a field with a length of one byte.
#[inline(always)]
fn metadata_in(trail: &[u8]) -> Metadata<'_> {
    Metadata(trail.get(2..).unwrap_or_default())
}

/// An event of the forms that [`SingleFloats::scan`] finds, with its lead and its trail.
fn parse(data: &[u8]) -> Option<(SingleFloat<'_>, &[u8], &[u8])> {
    let (wall_time, rest) = split_wall_time(data)?;
    let mut fields = Fields(rest);
    let step = if let [0x10, rest @ ..] = fields.0 {
        fields.0 = rest;
        fields.varint()?
    } else {
        0
    };
    let summary = whole_message(fields.0, 0x2a)?;
    let value = whole_message(summary, 0x0a)?;
    let [0x0a, n, value @ ..] = value else { return None };
    // A length of one byte: a tag of 128 bytes and more is rare.
    let (tag, value) = value.split_at_checked(usize::from(*n)).filter(|_| *n < 0x80)?;
    let (value, trail) = match value {
        [0x15, value @ ..] => value.split_first_chunk().filter(|(_, rest)| rest.is_empty())?,
        // A tensor of 10 bytes: dtype, tensor_shape, then tensor_content or float_val.
        [0x42, 10, 0x08, 1, 0x12, 0, 0x22 | 0x2a, 4, value @ ..] => value.split_first_chunk()?,
        _ => return None,
    };
    if !trail.is_empty() {
        Metadata::of_scalars(whole_message(trail, 0x4a)?)?;
    }
    let (lead, _) = fields.0.split_at_checked(fields.0.len() - value.len() - trail.len())?;
    let float = SingleFloat {
        wall_time,
        step: Step(step.cast_signed()),
        tag: std::str::from_utf8(tag).ok()?,
        value: f32::from_le_bytes(*value),
        metadata: metadata_in(trail),
    };
    Some((float, lead, trail))
}

/// What is in the field `key`, where nothing follows it and its length takes one byte.
fn whole_message(bytes: &[u8], key: u8) -> Option<&[u8]> {
    match bytes {
        [k, n, rest @ ..] if *k == key && *n < 0x80 && usize::from(*n) == rest.len() => Some(rest),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::event;
    use crate::scalar::scan;
    use crate::scalar::scan::tests::{any_event, check_single};

    #[test]
    fn an_event_is_found_whatever_its_step() {
        let mut floats = SingleFloats::default();
        for step in [0, 300, 7, i64::MAX, -7, 1 << 35, 0] {
            let data = event::encode_scalars(WallTime(1.5), Step(step), &[("a", 0.5)]);
            let expected = SingleFloat {
                wall_time: WallTime(1.5),
                step: Step(step),
                tag: "a",
                value: 0.5,
                metadata: Metadata::default(),
            };
            assert_eq!(floats.scan(&data), Some(expected));
        }
        let two = event::encode_scalars(WallTime(1.5), Step(0), &[("a", 0.5), ("b", 0.5)]);
        assert_eq!(floats.scan(&two), None);
    }

    #[test]
    fn a_form_that_changes_is_read_as_it_is_now() {
        let trail = |plugin: &str| {
            let name = [&[0x0a, plugin.len() as u8], plugin.as_bytes()].concat();
            [&[0x4a, name.len() as u8 + 2, 0x0a, name.len() as u8][..], &name].concat()
        };
        let with = |trail: &[u8]| {
            let tensor = [b"\x0a\x01a\x42\x0a\x08\x01\x12\x00\x22\x04\x00\x00\x00\x3f", trail].concat();
            let value = [&[0x0a, tensor.len() as u8], &tensor[..]].concat();
            [&b"\x09\x00\x00\x00\x00\x00\x00\xf8\x3f\x10\x05\x2a"[..], &[value.len() as u8], &value[..]]
                .concat()
        };
        let mut floats = SingleFloats::default();
        for (trail, plugin) in
            [(trail("scalars"), Some("scalars")), (Vec::new(), Some("")), (trail("sqalars"), None)]
        {
            for _ in 0..2 {
                let data = with(&trail);
                assert!(scan(&data).is_some());
                assert_eq!(floats.scan(&data).map(|float| float.metadata.plugin()), plugin);
            }
        }
    }

    #[test]
    fn forms_beyond_the_cap_are_read_all_the_same() {
        let mut floats = SingleFloats::default();
        for i in (0..MAX_EVENT_FORMS + 9).chain(0..MAX_EVENT_FORMS + 9) {
            let tag = i.to_string();
            let data = event::encode_scalars(WallTime(1.5), Step(1), &[(&tag, 0.5)]);
            assert_eq!(floats.scan(&data).map(|float| float.tag.to_owned()), Some(tag));
        }
        assert_eq!(floats.forms.len(), MAX_EVENT_FORMS);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        /// Some events again and again, some of them damaged: each is read as if it came alone.
        #[test]
        fn what_came_before_changes_nothing(
            events in prop::collection::vec(any_event(), 1..4),
            turns in prop::collection::vec(
                (any::<prop::sample::Index>(), prop::option::weighted(0.3, (any::<prop::sample::Index>(), any::<u8>()))),
                1..20,
            ),
        ) {
            let mut floats = SingleFloats::default();
            for (which, change) in turns {
                let mut data = which.get(&events).clone();
                if let (Some((at, byte)), false) = (change, data.is_empty()) {
                    let at = at.index(data.len());
                    data[at] = byte;
                }
                let alone = SingleFloats::default().scan(&data).map(|float| format!("{float:?}"));
                check_single(&data, floats.scan(&data));
                prop_assert_eq!(floats.scan(&data).map(|float| format!("{float:?}")), alone);
            }
        }
    }
}
