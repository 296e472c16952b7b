//! Every cap of the program as a named constant with its reason; those of reading are the reading library's.
//!
//! Layer 0. A queue, buffer, retry or walk without a name here is a bug: nothing that comes from
//! outside is trusted for a size.

use std::time::Duration;

pub use tfevents::limits::*;

/// How much of a directory is read at once, in bytes: some hundred names.
pub const LIST_BUFFER_BYTES: usize = 32 << 10;

/// How deep below the parent of a directory without event files others are looked for, as a hint.
pub const NEAR_DEPTH: usize = 4;

/// How many names are looked at for that hint.
pub const MAX_NEAR_ENTRIES: usize = 10_000;

/// How many directories the hint names.
pub const MAX_NEAR_LISTED: usize = 3;

/// How long changes gather that come thick and fast: far below what anybody waits for, and the system queues some
/// ten thousand meanwhile.
pub const NOTICE_REST: Duration = Duration::from_millis(2);

/// The most tags of a trial that are remembered for diagnosis; a trainer that makes a tag a step
/// must not fill the memory.
pub const MAX_TAGS_REMEMBERED: usize = 10_000;

/// The most stretches of damage that are listed one by one; the rest is counted.
pub const MAX_DAMAGES_LISTED: usize = 100;

/// For how long after its last change it is looked at whether an event file is written beside others.
pub const FRESH_FILE: Duration = Duration::from_secs(60);

/// The most programs that are named as writers of a run.
pub const MAX_WRITERS_LISTED: usize = 100;

/// The most rewinds of one series that are listed one by one; the rest is counted.
pub const MAX_REWINDS_LISTED: usize = 100;

/// The most curves of one chart.
pub const MAX_CURVES: usize = 50;

/// The most charts that are drawn one below the other.
pub const MAX_CHARTS: usize = 20;

/// The longest configuration file, in bytes.
pub const MAX_CONFIG_BYTES: u64 = 1 << 20;

/// The most nodes of a configuration file after its aliases are expanded.
pub const MAX_CONFIG_NODES: usize = 100_000;

/// The deepest nesting of a configuration file.
pub const MAX_CONFIG_DEPTH: usize = 64;

/// The longest word of a command, and variable of the environment, in bytes: Linux's `MAX_ARG_STRLEN` without the byte
/// that ends it.
pub const MAX_ARGUMENT_BYTES: usize = (128 << 10) - 1;

/// The longest name of a parameter, in bytes: beside it its value has room in an argument, and the whole
/// `trainingInput` in `TF_CONFIG`.
pub const MAX_PARAMETER_NAME_BYTES: usize = 32 << 10;

/// The largest `maxTrials`: ids, the store and the reports are built for it.
pub const MAX_TRIALS: u32 = 100_000;

/// The largest `maxParallelTrials` on one machine: each running trial costs processes, a thread
/// and file handles.
pub const MAX_PARALLEL_TRIALS: u32 = 1_000;

/// The most replicas of one kind in a trial: each is a process and has a port.
pub const MAX_REPLICAS: u32 = 1_000;

/// The most GPUs that a trial can ask for, and that are looked for on a machine.
pub const MAX_GPUS: u32 = 1_024;

/// The most processors that a trial can ask for: what a mask of the kernel holds.
pub const MAX_CPUS: u32 = 1_024;

/// The pause between two looks at a GPU's memory.
pub const GPU_INTERVAL: Duration = Duration::from_millis(500);

/// So much more memory in use than before the job, in MiB, is no trace of a trial.
pub const GPU_MEMORY_SLACK_MIB: u64 = 64;

/// The longest chain of jobs of which each continues the one before.
pub const MAX_PREVIOUS_JOBS: usize = 1_000;

/// How many trials of other jobs a search begins with at most.
pub const MAX_WARM_TRIALS: usize = 300;

/// From how many measurements on a sample of a trial's curve is kept: half a megabyte a trial, and a gap between two of
/// them is some thousandth of the curve.
pub const MAX_CURVE_POINTS: usize = 8_192;

/// How many values of files that are read a second time are compared with what is known before they are handed on.
pub const MAX_CATCH_UP_POINTS: usize = 64 << 10;

/// How many updates may wait between a trial's reader and the controller; a full queue makes the
/// reader wait, never the trainer.
pub const FOLLOW_QUEUE: usize = 16;

/// How many values a reader hands over at once: they are stored within some 20 ms, and signals wait no longer.
pub const FOLLOW_BATCH: usize = 4_096;

/// From when on values that come in a burst are late: an early-stopping rule has missed that much of a trial ...
pub const LATE_VALUES: Duration = Duration::from_secs(10);

/// ... where they were written over so long a time; what comes in one step of a trainer belongs together.
pub const LATE_VALUES_OVER: Duration = Duration::from_secs(5);

/// Values with older clocks were not kept back but copied: no writer's buffer waits as long.
pub const OLDEST_LATE_VALUE: Duration = Duration::from_secs(3_600);

/// How many values of metrics files wait for a sink that is away: some 20 MB.
pub const MAX_REPORTS_WAITING: usize = 100_000;

/// How often the processes of trials are looked at where no SIGCHLD comes earlier.
pub const REAP_INTERVAL: Duration = Duration::from_millis(200);

/// How often in a row the living of a process tree are looked up and killed: one more time finds what was born meanwhile.
pub const MAX_KILL_PASSES: usize = 20;

/// How long killed processes may take to vanish before the user is told; after twice as long their slot is given up.
pub const KILL_PATIENCE: Duration = Duration::from_secs(10);

/// How long a statement waits for another process's lock on the store.
pub const STORE_BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// How many trials in a row may fail to start before the job ends: a program that is gone stays gone.
pub const MAX_FAILED_STARTS: usize = 3;

/// So many first trials that all fail in [`FAST_FAILURE`] end the job: the trainer works with no parameters at all.
pub const MAX_FAST_FAILURES: usize = 3;

/// So many trials that fail in the same words, however long they take, end a job in which none has worked.
pub const MAX_ALIKE_FAILURES: usize = 3;

/// A trial that ends earlier than this has hardly begun to train.
pub const FAST_FAILURE: Duration = Duration::from_secs(10);

/// The pause before a failed trial is tried again; it doubles with each attempt.
pub const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// The longest such pause.
pub const LONGEST_RETRY_PAUSE: Duration = Duration::from_secs(60);

/// How often at least a trial is tried again that ended by no fault of its own.
pub const LEAST_RETRIES_OF_LOST: u32 = 3;

/// How often a controller says in the store that it is there.
pub const LEASE_INTERVAL: Duration = Duration::from_secs(10);

/// How long a controller that cannot be seen from here counts as being there after it last said so.
pub const LEASE_EXPIRY: Duration = Duration::from_secs(45);

/// The pause before a store that is just being made is looked at again.
pub const STORE_RETRY: Duration = Duration::from_millis(20);

/// How many copies of one version may stand beside a store: each attempt to bring it to a newer version that was
/// killed between the copy and the change leaves one.
pub const MAX_STORE_COPIES: u32 = 100;

/// The pause before a store that failed is written to again.
pub const STORE_PAUSE: Duration = Duration::from_millis(500);

/// How long the supervisor of a trial that was killed may take to write that down, before it is killed too.
pub const SUPERVISOR_PATIENCE: Duration = Duration::from_secs(3);

/// How many file handles are to be left before a trial is started beside others: what starting it, following it and
/// the store take at once.
pub const HANDLES_A_TRIAL: u64 = 16;

/// How long a supervisor tries to write down how its trial ended, where the disk is full.
pub const RECORD_PATIENCE: Duration = Duration::from_secs(3_600);

/// How long a store that is locked, or that has no room, is written to again before the job gives up.
pub const STORE_PATIENCE: Duration = Duration::from_secs(600);

/// How many fresh draws are made to avoid a combination that was suggested before.
pub const MAX_REDRAWS: u32 = 1_000;

/// How many trials the hyperparameters of a model are fitted to: a fit takes the cube of it, many times.
pub const MAX_FIT_POINTS: usize = 100;

/// How many trials a model knows, the best and the newest: a suggestion takes the cube of it, once.
pub const MAX_MODEL_POINTS: usize = 600;

/// How many trials the density of those that are not good is made of, the newest: a suggestion takes a multiple of it.
pub const MAX_PARZEN_POINTS: usize = 2_000;

/// The longest line that `tuner` reads: a trial of any number of parameters fits.
pub const MAX_TUNER_LINE_BYTES: u64 = 1 << 20;

/// How long the processes that an ended trainer left behind may take to end before the user is told.
pub const LEFT_BEHIND_AFTER: Duration = Duration::from_secs(1);

/// How many different failures are remembered, so that each is told at length once.
pub const MAX_FAILURES_TOLD: usize = 100;

/// The last bytes of a failed trial's log in which the reason is looked for: the summary of a launcher may be long, and
/// a progress bar longer.
pub const LOG_TAIL_BYTES: u64 = 256 << 10;

/// The last bytes of a log in which a parser of arguments may complain.
pub const COMPLAINT_BYTES: u64 = 4 << 10;

/// How many lines that name an error are shown, where none is among the last ones.
pub const MAX_ERROR_LINES: usize = 3;

/// How many characters of a line of a log are shown.
pub const MAX_LOG_LINE_CHARS: usize = 1000;

/// How many characters of a process's command are shown.
pub const MAX_COMMAND_SHOWN: usize = 80;

/// How many of the processes are named that a trial's command left behind.
pub const MAX_LEFT_NAMED: usize = 3;

/// The first bytes of a script that are searched for a command which returns before its work is done.
pub const MAX_SCRIPT_BYTES: u64 = 64 << 10;

/// The pause between two looks at what a trial's command left behind.
pub const LEFT_PAUSE: Duration = Duration::from_millis(50);

/// How often a job looks whether somebody made a request to it.
pub const REQUEST_INTERVAL: Duration = Duration::from_millis(500);

/// How long nothing may be heard of a sidecar before its trial counts as lost: it says something every few seconds, but
/// the service may be restarted, and a network may be away for minutes.
pub const SIDECAR_PATIENCE: Duration = Duration::from_secs(600);

/// How long it may take, beside the grace of a trial, until its sidecar hears that the trainer is to end, and until what is
/// left has come.
pub const SIDECAR_DELAY: Duration = Duration::from_secs(15);

/// How many reports of sidecars are taken from the store at a time, so that signals and other trials get their turn.
pub const REPORTS_AT_ONCE: usize = 500;

/// How long a request may wait for the process that runs its job before whoever made it is told so.
pub const REQUEST_PATIENCE: Duration = Duration::from_secs(30);

/// The pause between two looks whether a controller that was told to end has.
pub const CANCEL_INTERVAL: Duration = Duration::from_millis(50);

/// The pause between two looks at a log that is followed.
pub const LOG_INTERVAL: Duration = Duration::from_millis(200);

/// The last lines of a failed trial's log that are shown.
pub const LOG_TAIL_LINES: usize = 5;

/// The most tags that are columns of a table: a spreadsheet takes 16,384 columns, and a row has a cell for each
/// whether there is a value or not.
pub const MAX_WIDE_TAGS: usize = 16_000;

/// How much text of an exported table gathers before it is written, in bytes: a system call a row
/// would cost more than the row.
pub const EXPORT_BUFFER_BYTES: usize = 64 << 10;

/// The most rows of a Parquet row group, and of what one thread encodes at once. They are held whole until they are written:
/// enough for encodings to pay, few enough for a reader to skip what it does not need, and for each thread to hold so many.
pub const EXPORT_ROW_GROUP_ROWS: usize = 64 << 10;

/// How much a Parquet row group may hold in memory before it is written, in bytes: ends one early
/// where rows are wide or texts long.
pub const EXPORT_ROW_GROUP_BYTES: usize = 16 << 20;

/// The largest dictionary of a Parquet column, in bytes: names and settings repeat and stay below it;
/// a column whose values differ is found out early and written plain.
pub const EXPORT_DICTIONARY_BYTES: usize = 32 << 10;

/// The most pixels of a picture: drawing takes a dozen bytes of memory for each, and no screen has
/// more.
pub const MAX_PICTURE_PIXELS: u64 = 16 << 20;

/// The most points of a curve in a web page: more than any screen has columns, so that a zoom shows
/// more than the whole did, and still a page that opens at once.
pub const MAX_PAGE_POINTS_A_CURVE: usize = 100_000;

/// The most points of all curves in a web page: some 20 MB of text.
pub const MAX_PAGE_POINTS: usize = 1_000_000;

/// The pause after the first failed try of a sink: what passes at once (a server that starts again) holds up
/// nothing ...
pub const SINK_FIRST_PAUSE: Duration = Duration::from_millis(50);

/// ... and the longest one on this machine, where a try costs nothing and a full disk may be cleared any time.
pub const SINK_LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// The pause before a full pipe is written to again.
pub const SINK_FULL_PAUSE: Duration = Duration::from_millis(10);

/// How long a sink waits for the outside at once before it looks whether its time is over.
pub const SINK_LOOK: Duration = Duration::from_millis(100);

/// How long the reader of a socket may take nothing before the user is told; one that is only slow is no
/// warning.
pub const SOCKET_STALLED_AFTER: Duration = Duration::from_secs(10);

/// The longest line of a sink that is read back, in bytes: many times the longest tag.
pub const MAX_SINK_LINE_BYTES: u64 = 1 << 20;

/// The most lines of one request to a webhook: servers handle so many at once.
pub const WEBHOOK_MAX_LINES: usize = 1_000;

/// The most bytes of lines of one request to a webhook, below what common servers and gateways take (1 MiB);
/// a single line may be longer.
pub const WEBHOOK_MAX_BYTES: usize = 512 << 10;

/// How long a webhook may take to answer a request.
pub const WEBHOOK_TIMEOUT: Duration = Duration::from_secs(30);

/// How long connecting to a webhook may take, a part of [`WEBHOOK_TIMEOUT`].
pub const WEBHOOK_CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the rest of a webhook's answer is waited for when its status is known.
pub const WEBHOOK_REST: Duration = Duration::from_secs(1);

/// How long a connection to a webhook is kept without use: gateways forget it after a minute.
pub const WEBHOOK_IDLE: Duration = Duration::from_secs(30);

/// The longest pause between two requests to a webhook that fails: it is not burdened further, and what
/// was missed comes soon after it is back.
pub const WEBHOOK_LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// The longest pause that a webhook may ask for: a slip of its must not silence the lines for hours.
pub const WEBHOOK_MAX_RETRY_AFTER: Duration = Duration::from_secs(600);

/// The most redirects of one request that are followed.
pub const WEBHOOK_MAX_REDIRECTS: usize = 5;

/// How much of a webhook's answer is read, in bytes, so that its connection can be used again.
pub const WEBHOOK_ANSWER_BYTES: usize = 16 << 10;

/// The shortest time after which a web server may want to hear of a watcher again that has nothing to deliver.
pub const WEBHOOK_SHORTEST_GREETING: Duration = Duration::from_secs(1);

/// How many characters of the answer that refuses lines are shown: a line or two of a terminal.
pub const WEBHOOK_ANSWER_SHOWN: usize = 200;

/// The longest file of a token, in bytes: servers take no longer header.
pub const MAX_TOKEN_BYTES: u64 = 16 << 10;

/// How much `watch` reads of a file at once, in bytes: what is read is held as lines, some ten times as long,
/// until the sink has taken it.
pub const WATCH_READ_BYTES: usize = 64 << 10;

/// How many lines `watch` delivers at once, where so many wait; what one reading gives comes on top.
pub const WATCH_BATCH_LINES: usize = 4_096;

/// `watch` reads files again, for values that stand behind a rewind, no more than once in so many times the time that it
/// takes.
pub const AGAIN_SHARE: u32 = 10;

/// How often `watch` stores how far its sinks have come, at most ...
pub const STATE_INTERVAL: Duration = Duration::from_secs(1);

/// ... and no more than once in so many times the time that it takes.
pub const STATE_SHARE: u32 = 50;

/// The longest state file, in bytes: a hundred thousand files with some tags each.
pub const MAX_STATE_BYTES: u64 = 1 << 30;

/// How many messages of its workers may wait for `watch`.
pub const WATCH_QUEUE: usize = 64;

/// How much is written to a pipe at once, in bytes: what a pipe takes whole, so that a reader that takes lines
/// slowly is told from one that takes none.
pub const SINK_PIECE_BYTES: usize = 4 << 10;

/// How often `watch` looks whether it is to end, where nothing tells it.
pub const UNTIL_INTERVAL: Duration = Duration::from_millis(100);

/// How often all is listed again after the trainer has ended, until nothing new is found: a network file system
/// may show the last bytes late.
pub const QUIET_POLLS: u32 = 2;

/// How long a request to an object store is tried again before the store counts as away; the tail asks again.
pub const REMOTE_PATIENCE: Duration = Duration::from_secs(10);

/// How often a bucket is listed: each listing is a request, and is paid for.
pub const REMOTE_POLL_INTERVAL: Duration = Duration::from_secs(5);

/// The pause between two looks for files that a trial writes outside of its directory, at first: a trainer may end
/// within a second ...
pub const OUTSIDE_PAUSE: Duration = Duration::from_millis(20);

/// ... and later on: what is made in a directory near the trainer's own is heard of at once.
pub const OUTSIDE_LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Looking takes one in so many parts of one core at most; so many times a pause a trial is old when that pause is
/// reached.
pub const OUTSIDE_SHARE: u32 = 20;

/// The most files outside of one trial's directory that are taken for its own.
pub const MAX_OUTSIDE_FILES: usize = 10_000;

/// How deep below the directory that a trainer runs in such files are looked for that it does not keep open.
pub const MAX_OUTSIDE_DEPTH: usize = 6;

/// The most directories that are watched for that: each takes a kilobyte of the kernel, of what a user has.
pub const MAX_OUTSIDE_WATCHES: usize = 1_000;

/// The most directories that processes of one trial run in, and that are looked below.
pub const MAX_OUTSIDE_PLACES: usize = 16;

/// How long a file with a name of the second is looked at before it is taken for a trial's: two trainers may have
/// chosen the same.
pub const SHARED_NAME_AFTER: Duration = Duration::from_millis(1_500);
