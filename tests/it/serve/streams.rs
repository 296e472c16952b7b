//! Events, logs and the page over real connections.

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};

use super::{Server, WRITE, job, place};
use crate::support::{PATIENCE, event_file, wait_for};

/// A stream of server-sent events.
struct Events(BufReader<TcpStream>);

impl Events {
    fn open(server: &Server, path: &str) -> Self {
        let mut stream = TcpStream::connect(server.address).expect("it connects");
        stream.set_read_timeout(Some(PATIENCE)).expect("it is set");
        let head = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", server.address);
        stream.write_all(head.as_bytes()).expect("it is sent");
        let mut events = Self(BufReader::new(stream));
        let status = events.line();
        assert!(status.starts_with("HTTP/1.1 200"), "{status}");
        events
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).expect("it comes");
        line.trim_end().to_owned()
    }

    /// The next event of this name, with its id.
    fn next(&mut self, name: &str) -> (Option<String>, Json) {
        let (mut id, mut is_it) = (None, false);
        loop {
            let line = self.line();
            match line.split_once(": ") {
                Some(("id", text)) => id = Some(text.to_owned()),
                Some(("event", text)) => is_it = text == name,
                Some(("data", data)) if is_it => {
                    return (id, serde_json::from_str(data).expect("it is JSON"));
                }
                _ => {}
            }
        }
    }
}

#[test]
fn a_value_is_told_within_moments_of_its_writing() {
    let place = place();
    let whole = event_file(&[0.1, 0.2, 0.3]);
    let part = event_file(&[0.1]);
    place.write("part.tfevents", &part);
    let server = Server::start(&place, &[]);
    let mut all = Events::open(&server, "/api/v1/events");
    let script = "mkdir -p $HPTUNE_JOB_DIR; cp part.tfevents $HPTUNE_JOB_DIR/x.tfevents.1; while [ ! -e go ]; do sleep 0.02; done";
    assert_eq!(server.post("/v1/projects/p/jobs", &job("live", 1, script)).code, 200);
    assert_eq!(all.next("job").1["jobId"], "live");
    let mut events = Events::open(&server, "/api/v1/jobs/live/events");
    wait_for("the first value", || {
        server.get("/api/v1/jobs/live/curves")["curves"][0]["points"].as_array().is_some_and(|p| p.len() == 1)
    });
    let path = place.path().join("hptune-jobs/live/1/x.tfevents.1");
    let mut file = OpenOptions::new().append(true).open(path).expect("it is there");
    let written = Instant::now();
    file.write_all(&whole[part.len()..]).expect("it is written");
    let points = loop {
        let (_, points) = events.next("points");
        let steps = points["points"].as_array().expect("a list");
        if steps.last().is_some_and(|last| last[0] == 3) {
            break points;
        }
    };
    let took = written.elapsed();
    assert_eq!(points["trialId"], 1);
    assert!(took < Duration::from_secs(5), "{took:?}");
    // All that the file has was taken.
    let file = &server.get("/api/v1/jobs/live/trials/1")["files"][0];
    assert_eq!((&file["lagSeconds"], &file["damaged"]), (&json!(0.0), &json!(0)), "{file}");
    place.write("go", "");
    let last = loop {
        let (id, summary) = events.next("job");
        if summary["state"] == "SUCCEEDED" {
            break id.expect("it has one");
        }
    };
    assert!(last.contains('-'), "{last}");
    let trial = server.get("/api/v1/jobs/live/trials/1");
    assert_eq!((&trial["state"], &trial["files"][0]["lagSeconds"]), (&json!("SUCCEEDED"), &Json::Null));
}

#[test]
fn a_log_is_read_in_pieces_and_followed_to_its_end() {
    let place = place();
    let server = Server::start(&place, &[]);
    let script = format!("echo one é; while [ ! -e go ]; do sleep 0.02; done; echo two; {WRITE}");
    server.post("/v1/projects/p/jobs", &job("talks", 1, &script));
    let path = "/api/v1/jobs/talks/trials/1/log";
    wait_for("a trial", || server.get("/api/v1/jobs/talks")["counts"]["running"] == 1);
    let mut events = Events::open(&server, &format!("{path}?follow=true"));
    assert_eq!(events.next("log").1, json!({"offset": 0, "text": "one é\n"}));
    place.write("go", "");
    assert_eq!(events.next("log").1, json!({"offset": 7, "text": "two\n"}));
    assert_eq!(events.next("end").1, json!({}));
    let piece = |query: &str| server.request("GET", &format!("{path}?{query}"), "", b"").expect("it answers");
    let answered = piece("offset=4&limit=3");
    assert_eq!(String::from_utf8_lossy(&answered.body), "é\n");
    assert!(answered.head.contains("hptune-next-offset: 7"), "{}", answered.head);
    let answered = piece("offset=-4");
    assert_eq!(answered.body, b"two\n");
    assert!(answered.head.contains("hptune-offset: 7"), "{}", answered.head);
    assert_eq!(piece("offset=x").code, 400);
    assert_eq!(piece("replica=../../secret").code, 400);
}

#[test]
fn the_page_loads_nothing_from_elsewhere() {
    let place = place();
    let server = Server::start(&place, &[]);
    let page = server.request("GET", "/", "Accept-Encoding: gzip\r\n", b"").expect("it answers");
    assert_eq!(page.code, 200);
    assert!(page.head.contains("content-encoding: gzip"), "{}", page.head);
    assert!(page.head.contains("content-security-policy: default-src 'self'"), "{}", page.head);
    assert!(!page.head.contains("unsafe-inline"), "{}", page.head);
    let plain = server.request("GET", "/", "", b"").expect("it answers");
    let html = String::from_utf8_lossy(&plain.body).into_owned();
    let etag = plain.head.lines().find_map(|line| line.strip_prefix("etag: ")).expect("it has one");
    let again = server.request("GET", "/", &format!("If-None-Match: {etag}\r\n"), b"").expect("it answers");
    assert_eq!(again.code, 304);
    // Each part that it names is there.
    for part in html
        .split(['"', '\''])
        .filter(|part| part.ends_with(".js") || part.ends_with(".css") || part.ends_with(".svg"))
    {
        let path = format!("/{}", part.trim_start_matches('/'));
        assert_eq!(server.request("GET", &path, "", b"").expect("it answers").code, 200, "{path}");
    }
    assert!(
        server.get("/openapi.json")["openapi"].as_str().is_some_and(|version| version.starts_with("3.1"))
    );
}
