//! Every point of some tags, in the order in which it was written, in as little memory as it takes.

use std::collections::HashMap;

use super::{Point, Points};
use crate::units::Tag;

/// The points of the tags of one event file.
#[derive(Debug, Default)]
pub struct Recording {
    tags: Vec<(Tag, Points)>,
    index: HashMap<Tag, usize>,
    /// The tag of the last point.
    last: usize,
    /// For each tag, the one that followed it last: writers go through their tags in turn.
    follower: Vec<usize>,
}

impl Recording {
    /// Adds a point of `tag`.
    #[inline]
    pub fn add(&mut self, tag: &str, point: Point) {
        let guess = self.follower.get(self.last).copied().unwrap_or(0);
        match self.tags.get_mut(guess) {
            Some((known, points)) if known.as_str() == tag => {
                points.push(point);
                self.last = guess;
            }
            _ => self.add_elsewhere(tag, point),
        }
    }

    #[inline(never)]
    fn add_elsewhere(&mut self, tag: &str, point: Point) {
        let at = match self.index.get(tag) {
            Some(at) => *at,
            None => {
                let (name, at) = (Tag::from(tag), self.tags.len());
                self.tags.push((name.clone(), Points::default()));
                self.index.insert(name, at);
                self.follower.push(at);
                at
            }
        };
        if let Some((_, points)) = self.tags.get_mut(at) {
            points.push(point);
        }
        if let Some(follower) = self.follower.get_mut(self.last) {
            *follower = at;
        }
        self.last = at;
    }

    /// The tags in the order in which they came, each with its points.
    pub fn tags(&self) -> impl Iterator<Item = (&Tag, &Points)> {
        self.tags.iter().map(|(tag, points)| (tag, points))
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
                recording.add(tag, point(step, value));
                written.entry(tag).or_default().push(point(step, value));
            }
        }
        let tags: Vec<&str> = recording.tags().map(|(tag, _)| tag.as_str()).collect();
        assert_eq!(tags, ["loss", "acc", "lr"]);
        for (tag, points) in recording.tags() {
            assert_eq!(points.iter().collect::<Vec<_>>(), written[tag.as_str()]);
            assert_eq!(points.len(), written[tag.as_str()].len());
        }
    }
}
