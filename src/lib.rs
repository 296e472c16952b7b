//! hptune tunes hyperparameters from the TensorFlow event files that trainers already write.
//!
//! It follows those files while they grow, streams each value of the objective to a tuning
//! controller, which suggests trials, stops the hopeless early and names the best. This library is
//! what the `hptune` program is made of; its lower layers read event files for anybody.
//!
//! # How it is made
//!
//! Data flows one way:
//!
//! ```text
//! bytes → records → events → observations → series → report → sinks
//!                                              └───→ controller → decisions → trials
//! ```
//!
//! The inside is pure: bytes, values and *the current time* go in, values come out. Files, processes,
//! clocks and the database are a thin ring around it ([`edge`]), so that every rule of the product is
//! tested in microseconds under a virtual clock. In reading order, each layer importing only what
//! lies below it:
//!
//! | layer | module | what lives there |
//! |---|---|---|
//! | – | [`tfevents`] | the reading library: framing, events, scalars, series with their attempts, the tail, disks |
//! | 0 | [`units`], [`limits`] | trials, and the library's steps, times, tags and values; every cap with its reason |
//! | 1 | [`layout`] | where a job's files stand, and which of them are read |
//! | 2 | [`objective`] | which run and tag a trial is judged by; what there is to say where they are missing |
//! | 6 | [`export`] | tables of points for other programs: CSV, JSON lines, Parquet |
//! | 6 | [`plot`] | curves as pictures: terminal, SVG, PNG, a web page |
//! | 7 | [`study`], [`suggest`], [`stop`], [`controller`], [`tuner`] | specification, search space, trials, result; one algorithm or rule a file; the controller of trials that hptune runs; ask and tell for those that others run |
//! | 7 | [`report`] | the events of a job and the lines of a watcher, as plain data, and their encoders |
//! | 8 | [`engine`] | where attempts of trials run: one trait; processes under supervisors on this machine, their control groups and GPUs |
//! | 8 | [`edge`] | following a trial's files, object stores, sinks, process trees, the SQLite store, the clock |
//! | 9 | [`app`], `serve`, [`cli`] | one loop a verb; the job service (feature `serve`); arguments, printing, exit codes |
//!
//! What must stay absent is checked by tests that scan the sources whole: no IO below layer 8, no protobuf and no event file
//! in layer 7, no printing outside [`cli`]'s printer, no `unsafe`. (The library has one, a checksum instruction whose worth the
//! benchmarks show.)
//!
//! # What holds it together
//!
//! - **The decoder** ([`tfevents::record::Decoder`]) gives the same records for any chunking of the bytes. A
//!   damaged stretch costs the records it touches: behind its first byte the decoder searches for the
//!   next place where a length and its checksum agree, and checks the record there before it believes
//!   it. A record that is too long to be held comes in parts; what a long false length swallowed is
//!   asked for again.
//! - **The scan** ([`tfevents::scalar::scan`], [`tfevents::scalar::PartScan`]) goes over the wire format without decoding
//!   what is no value; the full decode is its oracle.
//! - **One file is read by several threads** in pieces ([`tfevents::tail::Segment`], [`tfevents::disk::read_in_pieces`]). A thread
//!   finds a record in the middle of the file and scans from there; the result is used if the decoder, which comes from
//!   the start, reaches that very record. Everything else is decoded as on one thread: neither damage nor the number of
//!   threads changes what is found. Values whose steps rise are summed up by the thread that scans them
//!   ([`tfevents::series::Rise`]): who needs only sums takes all of them at once, wherever that gives what taking each gives.
//! - **The tail** ([`tfevents::tail::Tail`]) treats every event file on its own for as long as the trial lives.
//!   Listings are the truth; notifications only make the next listing come sooner.
//! - **Attempts and passes** are one model of steps that are written more than once, for files that are whole
//!   ([`tfevents::series::Attempts`]) and for files that grow ([`tfevents::series::Live`], [`tfevents::series::Series`]); `series/pass.rs` has it. From the step of a session's start on, what its writer and those that had ended before it wrote is void, under
//!   every tag of the run and whether or not anything follows; and of nobody else. What stands of the last pass does not
//!   depend on the order of reading; earlier passes of several files are known where these are read in the order in which they
//!   were begun. Without a session a writer resumes at its first value of a tag, or where its steps fall in one
//!   file: by more than one step of its own, those before having risen evenly, not to the beginning (which begins a pass, as
//!   each epoch may), and with values that go on from there over more than a gap in the file could hide. 100, 200,
//!   300, 101, 201 is a restart; 100, 200, 300, 250, 350 is not: a value may be late. That speaks for its own tag alone.
//!   The line lies in `series/stretch.rs`.
//! - **A watcher** ([`app::watch`]) has a worker for each sink, which reads the files at the pace of its sink: what a
//!   sink has not taken waits in the files, not in memory. How far it is ([`tfevents::tail::Progress`], and
//!   [`tfevents::series::Live`], which follows a run without its points) is stored behind what was delivered.
//! - **Memory is bounded.** What follows files keeps no points ([`tfevents::series::Live`]), or those of a [`tfevents::series::Sample`] of the
//!   steps where there are very many ([`tfevents::series::Series`], [`study::Curve`]): a result and the best are exact, the store and
//!   the files have all. Any order of steps costs n log n at most.
//! - **The objective** ([`objective::Objective`]) is read from one run directory, which [`objective::choose`] finds by one order for
//!   jobs, `doctor` and rules, or from several that were asked for together. What a restart changes is
//!   told as one [`objective::Change::Rewind`], or as the source once more where that is all, and what stands behind it.
//! - **The controller** ([`controller::Controller`]) puts out what is to be stored before the action
//!   that follows from it. A trial holds its slot until its process tree is gone and its files are
//!   read. All that it knows is in what it put out: another one goes on from the store. It requests the parameters of
//!   trials, one at a time, and handles whatever comes while they are looked for on another thread.
//! - **The study** ([`study::Study`]) is what the records of a job's course make; [`study::Trial::apply`] says how, for the
//!   controller, for ask and tell, and for the store that reads a job back.
//! - **A job** ([`app::run::Job`]) is a value: several run in one process. Requests to it, such as to cancel it or to stop one
//!   trial, are in the store, whoever made them, until the store has what was decided of them.
//! - **The supervisor** (`supervisor` in [`engine::local`]) is a small process between the controller and a trial's processes. All that is
//!   orphaned below it is handed to it, so that it knows when nothing is left, and it writes down how each replica
//!   ended. One that somebody stopped is had go on by its controller. A record that can be made only once is what keeps a
//!   trial from being run twice; it, the event files and
//!   the process table (`trial_processes` there) tell a new controller what happened while there was none. What the trainer
//!   reports in a file that holds its last hundred reports alone the supervisor copies ([`edge::reports`]): nobody could
//!   read it again. What the trainer writes outside of its directory the supervisor finds ([`edge::outside`]), by what its
//!   processes have open and by the names that they give: nobody could tell whose it is later. Where a command ends while
//!   what it started is still there, the supervisor looks whether the trial's work was left with that (`left` there).
//! - **Catching up** ([`study::Reconciler`]): files are read again from their beginning, and only what differs from what the
//!   store has is news.
//! - **A metric that is not there** ([`objective::missing`]): names are compared as words, those of the run counted
//!   ([`objective::nearby`]), and only what means the same is offered. `doctor` and the notes of a job say it in one voice.
//! - **The search** ([`suggest`]) is a function of the specification, the seed and the trials as they stood at the request: it keeps nothing between
//!   suggestions, and its sums have one order on every machine. That is why its linear algebra is our own.
//! - **The store** ([`edge::store::Store`]) is durable before an action is carried out. Requests to the process that executes
//!   a job go through it, and wait there until the decision that answers them is stored.
//!
//! # The way of one value
//!
//! From the bytes that a trainer appends to the answer of `jobs why`:
//!
//! 1. [`tfevents::follow::Follower`] reads what is new in the file and hands it to [`tfevents::tail::Tail`], whose
//!    decoder and scan make a [`tfevents::tail::Found`] of it: run, writer, step, clock, content.
//! 2. The follower's thread ([`edge::follow`]) hands that to [`objective::ObjectiveCollector`], which counts what it is and passes
//!    on values of the objective's tag.
//! 3. [`objective::Objective`] puts it into the [`tfevents::series::Series`] of its run, which says what stands now; if that is the
//!    run that is chosen, a [`objective::Change`] says so.
//! 4. [`app::run::Job`] takes batches of changes from the thread and feeds [`controller::Controller::handle`].
//! 5. The controller makes it a [`study::Record`], applies that to the [`study::Study`] (the trial's [`study::Curve`]) and has the
//!    [`stop::StopRule`] judge the trial. If it is to be stopped, the decision is the next record.
//! 6. [`edge::store::Store::write`] stores the records, before any signal is sent; then [`report::JobEvent`]s of them go to whoever
//!    looks on.
//! 7. [`app::why`] reads the study back from the store and compares the trial with those that the decision names.
//!
//! # Reading event files
//!
//! Read them with [`tfevents`], whose documentation has a cookbook.

pub mod app;
pub mod cli;
pub mod controller;
pub mod edge;
pub mod engine;
pub mod export;
pub mod layout;
pub mod limits;
mod linear;
pub mod objective;
pub mod plot;
pub mod report;
#[cfg(feature = "serve")]
pub mod serve;
pub mod stop;
pub mod study;
pub mod suggest;
pub mod tuner;
pub mod units;
