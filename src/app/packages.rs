//! The packages of a job whose trainer is a Python module, in an environment of the job's own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::Failure;
use super::last_words;
use crate::edge::home::expand_home;
use crate::edge::remote::{Bucket, is_address};
use crate::layout::OWN_DIRECTORY;
use crate::study::Config;

/// Copies those of `packageUris` into the job's directory that are addresses of an object store and on this machine all
/// the same: `on_this_machine` gives their files. [`install`] takes what is there.
///
/// # Errors
/// A package is not there, or cannot be copied.
pub(super) fn place(
    config: &Config,
    job_dir: &Path,
    on_this_machine: &dyn Fn(&str) -> Option<PathBuf>,
) -> Result<(), Failure> {
    let directory = packages_of(job_dir);
    for uri in &config.packages {
        let Some(from) = on_this_machine(uri) else { continue };
        let to = directory.join(uri.rsplit('/').next().unwrap_or(uri));
        let copied = fs::create_dir_all(&directory).and_then(|()| fs::copy(&from, &to));
        copied.map_err(|e| Failure::usage(format!("packageUris: {uri}: {}: {e}", from.display())))?;
    }
    Ok(())
}

/// Where copies of a job's packages are.
fn packages_of(job_dir: &Path) -> PathBuf {
    job_dir.join(OWN_DIRECTORY).join("packages")
}

/// Installs `packageUris` below the job's directory, unless that was done before. The answer is the Python to run,
/// where it is not the system's: with a command of the user's own, or without packages, nothing is installed.
///
/// # Errors
/// A package is not there or cannot be fetched, or what pip says last.
pub(super) fn install(
    config: &Config,
    command: &[String],
    job_dir: &Path,
) -> Result<Option<String>, Failure> {
    if config.packages.is_empty() || !command.is_empty() {
        return Ok(None);
    }
    let ours = job_dir.join(OWN_DIRECTORY);
    let environment = ours.join("python");
    let python = environment.join("bin/python").to_string_lossy().into_owned();
    let is_done = environment.join("installed");
    if is_done.exists() {
        return Ok(Some(python));
    }
    let failed = |e: std::io::Error| Failure::outside(format!("{}: {e}", ours.display()));
    fs::create_dir_all(&ours).map_err(failed)?;
    let install = || -> Result<(), Failure> {
        let packages = config
            .packages
            .iter()
            .map(|uri| fetch(uri, &packages_of(job_dir)))
            .collect::<Result<Vec<_>, _>>()?;
        let log = ours.join("packages.log");
        // What the system's Python has, TensorFlow perhaps, is not installed again.
        let venv = ["-m", "venv", "--system-site-packages"].map(PathBuf::from);
        run("python3", venv.into_iter().chain([environment.clone()]), &log)?;
        let pip = ["-m", "pip", "install", "--no-input", "--disable-pip-version-check"].map(PathBuf::from);
        run(&python, pip.into_iter().chain(packages), &log)?;
        fs::write(&is_done, "").map_err(failed)
    };
    install().inspect_err(|_| {
        // What is half done is done again.
        let _ = fs::remove_dir_all(&environment);
    })?;
    Ok(Some(python))
}

/// A package as a local file; one in an object store is copied to `directory`, unless it is there.
fn fetch(uri: &str, directory: &Path) -> Result<PathBuf, Failure> {
    let failed = |e: &dyn std::fmt::Display| Failure::usage(format!("packageUris: {uri}: {e}"));
    if is_address(uri) {
        let path = directory.join(uri.rsplit('/').next().unwrap_or(uri));
        if path.is_file() {
            return Ok(path);
        }
        let environment = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        let bytes =
            Bucket::open(uri, environment).and_then(|bucket| bucket.fetch()).map_err(|e| failed(&e))?;
        // Under its name when it is whole.
        let part = directory.join(format!("{}.part", uri.rsplit('/').next().unwrap_or(uri)));
        fs::create_dir_all(directory)
            .and_then(|()| fs::write(&part, bytes))
            .and_then(|()| fs::rename(&part, &path))
            .map_err(|e| failed(&e))?;
        return Ok(path);
    }
    let path = expand_home(Path::new(uri.strip_prefix("file://").unwrap_or(uri))).map_err(|e| failed(&e))?;
    if uri.contains("://") && !uri.starts_with("file://") {
        return Err(failed(&"want a path, file://, gs://, s3:// or az://"));
    }
    fs::metadata(&path).map_err(|e| failed(&e))?;
    std::path::absolute(&path).map_err(|e| failed(&e))
}

fn run(program: &str, arguments: impl Iterator<Item = PathBuf>, log: &Path) -> Result<(), Failure> {
    let arguments: Vec<PathBuf> = arguments.collect();
    let failed = |e: std::io::Error| Failure::outside(format!("packageUris: {program}: {e}"));
    let output = fs::OpenOptions::new().create(true).append(true).open(log).map_err(failed)?;
    let status = Command::new(program)
        .args(&arguments)
        .stdin(Stdio::null())
        .stdout(output.try_clone().map_err(failed)?)
        .stderr(output)
        .status()
        .map_err(failed)?;
    if status.success() {
        return Ok(());
    }
    let said = last_words(log);
    let words: Vec<String> = arguments.iter().map(|word| word.display().to_string()).collect();
    let message = format!("packageUris: `{program} {}` failed:\n    {said}", words.join(" "));
    Err(Failure::outside(message).with_hint(format!("all that it said is in {}", log.display())))
}
