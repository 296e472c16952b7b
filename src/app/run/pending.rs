//! Trials that wait for the host to be started: for room on a disk, file handles, processes. Such a condition passes,
//! and costs no trial.

use std::collections::VecDeque;
use std::time::Instant;

use super::Job;
use crate::app::Failure;
use crate::controller::Input;
use crate::edge::host::{HostError, Shortage};
use crate::limits::{STORE_PATIENCE, STORE_PAUSE};
use crate::study::Assignment;
use crate::units::TrialId;

/// A trial whose processes are to be started, or taken back from an earlier controller.
#[derive(Debug)]
pub(super) enum Start {
    New(TrialId, Assignment, u32),
    Reattach(TrialId, u32),
}

/// What waits.
#[derive(Debug, Default)]
pub(super) struct Pending {
    starts: VecDeque<Start>,
    failing: Option<Failing>,
    /// That handles lack is told once a job: it is so each time that a slot is free.
    are_handles_told: bool,
}

/// A host that lacks something for now.
#[derive(Debug)]
struct Failing {
    /// Since when nothing runs either, that could give something back.
    since: Instant,
    /// When it was tried last.
    tried: Instant,
    error: HostError,
}

impl Pending {
    pub(super) fn is_empty(&self) -> bool {
        self.starts.is_empty()
    }
}

impl Job<'_> {
    /// Starts a trial, behind those that wait.
    pub(super) fn start_in_turn(&mut self, start: Start) -> Result<(), Failure> {
        self.pending.starts.push_back(start);
        self.start_pending()
    }

    /// Starts what waits, in order, as far as the host allows.
    pub(super) fn start_pending(&mut self) -> Result<(), Failure> {
        while let Some(start) = self.pending.starts.pop_front() {
            let failing = self.pending.failing.as_ref();
            if let (Start::New(trial, ..), Some(failing)) = (&start, failing)
                && !self.controller.wants_starts(self.now())
            {
                let input = Input::StartFailed(*trial, failing.error.to_string());
                self.controller.handle(self.now(), input);
                continue;
            }
            if failing.is_some_and(|failing| failing.tried.elapsed() < STORE_PAUSE) {
                self.pending.starts.push_front(start);
                return Ok(());
            }
            match self.try_start(&start) {
                Ok(()) => {
                    let ended = self.pending.failing.take();
                    if ended.is_some_and(|failing| failing.error.shortage == Some(Shortage::Other)) {
                        self.tell_job("trials can be started again".to_owned());
                    }
                }
                Err(error) => {
                    self.pending.starts.push_front(start);
                    return self.wait_for_host(error);
                }
            }
        }
        Ok(())
    }

    /// Starts a trial, or tells the controller that it cannot be. The error is one that passes.
    fn try_start(&mut self, start: &Start) -> Result<(), HostError> {
        match start {
            Start::New(trial, params, attempt) => {
                let input = match self.start(*trial, params, *attempt) {
                    Ok(()) => Input::Started(*trial),
                    Err(e) if e.shortage.is_some() => return Err(e),
                    Err(e) => Input::StartFailed(*trial, e.to_string()),
                };
                self.controller.handle(self.now(), input);
                Ok(())
            }
            Start::Reattach(trial, attempt) => self.reattach(*trial, *attempt),
        }
    }

    /// Tells of a shortage once, and gives up where it does not pass.
    fn wait_for_host(&mut self, error: HostError) -> Result<(), Failure> {
        let now = Instant::now();
        let n_running = self.running.len();
        let since = match &self.pending.failing {
            Some(failing) if n_running == 0 => failing.since,
            _ => now,
        };
        if now.duration_since(since) >= STORE_PATIENCE {
            let hint = format!("`hptune jobs resume {}` goes on with the job then", self.plan.job.id);
            return Err(Failure::outside(format!("no trial can be started: {error}")).with_hint(hint));
        }
        let is_new = self.pending.failing.as_ref().is_none_or(|known| known.error.shortage != error.shortage);
        match error.shortage {
            Some(Shortage::Handles) if !self.pending.are_handles_told => {
                self.pending.are_handles_told = true;
                self.tell_job(format!(
                    "{error}: {n_running} trials at once for now, others wait; \
                     `ulimit -n` shows and raises the limit of open files"
                ));
            }
            Some(Shortage::Other) if is_new => {
                self.tell_job(format!("no trial can be started: {error}; trying again"));
            }
            Some(_) | None => {}
        }
        self.pending.failing = Some(Failing { since, tried: now, error });
        Ok(())
    }
}
