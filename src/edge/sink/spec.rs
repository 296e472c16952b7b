//! Which sink is meant, as text.
//!
//! Pure: nothing is opened here. No text of this file has the secrets of an address.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use super::{KINDS, Sink, SinkOptions};
use crate::edge::home::expand_home;

/// Where lines are delivered, by its text: `-` or `stdout`, `file:PATH`, `unix:PATH`, `http://HOST/...`
/// or `https://HOST/...`. Shown without secrets.
#[derive(Clone)]
pub struct SinkSpec(Arc<dyn Address>);

/// The address of a sink of one kind. Shown without secrets, as a text that names the same sink where there are none.
pub trait Address: fmt::Debug + fmt::Display + Send + Sync {
    /// Opens the sink.
    ///
    /// # Errors
    /// Errors of opening, with the path or the address.
    fn open(&self, options: SinkOptions) -> io::Result<Box<dyn Sink>>;

    /// Whether the sink writes to standard output: nothing else may.
    fn is_standard_output(&self) -> bool {
        false
    }
}

/// How the addresses of one kind of sink are written.
#[derive(Debug, Clone, Copy)]
pub struct Kind {
    /// Whole texts that are addresses.
    pub words: &'static [&'static str],
    /// What stands before the `:` of the others, in lower case.
    pub schemes: &'static [&'static str],
    /// How the addresses are shown to users.
    pub forms: &'static [&'static str],
    /// Reads a text that is one of the words, or begins with one of the schemes in any case.
    pub read: fn(&str) -> Result<Box<dyn Address>, SinkSpecError>,
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

/// What names a sink, for people: `a, b or c`.
fn want() -> String {
    let forms: Vec<&str> = KINDS.iter().flat_map(|kind| kind.forms).copied().collect();
    match &*forms {
        [others @ .., last] if !others.is_empty() => format!("{} or {last}", others.join(", ")),
        forms => forms.concat(),
    }
}

/// How alike a word and the scheme that was meant are, at least.
const ALIKE: f64 = 0.5;

impl FromStr for SinkSpec {
    type Err = SinkSpecError;

    fn from_str(text: &str) -> Result<Self, SinkSpecError> {
        if let Some(kind) = KINDS.iter().find(|kind| kind.words.contains(&text)) {
            return (kind.read)(text).map(|address| Self(address.into()));
        }
        let Some((scheme, _)) = text.split_once(':').filter(|(scheme, _)| is_scheme(scheme)) else {
            let hint = if text.is_empty() { None } else { Some(format!("did you mean `file:{text}`?")) };
            return Err(SinkSpecError { message: format!("got `{text}`, want {}", want()), hint });
        };
        let lower = scheme.to_ascii_lowercase();
        if let Some(kind) = KINDS.iter().find(|kind| kind.schemes.contains(&&*lower)) {
            return (kind.read)(text).map(|address| Self(address.into()));
        }
        let likeness = |known: &&str| strsim::normalized_damerau_levenshtein(known, &lower);
        let schemes = KINDS.iter().flat_map(|kind| kind.schemes).copied();
        let nearest = schemes.max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
        let hint = nearest.filter(|known| likeness(known) >= ALIKE);
        Err(SinkSpecError {
            message: format!("got a sink of the kind `{scheme}:`, want {}", want()),
            hint: hint.map(|known| format!("did you mean `{known}:`?")),
        })
    }
}

impl SinkSpec {
    /// The address.
    #[must_use]
    pub fn address(&self) -> &dyn Address {
        &*self.0
    }
}

impl fmt::Display for SinkSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for SinkSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// Whether a word can be what stands before the `:` of an address (RFC 3986, section 3.1). A single letter
/// is none of ours and most often a drive or a typo.
fn is_scheme(word: &str) -> bool {
    word.len() > 1
        && word.starts_with(|c: char| c.is_ascii_alphabetic())
        && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}

/// The path behind the `SCHEME:` of a text, which may be written as an address without a host.
pub(super) fn path_of(scheme: &str, text: &str) -> Result<PathBuf, SinkSpecError> {
    let rest = text.split_once(':').map_or("", |(_, rest)| rest);
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
        assert_eq!(format!("{spec:?}"), "WebhookUrl(https://example.org/x?...)");
    }

    #[test]
    fn what_is_no_sink_is_told_with_a_way_out() {
        const WANT: &str = "-, file:PATH, unix:PATH, http://HOST/PATH or https://HOST/PATH";
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
