//! A job that is submitted: its configuration checked, its command found, and the job put into the queue.

use std::path::PathBuf;

use serde_json::{Map, Value as Json};

use super::access::Access;
use super::error::{ApiError, Code, Violation};
use super::executor::Events;
use super::{Options, buckets, labels};
use crate::app::prepare::{self, DryRun, dry_run, queue, read_for};
use crate::edge::store::{ConfigFormat, NewJob, Resource, Store, StoreError};
use crate::engine;
use crate::report::{JobEvent, JobEventKind};
use crate::study::Config;
use crate::study::config::check_job_id;

/// What somebody submits.
#[derive(Debug, Clone)]
pub(super) struct Submission {
    /// The configuration.
    pub(super) config: String,
    /// Whether it is as its author wrote it, so that lines can be looked up in it.
    pub(super) is_text: bool,
    /// The job's name; that of the configuration, or made of the time, where there is none.
    pub(super) job_id: Option<String>,
    /// The trainer's command; that of the configuration where it is empty.
    pub(super) command: Vec<String>,
    /// The resource that the job belongs to.
    pub(super) owner: String,
}

/// Fields of enumerations that clients may send as numbers, with the names by number.
///
/// Source: the protocol of `google.cloud.ml.v1`.
const ENUMERATIONS: [(&[&str], &[&str]); 4] = [
    (&["goal"], &["GOAL_TYPE_UNSPECIFIED", "MAXIMIZE", "MINIMIZE"]),
    (&["algorithm"], &["ALGORITHM_UNSPECIFIED", "GRID_SEARCH", "RANDOM_SEARCH"]),
    (&["type"], &["PARAMETER_TYPE_UNSPECIFIED", "DOUBLE", "INTEGER", "CATEGORICAL", "DISCRETE"]),
    (
        &["scaleType", "scale_type"],
        &["NONE", "UNIT_LINEAR_SCALE", "UNIT_LOG_SCALE", "UNIT_REVERSE_LOG_SCALE"],
    ),
];

/// A submission of a `Job` of the service.
///
/// # Errors
/// It has no name, or is a job of prediction.
pub(super) fn of_job(mut job: Map<String, Json>, project: &str) -> Result<Submission, ApiError> {
    if job.contains_key("predictionInput") || job.contains_key("prediction_input") {
        return Err(ApiError::new(
            Code::Unimplemented,
            "predictionInput: jobs of batch prediction are not run here",
        ));
    }
    // A client's own etag says nothing of a new job.
    job.remove("etag");
    let spec = ["trainingInput", "training_input"].into_iter().find(|name| job.contains_key(*name));
    if let Some(spec) =
        spec.and_then(|name| job.get_mut(name)).and_then(|input| input.get_mut("hyperparameters"))
    {
        name_enumerations(spec);
    }
    let labels = job.get("labels").map(labels::read).transpose();
    let mut violations = Vec::new();
    if !["jobId", "job_id"].iter().any(|name| job.get(*name).is_some_and(|id| !id.is_null())) {
        violations.push(Violation::new("jobId", "missing"));
    }
    if spec.is_none() {
        violations.push(Violation::new("trainingInput", "missing"));
    }
    if !violations.is_empty() {
        return Err(ApiError::of_fields(violations));
    }
    labels?;
    let config = serde_json::to_string_pretty(&Json::Object(job)).unwrap_or_default();
    Ok(Submission {
        config,
        is_text: false,
        job_id: None,
        command: Vec::new(),
        owner: format!("projects/{project}"),
    })
}

/// Numbers of enumerations become their names.
fn name_enumerations(spec: &mut Json) {
    let name = |fields: &mut Map<String, Json>| {
        for (keys, names) in ENUMERATIONS {
            for key in keys {
                if let Some(value) = fields.get_mut(*key)
                    && let Some(name) = value.as_u64().and_then(|n| names.get(usize::try_from(n).ok()?))
                {
                    *value = (*name).into();
                }
            }
        }
    };
    let Json::Object(fields) = spec else { return };
    name(fields);
    if let Some(Json::Array(params)) = fields.get_mut("params") {
        params.iter_mut().filter_map(Json::as_object_mut).for_each(name);
    }
}

/// A field of `masterConfig`, by its names.
fn of_master<'c>(config: &'c Config, names: [&str; 2]) -> Option<&'c Json> {
    let master = ["masterConfig", "master_config"].iter().find_map(|name| config.training_input.get(name))?;
    names.iter().find_map(|name| master.get(name))
}

/// `masterConfig.containerCommand` and `containerArgs`: the command in the place of the image's.
fn container_command(config: &Config) -> Vec<String> {
    let words = |names: [&str; 2]| -> Vec<String> {
        let words = of_master(config, names).and_then(Json::as_array);
        let word = |word: &Json| word.as_str().map_or_else(|| word.to_string(), str::to_owned);
        words.into_iter().flatten().map(word).collect()
    };
    let (command, arguments) =
        (words(["containerCommand", "container_command"]), words(["containerArgs", "container_args"]));
    [command, arguments].concat()
}

/// The submission as a request, its configuration read and its command allowed.
fn request(
    submission: Submission,
    options: &Options,
    access: &Access,
    store: &Store,
) -> Result<(prepare::Request, Resource), ApiError> {
    let Submission { config: text, is_text, job_id, command, owner } = submission;
    let config = match read_for(store, &text)? {
        Ok((config, _)) => config,
        Err(problems) => return Err(ApiError::of_problems(&problems, is_text)),
    };
    let command = if command.is_empty() { container_command(&config) } else { command };
    let module = config.python_module.as_ref().filter(|_| command.is_empty());
    // What runs elsewhere is no business of this machine.
    let is_here = engine::is_here(&config);
    if command.is_empty() && module.is_none() && is_here {
        let what = "there is no command to run: give pythonModule, or masterConfig.containerCommand";
        return Err(ApiError::of_field("trainingInput.pythonModule", what));
    }
    match module {
        _ if !is_here => {}
        Some(module) => access.check_command(&["python3", "-m", module].map(str::to_owned))?,
        None => access.check_command(&command)?,
    }
    let job_id = job_id.or_else(|| config.job_id.clone());
    if let Some(id) = &job_id {
        check_job_id(id).map_err(|e| ApiError::of_field("jobId", e))?;
        if store.state(id)?.is_some() {
            return Err(StoreError::JobExists(id.clone()).into());
        }
    }
    let job_dir = match &config.job_dir {
        Some(address) => buckets::local(options, address)?,
        None => None,
    };
    for package in &config.packages {
        if let Some(path) = buckets::local(options, package)?.filter(|path| !path.is_file()) {
            let what = format!("{package}: there is no file {}", path.display());
            return Err(ApiError::of_field("trainingInput.packageUris", what));
        }
    }
    let request = prepare::Request {
        config_name: "config".into(),
        config_text: text,
        command,
        job_id,
        job_dir,
        seed: None,
        deadline: None,
        gpus: None,
        store: options.store.clone(),
        previous_store: None,
    };
    let resource = Resource { config_format: ConfigFormat::MlV1, owner: Some(owner), ..Resource::default() };
    Ok((request, resource))
}

/// Puts a job into the queue. What there is to say of its configuration is written down with its events.
///
/// # Errors
/// All that is wrong with its configuration; or its command is not allowed or cannot be run, its name or its directory is
/// taken, or the store cannot be written. No job is made then.
pub(super) fn create(
    submission: Submission,
    options: &Options,
    access: &Access,
    store: &mut Store,
) -> Result<NewJob, ApiError> {
    let (request, resource) = request(submission, options, access, store)?;
    let on_this_machine = |uri: &str| -> Option<PathBuf> { buckets::local(options, uri).ok().flatten() };
    let (job, mut notes) = queue(store, request, resource, &on_this_machine)?;
    if let Some(image) = image_of(&job.config).filter(|_| !job.command.is_empty()) {
        notes.push(format!("note: the command runs on this machine itself, without the image {image}"));
    }
    let mut events = Events::of(&job);
    for text in notes {
        events.add(&JobEvent { at: job.created_at, kind: JobEventKind::Note { trial: None, text } });
    }
    Ok(job)
}

/// `masterConfig.imageUri` of a configuration.
fn image_of(config: &str) -> Option<String> {
    let (config, _) = Config::read(config).ok()?;
    of_master(&config, ["imageUri", "image_uri"])?.as_str().map(str::to_owned)
}

/// Checks a submission as [`create`] does, and makes nothing.
///
/// # Errors
/// As of [`create`].
pub(super) fn check(
    submission: Submission,
    options: &Options,
    access: &Access,
    store: &Store,
) -> Result<DryRun, ApiError> {
    let (request, _) = request(submission, options, access, store)?;
    Ok(dry_run(&request)?)
}
