//! What there was to say of a job, from the file that its process writes.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use serde_json::Value as Json;

use crate::edge::store::NewJob;
use crate::serve::executor::events_of;
use crate::serve::summary::Note;

/// The last bytes of the file in which notes are looked for.
const MAX_NOTES_BYTES: u64 = 256 << 10;

/// The most notes that are shown.
const MAX_NOTES: usize = 200;

/// The notes of a job, the latest last. Jobs of `hptune run` told them to their terminal.
pub(crate) fn of_job(job: &NewJob) -> Vec<Note> {
    let Ok(mut file) = File::open(events_of(job)) else { return Vec::new() };
    let length = file.metadata().map_or(0, |file| file.len());
    let start = length.saturating_sub(MAX_NOTES_BYTES);
    let mut bytes = Vec::new();
    let read =
        file.seek(SeekFrom::Start(start)).and_then(|_| file.take(MAX_NOTES_BYTES).read_to_end(&mut bytes));
    if read.is_err() {
        return Vec::new();
    }
    let text = String::from_utf8_lossy(&bytes);
    // The first line may have been cut.
    let lines = text.lines().skip(usize::from(start > 0));
    let mut notes: Vec<Note> = lines.filter_map(note).collect();
    notes.drain(..notes.len().saturating_sub(MAX_NOTES));
    notes
}

fn note(line: &str) -> Option<Note> {
    let event: Json = serde_json::from_str(line).ok()?;
    let at = event.get("at")?.as_str()?.to_owned();
    let text =
        event.get("text").filter(|_| event.get("kind").is_some_and(|kind| kind == "note"))?.as_str()?;
    let text = match event.get("trial").and_then(Json::as_str) {
        Some(trial) => format!("trial {trial} {text}"),
        None => text.to_owned(),
    };
    Some(Note { at, text })
}
