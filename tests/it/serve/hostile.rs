//! What nobody should send: each is refused with its status, and nothing is started.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;

use serde_json::{Value as Json, json};

use super::{Server, WRITE, job, place};
use crate::support::{PATIENCE, Ran, wait_for};

#[track_caller]
fn check(server: &Server, method: &str, path: &str, headers: &str, body: &[u8], code: u16) {
    let answered = server.request(method, path, headers, body).expect("it answers");
    assert_eq!(answered.code, code, "{method} {path} {headers}: {answered:?}");
    if code >= 400 {
        let error = &answered.json()["error"];
        assert_eq!(error["code"], code, "{error}");
        assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()), "{error}");
    }
}

#[test]
fn names_and_pages_of_others_are_refused() {
    let place = place();
    let server = Server::start(&place, &[]);
    let own = format!("Host: {}\r\n", server.address);
    let submission = job("one", 1, WRITE).to_string();
    let post = |headers: &str, code| {
        check(&server, "POST", "/v1/projects/p/jobs", headers, submission.as_bytes(), code);
    };
    post("Host: evil.example\r\n", 403);
    post(&format!("Host: evil.example:{}\r\n", server.address.port()), 403);
    post(&format!("{own}Origin: https://evil.example\r\n"), 403);
    post(&format!("{own}Origin: null\r\n"), 403);
    post(&format!("{own}Sec-Fetch-Site: cross-site\r\n"), 403);
    post(&format!("{own}Origin: http://127.0.0.1:1\r\n"), 403);
    for path in ["/", "/page.js", "/api/v1/jobs", "/openapi.json", "/api/v1/events"] {
        check(&server, "GET", path, "Host: evil.example\r\n", b"", 403);
    }
    assert_eq!(server.get("/v1/projects/p/jobs"), json!({}), "nothing was started");
    post(&format!("{own}Origin: http://{}\r\n", server.address), 200);
}

#[test]
fn without_its_token_nothing_is_told_or_done() {
    let place = place();
    let file = place.write("token", "secret-word\n");
    let server = Server::start(&place, &["--token-file", &file]);
    let submission = job("one", 1, WRITE).to_string();
    for token in [
        "",
        "Authorization: Bearer other\r\n",
        "Authorization: Basic c2VjcmV0\r\n",
        "Authorization: Bearer\r\n",
    ] {
        check(&server, "POST", "/v1/projects/p/jobs", token, submission.as_bytes(), 401);
        for path in ["/v1/projects/p/jobs", "/api/v1/jobs", "/api/v1/events", "/api/v1/jobs/one/events"] {
            check(&server, "GET", path, token, b"", 401);
        }
        check(&server, "POST", "/v2/entries:list", token, b"{}", 401);
        check(&server, "POST", "/upload/storage/v1/b/bucket/o?name=x", token, b"x", 401);
    }
    check(&server, "GET", "/", "", b"", 200);
    check(&server, "GET", "/v1/projects/p/jobs", "Authorization: Bearer secret-word\r\n", b"", 200);
}

#[test]
fn over_the_network_a_token_is_required_and_commands_are_listed() {
    let place = place();
    let ran = place.run(&["serve", "--listen", "0.0.0.0:0"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.err.contains("--token-file"), "{}", ran.err);
    let ran = place.run(&["serve", "--listen", "8470"]);
    assert!(ran.code == Some(2) && ran.err.contains("want IP:PORT"), "{}", ran.err);
    let none = place.write("none.pem", "no PEM\n");
    let ran = place.run(&["serve", "--tls-cert", &none, "--tls-key", &none]);
    assert!(ran.code == Some(2) && ran.err.contains("has no certificate"), "{}", ran.err);
    let file = place.write("token", "word");
    let mut command = place.command(&["serve", "--listen", "0.0.0.0:0", "--token-file", &file]);
    command.args(["--allow-command", "sh -c true"]);
    let server = Server::started(command);
    let mut local = format!("Host: 127.0.0.1:{}\r\n", server.address.port());
    local.push_str("Authorization: Bearer word\r\n");
    check(&server, "POST", "/v1/projects/p/jobs", &local, job("one", 1, WRITE).to_string().as_bytes(), 403);
    check(&server, "POST", "/v1/projects/p/jobs", &local, job("two", 1, "true").to_string().as_bytes(), 200);
    let module = json!({"jobId": "three", "trainingInput": {"pythonModule": "os",
        "hyperparameters": {"params": [{"parameterName": "x", "type": "INTEGER", "minValue": 1, "maxValue": 9}]}}});
    check(&server, "POST", "/v1/projects/p/jobs", &local, module.to_string().as_bytes(), 403);
}

#[test]
fn ids_and_paths_that_lead_elsewhere_are_those_of_nothing() {
    let place = place();
    fs::create_dir(place.path().join("bucket")).expect("it is made");
    let server = Server::start(&place, &["--bucket", "bucket=bucket"]);
    for id in [
        "..",
        "%2e%2e",
        "..%2f..%2fetc%2fpasswd",
        "a%00b",
        "%ff",
        "a%2fb",
        &"a".repeat(4_000),
        "'%20OR%201=1",
    ] {
        for path in [
            format!("/v1/projects/p/jobs/{id}"),
            format!("/api/v1/jobs/{id}"),
            format!("/api/v1/jobs/{id}/curves"),
            format!("/api/v1/jobs/{id}/trials/1/log"),
        ] {
            let answered = server.request("GET", &path, "", b"").expect("it answers");
            assert!([400, 404].contains(&answered.code), "{path}: {answered:?}");
        }
    }
    for trial in ["0", "-1", "1e9", "99999999999999999999", "..", "x"] {
        let answered = server.request("GET", &format!("/api/v1/jobs/one/trials/{trial}"), "", b"");
        assert_eq!(answered.expect("it answers").code, 404, "{trial}");
    }
    for name in
        ["..%2Fout", "%2Fetc%2Fx", "a%2F..%2F..%2Fout", "a%00", "", ".", "a%2F%2Fb", ".hptune-upload-x"]
    {
        let path = format!("/upload/storage/v1/b/bucket/o?uploadType=media&name={name}");
        check(&server, "POST", &path, "", b"x", 400);
    }
    check(&server, "POST", "/upload/storage/v1/b/other/o?uploadType=media&name=x", "", b"x", 404);
    check(&server, "GET", "/storage/v1/b/bucket/o/..%2Fstore.db?alt=media", "", b"", 400);
    assert!(!place.path().join("out").exists());
    assert_eq!(fs::read_dir(place.path().join("bucket")).expect("it is there").count(), 0);
    check(&server, "POST", "/upload/storage/v1/b/bucket/o?uploadType=media&name=a%2Fb", "", b"bytes", 200);
    assert_eq!(fs::read(place.path().join("bucket/a/b")).expect("it is there"), b"bytes");
}

#[test]
fn an_object_is_handed_out_whole_or_not_at_all() {
    let place = place();
    let bucket = place.path().join("bucket");
    fs::create_dir_all(bucket.join("directory")).expect("it is made");
    fs::write(bucket.join("small"), b"bytes").expect("it is written");
    let long = fs::File::create(bucket.join("long")).expect("it is made");
    long.set_len((16 << 20) + 1).expect("it is sparse");
    let server = Server::start(&place, &["--bucket", "bucket=bucket"]);
    let get = |name: &str| format!("/storage/v1/b/bucket/o/{name}?alt=media");
    let small = server.request("GET", &get("small"), "", b"").expect("it answers");
    assert_eq!((small.code, &*small.body), (200, &b"bytes"[..]));
    check(&server, "GET", &get("long"), "", b"", 413);
    check(&server, "GET", &get("directory"), "", b"", 404);
    check(&server, "GET", &get("absent"), "", b"", 404);
    fs::remove_dir_all(&bucket).expect("it is there");
    check(&server, "GET", &get("small"), "", b"", 503);
}

#[test]
fn packages_of_a_job_whose_trials_run_elsewhere_are_not_installed_here() {
    let place = place();
    let file = place.write("token", "word");
    // A package whose setup would be run by whoever installs it.
    fs::create_dir(place.path().join("package")).expect("it is made");
    place.write("package/setup.py", "open('../installed', 'w').close(); raise SystemExit('broken')\n");
    let package = place.path().join("package");
    let mut command = place.command(&["serve", "--listen", "0.0.0.0:0", "--token-file", &file]);
    command.args(["--allow-command", "sh -c true"]);
    let server = Server::started(command);
    let head = format!("Host: 127.0.0.1:{}\r\nAuthorization: Bearer word\r\n", server.address.port());
    let submission = json!({"jobId": "elsewhere", "config": json!({
        "trainingInput": {"packageUris": [package], "pythonModule": "trainer", "hyperparameters": {
            "maxTrials": 1, "params": [{"parameterName": "x", "type": "INTEGER", "minValue": 1, "maxValue": 9}]}},
        "hptune": {"engine": {"kind": "sidecar"}},
    }).to_string()});
    check(&server, "POST", "/api/v1/jobs", &head, submission.to_string().as_bytes(), 200);
    let job = || {
        let answered = server.request("GET", "/api/v1/jobs/elsewhere", &head, b"").expect("it answers");
        answered.json()
    };
    wait_for("its trial", || {
        let job = job();
        assert_ne!(job["state"], "FAILED", "{job}");
        job["counts"]["running"] == 1
    });
    assert!(!place.path().join("installed").exists());
    // Its process would outlive the test.
    check(&server, "POST", "/api/v1/jobs/elsewhere:cancel", &head, b"{}", 200);
    wait_for("its end", || job()["state"] == "CANCELLED");
}

#[test]
fn bodies_and_heads_that_are_too_long_or_no_json_are_refused() {
    let place = place();
    let server = Server::start(&place, &[]);
    let long = vec![b' '; 5 << 20];
    check(&server, "POST", "/v1/projects/p/jobs", "", &long, 413);
    for body in ["{", "[]", "\"x\"", "{\"jobId\": 1e999}", "\u{0}", "{\"jobId\":{}}", "nul"] {
        check(&server, "POST", "/v1/projects/p/jobs", "", body.as_bytes(), 400);
        check(&server, "POST", "/api/v1/jobs", "", body.as_bytes(), 400);
    }
    let deep = "[".repeat(100_000);
    check(&server, "POST", "/v1/projects/p/jobs", "", deep.as_bytes(), 400);
    let config = format!("{{\"config\": \"{}\"}}", "[".repeat(10_000));
    check(&server, "POST", "/api/v1/jobs", "", config.as_bytes(), 400);
    // A head that is too long, or has too many lines.
    let answered = server.request("GET", &format!("/{}", "a".repeat(100_000)), "", b"");
    assert!(answered.is_err() || answered.is_ok_and(|answered| [414, 431, 400].contains(&answered.code)));
    let answered = server.request("GET", "/", &"X: y\r\n".repeat(1_000), b"");
    assert!(answered.is_err() || answered.is_ok_and(|answered| answered.code == 431));
    check(&server, "DELETE", "/v1/projects/p/jobs/one", "", b"", 405);
    check(&server, "GET", "/nothing/here", "", b"", 404);
    check(&server, "POST", "/v1/projects/p/jobs/one:getIamPolicy", "", b"{}", 501);
    assert_eq!(server.get("/v1/projects/p/jobs"), json!({}), "nothing was started");
}

/// What a service takes of memory, in MiB.
fn memory_mib(pid: u32) -> u64 {
    let status =
        fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("status")).expect("it runs");
    let line = status.lines().find(|line| line.starts_with("VmRSS")).expect("it says");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).expect("a number") / 1024
}

#[test]
fn connections_beyond_the_limit_are_refused_and_memory_stays_bounded() {
    let place = place();
    let server = Server::start(&place, &[]);
    let mut held = Vec::new();
    let mut n_refused = 0;
    for n in 0..2_500 {
        let Ok(mut stream) = TcpStream::connect(server.address) else {
            n_refused += 1;
            continue;
        };
        // Part of a request, and no more.
        if stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ").is_err() {
            n_refused += 1;
            continue;
        }
        if n >= 2_048 {
            stream.set_read_timeout(Some(PATIENCE)).expect("it is set");
            let mut answer = Vec::new();
            let _ = stream.read_to_end(&mut answer);
            if answer.is_empty() || answer.starts_with(b"HTTP/1.1 503") {
                n_refused += 1;
                continue;
            }
        }
        held.push(stream);
    }
    assert!(n_refused >= 2_500 - 2_048, "{n_refused}");
    assert!(memory_mib(server.pid()) < 150, "{}", memory_mib(server.pid()));
    drop(held);
    wait_for("it to answer", || {
        server.request("GET", "/v1/projects/p/jobs", "", b"").is_ok_and(|a| a.code == 200)
    });
}

#[test]
fn a_store_that_is_locked_is_told_and_the_rest_answers() {
    let place = place();
    let server = Server::start(&place, &[]);
    server.post("/v1/projects/p/jobs", &job("one", 1, WRITE));
    server.wait_for_state("one", "SUCCEEDED");
    let holder = rusqlite::Connection::open(place.path().join("store.db")).expect("it opens");
    holder.execute_batch("BEGIN IMMEDIATE").expect("it is locked");
    // Whoever only reads is answered; whoever writes is told after a while.
    assert_eq!(server.get("/v1/projects/p/jobs/one")["state"], "SUCCEEDED");
    let refused = server.post("/v1/projects/p/jobs", &job("two", 1, WRITE));
    assert_eq!(refused.code, 503, "{refused:?}");
    assert!(refused.head.to_lowercase().contains("retry-after"), "{}", refused.head);
    assert_eq!(server.request("GET", "/", "", b"").expect("it answers").code, 200);
    holder.execute_batch("ROLLBACK").expect("it is unlocked");
    assert_eq!(server.post("/v1/projects/p/jobs", &job("two", 1, WRITE)).code, 200);
    server.wait_for_state("two", "SUCCEEDED");
}

#[test]
#[ignore = "needs the program openssl"]
fn over_tls_the_same_is_served() {
    let place = place();
    let openssl = std::process::Command::new("openssl")
        .args([
            "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out", "cert.pem",
            "-days", "1",
        ])
        .args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"])
        .current_dir(place.path())
        .output();
    let Ok(made) = openssl else { panic!("openssl is not there; see .ci/run") };
    assert!(made.status.success(), "{:?}", Ran::of(&made));
    let server = Server::start(&place, &["--tls-cert", "cert.pem", "--tls-key", "key.pem"]);
    let client = std::process::Command::new("openssl")
        .args([
            "s_client",
            "-quiet",
            "-verify_return_error",
            "-CAfile",
            "cert.pem",
            "-connect",
            &server.address.to_string(),
        ])
        .current_dir(place.path())
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn();
    let mut client = client.expect("it starts");
    let request =
        format!("GET /api/v1/jobs HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", server.address);
    let mut stdin = client.stdin.take().expect("it is piped");
    stdin.write_all(request.as_bytes()).expect("it is sent");
    let mut answer = String::new();
    client.stdout.take().expect("it is piped").read_to_string(&mut answer).expect("it answers");
    client.wait().expect("it ends");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let body: Json =
        serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap_or_default()).expect("it is JSON");
    assert_eq!(body["total"], 0);
    // Plain HTTP is no TLS.
    assert!(server.request("GET", "/", "", b"").is_err());
    let ran = place.run(&["serve", "--tls-cert", "cert.pem", "--tls-key", "acc.tfevents"]);
    assert_eq!(ran.code, Some(2), "{}", ran.err);
}
