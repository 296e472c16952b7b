//! One line that a client of `tuner` sends, read by hand: what is wrong is said in JSON's own words, and a whole number
//! may be written as `3.0`, as programs do that have no others.

use serde_json::{Map, Value as Json};

use tfevents::tail::quote_bare_words;

use crate::units::Step;

/// Up to here every whole number is a 64-bit float.
const MAX_EXACT: f64 = 9_007_199_254_740_992.0;

/// What a client asks or tells.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Ask {
    /// For a new trial.
    Suggest,
    /// Of a measurement.
    Report { trial: u32, step: Step, value: f64 },
    /// Of a trial's end.
    Complete { trial: u32, value: Option<f64>, step: Option<Step>, infeasible: Option<String> },
    /// Of a trial from elsewhere.
    Add { params: Map<String, Json>, value: f64 },
    /// For the best trial.
    Best,
}

/// Reads a line.
///
/// # Errors
/// What is wrong with it.
pub(super) fn parse(line: &str) -> Result<Ask, String> {
    const WANTED: &str =
        "want one object of `suggest`, `report`, `complete`, `add` or `best`; see docs/tuner.md";
    let request: Json = serde_json::from_str(&quote_bare_words(line))
        .map_err(|e| format!("this is no JSON: {e}; {WANTED}"))?;
    let one = match request {
        Json::Object(fields) if fields.len() == 1 => fields.into_iter().next(),
        Json::Object(fields) if fields.is_empty() => return Err(format!("got an empty object, {WANTED}")),
        Json::Object(fields) => {
            let names: Vec<&str> = fields.keys().map(String::as_str).collect();
            return Err(format!("got {} at once, {WANTED}", names.join(", ")));
        }
        other => return Err(format!("got {}, {WANTED}", in_words(&other))),
    };
    let Some((verb, content)) = one else { return Err(WANTED.to_owned()) };
    let mut fields = match content {
        Json::Object(values) => Fields { verb: &verb, values },
        // What has no fields may be written as nothing.
        Json::Null => Fields { verb: &verb, values: Map::new() },
        other => return Err(format!("{verb}: got {}, want an object", in_words(&other))),
    };
    let ask = match &*verb {
        "suggest" => Ask::Suggest,
        "best" => Ask::Best,
        "report" => Ask::Report {
            trial: fields.trial()?,
            step: fields.step()?.ok_or_else(|| fields.missing("step"))?,
            value: fields.number("value")?.ok_or_else(|| fields.missing("value"))?,
        },
        "complete" => Ask::Complete {
            trial: fields.trial()?,
            value: fields.number("value")?,
            step: fields.step()?,
            infeasible: match fields.take("infeasible") {
                None => None,
                Some(Json::String(why)) => Some(why),
                Some(other) => return Err(fields.wrong("infeasible", &other, "the reason as a text")),
            },
        },
        "add" => Ask::Add {
            params: match fields.take("params") {
                Some(Json::Object(params)) => params,
                Some(other) => return Err(fields.wrong("params", &other, "an object")),
                None => return Err(fields.missing("params")),
            },
            value: fields.number("value")?.ok_or_else(|| fields.missing("value"))?,
        },
        other => return Err(format!("got `{other}`, {WANTED}")),
    };
    match fields.values.keys().next() {
        Some(unknown) => Err(format!("{verb}.{unknown}: there is no such field")),
        None => Ok(ask),
    }
}

/// What stands below a verb and was not taken yet.
struct Fields<'v> {
    verb: &'v str,
    values: Map<String, Json>,
}

impl Fields<'_> {
    /// The value of a field; null is none.
    fn take(&mut self, name: &str) -> Option<Json> {
        self.values.remove(name).filter(|value| !value.is_null())
    }

    fn missing(&self, name: &str) -> String {
        format!("{}.{name}: missing", self.verb)
    }

    fn wrong(&self, name: &str, got: &Json, want: &str) -> String {
        format!("{}.{name}: got {}, want {want}", self.verb, in_words(got))
    }

    fn trial(&mut self) -> Result<u32, String> {
        let whole = self.whole("trial", "the number of a trial")?.ok_or_else(|| self.missing("trial"))?;
        u32::try_from(whole).map_err(|_| self.wrong("trial", &whole.into(), "the number of a trial"))
    }

    fn step(&mut self) -> Result<Option<Step>, String> {
        Ok(self.whole("step", "a whole number")?.map(Step))
    }

    fn whole(&mut self, name: &str, want: &str) -> Result<Option<i64>, String> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let float = value.as_f64().filter(|v| v.fract() == 0.0 && v.abs() <= MAX_EXACT);
        match value.as_i64().or(float.map(|v| v as i64)) {
            Some(whole) => Ok(Some(whole)),
            None => Err(self.wrong(name, &value, want)),
        }
    }

    /// A number, or a text for one that JSON has no digits for.
    fn number(&mut self, name: &str) -> Result<Option<f64>, String> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let number = match &value {
            Json::String(text) => text.parse::<f64>().ok().filter(|number| !number.is_finite()),
            other => other.as_f64(),
        };
        number.map(Some).ok_or_else(|| self.wrong(name, &value, "a number, \"NaN\" or \"Infinity\""))
    }
}

/// A value as messages show it: texts are told from numbers.
pub(super) fn in_words(value: &Json) -> String {
    match value {
        Json::String(_) => format!("the text {value}"),
        Json::Object(_) => "an object".to_owned(),
        Json::Array(_) => "a list".to_owned(),
        Json::Null | Json::Bool(_) | Json::Number(_) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_may_be_written_as_floats() {
        let step = |step: &str| parse(&format!(r#"{{"report":{{"trial":1.0,"step":{step},"value":1}}}}"#));
        let report = |step| Ok(Ask::Report { trial: 1, step: Step(step), value: 1.0 });
        assert_eq!(step("3"), report(3));
        assert_eq!(step("3.0"), report(3));
        assert_eq!(step("-3e2"), report(-300));
        assert_eq!(step("9007199254740993"), report(9_007_199_254_740_993));
        assert!(step("3.5").is_err_and(|e| e == "report.step: got 3.5, want a whole number"));
        assert!(step("1e300").is_err());
        let nothing = Ask::Complete { trial: 2, value: None, step: None, infeasible: None };
        assert_eq!(parse(r#"{"complete":{"trial":2.0,"value":null,"step":null}}"#), Ok(nothing));
        assert_eq!(parse(r#"{"suggest":null}"#), Ok(Ask::Suggest));
        assert_eq!(parse(r#"{"best":{}}"#), Ok(Ask::Best));
    }

    #[test]
    fn what_is_wrong_is_said_without_the_program_s_own_words() {
        #[track_caller]
        fn check(line: &str, expected: &str) {
            let error = parse(line).expect_err("it is wrong");
            assert!(error.starts_with(expected), "{error}");
            for word in ["i64", "u32", "f64", "struct", "enum", "variant", "map", "sequence"] {
                assert!(!error.contains(word), "{error}");
            }
        }
        check(
            r#"{"report":{"trial":"1","step":3,"value":1}}"#,
            r#"report.trial: got the text "1", want the number"#,
        );
        check(r#"{"report":{"trial":-1,"step":3,"value":1}}"#, "report.trial: got -1, want the number");
        check(r#"{"report":{"trial":1,"step":3}}"#, "report.value: missing");
        check(
            r#"{"report":{"trial":1,"step":3,"value":"0.5"}}"#,
            r#"report.value: got the text "0.5", want a number"#,
        );
        check(r#"{"report":{"trial":1,"step":true,"value":1}}"#, "report.step: got true, want");
        check(r#"{"report":null}"#, "report.trial: missing");
        check(r#"{"report":[1]}"#, "report: got a list, want an object");
        check(r#"{"suggest":{"count":3}}"#, "suggest.count: there is no such field");
        check(r#"{"add":{"params":3,"value":1}}"#, "add.params: got 3, want an object");
        check(
            r#"{"complete":{"trial":1,"infeasible":true}}"#,
            "complete.infeasible: got true, want the reason",
        );
        check(r#"{"best":{},"suggest":{}}"#, "got best, suggest at once");
        check("{}", "got an empty object");
        check("[1]", "got a list");
        check("no json", "this is no JSON: ");
        check(r#"{"ask":{}}"#, "got `ask`, want one object of");
    }
}
