//! A YAML or JSON text as a tree that knows where each part stands and how scalars were spelled.

use std::collections::BTreeMap;

use granit_parser::{Event, Parser, ScalarStyle, Span};

use crate::limits::{MAX_CONFIG_DEPTH, MAX_CONFIG_NODES};

/// A place in a text, both counted from 1; columns count characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

/// A part of a document.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) at: Position,
    pub(super) value: Value,
}

#[derive(Debug, Clone)]
pub(super) enum Value {
    Null,
    /// The text as it stands there, without quotes.
    Scalar {
        text: String,
        is_quoted: bool,
    },
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

#[derive(Debug, Clone)]
pub(super) struct Key {
    pub(super) at: Position,
    pub(super) text: String,
}

/// Why a text is no document.
#[derive(Debug)]
pub(super) struct SyntaxError {
    pub(super) at: Position,
    pub(super) message: String,
}

impl Value {
    /// What it is, with its article, for messages.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Null => "nothing".into(),
            Self::Scalar { text, is_quoted: true } => format!("the text {text:?}"),
            Self::Scalar { text, is_quoted: false } => format!("`{text}`"),
            Self::List(_) => "a list".into(),
            Self::Map(_) => "a mapping".into(),
        }
    }
}

impl Node {
    /// The tree as JSON. Unquoted scalars become what YAML 1.2's core schema makes of them.
    pub(super) fn to_json(&self) -> serde_json::Value {
        self.to_json_with(&|_| false)
    }

    /// The same; the items of lists under keys that `are_texts` takes are texts as they are spelled.
    pub(super) fn to_json_with(&self, are_texts: &dyn Fn(&str) -> bool) -> serde_json::Value {
        use serde_json::Value as Json;
        let spelled = |node: &Self| match &node.value {
            Value::Scalar { text, .. } => Json::String(text.clone()),
            Value::Null | Value::List(_) | Value::Map(_) => node.to_json_with(are_texts),
        };
        match &self.value {
            Value::Null => Json::Null,
            Value::Scalar { text, is_quoted: true } => Json::String(text.clone()),
            Value::Scalar { text, is_quoted: false } => scalar_to_json(text),
            Value::List(items) => items.iter().map(|node| node.to_json_with(are_texts)).collect(),
            Value::Map(entries) => {
                let of_entry = |(key, node): &(Key, Self)| {
                    let json = match &node.value {
                        Value::List(items) if are_texts(&key.text) => items.iter().map(spelled).collect(),
                        _ => node.to_json_with(are_texts),
                    };
                    (key.text.clone(), json)
                };
                Json::Object(entries.iter().map(of_entry).collect())
            }
        }
    }
}

fn scalar_to_json(text: &str) -> serde_json::Value {
    match text.to_ascii_lowercase().as_str() {
        "true" => return true.into(),
        "false" => return false.into(),
        _ => {}
    }
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_plain_number = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    if let Ok(n) = text.parse::<i64>()
        && is_plain_number
    {
        return n.into();
    }
    match text.parse::<f64>() {
        Ok(n) if is_plain_number && n.is_finite() => n.into(),
        _ => text.into(),
    }
}

/// Reads the one document of `text`.
pub(super) fn parse(text: &str) -> Result<Node, SyntaxError> {
    let mut builder = Builder { events: Parser::new_from_str(text), anchors: BTreeMap::new(), n_nodes: 0 };
    let mut root = None;
    while let Some((event, span)) = builder.next()? {
        match event {
            Event::StreamStart | Event::StreamEnd | Event::DocumentStart(..) | Event::DocumentEnd => {}
            event if root.is_none() => root = Some(builder.node(event, span, 0)?),
            _ => return Err(error(position(span), "a second document starts here; want one")),
        }
    }
    Ok(root.unwrap_or(Node { at: Position { line: 1, column: 1 }, value: Value::Null }))
}

struct Builder<'t> {
    events: Parser<'t, granit_parser::StrInput<'t>>,
    anchors: BTreeMap<usize, Node>,
    n_nodes: usize,
}

impl<'t> Builder<'t> {
    fn next(&mut self) -> Result<Option<(Event<'t>, Span)>, SyntaxError> {
        self.events.next_event().transpose().map_err(|e| {
            let at = Position { line: e.marker().line(), column: e.marker().col() + 1 };
            error(at, &e.info())
        })
    }

    fn node(&mut self, event: Event<'t>, span: Span, depth: usize) -> Result<Node, SyntaxError> {
        let at = position(span);
        self.n_nodes += 1;
        if self.n_nodes > MAX_CONFIG_NODES || depth > MAX_CONFIG_DEPTH {
            return Err(error(at, "the file is too large or too deeply nested"));
        }
        let (value, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                let is_quoted = style != ScalarStyle::Plain || tag.is_some();
                let is_null = !is_quoted && matches!(&*text, "" | "~" | "null" | "Null" | "NULL");
                let value =
                    if is_null { Value::Null } else { Value::Scalar { text: text.into_owned(), is_quoted } };
                (value, anchor)
            }
            Event::SequenceStart(_, anchor, _) => {
                let mut items = Vec::new();
                loop {
                    match self.inner(at)? {
                        (Event::SequenceEnd, _) => break (Value::List(items), anchor),
                        (event, span) => items.push(self.node(event, span, depth + 1)?),
                    }
                }
            }
            Event::MappingStart(_, anchor, _) => (Value::Map(self.entries(at, depth)?), anchor),
            Event::Alias(anchor) => {
                let Some(node) = self.anchors.get(&anchor).cloned() else {
                    return Err(error(at, "the alias has no anchor before it"));
                };
                self.n_nodes += count(&node);
                return Ok(Node { at, ..node });
            }
            _ => return Err(error(at, "a value is expected here")),
        };
        let node = Node { at, value };
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn entries(&mut self, at: Position, depth: usize) -> Result<Vec<(Key, Node)>, SyntaxError> {
        let mut entries: Vec<(Key, Node)> = Vec::new();
        loop {
            let key = match self.inner(at)? {
                (Event::MappingEnd, _) => return Ok(entries),
                (Event::Scalar(text, ..), span) => Key { at: position(span), text: text.into_owned() },
                (_, span) => return Err(error(position(span), "a field name is expected here")),
            };
            if let Some((first, _)) = entries.iter().find(|(other, _)| other.text == key.text) {
                let message = format!("`{}` is given twice, first on line {}", key.text, first.at.line);
                return Err(error(key.at, &message));
            }
            let (event, span) = self.inner(at)?;
            let node = self.node(event, span, depth + 1)?;
            entries.push((key, node));
        }
    }

    fn inner(&mut self, at: Position) -> Result<(Event<'t>, Span), SyntaxError> {
        self.next()?.ok_or_else(|| error(at, "the file ends inside this"))
    }
}

fn count(node: &Node) -> usize {
    1 + match &node.value {
        Value::Null | Value::Scalar { .. } => 0,
        Value::List(items) => items.iter().map(count).sum(),
        Value::Map(entries) => entries.iter().map(|(_, node)| count(node)).sum(),
    }
}

fn position(span: Span) -> Position {
    Position { line: span.start.line(), column: span.start.col() + 1 }
}

fn error(at: Position, message: &str) -> SyntaxError {
    SyntaxError { at, message: message.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_become_what_the_core_schema_makes_of_them() {
        let node =
            parse("[1, -2, 0.5, 1e-4, true, TRUE, ~, '1', nan, inf, 0x1, 1.10, text]").expect("it parses");
        let expected = r#"[1,-2,0.5,0.0001,true,true,null,"1","nan","inf","0x1",1.1,"text"]"#;
        assert_eq!(node.to_json().to_string(), expected);
    }

    #[test]
    fn json_with_tabs_is_read_too() {
        let node = parse("{\n\t\"a\": [1,\n\t\t2],\n\t\"b\": {\"c\": \"x\\ny\"}\n}\n").expect("it parses");
        assert_eq!(node.to_json().to_string(), r#"{"a":[1,2],"b":{"c":"x\ny"}}"#);
    }

    #[test]
    fn faults_are_told_with_their_place() {
        #[track_caller]
        fn check(text: &str, line: usize, part: &str) {
            let error = parse(text).expect_err("it is no document");
            assert_eq!(error.at.line, line, "{error:?}");
            assert!(error.message.contains(part), "{error:?}");
        }
        check("a: 1\nb: [1, 2\n", 2, "unclosed");
        check("a: 1\na: 2\n", 2, "`a` is given twice, first on line 1");
        check("a: 1\n---\nb: 1\n", 3, "second document");
        check("? [x]\n: 1\n", 1, "field name");
    }

    #[test]
    fn aliases_cannot_fill_the_memory() {
        let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for i in 1..12 {
            let items = vec![format!("*a{}", i - 1); 10].join(", ");
            text += &format!("a{i}: &a{i} [{items}]\n");
        }
        assert!(parse(&text).is_err());
    }
}
