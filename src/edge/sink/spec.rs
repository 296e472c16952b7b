//! Which sink is meant, as text.
//!
//! Pure: nothing is opened here. No text of this file has the secrets of an address.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::WebhookUrl;
use crate::edge::home::expand_home;

/// Where lines are delivered, by its text: `-` or `stdout`, `file:PATH`, `unix:PATH`, `http://HOST/...`
/// or `https://HOST/...`. Shown without secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SinkSpec {
    /// Standard output.
    Stdout,
    /// The end of a file; a pipe or a device.
    File(PathBuf),
    /// A Unix stream socket.
    Unix(PathBuf),
    /// A web server.
    Http(WebhookUrl),
}

/// Text that names no sink.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SinkSpecError {
    /// What is wrong.
    pub message: String,
    /// A way out.
    pub hint: Option<String>,
}

impl fmt::Display for SinkSpecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "\n  hint: {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for SinkSpecError {}

/// What names a sink.
const WANT: &str = "-, file:PATH, unix:PATH, http://HOST/PATH or https://HOST/PATH";

/// The beginnings of those, without their `:`.
const SCHEMES: [&str; 4] = ["file", "unix", "http", "https"];

/// How alike a word and the scheme that was meant are, at least.
const ALIKE: f64 = 0.5;

impl FromStr for SinkSpec {
    type Err = SinkSpecError;

    fn from_str(text: &str) -> Result<Self, SinkSpecError> {
        if matches!(text, "-" | "stdout") {
            return Ok(Self::Stdout);
        }
        let Some((scheme, rest)) = text.split_once(':').filter(|(scheme, _)| is_scheme(scheme)) else {
            let hint = if text.is_empty() { None } else { Some(format!("did you mean `file:{text}`?")) };
            return Err(SinkSpecError { message: format!("got `{text}`, want {WANT}"), hint });
        };
        match scheme.to_ascii_lowercase().as_str() {
            "file" => Ok(Self::File(path("file", rest)?)),
            "unix" => Ok(Self::Unix(path("unix", rest)?)),
            scheme @ ("http" | "https") => {
                // What cannot be read may be a secret in the wrong place.
                let message = |e| format!("got an address that cannot be read: {e}");
                let hint = || Some(format!("want {scheme}://HOST/PATH"));
                if !rest.starts_with("//") {
                    let message = format!("got `{scheme}:` without `//`");
                    return Err(SinkSpecError { message, hint: hint() });
                }
                text.parse().map(Self::Http).map_err(|e| SinkSpecError { message: message(e), hint: hint() })
            }
            other => {
                let likeness = |known: &&str| strsim::normalized_damerau_levenshtein(known, other);
                let nearest = SCHEMES.into_iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
                let hint = nearest.filter(|known| likeness(known) >= ALIKE);
                Err(SinkSpecError {
                    message: format!("got a sink of the kind `{scheme}:`, want {WANT}"),
                    hint: hint.map(|known| format!("did you mean `{known}:`?")),
                })
            }
        }
    }
}

impl fmt::Display for SinkSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdout => f.write_str("stdout"),
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Http(url) => url.fmt(f),
        }
    }
}

/// Whether a word can be what stands before the `:` of an address (RFC 3986, section 3.1). A single letter
/// is none of ours and most often a drive or a typo.
fn is_scheme(word: &str) -> bool {
    word.len() > 1
        && word.starts_with(|c: char| c.is_ascii_alphabetic())
        && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}

/// The path behind `SCHEME:`, which may be written as an address without a host.
fn path(scheme: &str, rest: &str) -> Result<PathBuf, SinkSpecError> {
    let error = |message: &str| SinkSpecError {
        message: format!("got `{scheme}:{rest}`, {message}"),
        hint: Some(format!("want {scheme}:PATH")),
    };
    let path = match rest.strip_prefix("//") {
        Some(path) if path.starts_with('/') => path,
        Some(_) => return Err(error("which names another machine")),
        None => rest,
    };
    match path {
        "" => Err(error("which has no path")),
        _ if path.contains('\0') => Err(error("which no path can be")),
        path => expand_home(Path::new(path)).map_err(|e| error(&format!("which cannot be found: {e}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_sink_has_a_text() {
        #[track_caller]
        fn check(text: &str, shown: &str) {
            let spec: SinkSpec = text.parse().expect("it names a sink");
            assert_eq!(spec.to_string(), shown);
            assert_eq!(shown.parse::<SinkSpec>().expect("it names a sink").to_string(), shown);
        }
        check("-", "stdout");
        check("stdout", "stdout");
        check("file:lines", "file:lines");
        check("file:a:b c", "file:a:b c");
        check("FILE:/tmp/lines", "file:/tmp/lines");
        check("file:///tmp/lines", "file:/tmp/lines");
        check("unix:/run/tuner", "unix:/run/tuner");
        check("http://localhost:80/x", "http://localhost/x");
        check("HTTPS://Example.org", "https://example.org/");
        check("https://me:secret@example.org/x?key=secret#secret", "https://example.org/x?...");
    }

    #[test]
    fn a_secret_is_not_shown_for_debugging_either() {
        let spec: SinkSpec = "https://me:secret@example.org/x?key=secret".parse().expect("a sink");
        assert_eq!(format!("{spec:?}"), "Http(WebhookUrl(https://example.org/x?...))");
    }

    #[test]
    fn what_is_no_sink_is_told_with_a_way_out() {
        #[track_caller]
        fn check(text: &str, message: &str, hint: Option<&str>) {
            let error = text.parse::<SinkSpec>().expect_err("it names none");
            assert_eq!((error.message.as_str(), error.hint.as_deref()), (message, hint));
        }
        check("", &format!("got ``, want {WANT}"), None);
        check("lines", &format!("got `lines`, want {WANT}"), Some("did you mean `file:lines`?"));
        check("./a:b", &format!("got `./a:b`, want {WANT}"), Some("did you mean `file:./a:b`?"));
        let kind = |scheme: &str| format!("got a sink of the kind `{scheme}:`, want {WANT}");
        check("htps://me:secret@host", &kind("htps"), Some("did you mean `https:`?"));
        check("flie:x", &kind("flie"), Some("did you mean `file:`?"));
        check("kafka://x", &kind("kafka"), None);
        check("file:", "got `file:`, which has no path", Some("want file:PATH"));
        let other = "got `file://host/x`, which names another machine";
        check("file://host/x", other, Some("want file:PATH"));
        check("unix:a\0b", "got `unix:a\0b`, which no path can be", Some("want unix:PATH"));
        check("http:secret", "got `http:` without `//`", Some("want http://HOST/PATH"));
        let unread = "got an address that cannot be read: invalid port number";
        check("https://me:secret@host:99999999", unread, Some("want https://HOST/PATH"));
    }
}
