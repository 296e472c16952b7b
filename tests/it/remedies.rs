//! What is offered for names of metrics that are not there: names as users write them, against the tags of directories
//! that real trainers wrote. `testdata/remedies/` has the names, the tags, and every answer.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use hptune::app::inspect::inspect;
use hptune::objective::missing::{self, Missing, Places, metric_tag, objective_run};
use hptune::objective::{RunSelector, Split, words};
use hptune::units::{RunName, Tag};
use tfevents::scalar::Kind;

use crate::support::{WRITERS, golden_dir};

fn remedies() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/remedies")
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Lines that are no comments.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'))
}

fn names() -> Vec<String> {
    lines(&text(&remedies().join("names.txt"))).map(str::to_owned).collect()
}

/// The tags of one directory: run, tag and kind.
struct Directory {
    name: String,
    there: Vec<(RunName, Tag, Kind)>,
}

impl Directory {
    fn all() -> Vec<Self> {
        let entries = fs::read_dir(remedies().join("directories")).expect("it is there");
        let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("it is readable").path()).collect();
        paths.sort();
        paths.iter().map(|path| Self::read(path)).collect()
    }

    fn read(path: &Path) -> Self {
        let text = text(path);
        let there = lines(&text).map(|line| {
            let mut columns = line.splitn(3, '\t');
            let [run, kind, tag] = [(); 3].map(|()| columns.next().expect("run, kind and tag"));
            (RunName::from(run), Tag::from(tag), kind_of(kind))
        });
        let name = path.file_stem().expect("a name").to_str().expect("UTF-8").to_owned();
        let there = there.collect();
        Self { name, there }
    }

    /// What is said of a name; nothing where a tag has it.
    fn ask(&self, wanted: &str) -> Option<Missing> {
        let mut places = Places::new();
        for (run, tag, kind) in &self.there {
            places.entry(tag).or_default().push((run, *kind));
        }
        let wanted = Tag::from(wanted);
        (!places.contains_key(&wanted)).then(|| missing::explain(&wanted, &RunSelector::default(), &places))
    }
}

fn kind_of(name: &str) -> Kind {
    let kinds = [
        Kind::Scalar,
        Kind::Histogram,
        Kind::Image,
        Kind::Audio,
        Kind::Text,
        Kind::Hparams,
        Kind::Graph,
        Kind::Tensor,
        Kind::Complex,
    ];
    kinds.into_iter().find(|kind| kind.name() == name).unwrap_or_else(|| panic!("no kind `{name}`"))
}

/// An answer in one line: the remedies, the nearest first, then what is said of other quantities; empty where nothing is.
fn shown(missing: &Missing) -> String {
    let near: Vec<String> = (missing.near.iter())
        .map(|near| match &near.run {
            Some(run) => format!("`{}` of `{run}`", near.tag),
            None => format!("`{}`", near.tag),
        })
        .collect();
    let mut line = near.join(" or ");
    if missing.message.contains("comes close, but holds") {
        line.push_str(&missing.message);
    }
    for note in &missing.notes {
        let note = note.strip_prefix("other quantities, which are no remedy: ").unwrap_or(note);
        let _ = write!(line, "{}not: {note}", if line.is_empty() { "" } else { "; " });
    }
    line
}

/// A snapshot: each answer with the indented names that have it.
fn grouped(answers: &[(String, String)]) -> String {
    let mut groups: Vec<(&str, Vec<&str>)> = Vec::new();
    for (name, answer) in answers.iter().filter(|(_, answer)| !answer.is_empty()) {
        match groups.iter_mut().find(|(of, _)| of == answer) {
            Some((_, names)) => names.push(name),
            None => groups.push((answer, vec![name])),
        }
    }
    groups.iter().map(|(answer, names)| format!("{answer}\n    {}\n", names.join(", "))).collect()
}

fn ungrouped(text: &str) -> BTreeMap<&str, &str> {
    let mut answers = BTreeMap::new();
    let mut answer = "";
    for line in text.lines() {
        match line.strip_prefix("    ") {
            Some(names) => answers.extend(names.split(", ").map(|name| (name, answer))),
            None => answer = line,
        }
    }
    answers
}

/// `UPDATE_REMEDIES=1` writes the snapshots anew: read their difference, line by line, before it is committed.
#[test]
fn every_answer_is_the_one_that_is_kept() {
    let names = names();
    let mut changes = String::new();
    for directory in Directory::all() {
        let answers: Vec<(String, String)> = (names.iter())
            .map(|name| (name.clone(), directory.ask(name).as_ref().map(shown).unwrap_or_default()))
            .collect();
        let path = remedies().join("answers").join(format!("{}.txt", directory.name));
        if std::env::var_os("UPDATE_REMEDIES").is_some() {
            fs::write(&path, grouped(&answers)).expect("it is written");
            continue;
        }
        let expected = text(&path);
        let expected = ungrouped(&expected);
        for (name, answer) in &answers {
            let expected = expected.get(name.as_str()).copied().unwrap_or_default();
            if expected != answer {
                let _ = writeln!(changes, "{}: {name}\n  - {expected}\n  + {answer}", directory.name);
            }
        }
        for gone in expected.keys().filter(|name| !names.iter().any(|there| there == *name)) {
            let _ = writeln!(changes, "{}: {gone} is no longer among the names", directory.name);
        }
    }
    assert!(changes.is_empty(), "answers have changed:\n{changes}");
}

#[test]
fn the_tags_of_the_golden_directories_are_those_that_are_there() {
    for writer in WRITERS {
        let inspection = inspect(&golden_dir().join(writer).join("logs")).expect("it is readable");
        let there = inspection.runs.iter().flat_map(|(run, content)| {
            content.tags.iter().map(|(tag, summary)| (run.to_string(), tag.to_string(), summary.kind))
        });
        let there: BTreeSet<(String, String, &str)> =
            there.map(|(run, tag, kind)| (run, tag, kind.name())).collect();
        let listed = Directory::read(&remedies().join(format!("directories/golden_{writer}.txt"))).there;
        let listed =
            listed.into_iter().map(|(run, tag, kind)| (run.to_string(), tag.to_string(), kind.name()));
        assert_eq!(listed.collect::<BTreeSet<_>>(), there, "{writer}");
    }
}

/// Every answer for every name in every directory.
fn for_each(mut check: impl FnMut(&Directory, &str, &Missing)) {
    let names = names();
    let mut n_remedies = 0;
    for directory in Directory::all() {
        for name in &names {
            if let Some(missing) = directory.ask(name) {
                n_remedies += missing.near.len();
                check(&directory, name, &missing);
            }
        }
    }
    assert!(n_remedies > 500, "{n_remedies}");
}

/// Where a remedy is said to be the same.
fn place(near: &missing::NearTag) -> String {
    format!("{} {}", near.run.as_deref().unwrap_or_default(), near.tag)
}

#[test]
fn a_remedy_is_of_the_data_that_were_asked_for() {
    // Whoever asks for evaluation is served by validation.
    let data = |split: Split| match split {
        Split::Validation | Split::Development | Split::Evaluation => "validation",
        Split::HoldOut => "held-out",
        Split::Test => "test",
        Split::Train => "training",
    };
    let split = |name: &str| Split::of_words(&words(name)).map(data);
    for_each(|directory, wanted, missing| {
        let Some(asked) = split(wanted) else { return };
        for near in &missing.near {
            assert!(!near.runs.is_empty());
            for run in &near.runs {
                let of = split(near.tag.as_str()).or_else(|| split(run.as_str()));
                let case = format!("{}: {wanted}: {} in {run}", directory.name, near.tag);
                assert_eq!(of, Some(asked), "{case}");
                // Where only the run says so, it is named.
                assert!(split(near.tag.as_str()).is_some() || near.run.is_some(), "{case}");
            }
        }
    });
}

/// Each tag of the directories that counts, or is a rate, a time, a speed or a size.
const COUNTERS: [&str; 53] = [
    "epoch",
    "step",
    "iter",
    "lr",
    "lr-Adam",
    "lr/pg0",
    "lr/pg1",
    "lr/pg2",
    "time",
    "data_time",
    "memory",
    "eta_seconds",
    "epoch_learning_rate",
    "train/learning_rate",
    "train/epoch",
    "train/total_flos",
    "train/train_runtime",
    "train/train_samples_per_second",
    "train/train_steps_per_second",
    "eval/runtime",
    "eval/samples_per_second",
    "eval/steps_per_second",
    "global_step/sec",
    "time/fps",
    "train/clip_range",
    "rollout/exploration_rate",
    "roi_head/num_bg_samples",
    "rpn/num_pos_anchors",
    "wps",
    "ups",
    "wpb",
    "bsz",
    "num_updates",
    "gnorm",
    "train_wall",
    "wall",
    "gb_free",
    "ray/tune/episodes_this_iter",
    "ray/tune/episodes_total",
    "ray/tune/num_env_steps_sampled",
    "ray/tune/time_total_s",
    "ray/tune/timesteps_total",
    "ray/tune/training_iteration",
    "ray/tune/info/learner/default_policy/learner_stats/cur_lr",
    "ray/tune/perf/cpu_util_percent",
    "ray/tune/perf/ram_util_percent",
    "ray/tune/timers/learn_time_ms",
    "clip",
    "train/grad_norm",
    "train/clip_fraction",
    "train/ent_coef",
    "linear/bias",
    "checkpoint_path",
];

#[test]
fn no_remedy_is_a_counter() {
    let tags: BTreeSet<String> =
        Directory::all().iter().flat_map(|d| &d.there).map(|(_, tag, _)| tag.to_string()).collect();
    for counter in COUNTERS {
        assert!(tags.contains(counter), "no directory has {counter}");
    }
    // Also asked for by name, as it stands there but for its case.
    let names: Vec<String> = names()
        .into_iter()
        .chain(COUNTERS.map(str::to_uppercase))
        .chain(COUNTERS.map(str::to_owned))
        .collect();
    for directory in Directory::all() {
        for wanted in &names {
            for near in directory.ask(wanted).into_iter().flat_map(|missing| missing.near) {
                let is_asked = near.tag.as_str().eq_ignore_ascii_case(wanted);
                let may_be_asked =
                    ["clip", "train/grad_norm", "train/clip_fraction", "train/ent_coef", "linear/bias"];
                let is_meant = is_asked && may_be_asked.contains(&near.tag.as_str());
                let case = format!("{}: {wanted}: {}", directory.name, near.tag);
                assert!(is_meant || !COUNTERS.contains(&near.tag.as_str()), "{case}");
            }
        }
    }
}

/// The numbers in a name, shares in percent.
fn numbers(name: &str) -> BTreeSet<String> {
    let name = name.replace("0.95", "95").replace("0.5", "50");
    let numbers = name.split(|c: char| !c.is_ascii_digit()).filter(|number| !number.is_empty());
    numbers.map(str::to_owned).collect()
}

#[test]
fn a_remedy_has_every_number_that_was_asked_for_and_no_other() {
    for_each(|directory, wanted, missing| {
        let asked = numbers(wanted);
        for near in &missing.near {
            let case = format!("{}: {wanted}: {}", directory.name, place(near));
            assert!(asked.is_subset(&numbers(&place(near))), "{case}");
            // A data loader is no other quantity, and a copy is none where no number was asked for.
            let tag = near.tag.as_str();
            let tag = tag.split_once("/dataloader_idx_").map_or(tag, |(tag, _)| tag);
            let is_copy = asked.is_empty() && (tag.ends_with("_1") || tag.ends_with("_2"));
            assert!(is_copy || near.tag.as_str() != tag || numbers(tag).is_subset(&asked), "{case}");
        }
    });
}

/// Words for quantities, each with how it is written.
const QUANTITIES: [(&str, &[&str]); 30] = [
    ("loss", &["loss", "losses", "losss", "los"]),
    ("accuracy", &["accuracy", "acc", "acuracy", "accuray"]),
    ("precision", &["precision", "precison", "ap", "map"]),
    ("average precision", &["ap", "map", "averageprecision"]),
    ("recall", &["recall"]),
    ("auc", &["auc", "auroc", "prc"]),
    ("reward", &["reward", "rew", "return"]),
    ("length", &["length", "len"]),
    ("f1", &["f1"]),
    ("score", &["score"]),
    ("squared", &["mse", "rmse", "squared"]),
    ("root", &["rmse", "root"]),
    ("absolute", &["mae", "absolute"]),
    ("entropy", &["entropy"]),
    ("kl", &["kl"]),
    ("policy", &["policy"]),
    ("value", &["value"]),
    ("actor", &["actor"]),
    ("critic", &["critic"]),
    ("box", &["box", "bbox"]),
    ("cls", &["cls"]),
    ("best", &["best"]),
    ("max", &["max"]),
    ("min", &["min"]),
    ("baseline", &["baseline"]),
    ("nll", &["nll"]),
    ("bleu", &["bleu"]),
    ("age", &["age"]),
    ("kind", &["kind"]),
    ("top", &["k"]),
];

#[test]
fn a_remedy_names_the_quantities_that_were_asked_for_and_no_others() {
    let has = |name: &str, forms: &[&str]| {
        let words = words(name);
        let texts: Vec<String> =
            words.windows(2).map(<[String]>::concat).chain(words.iter().cloned()).collect();
        texts
            .iter()
            .any(|text| forms.iter().any(|form| text == form || (form.len() > 3 && text.ends_with(form))))
    };
    let is_of_detection = |wanted: &str| {
        let wanted = wanted.to_lowercase();
        ["ap", "precision", "recall"].iter().any(|form| wanted.contains(form))
    };
    for_each(|directory, wanted, missing| {
        for near in &missing.near {
            for (quantity, forms) in QUANTITIES {
                let is_added = quantity == "score" || (quantity == "box" && is_of_detection(wanted));
                let (is_asked, is_there) = (has(wanted, forms), has(near.tag.as_str(), forms));
                let case = format!("{}: {wanted}: {} ({quantity})", directory.name, place(near));
                assert!(!is_asked || is_there || has(&place(near), forms), "{case}");
                assert!(is_asked || !is_there || is_added, "{case}");
            }
        }
    });
}

#[test]
fn only_the_nearest_remedy_is_to_be_pasted_and_nothing_is_both_that_and_another_quantity() {
    for_each(|directory, wanted, missing| {
        let case = format!("{}: {wanted}: {}", directory.name, missing.text());
        if missing.has_no_scalars {
            return;
        }
        let first = missing.near.first();
        let lines = first.map(|near| metric_tag(near.tag.as_str())).into_iter();
        let lines = lines.chain(first.and_then(|near| near.run.as_deref()).map(objective_run));
        assert_eq!(missing.fix, lines.collect::<Vec<_>>(), "{case}");
        // What may be pasted is there, as it stands, in a run that may be read.
        for near in &missing.near {
            for run in &near.runs {
                let is_there = |(of, tag, kind): &(RunName, Tag, Kind)| {
                    of == run && *tag == near.tag && *kind == Kind::Scalar
                };
                assert!(directory.there.iter().any(is_there), "{case}");
            }
        }
        let others = missing.notes.concat();
        for near in &missing.near {
            assert!(near.run.is_some() || !others.contains(&format!("`{}`", near.tag)), "{case}");
        }
    });
}
