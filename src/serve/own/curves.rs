//! The curves of all trials of a job, each reduced to what a chart shows.

use axum::extract::{Path, Query, State};
use serde::Serialize;
use utoipa::ToSchema;

use super::with_job;
use crate::serve::body::Answer;
use crate::serve::error::ApiError;
use crate::serve::{App, Queried};
use crate::study::Curve;
use crate::units::serialize_f64;

/// How many points a curve has where nothing is asked for, and the most that it may have.
const DEFAULT_POINTS: usize = 200;
/// See [`DEFAULT_POINTS`].
const MAX_POINTS: usize = 2_000;

/// The curves of a job.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Curves {
    /// What `since` takes: then only trials that have changed are given.
    cursor: String,
    curves: Vec<TrialCurve>,
}

/// The curve of a trial.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TrialCurve {
    trial_id: u32,
    /// Pairs of a step and a value.
    #[schema(value_type = Vec<Vec<f64>>)]
    points: Vec<CurvePoint>,
}

impl TrialCurve {
    /// The curve of a trial, in at most so many points.
    pub(crate) fn of(trial: &crate::study::Trial, most: usize) -> Self {
        Self { trial_id: trial.id.get(), points: reduce(&trial.curve, most) }
    }

    /// The same with values of so many significant digits.
    pub(crate) fn rounded(mut self, n_digits: usize) -> Self {
        for point in &mut self.points {
            let rounded = format!("{:.*e}", n_digits.saturating_sub(1), point.1).parse();
            point.1 = rounded.unwrap_or(point.1);
        }
        self
    }
}

/// A step and a value, as a pair.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct CurvePoint(pub(crate) i64, #[serde(serialize_with = "serialize_f64")] pub(crate) f64);

/// The curves of the trials of a job.
#[utoipa::path(
    get,
    path = "/api/v1/jobs/{job}/curves",
    tag = "jobs",
    params(
        ("job" = String, Path, description = "The name of the job"),
        ("maxPoints" = Option<u64>, Query, description = "How many points of a trial at most"),
        ("since" = Option<String>, Query, description = "`cursor` of an earlier answer: only trials that have changed since then"),
        ("trials" = Option<String>, Query, description = "Only these trials: numbers with commas between"),
    ),
    responses(
        (status = 200, description = "The curves", body = Curves),
    )
)]
pub(in crate::serve) async fn curves(
    State(shared): App,
    Path(job): Path<String>,
    Query(query): Queried,
) -> Result<Answer, ApiError> {
    let most = number(&query, "maxPoints", DEFAULT_POINTS, MAX_POINTS)?.max(2);
    // Only these trials, by number.
    let wanted: Option<std::collections::BTreeSet<u32>> = query
        .get("trials")
        .filter(|trials| !trials.is_empty())
        .map(|trials| trials.split(',').filter_map(|number| number.trim().parse().ok()).collect());
    let since = query.get("since").filter(|since| !since.is_empty()).map(|since| {
        since
            .split_once('-')
            .and_then(|(n, total)| Some((n.parse::<u64>().ok()?, total.parse::<u64>().ok()?)))
    });
    let got = with_job(&shared, &job, move |_, snapshot| {
        let stored = &snapshot.known.stored;
        // The number of the job in the store and its revision: a cursor of another job of this name is void.
        let number = stored.number.get().unsigned_abs();
        let cursor = format!("{number}-{}", stored.etag);
        let since = since.flatten().filter(|(of, _)| *of == number).map(|(_, etag)| etag);
        let changed = |trial: &&crate::study::Trial| match since {
            None => true,
            Some(etag) => snapshot.changed.get(&trial.id).is_none_or(|at| at.0 > etag),
        };
        let curve = |trial: &crate::study::Trial| TrialCurve::of(trial, most);
        let is_wanted =
            |trial: &&crate::study::Trial| wanted.as_ref().is_none_or(|ids| ids.contains(&trial.id.get()));
        let curves = stored.trials.iter().filter(changed).filter(is_wanted).map(curve).collect();
        Answer::new(&Curves { cursor, curves })
    });
    got.await
}

/// A number of a query: `default` where there is none, no more than `most`.
///
/// # Errors
/// It is no number.
pub(super) fn number(
    query: &std::collections::HashMap<String, String>,
    name: &str,
    default: usize,
    most: usize,
) -> Result<usize, ApiError> {
    match query.get(name).filter(|text| !text.is_empty()).map(|text| text.parse::<u64>()) {
        None => Ok(default),
        Some(Ok(number)) => Ok(usize::try_from(number).unwrap_or(most).min(most)),
        Some(Err(_)) => Err(ApiError::of_field(name, "want a number, 0 or more")),
    }
}

/// Points of a curve by global step: of so many neighbours the lowest and the highest, so that no spike is lost, the first
/// and the last as they are. Values that are not finite are left out where there are too many points.
pub(crate) fn reduce(curve: &Curve, most: usize) -> Vec<CurvePoint> {
    let points: Vec<CurvePoint> =
        curve.by_global_step().map(|(step, m)| CurvePoint(step.0, m.value)).collect();
    reduced(points, most)
}

/// See [`reduce`].
pub(crate) fn reduced(points: Vec<CurvePoint>, most: usize) -> Vec<CurvePoint> {
    let ([first, inner @ .., last], true) = (&*points, points.len() > most) else { return points };
    let per_bucket = inner.len().div_ceil((most.saturating_sub(2) / 2).max(1));
    let mut kept = vec![*first];
    for bucket in inner.chunks(per_bucket) {
        let finite = || bucket.iter().enumerate().filter(|(_, point)| point.1.is_finite());
        let low = finite().min_by(|a, b| a.1.1.total_cmp(&b.1.1));
        let high = finite().max_by(|a, b| a.1.1.total_cmp(&b.1.1));
        let (Some(low), Some(high)) = (low, high) else { continue };
        let (early, late) = if low.0 <= high.0 { (low, high) } else { (high, low) };
        kept.push(*early.1);
        if early.0 != late.0 {
            kept.push(*late.1);
        }
    }
    kept.push(*last);
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spike_and_both_ends_stay() {
        let mut points: Vec<CurvePoint> = (0..10_000).map(|n| CurvePoint(n, (n % 7) as f64)).collect();
        points[5_003].1 = 1e9;
        points[6_000].1 = f64::NAN;
        let kept = reduced(points.clone(), 200);
        assert!(kept.len() <= 200, "{}", kept.len());
        assert!(kept.contains(&CurvePoint(5_003, 1e9)));
        assert_eq!((kept.first(), kept.last()), (points.first(), points.last()));
        assert!(kept.windows(2).all(|pair| pair[0].0 < pair[1].0));
        assert_eq!(reduced(points[..200].to_vec(), 200), points[..200]);
    }
}
