//! Something for each tag of an event file, found fast.

use std::collections::HashMap;

use super::{Point, Points};
use crate::limits::{MAX_TAGS, MAX_TAGS_BYTES};
use crate::units::Tag;

/// The points of the tags of one event file.
pub type Recording = ByTag<Points>;

/// A `T` for each tag, in the order in which the tags came: the first [`MAX_TAGS`] of them, and of these no
/// more than are [`MAX_TAGS_BYTES`] long together.
///
/// Writers go through their tags in turn, so that the tag that comes next is as a rule known beforehand.
#[derive(Debug)]
pub struct ByTag<T> {
    entries: Vec<(Tag, T)>,
    index: HashMap<Tag, usize>,
    /// The tag of the last look-up.
    last: usize,
    /// For each tag, the one that was looked up after it last.
    follower: Vec<usize>,
    n_left_out: u64,
    /// How long the tags are together.
    n_bytes: usize,
}

impl<T> Default for ByTag<T> {
    fn default() -> Self {
        Self {
            entries: Vec::new(),
            index: HashMap::new(),
            last: 0,
            follower: Vec::new(),
            n_left_out: 0,
            n_bytes: 0,
        }
    }
}

impl<T> ByTag<T> {
    /// The entry of `tag`, made by `make` where there is none; `None`, which is counted, where there are
    /// too many.
    #[inline]
    pub fn entry(&mut self, tag: &str, make: impl FnOnce() -> T) -> Option<&mut T> {
        let guess = self.follower.get(self.last).copied().unwrap_or(0);
        let is_right = self.entries.get(guess).is_some_and(|(known, _)| known.is(tag));
        let at = if is_right { guess } else { self.look_up(tag, make)? };
        self.last = at;
        self.entries.get_mut(at).map(|(_, entry)| entry)
    }

    #[inline(never)]
    fn look_up(&mut self, tag: &str, make: impl FnOnce() -> T) -> Option<usize> {
        let at = match self.index.get(tag) {
            Some(at) => *at,
            None if self.entries.len() >= MAX_TAGS || self.n_bytes + tag.len() > MAX_TAGS_BYTES => {
                self.n_left_out += 1;
                return None;
            }
            None => {
                let (name, at) = (Tag::from(tag), self.entries.len());
                self.n_bytes += tag.len();
                self.entries.push((name.clone(), make()));
                self.index.insert(name, at);
                self.follower.push(at);
                at
            }
        };
        if let Some(follower) = self.follower.get_mut(self.last) {
            *follower = at;
        }
        Some(at)
    }

    /// The entry of `tag`, where there is one.
    #[must_use]
    pub fn get(&self, tag: &str) -> Option<&T> {
        let at = self.index.get(tag)?;
        self.entries.get(*at).map(|(_, entry)| entry)
    }

    /// The tags in the order in which they came.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&Tag, &T)> {
        self.entries.iter().map(|(tag, entry)| (tag, entry))
    }

    /// The same, owned.
    pub fn into_entries(self) -> impl ExactSizeIterator<Item = (Tag, T)> {
        self.entries.into_iter()
    }

    /// How many look-ups of further tags were in vain.
    #[must_use]
    pub fn n_left_out(&self) -> u64 {
        self.n_left_out
    }
}

impl Recording {
    /// Adds a point of `tag`. False where there are too many tags.
    #[inline]
    pub fn add(&mut self, tag: &str, point: Point) -> bool {
        let points = self.entry(tag, Points::default);
        points.map(|points| points.push(point)).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::{MetricValue, Step, WallTime};

    #[test]
    fn points_of_interleaved_tags_come_back_as_they_were_written() {
        let mut recording = Recording::default();
        let point = |step: i64, value| Point { step: Step(step), wall_time: WallTime(0.5), value };
        let mut written: HashMap<&str, Vec<Point>> = HashMap::new();
        for step in 0..100 {
            for tag in ["loss", "acc", "lr"].iter().take(1 + step as usize % 3) {
                let value = if step == 50 { MetricValue::I64(step) } else { MetricValue::F32(step as f32) };
                assert!(recording.add(tag, point(step, value)));
                written.entry(tag).or_default().push(point(step, value));
            }
        }
        let tags: Vec<&str> = recording.iter().map(|(tag, _)| tag.as_str()).collect();
        assert_eq!(tags, ["loss", "acc", "lr"]);
        for (tag, points) in recording.iter() {
            assert_eq!(points.iter().collect::<Vec<_>>(), written[tag.as_str()]);
            assert_eq!(points.len(), written[tag.as_str()].len());
        }
    }

    #[test]
    fn tags_beyond_the_cap_are_counted() {
        let mut counts = ByTag::<u32>::default();
        for i in 0..MAX_TAGS + 3 {
            counts.entry(&i.to_string(), || 7);
        }
        assert_eq!((counts.iter().len(), counts.n_left_out()), (MAX_TAGS, 3));
        let mut long = ByTag::<u32>::default();
        for i in 0..3 {
            long.entry(&i.to_string().repeat(MAX_TAGS_BYTES / 2), || 7);
        }
        assert_eq!((long.iter().len(), long.n_left_out()), (2, 1));
        assert_eq!((counts.get("5"), counts.get(&MAX_TAGS.to_string())), (Some(&7), None));
    }
}
