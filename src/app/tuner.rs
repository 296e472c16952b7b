//! `tuner`: ask and tell over lines of JSON, for a program in any language.

use std::io::BufRead;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Map, Value as Json, json};

use super::Failure;
use super::prepare::{draw_seed, hold, read_config, store_failure};
use super::tuner_request::{Ask, in_words, parse};
use crate::edge::clock::Clock;
use crate::edge::store::{JobNumber, NewJob, Resource, Store};
use crate::limits::MAX_TUNER_LINE_BYTES;
use crate::study::config::check_job_id;
use crate::study::{Assignment, Decided, ParamValue, Study};
use crate::tuner::{End, TellError, Tuner};

/// What the user asked for.
#[derive(Debug)]
pub struct Request {
    /// How messages name the configuration: its path.
    pub config_name: String,
    /// The configuration's text.
    pub config_text: String,
    /// The seed; before the configuration's.
    pub seed: Option<u64>,
    /// The store, where the study is to survive this process.
    pub store: Option<PathBuf>,
    /// The study's name in the store; before the configuration's.
    pub job_id: Option<String>,
}

/// A study that answers.
pub struct Session {
    tuner: Tuner,
    clock: Clock,
    store: Option<(Store, JobNumber)>,
    /// Notes and warnings about the configuration, and what else there is to tell before the first request.
    pub notes: Vec<String>,
}

/// Why a request has no other answer.
struct Refusal {
    code: &'static str,
    message: String,
}

impl Refusal {
    fn invalid(message: impl Into<String>) -> Self {
        Self { code: "INVALID_ARGUMENT", message: message.into() }
    }
}

impl From<TellError> for Refusal {
    fn from(error: TellError) -> Self {
        let code = match error {
            TellError::Unknown(_) => "NOT_FOUND",
            TellError::Over(..) => "FAILED_PRECONDITION",
            TellError::OutsideSpace(_) => "INVALID_ARGUMENT",
        };
        Self { code, message: error.to_string() }
    }
}

/// Begins a study, or takes it up again where the store has it.
///
/// # Errors
/// All that is wrong with the configuration; the store cannot be used, or has a study of this name with another
/// configuration. What is waited for meanwhile is told to `tell`.
pub fn begin(request: Request, tell: &mut dyn FnMut(&str)) -> Result<Session, Failure> {
    let (mut config, mut notes) = read_config(&request.config_name, &request.config_text)?;
    let clock = Clock::start();
    let seed = request.seed.or(config.seed);
    let fresh_seed = seed.unwrap_or_else(|| draw_seed(clock.now()));
    config.spec.seed = fresh_seed;
    let Some(path) = request.store else {
        return Ok(Session { tuner: Tuner::new(Study::new(config.spec)), clock, store: None, notes });
    };
    let id = request.job_id.or(config.job_id).ok_or_else(|| {
        Failure::usage("--store needs a name for the study, so that a restart finds it again")
            .with_hint("give it with --job-id, or as jobId in the configuration")
    })?;
    check_job_id(&id).map_err(|e| Failure::usage(format!("--job-id: {e}")))?;
    let mut store = Store::open(&path).map_err(store_failure)?;
    let known = store.job(&id).map_err(store_failure)?;
    let mut trials = Vec::new();
    let number = match known {
        None => {
            let job = NewJob {
                id,
                config: request.config_text,
                seed: fresh_seed,
                command: Vec::new(),
                job_dir: PathBuf::new(),
                created_at: clock.now(),
                directory: PathBuf::new(),
                deadline: None,
                previous: None,
                max_trials: None,
                resource: Resource::default(),
            };
            store.create_job(&job).map_err(store_failure)?
        }
        Some(known)
            if known.job.config != request.config_text || seed.is_some_and(|seed| seed != known.job.seed) =>
        {
            let message =
                format!("study `{id}` is in the store {} with another configuration or seed", path.display());
            return Err(Failure::usage(message).with_hint("give this one another --job-id"));
        }
        Some(known) if !known.job.command.is_empty() || !known.job.is_study() => {
            let message = format!("`{id}` in the store {} is a job that hptune runs itself", path.display());
            return Err(Failure::usage(message).with_hint("give this study another --job-id"));
        }
        Some(known) if known.is_over() => {
            let message = format!("study `{id}` in the store {} is over: {}", path.display(), known.state);
            return Err(Failure::usage(message).with_hint("begin another one with another --job-id"));
        }
        Some(known) => {
            config.spec.seed = known.job.seed;
            let n_open = known.trials.iter().filter(|trial| trial.is_active()).count();
            notes.push(format!(
                "note: study `{id}` goes on with {} trials, {n_open} of them open",
                known.trials.len()
            ));
            trials = known.trials;
            store.number(&id).map_err(store_failure)?
        }
    };
    hold(&mut store, number, tell)?;
    let study = Study::new(config.spec).with_trials(trials, Decided::Nothing);
    Ok(Session { tuner: Tuner::new(study), clock, store: Some((store, number)), notes })
}

impl Session {
    /// Answers each line of `input` by one line, until it ends.
    ///
    /// # Errors
    /// The input cannot be read, the store cannot be written, or what `answer` gives.
    pub fn serve(
        &mut self,
        input: &mut dyn BufRead,
        answer: &mut dyn FnMut(&str) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let mut line = Vec::new();
        loop {
            line.clear();
            let limit = MAX_TUNER_LINE_BYTES + 1;
            let mut limited = std::io::Read::take(&mut *input, limit);
            let n = limited.read_until(b'\n', &mut line);
            let n = n.map_err(|e| Failure::outside(format!("cannot read the requests: {e}")))?;
            if n == 0 {
                return Ok(());
            }
            if n as u64 == limit && line.last() != Some(&b'\n') {
                input
                    .skip_until(b'\n')
                    .map_err(|e| Failure::outside(format!("cannot read the requests: {e}")))?;
                let message = format!(
                    "a request is longer than {MAX_TUNER_LINE_BYTES} bytes: it was passed over up to its newline"
                );
                answer(&error_reply(&Refusal::invalid(message)).to_string())?;
                continue;
            }
            let text = String::from_utf8_lossy(&line);
            if text.trim().is_empty() {
                continue;
            }
            let reply = match self.carry_out(&text) {
                Ok(reply) => reply,
                Err(refusal) => error_reply(&refusal),
            };
            let records = self.tuner.take_records();
            if let Some((store, number)) = self.store.as_mut().filter(|_| !records.is_empty()) {
                store.write(*number, &records).map_err(store_failure)?;
            }
            answer(&reply.to_string())?;
        }
    }

    fn carry_out(&mut self, line: &str) -> Result<Json, Refusal> {
        let ask = parse(line).map_err(Refusal::invalid)?;
        let now = self.clock.now();
        Ok(match ask {
            Ask::Suggest => match self.tuner.suggest(now) {
                Some((id, params)) => json!({"suggest": {"trial": id.get(), "params": params_json(&params)}}),
                None => json!({"suggest": {"done": true}}),
            },
            Ask::Report { trial, step, value } => match self.tuner.report(now, trial, step, value)? {
                None => json!({"report": {"stop": false}}),
                Some(reason) => {
                    let mut fields = serde_json::to_value(reason).unwrap_or_default();
                    if let Json::Object(fields) = &mut fields {
                        fields.insert("text".into(), reason.to_string().into());
                    }
                    json!({"report": {"stop": true, "reason": fields}})
                }
            },
            Ask::Complete { trial, value, step, infeasible } => {
                let end = match infeasible {
                    Some(why) => End::Infeasible(why),
                    None => End::Value(value, step),
                };
                self.tuner.complete(now, trial, end)?;
                json!({"complete": {}})
            }
            Ask::Add { params, value } => {
                let params = self.params(params)?;
                json!({"add": {"trial": self.tuner.add(now, params, value)?.get()}})
            }
            Ask::Best => {
                let (trial, value) = self.tuner.best().ok_or_else(|| Refusal {
                    code: "NOT_FOUND",
                    message: "no trial has a result yet".into(),
                })?;
                json!({"best": {"trial": trial.id.get(), "params": params_json(&trial.params), "value": value}})
            }
        })
    }

    /// A client's parameters in the order of the study.
    fn params(&self, mut given: Map<String, Json>) -> Result<Assignment, Refusal> {
        let mut values: Vec<(Arc<str>, ParamValue)> = Vec::new();
        for parameter in &self.tuner.spec().space.parameters {
            let name = &parameter.name;
            let value = match given.remove(&**name) {
                Some(Json::Number(number)) => ParamValue::Number(number.as_f64().unwrap_or(f64::NAN)),
                Some(Json::String(text)) => ParamValue::Text(text.into()),
                Some(other) => {
                    return Err(Refusal::invalid(format!(
                        "params.{name}: got {}, want a number or a text",
                        in_words(&other)
                    )));
                }
                None => return Err(Refusal::invalid(format!("params.{name}: missing"))),
            };
            values.push((name.clone(), value));
        }
        match given.keys().next() {
            Some(unknown) => {
                Err(Refusal::invalid(format!("params.{unknown}: the study has no such parameter")))
            }
            None => Ok(Assignment(values)),
        }
    }
}

fn error_reply(Refusal { code, message }: &Refusal) -> Json {
    json!({"error": {"code": code, "message": message}})
}

/// Numbers as numbers, whole ones without a point.
fn params_json(params: &Assignment) -> Json {
    /// Beyond this not every whole number is a 64-bit float.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let value = |value: &ParamValue| match value {
        ParamValue::Number(v) if v.fract() == 0.0 && v.abs() <= EXACT => Json::from(*v as i64),
        ParamValue::Number(v) => Json::from(*v),
        ParamValue::Text(text) => Json::from(&**text),
    };
    Json::Object(params.iter().map(|(name, v)| (name.to_owned(), value(v))).collect())
}
