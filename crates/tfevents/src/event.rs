//! Records to events and back: what one record of an event file says.
//!

use prost::Message;

use crate::proto;
use crate::scalar::{self, Value};
use crate::units::{Step, WallTime};

/// One event: a clock, a step and what happened.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// The writer's clock; see [`WallTime`] for what it may hold.
    pub wall_time: WallTime,
    /// The step that the event belongs to; 0 where the writer set none.
    pub step: Step,
    /// What happened.
    pub what: What,
}

/// What an event says.
#[derive(Debug, Clone, PartialEq)]
pub enum What {
    /// The first event of a file: the format's version (`brain.Event:2`) and, from newer writers,
    /// the program that wrote it.
    FileVersion {
        /// The version as written.
        version: String,
        /// `source_metadata.writer`; empty where the writer gave none.
        writer: String,
    },
    /// Values under tags.
    Summary(Summary),
    /// A training session began at the event's step, from scratch or from a checkpoint.
    SessionStart,
    /// A graph or a meta graph.
    Graph,
    /// Anything else: checkpoints, log messages, kinds of event that came later.
    Other,
}

/// The values of one event.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary(pub(crate) Vec<proto::summary::Value>);

impl Summary {
    /// Hands each value to `sink`, in the order in which they were written.
    pub fn for_each(&self, sink: &mut dyn FnMut(Value<'_>)) {
        scalar::for_each(&self.0, sink);
    }
}

/// A record that is no event. Skip it: the next record is unaffected.
#[derive(Debug, thiserror::Error)]
#[error("the record is no event: {0}")]
pub struct NotAnEvent(#[from] prost::DecodeError);

impl Event {
    /// Decodes the data of one record.
    ///
    /// # Errors
    /// [`NotAnEvent`] where the bytes are no `Event` message. Unknown fields are ignored.
    pub fn decode(data: &[u8]) -> Result<Self, NotAnEvent> {
        use proto::event::What as Wire;
        let event = proto::Event::decode(data)?;
        let what = match event.what {
            Some(Wire::FileVersion(version)) => {
                What::FileVersion { version, writer: event.source_metadata.unwrap_or_default().writer }
            }
            Some(Wire::Summary(summary)) => What::Summary(Summary(summary.value)),
            Some(Wire::SessionLog(log)) if log.status() == proto::session_log::SessionStatus::Start => {
                What::SessionStart
            }
            Some(Wire::GraphDef(_) | Wire::MetaGraphDef(_)) => What::Graph,
            Some(Wire::SessionLog(_)) | None => What::Other,
        };
        Ok(Self { wall_time: WallTime(event.wall_time), step: Step(event.step), what })
    }
}

/// Encodes the event that opens a file: the format's version and the writer's name.
#[must_use]
pub fn encode_file_version(wall_time: WallTime, writer: &str) -> Vec<u8> {
    proto::Event {
        wall_time: wall_time.0,
        step: 0,
        what: Some(proto::event::What::FileVersion("brain.Event:2".into())),
        source_metadata: Some(proto::SourceMetadata { writer: writer.into() }),
    }
    .encode_to_vec()
}

/// Encodes an event that a session began at `step`, as a trainer writes it when it resumes.
#[must_use]
pub fn encode_session_start(wall_time: WallTime, step: Step) -> Vec<u8> {
    let status = proto::session_log::SessionStatus::Start.into();
    encode(wall_time, step, proto::event::What::SessionLog(proto::SessionLog { status }))
}

/// Encodes one event with a `simple_value` for each tag.
#[must_use]
pub fn encode_scalars(wall_time: WallTime, step: Step, values: &[(&str, f32)]) -> Vec<u8> {
    let value = values
        .iter()
        .map(|(tag, value)| proto::summary::Value {
            tag: (*tag).into(),
            metadata: None,
            value: Some(proto::summary::value::Value::SimpleValue(*value)),
        })
        .collect();
    encode(wall_time, step, proto::event::What::Summary(proto::Summary { value }))
}

fn encode(wall_time: WallTime, step: Step, what: proto::event::What) -> Vec<u8> {
    proto::Event { wall_time: wall_time.0, step: step.0, what: Some(what), source_metadata: None }
        .encode_to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_reads_back_as_it_was_encoded() {
        let opened = Event::decode(&encode_file_version(WallTime(1.5), "w")).expect("it decodes");
        let version = "brain.Event:2".to_owned();
        assert_eq!(opened.what, What::FileVersion { version, writer: "w".into() });
        assert_eq!(opened.wall_time, WallTime(1.5));

        let scalars =
            Event::decode(&encode_scalars(WallTime(2.0), Step(7), &[("a", 0.5)])).expect("it decodes");
        let What::Summary(values) = scalars.what else { panic!("got {:?}", scalars.what) };
        assert_eq!(values.0[0].tag, "a");
        assert_eq!(scalars.step, Step(7));

        let start = Event::decode(&encode_session_start(WallTime(2.0), Step(80))).expect("it decodes");
        assert_eq!((start.what, start.step), (What::SessionStart, Step(80)));
    }

    #[test]
    fn bytes_that_are_no_event_are_refused_and_unknown_fields_ignored() {
        assert!(Event::decode(&[0xff; 4]).is_err());
        // Field 99, varint 1: nothing that we know.
        assert_eq!(Event::decode(&[0x98, 0x06, 1]).expect("it decodes").what, What::Other);
    }
}
