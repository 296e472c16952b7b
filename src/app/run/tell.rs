//! What `run` reports: the events of a job, and notes for the user in words.

use std::path::Path;
use std::time::UNIX_EPOCH;

use jiff::Timestamp;

use super::Job;
use crate::app::run_choice;
use crate::edge::outside::{Claim, OutsideFile};
use crate::edge::trial_files::TrialFiles;
use crate::limits::MAX_FAILURES_TOLD;
use crate::objective::missing::Missing;
use crate::objective::{Overdue, Seen};
use crate::report::{JobEvent, JobEventKind, events_of};
use crate::study::{Outcome, Record, Trial, gist};
use crate::units::TrialId;
use tfevents::record::Damage;

/// Where the cloudml-hypertune package reports if nothing tells it where to.
const DEFAULT_METRICS_FILE: &str = "/var/hypertune/output.metrics";

impl Job<'_> {
    pub(super) fn tell_start(&mut self) {
        let spec = self.controller.spec();
        self.emit(JobEventKind::JobStarted {
            job: self.plan.job.id.clone(),
            job_dir: self.plan.job.job_dir.display().to_string(),
            metric_tag: spec.metric_tag.clone(),
            goal: spec.goal,
            max_trials: spec.max_trials,
            seed: spec.seed,
        });
        for text in std::mem::take(&mut self.plan.notes) {
            self.tell_job(text);
        }
        if self.engine.takes_reports() {
            let job = &self.plan.job.id;
            self.tell_job(format!(
                "note: nothing is started here: each trial N waits for its watcher, started anywhere: hptune watch DIR \
                 --to http://SERVER/api/v1/jobs/{job}/trials/N -- COMMAND, where `hptune serve` has this store"
            ));
        }
    }

    pub(super) fn tell_job(&mut self, text: String) {
        self.emit(JobEventKind::Note { trial: None, text });
    }

    /// Reports what a record that was stored stands for.
    pub(super) fn tell_record(&mut self, record: Record) {
        let now = self.plan.clock.now();
        let (job, spec, trials) = (&self.plan.job.id, self.controller.spec(), self.controller.trials());
        events_of(&record, now, job, spec, trials, &mut |event| (self.tell)(&event));
        if let Record::JobEnded(_, end) = record {
            self.end = Some(end);
        }
    }

    pub(super) fn note(&mut self, trial: TrialId, text: String) {
        self.emit(JobEventKind::Note { trial: Some(trial), text });
    }

    fn emit(&mut self, kind: JobEventKind) {
        (self.tell)(&JobEvent { at: self.plan.clock.now(), kind });
    }

    /// Tells where a trial writes, if that is not its directory: of each kind once a job.
    pub(super) fn tell_outside(&mut self, trial: TrialId, file: &OutsideFile) {
        let directory = Path::new(&file.name).parent().unwrap_or(Path::new(""));
        let place = match file.path.strip_prefix(&self.plan.job.directory) {
            Ok(_) => Path::new(".").join(directory).display().to_string(),
            Err(_) => file.path.parent().unwrap_or(&file.path).display().to_string(),
        };
        let text = match file.claim {
            Claim::Own => {
                format!("writes to {place}, outside of its directory: its event files are followed there")
            }
            Claim::Shared => format!(
                "writes to a file in {place} to which another process writes at the same time: it is not read, for \
                 what it holds is of neither\n  hint: `hptune: {{trial: {{directory: own}}}}` in the configuration \
                 runs each trial in its own directory"
            ),
            // Of interest only where there is nothing else.
            Claim::Unclear => return,
        };
        if self.outside_told.insert(file.claim) {
            self.note(trial, text);
        }
    }

    /// Tells what a trial's files held that the user should know.
    pub(super) fn tell_seen(&mut self, trial: TrialId, seen: &Seen) {
        if let (Some(chosen), false, false) = (&seen.chosen, seen.left_out.is_empty(), self.is_choice_told) {
            self.is_choice_told = true;
            let why = seen.why.as_ref().map(|(why, alike)| (*why, &**alike));
            let text = run_choice::note(&self.plan.config.spec.metric_tag, chosen, why, &seen.left_out);
            self.note(trial, text);
        }
        if let [first, others @ ..] = &*seen.history {
            let more = if others.is_empty() { String::new() } else { format!(" and {} more", others.len()) };
            let text = format!(
                "what an earlier attempt wrote to {first}{more} does not count: the last attempt did not go on there"
            );
            self.note(trial, text);
        }
        if !seen.aside.is_empty()
            && seen.chosen.is_some()
            && !std::mem::replace(&mut self.is_aside_told, true)
        {
            let names: Vec<&str> = seen.aside.keys().map(String::as_str).collect();
            let (tag, names) = (&self.plan.config.spec.metric_tag, names.join(", "));
            let text = if seen.is_of_others {
                format!("`{tag}` is written by {names} and not by the main replica: it is taken from there")
            } else {
                format!("`{tag}` is written by {names} too; only the main replica's counts")
            };
            self.note(trial, text);
        }
        if seen.lacks_steps() && !std::mem::replace(&mut self.is_step_0_told, true) {
            let text = "every value is at step 0: only the last written counts, and early stopping cannot compare; \
                        have the trainer pass its step to the summary writer";
            self.note(trial, text.to_owned());
        }
        self.tell_shape(trial, seen);
        for warning in &seen.warnings {
            self.note(trial, warning.clone());
        }
        // A trainer that is stopped while it writes leaves half a record behind.
        let was_stopped = self.signal.is_some() || self.trial(trial).is_some_and(|t| t.stop.is_some());
        let worth_telling = |damage: &Damage| !(was_stopped && damage.kind.may_be_unfinished());
        if let Some((path, damage)) = seen.damages.iter().find(|(_, damage)| worth_telling(damage)) {
            let more =
                if seen.n_damages > 1 { format!(", and {} more", seen.n_damages - 1) } else { String::new() };
            self.note(trial, format!("damaged event file {path}: {damage}{more}"));
        }
    }

    /// Why no value of the metric was found.
    pub(super) fn explain_missing(&self, seen: &Seen) -> Missing {
        let config = &self.plan.config;
        if self.engine.takes_reports() && seen.tags.is_empty() {
            return Missing::of("its watcher has reported no value of any metric".to_owned());
        }
        let fix = "set hyperparameterMetricTag to it";
        let mut missing = seen.explain_missing(&config.spec.metric_tag, &config.run, fix);
        missing.notes.extend(astray(Path::new(DEFAULT_METRICS_FILE), self.plan.job.created_at));
        self.suspect_launcher(missing, seen)
    }

    /// Tells that no value of the metric has come. That others go on without it says little once it has come to another
    /// trial.
    pub(super) fn tell_missing(&mut self, trial: TrialId, why: Overdue, seen: &Seen) {
        let has_come = self.controller.trials().iter().any(|t| t.curve.last().is_some());
        let is_told = match why {
            Overdue::OthersGoOn => has_come || self.missing_told.is_some(),
            Overdue::Time => self.missing_told == Some(trial),
        };
        if is_told {
            return;
        }
        if why == Overdue::OthersGoOn {
            self.missing_told = Some(trial);
        }
        let text = self.explain_missing(seen).text();
        self.note(trial, format!("no value yet: {text}"));
    }

    /// Tells why a trial failed, as far as its files and its log say.
    pub(super) fn tell_failure(&mut self, trial: TrialId, seen: &Seen) {
        let files = TrialFiles::of(&self.plan.job, trial);
        let outcome = self.trial(trial).and_then(Trial::outcome).cloned();
        match outcome {
            Some(Outcome::NoMetric) => {
                let text = self.explain_missing(seen).text();
                self.tell_once(trial, &text, &text);
            }
            Some(Outcome::LeftAtWork(named)) => {
                // The named processes differ, and what there is to do does not.
                let text = self.explain_left(&named, seen);
                self.tell_once(trial, "left at work", &text);
            }
            Some(Outcome::Failed(_)) => self.tell_log(trial, &files.main_log()),
            Some(Outcome::ReplicaFailed(replica, _)) => self.tell_log(trial, &files.log(replica)),
            Some(
                Outcome::Succeeded
                | Outcome::StoppedEarly
                | Outcome::StoppedByRequest
                | Outcome::NotStarted(_)
                | Outcome::Infeasible
                | Outcome::Rejected(_)
                | Outcome::Preempted
                | Outcome::Lost
                | Outcome::Cancelled,
            )
            | None => {}
        }
    }

    fn tell_log(&mut self, trial: TrialId, log: &Path) {
        let said = self.why_failed(log);
        let text = if self.engine.takes_reports() {
            format!("failed: {said}")
        } else {
            format!("the end of {}:\n    {said}", log.display())
        };
        self.tell_once(trial, &said, &text);
    }

    /// Tells `text` of a trial, unless `what` it says was told of an earlier one but for paths and numbers.
    fn tell_once(&mut self, trial: TrialId, what: &str, text: &str) {
        let params = self.trial(trial).map(|t| t.params.clone()).unwrap_or_default();
        let what = gist(what, &params);
        match self.told.get(&what) {
            Some(earlier) => {
                let text = format!("fails for the same reason as trial {earlier}: see above");
                self.note(trial, text);
            }
            None => {
                if self.told.len() < MAX_FAILURES_TOLD {
                    self.told.insert(what, trial);
                }
                self.note(trial, text.to_owned());
            }
        }
    }
}

/// That the cloudml-hypertune package wrote to its default place since then: it was not told where to.
fn astray(file: &Path, since: Timestamp) -> Option<String> {
    let written = file.metadata().and_then(|file| file.modified()).ok()?;
    let written_ms = written.duration_since(UNIX_EPOCH).ok()?.as_millis();
    let is_new = u128::try_from(since.as_millisecond()).is_ok_and(|since_ms| written_ms >= since_ms);
    is_new.then(|| {
        format!(
            "{} was written meanwhile: the cloudml-hypertune package reports there where the variable \
             CLOUD_ML_HP_METRIC_FILE does not reach it; hand that on to the trainer (sudo --preserve-env, docker run \
             --env, srun --export)",
            file.display()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_in_the_package_s_default_place_are_noticed() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("output.metrics");
        assert_eq!(astray(&file, Timestamp::UNIX_EPOCH), None);
        std::fs::write(&file, "{}").expect("it is written");
        let note = astray(&file, Timestamp::UNIX_EPOCH).expect("it is new");
        assert!(note.contains("output.metrics") && note.contains("CLOUD_ML_HP_METRIC_FILE"), "{note}");
        assert_eq!(astray(&file, Timestamp::MAX), None);
    }
}
