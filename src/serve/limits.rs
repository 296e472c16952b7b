//! What the service takes from whoever is connected, each limit with its reason.

use std::time::Duration;

/// The most connections at once: a thousand sidecars, and as many browsers and clients beside them. Each further one is
/// answered 503 and closed.
pub(super) const MAX_CONNECTIONS: usize = 2_048;

/// How long the head of a request may take to arrive, and how long a connection may stay idle: clients that send a few
/// bytes now and then are dropped.
pub(super) const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a TLS handshake may take.
pub(super) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a client may take no byte of an answer.
pub(super) const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// The longest head of a request, in bytes: a bearer token and a long filter fit. hyper takes no less than 8 KiB.
pub(super) const MAX_HEAD_BYTES: usize = 64 << 10;

/// The most headers of a request.
pub(super) const MAX_HEADERS: usize = 100;

/// The longest body of a request but for uploads, in bytes: a configuration of
/// [`crate::limits::MAX_CONFIG_BYTES`], quoted in JSON.
pub(super) const MAX_BODY_BYTES: usize = 4 << 20;

/// How much of a body that is too long is read and dropped, in bytes: a client that is cut off while it sends does not
/// hear why.
pub(super) const MAX_DRAINED_BYTES: usize = 64 << 20;

/// How long a body but for uploads may take to arrive.
pub(super) const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// How many statements of the store may run at once: more only wait for the same disk, and each has a thread.
pub(super) const MAX_STORE_CALLS: usize = 8;

/// How many requests may read the files of trials at once: each has a thread, and may hold many points.
pub(super) const MAX_FILE_READS: usize = 8;

/// How long a request waits for the store, locked by another process or busy with other requests, before it is
/// answered 503.
pub(super) const STORE_WAIT: Duration = Duration::from_secs(5);

/// How often it is looked whether the store has changed: a value is in the browser within a fifth of a second.
pub(super) const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// Looking takes no more than one in so many parts of the time, however large jobs are.
pub(super) const LOOK_SHARE: u32 = 4;

/// How often jobs are looked for whose process is gone, where nothing in the store tells.
pub(super) const PRESENCE_INTERVAL: Duration = Duration::from_secs(2);

/// The pause before the process of a job that ended without an end of the job is started again; it doubles up to
/// [`LONGEST_RESTART_PAUSE`].
pub(super) const RESTART_PAUSE: Duration = Duration::from_secs(1);

/// The longest such pause.
pub(super) const LONGEST_RESTART_PAUSE: Duration = Duration::from_secs(60);

/// How long a job that nobody asks for is kept in memory.
pub(super) const KEEP_JOB: Duration = Duration::from_secs(60);

/// The most jobs that are kept in memory whole.
pub(super) const MAX_JOBS_KEPT: usize = 16;

/// The most summaries of jobs that are kept, and rows of lists, some kilobyte each.
pub(super) const MAX_SUMMARIES_KEPT: usize = 10_000;

/// The most lines of one report of a sidecar: what `watch` sends at most.
pub(super) const MAX_REPORTED_LINES: usize = crate::limits::WEBHOOK_MAX_LINES;

/// The longest key of a report, in bytes: a hash in any form, or a UUID.
pub(super) const MAX_KEY_BYTES: usize = 128;

/// How many reports may wait to be stored: one of each connection. Each further one is answered 503.
pub(super) const MAX_REPORTS_WAITING: usize = MAX_CONNECTIONS;

/// How many reports are stored in one transaction at most, so that other writers of the store get their turn.
pub(super) const MAX_REPORTS_STORED: usize = 500;

/// After what time a sidecar that has nothing to report is to ask whether its trial goes on.
pub(super) const REPORT_WITHIN: Duration = Duration::from_secs(5);

/// How often the store is told of a sidecar that reports nothing: its job sees by that that it is there, long before
/// [`crate::limits::SIDECAR_PATIENCE`] is over.
pub(super) const ALIVE_INTERVAL: Duration = Duration::from_secs(60);

/// The largest page of a list of jobs, as the service had it.
pub(super) const MAX_PAGE: usize = 100;

/// The page of a list where none is asked for, as the service had it.
pub(super) const DEFAULT_PAGE: usize = 20;

/// The largest page of our own list of jobs.
pub(super) const MAX_OWN_PAGE: usize = 1_000;

/// The longest filter of a list, in bytes.
pub(super) const MAX_FILTER_BYTES: usize = 4 << 10;

/// The most labels of a job, and the longest key and value of one, in bytes, as the service had it.
pub(super) const MAX_LABELS: usize = 64;
/// See [`MAX_LABELS`].
pub(super) const MAX_LABEL_BYTES: usize = 128;

/// The most values under `allMetrics` of all trials of a job together, and the most and the fewest of one trial: an answer
/// stays below a megabyte. All of them are in the pages of `measurements`.
pub(super) const MAX_METRICS: usize = 10_000;
/// See [`MAX_METRICS`].
pub(super) const MAX_METRICS_A_TRIAL: usize = 1_000;
/// See [`MAX_METRICS`].
pub(super) const MIN_METRICS_A_TRIAL: usize = 10;

/// An answer that is shorter is not compressed, in bytes: it fits into one packet.
pub(super) const MIN_COMPRESSED_BYTES: usize = 1_400;
