//! The controller, the study and the stop rule under a virtual clock: a thousand jobs of trials that
//! succeed, fail, hang, ignore TERM and cannot be started.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use hptune::controller::{Controller, Input, JobState, Output, Record, Signal};
use hptune::series::{Change, Point};
use hptune::study::{Config, EarlyStopping, Exit, Outcome, StudySpec};
use hptune::units::{MetricValue, Step, TrialId, WallTime};
use jiff::Timestamp;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

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
    is_exit_told: bool,
}

/// What was stored, checked as it comes.
#[derive(Default)]
struct Stored {
    suggested: Vec<TrialId>,
    params: BTreeSet<String>,
    started: BTreeSet<TrialId>,
    stops: BTreeSet<TrialId>,
    ended: BTreeMap<TrialId, Outcome>,
    end: Option<JobState>,
    message: String,
}

struct World {
    random: ChaCha8Rng,
    now_ms: i64,
    controller: Controller,
    running: BTreeMap<TrialId, Process>,
    stored: Stored,
    max_running: usize,
    is_finished: bool,
    /// A job whose user cancels it at this time.
    cancel_ms: Option<i64>,
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
            match output {
                Output::Persist(record) => self.store(record),
                Output::Start(trial, params) => {
                    assert!(self.stored.suggested.contains(&trial), "stored before it is acted on");
                    assert!(self.controller.spec().space.contains(&params));
                    self.start(trial);
                }
                Output::Signal(trial, signal) => self.signal(trial, signal),
                Output::StillThere(trial) => panic!("trial {trial} was killed and is gone"),
                Output::Finished => self.is_finished = true,
            }
        }
    }

    fn store(&mut self, record: Record) {
        let stored = &mut self.stored;
        match record {
            Record::Suggested(trial, params) => {
                assert_eq!(trial.get() as usize, stored.suggested.len() + 1, "ids go up by one");
                stored.suggested.push(trial);
                stored.params.insert(params.to_string());
            }
            Record::Started(trial, _) => assert!(stored.started.insert(trial), "started once"),
            Record::Changed(trial, _) => {
                assert!(!stored.ended.contains_key(&trial), "no value after the end")
            }
            Record::StopDecided(trial, _, _) => assert!(stored.stops.insert(trial), "stopped once"),
            Record::Ended(trial, _, outcome) => {
                assert_eq!(stored.ended.insert(trial, outcome), None, "one final state a trial");
            }
            Record::CancelDecided(_) => {}
            Record::JobEnded(_, end) => {
                assert_eq!(stored.end.replace(end.state), None, "one end");
                stored.message = end.message.unwrap_or_default();
            }
        }
    }

    fn start(&mut self, trial: TrialId) {
        let random = &mut self.random;
        if below(random, 20) == 0 {
            return self.feed(Input::StartFailed(trial, "no such file".into()));
        }
        let nature = match below(random, 20) {
            0 => Nature::Hangs,
            1 => Nature::HangsAndIgnoresTerm,
            2 => Nature::LeavesChild,
            3 | 4 => Nature::Ends(1),
            _ => Nature::Ends(0),
        };
        let process = Process {
            nature,
            n_steps: below(random, 30) as i64,
            quality: below(random, 1000) as f64 / 1000.0,
            step: 0,
            next_ms: self.now_ms + 10,
            gone_ms: None,
            is_exit_told: false,
        };
        self.running.insert(trial, process);
        self.max_running = self.max_running.max(self.running.len());
        self.feed(Input::Started(trial));
    }

    fn signal(&mut self, trial: TrialId, signal: Signal) {
        let now_ms = self.now_ms;
        let Some(process) = self.running.get_mut(&trial) else { return };
        let ends = match (signal, process.nature) {
            (Signal::Kill, _) | (Signal::Terminate, Nature::Ends(_) | Nature::Hangs) => true,
            (Signal::Terminate, Nature::HangsAndIgnoresTerm | Nature::LeavesChild) => false,
        };
        if ends && process.gone_ms.is_none() {
            process.gone_ms = Some(now_ms + 7);
        }
    }

    /// The time of the next thing that happens by itself.
    fn next_ms(&self) -> Option<i64> {
        let of_process =
            |p: &Process| [p.gone_ms, (!p.is_exit_told).then_some(p.next_ms)].into_iter().flatten().min();
        let timeout = self.controller.poll_timeout().map(Timestamp::as_millisecond);
        self.running.values().filter_map(of_process).chain(timeout).chain(self.cancel_ms).min()
    }

    fn advance(&mut self) {
        self.now_ms = self.next_ms().expect("a job that is not over waits for something").max(self.now_ms);
        if self.cancel_ms.is_some_and(|at| at <= self.now_ms) {
            self.cancel_ms = None;
            self.feed(Input::Cancel);
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
            let was_told = process.is_exit_told;
            self.running.remove(&trial);
            if !was_told {
                self.feed(Input::Exited(trial, Exit::Signal(15)));
            }
            self.feed(Input::Settled(trial));
            // A late word about it changes nothing.
            self.feed(Input::Exited(trial, Exit::Code(1)));
            return self.feed(Input::Settled(trial));
        }
        if process.is_exit_told || process.next_ms > now_ms {
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
            let mut changes = vec![Change::Point(point)];
            if process.step == 1 {
                changes.insert(0, Change::Source("eval".into()));
            }
            if process.step > 1 && below(&mut self.random, 50) == 0 {
                changes.insert(0, Change::Rewind(Step(process.step - 2)));
            }
            return self.feed(Input::Changed(trial, changes));
        }
        match process.nature {
            Nature::Hangs | Nature::HangsAndIgnoresTerm => process.next_ms = now_ms + 1_000_000,
            Nature::Ends(code) => {
                process.is_exit_told = true;
                process.gone_ms = Some(now_ms + 3);
                self.feed(Input::Exited(trial, Exit::Code(code)));
            }
            Nature::LeavesChild => {
                process.is_exit_told = true;
                self.feed(Input::Exited(trial, Exit::Code(0)));
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

/// Runs one job to its end and checks what must hold of every job.
fn run(seed: u64) -> Stored {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let spec = spec(&mut random);
    let (max_trials, max_parallel) = (spec.max_trials as usize, spec.max_parallel_trials as usize);
    let max_failed = spec.max_failed_trials as usize;
    // Some trainers never end by themselves: every user loses patience at last.
    let patience = if below(&mut random, 10) == 0 { 1_000 } else { 1_000_000 };
    let cancel_ms = Some(1 + below(&mut random, patience) as i64 + patience as i64);
    let controller = Controller::new(spec, GRACE);
    let mut world = World {
        random,
        now_ms: 1,
        controller,
        running: BTreeMap::new(),
        stored: Stored::default(),
        max_running: 0,
        is_finished: false,
        cancel_ms,
    };
    world.feed(Input::Tick);
    while !world.is_finished {
        world.advance();
    }
    let stored = world.stored;
    assert!(world.running.is_empty(), "no process is left");
    assert!(world.max_running <= max_parallel, "never more than maxParallelTrials");
    assert_eq!(stored.suggested.len(), stored.ended.len(), "no trial is lost");
    assert_eq!(stored.params.len(), stored.suggested.len(), "no suggestion comes twice");
    assert!(stored.suggested.len() <= max_trials, "never more than maxTrials");
    let n_failed = stored.ended.values().filter(|o| o.is_failure()).count();
    let n_not_started = stored.ended.values().filter(|o| matches!(o, Outcome::NotStarted(_))).count();
    let is_program_gone = stored.message.contains("could not be started");
    assert!(!is_program_gone || n_not_started >= 3);
    let was_cut_short = stored.end == Some(JobState::Cancelled)
        || is_program_gone
        || (max_failed > 0 && n_failed >= max_failed);
    if !was_cut_short {
        assert_eq!(stored.suggested.len(), max_trials, "exactly maxTrials");
    }
    for (trial, outcome) in &stored.ended {
        let was_stopped = stored.stops.contains(trial);
        assert!(*outcome != Outcome::StoppedEarly || was_stopped, "an early stop has its reason");
        assert!(stored.started.contains(trial) || matches!(outcome, Outcome::NotStarted(_)));
    }
    let has_result = stored.ended.values().any(Outcome::is_success);
    match stored.end {
        Some(JobState::Succeeded) => assert!(has_result),
        Some(JobState::Failed) => assert!(was_cut_short || !has_result),
        Some(JobState::Cancelled) => {}
        None => panic!("a job ends in a state"),
    }
    stored
}

#[test]
fn a_thousand_jobs_keep_every_promise() {
    let mut kinds: BTreeSet<&str> = BTreeSet::new();
    for seed in 0..1000 {
        let stored = run(seed);
        kinds.extend(stored.end.map(JobState::name));
        kinds.extend(stored.ended.values().map(|outcome| match outcome {
            Outcome::Succeeded => "trial succeeded",
            Outcome::StoppedEarly => "trial stopped early",
            Outcome::Failed(_) => "trial failed",
            Outcome::NotStarted(_) => "trial not started",
            Outcome::Infeasible | Outcome::Rejected(_) => "trial infeasible",
            Outcome::NoMetric => "trial without metric",
            Outcome::Cancelled => "trial cancelled",
        }));
    }
    // Every way to end was taken: the simulation shows what it claims to show.
    assert_eq!(kinds.len(), 3 + 7, "{kinds:?}");
}

#[test]
fn the_same_job_runs_the_same_way() {
    for seed in 0..20 {
        let (a, b) = (run(seed), run(seed));
        assert_eq!((a.params, a.ended, a.stops), (b.params, b.ended, b.stops));
    }
}
