//! Tags that came before, so that their bytes need not be checked to be text again.

use crate::limits::MAX_NAMES_CACHED;

/// Remembers the first tags of a file and in which order they come: writers go through them in turn.
#[derive(Debug, Default)]
pub struct NameCache {
    names: Vec<Name>,
    last: usize,
}

#[derive(Debug)]
struct Name {
    text: Box<str>,
    /// Which one came after it last.
    follower: usize,
}

impl NameCache {
    /// The text of a tag's bytes; `None` where they are no UTF-8.
    #[inline]
    pub fn text<'a>(&'a mut self, bytes: &'a [u8]) -> Option<&'a str> {
        let guess = self.names.get(self.last).map_or(0, |name| name.follower);
        if self.names.get(guess).is_some_and(|name| name.text.as_bytes() == bytes) {
            self.last = guess;
            return self.names.get(guess).map(|name| &*name.text);
        }
        self.text_elsewhere(bytes)
    }

    #[inline(never)]
    fn text_elsewhere<'a>(&mut self, bytes: &'a [u8]) -> Option<&'a str> {
        let text = std::str::from_utf8(bytes).ok()?;
        let known = self.names.iter().position(|name| &*name.text == text);
        let at = match known {
            Some(at) => at,
            None if self.names.len() < MAX_NAMES_CACHED => {
                self.names.push(Name { text: text.into(), follower: 0 });
                self.names.len() - 1
            }
            None => return Some(text),
        };
        if let Some(last) = self.names.get_mut(self.last) {
            last.follower = at;
        }
        self.last = at;
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tag_is_given_back_whether_known_or_not() {
        let mut names = NameCache::default();
        for round in 0..3 {
            for i in 0..2 * MAX_NAMES_CACHED {
                let tag = format!("tag{}", i * (round + 1) % 97);
                assert_eq!(names.text(tag.as_bytes()), Some(&*tag));
            }
            assert_eq!(names.text(&[0xff]), None);
        }
        assert!(names.names.len() <= MAX_NAMES_CACHED);
    }
}
