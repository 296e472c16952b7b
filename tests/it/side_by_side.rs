//! Jobs as values: several in one process, and one whose search takes long.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use hptune::app::prepare::{Plan, Request, prepare};
use hptune::app::run::{Finished, Job, Notice};
use hptune::report::{JobEvent, JobEventKind};
use hptune::study::{Assignment, FinalState, Outcome, StudySpec, Trial};
use hptune::suggest::{self, Observation, Suggest};
use tokio::sync::mpsc;

use crate::support::{PATIENCE, PROGRAM, Place, config, event_file};

/// A job named `id` of this configuration, with a shell script as its trainer that gets its place as `$0`.
fn plan(place: &Place, id: &str, config: &str, script: &str) -> Plan {
    let directory = place.path().to_str().expect("UTF-8");
    let request = Request {
        config_name: "c.yaml".into(),
        config_text: config.into(),
        command: ["sh", "-c", script, directory].map(str::to_owned).to_vec(),
        job_id: Some(id.into()),
        job_dir: Some(place.path().join(id)),
        seed: None,
        deadline: None,
        gpus: None,
        store: place.path().join("store.db"),
        previous_store: None,
    };
    let mut plan = prepare(request, &mut |_| {}).expect("it is right");
    // The program that runs here is that of the tests.
    plan.machine.program = Some(PROGRAM.into());
    plan
}

fn search(plan: &Plan) -> Box<dyn Suggest> {
    suggest::for_spec(&plan.config.spec)
}

/// Runs futures on this thread, as a program does that has no other.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("it starts").block_on(future)
}

/// No notice.
async fn silence() -> Notice {
    std::future::pending().await
}

fn outcomes(finished: &Finished) -> Vec<Option<&Outcome>> {
    finished.trials.iter().map(Trial::outcome).collect()
}

#[test]
fn two_jobs_run_to_their_ends_at_the_same_time_in_one_process() {
    let place = Place::new();
    place.write("acc.tfevents", event_file(&[0.25, 0.5]));
    // Each trial waits for the one of the other job that has its number.
    let script = |other: &str| {
        format!(
            "cp $0/acc.tfevents $HPTUNE_JOB_DIR/x.tfevents.1; \
             until [ -e $0/{other}/$CLOUD_ML_TRIAL_ID/x.tfevents.1 ]; do sleep 0.01; done"
        )
    };
    let text = config(3, "", "");
    let (left, right) =
        (plan(&place, "left", &text, &script("right")), plan(&place, "right", &text, &script("left")));
    let (searches, mut heard) = ([search(&left), search(&right)], [Vec::new(), Vec::new()]);
    let ([of_left, of_right], [left_heard, right_heard]) = (searches, &mut heard);
    let mut tell_left = |event: &JobEvent| left_heard.push(event.clone());
    let mut tell_right = |event: &JobEvent| right_heard.push(event.clone());
    let (left, right) = block_on(async {
        let left = Job::new(left, of_left, &mut tell_left).expect("it begins").run(silence);
        let right = Job::new(right, of_right, &mut tell_right).expect("it begins").run(silence);
        tokio::join!(left, right)
    });
    for (id, finished, heard) in [("left", left, &heard[0]), ("right", right, &heard[1])] {
        let finished = finished.expect("the store and the system work");
        assert_eq!(finished.end.state, FinalState::Succeeded);
        assert_eq!(outcomes(&finished), [Some(&Outcome::Succeeded); 3]);
        assert_eq!(place.describe(id)["state"], "SUCCEEDED");
        let is_own =
            |event: &JobEvent| !matches!(&event.kind, JobEventKind::JobEnded { job, .. } if job != id);
        assert!(heard.iter().all(is_own), "each is told of itself alone");
    }
}

/// A search that finds the parameters of a few trials at once, and those of the next when it is let.
#[derive(Debug)]
struct Latched {
    search: Box<dyn Suggest>,
    n_at_once: usize,
    waits: Sender<()>,
    gate: Arc<(Mutex<bool>, Condvar)>,
}

impl Suggest for Latched {
    fn suggest(&mut self, spec: &StudySpec, observations: &[Observation]) -> Option<Assignment> {
        if observations.len() >= self.n_at_once {
            self.waits.send(()).expect("the test waits");
            let (is_open, changed) = &*self.gate;
            let mut is_open = is_open.lock().expect("no test panics with it");
            while !*is_open {
                is_open = changed.wait(is_open).expect("no test panics with it");
            }
        }
        self.search.suggest(spec, observations)
    }
}

/// Waits for the first report that is one of these.
#[track_caller]
fn wait_for_report(reports: &Receiver<JobEventKind>, is_it: impl Fn(&JobEventKind) -> bool) -> JobEventKind {
    loop {
        let report = reports.recv_timeout(PATIENCE).expect("it comes");
        if is_it(&report) {
            return report;
        }
    }
}

#[test]
fn a_search_that_takes_long_holds_up_no_value_no_early_stop_and_no_interrupt() {
    let place = Place::new();
    place.write("good.tfevents", event_file(&[0.8, 0.9]));
    place.write("bad.tfevents", event_file(&[0.1, 0.2]));
    // The first two trials are good. The third writes when it is let, is bad, and would go on for ever; the fourth would too.
    let script = "if [ $CLOUD_ML_TRIAL_ID -le 2 ]; then cp $0/good.tfevents $HPTUNE_JOB_DIR/x.tfevents.1; exit; fi; \
                  until [ -e $0/go ]; do sleep 0.01; done; cp $0/bad.tfevents $HPTUNE_JOB_DIR/x.tfevents.1; sleep 1000";
    let text = config(
        9,
        "maxParallelTrials: 2\n    enableTrialEarlyStopping: true",
        "earlyStopping: {rule: median, minTrials: 2}",
    );
    let plan = plan(&place, "job", &text, script);
    let gate = Arc::new((Mutex::new(false), Condvar::new()));
    let (waits, waiting) = channel();
    let search = Box::new(Latched { search: search(&plan), n_at_once: 3, waits, gate: gate.clone() });
    let (notices, mut noticed) = mpsc::channel(1);
    let (reporting, reports) = channel();
    let job = thread::spawn(move || {
        let mut tell = |event: &JobEvent| reporting.send(event.kind.clone()).expect("the test waits");
        block_on(async {
            let job = Job::new(plan, search, &mut tell).expect("it begins");
            job.run(async || noticed.recv().await.expect("the test goes on")).await
        })
    });
    waiting.recv_timeout(PATIENCE).expect("the parameters of the fourth trial are looked for");
    place.write("go", "");
    wait_for_report(
        &reports,
        |report| matches!(report, JobEventKind::Point { trial, .. } if trial.get() == 3),
    );
    wait_for_report(
        &reports,
        |report| matches!(report, JobEventKind::StopDecided { trial, .. } if trial.get() == 3),
    );
    wait_for_report(
        &reports,
        |report| matches!(report, JobEventKind::TrialEnded { trial, .. } if trial.get() == 3),
    );
    notices.blocking_send(Notice::Interrupt(2)).expect("it listens");
    wait_for_report(&reports, |report| matches!(report, JobEventKind::JobEnded { .. }));
    assert_eq!(place.describe("job")["state"], "CANCELLED");
    assert!(!job.is_finished(), "it waits for its search");
    *gate.0.lock().expect("no test panics with it") = true;
    gate.1.notify_all();
    let finished = job.join().expect("it ends").expect("the store and the system work");
    assert_eq!(finished.exit_code(), 130);
    let expected = [Outcome::Succeeded, Outcome::Succeeded, Outcome::StoppedEarly];
    assert_eq!(
        outcomes(&finished),
        expected.each_ref().map(Some),
        "no trial is made of an answer that comes too late"
    );
    assert!(waiting.recv_timeout(Duration::ZERO).is_err(), "nothing more was asked for");
}

/// A search that has a fault.
#[derive(Debug)]
struct Faulty;

impl Suggest for Faulty {
    fn suggest(&mut self, _: &StudySpec, _: &[Observation]) -> Option<Assignment> {
        panic!("a fault");
    }
}

#[test]
fn a_search_with_a_fault_ends_the_job_instead_of_having_it_wait() {
    let place = Place::new();
    let plan = plan(&place, "job", &config(1, "", ""), "exit");
    let mut tell = |_: &JobEvent| {};
    let ended = block_on(async {
        Job::new(plan, Box::new(Faulty), &mut tell).expect("it begins").run(silence).await
    });
    let failure = ended.expect_err("there is no answer");
    assert!(failure.to_string().contains("the search for parameters has ended by a fault"), "{failure}");
}
