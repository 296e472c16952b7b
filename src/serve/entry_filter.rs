//! The filter of log entries, as `gcloud` makes them.
//!
//! Source: "Logging query language": comparisons joined by AND, OR and NOT, AND where nothing stands between, brackets.

use jiff::Timestamp;

use super::error::ApiError;
use super::limits::MAX_FILTER_BYTES;

/// The deepest nesting of brackets.
const MAX_DEPTH: usize = 16;

/// A condition on an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Condition {
    All(Vec<Self>),
    Any(Vec<Self>),
    Not(Box<Self>),
    Compare { field: String, operator: Operator, value: String },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Has,
}

/// What is looked at.
pub(super) trait Fields {
    /// The value of a field; `None` where the entry has none.
    fn field(&self, name: &str) -> Option<&str>;
    /// The time of the entry, in microseconds since the Unix epoch.
    fn at_us(&self) -> i64;
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Word(String),
    Operator(Operator),
    Open,
    Close,
}

impl Condition {
    /// Reads a filter.
    ///
    /// # Errors
    /// It cannot be read.
    pub(super) fn read(text: &str) -> Result<Self, ApiError> {
        let fail = |what: &str| ApiError::of_field("filter", what);
        if text.len() > MAX_FILTER_BYTES {
            return Err(fail("is too long"));
        }
        let tokens = tokens(text).map_err(fail)?;
        let mut rest = tokens.as_slice();
        let read = any(&mut rest, 0).map_err(fail)?;
        if rest.is_empty() { Ok(read) } else { Err(fail("has a bracket too many")) }
    }

    /// The value that a field must have by all of it, where there is one.
    pub(super) fn required(&self, name: &str) -> Option<&str> {
        match self {
            Self::All(parts) => parts.iter().find_map(|part| part.required(name)),
            Self::Any(parts) if parts.len() == 1 => parts.first()?.required(name),
            Self::Compare { field, operator: Operator::Equal, value } if field == name => Some(value),
            Self::Any(_) | Self::Not(_) | Self::Compare { .. } => None,
        }
    }

    /// A time before which no entry is taken, in microseconds since the Unix epoch.
    pub(super) fn not_before_us(&self) -> i64 {
        match self {
            Self::All(parts) => parts.iter().map(Self::not_before_us).max().unwrap_or(i64::MIN),
            Self::Any(parts) => parts.iter().map(Self::not_before_us).min().unwrap_or(i64::MIN),
            Self::Compare {
                field,
                operator: Operator::Equal | Operator::Greater | Operator::GreaterOrEqual,
                value,
            } if field == "timestamp" => microseconds(value).unwrap_or(i64::MIN),
            Self::Not(_) | Self::Compare { .. } => i64::MIN,
        }
    }

    pub(super) fn takes(&self, entry: &dyn Fields) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(|part| part.takes(entry)),
            Self::Any(parts) => parts.iter().any(|part| part.takes(entry)),
            Self::Not(part) => !part.takes(entry),
            Self::Compare { field, operator, value } if field == "timestamp" => {
                microseconds(value).is_some_and(|limit| operator.holds(&entry.at_us(), &limit))
            }
            Self::Compare { field, operator, value } => match entry.field(field) {
                Some(own) if *operator == Operator::Has => own.to_lowercase().contains(&value.to_lowercase()),
                Some(own) => operator.holds(own, value.as_str()),
                None => *operator == Operator::Unequal,
            },
        }
    }
}

fn microseconds(time: &str) -> Option<i64> {
    time.parse::<Timestamp>().ok().map(Timestamp::as_microsecond)
}

impl Operator {
    fn holds<T: Ord + ?Sized>(self, a: &T, b: &T) -> bool {
        match self {
            Self::Equal | Self::Has => a == b,
            Self::Unequal => a != b,
            Self::Less => a < b,
            Self::LessOrEqual => a <= b,
            Self::Greater => a > b,
            Self::GreaterOrEqual => a >= b,
        }
    }
}

fn tokens(text: &str) -> Result<Vec<Token>, &'static str> {
    let mut tokens = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let mut followed_by = |wanted| chars.next_if_eq(&wanted).is_some();
        let token = match c {
            c if c.is_whitespace() => continue,
            '(' => Token::Open,
            ')' => Token::Close,
            '=' => Token::Operator(Operator::Equal),
            ':' => Token::Operator(Operator::Has),
            '!' if followed_by('=') => Token::Operator(Operator::Unequal),
            '<' if followed_by('=') => Token::Operator(Operator::LessOrEqual),
            '>' if followed_by('=') => Token::Operator(Operator::GreaterOrEqual),
            '<' => Token::Operator(Operator::Less),
            '>' => Token::Operator(Operator::Greater),
            '"' => Token::Word(quoted(&mut chars)?),
            c => {
                let mut word = String::from(c);
                // A part of a field's name may be quoted.
                while let Some(c) = chars.next_if(|c| !c.is_whitespace() && !"()=:!<>".contains(*c)) {
                    if c == '"' { word.push_str(&quoted(&mut chars)?) } else { word.push(c) }
                }
                Token::Word(word)
            }
        };
        tokens.push(token);
    }
    Ok(tokens)
}

fn quoted(chars: &mut impl Iterator<Item = char>) -> Result<String, &'static str> {
    let mut text = String::new();
    loop {
        match chars.next() {
            None => return Err("has a quote without its end"),
            Some('"') => return Ok(text),
            Some('\\') => text.extend(chars.next()),
            Some(c) => text.push(c),
        }
    }
}

fn is_word(token: Option<&Token>, wanted: &str) -> bool {
    matches!(token, Some(Token::Word(word)) if word == wanted)
}

fn any(rest: &mut &[Token], depth: usize) -> Result<Condition, &'static str> {
    if depth > MAX_DEPTH {
        return Err("has too many brackets one within the other");
    }
    // AND binds no less than OR there: as is usual, it is taken to bind more.
    let mut parts = vec![all(rest, depth)?];
    while is_word(rest.first(), "OR") {
        *rest = rest.get(1..).unwrap_or_default();
        parts.push(all(rest, depth)?);
    }
    Ok(if parts.len() == 1 { parts.remove(0) } else { Condition::Any(parts) })
}

fn all(rest: &mut &[Token], depth: usize) -> Result<Condition, &'static str> {
    let mut parts = Vec::new();
    loop {
        if is_word(rest.first(), "AND") {
            *rest = rest.get(1..).unwrap_or_default();
        }
        match rest.first() {
            None | Some(Token::Close) => return Ok(Condition::All(parts)),
            Some(Token::Word(word)) if word == "OR" => return Ok(Condition::All(parts)),
            Some(_) => parts.push(one(rest, depth)?),
        }
    }
}

fn one(rest: &mut &[Token], depth: usize) -> Result<Condition, &'static str> {
    match *rest {
        [Token::Open, inner @ ..] => {
            *rest = inner;
            let condition = any(rest, depth + 1)?;
            match *rest {
                [Token::Close, behind @ ..] => *rest = behind,
                _ => return Err("has a bracket without its end"),
            }
            Ok(condition)
        }
        [Token::Word(word), behind @ ..] if word == "NOT" => {
            if depth >= MAX_DEPTH {
                return Err("has too many brackets one within the other");
            }
            *rest = behind;
            Ok(Condition::Not(Box::new(one(rest, depth + 1)?)))
        }
        [Token::Word(field), Token::Operator(operator), Token::Word(value), behind @ ..] => {
            *rest = behind;
            Ok(Condition::Compare { field: field.clone(), operator: *operator, value: value.clone() })
        }
        _ => Err("want terms such as FIELD=\"VALUE\""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Entry;

    impl Fields for Entry {
        fn field(&self, name: &str) -> Option<&str> {
            match name {
                "resource.type" => Some("ml_job"),
                "resource.labels.job_id" => Some("job"),
                "labels.ml.googleapis.com/trial_id" => Some("3"),
                "insertId" => Some("b"),
                _ => None,
            }
        }

        fn at_us(&self) -> i64 {
            1_000_000
        }
    }

    #[test]
    fn what_gcloud_asks_for_is_understood() {
        #[track_caller]
        fn check(text: &str, expected: bool) {
            let condition = Condition::read(text).expect("it reads");
            assert_eq!(condition.takes(&Entry), expected, "{condition:?}");
        }
        let base =
            "(resource.type=\"ml_job\" OR resource.type=\"cloudml_job\") AND resource.labels.job_id=\"job\"";
        check(base, true);
        check(&format!("{base} AND timestamp>=\"1970-01-01T01:00:00.000000000Z\""), false);
        check(
            &format!(
                "{base} AND timestamp>=\"1970-01-01T00:00:01Z\" AND timestamp<\"2030-01-01T00:00:00.000000+00:00\""
            ),
            true,
        );
        let at =
            "((timestamp=\"1970-01-01T00:00:01Z\" AND insertId>\"a\") OR timestamp>\"1970-01-01T00:00:01Z\")";
        check(&format!("{base} AND {at}"), true);
        check(&format!("{base} AND {}", at.replace("\"a\"", "\"b\"")), false);
        check("labels.\"ml.googleapis.com/trial_id\"=\"3\"", true);
        check("NOT resource.labels.job_id=\"other\"", true);
        check("resource.labels.task_name=\"x\" OR labels.task_name=\"x\"", false);
        check("", true);
        let condition = Condition::read(&format!("{base} AND {at}")).expect("it reads");
        assert_eq!(condition.required("resource.labels.job_id"), Some("job"));
        assert_eq!(condition.required("resource.type"), None);
        assert_eq!(condition.not_before_us(), 1_000_000);
    }

    #[test]
    fn what_is_no_filter_is_refused() {
        #[track_caller]
        fn check(text: &str) {
            assert!(Condition::read(text).is_err(), "{text}");
        }
        check("(a=\"b\"");
        check("a=\"b\")");
        check("a=\"b");
        check("a b");
        check(&"(".repeat(1_000));
        check(&"NOT ".repeat(1_000));
    }
}
