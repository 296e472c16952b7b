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
mod tests;
