//! `watch` and `run` on an object store: a server of Google Cloud Storage's XML API, as far as a reader needs it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::thread;

use axum::Router;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::Value as Json;

use crate::support::{Place, event_file, event_file_at};
use crate::watch::Watching;

/// Objects with their generations, and what was asked for.
#[derive(Default)]
struct Bucket {
    objects: BTreeMap<String, (Vec<u8>, u64)>,
    n_generations: u64,
    /// Each read: the object, and the range as it was asked for.
    reads: Vec<(String, String)>,
    n_lists: usize,
    /// So many requests are answered with 503.
    n_away: usize,
    is_forbidden: bool,
}

#[derive(Clone, Default)]
struct Server {
    bucket: Arc<Mutex<Bucket>>,
    address: Option<SocketAddr>,
}

impl Server {
    fn start() -> Self {
        let mut server = Self::default();
        let state = server.clone();
        let (sender, address) = std::sync::mpsc::channel();
        // It ends with the test's process.
        thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("it starts");
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("it listens");
                sender.send(listener.local_addr().expect("an address")).expect("it is waited for");
                let router = Router::new()
                    .route("/bucket", get(list))
                    .route("/bucket/{*path}", get(object).head(object))
                    .with_state(state);
                axum::serve(listener, router).await.expect("it serves");
            });
        });
        server.address = Some(address.recv().expect("it starts"));
        server
    }

    fn put(&self, path: &str, bytes: &[u8]) {
        let mut bucket = self.bucket.lock().expect("a lock");
        bucket.n_generations += 1;
        let generation = bucket.n_generations;
        bucket.objects.insert(path.to_owned(), (bytes.to_vec(), generation));
    }

    fn reads(&self) -> Vec<(String, String)> {
        std::mem::take(&mut self.bucket.lock().expect("a lock").reads)
    }

    /// Follows the bucket with the real program.
    fn watch(&self, place: &Place, more: &[&str]) -> std::process::Command {
        self.command(place, &[&["watch", "gs://bucket/jobs/1"], more].concat())
    }

    /// The program, which finds this server.
    fn command(&self, place: &Place, arguments: &[&str]) -> std::process::Command {
        let address = self.address.expect("it is started");
        let key = format!(
            r#"{{"gcs_base_url":"http://{address}","disable_oauth":true,"client_email":"","private_key":"","private_key_id":""}}"#
        );
        let key = place.write("key.json", key);
        let mut command = place.command(arguments);
        command.env("GOOGLE_SERVICE_ACCOUNT", key).env("GOOGLE_ALLOW_HTTP", "true");
        command
    }
}

async fn list(State(server): State<Server>, RawQuery(query): RawQuery) -> Response {
    let url = format!("http://x/?{}", query.unwrap_or_default());
    let url = reqwest::Url::parse(&url).expect("a query");
    let query: BTreeMap<String, String> = url.query_pairs().into_owned().collect();
    let mut bucket = server.bucket.lock().expect("a lock");
    bucket.n_lists += 1;
    if let Some(refused) = refused(&mut bucket) {
        return refused;
    }
    let prefix = query.get("prefix").cloned().unwrap_or_default();
    let from: usize = query.get("continuation-token").map_or(0, |token| token.parse().expect("a number"));
    let matching: Vec<_> = bucket.objects.iter().filter(|(path, _)| path.starts_with(&prefix)).collect();
    let mut xml = "<?xml version=\"1.0\"?><ListBucketResult>".to_owned();
    // Pages of two.
    for (path, (bytes, generation)) in matching.iter().skip(from).take(2) {
        xml += &format!(
            "<Contents><Key>{path}</Key><Size>{}</Size><LastModified>2026-01-01T00:00:00.000Z</LastModified>\
             <ETag>\"{generation}\"</ETag></Contents>",
            bytes.len()
        );
    }
    if from + 2 < matching.len() {
        xml += &format!("<NextContinuationToken>{}</NextContinuationToken>", from + 2);
    }
    (StatusCode::OK, xml + "</ListBucketResult>").into_response()
}

async fn object(
    State(server): State<Server>,
    Path(path): Path<String>,
    method: Method,
    headers: HeaderMap,
) -> Response {
    let mut bucket = server.bucket.lock().expect("a lock");
    if let Some(refused) = refused(&mut bucket) {
        return refused;
    }
    let header = |name: &str| headers.get(name).map(|value| value.to_str().expect("text").to_owned());
    let Some((bytes, generation)) = bucket.objects.get(&path).cloned() else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let e_tag = format!("\"{generation}\"");
    if header("if-match").is_some_and(|wanted| wanted != e_tag) {
        return StatusCode::PRECONDITION_FAILED.into_response();
    }
    let common = [
        ("etag", e_tag),
        ("last-modified", "Thu, 01 Jan 2026 00:00:00 GMT".to_owned()),
        ("x-goog-stored-content-length", bytes.len().to_string()),
    ];
    if method == Method::HEAD {
        return (common, [("content-length", bytes.len().to_string())]).into_response();
    }
    let range = header("range").expect("never the whole object");
    bucket.reads.push((path, range.clone()));
    let (start, end) = range.strip_prefix("bytes=").and_then(|range| range.split_once('-')).expect("a range");
    let (start, end): (usize, usize) = (start.parse().expect("a number"), end.parse().expect("a number"));
    if start >= bytes.len() {
        return StatusCode::RANGE_NOT_SATISFIABLE.into_response();
    }
    let end = end.min(bytes.len() - 1);
    let range = [("content-range", format!("bytes {start}-{end}/{}", bytes.len()))];
    (StatusCode::PARTIAL_CONTENT, common, range, bytes[start..=end].to_vec()).into_response()
}

fn refused(bucket: &mut Bucket) -> Option<Response> {
    if bucket.n_away > 0 {
        bucket.n_away -= 1;
        return Some(StatusCode::SERVICE_UNAVAILABLE.into_response());
    }
    bucket.is_forbidden.then(|| StatusCode::FORBIDDEN.into_response())
}

#[test]
fn objects_are_followed_each_value_once_and_only_what_is_new_is_read() {
    let (server, place) = (Server::start(), Place::new());
    let whole = event_file(&[0.5, 0.6, 0.7, 0.8, 0.9]);
    let cut = event_file(&[0.5, 0.6]).len();
    server.put("jobs/1/a/b/events.out.tfevents.1.h", &whole[..cut]);
    server.put("jobs/1/c/events.out.tfevents.1.h", &event_file_at(&[(7, 0.5)]));
    server.put("jobs/1/model.ckpt", b"never read");
    server.put("jobs/10/events.out.tfevents.1.h", &event_file_at(&[(99, 0.5)]));
    let watching = Watching::start(server.watch(&place, &["--poll", "20ms"]));
    watching.expect_points([1, 2, 7]);
    let first = server.reads();
    assert!(
        first.iter().all(|(path, _)| path.starts_with("jobs/1/") && path.contains("tfevents")),
        "{first:?}"
    );
    assert_eq!(first.len(), 2, "{first:?}");
    // Each generation is written whole; a store is away now and then.
    server.bucket.lock().expect("a lock").n_away = 3;
    server.put("jobs/1/a/b/events.out.tfevents.1.h", &whole);
    watching.expect_points([3, 4, 5]);
    let second = server.reads();
    let range = (second[1].0.as_str(), second[1].1.as_str());
    assert_eq!(second.len(), 2, "the beginning, to know it again, and what is new: {second:?}");
    assert_eq!(range, ("jobs/1/a/b/events.out.tfevents.1.h", &*format!("bytes={cut}-{}", whole.len() - 1)));
    // Another file takes its place, shorter; then a longer one that begins otherwise.
    server.put("jobs/1/c/events.out.tfevents.1.h", &event_file_at(&[])[..9]);
    let mut other = Vec::new();
    let version = tfevents::event::encode_file_version(hptune::units::WallTime(5.0), "other");
    tfevents::record::encode(&version, &mut other);
    for step in [20, 21] {
        let at = hptune::units::WallTime(step as f64);
        let event = tfevents::event::encode_scalars(at, hptune::units::Step(step), &[("acc", 0.5)]);
        tfevents::record::encode(&event, &mut other);
    }
    server.put("jobs/1/a/b/events.out.tfevents.1.h", &other);
    watching.expect_points([20, 21]);
    watching.signal("TERM");
    watching.next("end");
    assert_eq!(watching.wait(), Some(143));
}

#[test]
fn a_bucket_is_read_whole_and_gone_on_with_by_state() {
    let (server, place) = (Server::start(), Place::new());
    for run in 0..5 {
        let bytes = event_file_at(&[(run, 0.5)]);
        server.put(&format!("jobs/1/{run}/events.out.tfevents.1.h"), &bytes);
    }
    let run = |more: &[&str]| {
        let output = server.watch(&place, &[&["--once"], more].concat()).output().expect("it runs");
        crate::support::Ran::of(&output)
    };
    let steps = |text: &str| {
        let lines = text.lines().map(|line| serde_json::from_str::<Json>(line).expect("it is JSON"));
        let points = lines.filter(|line| line["kind"] == "point");
        points.map(|line| line["step"].as_i64().expect("a step")).collect::<Vec<_>>()
    };
    let ran = run(&["--state", "state"]);
    assert_eq!((ran.code, steps(&ran.out)), (Some(0), vec![0, 1, 2, 3, 4]), "{}", ran.err);
    server.reads();
    server.put("jobs/1/9/events.out.tfevents.1.h", &event_file_at(&[(9, 0.5)]));
    let ran = run(&["--state", "state"]);
    assert_eq!((ran.code, steps(&ran.out)), (Some(0), vec![9]), "{}", ran.err);
    let reads = server.reads();
    let again = reads.iter().filter(|(path, range)| !path.contains("/9/") && !range.starts_with("bytes=0-"));
    assert_eq!(again.count(), 0, "nothing that was read is read again but beginnings: {reads:?}");
    server.bucket.lock().expect("a lock").is_forbidden = true;
    let ran = run(&[]);
    assert!(ran.code == Some(1) && ran.err.contains("cannot be read"), "{:?}", ran);
}

#[test]
fn a_job_whose_directory_is_in_an_object_store_takes_its_results_from_there() {
    let (server, place) = (Server::start(), Place::new());
    place.write("c.yaml", crate::support::config(1, "", ""));
    let script = "echo \"$@\" $HPTUNE_JOB_DIR; : > begun; until [ -e go ]; do sleep 0.01; done";
    let run = |place: &Place, job: &str| {
        let words = [
            "run",
            "c.yaml",
            "--job-id",
            job,
            "--job-dir",
            "gs://bucket/jobs/",
            "--",
            "sh",
            "-c",
            script,
            "x",
        ];
        server.command(place, &words)
    };
    let mut command = run(&place, "job");
    let command = command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    let mut job = command.spawn().expect("it runs");
    crate::outside::wait_for(&place.path().join("begun"));
    // Its controller is killed; another one goes on.
    job.kill().expect("it is ours");
    job.wait().expect("it ends");
    server.put("jobs/1/eval/events.out.tfevents.1.h", &event_file(&[0.5, 0.75]));
    server.put("jobs/10/events.out.tfevents.1.h", &event_file(&[0.9]));
    place.write("go", "");
    let output = server.command(&place, &["jobs", "resume", "job"]).output().expect("it runs");
    let ran = crate::support::Ran::of(&output);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let told = place.describe("job");
    let metric = &told["trainingOutput"]["trials"][0]["finalMetric"];
    assert_eq!(metric, &serde_json::json!({"trainingStep": "2", "objectiveValue": 0.75}));
    // The trainer was given the address; what is kept is here.
    let log = std::fs::read_to_string(place.path().join("hptune-jobs/job/.hptune/1/trainer.log"));
    let log = log.expect("it is there");
    assert!(log.ends_with("--job-dir=gs://bucket/jobs/1 gs://bucket/jobs/1\n"), "{log}");
    assert_eq!(place.run(&["jobs", "logs", "job", "1"]).out, log);
    // Another job's files are in the way of the next, and so is a store that cannot be read.
    let refused = |code: i32, said: &str| {
        let ran = crate::support::Ran::of(&run(&place, "next").output().expect("it runs"));
        assert!(ran.code == Some(code) && ran.err.contains(said), "{ran:?}");
    };
    refused(2, "holds files of another job's trials: 1/eval/events");
    server.bucket.lock().expect("a lock").is_forbidden = true;
    refused(3, "cannot be read");
    assert_eq!(place.n_jobs(), 1);
}
