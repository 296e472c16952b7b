//! A server on loopback that answers as it is told.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Instant;

use proptest::prelude::*;
use serde_json::Value as Json;

use super::super::{Delivery, Undelivered};
use super::*;

/// A request as a server saw it.
#[derive(Debug)]
struct Request {
    path: String,
    headers: BTreeMap<String, String>,
    body: String,
}

impl Request {
    fn seqs(&self) -> Vec<u64> {
        let body: Json = serde_json::from_str(&self.body).expect("it is JSON");
        assert_eq!(body["version"], 1);
        body["lines"].as_array().expect("lines").iter().map(|line| line["seq"].as_u64().unwrap()).collect()
    }
}

fn read_request(stream: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut line = String::new();
    stream.read_line(&mut line).ok().filter(|&n| n > 0)?;
    let path = line.strip_prefix("POST ").expect("a POST").split(' ').next().expect("a path").to_owned();
    let mut headers = BTreeMap::new();
    loop {
        line.clear();
        stream.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let n: usize = headers.get("content-length").expect("a length").parse().expect("a number");
    let mut body = vec![0; n];
    stream.read_exact(&mut body).ok()?;
    Some(Request { path, headers, body: String::from_utf8(body).expect("text") })
}

fn answer(status: u16, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status} Told\r\ncontent-length: {}\r\n{headers}\r\n{body}", body.len())
}

/// A server that gives each request the next answer, ends the connection where that is empty, and takes
/// all when it has no more. The requests are in the channel.
fn serve(answers: impl IntoIterator<Item = String>) -> (String, Receiver<Request>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("it listens");
    let origin = format!("http://{}", listener.local_addr().expect("an address"));
    let (seen, requests) = mpsc::channel();
    let mut answers: Vec<String> = answers.into_iter().collect();
    answers.reverse();
    thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            let mut stream = BufReader::new(stream);
            while let Some(request) = read_request(&mut stream) {
                if seen.send(request).is_err() {
                    return;
                }
                let answer = answers.pop().unwrap_or_else(|| answer(200, "", ""));
                if answer.is_empty() || stream.get_mut().write_all(answer.as_bytes()).is_err() {
                    break;
                }
            }
        }
    });
    (origin, requests)
}

fn webhook(url: &str, token: Option<Token>) -> Delivery<Webhook> {
    let mut sink = Webhook::new(url.parse().expect("a URL"), WebhookOptions { token }).expect("it opens");
    sink.pauses = Pauses { first: Duration::from_millis(1), longest: Duration::from_millis(4) };
    let place = sink.url.to_string();
    Delivery::new(Box::new(sink), place)
}

fn lines(seqs: std::ops::Range<u64>) -> String {
    seqs.map(|seq| format!("{{\"kind\":\"point\",\"seq\":{seq}}}\n")).collect()
}

/// Delivers lines, with patience that ends at the warning that has `end` in its text.
fn deliver(
    sink: &mut Delivery<Webhook>,
    seqs: std::ops::Range<u64>,
    end: &str,
) -> (Result<(), Undelivered>, Vec<String>) {
    let patience = Patience::default();
    let text = lines(seqs.clone());
    let mut told = Vec::new();
    sink.sink().renew(|lines| *lines = JsonLines::test(seqs.start, &text));
    let result = sink.finish(&patience, &mut |words| {
        if words.contains(end) {
            patience.end_at(Instant::now());
        }
        told.push(words);
    });
    (result, told)
}

const NEVER: &str = "no warning has this";

#[test]
fn lines_are_posted_with_what_says_who_and_what() {
    let (origin, requests) = serve([]);
    let mut sink = webhook(&format!("{origin}/lines?key=1"), Some(Token::Text("secret\n".into())));
    assert_eq!(deliver(&mut sink, 5..7, NEVER), (Ok(()), Vec::new()));
    let request = requests.recv().expect("it came");
    assert_eq!(request.path, "/lines?key=1");
    let body = r#"{"version":1,"lines":[{"kind":"point","seq":5},{"kind":"point","seq":6}]}"#;
    assert_eq!(request.body, body);
    assert_eq!(request.headers["content-type"], "application/json");
    assert_eq!(request.headers["authorization"], "Bearer secret");
    assert_eq!(request.headers["idempotency-key"], idempotency_key(body));
    assert!(request.headers["user-agent"].starts_with("hptune/"));
}

#[test]
fn of_an_error_in_json_its_message_is_told() {
    let mut sink = webhook("http://127.0.0.1:1", None);
    let mut check = |text: &str, expected: &str| {
        let Answer::Refused(_, words) = sink.sink().judge(StatusCode::NOT_FOUND, &HeaderMap::new(), text)
        else {
            panic!("it is refused")
        };
        assert_eq!(words, format!("answers 404 Not Found{expected}"));
    };
    check(r#"{"error":{"code":404,"message":"no  trial 9"}}"#, ": no trial 9");
    check(r#"{"error":"x"}"#, r#": {"error":"x"}"#);
    check("", "");
}

#[test]
fn each_watcher_has_an_end_of_its_own() {
    let [mut one, mut other] = [(); 2].map(|()| webhook("http://127.0.0.1:1", None));
    let (end, point) = (r#"{"lines":[{"kind":"end","seq":1}]}"#, r#"{"lines":[{"kind":"point","seq":1}]}"#);
    let mut keys = |body| (one.sink().key(body), other.sink().key(body));
    let (first, second) = keys(end);
    assert_ne!(first, second);
    assert_eq!(keys(end).0, first, "sent again it is the same");
    let (first, second) = keys(point);
    assert_eq!(first, second);
}

#[test]
fn an_answer_may_want_the_trainer_stopped_and_to_hear_of_us_again() {
    let said = r#"{"stop":{"reason":"hopeless"},"nextWithinSeconds":0.01,"more":1}"#;
    let (origin, requests) = serve([answer(200, "", said), answer(200, "", "<p>thanks</p>")]);
    let mut sink = webhook(&origin, None);
    assert_eq!(deliver(&mut sink, 0..1, NEVER), (Ok(()), Vec::new()));
    let webhook = sink.sink();
    assert_eq!((webhook.take_stop().as_deref(), webhook.take_stop()), (Some("hopeless"), None));
    let wait = webhook.greet_at().expect("it asks").saturating_duration_since(Instant::now());
    assert!(wait <= WEBHOOK_SHORTEST_GREETING && !wait.is_zero(), "{wait:?}");
    sink.greet(&Patience::default(), &mut |words| panic!("{words}")).expect("it answers");
    assert_eq!(requests.iter().nth(1).expect("it came").body, r#"{"version":1,"lines":[]}"#);
    assert_eq!((sink.sink().take_stop(), sink.sink().greet_at()), (None, None), "a text says nothing");
}

#[test]
fn what_passes_is_tried_again_and_told_once() {
    let busy = || answer(503, "", "<html>busy</html>");
    let answers = [busy(), busy(), answer(429, "retry-after: 0\r\n", "slow\n  down\x1b[2J"), busy()];
    let (origin, requests) = serve(answers);
    let mut sink = webhook(&origin, None);
    let (result, told) = deliver(&mut sink, 0..2, NEVER);
    assert_eq!(result, Ok(()));
    let expected = [
        format!("{origin}/: answers 503 Service Unavailable; tries again"),
        format!("{origin}/: answers 429 Too Many Requests: slow down[2J; tries again"),
        format!("{origin}/: takes lines again"),
    ];
    assert_eq!(told, expected);
    let keys: Vec<String> =
        requests.try_iter().map(|request| request.headers["idempotency-key"].clone()).collect();
    assert_eq!(keys.len(), 5);
    assert!(keys.iter().all(|key| *key == keys[0]), "{keys:?}");
    assert_eq!(deliver(&mut sink, 2..3, NEVER), (Ok(()), Vec::new()));
    assert_ne!(requests.recv().expect("it came").headers["idempotency-key"], keys[0]);
}

#[test]
fn a_pause_that_the_server_asks_for_ends_with_patience() {
    let (origin, requests) = serve([answer(503, "retry-after: 120\r\n", "")]);
    let mut sink = webhook(&origin, None);
    let (result, told) = deliver(&mut sink, 0..1, "answers 503");
    let words = format!("{origin}/: answers 503 Service Unavailable");
    assert_eq!(told, [format!("{words}; tries again in 120 s, as it asks")]);
    assert_eq!(result, Err(Undelivered::GaveUp(words)));
    assert_eq!(requests.try_iter().count(), 1);
}

#[test]
fn a_refusal_is_told_and_tried_again_until_somebody_did_something() {
    let refused = || answer(401, "", "the token secret is unknown here, ?key=1 too");
    let (origin, requests) = serve([refused(), refused(), answer(404, "", "")]);
    let mut sink = webhook(&format!("{origin}/x?key=1"), Some(Token::Text("secret".into())));
    let (result, told) = deliver(&mut sink, 0..1, NEVER);
    assert_eq!(result, Ok(()));
    let place = format!("{origin}/x?...");
    let expected = [
        format!(
            "{place}: answers 401 Unauthorized: the token ... is unknown here, ?... too; \
             tries again every 0 s"
        ),
        format!("{place}: answers 404 Not Found; tries again every 0 s"),
        format!("{place}: takes lines again"),
    ];
    assert_eq!(told, expected);
    assert_eq!(requests.try_iter().count(), 4);
}

#[test]
fn a_token_is_read_again_before_each_request() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("token");
    let (origin, requests) = serve([]);
    let mut sink = webhook(&origin, Some(Token::File(path.clone())));
    let (result, told) = deliver(&mut sink, 0..1, "No such file");
    let words = format!("{origin}/: the token in {}: No such file or directory (os error 2)", path.display());
    assert_eq!(result, Err(Undelivered::GaveUp(words.clone())));
    assert_eq!(told, [format!("{words}; tries again")]);
    for (seq, token) in [(0, "first"), (1, "second")] {
        std::fs::write(&path, format!("{token}\n")).expect("it is written");
        assert_eq!(deliver(&mut sink, seq..seq + 1, NEVER).0, Ok(()));
        let request = requests.recv().expect("it came");
        assert_eq!(request.headers["authorization"], format!("Bearer {token}"));
    }
    std::fs::write(&path, "se\ncret").expect("it is written");
    let (_, told) = deliver(&mut sink, 2..3, "characters");
    let place = format!("{origin}/: the token in {}", path.display());
    assert_eq!(told, [format!("{place} has characters that no token has; tries again")]);
}

#[test]
fn a_server_that_wants_no_more_ends_it() {
    let (origin, _requests) = serve([answer(410, "", "")]);
    assert_eq!(deliver(&mut webhook(&origin, None), 0..1, NEVER), (Err(Undelivered::Closed), Vec::new()));
}

#[test]
fn only_a_redirect_of_the_same_request_on_the_same_server_is_followed() {
    let to = |status, location: &str| answer(status, &format!("location: {location}\r\n"), "");
    let (other, other_requests) = serve([]);
    let answers = [
        to(307, "/there"),
        to(308, "/over/there"),
        answer(200, "", ""),
        to(302, "/elsewhere?key=1"),
        to(307, &format!("{other}/x")),
    ];
    let (origin, requests) = serve(answers);
    let mut sink = webhook(&format!("{origin}/here"), Some(Token::Text("secret".into())));
    assert_eq!(deliver(&mut sink, 0..1, NEVER), (Ok(()), Vec::new()));
    for path in ["/here", "/there", "/over/there"] {
        let request = requests.recv().expect("it came");
        assert_eq!((request.path.as_str(), request.seqs()), (path, vec![0]));
        assert_eq!(request.headers["authorization"], "Bearer secret");
    }
    let (result, told) = deliver(&mut sink, 1..2, NEVER);
    assert_eq!(result, Ok(()));
    let not_followed = |status, to| {
        format!(
            "{origin}/here: answers {status}, which sends to {to}; such a redirect is not followed; \
             tries again every 0 s"
        )
    };
    let expected = [
        not_followed("302 Found", format!("{origin}/elsewhere?...")),
        not_followed("307 Temporary Redirect", format!("{other}/x")),
        format!("{origin}/here: takes lines again"),
    ];
    assert_eq!(told, expected);
    assert_eq!(other_requests.try_iter().count(), 0);
}

#[test]
fn a_loop_of_redirects_is_left() {
    let again = || answer(307, "location: /\r\n", "");
    let (origin, requests) = serve((0..100).map(|_| again()));
    let (_, told) = deliver(&mut webhook(&origin, None), 0..1, "307");
    assert_eq!(told.len(), 1);
    assert_eq!(requests.try_iter().count(), WEBHOOK_MAX_REDIRECTS + 1);
}

#[test]
fn a_kept_connection_that_the_server_ended_is_no_trouble() {
    let (origin, requests) = serve([answer(200, "", ""), String::new(), answer(200, "", "")]);
    let mut sink = webhook(&origin, None);
    assert_eq!(deliver(&mut sink, 0..1, NEVER), (Ok(()), Vec::new()));
    assert_eq!(deliver(&mut sink, 1..2, NEVER), (Ok(()), Vec::new()));
    assert_eq!(requests.try_iter().map(|request| request.seqs()).collect::<Vec<_>>(), [[0], [1], [1]]);
}

#[test]
fn a_server_that_breaks_each_connection_is_told_of() {
    let (origin, requests) = serve([String::new(), String::new(), String::new()]);
    let (result, told) = deliver(&mut webhook(&origin, None), 0..1, NEVER);
    assert_eq!((result, told.len()), (Ok(()), 2), "{told:?}");
    assert!(told[0].ends_with("; tries again"), "{told:?}");
    assert_eq!(requests.try_iter().count(), 4);
}

#[test]
fn a_server_that_is_not_there_is_told_of() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("it listens");
    let origin = format!("http://{}", listener.local_addr().expect("an address"));
    drop(listener);
    let mut sink = webhook(&format!("{origin}/x?key=secret"), None);
    let (result, told) = deliver(&mut sink, 0..1, "refused");
    let words = format!("{origin}/x?...: Connection refused (os error 111)");
    assert_eq!(told, [format!("{words}; tries again")]);
    assert_eq!(result, Err(Undelivered::GaveUp(words)));
}

#[test]
fn an_answer_that_does_not_come_is_not_waited_for_beyond_patience() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("it listens");
    let origin = format!("http://{}", listener.local_addr().expect("an address"));
    let patience = Patience::default();
    let ends = patience.clone();
    let server = thread::spawn(move || {
        let mut stream = BufReader::new(listener.accept().expect("it connects").0);
        let request = read_request(&mut stream).expect("a request");
        ends.end_at(Instant::now());
        assert!(read_request(&mut stream).is_none(), "the connection ends");
        request.seqs()
    });
    let mut sink = webhook(&origin, None);
    sink.sink().renew(|next| *next = JsonLines::test(0, &lines(0..1)));
    let result = sink.finish(&patience, &mut |words| panic!("{words}"));
    let words = format!("{origin}/: gave no answer in time");
    assert_eq!(result, Err(Undelivered::GaveUp(words)));
    drop(sink);
    assert_eq!(server.join().expect("it ends"), [0]);
}

#[test]
fn lines_that_were_taken_wait_for_no_rest_of_an_answer() {
    let never_whole = "HTTP/1.1 200 Told\r\ncontent-length: 9\r\n\r\nshort".to_owned();
    let (origin, requests) = serve([never_whole]);
    let mut sink = webhook(&origin, None);
    assert_eq!(deliver(&mut sink, 0..1, NEVER), (Ok(()), Vec::new()));
    drop(sink);
    assert_eq!(requests.iter().next().map(|request| request.seqs()), Some(vec![0]));
    assert_eq!(requests.try_iter().count(), 0);
}

#[test]
fn a_batch_that_was_given_up_goes_on_behind_what_was_taken() {
    let n = WEBHOOK_MAX_LINES as u64;
    let (origin, requests) = serve([answer(200, "", ""), answer(500, "", "")]);
    let mut sink = webhook(&origin, None);
    assert!(matches!(deliver(&mut sink, 3..n + 5, "answers 500").0, Err(Undelivered::GaveUp(_))));
    assert_eq!(deliver(&mut sink, 3..n + 5, NEVER).0, Ok(()));
    let seqs: Vec<Vec<u64>> = requests.try_iter().map(|request| request.seqs()).collect();
    assert_eq!(seqs.iter().map(Vec::len).collect::<Vec<_>>(), [WEBHOOK_MAX_LINES, 2, 2]);
    assert_eq!((seqs[1][0], seqs[2][0]), (n + 3, n + 3));
}

#[test]
fn lines_that_are_too_much_at_once_come_in_smaller_requests() {
    let too_large = || answer(413, "", "");
    let (origin, requests) = serve([too_large(), too_large()]);
    assert_eq!(deliver(&mut webhook(&origin, None), 0..8, NEVER), (Ok(()), Vec::new()));
    let seqs: Vec<Vec<u64>> = requests.try_iter().map(|request| request.seqs()).collect();
    assert_eq!(seqs.iter().map(Vec::len).collect::<Vec<_>>(), [8, 4, 2, 2, 2, 2]);
    assert_eq!(seqs[2..].concat(), (0..8).collect::<Vec<_>>());

    let (origin, _requests) = serve([too_large()]);
    let (result, told) = deliver(&mut webhook(&origin, None), 0..1, "413");
    assert!(matches!(result, Err(Undelivered::GaveUp(_))), "{told:?}");
}

proptest! {
    #[test]
    fn portions_are_the_lines_again_and_none_is_too_long(
        lengths in prop::collection::vec(prop_oneof![Just(10_usize), Just(200_000), Just(600_000)], 1..12),
        max_lines in 1_usize..5,
    ) {
        let lines: Vec<String> = lengths.iter().map(|&n| "a".repeat(n) + "\n").collect();
        let text = lines.concat();
        let mut rest = text.as_str();
        let mut n_seen = 0;
        while !rest.is_empty() {
            let (n_lines, n_bytes) = portion(rest, max_lines);
            prop_assert!((1..=max_lines).contains(&n_lines));
            prop_assert!(n_lines == 1 || n_bytes <= WEBHOOK_MAX_BYTES);
            prop_assert_eq!(&rest[..n_bytes], lines[n_seen..n_seen + n_lines].concat());
            n_seen += n_lines;
            rest = &rest[n_bytes..];
        }
        prop_assert_eq!(n_seen, lines.len());
    }
}

#[test]
fn a_key_follows_from_the_body() {
    // From draft-eastlake-fnv, appendix C.
    assert_eq!(idempotency_key(""), "6c62272e07bb014262b821756295c58d");
    assert_eq!(idempotency_key("a"), "d228cb696f1a8caf78912b704e4a8964");
    assert_eq!(idempotency_key("foobar"), "343e1662793c64bf6f0d3597ba446f18");
}

#[test]
fn a_server_says_how_long_to_wait() {
    #[track_caller]
    fn check(asked: &str, date: Option<&str>, expected: Option<u64>) {
        let now: Timestamp = "2024-05-06T07:08:09Z".parse().expect("a time");
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, asked.parse().expect("a header"));
        if let Some(date) = date {
            headers.insert(DATE, date.parse().expect("a header"));
        }
        assert_eq!(retry_after(&headers, now), expected.map(Duration::from_secs));
    }
    let most = Some(WEBHOOK_MAX_RETRY_AFTER.as_secs());
    check("0", None, Some(0));
    check(" 17 ", None, Some(17));
    check("100000", None, most);
    check("99999999999999999999999999", None, most);
    check("Mon, 06 May 2024 07:08:39 GMT", None, Some(30));
    check("Mon, 06 May 2024 07:08:39 GMT", Some("Mon, 06 May 2024 07:08:34 GMT"), Some(5));
    check("Mon, 06 May 2024 07:08:39 GMT", Some("yesterday"), Some(30));
    check("Sun, 05 May 2024 07:08:39 GMT", None, Some(0));
    check("Wed, 29 Dec 9999 23:59:59 GMT", None, most);
    check("soon", None, None);
    check("-5", None, None);
    check("1.5", None, None);
    assert_eq!(retry_after(&HeaderMap::new(), Timestamp::UNIX_EPOCH), None);
}

#[test]
fn secrets_are_never_shown() {
    let url = "http://me:secret@localhost/x?key=secret#secret";
    let sink = webhook(url, None);
    let token = Token::Text("secret".into());
    let options = WebhookOptions { token: Some(token.clone()) };
    let error = Webhook::new(url.parse().expect("a URL"), options.clone()).expect_err("two of them");
    let empty = WebhookOptions { token: Some(Token::Text(" ".into())) };
    let none = Webhook::new("http://localhost".parse().expect("a URL"), empty).expect_err("no token");
    assert_eq!(none.to_string(), "http://localhost/: the token is empty");
    for shown in [format!("{sink:?}"), format!("{token:?} {options:?}"), format!("{error} {error:?}")] {
        assert!(!shown.contains("secret"), "{shown}");
    }
}
