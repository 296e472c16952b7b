//! The thread that finds the parameters of trials, while the job's loop goes on.

use std::io;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use tokio::sync::mpsc::{Receiver, channel};

use crate::study::{Assignment, StudySpec};
use crate::suggest::{Request, Suggest};
use crate::units::TrialId;

/// A controller has one request open at a time.
const MAX_REQUESTS: usize = 1;

/// The parameters for a trial; `None` where nothing is left that is worth trying.
pub(super) type Answer = (TrialId, Option<Assignment>);

/// A search algorithm on a thread of its own.
#[derive(Debug)]
pub(super) struct Suggester {
    requests: SyncSender<Request>,
    thread: JoinHandle<()>,
}

impl Suggester {
    /// Starts the thread. Answers come in the order of the requests; none comes any more once the thread has ended, by
    /// a fault of the algorithm.
    ///
    /// # Errors
    /// The system has no room for a thread.
    pub(super) fn start(
        mut suggest: Box<dyn Suggest>,
        spec: StudySpec,
    ) -> io::Result<(Self, Receiver<Answer>)> {
        let (requests, requested) = sync_channel::<Request>(MAX_REQUESTS);
        let (answering, answers) = channel(MAX_REQUESTS);
        let thread = thread::Builder::new().name("suggest".to_owned()).spawn(move || {
            for Request { trial, observations } in requested {
                let params = suggest.suggest(&spec, &observations);
                if answering.blocking_send((trial, params)).is_err() {
                    // The job is over.
                    return;
                }
            }
        })?;
        Ok((Self { requests, thread }, answers))
    }

    /// Has the answer to a request found. It never waits: no more requests are open than there is room for.
    pub(super) fn request(&self, request: Request) {
        // Where the thread has ended, whoever waits for its answers sees that.
        let _ = self.requests.try_send(request);
    }

    /// Waits for the thread, which ends when it has found the answer that it is at. Its answers must not be waited for
    /// any more.
    pub(super) fn join(self) {
        drop(self.requests);
        // Its panic was told when it came.
        let _ = self.thread.join();
    }
}
