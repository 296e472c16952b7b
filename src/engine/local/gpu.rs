//! The GPUs of this machine, as nvidia-smi tells them.

use std::fmt;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::limits::{GPU_INTERVAL, GPU_MEMORY_SLACK_MIB, MAX_GPUS};

/// A GPU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Gpu {
    /// What CUDA names it: its UUID, or what the user named it where nvidia-smi does not know it.
    pub(super) id: String,
    /// Its number; `None` where nvidia-smi does not know it.
    pub(super) index: Option<u32>,
    /// How much of its memory is in use, in MiB; 0 where nobody tells.
    pub(super) used_mib: u64,
}

impl Gpu {
    /// Whether nvidia-smi would know it if it were there: it is named by a number or as nvidia-smi names GPUs. A part of
    /// one (MIG) has another name.
    pub(super) fn is_absent(&self) -> bool {
        self.index.is_none() && (self.id.parse::<u32>().is_ok() || self.id.starts_with("GPU-"))
    }
}

/// Its number, and its UUID in parentheses.
impl fmt::Display for Gpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.index {
            Some(index) => write!(f, "{index} ({})", self.id),
            None => f.write_str(&self.id),
        }
    }
}

/// The GPUs that nvidia-smi finds.
///
/// # Errors
/// It cannot be run, or what it says.
pub(super) fn discover() -> Result<Vec<Gpu>, String> {
    let output = Command::new("nvidia-smi")
        .args(["--query-gpu=index,uuid,memory.used", "--format=csv,noheader,nounits"])
        .output()
        .map_err(|e| format!("nvidia-smi: {e}"))?;
    let said = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        let line = errors.lines().chain(said.lines()).find(|line| !line.trim().is_empty());
        return Err(format!("nvidia-smi: {}", line.unwrap_or("failed without a word").trim()));
    }
    Ok(said.lines().filter_map(parse).take(MAX_GPUS as usize).collect())
}

/// `0, GPU-8a1b…, 312`
fn parse(line: &str) -> Option<Gpu> {
    let mut fields = line.split(',').map(str::trim);
    let (index, id) = (fields.next()?.parse().ok()?, fields.next()?.to_owned());
    // A GPU without a memory of its own tells none.
    Some(Gpu { id, index: Some(index), used_mib: fields.next()?.parse().unwrap_or(0) })
}

/// Those that `named` names, by number or by UUID; one that is not found keeps the name that it was given.
#[must_use]
pub(super) fn choose(found: &[Gpu], named: &str) -> Vec<Gpu> {
    let names = named.split(',').map(str::trim).filter(|name| !name.is_empty());
    let choose = |name: &str| {
        let is_it = |gpu: &&Gpu| gpu.index == name.parse().ok() && gpu.index.is_some() || gpu.id == name;
        let unknown = || Gpu { id: name.to_owned(), index: None, used_mib: 0 };
        found.iter().find(is_it).cloned().unwrap_or_else(unknown)
    };
    names.map(choose).collect()
}

/// Waits until the memory of these GPUs is as free as it was, for so long. The answer are those where it is not, or
/// of which nvidia-smi tells no more, with what it says.
#[must_use]
pub(super) fn wait_until_free(before: &[Gpu], patience: Duration) -> Vec<(String, String)> {
    let deadline = Instant::now() + patience;
    loop {
        let now = discover();
        let warning = |was: &Gpu| {
            let warning = match &now {
                Err(e) => e.clone(),
                Ok(now) => match now.iter().find(|gpu| gpu.id == was.id) {
                    None => "nvidia-smi does not find it any more".to_owned(),
                    Some(gpu) if gpu.used_mib > was.used_mib + GPU_MEMORY_SLACK_MIB => {
                        format!("{} MiB of its memory are still in use", gpu.used_mib)
                    }
                    Some(_) => return None,
                },
            };
            Some((was.id.clone(), warning))
        };
        let troubled: Vec<(String, String)> = before.iter().filter_map(warning).collect();
        if troubled.is_empty() || Instant::now() >= deadline {
            return troubled;
        }
        thread::sleep(GPU_INTERVAL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_nvidia_smi_is_read() {
        let gpu = Gpu { id: "GPU-8a-b".into(), index: Some(1), used_mib: 312 };
        assert_eq!(parse("1, GPU-8a-b, 312"), Some(gpu.clone()));
        assert_eq!(parse("1, GPU-8a-b, [N/A]"), Some(Gpu { used_mib: 0, ..gpu }));
        assert_eq!(parse("No devices were found"), None);
    }

    #[test]
    fn gpus_are_named_by_number_or_uuid() {
        let found: Vec<Gpu> = ["0, GPU-a, 1", "1, GPU-b, 2"].iter().filter_map(|line| parse(line)).collect();
        let ids = |named: &str| choose(&found, named).into_iter().map(|gpu| gpu.id).collect::<Vec<_>>();
        assert_eq!(ids("1, 0"), ["GPU-b", "GPU-a"]);
        assert_eq!(ids("GPU-b,MIG-c,"), ["GPU-b", "MIG-c"]);
        assert_eq!(ids(""), Vec::<String>::new());
        let absent = |named: &str| choose(&found, named).iter().any(Gpu::is_absent);
        assert_eq!(["0", "GPU-b", "MIG-c", "7", "GPU-z"].map(absent), [false, false, false, true, true]);
    }
}
