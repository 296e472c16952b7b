//! `hptune serve` with real jobs, over real connections.

mod clients;
mod hostile;
mod jobs;
mod killed;
mod sidecars;
mod streams;

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, mpsc};
use std::thread;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value as Json, json};

use crate::support::{PATIENCE, Place, event_file, wait_for};

/// A service that runs; it is killed with its test.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
    said: Mutex<mpsc::Receiver<String>>,
}

/// What came of a request.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) code: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Server {
    pub(crate) fn start(place: &Place, options: &[&str]) -> Self {
        Self::started(place.command(&[&["serve", "--listen", "127.0.0.1:0"], options].concat()))
    }

    pub(crate) fn started(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("it starts");
        let errors = BufReader::new(child.stderr.take().expect("it is piped"));
        let (tell, said) = mpsc::channel();
        thread::spawn(move || errors.lines().map_while(Result::ok).for_each(|line| drop(tell.send(line))));
        let ready = said.recv_timeout(PATIENCE).expect("it says where it listens");
        let address = ready.split("://").nth(1).and_then(|rest| rest.split('/').next());
        let address = address.unwrap_or_else(|| panic!("{ready}")).parse().expect("an address");
        Self { child, address, said: Mutex::new(said) }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it runs");
    }

    /// Waits for its end. The answer is its exit code and what it said last.
    pub(crate) fn ended(mut self) -> (Option<i32>, String) {
        let code = self.child.wait().expect("it ends").code();
        let mut last = String::new();
        let said = self.said.get_mut().expect("nobody panicked");
        while let Ok(line) = said.recv_timeout(PATIENCE) {
            last = line;
        }
        (code, last)
    }

    /// Sends a request as it is, and reads the answer to its end.
    pub(crate) fn send(&self, request: &[u8]) -> std::io::Result<Answered> {
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        // It may be refused before all of it is sent.
        let sent = stream.write_all(request);
        let mut bytes = Vec::new();
        let read = stream.read_to_end(&mut bytes);
        if bytes.is_empty() {
            sent?;
            read?;
        }
        Answered::read(&bytes).ok_or_else(|| std::io::ErrorKind::InvalidData.into())
    }

    /// Sends a request with headers, each ended by a line's end.
    pub(crate) fn request(
        &self,
        method: &str,
        path: &str,
        headers: &str,
        body: &[u8],
    ) -> std::io::Result<Answered> {
        let mut head = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n{headers}");
        if !headers.to_lowercase().contains("host:") {
            let _ = write!(head, "Host: {}\r\n", self.address);
        }
        if !body.is_empty() || method == "POST" {
            let _ = write!(head, "Content-Length: {}\r\n", body.len());
        }
        self.send(&[head.as_bytes(), b"\r\n", body].concat())
    }

    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> Json {
        let answered = self.request("GET", path, "", b"").expect("it answers");
        assert_eq!(answered.code, 200, "{answered:?}");
        answered.json()
    }

    /// What a method is answered with.
    #[track_caller]
    pub(crate) fn post(&self, path: &str, body: &Json) -> Answered {
        let headers = "Content-Type: application/json\r\n";
        self.request("POST", path, headers, body.to_string().as_bytes()).expect("it answers")
    }

    /// Waits until a job has this state.
    #[track_caller]
    pub(crate) fn wait_for_state(&self, job: &str, state: &str) {
        wait_for(&format!("{job} to be {state}"), || {
            let now = self.get(&format!("/v1/projects/p/jobs/{job}"))["state"].clone();
            now == state || {
                let is_over = ["SUCCEEDED", "FAILED", "CANCELLED"].iter().any(|over| now == *over);
                assert!(!is_over, "{job} is {now}");
                false
            }
        });
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Nothing to do where it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Answered {
    fn read(bytes: &[u8]) -> Option<Self> {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let code = head.split(' ').nth(1)?.parse().ok()?;
        let body = &bytes[end + 4..];
        let body = if head.to_lowercase().contains("transfer-encoding: chunked") {
            unchunked(body)
        } else {
            body.to_owned()
        };
        Some(Self { code, head, body })
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Json {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }
}

fn unchunked(mut rest: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    while let Some(at) = rest.windows(2).position(|window| window == b"\r\n") {
        let size = String::from_utf8_lossy(&rest[..at]);
        let Ok(size) = usize::from_str_radix(size.trim(), 16) else { break };
        let Some(chunk) = rest.get(at + 2..at + 2 + size) else { break };
        whole.extend(chunk);
        rest = rest.get(at + 4 + size..).unwrap_or_default();
    }
    whole
}

/// A job of the service whose trainer is a shell script.
pub(crate) fn job(id: &str, max_trials: u32, script: &str) -> Json {
    json!({
        "jobId": id,
        "labels": {"kind": "test"},
        "trainingInput": {
            "scaleTier": "CUSTOM",
            "masterConfig": {"imageUri": "an/image", "containerCommand": ["sh", "-c", script, "trainer"]},
            "hyperparameters": {
                "goal": "MAXIMIZE",
                "hyperparameterMetricTag": "acc",
                "maxTrials": max_trials,
                "algorithm": "RANDOM_SEARCH",
                "params": [{"parameterName": "x", "type": "INTEGER", "minValue": 1, "maxValue": 1000}],
            },
        },
    })
}

/// Copies the event file of the place to where the trial's belong.
pub(crate) const WRITE: &str = "mkdir -p $HPTUNE_JOB_DIR && cp acc.tfevents $HPTUNE_JOB_DIR/x.tfevents.1";

/// A place with an event file of two values, of which the last is 0.5.
pub(crate) fn place() -> Place {
    let place = Place::new();
    place.write("acc.tfevents", event_file(&[0.25, 0.5]));
    place
}
