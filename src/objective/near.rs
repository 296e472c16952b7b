//! Which tags that are there mean what one that is not there was to mean.
//!
//! Names are compared as sets of words, with the words of the run directory counted: a callback of Keras writes what its
//! user knows as `val_accuracy` under the tag `epoch_accuracy` in the run `validation`. A tag means the same where it, or
//! its run, has every word of the wanted name, its numbers, and its split; what frameworks add (`epoch_`, `batch_`) does
//! not count. What the tag has beyond that must leave it the same quantity: `mean`, a scope (`dnn/loss`) where no other
//! has the metric too, the counter of a copy (`accuracy_1`). Everything else that comes close is another quantity, and
//! nothing to tune instead.

use std::collections::BTreeMap;

use super::meaning::{Added, Knowledge, Meaning, Number, Word, is_misspelled};
use super::words::Split;
use crate::units::{RunName, Tag};

/// How many tags are named of either sort.
const N_NAMED: usize = 3;

/// What comes close to a wanted name.
#[derive(Debug, Clone, Default)]
pub struct Nearby<'a> {
    /// Tags that mean the same, the nearest first, at most three.
    pub same: Vec<Same<'a>>,
    /// Tags that share words with it and mean something else, at most three.
    pub others: Vec<Other<'a>>,
}

/// A tag that means what was wanted.
#[derive(Debug, Clone)]
pub struct Same<'a> {
    /// The tag.
    pub tag: &'a Tag,
    /// How its name differs.
    pub how: NearMiss,
    /// The runs in which it means that.
    pub runs: Vec<&'a RunName>,
    /// In its other runs it means something else, or it means that only together with the run's name.
    pub needs_run: bool,
    /// The run's name has a number that was asked for: `fold_1`.
    pub has_number_by_run: bool,
}

/// A tag that shares words with what was wanted, and is something else.
#[derive(Debug, Clone)]
pub struct Other<'a> {
    /// The tag.
    pub tag: &'a Tag,
    /// The runs in which it is that.
    pub runs: Vec<&'a RunName>,
    /// What makes it something else, as a clause: `it is of test data`.
    pub why: String,
}

/// How a tag that is there differs from the one that was wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum NearMiss {
    /// Only upper and lower case differ.
    Case,
    /// The writer replaced characters: `Episode_/_Total__mean_`.
    Characters,
    /// A counter stands behind it, as graphs number what is made twice: `accuracy_1`.
    Counter,
    /// The same words, some of them abbreviated or in another order: `acc` and `accuracy`.
    Words,
    /// It has a scope or a prefix: `train/accuracy`, `epoch_acc`.
    Scope,
    /// What is missing is in the name of its run.
    Run,
    /// It is spelled alike.
    Spelling,
}

impl NearMiss {
    /// What it means, for people.
    #[must_use]
    pub fn explanation(self) -> &'static str {
        match self {
            Self::Case => "upper and lower case differ",
            Self::Characters => "the writer replaced characters",
            Self::Counter => "the writer added a counter: the summary was made more than once",
            Self::Words => "it has other words for the same",
            Self::Scope => "the name stands with a scope or a prefix, or without one",
            Self::Run => "the run directory stands in the tag that was looked for",
            Self::Spelling => "it is spelled alike",
        }
    }
}

/// What of `places`, tags that hold numbers with their runs, comes close to `wanted`.
pub fn nearby<'a>(wanted: &str, places: impl Iterator<Item = (&'a Tag, &'a RunName)>) -> Nearby<'a> {
    let wanted = Meaning::of(wanted);
    let mut runs: BTreeMap<&RunName, Directories<'_>> = BTreeMap::new();
    let mut tags: BTreeMap<&Tag, (Meaning<'_>, Vec<&RunName>)> = BTreeMap::new();
    for (tag, run) in places.filter(|(tag, _)| tag.as_str() != wanted.name) {
        runs.entry(run).or_insert_with(|| Directories::of(run, &wanted));
        tags.entry(tag).or_insert_with(|| (Meaning::of(tag.as_str()), Vec::new())).1.push(run);
    }
    let mut found: Vec<Found<'a>> = Vec::new();
    let mut another: Vec<Vec<String>> = Vec::new();
    let mut others = Others::default();
    for (tag, (meaning, of_tag)) in tags {
        let n_runs = of_tag.len();
        let mut of_this: Option<Found<'a>> = None;
        for run in of_tag {
            let Some(of_run) = runs.get(run) else { continue };
            match compare(&wanted, &meaning, of_run) {
                Compared::Same { rank, how, is_by_run, is_number_by_run, adds } => {
                    let found = of_this.get_or_insert_with(|| Found {
                        rank,
                        adds,
                        same: Same { tag, how, runs: Vec::new(), needs_run: false, has_number_by_run: false },
                    });
                    found.same.runs.push(run);
                    found.same.needs_run |= is_by_run;
                    found.same.has_number_by_run |= is_number_by_run;
                    if rank < found.rank {
                        (found.rank, found.same.how) = (rank, how);
                    }
                }
                Compared::Another(adds, of_those) => {
                    others.entry((1, tag, may_be_another(&of_those))).or_default().push(run);
                    another.push(adds);
                }
                Compared::Other(n_lacking, why) => {
                    others.entry((n_lacking, tag, why)).or_default().push(run);
                }
                Compared::Nothing => {}
            }
        }
        if let Some(found) = &mut of_this {
            found.same.needs_run |= found.same.runs.len() < n_runs;
        }
        found.extend(of_this);
    }
    found = without_rivals(found, &another, &mut others);
    found.sort_by(|a, b| a.rank.cmp(&b.rank).then_with(|| a.same.tag.cmp(b.same.tag)));
    Nearby {
        same: found.into_iter().take(N_NAMED).map(|found| found.same).collect(),
        others: others
            .into_iter()
            .take(N_NAMED)
            .map(|((_, tag, why), runs)| Other { tag, runs, why })
            .collect(),
    }
}

/// A tag that may mean the same.
struct Found<'a> {
    rank: Rank,
    /// What its name adds that leaves it the same quantity only if no other tag has it.
    adds: Vec<String>,
    same: Same<'a>,
}

/// Tags that are something else, by how much they lack, with why and with their runs.
type Others<'a> = BTreeMap<(usize, &'a Tag, String), Vec<&'a RunName>>;

/// Those that mean the same, whatever else is there. With `loss`, `scope/loss` is another; and of `a/loss` and `b/loss`,
/// or `a/loss` and `b/total_c_loss`, which is among `another`, none is the loss.
fn without_rivals<'a>(
    found: Vec<Found<'a>>,
    another: &[Vec<String>],
    others: &mut Others<'a>,
) -> Vec<Found<'a>> {
    let has_literal = found.iter().any(|found| found.rank.is_literal());
    let literal: Vec<&Vec<String>> = found
        .iter()
        .filter(|found| found.rank.is_literal() || !has_literal)
        .map(|found| &found.adds)
        .collect();
    let is_more = |more: &[String], less: &[String]| less.iter().all(|word| more.contains(word));
    let least: Vec<Vec<String>> = (literal.iter())
        .filter(|adds| !literal.iter().any(|less| less.len() < adds.len() && is_more(adds, less)))
        .map(|adds| (*adds).clone())
        .collect();
    let is_alone = |adds: &[String]| {
        least.iter().all(|other| other == adds) && another.iter().all(|other| is_more(other, adds))
    };
    let (same, rivals): (Vec<Found<'_>>, Vec<Found<'_>>) = found
        .into_iter()
        .partition(|found| found.adds.is_empty() || (least.contains(&found.adds) && is_alone(&found.adds)));
    for Found { adds, same, .. } in rivals {
        others.entry((1, same.tag, may_be_another(&adds))).or_default().extend(same.runs);
    }
    same
}

/// Whether a tag is `wanted` behind a scope.
fn is_last_part(wanted: &str, tag: &str) -> bool {
    tag.to_lowercase().strip_suffix(&wanted.to_lowercase()).is_some_and(|scope| scope.ends_with('/'))
}

fn may_be_another(adds: &[String]) -> String {
    format!("`{}` may make it another quantity", adds.join("`, `"))
}

/// What the directories of a run say.
struct Directories<'r> {
    split: Option<Split>,
    /// Those whose names have nothing but what was wanted: not that of a date, a host or an experiment.
    within: Vec<Meaning<'r>>,
}

impl<'r> Directories<'r> {
    fn of(run: &'r RunName, wanted: &Meaning<'_>) -> Self {
        let wanted_words: Vec<&Word> = wanted.core.iter().collect();
        let is_within = |part: &Meaning<'_>| {
            let mut hits = vec![Hit::Nothing; part.core.len()];
            find(&part.core, &wanted_words, &mut hits);
            !hits.contains(&Hit::Nothing) && part.numbers.iter().all(|number| wanted.numbers.contains(number))
        };
        let parts = run.as_str().split('/').map(Meaning::of);
        Self { split: Split::of_run(run), within: parts.filter(is_within).collect() }
    }

    fn words(&self) -> Vec<&Word> {
        self.within.iter().flat_map(|part| &part.core).collect()
    }

    fn has(&self, number: &Number) -> bool {
        self.within.iter().any(|part| part.numbers.contains(number))
    }
}

/// The tags of `seen` that a user may have meant by `wanted`, nearest first, at most three.
pub fn near_misses<'a>(wanted: &str, seen: impl Iterator<Item = &'a Tag>) -> Vec<&'a Tag> {
    let root = RunName::root();
    let seen: Vec<&Tag> = seen.collect();
    let names: BTreeMap<&str, &'a Tag> = seen.iter().map(|tag| (tag.as_str(), *tag)).collect();
    let near = nearby(wanted, seen.into_iter().map(|tag| (tag, &root)));
    near.same.iter().filter_map(|same| names.get(same.tag.as_str()).copied()).collect()
}

/// Whether a tag is named for something that trials can be compared by: not for a counter of steps, nor a learning rate.
#[must_use]
pub fn measures(tag: &str) -> bool {
    !Meaning::of(tag).is_counter()
}

/// How far a tag that means the same is from what was wanted, the nearest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    n_misspelled: usize,
    n_extra: usize,
    is_other_split: bool,
    /// Validation data before test data, training data last.
    split: (bool, Option<Split>),
    /// The last parts of its name are not the wanted name as it stands.
    is_reworded: bool,
    /// How many words of frameworks it lacks, and has beyond the wanted name's.
    n_frame: (usize, usize),
    /// It is of a batch, or of a step, where nobody asked for that.
    is_of_step: bool,
    how: NearMiss,
}

impl Rank {
    /// That of a name which says just what was wanted.
    fn exact(how: NearMiss, split: Option<Split>) -> Self {
        let split = (split == Some(Split::Train), split);
        Self {
            n_misspelled: 0,
            n_extra: 0,
            is_other_split: false,
            split,
            is_reworded: true,
            n_frame: (0, 0),
            is_of_step: false,
            how,
        }
    }

    fn is_literal(&self) -> bool {
        !self.is_reworded
    }
}

enum Compared {
    /// It means the same.
    Same {
        rank: Rank,
        how: NearMiss,
        /// That takes the name of the run.
        is_by_run: bool,
        /// A number of it is in that.
        is_number_by_run: bool,
        /// What its name adds that leaves it the same only if no other tag has it.
        adds: Vec<String>,
    },
    /// It has all that was wanted, and adds what makes it another quantity: all that, and what does so.
    Another(Vec<String>, Vec<String>),
    /// It is something else, and lacks so many words.
    Other(usize, String),
    /// Nothing of the wanted name is in it.
    Nothing,
}

fn compare(wanted: &Meaning<'_>, tag: &Meaning<'_>, run: &Directories<'_>) -> Compared {
    let is_squashed =
        !wanted.squashed.is_empty() && wanted.squashed == tag.squashed && wanted.numbers == tag.numbers;
    let extra = beyond(tag, wanted);
    let is_within = |word: &&Word| !word.is_scope || !extra.iter().any(|extra| extra.part == word.part);
    let mut hits = vec![Hit::Nothing; wanted.core.len()];
    find(&wanted.core, &tag.core.iter().filter(is_within).collect::<Vec<_>>(), &mut hits);
    let tells = wanted.telling();
    if hits.iter().zip(tells).all(|(hit, tells)| *hit == Hit::Nothing || !tells) && !is_squashed {
        return Compared::Nothing;
    }
    let is_word_by_run = hits.contains(&Hit::Nothing);
    find(&wanted.core, &run.words(), &mut hits);
    let words = wanted.core.iter().zip(&hits).filter(|(_, hit)| **hit == Hit::Nothing);
    let numbers = wanted.numbers.iter().filter(|number| !has(tag, number) && !run.has(number));
    let mut lacking: Vec<&str> = words
        .map(|(word, _)| word.raw.as_str())
        .chain(numbers.map(|number| number.digits.as_str()))
        .collect();
    lacking.dedup();
    let other = |why: String| Compared::Other(lacking.len() + 1, why);
    if tag.is_counter() {
        return other("it counts or sets, and measures nothing".to_owned());
    }
    let split = tag.split.or(run.split);
    if is_squashed {
        let is_case = wanted.name.to_lowercase() == tag.name.to_lowercase();
        let how = if is_case { NearMiss::Case } else { NearMiss::Characters };
        let rank = Rank::exact(how, split);
        return Compared::Same { rank, how, is_by_run: false, is_number_by_run: false, adds: Vec::new() };
    }
    if let Some(of) = wanted.split
        && split.map(data) != Some(data(of))
    {
        let why = match split {
            Some(split) => format!("it is of {} data", data(split)),
            None => format!("nothing says that it is of {} data", data(of)),
        };
        return other(why);
    }
    if !lacking.is_empty() {
        let are = if lacking.len() == 1 { "is" } else { "are" };
        return other(format!("`{}` {are} not in its name", lacking.join("`, `")));
    }
    let (adds, n_extra) = match added(wanted, tag, &extra) {
        Ok(added) => added,
        Err(another) => return another,
    };
    let n_misspelled = hits.iter().filter(|hit| **hit == Hit::Misspelled).count()
        + usize::from(wanted.is_split_misspelled || tag.is_split_misspelled);
    let is_number_by_run = wanted.numbers.iter().any(|number| !has(tag, number));
    let is_by_run = is_word_by_run || is_number_by_run || (wanted.split.is_some() && tag.split.is_none());
    let n_beyond = |one: &Meaning<'_>, other: &Meaning<'_>| {
        one.frame.iter().filter(|word| !other.frame.contains(word)).count()
    };
    let n_frame = (n_beyond(wanted, tag), n_beyond(tag, wanted));
    let how = if is_by_run {
        NearMiss::Run
    } else if n_misspelled > 0 {
        NearMiss::Spelling
    } else if is_counted(wanted.name, tag.name) {
        NearMiss::Counter
    } else if n_extra == 0 && n_frame == (0, 0) {
        NearMiss::Words
    } else {
        NearMiss::Scope
    };
    let is_other_split = wanted.split.is_some() && wanted.split != split;
    let is_of_step = tag.frame.iter().any(|word| word == "batch" || word == "step");
    let is_reworded = !is_last_part(wanted.name, tag.name);
    let rank = Rank {
        n_misspelled,
        n_extra: if is_reworded { n_extra } else { 0 },
        is_other_split,
        is_reworded,
        n_frame,
        is_of_step,
        ..Rank::exact(how, split)
    };
    Compared::Same { rank, how, is_by_run, is_number_by_run, adds }
}

/// Whether a tag has a number, and none other in its place.
fn has(tag: &Meaning<'_>, wanted: &Number) -> bool {
    let mut beside = tag.numbers.iter().filter(|number| number.after == wanted.after).peekable();
    let is_same = |number: &Number| number.digits == wanted.digits;
    match beside.peek() {
        Some(_) => beside.any(is_same),
        None => tag.numbers.iter().any(|number| is_same(number) && !number.is_of_loader()),
    }
}

/// The words of a name that are not in another.
fn beyond<'w>(name: &'w Meaning<'_>, other: &Meaning<'_>) -> Vec<&'w Word> {
    let mut hits = vec![Hit::Nothing; name.core.len()];
    find(&name.core, &other.core.iter().collect::<Vec<_>>(), &mut hits);
    name.core.iter().zip(hits).filter(|(_, hit)| *hit == Hit::Nothing).map(|(word, _)| word).collect()
}

/// What a tag adds to a wanted name that leaves it the same quantity only if no other tag has it, and how many words it
/// adds in all. An error: something of it makes it another quantity.
fn added(wanted: &Meaning<'_>, tag: &Meaning<'_>, extra: &[&Word]) -> Result<(Vec<String>, usize), Compared> {
    let is_extra = |number: &&Number| !number.is_of_loader() && !is_wanted(wanted, number);
    let numbers: Vec<&Number> = tag.numbers.iter().filter(is_extra).collect();
    let words = extra.iter().map(|word| (wanted.with(word), &word.raw));
    let added_numbers = numbers.iter().map(|number| {
        let is_copy = numbers.len() == 1 && wanted.numbers.is_empty();
        let is_copy = is_copy && wanted.may_be_counted(tag.name, number);
        (if is_copy { Added::Scope } else { Added::Other }, &number.digits)
    });
    let all: Vec<(Added, &String)> = words.chain(added_numbers).collect();
    let those = |is_meant: fn(Added) -> bool| {
        let mut words: Vec<String> = Vec::new();
        for (_, word) in all.iter().filter(|(added, _)| is_meant(*added)) {
            if !words.contains(word) {
                words.push((*word).clone());
            }
        }
        words
    };
    let (adds, of_those) = (those(|added| added != Added::Same), those(|added| added == Added::Other));
    if of_those.is_empty() { Ok((adds, all.len())) } else { Err(Compared::Another(adds, of_those)) }
}

fn is_wanted(wanted: &Meaning<'_>, number: &Number) -> bool {
    wanted.numbers.iter().any(|wanted| wanted.digits == number.digits)
}

/// Whether `seen` is `wanted` with a counter: `accuracy_1`.
fn is_counted(wanted: &str, seen: &str) -> bool {
    let stem = seen.trim_end_matches(|c: char| c.is_ascii_digit());
    stem.len() < seen.len() && stem.strip_suffix('_') == Some(wanted)
}

/// What the user calls the data; who looks for `eval_loss` is served by `val_loss`.
fn data(split: Split) -> &'static str {
    match split {
        Split::Validation | Split::Development | Split::Evaluation => "validation",
        Split::HoldOut => "held-out",
        Split::Test => "test",
        Split::Train => "training",
    }
}

/// How a wanted word was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hit {
    Nothing,
    Misspelled,
    Whole,
}

/// Looks for the words of `wanted` that were not found yet among `there`, in one word or in several that stand together.
fn find(wanted: &[Word], there: &[&Word], hits: &mut [Hit]) {
    let plain = |words: &[&Word]| words.iter().map(|word| word.plain.as_str()).collect::<String>();
    let wanted_words: Vec<&Word> = wanted.iter().collect();
    for (at, word) in wanted.iter().enumerate() {
        let is_there = there.iter().any(|other| other.plain == word.plain)
            || (2..=3).any(|n| there.windows(n).any(|words| plain(words) == word.plain));
        // `logloss` where `log_loss` was looked for.
        let is_part = (2..=3).any(|n| {
            let mut windows = wanted_words.windows(n).enumerate();
            windows.any(|(first, words)| {
                (first..first + n).contains(&at) && there.iter().any(|other| other.plain == plain(words))
            })
        });
        let is_misspelled = || there.iter().any(|other| are_one_misspelled(word, other));
        if let Some(hit) = hits.get_mut(at).filter(|hit| **hit == Hit::Nothing) {
            if is_there || is_part {
                *hit = Hit::Whole;
            } else if is_misspelled() {
                *hit = Hit::Misspelled;
            }
        }
    }
}

/// Whether two words are one, spelled wrong on one side. Two that are known are two.
fn are_one_misspelled(word: &Word, other: &Word) -> bool {
    let knowledge = match (word.is_known, other.is_known) {
        (true, true) => return false,
        (false, false) => Knowledge::None,
        (true, false) | (false, true) => Knowledge::One,
    };
    is_misspelled(&word.raw, &other.raw, knowledge)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(wanted: &str, places: &[(&str, &str)]) -> (Vec<String>, Vec<String>) {
        let places: Vec<(Tag, RunName)> =
            places.iter().map(|(tag, run)| (Tag::from(*tag), RunName::from(*run))).collect();
        let near = nearby(wanted, places.iter().map(|(tag, run)| (tag, run)));
        let same = near.same.iter().map(|same| match &*same.runs {
            [run, ..] if same.needs_run => format!("{} in {run}", same.tag),
            _ => same.tag.to_string(),
        });
        (same.collect(), near.others.iter().map(|other| other.tag.to_string()).collect())
    }

    #[track_caller]
    fn check(wanted: &str, places: &[(&str, &str)], expected: &[&str]) {
        assert_eq!(shown(wanted, places).0, expected);
    }

    #[track_caller]
    fn check_tags(wanted: &str, tags: &[&str], expected: &[&str]) {
        check(wanted, &tags.iter().map(|tag| (*tag, ".")).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn changed_names_are_found() {
        check_tags("accuracy", &["accuracy_1", "loss"], &["accuracy_1"]);
        check_tags("acc", &["epoch_acc", "epoch_loss"], &["epoch_acc"]);
        check_tags("Episode / Total (mean)", &["Episode_/_Total__mean_"], &["Episode_/_Total__mean_"]);
        check_tags("metric", &["metric/scalar_summary"], &["metric/scalar_summary"]);
        check_tags("Accuracy", &["accuracy"], &["accuracy"]);
        check_tags("val_accuracy", &["val_acuracy"], &["val_acuracy"]);
        check_tags("accc", &["acc"], &["acc"]);
        check_tags("accuracy", &["loss", "lr", "accuracy"], &[]);
        check_tags("vaildation_loss", &["validation_loss"], &["validation_loss"]);
    }

    #[test]
    fn the_words_of_the_field_are_one_however_they_are_written() {
        check_tags("epoch_acc", &["epoch_accuracy", "epoch_loss"], &["epoch_accuracy"]);
        check_tags("val_accuracy", &["val_acc", "val_loss", "train_acc"], &["val_acc"]);
        check_tags("validation/accuracy", &["Accuracy/val", "Accuracy/train"], &["Accuracy/val"]);
        check_tags("valLoss", &["loss/validation"], &["loss/validation"]);
        check_tags("valloss", &["val_loss"], &["val_loss"]);
        check_tags("eval_loss", &["eval/loss", "train/loss"], &["eval/loss"]);
        check_tags("val_mse", &["val_mean_squared_error"], &["val_mean_squared_error"]);
        check_tags("val_mAP", &["val/map"], &["val/map"]);
        check_tags("mean_iou", &["mIoU"], &["mIoU"]);
        check_tags("mean_reward", &["rollout/ep_rew_mean", "rollout/ep_len_mean"], &["rollout/ep_rew_mean"]);
        check_tags("logloss", &["log_loss"], &["log_loss"]);
        check_tags("log_loss", &["LogLoss"], &["LogLoss"]);
    }

    #[test]
    fn the_words_of_the_run_count() {
        let keras = [
            ("epoch_loss", "train"),
            ("epoch_accuracy", "train"),
            ("epoch_learning_rate", "train"),
            ("epoch_loss", "validation"),
            ("epoch_accuracy", "validation"),
            ("evaluation_loss_vs_iterations", "validation"),
        ];
        check("val_accuracy", &keras, &["epoch_accuracy in validation"]);
        check("val_acc", &keras, &["epoch_accuracy in validation"]);
        check("train_acc", &keras, &["epoch_accuracy in train"]);
        check("acc", &keras, &["epoch_accuracy"]);
        check("val_loss", &keras, &["epoch_loss in validation", "evaluation_loss_vs_iterations"]);
        let estimator = [("accuracy", "."), ("accuracy", "eval")];
        check("eval/accuracy", &estimator, &["accuracy in eval"]);
        check(
            "losses/train",
            &[("losses", "losses/train"), ("losses", "losses/test")],
            &["losses in losses/train"],
        );
        check("train/accuracy", &[("accuracy", "train"), ("accuracy", "test")], &["accuracy in train"]);
        check("a/acc", &[("acc", "a"), ("acc", "b")], &["acc in a"]);
    }

    #[test]
    fn another_quantity_is_no_remedy() {
        #[track_caller]
        fn check(wanted: &str, places: &[(&str, &str)], others: &[&str]) {
            let (same, shown) = shown(wanted, places);
            assert_eq!((same.len(), shown), (0, others.iter().map(ToString::to_string).collect()));
        }
        check("Accuracy/val", &[("Accuracy/test", "."), ("Loss/test", ".")], &["Accuracy/test"]);
        check("val_accuracy", &[("accuracy", "train")], &["accuracy"]);
        check("val_accuracy", &[("accuracy", ".")], &["accuracy"]);
        check("top_5_accuracy", &[("top_1_accuracy", ".")], &["top_1_accuracy"]);
        check("accuracy_1", &[("accuracy", ".")], &["accuracy"]);
        check("mAP50", &[("mAP50-95", ".")], &["mAP50-95"]);
        check("policy_loss", &[("value_loss", ".")], &["value_loss"]);
        check("loss", &[("loss_scale", "."), ("lr", ".")], &["loss_scale"]);
        check("val_loss_epoch", &[("train_loss_step", "."), ("epoch", ".")], &["train_loss_step"]);
    }

    #[test]
    fn counters_and_learning_rates_are_never_a_remedy() {
        let places = [
            ("epoch", "."),
            ("step", "."),
            ("global_step", "."),
            ("iterations", "."),
            ("lr", "."),
            ("lr-Adam/pg1", "."),
            ("epoch_learning_rate", "."),
            ("train_loss_step", "."),
            ("val_acc", "."),
            ("val_acc_epoch/dataloader_idx_0", "."),
        ];
        for wanted in
            ["val_loss_epoch", "valid_loss_step", "learning_rate", "Epoch", "steps", "iteration", "rate"]
        {
            check(wanted, &places, &[]);
        }
        check("val_acc_epoch", &places, &["val_acc_epoch/dataloader_idx_0", "val_acc"]);
    }

    #[test]
    fn what_a_tag_has_beyond_the_wanted_name_must_leave_it_the_same_quantity() {
        check_tags("loss", &["total_loss", "box_loss"], &["total_loss"]);
        check_tags("reward", &["rollout/ep_rew_mean", "rollout/ep_len_mean"], &["rollout/ep_rew_mean"]);
        check_tags("f1", &["f1_score", "f2_score"], &["f1_score"]);
        check_tags("loss", &["dnn/head/loss", "dnn/bias"], &["dnn/head/loss"]);
        check_tags("mAP50", &["metrics/mAP50(B)", "metrics/mAP50-95(B)"], &["metrics/mAP50(B)"]);
        check_tags("mAP_0.5", &["mAP50", "mAP50-95"], &["mAP50"]);
        check_tags("accuracy_top5", &["acc5", "acc1"], &["acc5"]);
        for (wanted, tags) in [
            ("loss", &["policy_loss"][..]),
            ("loss", &["a/loss", "b/loss"]),
            ("loss", &["critic/loss"]),
            ("loss", &["loss_0"]),
            ("loss", &["loss_1", "loss_2"]),
            ("accuracy", &["acc5", "top_5_accuracy", "accuracy_5", "accuracy/baseline"]),
            ("accuracy", &["mask/accuracy", "fast/cls_accuracy"]),
            ("bleu", &["bleu_1", "bleu_4"]),
            ("mse", &["rmse", "msle"]),
            ("entropy", &["cross_entropy", "losses/entropy", "entropy_loss"]),
            ("auc", &["auc_precision_recall"]),
            ("macro_f1", &["micro_f1"]),
            ("mAP50", &["mAP50(B)", "mAP50(M)"]),
            ("psnr", &["snr"]),
            ("step_reward", &["episode_reward"]),
        ] {
            check_tags(wanted, tags, &[]);
        }
    }

    #[test]
    fn a_number_stands_where_it_was_asked_for() {
        check_tags("val/loss/dataloader_idx_0", &["val_loss/dataloader_idx_1", "val_loss"], &[]);
        check_tags("acc1", &["val_acc/dataloader_idx_1", "acc/dataloader_idx_1"], &[]);
        check_tags("layer_1/head_2/loss", &["layer_2/head_1/loss"], &[]);
        check_tags("loss_10", &["loss1_0"], &[]);
        check("accuracy_1", &[("accuracy", "version_1")], &[]);
        check("fold_1/acc", &[("acc", "fold_0"), ("acc", "fold_1")], &["acc in fold_1"]);
    }

    #[test]
    fn directories_named_for_a_host_or_an_experiment_add_no_words() {
        check("box_loss", &[("train/loss", "Nov26_10-00-00_box")], &[]);
        check("policy_loss", &[("loss", "policy_gradient/version_0")], &[]);
        check("policy_loss", &[("loss", "policy"), ("loss", "value")], &["loss in policy"]);
        check_tags("policy_loss", &["learner/default_policy/total_loss"], &[]);
    }

    #[test]
    fn it_is_told_how_a_tag_differs() {
        #[track_caller]
        fn check(wanted: &str, seen: &str, expected: NearMiss) {
            let (tag, run) = (Tag::from(seen), RunName::from("x"));
            let near = nearby(wanted, std::iter::once((&tag, &run)));
            assert_eq!(near.same.first().map(|same| same.how), Some(expected), "{seen}");
        }
        check("accuracy", "accuracy_1", NearMiss::Counter);
        check("acc", "epoch_acc", NearMiss::Scope);
        check("acc", "accuracy", NearMiss::Words);
        check("x/acc", "acc", NearMiss::Run);
        check("Episode / Total (mean)", "Episode_/_Total__mean_", NearMiss::Characters);
        check("Accuracy", "accuracy", NearMiss::Case);
        check("accuracy", "acuracy", NearMiss::Spelling);
    }
}
