//! `serve`: its arguments.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::app::Failure;
use crate::cli::args::{StoreArg, path};
use crate::cli::printer::Printer;
use crate::edge::home::expand_home;
use crate::serve::{self, Options, executor};

#[derive(Debug, Args)]
pub(in crate::cli) struct Serve {
    #[command(flatten)]
    pub(super) store: StoreArg,
    /// Address to listen on; port 0 takes any. One that is not of this machine alone needs --token-file
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8470", value_parser = address)]
    listen: SocketAddr,
    /// How many submitted jobs run at once; others wait
    #[arg(long, value_name = "N", default_value = "4")]
    max_jobs: NonZeroUsize,
    /// Cancel the jobs that were submitted when the service ends, and wait for their ends
    #[arg(long)]
    cancel_on_exit: bool,
    /// File with the token that requests must have: `Authorization: Bearer TOKEN`
    #[arg(long, value_name = "FILE", value_parser = path())]
    token_file: Option<PathBuf>,
    /// Name by which the service is reached, beside localhost and its address (repeatable)
    #[arg(long = "host", value_name = "NAME")]
    hosts: Vec<String>,
    /// What commands of submitted jobs may begin with, such as 'python3 -m trainer.task' (repeatable) [default: any,
    /// where only this machine is listened to; none otherwise]
    #[arg(long = "allow-command", value_name = "WORDS")]
    commands: Vec<String>,
    /// Directory that stands for a bucket: gs://NAME/ is DIR (repeatable)
    #[arg(long = "bucket", value_name = "NAME=DIR", value_parser = bucket)]
    buckets: Vec<(String, PathBuf)>,
    /// Chain of certificates in PEM, the service's own first: serve over TLS
    #[arg(long, value_name = "FILE", requires = "tls_key", value_parser = path())]
    tls_cert: Option<PathBuf>,
    /// Key of the certificate, in PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert", value_parser = path())]
    tls_key: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ExecuteJob {
    #[command(flatten)]
    pub(super) store: StoreArg,
    /// The job
    #[arg(value_name = "JOB")]
    id: String,
    /// Only cancel it
    #[arg(long)]
    to_cancel: bool,
    /// How many file handles it and what it starts may have
    #[arg(long)]
    handles: Option<u64>,
}

/// An address with its port.
fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "want IP:PORT, such as 127.0.0.1:8470 or [::1]:8470".to_owned())
}

/// A bucket's name, as Cloud Storage has them, and its directory.
fn bucket(text: &str) -> Result<(String, PathBuf), String> {
    let (name, directory) = text.split_once('=').ok_or("want NAME=DIR")?;
    let is_name = (3..=222).contains(&name.len())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c))
        && name.starts_with(|c: char| c.is_ascii_alphanumeric());
    if !is_name {
        return Err(format!(
            "got the bucket {name:?}, want 3 or more of lower-case letters, digits, `-`, `_` and `.`"
        ));
    }
    let directory = expand_home(Path::new(directory)).map_err(|e| e.to_string())?;
    let directory = std::path::absolute(&directory).map_err(|e| format!("{}: {e}", directory.display()))?;
    if !directory.is_dir() {
        return Err(format!("{}: is no directory", directory.display()));
    }
    Ok((name.to_owned(), directory))
}

pub(super) fn serve(args: Serve, store: PathBuf, printer: Printer) -> Result<u8, Failure> {
    let store = std::path::absolute(&store).map_err(|e| Failure::usage(format!("--store: {e}")))?;
    let options = Options {
        listen: args.listen,
        store,
        max_jobs: args.max_jobs,
        cancels_on_exit: args.cancel_on_exit,
        token_file: args.token_file,
        hosts: args.hosts,
        commands: args.commands,
        buckets: args.buckets.into_iter().collect(),
        tls: args.tls_cert.zip(args.tls_key),
    };
    serve::serve(options, &mut |text| printer.talk(text))
}

pub(super) fn execute(args: &ExecuteJob, store: &Path, printer: Printer) -> Result<u8, Failure> {
    let ExecuteJob { id, to_cancel, handles, .. } = args;
    let order = executor::Order { store, id, is_to_cancel: *to_cancel, handles: *handles };
    executor::execute(&order, &mut |text| printer.talk(text))
}
