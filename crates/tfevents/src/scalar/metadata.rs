//! What a writer says of a tag beside its values.

use prost::Message;

use super::Kind;
use super::scan::once;
use super::wire::{Field, Fields};
use crate::proto::SummaryMetadata;

/// What a writer says of a tag beside its value: an encoded `SummaryMetadata`, empty where there is
/// none. TensorFlow 2 gives it with every value, others with a tag's first value of a file only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Metadata<'a>(pub(super) &'a [u8]);

/// The metadata of a scalar for which the writer was given no name to display and no description.
const SCALARS: &[u8] = b"\x0a\x09\x0a\x07scalars";

impl<'a> Metadata<'a> {
    /// The metadata of a plain scalar; `None` where `encoded` is anything else.
    #[inline]
    pub(super) fn of_scalars(encoded: &'a [u8]) -> Option<Self> {
        (encoded == SCALARS).then_some(Self(encoded))
    }

    /// An encoded `SummaryMetadata`. `None` where it is none or out of the ordinary; what [`reencoded`]
    /// gives is ordinary.
    pub(super) fn checked(encoded: &'a [u8]) -> Option<Self> {
        scan_plugin(encoded).map(|_| Self(encoded))
    }

    /// Whether the writer says nothing.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// The name of the plugin that the tag is meant for, such as `scalars`; empty where none is named.
    #[must_use]
    pub fn plugin(self) -> &'a str {
        scan_plugin(self.0).unwrap_or_default()
    }

    /// What the plugin keeps beside the value, in its own format.
    pub(super) fn plugin_content(self) -> Vec<u8> {
        SummaryMetadata::decode(self.0).ok().and_then(|m| m.plugin_data).unwrap_or_default().content
    }

    /// The kind that the plugin stands for, where it is one of TensorBoard's own and not that of scalars.
    pub(super) fn kind(self) -> Option<Kind> {
        if self.is_empty() { None } else { Kind::of_plugin(self.plugin()) }
    }
}

/// The message in the order and the form that every writer uses, with only what is known here.
pub(super) fn reencoded(metadata: Option<&SummaryMetadata>) -> Vec<u8> {
    metadata.map(Message::encode_to_vec).unwrap_or_default()
}

/// The plugin's name in an encoded `SummaryMetadata`; `None` where the full decode is to be asked.
fn scan_plugin(encoded: &[u8]) -> Option<&str> {
    let mut fields = Fields(encoded);
    let mut plugin = None;
    while let Some(field) = fields.next()? {
        match field {
            Field::Bytes(1, data) => once(&mut plugin, scan_plugin_name(data)?)?,
            // A name and a description for display, a class of data.
            Field::Bytes(2 | 3, _) | Field::Varint(4, _) => {}
            _ => return None,
        }
    }
    Some(plugin.unwrap_or_default())
}

/// The name in an encoded `PluginData`; `None` where the full decode is to be asked.
fn scan_plugin_name(data: &[u8]) -> Option<&str> {
    let mut fields = Fields(data);
    let (mut name, mut content) = (None, None);
    while let Some(field) = fields.next()? {
        match field {
            Field::Bytes(1, bytes) => once(&mut name, std::str::from_utf8(bytes).ok()?)?,
            Field::Bytes(2, _) => once(&mut content, ())?,
            _ => return None,
        }
    }
    Some(name.unwrap_or_default())
}
