//! The trainer of the demo. It knows nothing of hptune but its arguments: it trains, and writes its
//! loss and accuracy to event files as any trainer does.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::digits;
use super::network::{Activation, Network};
use crate::app::Failure;
use crate::edge::clock::Clock;
use crate::units::{Step, WallTime};
use tfevents::event;
use tfevents::record as tfrecord;

/// The arguments of the trainer.
#[derive(Debug, Clone, clap::Args)]
pub struct Arguments {
    /// Step size of gradient descent.
    #[arg(long = "learning_rate", value_name = "RATE")]
    learning_rate: f32,
    /// Units of the hidden layer.
    #[arg(long = "hidden_units", value_name = "N")]
    hidden_units: usize,
    /// Examples a step.
    #[arg(long = "batch_size", value_name = "N")]
    batch_size: usize,
    /// Nonlinearity of the hidden layer.
    #[arg(long, value_enum)]
    activation: Activation,
    /// Times that every example is seen.
    #[arg(long, value_name = "N", default_value_t = 200)]
    epochs: u32,
    /// Directory for the event files.
    #[arg(long = "job-dir", value_name = "DIR")]
    job_dir: PathBuf,
}

/// An event file that is being written; every event reaches the file at once.
struct EventWriter {
    file: File,
    clock: Clock,
}

impl EventWriter {
    fn create(directory: &Path) -> io::Result<Self> {
        fs::create_dir_all(directory)?;
        let clock = Clock::start();
        let seconds = clock.now().as_second();
        let file = File::create(directory.join(format!("events.out.tfevents.{seconds:010}.demo")))?;
        let mut writer = Self { file, clock };
        writer.write(&event::encode_file_version(writer.now(), "hptune demo"))?;
        Ok(writer)
    }

    fn scalar(&mut self, step: Step, tag: &str, value: f32) -> io::Result<()> {
        self.write(&event::encode_scalars(self.now(), step, &[(tag, value)]))
    }

    fn now(&self) -> WallTime {
        WallTime(self.clock.now().as_millisecond() as f64 / 1000.0)
    }

    fn write(&mut self, event: &[u8]) -> io::Result<()> {
        let mut record = Vec::new();
        tfrecord::encode(event, &mut record);
        self.file.write_all(&record)
    }
}

/// Trains one network. The loss of training goes to `train/`, the accuracy on images that were not
/// trained with to `validation/`.
///
/// # Errors
/// The event files cannot be written.
pub fn train(arguments: &Arguments) -> Result<(), Failure> {
    let fail = |e: io::Error| Failure::outside(format!("--job-dir {}: {e}", arguments.job_dir.display()));
    let (mut training, validation) = digits::load();
    let mut train_writer = EventWriter::create(&arguments.job_dir.join("train")).map_err(fail)?;
    let mut validation_writer = EventWriter::create(&arguments.job_dir.join("validation")).map_err(fail)?;
    let mut network = Network::new(arguments.hidden_units, arguments.activation);
    for epoch in 1..=i64::from(arguments.epochs) {
        let loss = network.train_epoch(&mut training, arguments.batch_size, arguments.learning_rate);
        let accuracy = network.accuracy(&validation);
        train_writer.scalar(Step(epoch), "loss", loss).map_err(fail)?;
        validation_writer.scalar(Step(epoch), "accuracy", accuracy).map_err(fail)?;
    }
    Ok(())
}
