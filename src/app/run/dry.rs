//! What a job's first trial would get, without anything being made.

use std::path::PathBuf;

use serde_json::{Value as Json, json};

use super::overview::{self, Searched, Setting};
use crate::app::Failure;
use crate::app::prepare::DryRun;
use crate::edge::remote::local_dir;
use crate::edge::trial_files::TrialFiles;
use crate::engine;
use crate::engine::local::{ForAll, LaunchSpec, launch_spec};
use crate::study::CommandLine;
use crate::suggest::{self, Request};

/// The first trial of a job.
#[derive(Debug)]
pub struct FirstTrial {
    /// The name of the job.
    pub job_id: String,
    /// What the job would do.
    pub settings: Vec<Setting>,
    /// What it would search.
    pub parameters: Vec<Searched>,
    /// Its number, as a directory is named.
    pub number: String,
    /// Names and values of its parameters.
    pub hyperparameters: Vec<(String, String)>,
    /// For each parameter and each further placeholder the words of the command that it goes to, shortened; none: it
    /// is appended. Empty where trials run elsewhere.
    pub places: Vec<(String, Vec<String>)>,
    /// Whether it runs on this machine.
    pub is_here: bool,
    /// Where it writes; of one that runs elsewhere it says nothing.
    pub directory: PathBuf,
    /// What would be started. Only the variables that are added to the environment are there: what it holds
    /// besides may be secret.
    pub spec: LaunchSpec,
}

/// What the first trial of a job would get. Ports of a cluster are drawn anew when it starts.
///
/// # Errors
/// There is no trial to run, or what it needs is not there.
pub fn first_trial(dry: DryRun) -> Result<FirstTrial, Failure> {
    let settings = overview::settings(&dry);
    let DryRun { config, job_id, words, job_dir, mut machine, study, .. } = dry;
    let parameters = overview::parameters(&config);
    let failed = |e: &dyn std::fmt::Display| Failure::outside(format!("--dry-run: {e}"));
    let directory = std::env::current_dir().map_err(|e| failed(&e))?;
    let Request { trial, observations } = Request::next(&study);
    let params = suggest::for_spec(&config.spec).suggest(&config.spec, &observations);
    let params = params.ok_or_else(|| failed(&"every combination of the parameters was tried"))?;
    let slot = machine.slots.take().unwrap_or_default();
    let files = TrialFiles::new(&job_dir, &local_dir(&job_dir, &directory, &job_id), trial);
    let all = ForAll { job_id: &job_id, config: &config, words: &words, directory: &directory };
    let mut spec = launch_spec(all, &files, trial, &params, &slot, 1).map_err(|e| failed(&e))?;
    let line = CommandLine::new(&words, params.iter().map(|(name, _)| name));
    let mut places: Vec<_> =
        line.where_each_goes().into_iter().map(|(name, words)| (name.to_owned(), words)).collect();
    let is_here = engine::is_here(&config);
    if !is_here {
        // Whoever starts it there passes the parameters.
        places.clear();
        let address = format!("http://SERVER/api/v1/jobs/{job_id}/trials/{trial}");
        let watcher = ["watch", "DIR", "--to", &address, "--"].map(str::to_owned);
        let command = if words.is_empty() { vec!["COMMAND".to_owned()] } else { words.clone() };
        spec.replicas.truncate(1);
        for replica in &mut spec.replicas {
            replica.program = "hptune".into();
            replica.arguments = [&watcher[..], &command[..]].concat();
            replica.environment.clear();
        }
    }
    Ok(FirstTrial {
        job_id,
        settings,
        parameters,
        number: trial.to_string(),
        hyperparameters: params.iter().map(|(name, value)| (name.to_owned(), value.to_string())).collect(),
        places,
        is_here,
        directory: files.trial_dir().into(),
        spec,
    })
}

impl FirstTrial {
    /// All of it, for programs.
    #[must_use]
    pub fn to_json(&self) -> Json {
        let replicas = self.spec.replicas.iter().map(|replica| {
            let environment: serde_json::Map<String, Json> = replica
                .environment
                .iter()
                .map(|(name, value)| (name.clone(), value.clone().into()))
                .collect();
            json!({
                "replica": replica.replica.to_string(),
                "program": replica.program,
                "arguments": replica.arguments,
                "environment": environment,
                "log": replica.log,
            })
        });
        let hyperparameters: serde_json::Map<String, Json> =
            self.hyperparameters.iter().map(|(name, value)| (name.clone(), value.clone().into())).collect();
        let places: serde_json::Map<String, Json> =
            self.places.iter().map(|(name, words)| (name.clone(), words.clone().into())).collect();
        let settings = self
            .settings
            .iter()
            .map(|setting| json!({"name": setting.name, "value": setting.value, "from": setting.from}));
        json!({
            "jobId": self.job_id,
            "settings": settings.collect::<Vec<_>>(),
            "trialId": self.number,
            "hyperparameters": hyperparameters,
            "places": places,
            "jobDir": self.directory,
            "workingDirectory": self.spec.directory,
            "replicas": replicas.collect::<Vec<_>>(),
        })
    }
}
