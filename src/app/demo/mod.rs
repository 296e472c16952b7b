//! `demo`: a whole tuning job on real data with a trainer that is built in.

mod digits;
mod network;
mod trainer;

use std::path::PathBuf;

use super::Failure;
use super::prepare::{Request, new_job_id};
use crate::edge::clock::Clock;

pub use trainer::{Arguments as TrainerArguments, train};

/// The hidden verb that is the trainer.
pub const TRAINER_VERB: &str = "demo-trainer";

/// The configuration of the demo's job.
pub const CONFIG: &str = include_str!("demo.yaml");

/// The request to run the demo's job.
///
/// # Errors
/// The path of this program is not known.
pub fn request(job_dir: Option<PathBuf>, seed: Option<u64>, store: PathBuf) -> Result<Request, Failure> {
    let program =
        std::env::current_exe().map_err(|e| Failure::outside(format!("cannot find this program: {e}")))?;
    let Some(program) = program.to_str() else {
        return Err(Failure::usage(format!(
            "{}: the path of this program is no UTF-8 text",
            program.display()
        )));
    };
    let job_id = new_job_id("demo", Clock::start().now());
    let job_dir = job_dir.unwrap_or_else(|| std::env::temp_dir().join(format!("hptune-{job_id}")));
    Ok(Request {
        config_name: "demo.yaml".into(),
        config_text: CONFIG.into(),
        command: vec![program.into(), TRAINER_VERB.into()],
        job_id: Some(job_id),
        job_dir: Some(job_dir),
        seed,
        deadline: None,
        gpus: None,
        store,
        previous_store: None,
    })
}
