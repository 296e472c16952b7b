//! The service killed at any moment: no job is lost or started twice, and no answer is wrong.

use std::collections::BTreeMap;
use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::Value as Json;

use super::{Server, WRITE, job, place};
use crate::support::wait_for;

/// How often it is killed.
const N_KILLS: u64 = 50;

/// What clients found.
#[derive(Default)]
struct Found {
    n_right: AtomicU64,
    n_unavailable: AtomicU64,
    wrong: Mutex<Vec<String>>,
}

impl Found {
    /// Takes an answer: it is right, says that it cannot be had now, or there was none.
    fn take(&self, answered: std::io::Result<super::Answered>, is_right: impl Fn(&Json) -> bool) -> bool {
        match answered {
            Ok(answer) if answer.code == 200 => {
                let is_whole = serde_json::from_slice::<Json>(&answer.body).is_ok_and(|body| is_right(&body));
                if is_whole {
                    self.n_right.fetch_add(1, Ordering::Relaxed);
                } else {
                    self.wrong.lock().expect("nobody panicked").push(format!("{answer:?}"));
                }
                is_whole
            }
            Ok(answer) if answer.code == 503 => {
                self.n_unavailable.fetch_add(1, Ordering::Relaxed);
                false
            }
            Ok(answer) => {
                self.wrong.lock().expect("nobody panicked").push(format!("{answer:?}"));
                false
            }
            // Its connection went with it.
            Err(_) => false,
        }
    }
}

#[test]
fn no_job_is_lost_or_started_twice_wherever_the_service_is_killed() {
    let place = place();
    let starts = place.path().join("starts");
    let script =
        format!("echo $CLOUD_ML_JOB_ID/$CLOUD_ML_TRIAL_ID >> {}; {WRITE}; sleep 0.05", starts.display());
    let found = Arc::new(Found::default());
    let mut submitted: Vec<String> = Vec::new();
    let mut random = 12_345_u64;
    let mut draw = |below: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % below
    };
    for round in 0..N_KILLS {
        let server = Arc::new(Server::start(&place, &["--max-jobs", "2"]));
        let is_over = Arc::new(AtomicBool::new(false));
        let (polled, polls_over, seen) = (server.clone(), is_over.clone(), found.clone());
        let poll = thread::spawn(move || {
            while !polls_over.load(Ordering::Relaxed) {
                let list = polled.request("GET", "/v1/projects/p/jobs?pageSize=100", "", b"");
                seen.take(list, |list| list.get("jobs").is_none_or(Json::is_array));
                thread::sleep(Duration::from_millis(5));
            }
        });
        if round % 5 == 0 {
            let id = format!("job_{round}");
            let body = job(&id, 2, &script).to_string();
            let answered = server.request("POST", "/v1/projects/p/jobs", "", body.as_bytes());
            if found.take(answered, |job| job["jobId"] == id.as_str()) {
                submitted.push(id);
            }
        }
        thread::sleep(Duration::from_millis(draw(150)));
        kill(&server);
        is_over.store(true, Ordering::Relaxed);
        poll.join().expect("it ends");
    }
    let server = Server::start(&place, &["--max-jobs", "2"]);
    let listed = server.get("/v1/projects/p/jobs?pageSize=100");
    let ids: Vec<&str> =
        listed["jobs"].as_array().expect("a list").iter().filter_map(|job| job["jobId"].as_str()).collect();
    for id in &submitted {
        assert!(ids.contains(&id.as_str()), "{id} was submitted and is lost");
        server.wait_for_state(id, "SUCCEEDED");
        assert_eq!(
            server.get(&format!("/v1/projects/p/jobs/{id}"))["trainingOutput"]["completedTrialCount"],
            "2"
        );
    }
    wait_for("the rest", || {
        let listed = server.get("/api/v1/jobs?pageSize=100");
        listed["jobs"].as_array().expect("a list").iter().all(|job| job["state"] == "SUCCEEDED")
    });
    let mut counts: BTreeMap<String, u32> = BTreeMap::new();
    for line in fs::read_to_string(&starts).expect("it was written").lines() {
        *counts.entry(line.to_owned()).or_default() += 1;
    }
    assert_eq!(counts.len(), 2 * ids.len(), "{counts:?}");
    assert!(counts.values().all(|n| *n == 1), "{counts:?}");
    assert_eq!(*found.wrong.lock().expect("nobody panicked"), Vec::<String>::new());
    assert!(found.n_right.load(Ordering::Relaxed) > N_KILLS, "clients were answered");
}

/// Kills it, though others hold on to it.
fn kill(server: &Server) {
    server.signal(rustix::process::Signal::KILL);
    wait_for("its end", || server.request("GET", "/", "", b"").is_err());
}
