//! The report of a job: one HTML file that shows it as the page of the service does, without a server.
//!
//! The views are the page's own files; `bundle` makes one script of their modules. What they would ask the server for stands
//! in the file, made by the same code that answers them there. Curves are reduced to what can be seen.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;

use super::importance;
use super::own::{TrialCurve, notes_of};
use super::snapshots::Snapshot;
use super::summary::JobDetail;
use crate::app::Failure;
use crate::app::jobs::{self, KnownJob};
use crate::app::prepare::store_failure;
use crate::edge::store::Store;
use crate::plot::filled;
use crate::study::{Goal, Trial};
use crate::units::TrialId;

/// The most curves: the page draws no more.
const MAX_CURVES: usize = 300;

/// How many points all curves have together, and one of them at least and at most: some 16 bytes each, and a chart is a few
/// hundred pixels wide.
const MAX_POINTS: usize = 50_000;
/// See [`MAX_POINTS`].
const POINTS_A_CURVE: (usize, usize) = (40, 200);

/// How many digits a value of a curve has: more than a chart or its tip shows.
const N_DIGITS: usize = 7;

/// The page's modules by their names, each behind those that it imports.
const MODULES: [(&str, &str); 14] = [
    ("axis", include_str!("../plot/axis.js")),
    ("text", include_str!("page/text.js")),
    ("dom", include_str!("page/dom.js")),
    ("frames", include_str!("page/frames.js")),
    ("canvas", include_str!("page/canvas.js")),
    ("chart", include_str!("page/chart.js")),
    ("parallel", include_str!("page/parallel.js")),
    ("api", include_str!("page/record.js")),
    ("model", include_str!("page/model.js")),
    ("table", include_str!("page/table.js")),
    ("progress", include_str!("page/progress.js")),
    ("jobcharts", include_str!("page/jobcharts.js")),
    ("trials", include_str!("page/trials.js")),
    ("job", include_str!("page/job.js")),
];

const DRIVER: &str = include_str!("page/report.js");

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    version: &'static str,
    made_at: String,
    job: JobDetail,
    curves: Vec<TrialCurve>,
}

/// The report of a job as an HTML page that refers to nothing outside.
///
/// # Errors
/// The job is not there, or the store cannot be read.
pub fn html(store: &Path, id: &str) -> Result<String, Failure> {
    let known = jobs::describe(store, id)?;
    let store = Store::open_to_read(store).map_err(store_failure)?;
    let number = known.stored.number;
    let count = |trial: &Trial| match trial.curve.points().last() {
        Some(last) => store.tally(number, trial.id, last.position()).map(|tally| (trial.id, tally.n)),
        None => Ok((trial.id, 0)),
    };
    let counts: Result<_, _> = known.stored.trials.iter().map(count).collect();
    Ok(page(known, counts.map_err(store_failure)?, Timestamp::now()))
}

fn page(known: KnownJob, counts: std::collections::BTreeMap<TrialId, u64>, now: Timestamp) -> String {
    let curves = curves(&known);
    let snapshot = Snapshot {
        is_led: known.stored.is_held(),
        known: Arc::new(known),
        counts: Arc::new(counts),
        changed: Arc::default(),
        rewinds: Arc::default(),
        answer: Arc::default(),
    };
    let notes = notes_of(&snapshot.known.stored.job);
    let importance = importance::shares(&snapshot);
    let mut job = JobDetail::of(&snapshot, notes, importance);
    // What goes on has gone on until now.
    let made_at = now.to_string();
    job.summary.end_time.get_or_insert_with(|| made_at.clone());
    for trial in job.trials.iter_mut().filter(|trial| trial.start_time.is_some()) {
        trial.end_time.get_or_insert_with(|| made_at.clone());
    }
    let title = format!("{} · hptune", job.summary.job_id);
    let record = Record { version: env!("CARGO_PKG_VERSION"), made_at, job, curves };
    let json = serde_json::to_string(&record).expect("plain data serialize");
    filled(include_str!("page/report.html"), &title, include_str!("page/page.css"), &json, &bundle())
}

/// The curves that say most, where there are more than the page draws: of the best, and of the latest.
fn curves(known: &KnownJob) -> Vec<TrialCurve> {
    let (spec, trials) = (known.spec(), &known.stored.trials);
    let mut told: Vec<&Trial> = trials.iter().filter(|trial| !trial.curve.points().is_empty()).collect();
    if told.len() > MAX_CURVES {
        let rank = |trial: &Trial| match trial.result(spec.goal, spec.reduce) {
            Some(result) if !result.value.is_finite() => f64::INFINITY,
            Some(result) if spec.goal == Goal::Minimize => result.value,
            Some(result) => -result.value,
            None => f64::INFINITY,
        };
        let mut ranked = told.clone();
        ranked.sort_by(|a, b| rank(a).total_cmp(&rank(b)));
        let best = ranked.iter().take(MAX_CURVES / 3);
        let latest = told.iter().rev().take(MAX_CURVES - MAX_CURVES / 3);
        let kept: BTreeSet<TrialId> = best.chain(latest).map(|trial| trial.id).collect();
        told.retain(|trial| kept.contains(&trial.id));
    }
    let (least, most) = POINTS_A_CURVE;
    let n = (MAX_POINTS / told.len().max(1)).clamp(least, most);
    told.into_iter().map(|trial| TrialCurve::of(trial, n).rounded(N_DIGITS)).collect()
}

/// One script of the page's modules: each a function that gives what it exports, so that their names stay apart.
fn bundle() -> String {
    let mut script = String::new();
    for (name, source) in MODULES {
        let (body, exports) = module(source);
        script += &format!("const ${name} = (() => {{\n{body}return {{ {} }};\n}})();\n", exports.join(", "));
    }
    script + &module(DRIVER).0
}

/// The text of a module with its imports taken from the functions before it, and the names that it exports.
fn module(source: &str) -> (String, Vec<&str>) {
    let (mut body, mut exports) = (String::new(), Vec::new());
    let mut rest = source;
    while let Some(line) = rest.lines().next() {
        if let Some((names, from, behind)) = import(rest) {
            body += &format!("const {{{}}} = ${from};\n", names.replace(" as ", ": "));
            rest = behind;
            continue;
        }
        let exported = line.strip_prefix("export ");
        if let Some(declared) = exported {
            let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
            let kinds = ["async ", "function ", "class ", "const "];
            let named = kinds.iter().fold(declared, |rest, kind| rest.strip_prefix(kind).unwrap_or(rest));
            exports.push(named.split(|c| !is_part(c)).next().unwrap_or_default());
        }
        body.extend([exported.unwrap_or(line), "\n"]);
        rest = rest.get(line.len()..).unwrap_or_default();
        rest = rest.strip_prefix('\n').unwrap_or(rest);
    }
    (body, exports)
}

/// The names and the module of the import statement with which a text begins, and what follows it.
fn import(text: &str) -> Option<(&str, &str, &str)> {
    let (names, rest) = text.strip_prefix("import {")?.split_once("} from \"/")?;
    let (from, rest) = rest.split_once(".js\";\n")?;
    Some((names, from, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_becomes_a_function() {
        let source = "import { a, b as c } from \"/one.js\";\nimport {\n  d,\n} from \"/two.js\";\n// export nothing\n\
                      export const e = 1;\nexport async function f() {}\nfunction g() {}\nexport class H {}\n";
        let (body, exports) = module(source);
        assert_eq!(exports, ["e", "f", "H"]);
        assert_eq!(
            body,
            "const { a, b: c } = $one;\nconst {\n  d,\n} = $two;\n// export nothing\nconst e = 1;\nasync function f() {}\n\
             function g() {}\nclass H {}\n"
        );
    }

    #[test]
    fn every_module_comes_behind_those_that_it_imports_and_finds_their_names() {
        let mut known: Vec<(&str, Vec<&str>)> = Vec::new();
        for (name, source) in MODULES.into_iter().chain([("report", DRIVER)]) {
            let mut rest = source;
            while let Some(at) = rest.find("import {") {
                let (names, from, behind) = import(&rest[at..]).expect("an import");
                let (_, exports) = known.iter().find(|(known, _)| *known == from).expect("it comes before");
                for wanted in names.split(',').map(str::trim).filter(|wanted| !wanted.is_empty()) {
                    let wanted = wanted.split(" as ").next().unwrap_or_default();
                    assert!(exports.contains(&wanted), "{name}.js imports {wanted} of {from}.js");
                }
                rest = behind;
            }
            known.push((name, module(source).1));
        }
        let script = bundle();
        assert!(!script.lines().any(|line| line.starts_with("import ") || line.starts_with("export ")));
        assert!(!script.contains("</script") && !script.contains("<!--"));
    }
}
