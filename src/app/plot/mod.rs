//! `plot`: the chosen series as curves, or those of a job's trials.

mod job;

pub use job::series_of_trial;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use tfevents::{Contents, Faults, Keep, ScalarSeries};

use super::{Failure, open_logs};
use crate::limits::{MAX_CHARTS, MAX_CURVES};
use crate::objective::SeriesFilter;
use crate::plot::{self, Chart, Curve, End, Look, Paint, Pixels};
use crate::units::{RunName, Tag};
use tfevents::series::{Dropped, Point};

/// What goes along the x axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Abscissa {
    /// The step.
    Step,
    /// Seconds since the first point of the curve.
    Relative,
    /// The writer's clock, in seconds since 1970.
    Wall,
}

impl Abscissa {
    /// What stands at the axis.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Step => "step",
            Self::Relative => "seconds",
            Self::Wall => "seconds since 1970",
        }
    }
}

/// What a picture is written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drawing {
    /// Scalable vector graphics.
    Svg,
    /// A bitmap.
    Png,
    /// A page that answers to the pointer.
    Html,
}

/// Which curves are drawn over the same axes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Layout {
    /// Those of a tag: a chart each.
    #[default]
    ByTag,
    /// All.
    Together,
}

/// The curves of the chosen series, those of a tag behind each other.
#[derive(Debug)]
pub struct Curves {
    /// What stands above all of them: the job.
    title: String,
    curves: Vec<NamedCurve>,
    /// What else there is to say, below the charts.
    remarks: Vec<String>,
    /// Series all of whose points are at step 0.
    without_steps: Vec<String>,
    other_tags: BTreeSet<Tag>,
    has_no_files: bool,
    faults: Faults,
}

#[derive(Debug)]
struct NamedCurve {
    tag: Tag,
    run: RunName,
    /// The attempt, where each has a curve of its own.
    attempt: Option<u32>,
    points: Vec<(f64, f64)>,
    /// The smoothed curve at these points, where not all points are there.
    smoothed: Vec<(f64, f64)>,
    dropped: Dropped,
    /// The trial that it is of, where it is one of a job.
    trial: Option<OfTrial>,
}

/// How the curves of a trial are shown.
#[derive(Debug, Clone)]
struct OfTrial {
    name: String,
    paint: Paint,
    is_faint: bool,
    end: End,
    about: Vec<(String, String)>,
}

impl Curves {
    /// Reads the curves of the chosen series at or below `paths`; with `attempts`, one for each attempt. Of a long series
    /// those points are kept that a picture shows; a `smoothing` above 0 is that of the picture.
    ///
    /// # Errors
    /// One of `paths` is missing or cannot be looked at.
    pub fn read(
        paths: &[PathBuf],
        filter: &SeriesFilter,
        x: Abscissa,
        attempts: bool,
        smoothing: f64,
    ) -> Result<Self, Failure> {
        let mut logs = open_logs("plot", paths)?;
        logs.retain_runs(|run| filter.has_run(run));
        let Contents { series, others, faults } =
            logs.read(|tag| filter.has_tag(tag), Keep::Course(smoothing));
        let (mut curves, mut without_steps) = (Vec::new(), Vec::new());
        for ((tag, run), series) in series {
            let smoothed = (series.dropped().n > 0).then(|| series.smoothed());
            let mut smoothed = smoothed.map(|series| by_attempt(&series, attempts)).unwrap_or_default();
            for (attempt, points) in by_attempt(&series, attempts) {
                let smoothed = smoothed.remove(&attempt).unwrap_or_default();
                curves.push(NamedCurve {
                    tag: tag.clone(),
                    run: run.clone(),
                    attempt,
                    points: along(points, x),
                    smoothed: along(smoothed, x),
                    dropped: series.dropped(),
                    trial: None,
                });
            }
            if x == Abscissa::Step && series.lacks_steps() {
                without_steps.push(format!(
                    "`{}` in `{}`",
                    plot::printable(tag.as_str()),
                    plot::printable(run.as_str())
                ));
            }
        }
        let has_no_files = logs.files().is_empty();
        Ok(Self {
            title: String::new(),
            curves,
            remarks: Vec::new(),
            without_steps,
            other_tags: others,
            has_no_files,
            faults,
        })
    }

    /// Whether there is no curve.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.curves.is_empty()
    }

    /// Whether no event file was found at all.
    #[must_use]
    pub fn has_no_files(&self) -> bool {
        self.has_no_files
    }

    /// The tags that are drawn, once for each curve.
    pub fn tags(&self) -> impl Iterator<Item = &Tag> {
        self.curves.iter().map(|curve| &curve.tag)
    }

    /// The tags that hold numbers and were not chosen.
    pub fn other_tags(&self) -> impl Iterator<Item = &Tag> {
        self.other_tags.iter()
    }

    /// What was wrong with the files.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// The charts, no more of them and no more curves in one than are told apart.
    #[must_use]
    pub fn charts(&self, layout: Layout) -> Vec<Chart> {
        let all: Vec<&NamedCurve> = self.curves.iter().collect();
        let names = names(&all, layout == Layout::Together);
        match layout {
            Layout::Together => vec![chart(&all, &names, Paint::ByPlace)],
            Layout::ByTag => {
                let of_tags = self.curves.chunk_by(|a, b| a.tag == b.tag).take(MAX_CHARTS);
                let painted = |curves: &[NamedCurve]| {
                    let curves: Vec<&NamedCurve> = curves.iter().collect();
                    chart(&curves, &names, Paint::Of(0))
                };
                of_tags.map(painted).collect()
            }
        }
    }

    /// What was left out, and what cannot be seen.
    #[must_use]
    pub fn notes(&self, layout: Layout) -> Vec<String> {
        let mut notes = Vec::new();
        let tags = self.curves.chunk_by(|a, b| a.tag == b.tag);
        let n_tags = tags.clone().count();
        let n_most = match layout {
            Layout::Together => self.curves.len(),
            Layout::ByTag => tags.map(<[_]>::len).max().unwrap_or(0),
        };
        if layout == Layout::ByTag && n_tags > MAX_CHARTS {
            notes.push(format!("{} of {n_tags} tags are drawn; choose with --tag", MAX_CHARTS));
        }
        if n_most > MAX_CURVES && self.curves.iter().all(|curve| curve.trial.is_none()) {
            notes.push(format!(
                "{MAX_CURVES} of {n_most} curves are drawn in a chart; choose with --tag and --run"
            ));
        }
        let n_long = self.curves.iter().filter(|curve| curve.dropped.n > 0).count();
        if n_long > 0 {
            let curves = if n_long == 1 {
                "1 curve is long: its".to_owned()
            } else {
                format!("{n_long} curves are long: their")
            };
            notes.push(format!("{curves} lowest and highest values are drawn for each short stretch"));
        }
        if let [first, others @ ..] = &*self.without_steps {
            let more = if others.is_empty() { String::new() } else { format!(" and {} more", others.len()) };
            notes.push(format!("all points of {first}{more} are at step 0; draw them with --x relative"));
        }
        notes
    }

    /// All charts as one picture; of a size that is not given as much as they need.
    ///
    /// # Errors
    /// A size that cannot be drawn.
    pub fn draw(
        &self,
        drawing: Drawing,
        layout: Layout,
        look: Look,
        (width, height): (Option<u32>, Option<u32>),
    ) -> Result<Vec<u8>, Failure> {
        let charts = self.charts(layout);
        let default = Pixels::default();
        let n_rows = u32::try_from(charts.len().div_ceil(2)).unwrap_or(1).max(1);
        let needed = if charts.len() > 1 { 290 * n_rows + 110 } else { default.height };
        let size = Pixels { width: width.unwrap_or(default.width), height: height.unwrap_or(needed) };
        let look = self.look(look);
        let failed = |e: plot::PlotError| Failure::usage(e.to_string());
        match drawing {
            Drawing::Svg => plot::svg(&charts, &look, size).map(String::into_bytes).map_err(failed),
            Drawing::Png => plot::png(&charts, &look, size).map_err(failed),
            Drawing::Html => Ok(plot::html(&charts, &look).into_bytes()),
        }
    }

    /// A look with what there is to say of these curves.
    #[must_use]
    pub fn look(&self, look: Look) -> Look {
        let notes = look.notes.iter().chain(&self.remarks).cloned().collect();
        Look { title: self.title.clone(), notes, ..look }
    }
}

/// What the curves are called, one by one: that in which they differ.
type Names = BTreeMap<(RunName, Tag, Option<u32>), (usize, String)>;

/// The names of curves and their numbers, alike in every chart; `with_tags` where those of several tags stand in one.
fn names(curves: &[&NamedCurve], with_tags: bool) -> Names {
    let is_one_tag = curves.windows(2).all(|pair| matches!(pair, [a, b] if a.tag == b.tag));
    let runs: BTreeSet<&RunName> = curves.iter().map(|curve| &curve.run).collect();
    let shared = shared_parts(&runs);
    let mut numbers: BTreeMap<String, usize> = BTreeMap::new();
    let mut names = Names::new();
    for curve in curves {
        let run = without_parts(&curve.run, shared);
        let mut name = match (with_tags && !is_one_tag, runs.len()) {
            (true, 1) => curve.tag.to_string(),
            (true, _) => format!("{run} · {}", curve.tag),
            (false, _) => run,
        };
        if let Some(attempt) = curve.attempt {
            name.push_str(&format!(" (attempt {attempt})"));
        }
        let next = numbers.len();
        let number = *numbers.entry(name.clone()).or_insert(next);
        names.insert((curve.run.clone(), curve.tag.clone(), curve.attempt), (number, name));
    }
    names
}

/// How many directories all runs share at their beginning and at their end. Each keeps at least one of its own.
fn shared_parts(runs: &BTreeSet<&RunName>) -> (usize, usize) {
    let parts: Vec<Vec<&str>> = runs.iter().map(|run| run.as_str().split('/').collect()).collect();
    let (Some(first), true) = (parts.first(), parts.len() > 1) else { return (0, 0) };
    let least = parts.iter().map(Vec::len).min().unwrap_or(1) - 1;
    let is_shared = |idx: usize| parts.iter().all(|other| other.get(idx) == first.get(idx));
    let n_first = (0..least).take_while(|idx| is_shared(*idx)).count();
    let from_behind = |parts: &[&str], idx: usize| parts.iter().rev().nth(idx).map(|part| (*part).to_owned());
    let is_shared = |idx: usize| parts.iter().all(|other| from_behind(other, idx) == from_behind(first, idx));
    let n_last = (0..least - n_first).take_while(|idx| is_shared(*idx)).count();
    (n_first, n_last)
}

fn without_parts(run: &RunName, (n_first, n_last): (usize, usize)) -> String {
    let parts: Vec<&str> = run.as_str().split('/').collect();
    let end = parts.len().saturating_sub(n_last);
    parts.get(n_first..end).unwrap_or(&parts).join("/")
}

/// A chart of some curves. What all have in common stands above it, the rest in their names. With `paint` other than by their
/// places curves of one name are alike in all charts.
fn chart(curves: &[&NamedCurve], names: &Names, paint: Paint) -> Chart {
    let is_one = |is_same: fn(&NamedCurve, &NamedCurve) -> bool| {
        curves.windows(2).all(|pair| matches!(pair, [a, b] if is_same(a, b)))
    };
    let (is_one_tag, is_one_run) = (is_one(|a, b| a.tag == b.tag), is_one(|a, b| a.run == b.run));
    let title = curves.first().map(|first| match (is_one_tag, is_one_run) {
        (true, _) => first.tag.to_string(),
        (false, true) if first.run.as_str() != "." => first.run.to_string(),
        (false, _) => String::new(),
    });
    let drawn = curves.iter().enumerate().filter(|(idx, curve)| curve.trial.is_some() || *idx < MAX_CURVES);
    let drawn = drawn.map(|(_, curve)| {
        let (number, name) = names
            .get(&(curve.run.clone(), curve.tag.clone(), curve.attempt))
            .map_or((0, ""), |(number, name)| (*number, name));
        let plain = Curve {
            name: name.to_owned(),
            points: curve.points.clone(),
            smoothed: curve.smoothed.clone(),
            dropped: curve.dropped,
            paint: if paint == Paint::ByPlace { paint } else { Paint::Of(number) },
            ..Curve::default()
        };
        match &curve.trial {
            None => plain,
            Some(trial) => Curve {
                name: trial.name.clone(),
                paint: trial.paint,
                is_faint: trial.is_faint,
                end: trial.end,
                about: trial.about.clone(),
                ..plain
            },
        }
    });
    Chart { title: title.unwrap_or_default(), curves: drawn.collect() }
}

/// The points of each attempt, where each has a curve of its own and there are several; otherwise those that stand.
fn by_attempt(series: &ScalarSeries, attempts: bool) -> BTreeMap<Option<u32>, Vec<Point>> {
    let mut by_attempt: BTreeMap<Option<u32>, Vec<Point>> = BTreeMap::new();
    if attempts {
        series.all().for_each(|(point, attempt)| by_attempt.entry(Some(attempt)).or_default().push(point));
    }
    if by_attempt.len() > 1 {
        return by_attempt;
    }
    BTreeMap::from([(None, series.latest().map(|(point, _)| point).collect())])
}

fn along(points: Vec<Point>, x: Abscissa) -> Vec<(f64, f64)> {
    let mut begun = None;
    let mut at = |point: &Point| match x {
        Abscissa::Step => point.step.0 as f64,
        Abscissa::Relative => point.wall_time.0 - *begun.get_or_insert(point.wall_time.0),
        Abscissa::Wall => point.wall_time.0,
    };
    points.iter().map(|point| (at(point), point.value.as_f64())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_that_all_runs_share_are_left_out() {
        #[track_caller]
        fn check(runs: &[&str], expected: &[&str]) {
            let runs: Vec<RunName> = runs.iter().map(|run| RunName::from(*run)).collect();
            let shared = shared_parts(&runs.iter().collect());
            let names: Vec<String> = runs.iter().map(|run| without_parts(run, shared)).collect();
            assert_eq!(names, expected);
        }
        check(&["1/logs/eval", "2/logs/eval"], &["1", "2"]);
        check(&["jobs/a/train", "jobs/b/train", "jobs/b/c/train"], &["a", "b", "b/c"]);
        check(&["a/train", "a/eval"], &["train", "eval"]);
        check(&["a", "a/b"], &["a", "a/b"]);
        check(&["a/a", "a/a/a"], &["a", "a/a"]);
        check(&["only/one"], &["only/one"]);
    }
}
