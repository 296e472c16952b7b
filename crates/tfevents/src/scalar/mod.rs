//! What counts as a scalar, and what else stands under a tag.

mod hparams;
mod metadata;
mod parts;
mod placeholder;
mod scan;
mod single;
mod tensor;
mod wire;

use std::fmt;

#[cfg(feature = "serde")]
use serde::{Deserialize, Serialize};

use crate::proto::TensorProto;
use crate::proto::summary::{self, value};
use crate::units::MetricValue;

pub use hparams::{HPARAMS_TAG, HparamValue, RunHparams, encode_hparams};
pub use metadata::Metadata;
pub use parts::{PartEvent, PartFault, PartScan};
pub use placeholder::is_placeholder;
pub use scan::{Scanned, ScannedWhat, scan};
pub(crate) use single::Heading;
pub use single::{SingleFloat, SingleFloats};

/// One value of an event.
#[derive(Debug, Clone, PartialEq)]
pub struct Value<'a> {
    /// The tag that it stands under.
    pub tag: &'a str,
    /// What it is.
    pub content: Content,
    /// What the writer says of the tag.
    pub metadata: Metadata<'a>,
}

/// What stands under a tag at one step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Content {
    /// One number: `simple_value`, or a tensor with one element of a numeric type.
    Scalar(MetricValue),
    /// Anything else; never read as a number.
    Other(Kind),
}

/// What a tag holds, as far as its values tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
pub enum Kind {
    /// Single numbers.
    Scalar,
    /// A histogram, of the first or the second summary API.
    Histogram,
    /// One image or several.
    Image,
    /// Sound.
    Audio,
    /// Text.
    Text,
    /// A record of the hyperparameters plugin.
    Hparams,
    /// A graph, kept as a summary by newer writers.
    Graph,
    /// A tensor that is none of the above, of several elements or of none.
    Tensor,
    /// One complex number.
    Complex,
    /// A tensor of one element that should be a number and cannot be read: of a type that is not known, or without one
    /// value of its type.
    Unread,
    /// A value with nothing in it that is known here.
    Unknown,
}

impl Kind {
    /// A word for it, stable for JSON output.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::Histogram => "histogram",
            Self::Image => "image",
            Self::Audio => "audio",
            Self::Text => "text",
            Self::Hparams => "hparams",
            Self::Graph => "graph",
            Self::Tensor => "tensor",
            Self::Complex => "complex",
            Self::Unread => "unread",
            Self::Unknown => "unknown",
        }
    }

    /// The kind that a summary plugin's name stands for, where it is one of TensorBoard's own.
    fn of_plugin(name: &str) -> Option<Self> {
        match name {
            "histograms" => Some(Self::Histogram),
            "images" => Some(Self::Image),
            "audio" => Some(Self::Audio),
            "text" => Some(Self::Text),
            "hparams" => Some(Self::Hparams),
            "graphs" | "graph_keras_model" | "graph_run_metadata" | "graph_run_metadata_graph" => {
                Some(Self::Graph)
            }
            _ => None,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Reads what one summary value holds.
///
/// The number decides, not the metadata: a writer may leave the metadata out after a tag's first
/// value, or altogether.
#[cfg(test)]
pub(crate) fn content(value: &summary::Value) -> Content {
    let metadata = metadata::reencoded(value.metadata.as_ref());
    content_with(value, Metadata::checked(&metadata).unwrap_or_default())
}

/// The values of a fully decoded event, one after the other.
pub(crate) fn for_each(values: &[summary::Value], sink: &mut dyn FnMut(Value<'_>)) {
    for value in values {
        let metadata = metadata::reencoded(value.metadata.as_ref());
        let metadata = Metadata::checked(&metadata).unwrap_or_default();
        sink(Value { tag: &value.tag, content: content_with(value, metadata), metadata });
    }
}

fn content_with(value: &summary::Value, metadata: Metadata<'_>) -> Content {
    match &value.value {
        Some(value::Value::SimpleValue(v)) => Content::Scalar(MetricValue::F32(*v)),
        Some(value::Value::Tensor(tensor)) => tensor_content(metadata, tensor),
        Some(value::Value::Histo(_) | value::Value::ObsoleteOldStyleHistogram(_)) => {
            Content::Other(Kind::Histogram)
        }
        Some(value::Value::Image(_)) => Content::Other(Kind::Image),
        Some(value::Value::Audio(_)) => Content::Other(Kind::Audio),
        None => Content::Other(metadata.kind().unwrap_or(Kind::Unknown)),
    }
}

/// Reads what a tensor holds, with the metadata beside it.
fn tensor_content(metadata: Metadata<'_>, tensor: &TensorProto) -> Content {
    match (metadata.kind(), tensor::scalar(tensor)) {
        (None, Ok(v)) => Content::Scalar(v),
        (Some(kind), _) => Content::Other(kind),
        // Another plugin's tensor may stand for anything.
        (None, Err(Kind::Unread)) if !["", "scalars", "tensor"].contains(&metadata.plugin()) => {
            Content::Other(Kind::Tensor)
        }
        (None, Err(kind)) => Content::Other(kind),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto;

    #[test]
    fn a_histogram_or_an_image_is_never_a_number() {
        #[track_caller]
        fn check(value: value::Value, expected: Kind) {
            let value = summary::Value { tag: "t".into(), metadata: None, value: Some(value) };
            assert_eq!(content(&value), Content::Other(expected));
        }
        check(value::Value::Histo(vec![1]), Kind::Histogram);
        check(value::Value::Image(vec![1]), Kind::Image);
        check(value::Value::Audio(vec![1]), Kind::Audio);
        check(value::Value::Tensor(proto::TensorProto::default()), Kind::Unread);
    }

    #[test]
    fn the_plugin_says_what_a_tensor_is() {
        let tensor = proto::TensorProto { dtype: 7, ..Default::default() };
        let plugin_data =
            Some(proto::summary_metadata::PluginData { plugin_name: "hparams".into(), content: Vec::new() });
        let value = summary::Value {
            tag: "_hparams_/session_start_info".into(),
            metadata: Some(proto::SummaryMetadata { plugin_data }),
            value: Some(value::Value::Tensor(tensor)),
        };
        assert_eq!(content(&value), Content::Other(Kind::Hparams));
    }
}
