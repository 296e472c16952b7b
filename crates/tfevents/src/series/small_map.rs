//! A map in little memory: most runs have one writer and some tags, and there may be tens of thousands of runs. Some
//! have very many tags all the same.

use std::borrow::Borrow;
use std::collections::BTreeMap;

/// So many entries are searched and moved in less time than a tree takes.
const FEW: usize = 32;

/// Entries in the order of their keys.
#[derive(Debug, Clone)]
pub(crate) enum SmallMap<K, V> {
    Few(Vec<(K, V)>),
    Many(BTreeMap<K, V>),
}

impl<K, V> Default for SmallMap<K, V> {
    fn default() -> Self {
        Self::Few(Vec::new())
    }
}

fn find<K: Borrow<Q>, V, Q: Ord + ?Sized>(entries: &[(K, V)], key: &Q) -> Result<usize, usize> {
    entries.binary_search_by(|(known, _)| known.borrow().cmp(key))
}

impl<K: Ord, V> SmallMap<K, V> {
    pub(crate) fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.get_key_value(key).map(|(_, value)| value)
    }

    pub(crate) fn get_key_value<Q: Ord + ?Sized>(&self, key: &Q) -> Option<(&K, &V)>
    where
        K: Borrow<Q>,
    {
        match self {
            Self::Few(entries) => entries.get(find(entries, key).ok()?).map(|(key, value)| (key, value)),
            Self::Many(map) => map.get_key_value(key),
        }
    }

    pub(crate) fn get_mut<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        match self {
            Self::Few(entries) => {
                let at = find(entries, key).ok()?;
                entries.get_mut(at).map(|(_, value)| value)
            }
            Self::Many(map) => map.get_mut(key),
        }
    }

    /// The value of `key`, made by `make` where there is none.
    pub(crate) fn get_or_insert_with(&mut self, key: K, make: impl FnOnce() -> V) -> &mut V {
        if let Self::Few(entries) = self
            && entries.len() >= FEW
            && find(entries, &key).is_err()
        {
            *self = Self::Many(std::mem::take(entries).into_iter().collect());
        }
        match self {
            Self::Few(entries) => {
                let at = match find(entries, &key) {
                    Ok(at) => at,
                    Err(at) => {
                        if entries.is_empty() {
                            entries.reserve_exact(1);
                        }
                        entries.insert(at, (key, make()));
                        at
                    }
                };
                &mut entries.get_mut(at).expect("it was found or inserted there").1
            }
            Self::Many(map) => map.entry(key).or_insert_with(make),
        }
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Few(entries) => entries.len(),
            Self::Many(map) => map.len(),
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        let (few, many) = match self {
            Self::Few(entries) => (Some(entries.iter().map(|(key, value)| (key, value))), None),
            Self::Many(map) => (None, Some(map.iter())),
        };
        few.into_iter().flatten().chain(many.into_iter().flatten())
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (&K, &mut V)> {
        let (few, many) = match self {
            Self::Few(entries) => (Some(entries.iter_mut().map(|(key, value)| (&*key, value))), None),
            Self::Many(map) => (None, Some(map.iter_mut())),
        };
        few.into_iter().flatten().chain(many.into_iter().flatten())
    }

    #[cfg(feature = "serde")]
    pub(crate) fn into_entries(self) -> impl Iterator<Item = (K, V)> {
        let (few, many) = match self {
            Self::Few(entries) => (Some(entries), None),
            Self::Many(map) => (None, Some(map)),
        };
        few.into_iter().flatten().chain(many.into_iter().flatten())
    }
}

impl<K: Ord, V> FromIterator<(K, V)> for SmallMap<K, V> {
    /// Of entries with one key the last is kept.
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let map: BTreeMap<K, V> = entries.into_iter().collect();
        if map.len() > FEW {
            return Self::Many(map);
        }
        let mut few: Vec<(K, V)> = map.into_iter().collect();
        few.shrink_to_fit();
        Self::Few(few)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_a_map(entries in prop::collection::vec((any::<u8>(), any::<u8>()), 0..200)) {
            let model: BTreeMap<u8, u8> = entries.iter().copied().collect();
            let mut map = SmallMap::default();
            for (key, value) in &entries {
                *map.get_or_insert_with(*key, || 0) = *value;
            }
            let all = |map: &SmallMap<u8, u8>| map.iter().map(|(k, v)| (*k, *v)).collect::<Vec<_>>();
            let expected: Vec<(u8, u8)> = model.iter().map(|(k, v)| (*k, *v)).collect();
            prop_assert_eq!(all(&map), &*expected);
            prop_assert_eq!(all(&entries.into_iter().collect()), expected);
            for key in 0..=u8::MAX {
                prop_assert_eq!(map.get(&key), model.get(&key));
            }
        }
    }
}
