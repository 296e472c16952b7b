//! Reads, follows and writes TensorFlow event files (`events.out.tfevents.*`), which TensorBoard shows and which Keras,
//! PyTorch, Lightning, tensorboardX and others write.
//!
//! ```
//! # let logs = tempfile::tempdir()?;
//! # tfevents::EventWriter::create(logs.path())?.scalar("loss", 1, 0.5)?;
//! for series in tfevents::LogDir::open(&logs)?.scalars("loss") {
//!     let series = series?;
//!     for (point, _attempt) in series.latest() {
//!         println!("{} {} {}", series.run(), point.step, point.value);
//!     }
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What it does
//!
//! - **Every checksum is checked.** A damaged stretch costs the records that it touches: reading goes on at the next
//!   place where a length and its checksum agree. Damage is a value of the iterators ([`Error`]), which may be skipped or
//!   stopped at.
//! - **A number is a number**, however it was written: `simple_value`, or a tensor of one element of any numeric type.
//!   Images, graphs, histograms and audio are passed over without being held in memory or decoded.
//! - **Restarts are told apart.** A trainer that resumes from a checkpoint writes earlier steps again, in a new file
//!   or in the same one. [`ScalarSeries::latest`] gives what stands, [`ScalarSeries::all`] everything with its attempt.
//! - **Files that grow** are followed without a missed or a doubled value, over torn writes, renames, replaced files and the
//!   holes that network file systems show ([`follow::Follower`]; [`tail::Tail`] does no IO of its own).
//! - **Memory is bounded** whatever a file holds: nothing is allocated by a length that a file claims. Every limit is
//!   a constant with its reason, in [`limits`].
//!
//! # Layers
//!
//! Each can be used alone: [`record`] has the framing, [`event`] and [`scalar`] what records say, [`series`] which points
//! stand, [`tail`] what to read next and what it brings, [`disk`] directories and files, [`follow`] all of it for files that
//! grow. [`EventFile`] and [`LogDir`] are what most programs need.
//!
//! # Features
//!
//! None is on by default.
//!
//! - `serde`: how far files were followed can be stored, and another process goes on from there.
//! - `hypertune`: the metrics file of the cloudml-hypertune package is read where a [`tail::Naming`] names one.
//!
//! # Cookbook
//!
//! Each recipe runs as a test. `logs` is a directory with the event files of a small training.
//!
//! ## List the runs of a directory, and their files
//!
//! ```
//! # mod setup { include!("../tests/cookbook/setup.rs"); }
//! # use setup::logs;
//! # let logs = logs()?;
//! let logs = tfevents::LogDir::open(&logs)?;
//! for run in logs.runs() {
//!     println!("{}: {} files", run.name(), run.files().count());
//! }
//! # assert_eq!(logs.runs().map(|run| run.name().to_string()).collect::<Vec<_>>(), ["train", "validation"]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! ## Print the scalars of one file, and stop at the first damage
//!
//! ```
//! # mod setup { include!("../tests/cookbook/setup.rs"); }
//! # use setup::logs;
//! # let logs = logs()?;
//! # let path = tfevents::LogDir::open(&logs)?.runs().next().ok_or("no run")?.files().next().ok_or("no file")?;
//! for scalar in tfevents::EventFile::open(path)?.scalars() {
//!     let scalar = scalar?;
//!     println!("{} {} {}", scalar.tag, scalar.point.step, scalar.point.value);
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! ## Skip damage, and say where it is
//!
//! ```
//! # mod setup { include!("../tests/cookbook/setup.rs"); }
//! # use setup::damaged_file;
//! # let path = damaged_file()?;
//! # let mut n_read = 0;
//! for scalar in tfevents::EventFile::open(&path)?.scalars() {
//!     match scalar {
//!         Ok(scalar) => n_read += 1,
//!         Err(error) if error.is_damage() => eprintln!("at byte {}: {error}", error.offset().unwrap_or(0)),
//!         Err(error) => return Err(error.into()),
//!     }
//! }
//! # assert_eq!(n_read, 2);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! ## Tell the attempts of a restarted trainer apart
//!
//! ```
//! # mod setup { include!("../tests/cookbook/setup.rs"); }
//! # use setup::logs;
//! # let logs = logs()?;
//! for series in tfevents::LogDir::open(&logs)?.scalars("loss") {
//!     let series = series?;
//!     let n_written = series.all().count();
//!     let n_standing = series.latest().count();
//!     println!("{}: {n_standing} of {n_written} values stand", series.run());
//! #   assert_eq!((n_standing, n_written), if series.run().as_str() == "train" { (4, 5) } else { (1, 1) });
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! ## Read every tag of every run at once, on all cores
//!
//! ```
//! # mod setup { include!("../tests/cookbook/setup.rs"); }
//! # use setup::logs;
//! # let logs = logs()?;
//! let contents = tfevents::LogDir::open(&logs)?.read(|_tag| true, tfevents::Keep::All);
//! for ((tag, run), series) in &contents.series {
//!     let last = series.latest().last().map(|(point, _)| point.value);
//!     println!("{run} {tag}: {last:?}");
//! }
//! # assert_eq!(contents.series.len(), 2);
//! assert!(!contents.faults.any());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! ## Follow a directory while a trainer writes
//!
//! ```
//! # mod setup { include!("../tests/cookbook/setup.rs"); }
//! # use setup::logs;
//! # let logs = logs()?;
//! # let mut n = 0;
//! let mut follower = tfevents::follow::Follower::open(&logs);
//! loop {
//!     let wait = follower.poll(&mut |found| {
//!         if let Some((tag, point)) = found.scalar() {
//!             println!("{tag} {} {}", point.step, point.value);
//! #           n += 1;
//!         }
//!     });
//! #   assert_eq!(n, 6);
//! #   break;
//!     std::thread::sleep(wait);
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! ## Go on following in another process, without a value twice
//!
//! ```
//! # mod setup { include!("../tests/cookbook/setup.rs"); }
//! # use setup::logs;
//! # let logs = logs()?;
//! use tfevents::disk::Root;
//! use tfevents::follow::{Clock, Follower};
//! use tfevents::tail::{Config, Tail};
//!
//! # let mut n = 0;
//! let mut follower = Follower::open(&logs);
//! follower.poll(&mut |_| n += 1);
//! // With the feature `serde` this can be stored and read again.
//! let progress = follower.tail().progress();
//!
//! let clock = Clock::start();
//! let tail = Tail::with(Config::default(), progress, clock.now());
//! let mut follower = Follower::with(Box::new(Root::directory(logs.as_ref())), clock, tail);
//! follower.poll(&mut |found| assert!(found.scalar().is_none(), "nothing was written since"));
//! # assert!(n > 0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! ## Write scalars
//!
//! ```
//! # let logs = tempfile::tempdir()?;
//! let mut writer = tfevents::EventWriter::create(&logs)?;
//! for step in 0..100 {
//!     writer.scalar("loss", step, 1.0 / (1 + step) as f32)?;
//! }
//! writer.flush()?;
//! # let series = tfevents::LogDir::open(&logs)?.scalars("loss").next().ok_or("no series")??;
//! # assert_eq!(series.latest().count(), 100);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! ## Look at records and events one by one
//!
//! ```
//! # mod setup { include!("../tests/cookbook/setup.rs"); }
//! # use setup::logs;
//! # let logs = logs()?;
//! # let path = tfevents::LogDir::open(&logs)?.runs().next().ok_or("no run")?.files().next().ok_or("no file")?;
//! use tfevents::event::What;
//!
//! let file = tfevents::EventFile::open(path)?;
//! println!("{} records", file.records().count());
//! for event in file.events() {
//!     if let What::FileVersion { version, writer } = event?.what {
//!         println!("{version}, written by {writer}");
//!     }
//! }
//! # assert_eq!(file.records().count(), 4);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! ## Read from a pipe, or from bytes in memory
//!
//! ```
//! use tfevents::scalar::Content;
//! use tfevents::tail::{self, Ingested};
//!
//! # let mut writer = tfevents::EventWriter::new(Vec::new())?;
//! # writer.scalar("loss", 7, 0.25)?;
//! # let bytes = writer.into_inner()?;
//! # let pipe = &*bytes;
//! let mut losses = Vec::new();
//! tail::read(pipe, &mut |_started, said| {
//!     if let Ingested::Value { step, tag: "loss", content: Content::Scalar(value), .. } = said {
//!         losses.push((step.0, value.as_f64()));
//!     }
//! })?;
//! assert_eq!(losses, [(7, 0.25)]);
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! ## Feed bytes as they arrive, with IO of your own
//!
//! ```
//! use tfevents::tail::Ingest;
//!
//! # let mut writer = tfevents::EventWriter::new(Vec::new())?;
//! # writer.scalar("loss", 7, 0.25)?;
//! # let bytes = writer.into_inner()?;
//! let (mut ingest, mut n) = (Ingest::default(), 0);
//! for piece in bytes.chunks(5) {
//!     ingest.feed(piece, &mut |_started, _said| n += 1);
//! }
//! ingest.finish(&mut |_started, said| println!("{said:?}"));
//! assert_eq!(n, 2, "the version of the format, and one value");
//! # Ok::<(), std::io::Error>(())
//! ```

pub mod disk;
mod error;
pub mod event;
mod event_file;
mod faults;
pub mod follow;
pub mod limits;
mod log_dir;
mod proto;
pub mod record;
pub mod scalar;
pub mod series;
pub mod tail;
pub mod units;
mod writer;

pub use error::{Error, ErrorKind};
pub use event_file::{EventFile, Events, Record, Records, Scalar, Scalars};
pub use faults::{Faults, UnreadableReports, unread_in_words};
pub use log_dir::{Contents, Keep, LogDir, Run, RunScalars, ScalarSeries};
pub use writer::EventWriter;
