//! The controller, the study and the stop rule under a virtual clock: a thousand jobs of trials that
//! succeed, fail, hang, ignore TERM, cannot be started and cannot be killed, whose parameters take time to be found, under
//! controllers that are killed between any two of their outputs and go on from what is stored.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use hptune::controller::{Controller, Input, OnMissingMetric, Output, Policy, Signal};
use hptune::edge::store::{NewJob, Resource, Store};
use hptune::objective::Change;
use hptune::study::{
    Assignment, Config, Decided, EarlyStopping, Exit, FinalState, Outcome, Record, State, Study, StudySpec,
    Trial,
};
use hptune::suggest;
use hptune::units::{MetricValue, Step, TrialId, WallTime};
use jiff::Timestamp;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use tfevents::series::{Point, Position};

const RETRIES: u32 = 1;

const GRACE: Duration = Duration::from_secs(5);

fn below(random: &mut ChaCha8Rng, n: u64) -> u64 {
    random.next_u64() % n
}

/// How a simulated trainer behaves.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Nature {
    /// Ends by itself with this code.
    Ends(i32),
    /// Goes on for ever.
    Hangs,
    /// Goes on for ever, and only KILL ends it.
    HangsAndIgnoresTerm,
    /// Ends by itself, but a child of it lives on that only KILL ends.
    LeavesChild,
    /// Goes on for ever, and KILL ends it only after minutes, as in a hanging file system.
    Hung,
}

/// A trainer that runs.
struct Process {
    nature: Nature,
    n_steps: i64,
    quality: f64,
    step: i64,
    next_ms: i64,
    /// When the whole tree is gone.
    gone_ms: Option<i64>,
    /// How it ended, which its supervisor writes down.
    exit: Option<Exit>,
    is_quarantined: bool,
}

/// What was stored, checked as it comes.
struct Stored {
    /// What the records make.
    study: Study,
    /// In the order in which they came.
    records: Vec<Record>,
    n_resumed: usize,
    suggested: Vec<TrialId>,
    params: BTreeSet<String>,
    started: BTreeSet<(TrialId, u32)>,
    attempts: BTreeMap<TrialId, u32>,
    stops: BTreeSet<TrialId>,
    ended: BTreeMap<TrialId, Outcome>,
    end: Option<FinalState>,
    message: String,
    /// What happened while a request for parameters was open.
    meanwhile: BTreeSet<&'static str>,
}

struct World {
    random: ChaCha8Rng,
    now_ms: i64,
    controller: Controller,
    policy: Policy,
    /// A controller is killed before one of so many outputs.
    crash_one_in: Option<u64>,
    running: BTreeMap<TrialId, Process>,
    /// What supervisors of trials that are gone have written down.
    exits: BTreeMap<TrialId, Exit>,
    stored: Stored,
    max_running: usize,
    is_finished: bool,
    /// Parameters are found in less than so many milliseconds; 0: at once.
    search_ms: u64,
    /// The answer to the request for parameters that is open, and when it comes.
    answer: Option<(i64, TrialId, Option<Assignment>)>,
    /// A job whose user cancels it at this time.
    cancel_ms: Option<i64>,
    /// Its trainers write another metric than the wanted one.
    lacks_metric: bool,
}

impl Stored {
    fn new(spec: StudySpec) -> Self {
        Self {
            study: Study::new(spec),
            records: Vec::new(),
            n_resumed: 0,
            suggested: Vec::new(),
            params: BTreeSet::new(),
            started: BTreeSet::new(),
            attempts: BTreeMap::new(),
            stops: BTreeSet::new(),
            ended: BTreeMap::new(),
            end: None,
            message: String::new(),
            meanwhile: BTreeSet::new(),
        }
    }

    fn is_cancelling(&self) -> bool {
        *self.study.decided() == Decided::Cancel
    }

    fn has_failed(&self) -> bool {
        matches!(self.study.decided(), Decided::Fail(_))
    }
}

impl World {
    fn now(&self) -> Timestamp {
        Timestamp::from_millisecond(self.now_ms).expect("a time")
    }

    fn feed(&mut self, input: Input) {
        let now = self.now();
        self.controller.handle(now, input);
        while let Some(output) = self.controller.poll_output() {
            assert!(!self.is_finished, "nothing follows the end");
            // A job that is over does not go on.
            let may_crash = self.stored.end.is_none();
            if may_crash && self.crash_one_in.is_some_and(|n| below(&mut self.random, n) == 0) {
                return self.resume();
            }
            match output {
                Output::Persist(record) => self.store(record),
                Output::Suggest(suggest::Request { trial, observations }) => {
                    assert_eq!(self.answer, None, "one request is open at a time");
                    let spec = self.controller.spec();
                    let params = suggest::for_spec(spec).suggest(spec, &observations);
                    let wait_ms =
                        if self.search_ms > 0 { below(&mut self.random, self.search_ms) } else { 0 };
                    if wait_ms == 0 {
                        self.feed(Input::Suggested(trial, params));
                    } else {
                        self.answer = Some((self.now_ms + wait_ms as i64, trial, params));
                    }
                }
                Output::Start(trial, params, attempt) => {
                    assert!(self.stored.suggested.contains(&trial), "stored before it is acted on");
                    assert!(!self.stored.has_failed(), "nothing is started once the job has failed");
                    assert_eq!(self.stored.attempts.get(&trial).copied().unwrap_or(1), attempt);
                    assert!(self.controller.spec().space.contains(&params));
                    self.start(trial);
                }
                Output::Reattach(trial, _) => self.reattach(trial),
                Output::Quarantine(trial) => {
                    // It may have gone just now.
                    let is_there = self.running.get_mut(&trial).map(|process| process.is_quarantined = true);
                    self.settle(trial);
                    if is_there.is_none() {
                        self.feed(Input::Released(trial));
                    }
                }
                Output::Signal(trial, signal) => self.signal(trial, signal),
                Output::StillThere(trial) => {
                    let nature = self.running.get(&trial).map(|process| process.nature);
                    // It may have gone just now.
                    let is_right = nature.is_none_or(|nature| nature == Nature::Hung);
                    assert!(is_right, "trial {trial} was killed and is gone");
                }
                Output::Finished => self.is_finished = true,
            }
        }
    }

    /// The controller was killed, and another one goes on from what is stored.
    fn resume(&mut self) {
        self.stored.n_resumed += 1;
        self.stored.meanwhile.extend(self.answer.take().map(|_| "the controller is killed"));
        self.controller = Controller::new(self.stored.study.clone(), self.policy);
        // Who was in quarantine is over; its slot counts as free until somebody looks.
        let ended = &self.stored.ended;
        self.running.retain(|id, _| !ended.contains_key(id));
        self.running.values_mut().for_each(|process| process.is_quarantined = false);
        self.feed(Input::Tick);
    }

    /// What a new controller finds of a trial that the old one had started.
    fn reattach(&mut self, trial: TrialId) {
        match self.running.get(&trial).map(|process| process.exit) {
            Some(exit) => {
                let n_resumed = self.stored.n_resumed;
                let is_known = self.stored.study.trial(trial).is_some_and(|trial| trial.attempt_at.is_some());
                self.feed(if is_known { Input::Reattached(trial) } else { Input::Started(trial) });
                if let Some(exit) = exit
                    && self.stored.n_resumed == n_resumed
                {
                    self.feed(Input::Exited(trial, exit, self.now()));
                }
            }
            None => {
                let n_resumed = self.stored.n_resumed;
                if let Some(exit) = self.exits.get(&trial).copied() {
                    self.feed(Input::Exited(trial, exit, self.now()));
                }
                if self.stored.n_resumed == n_resumed {
                    self.settle(trial);
                }
            }
        }
    }

    /// All that a trial wrote was handed in.
    fn settle(&mut self, trial: TrialId) {
        let n_resumed = self.stored.n_resumed;
        let is_missing = self.controller.trial(trial).is_some_and(|trial| trial.curve.last().is_none());
        if is_missing && self.lacks_metric {
            self.feed(Input::OtherMetrics(trial, "there are others".into()));
        }
        // A new controller finds it by itself.
        if self.stored.n_resumed == n_resumed {
            self.feed(Input::Settled(trial, None));
        }
    }

    fn store(&mut self, record: Record) {
        let stored = &mut self.stored;
        stored.study.apply(&record);
        stored.records.push(record.clone());
        if self.answer.is_some() {
            stored.meanwhile.extend(match &record {
                Record::Changed(..) => Some("a value comes"),
                Record::StopDecided(..) => Some("a trial is stopped"),
                Record::Ended(..) => Some("a trial ends"),
                Record::CancelDecided(_) => Some("the job is cancelled"),
                Record::FailDecided(..) => Some("the job fails"),
                Record::JobEnded(..) => Some("the job ends"),
                Record::Suggested(..) | Record::Started(..) | Record::Retried(..) => None,
            });
        }
        match record {
            Record::Suggested(trial, params) => {
                assert_eq!(trial.get() as usize, stored.suggested.len() + 1, "ids go up by one");
                assert!(!stored.has_failed(), "no trial is suggested once the job has failed");
                stored.suggested.push(trial);
                stored.params.insert(params.to_string());
            }
            Record::Started(trial, _, attempt) => {
                assert!(stored.started.insert((trial, attempt)), "an attempt is started once");
            }
            Record::Retried(trial, _, outcome, attempt) => {
                assert!(outcome.is_failure() && !stored.ended.contains_key(&trial));
                assert!(attempt <= 1 + RETRIES.max(3), "not more attempts than were asked for");
                stored.attempts.insert(trial, attempt);
            }
            Record::Changed(trial, _) => {
                assert!(!stored.ended.contains_key(&trial), "no value after the end")
            }
            Record::StopDecided(trial, _, _) => assert!(stored.stops.insert(trial), "stopped once"),
            Record::Ended(trial, _, outcome) => {
                assert_eq!(stored.ended.insert(trial, outcome), None, "one final state a trial");
            }
            Record::CancelDecided(_) => {}
            Record::FailDecided(..) => {
                let is_failure = |record: &&Record| matches!(record, Record::FailDecided(..));
                assert_eq!(stored.records.iter().filter(is_failure).count(), 1, "a job fails once");
            }
            Record::JobEnded(_, end) => {
                assert_eq!(stored.end.replace(end.state), None, "one end");
                stored.message = end.message.unwrap_or_default();
            }
        }
    }

    fn start(&mut self, trial: TrialId) {
        if let Some(process) = self.running.get(&trial) {
            // The old controller had started it, and did not live to say so.
            let (exit, n_resumed) = (process.exit, self.stored.n_resumed);
            self.feed(Input::Started(trial));
            if let Some(exit) = exit
                && self.stored.n_resumed == n_resumed
            {
                self.feed(Input::Exited(trial, exit, self.now()));
            }
            return;
        }
        let random = &mut self.random;
        if below(random, 20) == 0 {
            return self.feed(Input::StartFailed(trial, "no such file".into()));
        }
        let nature = match below(random, 40) {
            0 | 1 => Nature::Hangs,
            2 => Nature::HangsAndIgnoresTerm,
            3 => Nature::Hung,
            4 | 5 => Nature::LeavesChild,
            6..10 => Nature::Ends(1),
            10 => Nature::Ends(143),
            _ => Nature::Ends(0),
        };
        let process = Process {
            nature,
            n_steps: if self.lacks_metric { 0 } else { below(random, 30) as i64 },
            quality: below(random, 1000) as f64 / 1000.0,
            step: 0,
            next_ms: self.now_ms + 10,
            gone_ms: None,
            exit: None,
            is_quarantined: false,
        };
        self.exits.remove(&trial);
        self.running.insert(trial, process);
        self.max_running = self.max_running.max(self.running.len());
        self.feed(Input::Started(trial));
    }

    fn signal(&mut self, trial: TrialId, signal: Signal) {
        let now_ms = self.now_ms;
        let Some(process) = self.running.get_mut(&trial) else { return };
        let ends = match (signal, process.nature) {
            (Signal::Kill, _) | (Signal::Terminate, Nature::Ends(_) | Nature::Hangs) => true,
            (Signal::Terminate, Nature::HangsAndIgnoresTerm | Nature::LeavesChild | Nature::Hung) => false,
        };
        if ends && process.gone_ms.is_none() {
            process.gone_ms = Some(now_ms + if process.nature == Nature::Hung { 60_000 } else { 7 });
        }
    }

    /// The time of the next thing that happens by itself.
    fn next_ms(&self) -> Option<i64> {
        let of_process =
            |p: &Process| [p.gone_ms, p.exit.is_none().then_some(p.next_ms)].into_iter().flatten().min();
        let timeout = self.controller.poll_timeout().map(Timestamp::as_millisecond);
        let answer = self.answer.as_ref().map(|(at, ..)| *at);
        self.running.values().filter_map(of_process).chain(timeout).chain(self.cancel_ms).chain(answer).min()
    }

    fn advance(&mut self) {
        self.now_ms = self.next_ms().expect("a job that is not over waits for something").max(self.now_ms);
        if self.cancel_ms.is_some_and(|at| at <= self.now_ms) {
            self.feed(Input::Cancel);
            // A controller that was killed just then did not hear it; the user says it again.
            self.cancel_ms = (!self.stored.is_cancelling()).then_some(self.now_ms + 1_000);
        }
        if let Some((_, trial, params)) = self.answer.take_if(|(at, ..)| *at <= self.now_ms) {
            self.feed(Input::Suggested(trial, params));
        }
        if below(&mut self.random, 200) == 0 {
            // Of whatever trial, whether it is there or not.
            let trial = TrialId::after(below(&mut self.random, 40) as u32);
            self.feed(Input::StopTrial(trial));
        }
        for trial in self.running.keys().copied().collect::<Vec<_>>() {
            self.live(trial);
        }
        self.feed(Input::Tick);
    }

    /// Lets a trainer do what is due.
    fn live(&mut self, trial: TrialId) {
        let now_ms = self.now_ms;
        let Some(process) = self.running.get_mut(&trial) else { return };
        if process.gone_ms.is_some_and(|at| at <= now_ms) {
            let (exit, is_quarantined) = (process.exit, process.is_quarantined);
            self.running.remove(&trial);
            if is_quarantined {
                return self.feed(Input::Released(trial));
            }
            let n_resumed = self.stored.n_resumed;
            let is_same = |world: &Self| world.stored.n_resumed == n_resumed;
            self.exits.insert(trial, exit.unwrap_or(Exit::Signal(9)));
            if exit.is_none() {
                self.feed(Input::Exited(trial, Exit::Signal(9), self.now()));
            }
            // A new controller finds it by itself.
            if is_same(self) {
                self.settle(trial);
            }
            // A late word about it changes nothing.
            if is_same(self) && !self.running.contains_key(&trial) {
                self.feed(Input::Settled(trial, None));
            }
            return;
        }
        if process.exit.is_some() || process.next_ms > now_ms {
            return;
        }
        process.next_ms = now_ms + 10;
        if process.step < process.n_steps {
            process.step += 1;
            let share = process.step as f64 / 30.0;
            let noise = below(&mut self.random, 100) as f64 / 1000.0;
            let is_nan = below(&mut self.random, 200) == 0;
            let value = MetricValue::F64(if is_nan { f64::NAN } else { process.quality * share + noise });
            let point = Point { step: Step(process.step), wall_time: WallTime(now_ms as f64), value };
            let mut changes = vec![Change::Point { pass: 0, point }];
            if process.step == 1 {
                changes.insert(0, Change::Source("eval".into()));
            }
            if process.step > 1 && below(&mut self.random, 50) == 0 {
                changes.insert(0, Change::Rewind(Position::first_pass(Step(process.step - 2))));
            }
            return self.feed(Input::Changed(trial, changes));
        }
        match process.nature {
            Nature::Hangs | Nature::HangsAndIgnoresTerm | Nature::Hung => {
                process.next_ms = now_ms + 1_000_000
            }
            Nature::Ends(code) => {
                process.exit = Some(Exit::Code(code));
                process.gone_ms = Some(now_ms + 3);
                self.feed(Input::Exited(trial, Exit::Code(code), self.now()));
            }
            Nature::LeavesChild => {
                process.exit = Some(Exit::Code(0));
                self.feed(Input::Exited(trial, Exit::Code(0), self.now()));
            }
        }
    }
}

fn spec(random: &mut ChaCha8Rng) -> StudySpec {
    let goal = ["MAXIMIZE", "MINIMIZE"][below(random, 2) as usize];
    let max_trials = 1 + below(random, 40);
    let max_parallel = 1 + below(random, 8);
    let max_failed = if below(random, 4) == 0 { 3 } else { 0 };
    let text = format!(
        "hyperparameters: {{goal: {goal}, maxTrials: {max_trials}, maxParallelTrials: {max_parallel}, \
         maxFailedTrials: {max_failed}, enableTrialEarlyStopping: true, algorithm: RANDOM_SEARCH, params: [\
         {{parameterName: a, type: DOUBLE, minValue: 1e-4, maxValue: 1, scaleType: UNIT_LOG_SCALE}}, \
         {{parameterName: b, type: CATEGORICAL, categoricalValues: [x, y]}}]}}"
    );
    let mut spec = Config::read(&text).expect("it is valid").0.spec;
    spec.early_stopping = EarlyStopping::Median { min_steps: 0, min_trials: 1 + below(random, 5) as u32 };
    spec.seed = random.next_u64();
    spec
}

/// Whether a job had ended for another reason than that its trials finished.
fn was_ending_otherwise(stored: &Stored) -> bool {
    *stored.study.decided() != Decided::Nothing
}

/// Runs one job to its end and checks what must hold of every job.
fn run(seed: u64) -> Stored {
    run_with(seed, if seed.is_multiple_of(2) { 100 } else { 0 })
}

/// The same with parameters that are found in less than so many milliseconds.
fn run_with(seed: u64, search_ms: u64) -> Stored {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let spec = spec(&mut random);
    let (max_trials, max_parallel) = (spec.max_trials as usize, spec.max_parallel_trials as usize);
    let max_failed = spec.max_failed_trials as usize;
    // Some trainers never end by themselves: every user loses patience at last.
    let patience = if below(&mut random, 10) == 0 { 1_000 } else { 1_000_000 };
    let cancel_ms = Some(1 + below(&mut random, patience) as i64 + patience as i64);
    let policy = Policy {
        grace: GRACE,
        retries: below(&mut random, u64::from(RETRIES) + 1) as u32,
        time_limit: (below(&mut random, 4) == 0).then_some(Duration::from_millis(200)),
        deadline: (below(&mut random, 8) == 0).then(|| Timestamp::from_millisecond(6_000).expect("a time")),
        on_missing_metric: [OnMissingMetric::Fail, OnMissingMetric::Continue][below(&mut random, 2) as usize],
    };
    let lacks_metric = below(&mut random, 6) == 0;
    let crash_one_in = (below(&mut random, 2) == 0).then(|| 5 + below(&mut random, 200));
    let controller = Controller::new(Study::new(spec.clone()), policy);
    let mut world = World {
        random,
        now_ms: 1,
        controller,
        policy,
        crash_one_in,
        running: BTreeMap::new(),
        exits: BTreeMap::new(),
        stored: Stored::new(spec.clone()),
        max_running: 0,
        is_finished: false,
        search_ms,
        answer: None,
        cancel_ms,
        lacks_metric,
    };
    world.feed(Input::Tick);
    while !world.is_finished {
        world.advance();
        let stages = || world.controller.trials().iter().map(|t| (t.id, &t.stage)).collect::<Vec<_>>();
        assert!(world.now_ms < 1_000_000_000, "a job ends: seed {seed}, {:?}", stages());
    }
    if let Some((_, trial, params)) = world.answer.take() {
        world.feed(Input::Suggested(trial, params));
    }
    let stored = world.stored;
    assert!(world.running.values().all(|process| process.is_quarantined), "no process is left");
    assert!(world.max_running <= max_parallel, "never more than maxParallelTrials");
    assert_eq!(stored.suggested.len(), stored.ended.len(), "no trial is lost");
    assert_eq!(stored.params.len(), stored.suggested.len(), "no suggestion comes twice");
    assert!(stored.suggested.len() <= max_trials, "never more than maxTrials");
    let n_failed = stored.ended.values().filter(|o| o.is_failure()).count();
    let n_not_started = stored.ended.values().filter(|o| matches!(o, Outcome::NotStarted(_))).count();
    let is_program_gone = stored.message.contains("could not be started");
    assert!(!is_program_gone || n_not_started >= 3);
    let is_failing_fast = stored.message.contains("failed within seconds");
    assert!(!is_failing_fast || !stored.ended.values().any(Outcome::is_success));
    let has_no_slot = stored.message.contains("no slot is left");
    let is_late = stored.message.contains("the job's time");
    assert!(!is_late || policy.deadline.is_some());
    let has_no_metric = stored.message.contains("no value of the metric");
    let n_without = stored.ended.values().filter(|o| **o == Outcome::NoMetric).count();
    if has_no_metric {
        assert!(lacks_metric && policy.on_missing_metric == OnMissingMetric::Fail);
        assert_eq!(stored.end, Some(FinalState::Failed));
        // The first to end so decides it, and each of the others was running then or had failed in another way.
        assert!((1..=max_parallel).contains(&n_without), "{n_without}");
    } else if lacks_metric && policy.on_missing_metric == OnMissingMetric::Fail {
        assert!(n_without == 0 || was_ending_otherwise(&stored), "{}", stored.message);
    }
    let was_cut_short = stored.end == Some(FinalState::Cancelled)
        || has_no_metric
        || is_program_gone
        || is_failing_fast
        || has_no_slot
        || is_late
        || (max_failed > 0 && n_failed >= max_failed);
    if !was_cut_short {
        assert_eq!(stored.suggested.len(), max_trials, "exactly maxTrials");
    }
    for (trial, outcome) in &stored.ended {
        let was_stopped = stored.stops.contains(trial);
        let is_stop = matches!(outcome, Outcome::StoppedEarly | Outcome::StoppedByRequest);
        assert!(!is_stop || was_stopped, "a stop has its reason");
        assert!(stored.started.contains(&(*trial, 1)) || matches!(outcome, Outcome::NotStarted(_)));
    }
    let has_result = stored.ended.values().any(Outcome::is_success);
    match stored.end {
        Some(FinalState::Succeeded) => assert!(has_result),
        Some(FinalState::Failed) => assert!(was_cut_short || !has_result),
        Some(FinalState::Cancelled) => {}
        None => panic!("a job ends in a state"),
    }
    stored
}

#[test]
fn a_thousand_jobs_keep_every_promise() {
    let mut kinds: BTreeSet<&str> = BTreeSet::new();
    let (mut n_resumed, mut meanwhile) = (0, BTreeSet::new());
    for seed in 0..1000 {
        let stored = run(seed);
        kinds.extend(stored.end.map(FinalState::name));
        kinds.extend(stored.message.contains("no value of the metric").then_some("metric that never comes"));
        n_resumed += stored.n_resumed;
        meanwhile.extend(stored.meanwhile);
        kinds.extend(stored.ended.values().map(|outcome| match outcome {
            Outcome::Succeeded => "trial succeeded",
            Outcome::StoppedEarly => "trial stopped early",
            Outcome::StoppedByRequest => "trial stopped by request",
            Outcome::Failed(_) => "trial failed",
            Outcome::NotStarted(_) => "trial not started",
            Outcome::Infeasible | Outcome::Rejected(_) => "trial infeasible",
            Outcome::NoMetric => "trial without metric",
            Outcome::Preempted => "trial preempted",
            Outcome::Lost | Outcome::ReplicaFailed(..) | Outcome::LeftAtWork(_) => "trial lost",
            Outcome::Cancelled => "trial cancelled",
        }));
    }
    // Every way to end was taken: the simulation shows what it claims to show.
    assert_eq!(kinds.len(), 3 + 9 + 1, "{kinds:?}");
    assert!(n_resumed > 1000, "{n_resumed}");
    // And all that may happen happened while a request for parameters was open.
    assert_eq!(meanwhile.len(), 7, "{meanwhile:?}");
}

#[test]
fn trials_get_the_same_parameters_however_long_these_are_looked_for() {
    let params = |stored: &Stored| stored.study.trials().iter().map(|t| t.params.clone()).collect::<Vec<_>>();
    for seed in 0..50 {
        let (at_once, late) = (params(&run_with(seed, 0)), params(&run_with(seed, 500)));
        // Whether a job is cut short depends on the time that it takes.
        let n = at_once.len().min(late.len());
        assert_eq!(at_once[..n], late[..n]);
    }
}

/// What a store keeps of a trial.
fn kept(trial: &Trial) -> String {
    let Trial { id, params, stage, curve, attempt, started_at, attempt_at, ended_at, stop } = trial;
    let (run, points) = (curve.run(), curve.points());
    // As a text, in which NaN is the same as NaN.
    format!(
        "{id} {params} {stage:?} {attempt} {started_at:?} {attempt_at:?} {ended_at:?} {stop:?} {run:?} {points:?}"
    )
}

#[test]
fn the_store_gives_back_the_study_that_the_records_make() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut store = Store::open(&directory.path().join("store.db")).expect("it opens");
    for seed in 0..20 {
        let stored = run(seed);
        let n = stored.records.len();
        for n in [n / 4, n / 2, 3 * n / 4, n] {
            let id = format!("job_{seed}_{n}");
            let job = NewJob {
                id: id.clone(),
                config: String::new(),
                seed,
                command: Vec::new(),
                job_dir: "/".into(),
                created_at: Timestamp::UNIX_EPOCH,
                directory: "/".into(),
                deadline: None,
                previous: None,
                max_trials: None,
                resource: Resource::default(),
            };
            let number = store.create_job(&job).expect("it is new");
            let mut study = Study::new(stored.study.spec().clone());
            stored.records[..n].iter().for_each(|record| study.apply(record));
            store.write(number, &stored.records[..n]).expect("it is written");
            let read = store.job(&id).expect("it reads").expect("it is there");
            let of_store: Vec<String> = read.trials.iter().map(kept).collect();
            let of_study: Vec<String> = study.trials().iter().map(kept).collect();
            assert_eq!(of_store, of_study, "job {seed} after {n} records");
            let state = match (study.end(), study.decided()) {
                (Some(end), _) => State::Ended(end.state),
                (None, Decided::Cancel) => State::Cancelling,
                (None, Decided::Nothing | Decided::Fail(_)) => State::Running,
            };
            assert_eq!(read.state, state);
        }
    }
}

#[test]
fn the_same_job_runs_the_same_way() {
    for seed in 0..20 {
        let (a, b) = (run(seed), run(seed));
        assert_eq!((a.params, a.ended, a.stops), (b.params, b.ended, b.stops));
    }
}
