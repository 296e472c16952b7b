//! `plot`: the chosen series as curves.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use tfevents::{Contents, Faults, Keep, ScalarSeries};

use super::{Failure, open_logs};
use crate::limits::{MAX_CHARTS, MAX_CURVES};
use crate::objective::SeriesFilter;
use crate::plot::{self, Curve, Look, Pixels};
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

/// The curves of the chosen series.
#[derive(Debug)]
pub struct Curves {
    curves: Vec<NamedCurve>,
    /// Series all of whose points are at step 0.
    without_steps: Vec<String>,
    other_tags: BTreeSet<Tag>,
    has_no_files: bool,
    names_tags: bool,
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
}

/// Curves that are drawn together.
#[derive(Debug, Clone)]
pub struct Chart {
    /// What stands above it.
    pub title: String,
    /// The curves.
    pub curves: Vec<Curve>,
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
        let names_tags = filter.names_tags();
        Ok(Self { curves, without_steps, other_tags: others, has_no_files, names_tags, faults })
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

    /// The curves in one chart, or in one chart a tag, no more than are told apart.
    #[must_use]
    pub fn charts(&self, together: bool) -> Vec<Chart> {
        if together {
            return vec![chart(&self.curves.iter().collect::<Vec<_>>())];
        }
        let of_tags = self.curves.chunk_by(|a, b| a.tag == b.tag).take(MAX_CHARTS);
        of_tags.map(|curves| chart(&curves.iter().collect::<Vec<_>>())).collect()
    }

    /// What was left out, and what cannot be seen.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        let tags = self.curves.chunk_by(|a, b| a.tag == b.tag);
        let n_tags = tags.clone().count();
        let n_most =
            if self.names_tags { self.curves.len() } else { tags.map(<[_]>::len).max().unwrap_or(0) };
        if !self.names_tags && n_tags > MAX_CHARTS {
            notes.push(format!("{} of {n_tags} tags are drawn; choose with --tag", MAX_CHARTS));
        }
        if n_most > MAX_CURVES {
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

    /// All curves as one picture.
    ///
    /// # Errors
    /// Several tags of which none was named; a size that cannot be drawn.
    pub fn draw(&self, drawing: Drawing, look: Look, size: Pixels) -> Result<Vec<u8>, Failure> {
        let tags: BTreeSet<&Tag> = self.curves.iter().map(|curve| &curve.tag).collect();
        if !self.names_tags && tags.len() > 1 {
            let mut named: Vec<String> =
                tags.iter().take(8).map(|tag| format!("`{}`", plot::printable(tag.as_str()))).collect();
            if tags.len() > named.len() {
                named.push(format!("{} more", tags.len() - named.len()));
            }
            return Err(Failure::usage("a picture holds one chart, and there are several tags")
                .with_hint(format!("choose with --tag among {}", named.join(", "))));
        }
        let chart = chart(&self.curves.iter().collect::<Vec<_>>());
        let look = Look { title: chart.title, ..look };
        let failed = |e: plot::PlotError| Failure::usage(e.to_string());
        match drawing {
            Drawing::Svg => plot::svg(&chart.curves, &look, size).map(String::into_bytes).map_err(failed),
            Drawing::Png => plot::png(&chart.curves, &look, size).map_err(failed),
            Drawing::Html => Ok(plot::html(&chart.curves, &look).into_bytes()),
        }
    }
}

/// A chart of some curves. What all have in common stands above it, the rest in their names.
fn chart(curves: &[&NamedCurve]) -> Chart {
    let is_one_tag = curves.windows(2).all(|pair| matches!(pair, [a, b] if a.tag == b.tag));
    let is_one_run = curves.windows(2).all(|pair| matches!(pair, [a, b] if a.run == b.run));
    let name = |curve: &NamedCurve| {
        let mut name = match (is_one_tag, is_one_run) {
            (true, _) => curve.run.to_string(),
            (false, true) => curve.tag.to_string(),
            (false, false) => format!("{} · {}", curve.run, curve.tag),
        };
        if let Some(attempt) = curve.attempt {
            name.push_str(&format!(" (attempt {attempt})"));
        }
        name
    };
    let title = curves.first().map(|first| match (is_one_tag, is_one_run) {
        (true, _) => first.tag.to_string(),
        (false, true) if first.run.as_str() != "." => first.run.to_string(),
        (false, _) => String::new(),
    });
    let drawn = curves.iter().take(MAX_CURVES);
    let drawn = drawn.map(|curve| Curve {
        name: name(curve),
        points: curve.points.clone(),
        smoothed: curve.smoothed.clone(),
        dropped: curve.dropped,
    });
    let curves = drawn.collect();
    Chart { title: title.unwrap_or_default(), curves }
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
