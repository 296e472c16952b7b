//! The trainer's command line: the user's words, and where the values of a trial go in them.
//!
//! `{NAME}` of a parameter, `{job_dir}` and `{trial_id}` are placeholders. In a command with any of them `{{` and
//! `}}` give braces, as in Python's format strings; braces that enclose no single name (JSON, a shell's groups) stay
//! as they are, and so does `${NAME}`, which is the shell's.

use super::Assignment;
use crate::units::TrialId;

/// The name of the placeholder for a trial's directory.
const JOB_DIR: &str = "job_dir";

/// The name of the placeholder for a trial's number.
const TRIAL_ID: &str = "trial_id";

/// How many characters of a word are shown before and behind a placeholder.
const CONTEXT: usize = 30;

/// How alike two names must be for one to be suggested for the other, 0 to 1.
const ALIKE: f64 = 0.5;

/// The words of a trainer's command with their placeholders.
#[derive(Debug)]
pub struct CommandLine {
    parameters: Vec<String>,
    words: Vec<Word>,
}

#[derive(Debug)]
struct Word {
    text: String,
    pieces: Vec<Piece>,
}

#[derive(Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Place(String),
}

/// What is wrong with a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommandFault {
    /// A placeholder whose name nobody knows.
    Unknown {
        /// The name.
        name: String,
        /// The word that it stands in, shortened.
        word: String,
        /// The name that may have been meant.
        nearest: Option<String>,
    },
    /// There are placeholders, but none for these parameters: the trainer would never hear of them.
    Missing(Vec<String>),
}

/// Whether the arguments that are appended to a command reach the trainer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Appended {
    /// As far as can be seen.
    Reach,
    /// They become arguments of a shell's script that reads none.
    Unread,
    /// The first becomes the name of a shell's script, `$0`, and is not among its arguments.
    FirstIsName,
}

impl CommandLine {
    /// The command of these words for a study of these parameters.
    #[must_use]
    pub fn new<'a>(words: &[String], parameters: impl Iterator<Item = &'a str>) -> Self {
        let parameters: Vec<String> = parameters.map(str::to_owned).collect();
        let is_known =
            |name: &str| name == JOB_DIR || name == TRIAL_ID || parameters.iter().any(|p| p == name);
        // Elsewhere doubled braces are nobody's but the trainer's: templates of prompts have them.
        let has_braces = words.iter().any(|word| {
            let pieces = parse(word, true, &is_known);
            pieces.iter().any(|piece| matches!(piece, Piece::Place(_))) || has_escaped_name(word)
        });
        let words = words
            .iter()
            .map(|word| Word { text: word.clone(), pieces: parse(word, has_braces, &is_known) })
            .collect();
        Self { parameters, words }
    }

    /// What is wrong with it; nothing of it may start then.
    #[must_use]
    pub fn faults(&self) -> Vec<CommandFault> {
        let mut faults = Vec::new();
        for (word, name) in self.places().filter(|(_, name)| !self.knows(name)) {
            let known = self.parameters.iter().map(String::as_str).chain([JOB_DIR, TRIAL_ID]);
            let nearest = nearest(name, known).map(str::to_owned);
            faults.push(CommandFault::Unknown { name: name.to_owned(), word: excerpt(word, name), nearest });
        }
        let missing: Vec<String> =
            self.parameters.iter().filter(|p| self.has_places() && !self.has_place_for(p)).cloned().collect();
        faults.extend((!missing.is_empty()).then_some(CommandFault::Missing(missing)));
        faults
    }

    /// Whether the values of a trial go to placeholders; otherwise they are appended.
    #[must_use]
    pub fn has_places(&self) -> bool {
        self.places().any(|(_, name)| self.knows(name))
    }

    /// Whether the command says where a trial's directory goes.
    #[must_use]
    pub fn has_job_dir(&self) -> bool {
        self.has_place_for(JOB_DIR)
    }

    /// For each parameter and each further placeholder the words with its place, shortened; no words: it is appended.
    #[must_use]
    pub fn where_each_goes(&self) -> Vec<(&str, Vec<String>)> {
        let ours = [JOB_DIR, TRIAL_ID].into_iter().filter(|name| self.has_place_for(name));
        let names = self.parameters.iter().map(String::as_str).chain(ours);
        let words = |name: &str| {
            let of_name = self.places().filter(|(_, there)| *there == name);
            of_name.map(|(word, name)| excerpt(word, name)).collect()
        };
        names.map(|name| (name, words(name))).collect()
    }

    /// A first word with a placeholder known by this study, as messages show it.
    #[must_use]
    pub fn example(&self) -> Option<String> {
        self.places().find(|(_, name)| self.knows(name)).map(|(word, name)| excerpt(word, name))
    }

    /// Whether what is appended reaches the trainer.
    #[must_use]
    pub fn appended(&self) -> Appended {
        let mut words = self.words.iter().map(|word| word.text.as_str());
        let program = words.next().unwrap_or_default();
        let name = program.rsplit('/').next().unwrap_or(program);
        if self.has_places() || !["sh", "ash", "bash", "dash", "ksh", "zsh"].contains(&name) {
            return Appended::Reach;
        }
        let mut options = words.by_ref().take_while(|word| word.starts_with('-'));
        let takes_script = options.any(|word| !word.starts_with("--") && word.contains('c'));
        let Some(script) = words.next().filter(|_| takes_script) else { return Appended::Reach };
        let reads = |wanted: fn(char) -> bool| {
            script.match_indices('$').any(|(at, _)| {
                let rest = script.get(at + 1..).unwrap_or_default();
                rest.trim_start_matches('{').starts_with(wanted)
            })
        };
        let has_name = words.next().is_some();
        match (reads(|c| c.is_ascii_digit() || "@*".contains(c)), has_name || reads(|c| c == '0')) {
            (false, _) => Appended::Unread,
            (true, false) => Appended::FirstIsName,
            (true, true) => Appended::Reach,
        }
    }

    /// The words of a trial's command: its values in their places; where there are no places, `--NAME=VALUE` for
    /// each parameter behind the words, and `--job-dir` unless that is not wanted.
    #[must_use]
    pub fn fill(
        &self,
        params: &Assignment,
        trial: TrialId,
        trial_dir: &str,
        appends_job_dir: bool,
    ) -> Vec<String> {
        let value = |name: &str| match name {
            JOB_DIR => Some(trial_dir.to_owned()),
            TRIAL_ID => Some(trial.to_string()),
            _ => params.get(name).map(ToString::to_string),
        };
        let piece = |piece: &Piece| match piece {
            Piece::Text(text) => text.clone(),
            // A job that was begun by an earlier program may have such words.
            Piece::Place(name) => value(name).unwrap_or_else(|| format!("{{{name}}}")),
        };
        let mut filled: Vec<String> =
            self.words.iter().map(|word| word.pieces.iter().map(piece).collect()).collect();
        if !self.has_places() {
            filled.extend(params.iter().map(|(name, value)| format!("--{name}={value}")));
            filled.extend(appends_job_dir.then(|| format!("--job-dir={trial_dir}")));
        }
        filled
    }

    fn knows(&self, name: &str) -> bool {
        name == JOB_DIR || name == TRIAL_ID || self.parameters.iter().any(|known| known == name)
    }

    fn has_place_for(&self, name: &str) -> bool {
        self.places().any(|(_, there)| there == name)
    }

    /// Each placeholder with the word that it stands in.
    fn places(&self) -> impl Iterator<Item = (&str, &str)> {
        self.words.iter().flat_map(|word| {
            word.pieces.iter().filter_map(|piece| match piece {
                Piece::Place(name) => Some((word.text.as_str(), name.as_str())),
                Piece::Text(_) => None,
            })
        })
    }
}

/// Takes a word apart. With `has_braces` doubled braces give single ones: `}}` where a `{{` is open, since JSON may
/// end in `}}`.
fn parse(word: &str, has_braces: bool, is_known: &impl Fn(&str) -> bool) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut text = String::new();
    let mut n_open = 0_usize;
    let mut rest = word;
    while let Some(c) = rest.chars().next() {
        let n_taken = if has_braces && rest.starts_with("{{") {
            n_open += 1;
            text.push('{');
            2
        } else if has_braces && n_open > 0 && rest.starts_with("}}") {
            n_open -= 1;
            text.push('}');
            2
        } else if let Some(name) = name_at(rest).filter(|name| is_place(&text, name, is_known)) {
            if !text.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut text)));
            }
            pieces.push(Piece::Place(name.to_owned()));
            name.len() + 2
        } else {
            text.push(c);
            c.len_utf8()
        };
        rest = rest.get(n_taken..).unwrap_or_default();
    }
    if !text.is_empty() || pieces.is_empty() {
        pieces.push(Piece::Text(text));
    }
    pieces
}

/// What stands in the braces that `rest` begins with, if it does.
fn name_at(rest: &str) -> Option<&str> {
    let (name, _) = rest.strip_prefix('{')?.split_once('}')?;
    Some(name).filter(|name| !name.is_empty() && !name.contains('{'))
}

/// Whether `{name}` behind `before` is a placeholder, known or not. `${NAME}` is the shell's, and `%{NAME}` is of
/// formats such as curl's.
fn is_place(before: &str, name: &str, is_known: &impl Fn(&str) -> bool) -> bool {
    if before.ends_with('$') {
        return false;
    }
    is_known(name) || (is_identifier(name) && !before.ends_with('%'))
}

fn is_identifier(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c))
}

/// Whether a name stands in doubled braces, as one that is no placeholder is written.
fn has_escaped_name(word: &str) -> bool {
    word.match_indices("{{").any(|(at, _)| {
        let inside = word.get(at + 2..).and_then(|rest| rest.split_once("}}"));
        inside.is_some_and(|(name, _)| is_identifier(name))
    })
}

/// A word as messages show it: what stands around the first placeholder of this name.
fn excerpt(word: &str, name: &str) -> String {
    let place = format!("{{{name}}}");
    let Some((before, behind)) = word.split_once(&place) else { return word.to_owned() };
    let n_before = before.chars().count();
    let mut out: String = before.chars().skip(n_before.saturating_sub(CONTEXT)).collect();
    if n_before > CONTEXT {
        out.insert(0, '…');
    }
    out += &place;
    out.extend(behind.chars().take(CONTEXT));
    if behind.chars().nth(CONTEXT).is_some() {
        out.push('…');
    }
    out
}

/// The name that comes nearest to `wanted`, if any comes near: spelled alike, or the initials of its words.
fn nearest<'n>(wanted: &str, known: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let words = |name: &str| {
        let spaced = name.replace(['_', '-', '.', '/'], " ").to_lowercase();
        spaced.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    let initials = |words: &[String]| words.iter().filter_map(|word| word.chars().next()).collect::<String>();
    let of_wanted = words(wanted);
    let likeness = |name: &str| {
        let of_name = words(name);
        let (a, b) = (of_wanted.concat(), of_name.concat());
        if (of_wanted.len() > 1 && initials(&of_wanted) == b)
            || (of_name.len() > 1 && initials(&of_name) == a)
        {
            return 0.9;
        }
        let shares_word = of_wanted.iter().any(|word| of_name.contains(word));
        strsim::normalized_damerau_levenshtein(&a, &b).max(if shares_word { ALIKE } else { 0.0 })
    };
    let scored = known.map(|name| (likeness(name), name)).filter(|(likeness, _)| *likeness >= ALIKE);
    // Of equals the first.
    scored.reduce(|best, next| if next.0 > best.0 { next } else { best }).map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::study::ParamValue;

    fn line(words: &[&str]) -> CommandLine {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        CommandLine::new(&words, ["lr", "x", "opt"].into_iter())
    }

    fn fill(words: &[&str], appends_job_dir: bool) -> Vec<String> {
        let params = Assignment(vec![
            ("lr".into(), ParamValue::Number(0.5)),
            ("x".into(), ParamValue::Number(128.0)),
            ("opt".into(), ParamValue::Text("a \"b\" {lr}".into())),
        ]);
        line(words).fill(&params, TrialId::after(2), "/jobs/3", appends_job_dir)
    }

    #[test]
    fn parameters_and_directory_come_behind_the_user_s_own_arguments() {
        let own = ["train", "--epochs", "3"];
        let appended = ["--lr=0.5", "--x=128", "--opt=a \"b\" {lr}", "--job-dir=/jobs/3"];
        assert_eq!(fill(&own, true), [&own[..], &appended].concat());
        assert_eq!(fill(&own, false), [&own[..], &appended[..3]].concat());
    }

    #[test]
    fn where_places_are_filled_nothing_is_appended() {
        #[track_caller]
        fn check(words: &[&str], expected: &[&str]) {
            assert_eq!(fill(words, true), expected);
        }
        check(&["t", "-l{lr}:{x}", "{opt}"], &["t", "-l0.5:128", "a \"b\" {lr}"]);
        check(&["t", "{job_dir}/out", "{\"a\": {trial_id}}"], &["t", "/jobs/3/out", "{\"a\": 3}"]);
        check(&["{\"a\": {\"b\": {lr}}}"], &["{\"a\": {\"b\": 0.5}}"]);
        check(&["{{\"a\": {{\"b\": {lr}}}}}", "{{\"k\": 1}}"], &["{\"a\": {\"b\": 0.5}}", "{\"k\": 1}"]);
        check(&["{{lr}} {{{lr}}} {{", "{{{{lr}}}}"], &["{lr} {0.5} {", "{{lr}}"]);
        check(
            &["sh", "-c", "f() { echo ${lr} {a,b} {1..3}; }; f {x}"],
            &["sh", "-c", "f() { echo ${lr} {a,b} {1..3}; }; f 128"],
        );
    }

    #[test]
    fn a_command_without_places_stays_as_it_is_but_for_names_in_doubled_braces() {
        #[track_caller]
        fn check(word: &str, expected: &str) {
            assert_eq!(fill(&[word], true).first().map(String::as_str), Some(expected));
            assert_eq!(line(&[word]).faults(), []);
        }
        check("{\"a\": {\"b\": 1}}", "{\"a\": {\"b\": 1}}");
        check("{{ messages }}", "{{ messages }}");
        check("{{.Names}}", "{{.Names}}");
        check("%{http_code} ${HOME} {} {0}", "%{http_code} ${HOME} {} {0}");
        check("{{epochs}}", "{epochs}");
        check("", "");
    }

    #[test]
    fn what_reaches_nobody_and_what_nobody_knows_are_faults() {
        let missing = |names: &[&str]| CommandFault::Missing(names.iter().map(|n| (*n).to_owned()).collect());
        let unknown = |name: &str, word: &str, nearest: Option<&str>| CommandFault::Unknown {
            name: name.into(),
            word: word.into(),
            nearest: nearest.map(str::to_owned),
        };
        assert_eq!(line(&["t", "--out={job_dir}"]).faults(), [missing(&["lr", "x", "opt"])]);
        assert_eq!(line(&["t", "{lr}", "{x}"]).faults(), [missing(&["opt"])]);
        assert_eq!(line(&["t", "{lr}{x}{opt}"]).faults(), []);
        // The shell's own variable is no place.
        assert_eq!(line(&["sh", "-c", "t ${lr} {x} {opt}"]).faults(), [missing(&["lr"])]);
        assert_eq!(
            line(&["t", "--lr={learning_rate}"]).faults(),
            [unknown("learning_rate", "--lr={learning_rate}", Some("lr")),]
        );
        assert_eq!(
            line(&["t", "{optim}", "{jobdir}", "{epochs}"]).faults(),
            [
                unknown("optim", "{optim}", Some("opt")),
                unknown("jobdir", "{jobdir}", Some("job_dir")),
                unknown("epochs", "{epochs}", None),
            ]
        );
        let long = "y".repeat(99);
        let shown = format!("…{}{{z}}{}…", &long[..30], &long[..30]);
        assert_eq!(line(&[&format!("{long}{{z}}{long}")]).faults(), [unknown("z", &shown, None)]);
    }

    #[test]
    fn it_is_said_where_each_value_goes() {
        let words = line(&["t", "--lr={lr}", "{x}/{opt}", "{job_dir}"]);
        let places = words.where_each_goes();
        let expected =
            [("lr", "--lr={lr}"), ("x", "{x}/{opt}"), ("opt", "{x}/{opt}"), ("job_dir", "{job_dir}")];
        assert_eq!(places, expected.map(|(name, word)| (name, vec![word.to_owned()])));
        let appended = line(&["t"]);
        assert_eq!(appended.where_each_goes(), ["lr", "x", "opt"].map(|name| (name, Vec::new())));
    }

    #[test]
    fn arguments_that_a_shell_s_script_never_reads_are_seen() {
        #[track_caller]
        fn check(words: &[&str], expected: Appended) {
            assert_eq!(line(words).appended(), expected);
        }
        check(&["bash", "-c", "python3 t.py"], Appended::Unread);
        check(&["/bin/sh", "-e", "-uc", "python3 t.py $HOME", "name"], Appended::Unread);
        check(&["sh", "-c", "python3 t.py \"$@\""], Appended::FirstIsName);
        check(&["sh", "-c", "python3 t.py \"$0\" \"$@\""], Appended::Reach);
        check(&["sh", "-c", "python3 t.py ${1} $2", "name"], Appended::Reach);
        check(&["sh", "train.sh"], Appended::Reach);
        check(&["python3", "-c", "print()"], Appended::Reach);
        check(&["sh", "-c", "t {lr} {x} {opt}"], Appended::Reach);
    }
}
