//! What reading one file brings to light of attempts: who wrote it, and which sessions it began.

use crate::limits::MAX_SESSIONS;
use crate::scalar::Content;
use crate::series::{Point, Writer, WriterId};
use crate::tail::{Found, Ingested};
use crate::units::{Step, WallTime};

/// The writer of one file and the sessions that it began.
#[derive(Debug, Default)]
pub(super) struct Origin {
    /// The writer, once an event of it is known.
    pub(super) writer: Option<Writer>,
    /// The steps of the sessions, the first [`MAX_SESSIONS`] of them.
    pub(super) sessions: Vec<Step>,
}

impl Origin {
    /// Takes what was found in the file. The answer is the number that it is, with its tag.
    #[inline]
    pub(super) fn take<'a>(&mut self, found: &'a Found<'_>) -> Option<(&'a str, Point)> {
        match found {
            Found::Event { writer, started, ingested, .. } => match ingested {
                Ingested::Value { step, wall_time, tag, content, .. } => {
                    self.at_work(*writer, *started, *wall_time);
                    match content {
                        Content::Scalar(value) => {
                            Some((tag, Point { step: *step, wall_time: *wall_time, value: *value }))
                        }
                        Content::Other(_) => None,
                    }
                }
                Ingested::SessionStart(step) => {
                    self.begin_session(*writer, *started, *step);
                    None
                }
                Ingested::Opened { .. } | Ingested::Graph | Ingested::Damage(_) => None,
            },
            Found::Hypertune { writer, entry, .. } => {
                self.at_work(*writer, entry.wall_time, entry.wall_time);
                let point = Point { step: entry.step, wall_time: entry.wall_time, value: entry.value };
                Some((&entry.tag, point))
            }
            Found::File { .. }
            | Found::Unreadable { .. }
            | Found::Rewritten { .. }
            | Found::MissedReports { .. }
            | Found::UnreadableReports { .. }
            | Found::Packed { .. }
            | Found::TooManyFiles { .. } => None,
        }
    }

    /// Takes a value, of whatever kind, with this clock.
    #[inline]
    pub(super) fn at_work(&mut self, writer: WriterId, started: WallTime, clock: WallTime) {
        self.writer.get_or_insert_with(|| Writer::new(writer, started)).at_work(clock);
    }

    /// Takes the start of a session.
    pub(super) fn begin_session(&mut self, writer: WriterId, started: WallTime, step: Step) {
        self.at_work(writer, started, started);
        if self.sessions.len() < MAX_SESSIONS {
            self.sessions.push(step);
        }
    }
}
