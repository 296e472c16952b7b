//! Stands in for the reading of lines without the feature `hypertune`: none says anything.

use std::borrow::Cow;

use super::Parsed;

pub(super) fn is_json(_line: &[u8]) -> bool {
    false
}

pub(super) fn wrapped(line: &[u8]) -> Vec<u8> {
    line.to_vec()
}

pub(super) fn unwrapped(line: &[u8]) -> Cow<'_, [u8]> {
    Cow::Borrowed(line)
}

pub(super) fn parse(_line: &[u8]) -> Parsed {
    Parsed { n_unreadable: 1, ..Parsed::default() }
}
