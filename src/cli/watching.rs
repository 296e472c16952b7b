//! The verb that follows event files.

use std::io::Write;
use std::sync::Arc;

use super::args::{Goal, Watch};
use super::printer::{Printer, Style};
use super::tables;
use crate::app::watch::{self as app_watch, Better, Request, Rules, Selection, Until};
use crate::app::{Failure, doctor, pattern_hint};
use crate::edge::remote::is_address;
use crate::edge::sink::{SinkSpec, Token};
use crate::objective::SeriesFilter;
use crate::units::Step;

/// Watches to the end.
pub(super) fn watch(args: Watch, printer: Printer) -> Result<u8, Failure> {
    let request = request(args, |name| std::env::var(name).ok())?;
    let has_command = !request.command.is_empty();
    let (is_once, tags) = (request.until.once, request.selection.filter.names().to_vec());
    let watched = app_watch::watch(request, &mut |text| printer.talk(&format!("hptune: {text}")))?;
    let is_in_vain = watched.summary.is_some_and(|summary| summary.n_points == 0);
    if is_once && !has_command && is_in_vain && watched.code == 0 {
        let named: Vec<String> = tags.iter().map(|tag| format!("`{tag}`")).collect();
        let what = if named.is_empty() {
            "no values".to_owned()
        } else {
            format!("no values of {}", named.join(", "))
        };
        printer.error(&format!("{what} are there"));
        return Ok(1);
    }
    Ok(watched.code)
}

fn request(args: Watch, variable: impl Fn(&str) -> Option<String>) -> Result<Request, Failure> {
    for path in &args.job_dirs {
        let job_dir = path.to_string_lossy();
        if let Some((scheme, _)) = job_dir.split_once("://").filter(|_| !is_address(&job_dir)) {
            return Err(Failure::usage(format!("{job_dir}: directories of {scheme}:// cannot be followed"))
                .with_hint("want a directory, gs://BUCKET/PATH, s3://BUCKET/PATH or az://CONTAINER/PATH"));
        }
        if is_address(&job_dir) && args.job_dirs.len() > 1 {
            return Err(Failure::usage(format!(
                "{job_dir}: want no other directory beside one in an object store"
            ))
            .with_hint("one `hptune watch` for each, or the address above both"));
        }
        if let Some(hint) = pattern_hint("watch", path) {
            return Err(Failure::usage(format!("{job_dir}: no such directory")).with_hint(hint));
        }
    }
    let to = if args.to.is_empty() { vec!["-".to_owned()] } else { args.to };
    let sinks = to.iter().map(|text| {
        text.parse::<SinkSpec>()
            .map_err(|e| Failure { hint: e.hint, ..Failure::usage(format!("--to: {}", e.message)) })
    });
    let sinks: Vec<SinkSpec> = sinks.collect::<Result<_, _>>()?;
    let names: std::collections::BTreeSet<String> = sinks.iter().map(ToString::to_string).collect();
    if names.len() < sinks.len() {
        return Err(Failure::usage("--to: the same sink twice"));
    }
    let is_chief = !args.chief_only || is_chief(variable("TF_CONFIG").as_deref())?;
    let filter = SeriesFilter::of_names_and_globs(&args.tags, &args.tag_globs, &args.runs)?;
    let patience = match (args.patience, filter.names()) {
        (None, _) => None,
        (Some(n), [tag]) => {
            let better = if args.goal == Goal::Maximize { Better::Larger } else { Better::Smaller };
            Some((tag.clone(), n, better))
        }
        (Some(_), _) => {
            return Err(Failure::usage(
                "--patience: want exactly one --tag, the metric that is to get better",
            ));
        }
    };
    if let Some(rule) = args.stop_if.iter().find(|rule| !filter.has_tag(rule.tag().as_str())) {
        return Err(Failure::usage(format!(
            "--stop-if: `{}` is none of the tags that are followed",
            rule.tag()
        ))
        .with_hint(format!("add --tag {}", crate::app::quoted(rule.tag().as_str()))));
    }
    // A diagnosis is of one choice of runs; where several were named, of all that are there.
    let selector = filter.only_run();
    let token = args.token_file.map(Token::File);
    Ok(Request {
        job_dirs: args.job_dirs,
        selection: Selection { filter, every: args.every, since: args.since.map(Step) },
        trial: args.trial.filter(|trial| !trial.is_empty()),
        sinks: if is_chief { sinks } else { Vec::new() },
        stdout: || -> Box<dyn Write + Send> { Box::new(Printer::new().out()) },
        errors: || Printer::new().errors(),
        token: token.or_else(|| variable("HPTUNE_TOKEN").filter(|token| !token.is_empty()).map(Token::Text)),
        state: args.state,
        poll: args.poll,
        latest_per: args.latest_per,
        until: Until { pid: args.until_pid, file: args.until_file, idle: args.until_idle, once: args.once },
        command: args.command,
        grace: args.grace,
        rules: Rules { stop_if: args.stop_if, patience, stop_on_nan: args.stop_on_nan },
        status: args.status_addr,
        no_metric_after: args.no_metric_after,
        diagnose: Arc::new(move |job_dir, tag| {
            let diagnosis = doctor::diagnose(job_dir, tag, &selector)?;
            Ok(tables::diagnosis(&diagnosis, Style::PLAIN))
        }),
    })
}

/// Whether this replica is the one that reports for all: the chief or master, or worker 0 where there is none.
fn is_chief(tf_config: Option<&str>) -> Result<bool, Failure> {
    let Some(text) = tf_config.filter(|text| !text.trim().is_empty()) else { return Ok(true) };
    let config: serde_json::Value = serde_json::from_str(text)
        .map_err(|e| Failure::usage(format!("--chief-only: TF_CONFIG is no JSON: {e}")))?;
    let cluster = config.get("cluster").and_then(serde_json::Value::as_object);
    let has_chief = cluster.is_some_and(|roles| roles.contains_key("chief") || roles.contains_key("master"));
    let task = config.get("task");
    let role = task.and_then(|task| task.get("type")).and_then(serde_json::Value::as_str);
    let index = task.and_then(|task| task.get("index"));
    let index = index.and_then(|index| index.as_u64().or_else(|| index.as_str()?.parse().ok())).unwrap_or(0);
    Ok(match role {
        None | Some("chief" | "master") => true,
        Some("worker") => !has_chief && index == 0,
        Some(_) => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_replica_reports_for_all() {
        #[track_caller]
        fn check(tf_config: &str, expected: bool) {
            assert_eq!(is_chief(Some(tf_config)).ok(), Some(expected), "{tf_config}");
        }
        check("", true);
        check("{}", true);
        check(r#"{"cluster":{"chief":[],"worker":[]},"task":{"type":"chief","index":0}}"#, true);
        check(r#"{"cluster":{"chief":[],"worker":[]},"task":{"type":"worker","index":0}}"#, false);
        check(r#"{"cluster":{"worker":[]},"task":{"type":"worker","index":"0"}}"#, true);
        check(r#"{"cluster":{"worker":[]},"task":{"type":"worker","index":1}}"#, false);
        check(r#"{"cluster":{"master":[]},"task":{"type":"ps","index":0}}"#, false);
        assert!(is_chief(Some("{")).is_err());
    }
}
