//! What `serve` bears: a thousand sidecars at once, large jobs, many jobs, and nothing to do.
//!
//! `cargo bench --bench serving` prints each figure beside its target. `README.md` beside this file has the figures.

#![expect(
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a benchmark prints its figures, and ends where one is missing"
)]

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use hptune::edge::store::{NewJob, Resource, Store};
use hptune::study::{FinalState, JobEnd, Record};
use jiff::Timestamp;
use serde_json::{Value as Json, json};

const PROGRAM: &str = env!("CARGO_BIN_EXE_hptune");

/// How many sidecars report, how many values each a second, and for how many seconds.
const N_SIDECARS: usize = 1_000;
const VALUES_A_SECOND: i64 = 10;
const SECONDS: i64 = 30;

fn main() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path();
    sidecars(&path.join("sidecars"));
    many_jobs(&path.join("many"));
}

/// A service that runs.
struct Server {
    child: Child,
    address: String,
}

impl Server {
    fn start(directory: &Path, listen: &str) -> Self {
        let mut child = Command::new(PROGRAM)
            .args(["serve", "--listen", listen, "--store"])
            .arg(directory.join("store.db"))
            .current_dir(directory)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut errors = BufReader::new(child.stderr.take().expect("it is piped"));
        let mut ready = String::new();
        errors.read_line(&mut ready).expect("it says where it listens");
        thread::spawn(move || std::io::copy(&mut errors, &mut std::io::sink()));
        let address = ready.split("://").nth(1).and_then(|rest| rest.split('/').next()).expect("an address");
        Self { address: address.to_owned(), child }
    }

    fn kill(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
    }

    fn get(&self, path: &str) -> Json {
        let mut client = Client::to(&self.address).expect("it listens");
        let (status, body) = client.request("GET", path, "", "").expect("it answers");
        assert_eq!(status, 200, "{body}");
        serde_json::from_str(&body).expect("JSON")
    }
}

/// A connection that is kept.
struct Client {
    stream: BufReader<TcpStream>,
    address: String,
}

impl Client {
    fn to(address: &str) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        Ok(Self { stream: BufReader::new(stream), address: address.to_owned() })
    }

    fn request(&mut self, method: &str, path: &str, key: &str, body: &str) -> std::io::Result<(u16, String)> {
        let mut request = format!("{method} {path} HTTP/1.1\r\nhost: {}\r\n", self.address);
        if !body.is_empty() {
            let _ = write!(request, "content-type: application/json\r\ncontent-length: {}\r\n", body.len());
        }
        if !key.is_empty() {
            let _ = write!(request, "idempotency-key: {key}\r\n");
        }
        self.stream.get_mut().write_all(format!("{request}\r\n{body}").as_bytes())?;
        let broken = || std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
        let (mut status, mut length) = (None, 0);
        loop {
            let mut line = String::new();
            if self.stream.read_line(&mut line)? == 0 {
                return Err(broken());
            }
            let line = line.trim_end().to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            match line.strip_prefix("content-length: ") {
                Some(n) => length = n.parse().map_err(|_| broken())?,
                None if status.is_none() => {
                    status = line.split(' ').nth(1).and_then(|code| code.parse().ok())
                }
                None => {}
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        Ok((status.ok_or_else(broken)?, String::from_utf8_lossy(&body).into_owned()))
    }
}

/// A thousand sidecars that report ten values a second each, while the service is killed once and started again.
fn sidecars(directory: &Path) {
    fs::create_dir_all(directory).expect("a directory");
    let mut server = Server::start(directory, "127.0.0.1:0");
    let config = format!(
        "trainingInput:\n  jobDir: {}\n  hyperparameters:\n    hyperparameterMetricTag: m\n    maxTrials: {N_SIDECARS}\n    \
         maxParallelTrials: {N_SIDECARS}\n    algorithm: RANDOM_SEARCH\n    params:\n    - {{parameterName: x, type: DOUBLE, \
         minValue: 0, maxValue: 1}}\nhptune: {{engine: {{kind: sidecar}}}}\n",
        directory.join("out").display()
    );
    let mut client = Client::to(&server.address).expect("it listens");
    let body = json!({"config": config, "jobId": "j"}).to_string();
    let (status, answer) = client.request("POST", "/api/v1/jobs", "", &body).expect("it answers");
    assert_eq!(status, 200, "{answer}");
    while server.get("/api/v1/jobs/j")["counts"]["running"] != json!(N_SIDECARS) {
        thread::sleep(Duration::from_millis(200));
    }
    let address = server.address.clone();
    let (latencies, n_again) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicU64::new(0)));
    let begun = Instant::now() + Duration::from_secs(1);
    let report = |trial: usize| {
        let (address, latencies, n_again) = (address.clone(), latencies.clone(), n_again.clone());
        move || {
            // Spread over the second, as sidecars are.
            let offset = Duration::from_micros(1_000_000 * trial as u64 / N_SIDECARS as u64);
            let mut client = None;
            for second in 0..SECONDS {
                let at = begun + offset + Duration::from_secs(second as u64);
                thread::sleep(at.saturating_duration_since(Instant::now()));
                let (path, body) = (format!("/api/v1/jobs/j/trials/{trial}"), batch(second));
                let asked = Instant::now();
                let mut is_first = true;
                loop {
                    let answered = client.take().map_or_else(|| Client::to(&address), Ok).and_then(
                        |mut known: Client| {
                            let answer = known.request("POST", &path, &format!("k{second}"), &body)?;
                            client = Some(known);
                            Ok(answer)
                        },
                    );
                    match answered {
                        Ok((200, _)) => break,
                        Ok((503, _)) | Err(_) => {
                            is_first = false;
                            n_again.fetch_add(1, Ordering::Relaxed);
                            thread::sleep(Duration::from_millis(100));
                        }
                        Ok((status, answer)) => panic!("{status}: {answer}"),
                    }
                }
                if is_first {
                    latencies.lock().expect("nobody panicked").push(asked.elapsed());
                }
            }
        }
    };
    let spawn = |trial| thread::Builder::new().stack_size(128 << 10).spawn(report(trial)).expect("a thread");
    let clients: Vec<_> = (1..=N_SIDECARS).map(spawn).collect();
    thread::sleep(
        (begun + Duration::from_secs(SECONDS as u64 / 2)).saturating_duration_since(Instant::now()),
    );
    server.kill();
    server = Server::start(directory, &address);
    clients.into_iter().for_each(|client| client.join().expect("it reported all"));
    let took = begun.elapsed().as_secs_f64();
    let n = N_SIDECARS as i64 * SECONDS * VALUES_A_SECOND;
    let mut latencies = latencies.lock().expect("nobody panicked").clone();
    latencies.sort();
    let at = |share: f64| latencies[((latencies.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    println!(
        "{N_SIDECARS} sidecars, {VALUES_A_SECOND} values a second each: {:.0} durable values a second (10,000)",
        n as f64 / took
    );
    println!(
        "an answer to a report: p50 {:.1} ms, p99 {:.1} ms (100), of {}",
        at(0.5),
        at(0.99),
        latencies.len()
    );
    println!("reports sent again over a kill -9 and a restart: {}", n_again.load(Ordering::Relaxed));
    // Nothing lost, nothing doubled.
    let expected = SECONDS * VALUES_A_SECOND;
    let store = directory.join("store.db");
    let read = Instant::now();
    loop {
        let job = Store::open_to_read(&store)
            .and_then(|store| store.job("j"))
            .expect("it reads")
            .expect("it is there");
        let counts: Vec<usize> = job.trials.iter().map(|trial| trial.curve.points().len()).collect();
        if counts.iter().all(|count| *count as i64 == expected) {
            break;
        }
        assert!(counts.iter().all(|count| *count as i64 <= expected), "none is doubled");
        assert!(read.elapsed() < Duration::from_secs(60), "none is lost");
        thread::sleep(Duration::from_millis(200));
    }
    println!(
        "the job had all {n} values {:.1} s behind the last report, each once",
        read.elapsed().as_secs_f64()
    );
    println!(
        "jobs.get with {N_SIDECARS} trials and {n} measurements: p50 {:.1} ms (20, of 100,000)",
        median_ms(&server.address, "/v1/projects/p/jobs/j")
    );
    server.get("/api/v1/jobs/j");
    let mut client = Client::to(&server.address).expect("it listens");
    client.request("POST", "/api/v1/jobs/j:cancel", "", "{}").expect("it answers");
    while server.get("/api/v1/jobs/j")["state"] != "CANCELLED" {
        thread::sleep(Duration::from_millis(200));
    }
    server.kill();
}

/// What a watcher posts of one second.
fn batch(second: i64) -> String {
    let points = (0..VALUES_A_SECOND).map(|n| {
        let step = second * VALUES_A_SECOND + n + 1;
        let wall_time = 1e9 + step as f64;
        json!({"kind": "point", "run": ".", "tag": "m", "step": step, "wall_time": wall_time, "value": 1.0 / step as f64,
               "attempt": 1, "seq": step})
    });
    json!({"version": 1, "lines": points.collect::<Vec<_>>()}).to_string()
}

/// A thousand jobs in the list, and the service with nothing to do.
fn many_jobs(directory: &Path) {
    fs::create_dir_all(directory).expect("a directory");
    let mut store = Store::open(&directory.join("store.db")).expect("it opens");
    let now = Timestamp::now();
    for n in 0..1_000 {
        let job = NewJob {
            id: format!("job_{n}"),
            config: "hyperparameters: {maxTrials: 10, params: [{parameterName: a, type: INTEGER, minValue: 1, maxValue: 9}]}"
                .into(),
            seed: 1,
            command: vec!["true".into()],
            job_dir: directory.join("out"),
            created_at: now,
            directory: directory.to_owned(),
            deadline: None,
            previous: None,
            max_trials: None,
            resource: Resource::default(),
        };
        let number = store.create_job(&job).expect("it is new");
        let end = JobEnd { state: FinalState::Succeeded, message: None };
        store.write(number, &[Record::JobEnded(now, end)]).expect("it writes");
    }
    let mut server = Server::start(directory, "127.0.0.1:0");
    let first = Instant::now();
    server.get("/v1/projects/p/jobs?pageSize=100");
    println!("the first jobs.list of 1,000 jobs: {:.1} ms", first.elapsed().as_secs_f64() * 1e3);
    let own = median_ms(&server.address, "/api/v1/jobs?pageSize=1000");
    println!(
        "jobs.list, 100 of 1,000 jobs: p50 {:.1} ms (50); our own list, all: {own:.1} ms",
        median_ms(&server.address, "/v1/projects/p/jobs?pageSize=100")
    );
    thread::sleep(Duration::from_secs(3));
    let ticks = || {
        let stat = fs::read_to_string(format!("/proc/{}/stat", server.child.id())).expect("it runs");
        let fields: Vec<&str> = stat.rsplit(')').next().expect("fields").split_whitespace().collect();
        fields[11].parse::<f64>().expect("ticks") + fields[12].parse::<f64>().expect("ticks")
    };
    let before = ticks();
    thread::sleep(Duration::from_secs(20));
    let percent = (ticks() - before) / 20.0;
    let status = fs::read_to_string(format!("/proc/{}/status", server.child.id())).expect("it runs");
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("it is told");
    let kib: f64 = resident.split_whitespace().next().and_then(|kib| kib.parse().ok()).expect("a number");
    println!("idle with 1,000 jobs: {:.1} MiB (40), {percent:.2} % of a core (0.5)", kib / 1024.0);
    server.kill();
}

/// The median of 31 requests, one after the other.
fn median_ms(address: &str, path: &str) -> f64 {
    let mut client = Client::to(address).expect("it listens");
    let mut time = || {
        let asked = Instant::now();
        let (status, body) = client.request("GET", path, "", "").expect("it answers");
        assert_eq!(status, 200, "{body}");
        asked.elapsed()
    };
    time();
    let mut times: Vec<Duration> = (0..31).map(|_| time()).collect();
    times.sort();
    times[15].as_secs_f64() * 1e3
}
