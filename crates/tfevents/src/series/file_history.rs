//! What reading one file brings to light of attempts: who wrote it, and which sessions it began.

use super::{Point, Rise, Writer, WriterId};
use crate::limits::MAX_SESSIONS;
use crate::tail::{Found, Ingested};
use crate::units::{Step, WallTime};

/// The writer of one file and the sessions that it began.
#[derive(Debug, Default)]
pub struct FileHistory {
    /// The writer, once an event of it is known.
    pub writer: Option<Writer>,
    /// The steps of the sessions, the first [`MAX_SESSIONS`] of them.
    pub sessions: Vec<Step>,
}

impl FileHistory {
    /// Takes what was found in the file. The answer is the number that it is, with its tag.
    #[inline]
    pub fn take<'a>(&mut self, found: &'a Found<'_>) -> Option<(&'a str, Point)> {
        match found {
            Found::Event { writer, started, ingested, .. } => match ingested {
                Ingested::Value { wall_time, .. } => self.at_work(*writer, *started, *wall_time),
                Ingested::SessionStart(step) => self.begin_session(*writer, *started, *step),
                Ingested::Opened { .. } | Ingested::Graph | Ingested::Damage(_) => {}
            },
            Found::Hypertune { writer, entry, .. } => self.at_work(*writer, entry.wall_time, entry.wall_time),
            Found::File { .. }
            | Found::Unreadable { .. }
            | Found::Rewritten { .. }
            | Found::MissedReports { .. }
            | Found::UnreadableReports { .. }
            | Found::Foreign { .. }
            | Found::TooManyFiles { .. } => {}
        }
        found.scalar()
    }

    /// Takes a value, of whatever kind, with this clock.
    #[inline]
    pub fn at_work(&mut self, writer: WriterId, started: WallTime, clock: WallTime) {
        self.writer.get_or_insert_with(|| Writer::new(writer, started)).at_work(clock);
    }

    /// Takes values whose steps rise.
    pub fn take_rise(&mut self, writer: WriterId, started: WallTime, rise: &Rise) {
        let (_, latest) = rise.clocks().unwrap_or((started, started));
        self.at_work(writer, started, latest);
    }

    /// Takes the start of a session.
    pub fn begin_session(&mut self, writer: WriterId, started: WallTime, step: Step) {
        self.at_work(writer, started, started);
        if self.sessions.len() < MAX_SESSIONS {
            self.sessions.push(step);
        }
    }
}
