//! Attempts that run anywhere, each below a sidecar of its own: `hptune watch JOB_DIR --to SERVER/…/trials/N -- COMMAND`.
//!
//! Nothing is started here. Whoever does that (a person, a cluster's scheduler) starts the sidecar, which reports to
//! `hptune serve` what the trainer writes, and how it ended. A stop decision reaches the trainer with the answer to a report.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;

use super::{Attempt, Ending, Engine, EngineEvent, Reattached};
use crate::controller::Signal;
use crate::edge::host::HostError;
use crate::edge::store::NewJob;
use crate::edge::trial_files::TrialFiles;
use crate::limits::SIDECAR_PATIENCE;
use crate::study::{Exit, Replica};
use crate::units::TrialId;

/// What a process gives that TERM, 15, or KILL, 9, ended: so ends an attempt that no sidecar has begun.
const TERMINATED: Exit = Exit::Signal(15);
const KILLED: Exit = Exit::Signal(9);

/// Waits for the reports of sidecars.
#[derive(Debug)]
pub(super) struct SidecarEngine {
    job: NewJob,
    attempts: BTreeMap<TrialId, Awaited>,
    events: VecDeque<EngineEvent>,
}

/// An attempt whose reports are waited for, or were.
#[derive(Debug, Default)]
struct Awaited {
    /// When its sidecar was heard of last; `None`: it has not begun, as far as this process knows.
    heard: Option<Timestamp>,
    /// It is taken for ended in this way at the next look.
    given_up: Option<Exit>,
    exit: Option<Exit>,
    is_released: bool,
}

impl SidecarEngine {
    pub(super) fn new(job: NewJob) -> Self {
        Self { job, attempts: BTreeMap::new(), events: VecDeque::new() }
    }

    /// Takes it that nothing of an attempt is left.
    fn end(&mut self, trial: TrialId, exit: Exit, now: Timestamp) {
        let Some(attempt) = self.attempts.get_mut(&trial).filter(|attempt| attempt.exit.is_none()) else {
            return;
        };
        attempt.exit = Some(exit);
        self.events.push_back(EngineEvent::Exited(trial, exit, now));
        self.events.push_back(EngineEvent::Gone(trial));
    }
}

impl Engine for SidecarEngine {
    fn takes_reports(&self) -> bool {
        true
    }

    fn reported(&mut self, trial: TrialId, exit: Option<Exit>, now: Timestamp) {
        if let Some(attempt) = self.attempts.get_mut(&trial) {
            attempt.heard = Some(now);
        }
        if let Some(exit) = exit {
            self.end(trial, exit, now);
        }
    }

    fn submit(&mut self, attempt: Attempt<'_>) -> Result<(), HostError> {
        self.attempts.insert(attempt.trial, Awaited::default());
        Ok(())
    }

    fn reattach(&mut self, trial: TrialId, _: u32, _: Timestamp) -> Result<Reattached, HostError> {
        // What its sidecar reported meanwhile is in the store, its end too.
        self.attempts.insert(trial, Awaited::default());
        Ok(Reattached::Attached { note: None, ended: None })
    }

    fn withdraw(&mut self, trial: TrialId) -> io::Result<()> {
        self.attempts.remove(&trial);
        Ok(())
    }

    fn poll(&mut self, now: Timestamp) -> Vec<EngineEvent> {
        let is_lost = |at: Timestamp| now.duration_since(at).unsigned_abs() > SIDECAR_PATIENCE;
        let over = |attempt: &Awaited| {
            attempt.given_up.or_else(|| attempt.heard.is_some_and(is_lost).then_some(Exit::Lost))
        };
        let over: Vec<(TrialId, Exit)> =
            self.attempts.iter().filter_map(|(trial, attempt)| Some((*trial, over(attempt)?))).collect();
        over.into_iter().for_each(|(trial, exit)| self.end(trial, exit, now));
        self.attempts.retain(|trial, attempt| {
            let is_free = attempt.exit.is_some() && attempt.is_released;
            self.events.extend(is_free.then_some(EngineEvent::Released(*trial)));
            !is_free
        });
        self.events.drain(..).collect()
    }

    fn stop(&mut self, trial: TrialId, signal: Signal) {
        let Some(attempt) = self.attempts.get_mut(&trial) else { return };
        match signal {
            // Its sidecar hears of it with the next answer, and sends what is left.
            Signal::Terminate if attempt.heard.is_some() => {}
            Signal::Terminate => attempt.given_up = Some(TERMINATED),
            // It is not waited for any more; should it still report, it is told that its trial is over.
            Signal::Kill => attempt.given_up = Some(KILLED),
        }
    }

    fn release(&mut self, trial: TrialId) {
        if let Some(attempt) = self.attempts.get_mut(&trial) {
            attempt.is_released = true;
        }
    }

    fn ending(&self, trial: TrialId) -> Ending {
        Ending { exit: self.attempts.get(&trial).and_then(|attempt| attempt.exit), failed: None }
    }

    fn left_at_work(&self, _: TrialId, _: bool) -> Option<String> {
        None
    }

    fn rest_in_words(&self, _: TrialId) -> String {
        "its sidecar is".to_owned()
    }

    fn log(&self, trial: TrialId, replica: Option<Replica>) -> PathBuf {
        let files = TrialFiles::of(&self.job, trial);
        replica.map_or_else(|| files.main_log(), |replica| files.log(replica))
    }

    fn abandon(&mut self, _: Duration) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::study::Assignment;

    fn job() -> NewJob {
        crate::edge::store::tests::new_job("j")
    }

    #[test]
    fn an_attempt_ends_as_its_sidecar_says_or_at_once_where_none_has_begun() {
        let (mut engine, params) = (SidecarEngine::new(job()), Assignment::default());
        let (now, trial, other) = (Timestamp::UNIX_EPOCH, TrialId::after(0), TrialId::after(1));
        for trial in [trial, other] {
            engine.submit(Attempt { trial, params: &params, number: 1 }).expect("nothing is needed");
        }
        engine.reported(trial, None, now);
        engine.stop(trial, Signal::Terminate);
        engine.stop(other, Signal::Terminate);
        let ended = |events: &[EngineEvent]| -> Vec<TrialId> {
            let gone = |event: &EngineEvent| match event {
                EngineEvent::Gone(trial) => Some(*trial),
                _ => None,
            };
            events.iter().filter_map(gone).collect()
        };
        assert_eq!(ended(&engine.poll(now)), [other], "the first is told, and still has to end");
        engine.reported(trial, Some(Exit::Code(3)), now);
        let events = engine.poll(now);
        assert_eq!(events, [EngineEvent::Exited(trial, Exit::Code(3), now), EngineEvent::Gone(trial)]);
        assert_eq!(engine.ending(trial).exit, Some(Exit::Code(3)));
        engine.release(trial);
        assert_eq!(engine.poll(now), [EngineEvent::Released(trial)]);
        engine.reported(trial, Some(Exit::Code(0)), now);
        assert_eq!(engine.poll(now), [], "it is over");
    }

    #[test]
    fn an_attempt_whose_sidecar_is_silent_for_long_is_lost_and_one_that_never_began_is_not() {
        let (mut engine, params) = (SidecarEngine::new(job()), Assignment::default());
        let [silent, awaited] = [0, 1].map(TrialId::after);
        for trial in [silent, awaited] {
            engine.submit(Attempt { trial, params: &params, number: 1 }).expect("nothing is needed");
        }
        engine.reported(silent, None, Timestamp::UNIX_EPOCH);
        let at = |seconds| Timestamp::from_second(seconds).expect("a time");
        let patience = SIDECAR_PATIENCE.as_secs() as i64;
        assert_eq!(engine.poll(at(patience)), []);
        let now = at(patience + 1);
        let lost = [EngineEvent::Exited(silent, Exit::Lost, now), EngineEvent::Gone(silent)];
        assert_eq!(engine.poll(now), lost);
        assert_eq!(engine.poll(at(9 * patience)), []);
        engine.stop(awaited, Signal::Kill);
        let killed = [EngineEvent::Exited(awaited, KILLED, now), EngineEvent::Gone(awaited)];
        assert_eq!(engine.poll(now), killed);
    }
}
