//! What there is of this machine for trials.

use std::path::PathBuf;

use super::gpu::{self, Gpu};
use crate::edge::process::own_cpus;
use crate::study::config::Needs;
use crate::study::{Slots, StudySpec};

/// What there is of this machine for trials.
#[derive(Debug, Clone, Default)]
pub struct Machine {
    /// What each trial has to itself.
    pub slots: Slots,
    /// The program that supervises trials, `hptune` by whatever path; `None`: this one.
    pub program: Option<PathBuf>,
    /// The GPUs among it, with the memory that was in use before the job.
    pub(super) gpus: Vec<Gpu>,
}

/// Why no trial can run here.
#[derive(Debug)]
pub struct MachineError {
    /// What the user should know.
    pub message: String,
    /// A way out.
    pub hint: Option<&'static str>,
}

impl Machine {
    /// Finds what trials need; there are not more at once than that allows, which is noted in `notes`. `named` are the GPUs
    /// that the user named.
    ///
    /// # Errors
    /// There is less than one trial needs.
    pub fn find(
        spec: &mut StudySpec,
        needs: Needs,
        named: Option<&str>,
        notes: &mut Vec<String>,
    ) -> Result<Self, MachineError> {
        let mut gpus = Vec::new();
        if needs.gpus > 0.0 {
            let visible = std::env::var("CUDA_VISIBLE_DEVICES").ok().filter(|names| !names.trim().is_empty());
            let (source, names) = match named {
                Some(named) => ("--gpus", Some(named)),
                None => ("CUDA_VISIBLE_DEVICES", visible.as_deref()),
            };
            gpus = match (names, gpu::discover()) {
                (Some(names), Ok(found)) => {
                    let chosen = gpu::choose(&found, names);
                    if let Some(absent) = chosen.iter().find(|gpu| gpu.is_absent()) {
                        let there: Vec<String> = found.iter().map(ToString::to_string).collect();
                        let message = format!(
                            "{source}: there is no GPU {}; nvidia-smi finds {}",
                            absent.id,
                            if there.is_empty() { "none".to_owned() } else { there.join(", ") }
                        );
                        return Err(MachineError { message, hint: None });
                    }
                    chosen
                }
                (Some(names), Err(_)) => gpu::choose(&[], names),
                (None, Ok(found)) => found,
                (None, Err(e)) => {
                    let message = format!("hptune.trial.gpus: no GPU is found: {e}");
                    let hint = "name them with --gpus 0,1, or leave hptune.trial.gpus out";
                    return Err(MachineError { message, hint: Some(hint) });
                }
            };
        } else if named.is_some() {
            notes.push("warning: --gpus is without effect: hptune.trial.gpus is not set".to_owned());
        }
        let cpus = if needs.cpus > 0 { own_cpus() } else { Vec::new() };
        let slots = Slots::new(needs, gpus.iter().map(|gpu| gpu.id.clone()).collect(), cpus.clone());
        let has = || format!("{} and {}", counted(gpus.len(), "GPU"), counted(cpus.len(), "processor"));
        match slots.n_slots() {
            Some(0) => {
                let message = format!("hptune.trial: a trial needs more than this machine has: {}", has());
                return Err(MachineError { message, hint: None });
            }
            Some(n) if n < spec.max_parallel_trials as usize => {
                notes.push(format!(
                    "note: {n} trials at once instead of maxParallelTrials {}, for each needs what hptune.trial says of {}",
                    spec.max_parallel_trials,
                    has()
                ));
                spec.max_parallel_trials = n as u32;
            }
            Some(_) | None => {}
        }
        Ok(Self { slots, program: None, gpus })
    }
}

fn counted(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}
