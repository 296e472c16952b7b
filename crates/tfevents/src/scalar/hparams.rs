//! The hyperparameters that a run was started with, as TensorBoard's plugin keeps them.

use std::collections::BTreeMap;

use prost::Message;

use super::Metadata;
use crate::limits::{MAX_HPARAMS, MAX_HPARAMS_BYTES};
use crate::proto::hparams::h_params_plugin_data::Data;
use crate::proto::hparams::{HParamsPluginData, SessionStartInfo, Value, value::Kind};
use crate::proto::{Event, Summary, SummaryMetadata, event, summary, summary_metadata};
use crate::units::WallTime;

/// The tag under which a run's hyperparameters stand.
pub const HPARAMS_TAG: &str = "_hparams_/session_start_info";

/// The plugin that reads them.
const PLUGIN: &str = "hparams";

/// The value of one hyperparameter.
#[derive(Debug, Clone, PartialEq)]
pub enum HparamValue {
    /// True or false.
    Bool(bool),
    /// A number, which the format keeps as a 64-bit float.
    Number(f64),
    /// A text.
    Text(String),
}

/// The hyperparameters of one run, gathered from its files: the first [`MAX_HPARAMS`], and of these no more
/// than are [`MAX_HPARAMS_BYTES`] long together.
#[derive(Debug, Clone, Default)]
pub struct RunHparams {
    hparams: BTreeMap<String, HparamValue>,
    n_bytes: usize,
    n_left_out: u64,
}

impl RunHparams {
    /// Takes further ones; one whose name is known takes its place.
    pub fn add(&mut self, more: BTreeMap<String, HparamValue>) {
        let length = |value: &HparamValue| if let HparamValue::Text(text) = value { text.len() } else { 0 };
        for (name, value) in more {
            let known = self.hparams.get(&name);
            let freed = known.map_or(0, |known| name.len() + length(known));
            let n_bytes = self.n_bytes - freed + name.len() + length(&value);
            let has_room = known.is_some() || self.hparams.len() < MAX_HPARAMS;
            if has_room && n_bytes <= MAX_HPARAMS_BYTES {
                self.n_bytes = n_bytes;
                self.hparams.insert(name, value);
            } else {
                self.n_left_out += 1;
            }
        }
    }

    /// Takes those of another file of the run.
    pub fn join(&mut self, other: Self) {
        self.n_left_out += other.n_left_out;
        self.add(other.hparams);
    }

    /// Each by its name.
    #[must_use]
    pub fn by_name(&self) -> &BTreeMap<String, HparamValue> {
        &self.hparams
    }

    /// How many were left out.
    #[must_use]
    pub fn n_left_out(&self) -> u64 {
        self.n_left_out
    }
}

impl Metadata<'_> {
    /// The hyperparameters that the run was started with; `None` unless this is the metadata of
    /// [`HPARAMS_TAG`]. One without a value is left out.
    #[must_use]
    pub fn hparams(self) -> Option<BTreeMap<String, HparamValue>> {
        if self.plugin() != PLUGIN {
            return None;
        }
        let Data::SessionStartInfo(info) = HParamsPluginData::decode(&*self.plugin_content()).ok()?.data?;
        let known = info.hparams.into_iter().filter_map(|(name, value)| {
            let value = match value.kind? {
                Kind::BoolValue(v) => HparamValue::Bool(v),
                Kind::NumberValue(v) => HparamValue::Number(v),
                Kind::StringValue(v) => HparamValue::Text(v),
            };
            Some((name, value))
        });
        Some(known.collect())
    }
}

/// Encodes the event that says which hyperparameters a run was started with.
#[must_use]
pub fn encode_hparams(wall_time: WallTime, hparams: &BTreeMap<String, HparamValue>) -> Vec<u8> {
    let wire = |value: &HparamValue| Value {
        kind: Some(match value {
            HparamValue::Bool(v) => Kind::BoolValue(*v),
            HparamValue::Number(v) => Kind::NumberValue(*v),
            HparamValue::Text(v) => Kind::StringValue(v.clone()),
        }),
    };
    let hparams = hparams.iter().map(|(name, value)| (name.clone(), wire(value))).collect();
    let data = Some(Data::SessionStartInfo(SessionStartInfo { hparams }));
    let content = HParamsPluginData { version: 0, data }.encode_to_vec();
    let plugin_data = Some(summary_metadata::PluginData { plugin_name: PLUGIN.into(), content });
    let value = summary::Value {
        tag: HPARAMS_TAG.into(),
        metadata: Some(SummaryMetadata { plugin_data }),
        value: None,
    };
    let what = Some(event::What::Summary(Summary { value: vec![value] }));
    Event { wall_time: wall_time.0, step: 0, what, source_metadata: None }.encode_to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Event, What};

    #[test]
    fn hyperparameters_read_back_as_they_were_encoded() {
        let hparams = BTreeMap::from([
            ("lr".to_owned(), HparamValue::Number(0.1)),
            ("opt".to_owned(), HparamValue::Text("adam".into())),
            ("bn".to_owned(), HparamValue::Bool(false)),
        ]);
        let event = Event::decode(&encode_hparams(WallTime(1.0), &hparams)).expect("it decodes");
        let What::Summary(values) = event.what else { panic!("got {:?}", event.what) };
        let mut got = None;
        values.for_each(&mut |value| got = value.metadata.hparams());
        assert_eq!(got, Some(hparams));
    }

    #[test]
    fn no_more_are_gathered_than_may_be() {
        let mut gathered = RunHparams::default();
        for i in 0..MAX_HPARAMS + 3 {
            gathered.add(BTreeMap::from([(i.to_string(), HparamValue::Number(i as f64))]));
        }
        assert_eq!((gathered.by_name().len(), gathered.n_left_out()), (MAX_HPARAMS, 3));
        let long = || HparamValue::Text("x".repeat(MAX_HPARAMS_BYTES / 2));
        let mut gathered = RunHparams::default();
        for name in ["a", "a", "b", "a"] {
            gathered.add(BTreeMap::from([(name.to_owned(), long())]));
        }
        assert_eq!((gathered.by_name().len(), gathered.n_left_out()), (1, 1));
    }

    #[test]
    fn other_plugins_have_none() {
        let scalars = Metadata::checked(b"\x0a\x09\x0a\x07scalars").expect("it is metadata");
        assert_eq!((scalars.plugin(), scalars.hparams()), ("scalars", None));
        assert_eq!(Metadata::default().hparams(), None);
    }
}
