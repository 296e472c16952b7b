//! Lines to a web server, as requests that may come twice and say so.
//!
//! Secrets (a token, what an address has in front of its host and behind its `?`) go to the server and
//! nowhere else: no text of this file has them.

use std::error::Error;
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use jiff::fmt::rfc2822;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, DATE, HeaderMap, HeaderValue, LOCATION, RETRY_AFTER};
use reqwest::redirect::{self, Policy};
use reqwest::{Client, Response, StatusCode, Url};
use rustls::crypto::{CryptoProvider, ring};
use serde::Deserialize;
use tokio::runtime::Runtime;

use crate::limits::{
    SINK_FIRST_PAUSE, SINK_LOOK, WEBHOOK_ANSWER_BYTES, WEBHOOK_ANSWER_SHOWN, WEBHOOK_CONNECT_TIMEOUT,
    WEBHOOK_IDLE, WEBHOOK_LONGEST_PAUSE, WEBHOOK_MAX_BYTES, WEBHOOK_MAX_LINES, WEBHOOK_MAX_REDIRECTS,
    WEBHOOK_MAX_RETRY_AFTER, WEBHOOK_REST, WEBHOOK_SHORTEST_GREETING, WEBHOOK_TIMEOUT,
};

use super::json::JsonLines;
use super::retry::TRIES_AGAIN;
use super::spec::{Address, Kind, SinkSpecError};
use super::{Attempt, Batch, Cause, Failed, Patience, Pause, Pauses, Sink, SinkOptions, Token};

/// A web server.
pub(super) const KIND: Kind = Kind {
    words: &[],
    schemes: &["http", "https"],
    forms: &["http://HOST/PATH", "https://HOST/PATH"],
    read: |text| {
        let (scheme, rest) = text.split_once(':').unwrap_or((text, ""));
        let scheme = scheme.to_ascii_lowercase();
        let hint = Some(format!("want {scheme}://HOST/PATH"));
        if !rest.starts_with("//") {
            return Err(SinkSpecError { message: format!("got `{scheme}:` without `//`"), hint });
        }
        let url: WebhookUrl = text.parse().map_err(|e| {
            // What cannot be read may be a secret in the wrong place.
            SinkSpecError { message: format!("got an address that cannot be read: {e}"), hint }
        })?;
        Ok(Box::new(url))
    },
};

impl Address for WebhookUrl {
    fn open(&self, options: SinkOptions) -> io::Result<Box<dyn Sink>> {
        Ok(Box::new(Webhook::new(self.clone(), WebhookOptions { token: options.token })?))
    }
}

/// The version of a request's body, in its `version` field.
pub const VERSION: u32 = 1;

/// The address of a web server. Shown without its secrets.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookUrl(Url);

impl FromStr for WebhookUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let url = Url::parse(text).map_err(|e| e.to_string())?;
        match url.scheme() {
            "http" | "https" if url.has_host() => Ok(Self(url)),
            _ => Err("want http://HOST or https://HOST".into()),
        }
    }
}

impl fmt::Display for WebhookUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shown(&self.0))
    }
}

impl fmt::Debug for WebhookUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WebhookUrl({self})")
    }
}

/// An address without its secrets.
fn shown(url: &Url) -> String {
    let mut url = url.clone();
    // Refused for addresses that cannot have them.
    let _ = url.set_username("").and_then(|()| url.set_password(None));
    let has_query = url.query().is_some();
    url.set_query(has_query.then_some("..."));
    url.set_fragment(None);
    url.into()
}

impl Token {
    /// The header that has the token.
    fn header(&self) -> Result<HeaderValue, String> {
        let (token, place) = match self {
            Self::Text(text) => (text.clone(), "the token".to_owned()),
            Self::File(path) => {
                let place = format!("the token in {}", path.display());
                (Self::read(path).map_err(|e| format!("{place}: {e}"))?, place)
            }
        };
        let token = token.trim();
        if token.is_empty() {
            return Err(format!("{place} is empty"));
        }
        let mut header = HeaderValue::from_str(&format!("Bearer {token}"))
            .map_err(|_| format!("{place} has characters that no token has"))?;
        header.set_sensitive(true);
        Ok(header)
    }
}

/// How a [`Webhook`] goes about it.
#[derive(Debug, Clone, Default)]
pub struct WebhookOptions {
    /// Sent as `Authorization: Bearer`.
    pub token: Option<Token>,
}

/// Posts lines to a web server.
///
/// A request's body is `{"version":1,"lines":[...]}` with at most [`WEBHOOK_MAX_LINES`] lines. Its
/// `Idempotency-Key` follows from the body: one that is sent again, even by a later process, has the
/// same, another never. The end of the lines is another one for each watcher: the next trainer may end just like this one.
/// Any 2xx answer takes the lines; 410 says that no more are wanted. Whatever else
/// comes is tried again, at the longest interval where the server refuses the lines or us: a token that is
/// wrong or a route that is missing is put right sooner than lines are found again that were dropped.
#[derive(Debug)]
pub struct Webhook {
    url: WebhookUrl,
    options: WebhookOptions,
    runtime: Runtime,
    client: Client,
    pauses: Pauses,
    lines: JsonLines,
    /// How many bytes of the lines are delivered ...
    n_delivered: usize,
    /// ... and the number of the first line that is not.
    next_seq: u64,
    /// The most lines of a request: fewer than [`WEBHOOK_MAX_LINES`] where the server finds those too large.
    max_lines: usize,
    /// No connection broke since lines were delivered last.
    is_first_break: bool,
    /// What the server said with its last answer.
    said: Said,
    /// A request without lines is to be made.
    is_greeting: bool,
    /// Tells this watcher apart from others.
    instance: String,
}

/// What a body holds with which the lines end.
const END: &str = r#""kind":"end""#;

/// What the answer to lines may say, as a JSON object. Other fields, and other texts, say nothing.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Said {
    /// The trainer is to be stopped.
    stop: Option<Stop>,
    /// When the server wants to hear of us again, with or without lines.
    next_within_seconds: Option<f64>,
    #[serde(skip)]
    at: Option<Instant>,
}

#[derive(Debug, Deserialize)]
struct Stop {
    #[serde(default)]
    reason: String,
}

const TOKEN: Cause = Cause::Named("token");
const CONNECT: Cause = Cause::Named("connect");
const TIMEOUT: Cause = Cause::Named("timeout");
const BROKEN: Cause = Cause::Named("broken");

/// How a request ended.
enum Answer {
    Delivered(Said),
    /// No more lines are wanted.
    Gone,
    /// The lines are too much at once.
    TooLarge(StatusCode, String),
    /// The connection ended before the answer came.
    Broken(String),
    /// Another try soon, or when the server says.
    Later(Cause, String, Option<Duration>),
    /// Another try, but somebody must do something first.
    Refused(StatusCode, String),
    /// There is no more time.
    Ended,
}

impl Webhook {
    /// A sink for the server at `url`, which need not be there yet. It must be driven by a thread that is
    /// not a worker of an asynchronous runtime.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] where both the address and the options say who we are, or the
    /// token is none; those of the system, and of looking for the certificates that it trusts.
    pub fn new(url: WebhookUrl, options: WebhookOptions) -> io::Result<Self> {
        let invalid = |words: &str| io::Error::new(io::ErrorKind::InvalidInput, format!("{url}: {words}"));
        let has_user = !url.0.username().is_empty() || url.0.password().is_some();
        if has_user && options.token.is_some() {
            return Err(invalid("got a user in the address and a token, want one of them"));
        }
        if let Some(token @ Token::Text(_)) = &options.token {
            token.header().map_err(|words| invalid(&words))?;
        }
        let client = client(&url.0).map_err(|e| io::Error::other(format!("{url}: {}", innermost(e))))?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let pauses = Pauses { first: SINK_FIRST_PAUSE, longest: WEBHOOK_LONGEST_PAUSE };
        Ok(Self {
            url,
            options,
            runtime,
            client,
            pauses,
            lines: JsonLines::default(),
            n_delivered: 0,
            next_seq: 0,
            max_lines: WEBHOOK_MAX_LINES,
            is_first_break: true,
            said: Said::default(),
            is_greeting: false,
            instance: format!("{} {}", std::process::id(), Timestamp::now()),
        })
    }

    /// Puts the next lines in the place of the last.
    fn renew(&mut self, renew: impl FnOnce(&mut JsonLines)) {
        // A batch that was given up may come again.
        let is_given_up = self.n_delivered < self.lines.text.len();
        renew(&mut self.lines);
        let lines = &self.lines;
        let n_before = self.next_seq.checked_sub(lines.first_seq).and_then(|n| usize::try_from(n).ok());
        let n_before = n_before.filter(|n| is_given_up && *n <= lines.n_lines).unwrap_or(0);
        self.n_delivered = lines.text.split_inclusive('\n').take(n_before).map(str::len).sum();
        self.next_seq = lines.first_seq + n_before as u64;
        self.max_lines = WEBHOOK_MAX_LINES;
        self.is_first_break = true;
    }

    /// What tells a body apart from every other one.
    fn key(&self, body: &str) -> String {
        let instance = if body.contains(END) { &*self.instance } else { "" };
        idempotency_key(&[body, instance].concat())
    }

    /// One request with lines that are a body.
    fn post(&self, body: &str, patience: &Patience) -> Answer {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Ok(key) = HeaderValue::from_str(&self.key(body)) {
            headers.insert("idempotency-key", key);
        }
        match self.options.token.as_ref().map(Token::header).transpose() {
            Ok(Some(token)) => drop(headers.insert(AUTHORIZATION, token)),
            Ok(None) => {}
            Err(words) => return Answer::Later(TOKEN, words, None),
        }
        let token = headers.get(AUTHORIZATION).and_then(|token| token.to_str().ok()?.strip_prefix("Bearer "));
        let secrets: Vec<String> = [token, self.url.0.query(), self.url.0.password()]
            .into_iter()
            .flatten()
            .filter(|secret| !secret.is_empty())
            .map(str::to_owned)
            .collect();
        let request = self.client.post(self.url.0.clone()).headers(headers).body(body.to_owned());
        let exchange = async {
            let response = request.send().await?;
            let (status, headers) = (response.status(), response.headers().clone());
            // Lines that were taken are not held up, nor sent again, for the rest of an answer.
            let text = tokio::time::timeout(WEBHOOK_REST, text(response)).await.unwrap_or_default();
            Ok((status, headers, text))
        };
        let ended = async {
            // Patience can end at any time, and tells only who waits for it alone.
            while patience.lasts() {
                tokio::time::sleep(patience.left().map_or(SINK_LOOK, |left| left.min(SINK_LOOK))).await;
            }
        };
        let exchanged: Option<reqwest::Result<_>> = self.runtime.block_on(async {
            tokio::select! {
                biased;
                exchanged = exchange => Some(exchanged),
                () = ended => None,
            }
        });
        match exchanged {
            None => Answer::Ended,
            Some(Err(e)) if e.is_timeout() => Answer::Later(TIMEOUT, NO_ANSWER.into(), None),
            Some(Err(e)) if e.is_connect() => Answer::Later(CONNECT, innermost(e), None),
            Some(Err(e)) => Answer::Broken(innermost(e)),
            Some(Ok((status, headers, text))) => {
                // Some servers say what they were asked.
                if status.is_success() {
                    let said = serde_json::from_str(&text).unwrap_or_default();
                    return Answer::Delivered(Said { at: Some(Instant::now()), ..said });
                }
                let text = secrets.iter().fold(text, |text, secret| text.replace(secret, "..."));
                self.judge(status, &headers, &text)
            }
        }
    }

    fn judge(&self, status: StatusCode, headers: &HeaderMap, text: &str) -> Answer {
        // As Google's services, and ours, say what is wrong.
        let json: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
        let text = json.pointer("/error/message").and_then(serde_json::Value::as_str).unwrap_or(text);
        let text: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let text: String = text.chars().filter(|c| !c.is_control()).take(WEBHOOK_ANSWER_SHOWN).collect();
        let mut words = format!("answers {status}");
        // A page is for browsers.
        if !text.is_empty() && !text.starts_with('<') {
            words.extend([": ", &text]);
        }
        match status {
            StatusCode::GONE => Answer::Gone,
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS => {
                Answer::Later(Cause::Status(status.as_u16()), words, retry_after(headers, Timestamp::now()))
            }
            _ if status.is_server_error() => {
                Answer::Later(Cause::Status(status.as_u16()), words, retry_after(headers, Timestamp::now()))
            }
            StatusCode::PAYLOAD_TOO_LARGE => Answer::TooLarge(status, words),
            _ if status.is_redirection() => {
                let location = headers.get(LOCATION).and_then(|to| self.url.0.join(to.to_str().ok()?).ok());
                let to = location.map(|to| format!(", which sends to {}", shown(&to))).unwrap_or_default();
                Answer::Refused(status, format!("answers {status}{to}; such a redirect is not followed"))
            }
            _ => Answer::Refused(status, words),
        }
    }
}

impl Sink for Webhook {
    fn take(&mut self, batch: &Batch<'_>) {
        self.renew(|lines| lines.fill(batch));
    }

    fn attempt(&mut self, attempt: &mut Attempt<'_>) -> Result<(), Failed> {
        loop {
            let rest = self.lines.text.get(self.n_delivered..).unwrap_or_default();
            if rest.is_empty() && !self.is_greeting {
                return Ok(());
            }
            let (n_lines, n_bytes) = portion(rest, self.max_lines);
            let lines = rest.get(..n_bytes).unwrap_or(rest);
            let failed = match self.post(&body(lines), attempt.patience) {
                Answer::Delivered(said) => {
                    // A wish to stop stands until somebody has taken it.
                    let stop = said.stop.or(self.said.stop.take());
                    self.said = Said { stop, ..said };
                    self.is_greeting = false;
                    self.n_delivered += n_bytes;
                    self.next_seq += n_lines as u64;
                    self.is_first_break = true;
                    attempt.progressed();
                    continue;
                }
                Answer::Gone => Failed::Closed,
                Answer::Ended => Failed::Ended(attempt.last_failure().unwrap_or(NO_ANSWER).to_owned()),
                Answer::TooLarge(..) if n_lines > 1 => {
                    self.max_lines = n_lines / 2;
                    continue;
                }
                // Most often the server had ended a connection that was kept for a while.
                Answer::Broken(_) if self.is_first_break && attempt.patience.lasts() => {
                    self.is_first_break = false;
                    continue;
                }
                Answer::Broken(words) => Failed::again(BROKEN, words, TRIES_AGAIN),
                Answer::Later(cause, words, asked) => {
                    let asked = asked.unwrap_or_default();
                    let remedy = match asked.as_secs() {
                        0 => TRIES_AGAIN.to_owned(),
                        seconds => format!("{TRIES_AGAIN} in {seconds} s, as it asks"),
                    };
                    Failed::Again { cause, words, remedy, pause: Pause::GrowingBehind(asked) }
                }
                Answer::TooLarge(status, words) | Answer::Refused(status, words) => Failed::Again {
                    cause: Cause::Status(status.as_u16()),
                    words,
                    remedy: format!("{TRIES_AGAIN} every {} s", self.pauses.longest.as_secs()),
                    pause: Pause::Longest,
                },
            };
            return Err(failed);
        }
    }

    fn take_stop(&mut self) -> Option<String> {
        self.said.stop.take().map(|stop| stop.reason)
    }

    fn greet_at(&self) -> Option<Instant> {
        let seconds = self.said.next_within_seconds.filter(|seconds| *seconds > 0.0)?;
        let wait =
            Duration::try_from_secs_f64(seconds).ok()?.clamp(WEBHOOK_SHORTEST_GREETING, WEBHOOK_TIMEOUT);
        self.said.at?.checked_add(wait)
    }

    fn greet(&mut self) {
        self.is_greeting = true;
    }

    fn pauses(&self) -> Pauses {
        self.pauses
    }
}

const NO_ANSWER: &str = "gave no answer in time";

fn client(url: &Url) -> reqwest::Result<Client> {
    if CryptoProvider::get_default().is_none() {
        // Refused where another thread was faster.
        let _ = ring::default_provider().install_default();
    }
    let configured = || {
        let builder = Client::builder()
            .user_agent(concat!("hptune/", env!("CARGO_PKG_VERSION")))
            .timeout(WEBHOOK_TIMEOUT)
            .connect_timeout(WEBHOOK_CONNECT_TIMEOUT)
            .pool_idle_timeout(WEBHOOK_IDLE)
            .referer(false)
            .redirect(Policy::custom(|attempt| match is_followed(&attempt) {
                true => attempt.follow(),
                false => attempt.stop(),
            }));
        // No proxy elsewhere reaches this machine's own addresses.
        if is_loopback(url) { builder.no_proxy() } else { builder }
    };
    match configured().build() {
        // A container without certificates can reach servers that need none.
        Err(_) if url.scheme() == "http" => configured().tls_certs_only([]).build(),
        built => built,
    }
}

/// A redirect is followed where the server asks for the same request again and stays itself: nobody else
/// gets the lines.
fn is_followed(attempt: &redirect::Attempt<'_>) -> bool {
    let is_same_request =
        matches!(attempt.status(), StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT);
    let is_same_server =
        attempt.previous().first().is_some_and(|from| from.origin() == attempt.url().origin());
    is_same_request && is_same_server && attempt.previous().len() <= WEBHOOK_MAX_REDIRECTS
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    address.map_or(host == "localhost", |address| address.is_loopback())
}

/// The beginning of what the server says. Reading it lets the connection be used again.
async fn text(mut response: Response) -> String {
    let mut bytes = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > WEBHOOK_ANSWER_BYTES {
            break;
        }
    }
    bytes.truncate(WEBHOOK_ANSWER_BYTES);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What an error comes from, in words. The outer ones say little and may have the address.
fn innermost(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut inner: &dyn Error = &error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string()
}

/// The body of a request with these lines.
fn body(lines: &str) -> String {
    let mut body = format!("{{\"version\":{VERSION},\"lines\":[");
    for (n, line) in lines.lines().enumerate() {
        if n > 0 {
            body.push(',');
        }
        body.push_str(line);
    }
    body.push_str("]}");
    body
}

/// How many lines, and how many bytes, are the next request.
fn portion(text: &str, max_lines: usize) -> (usize, usize) {
    let mut n_bytes = 0;
    let mut n_lines = 0;
    for line in text.split_inclusive('\n').take(max_lines) {
        if n_lines > 0 && n_bytes + line.len() > WEBHOOK_MAX_BYTES {
            break;
        }
        n_bytes += line.len();
        n_lines += 1;
    }
    (n_lines, n_bytes)
}

/// The FNV-1a hash of 128 bits (draft-eastlake-fnv): of bodies that differ by accident it is never the same.
fn idempotency_key(body: &str) -> String {
    let start = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d_u128;
    let prime = 0x0000_0000_0100_0000_0000_0000_0000_013b_u128;
    let hash = body.bytes().fold(start, |hash, byte| (hash ^ u128::from(byte)).wrapping_mul(prime));
    format!("{hash:032x}")
}

/// How long the server asks us to wait (RFC 9110, section 10.2.3): seconds, or a date, which is compared
/// with the server's own clock where it tells it.
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let asked = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let date = |text: &str| rfc2822::parse(text).ok().map(|date| date.timestamp());
    let pause = match asked.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) if !asked.is_empty() && asked.bytes().all(|byte| byte.is_ascii_digit()) => Duration::MAX,
        Err(_) => {
            let now = headers.get(DATE).and_then(|now| date(now.to_str().ok()?)).unwrap_or(now);
            Duration::try_from(date(asked)?.duration_since(now)).unwrap_or_default()
        }
    };
    Some(pause.min(WEBHOOK_MAX_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
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
            body["lines"]
                .as_array()
                .expect("lines")
                .iter()
                .map(|line| line["seq"].as_u64().unwrap())
                .collect()
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
        let (end, point) =
            (r#"{"lines":[{"kind":"end","seq":1}]}"#, r#"{"lines":[{"kind":"point","seq":1}]}"#);
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
        let words =
            format!("{origin}/: the token in {}: No such file or directory (os error 2)", path.display());
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
}
