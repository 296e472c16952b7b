//! Which hyperparameters the rows of a run have: those of a session of its own, or of one that belongs to it by the
//! layout of the directories, and those of the trial in whose directory it lies.
//!
//! Writers do not always put the session where the curves are. `add_hparams` of PyTorch and tensorboardX makes a
//! directory below the run for it; Keras's callback has it in the directory above the runs `train` and `validation`, or
//! in one of the two.
//!
//! Where a run could have those of several sessions, one is taken, whole. Its own comes before all. Then, for its directory
//! and each above in turn: what sessions below lend to that directory, then that directory's own. Where sessions below
//! differ, only those on whose values they agree count, and where they agree on none, the next directory.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use crate::edge::trial_files::described_params;
use crate::export::Hparams;
use crate::objective::{Split, is_number, words};
use crate::study::ParamValue;
use crate::units::{RunName, shortest};
use tfevents::scalar::{HparamValue, RunHparams};

/// The sessions below one path, and the runs that are there.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    runs: BTreeMap<RunName, OfRun>,
}

#[derive(Debug, Default)]
struct OfRun {
    hparams: RunHparams,
    has_curve: bool,
}

/// Those of `others` whose session may belong to one of the runs `chosen`.
pub(super) fn related<'r>(
    others: &'r BTreeSet<RunName>,
    chosen: &BTreeSet<RunName>,
) -> BTreeSet<&'r RunName> {
    let above: BTreeSet<&str> = chosen.iter().flat_map(|run| upwards(run.as_str())).collect();
    let is_run = |directory: &&str| {
        let run = RunName::from(*directory);
        others.contains(&run) || chosen.contains(&run)
    };
    let is_related = |run: &&RunName| {
        let Some(parent) = parent(run.as_str()) else { return true };
        let to = if names_split(run.as_str()) { Some(parent) } else { upwards(parent).find(is_run) };
        above.contains(run.as_str()) || to.is_some_and(|to| above.contains(to))
    };
    others.iter().filter(is_related).collect()
}

/// What runs lend to a directory that has no session of its own.
#[derive(Debug, Default)]
struct Lent {
    /// `None` where the sessions differ.
    hparams: BTreeMap<String, Option<HparamValue>>,
    /// Whether what lies below the directory has them too.
    is_for_all_below: bool,
}

impl Sessions {
    /// Takes what some files of a run hold; it has a curve where a tag has several values.
    pub(super) fn add(&mut self, run: &RunName, hparams: RunHparams, has_curve: bool) {
        let of_run = self.runs.entry(run.clone()).or_default();
        of_run.hparams.join(hparams);
        of_run.has_curve |= has_curve;
    }

    /// The runs, each with the hyperparameters of its own session.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&RunName, &RunHparams)> {
        self.runs
            .iter()
            .map(|(run, of_run)| (run, &of_run.hparams))
            .filter(|(_, hparams)| is_session(hparams))
    }

    /// The hyperparameters of each of `runs`. Where several sessions belong to one run that has none of its own, those
    /// on whose values they agree.
    pub(super) fn of_runs<'r>(
        &self,
        runs: impl IntoIterator<Item = &'r RunName>,
    ) -> BTreeMap<RunName, Hparams> {
        let lent = self.lent();
        let of_run = |run: &'r RunName| (run.clone(), self.of(run, &lent));
        runs.into_iter().map(of_run).filter(|(_, hparams)| !hparams.is_empty()).collect()
    }

    fn of(&self, run: &RunName, lent: &BTreeMap<&str, Lent>) -> Hparams {
        for directory in upwards(run.as_str()) {
            if let Some(own) = self.session(directory) {
                return own.by_name().clone();
            }
            let agreed: Option<Hparams> =
                lent.get(directory).filter(|lent| lent.is_for_all_below).map(Lent::agreed);
            if let Some(agreed) = agreed.filter(|agreed| !agreed.is_empty()) {
                return agreed;
            }
        }
        lent.get(run.as_str()).map(Lent::agreed).unwrap_or_default()
    }

    /// What each directory without a session gets from sessions below it.
    fn lent(&self) -> BTreeMap<&str, Lent> {
        let mut lent: BTreeMap<&str, Lent> = BTreeMap::new();
        for (run, of_run) in self.runs.iter().filter(|(_, of_run)| is_session(&of_run.hparams)) {
            let Some(parent) = parent(run.as_str()) else { continue };
            let is_run = |directory: &&str| self.runs.contains_key(&RunName::from(*directory));
            let (to, is_for_all_below) = if names_split(run.as_str()) {
                // `train` and `validation` are one training.
                (Some(parent), true)
            } else if of_run.has_curve {
                (Some(parent).filter(is_run), false)
            } else {
                (upwards(parent).find(is_run), true)
            };
            let Some(to) = to.filter(|to| self.session(to).is_none()) else { continue };
            let lent = lent.entry(to).or_default();
            lent.is_for_all_below |= is_for_all_below;
            lent.add(of_run.hparams.by_name());
        }
        lent
    }

    fn session(&self, directory: &str) -> Option<&RunHparams> {
        let of_run = self.runs.get(&RunName::from(directory))?;
        Some(&of_run.hparams).filter(|hparams| is_session(hparams))
    }
}

impl Lent {
    fn add(&mut self, hparams: &Hparams) {
        for (name, value) in hparams {
            let known = self.hparams.entry(name.clone()).or_insert_with(|| Some(value.clone()));
            if known.as_ref() != Some(value) {
                *known = None;
            }
        }
    }

    fn agreed(&self) -> Hparams {
        let agreed = self.hparams.iter().filter_map(|(name, value)| Some((name.clone(), value.clone()?)));
        agreed.collect()
    }
}

fn is_session(hparams: &RunHparams) -> bool {
    !hparams.by_name().is_empty()
}

/// Whether a run's own directory is called after the data that its values were measured on, and after nothing else.
fn names_split(run: &str) -> bool {
    let words = words(run.rsplit('/').next().unwrap_or(run));
    let n_named: usize = Split::all(&words).map(|(_, n, _)| n).sum();
    n_named > 0 && n_named + words.iter().filter(|word| is_number(word)).count() == words.len()
}

/// A directory below the root, and those above it.
fn upwards(directory: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(directory), |directory| parent(directory))
}

fn parent(directory: &str) -> Option<&str> {
    match directory.rsplit_once('/') {
        Some((parent, _)) => Some(parent),
        None => (directory != ".").then_some("."),
    }
}

/// The parameters of trials of jobs, by the directories that belong to them.
#[derive(Debug)]
pub(super) struct TrialParams {
    root: PathBuf,
    known: HashMap<PathBuf, Hparams>,
}

impl TrialParams {
    /// Those of runs in `directory` or below; a trial's directory may lie above it.
    pub(super) fn below(directory: &Path) -> Self {
        // That of a file without any is the one we are in.
        let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
        let root = directory.canonicalize().unwrap_or_else(|_| directory.to_owned());
        Self { root, known: HashMap::new() }
    }

    /// Adds to a run's hyperparameters those of its trial, which are what the trainer was given: of two values for one name
    /// the trial's stands. The answer is where they differ, in words.
    pub(super) fn add_to(&mut self, run: &RunName, hparams: &mut Hparams) -> Vec<String> {
        let mut conflicts = Vec::new();
        let mut is_given: BTreeSet<String> = BTreeSet::new();
        let directory = match run.as_str() {
            "." => self.root.clone(),
            below => self.root.join(below),
        };
        for directory in directory.ancestors() {
            let of_trial = self.known.entry(directory.to_owned()).or_insert_with(|| read(directory));
            for (name, value) in of_trial {
                // That of the nearest directory counts, where a job runs in a trial of another.
                if !is_given.insert(name.clone()) {
                    continue;
                }
                let noted = hparams.insert(name.clone(), value.clone()).map(|noted| in_words(&noted));
                if let Some(noted) = noted.filter(|noted| *noted != in_words(value)) {
                    let given = in_words(value);
                    conflicts.push(format!(
                        "run {run}: `{name}` is {given} in its trial, and its trainer noted {noted}; hparam/{name} has {given}"
                    ));
                }
            }
        }
        conflicts
    }
}

fn in_words(value: &HparamValue) -> String {
    match value {
        // As Python has it, which most trainers are written in.
        HparamValue::Bool(true) => "True".to_owned(),
        HparamValue::Bool(false) => "False".to_owned(),
        HparamValue::Number(number) => shortest(*number),
        HparamValue::Text(text) => match text.parse() {
            Ok(number) => shortest(number),
            Err(_) => text.clone(),
        },
    }
}

fn read(directory: &Path) -> Hparams {
    // They are written as texts. Where that is how a number is written, it is one.
    let value = |text: String| match text.parse() {
        // Earlier versions wrote 1e-8, later ones 1.0e-8.
        Ok(number) if [shortest(number), ParamValue::Number(number).to_string()].contains(&text) => {
            HparamValue::Number(number)
        }
        Ok(_) | Err(_) => HparamValue::Text(text),
    };
    described_params(directory).into_iter().map(|(name, text)| (name, value(text))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs with a value of `lr`, or none, and whether they have a curve.
    #[track_caller]
    fn check(runs: &[(&str, Option<f64>, bool)], expected: &[(&str, f64)]) {
        let mut sessions = Sessions::default();
        for (run, lr, has_curve) in runs {
            let mut hparams = RunHparams::default();
            hparams.add(lr.map(|lr| ("lr".to_owned(), HparamValue::Number(lr))).into_iter().collect());
            sessions.add(&RunName::from(*run), hparams, *has_curve);
        }
        let names: Vec<RunName> = runs.iter().map(|(run, ..)| RunName::from(*run)).collect();
        let found = sessions.of_runs(&names);
        let found: Vec<(&str, &HparamValue)> =
            found.iter().map(|(run, hparams)| (run.as_str(), &hparams["lr"])).collect();
        let expected: Vec<(&str, HparamValue)> =
            expected.iter().map(|(run, lr)| (*run, HparamValue::Number(*lr))).collect();
        assert_eq!(found, expected.iter().map(|(run, lr)| (*run, lr)).collect::<Vec<_>>());
    }

    #[test]
    fn a_session_below_counts_for_the_run_that_has_none() {
        check(&[("a", None, true), ("a/17.5", Some(0.1), false)], &[("a", 0.1), ("a/17.5", 0.1)]);
        check(&[(".", None, true), ("17.5", Some(0.1), false)], &[(".", 0.1), ("17.5", 0.1)]);
        check(&[("a", Some(0.2), true), ("a/17.5", Some(0.1), false)], &[("a", 0.2), ("a/17.5", 0.1)]);
        check(&[("a", None, true), ("a/hp/1", Some(0.1), false)], &[("a", 0.1), ("a/hp/1", 0.1)]);
        // What add_scalars makes lies beside it.
        let beside = [("a", None, false), ("a/17.5", Some(0.1), false), ("a/loss_x", None, true)];
        check(&beside, &[("a", 0.1), ("a/17.5", 0.1), ("a/loss_x", 0.1)]);
    }

    #[test]
    fn only_runs_that_may_have_the_session_are_looked_at() {
        let runs =
            |names: &[&str]| -> BTreeSet<RunName> { names.iter().map(|name| RunName::from(*name)).collect() };
        let others = runs(&["1", "1/train", "1/17.5", "1/b/train", "2", "2/train", "3/17.5"]);
        let chosen = runs(&["1/validation", "3"]);
        let related: Vec<&str> = related(&others, &chosen).into_iter().map(RunName::as_str).collect();
        assert_eq!(related, ["1", "1/17.5", "1/train", "3/17.5"]);
    }

    #[test]
    fn sessions_below_that_differ_count_for_none_but_themselves() {
        let both = [("a", None, true), ("a/17.5", Some(0.1), false), ("a/18.5", Some(0.2), false)];
        check(&both, &[("a/17.5", 0.1), ("a/18.5", 0.2)]);
        let same = [("a", None, true), ("a/17.5", Some(0.1), false), ("a/18.5", Some(0.1), false)];
        check(&same, &[("a", 0.1), ("a/17.5", 0.1), ("a/18.5", 0.1)]);
    }

    #[test]
    fn a_session_above_counts_for_the_runs_below() {
        let keras = [("r", Some(0.1), false), ("r/train", None, true), ("r/validation", None, true)];
        check(&keras, &[("r", 0.1), ("r/train", 0.1), ("r/validation", 0.1)]);
        check(
            &[(".", Some(0.1), false), ("a", None, true), ("a/b", Some(0.2), true)],
            &[(".", 0.1), ("a", 0.1), ("a/b", 0.2)],
        );
    }

    #[test]
    fn one_training_s_session_counts_for_each_of_its_data() {
        check(
            &[("r/train", Some(0.1), true), ("r/validation", None, true), ("s/train", None, true)],
            &[("r/train", 0.1), ("r/validation", 0.1)],
        );
        check(&[("train", Some(0.1), true), ("eval_1", None, true)], &[("eval_1", 0.1), ("train", 0.1)]);
    }

    #[test]
    fn the_session_of_one_training_is_not_another_s() {
        let beside = [("a", Some(0.1), true), ("b", None, true), ("b/train_big", Some(0.3), true)];
        check(&beside, &[("a", 0.1), ("b", 0.3), ("b/train_big", 0.3)]);
        check(&[(".", None, true), ("a", Some(0.1), true), ("b", None, true)], &[(".", 0.1), ("a", 0.1)]);
        check(&[("x/17.5", Some(0.1), false), ("y", None, true)], &[("x/17.5", 0.1)]);
    }
}
