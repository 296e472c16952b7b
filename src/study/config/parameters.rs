//! The search space of a configuration file.

use std::sync::Arc;

use super::super::document::{Node, Position};
use super::super::{Domain, Parameter, Scale, Space};
use super::fields::{Fields, Reader};
use crate::limits::{MAX_ARGUMENT_BYTES, MAX_PARAMETER_NAME_BYTES};

/// Whole numbers beyond this are not exact as 64-bit floats.
const MAX_EXACT: i64 = 1 << 53;

#[derive(Clone, Copy, PartialEq)]
enum Type {
    Double,
    Integer,
    Discrete,
    Categorical,
}

const TYPES: [(&str, Type); 4] = [
    ("DOUBLE", Type::Double),
    ("INTEGER", Type::Integer),
    ("DISCRETE", Type::Discrete),
    ("CATEGORICAL", Type::Categorical),
];

fn name_of(kind: Type) -> &'static str {
    TYPES.iter().find(|(_, other)| *other == kind).map_or("", |(name, _)| name)
}

/// The fields that a type cannot do without.
fn needs(kind: Type) -> &'static str {
    match kind {
        Type::Double | Type::Integer => "minValue and maxValue",
        Type::Discrete => "discreteValues",
        Type::Categorical => "categoricalValues",
    }
}

const SCALES: [(&str, Scale); 4] = [
    ("NONE", Scale::Linear),
    ("UNIT_LINEAR_SCALE", Scale::Linear),
    ("UNIT_LOG_SCALE", Scale::Log),
    ("UNIT_REVERSE_LOG_SCALE", Scale::ReverseLog),
];

/// Reads `params`; `None` where any of it is wrong.
pub(super) fn read(reader: &mut Reader, node: &Node, path: &str, is_grid: bool) -> Option<Space> {
    let items = reader.list(node, path)?;
    if items.is_empty() {
        reader.error(node.at, path, "is empty".into(), Some("name at least one parameter".into()));
        return None;
    }
    let mut parameters: Vec<Parameter> = Vec::new();
    let mut names: Vec<String> = Vec::new();
    let mut is_whole = true;
    for (i, item) in items.iter().enumerate() {
        match read_one(reader, item, &format!("{path}[{i}]"), &mut names, is_grid) {
            Some(parameter) => parameters.push(parameter),
            None => is_whole = false,
        }
    }
    is_whole.then_some(Space { parameters })
}

fn read_one(
    reader: &mut Reader,
    node: &Node,
    path: &str,
    names: &mut Vec<String>,
    is_grid: bool,
) -> Option<Parameter> {
    let mut fields = reader.fields(node, path)?;
    let name = read_name(reader, &mut fields, node.at, names);
    let type_path = fields.path_of("type");
    let type_at = fields.at("type");
    let kind = match fields.take("type") {
        Some(node) => {
            let kind = reader.choice(node, &type_path, &TYPES);
            if is_grid && kind == Some(Type::Double) {
                let message = "GRID_SEARCH takes INTEGER, DISCRETE and CATEGORICAL parameters only";
                reader.error(
                    node.at,
                    &type_path,
                    message.into(),
                    Some("use DISCRETE with the values to try".into()),
                );
            }
            kind
        }
        None => {
            reader.error(node.at, &type_path, "missing".into(), None);
            None
        }
    };
    let scale_path = fields.path_of("scaleType");
    let scale_node = fields.take("scaleType");
    let scale = scale_node.map_or(Some(Scale::default()), |node| reader.choice(node, &scale_path, &SCALES));
    let parts = Parts {
        min: fields.take("minValue"),
        max: fields.take("maxValue"),
        categories: fields.take("categoricalValues"),
        numbers: fields.take("discreteValues"),
        scale: scale_node.filter(|_| scale != Some(Scale::Linear)),
    };
    fields.finish(reader);
    let kind = kind?;
    if let Some(meant) = parts.type_meant(kind) {
        let (given, meant) = (name_of(kind), name_of(meant));
        let message = format!("{given} without {}", needs(kind));
        let at = type_at.unwrap_or(node.at);
        reader.error(at, &type_path, message, Some(format!("did you mean `type: {meant}`?")));
        return None;
    }
    parts.warn_of_unused(reader, path, kind);
    let domain = match kind {
        Type::Double => double(reader, node.at, path, &parts, scale?),
        Type::Integer => integer(reader, node.at, path, &parts, scale?),
        Type::Discrete => discrete(reader, node.at, path, &parts, scale?),
        Type::Categorical => categorical(reader, node.at, path, &parts, name.as_deref()),
    };
    Some(Parameter { name: name?.into(), domain: domain? })
}

fn read_name(
    reader: &mut Reader,
    fields: &mut Fields<'_>,
    at: Position,
    names: &mut Vec<String>,
) -> Option<String> {
    let path = fields.path_of("parameterName");
    let Some(node) = fields.take("parameterName") else {
        reader.error(at, &path, "missing".into(), None);
        return None;
    };
    let name = reader.text(node, &path)?;
    let problem =
        if name.is_empty() || name.starts_with('-') || name.contains(|c: char| c == '=' || c.is_whitespace())
        {
            format!("{name:?} is no name of an argument: it becomes --NAME=VALUE")
        } else if name.len() > MAX_PARAMETER_NAME_BYTES {
            format!(
                "is {} bytes long, want at most {MAX_PARAMETER_NAME_BYTES}: it becomes an argument",
                name.len()
            )
        } else if matches!(name.as_str(), "job-dir" | "job_dir" | "trial_id") {
            format!("`{name}` is what hptune itself passes; choose another name")
        } else if names.contains(&name) {
            format!("`{name}` is the name of another parameter too")
        } else {
            names.push(name.clone());
            return Some(name);
        };
    reader.error(node.at, &path, problem, None);
    None
}

/// The fields of which each type uses some.
struct Parts<'n> {
    min: Option<&'n Node>,
    max: Option<&'n Node>,
    categories: Option<&'n Node>,
    numbers: Option<&'n Node>,
    scale: Option<&'n Node>,
}

impl Parts<'_> {
    /// The type whose fields are there, where none of those is that the given one needs.
    fn type_meant(&self, kind: Type) -> Option<Type> {
        let has_range = self.min.is_some() || self.max.is_some();
        match kind {
            Type::Double | Type::Integer if has_range => None,
            Type::Discrete if self.numbers.is_some() => None,
            Type::Categorical if self.categories.is_some() => None,
            _ if self.numbers.is_some() => Some(Type::Discrete),
            _ if self.categories.is_some() => Some(Type::Categorical),
            _ if has_range => Some(Type::Double),
            _ => None,
        }
    }

    fn warn_of_unused(&self, reader: &mut Reader, path: &str, kind: Type) {
        let is_range = matches!(kind, Type::Double | Type::Integer);
        let fields = [
            ("minValue", self.min, is_range),
            ("maxValue", self.max, is_range),
            ("categoricalValues", self.categories, kind == Type::Categorical),
            ("discreteValues", self.numbers, kind == Type::Discrete),
            ("scaleType", self.scale, kind != Type::Categorical),
        ];
        for (name, node, is_used) in fields {
            let (Some(node), false) = (node, is_used) else { continue };
            let (path, message) = (format!("{path}.{name}"), format!("without effect for {}", name_of(kind)));
            let takes_it = match name {
                "discreteValues" => Some(Type::Discrete),
                "categoricalValues" => Some(Type::Categorical),
                _ => None,
            };
            match takes_it {
                Some(meant) => {
                    let hint = format!("`type: {}` has the values to try", name_of(meant));
                    reader.warn_with_hint(node.at, &path, &message, hint);
                }
                None => reader.warn(node.at, &path, &message),
            }
        }
    }

    /// The bounds of a range, by `read`; tells what is missing.
    fn bounds<T>(
        &self,
        reader: &mut Reader,
        at: Position,
        path: &str,
        type_name: &str,
        mut read: impl FnMut(&mut Reader, &Node, &str) -> Option<T>,
    ) -> Option<(T, T)> {
        let mut bound = |name: &str, node: Option<&Node>| {
            let path = format!("{path}.{name}");
            match node {
                Some(node) => read(reader, node, &path),
                None => {
                    let message = format!("missing; {type_name} needs minValue and maxValue");
                    reader.error(at, &path, message, None);
                    None
                }
            }
        };
        let (min, max) = (bound("minValue", self.min), bound("maxValue", self.max));
        Some((min?, max?))
    }

    /// Checks that the bounds are in order and suit the scale.
    fn check(&self, reader: &mut Reader, path: &str, min: f64, max: f64, scale: Scale) -> Option<()> {
        if min > max {
            let at = self.max.map(|node| node.at).unwrap_or_default();
            reader.error(at, &format!("{path}.maxValue"), format!("{max} is below minValue, {min}"), None);
            return None;
        }
        if scale != Scale::Linear && min <= 0.0 {
            let at = self.min.map(|node| node.at).unwrap_or_default();
            let message = format!("got {min}, want more than 0 for a logarithmic scale");
            reader.error(at, &format!("{path}.minValue"), message, None);
            return None;
        }
        Some(())
    }
}

fn double(reader: &mut Reader, at: Position, path: &str, parts: &Parts<'_>, scale: Scale) -> Option<Domain> {
    let (min, max) = parts.bounds(reader, at, path, "DOUBLE", Reader::number)?;
    parts.check(reader, path, min, max, scale)?;
    Some(Domain::Double { min, max, scale })
}

fn integer(reader: &mut Reader, at: Position, path: &str, parts: &Parts<'_>, scale: Scale) -> Option<Domain> {
    let read =
        |reader: &mut Reader, node: &Node, path: &str| reader.integer(node, path, -MAX_EXACT..=MAX_EXACT);
    let (min, max) = parts.bounds(reader, at, path, "INTEGER", read)?;
    parts.check(reader, path, min as f64, max as f64, scale)?;
    Some(Domain::Integer { min, max, scale })
}

fn discrete(
    reader: &mut Reader,
    at: Position,
    path: &str,
    parts: &Parts<'_>,
    scale: Scale,
) -> Option<Domain> {
    let path = format!("{path}.discreteValues");
    let (node, items) = items(reader, at, &path, parts.numbers)?;
    let read = |(i, item): (usize, &Node)| reader.number(item, &format!("{path}[{i}]"));
    let values: Vec<f64> = items.iter().enumerate().map(read).collect::<Option<_>>()?;
    let fall = values.iter().zip(values.iter().skip(1)).find(|(a, b)| a >= b);
    if let Some((before, value)) = fall {
        reader.error(node.at, &path, format!("not rising: {value} stands behind {before}"), None);
        return None;
    }
    match values.first() {
        Some(first) if scale != Scale::Linear && *first <= 0.0 => {
            let message = format!("got {first}, want more than 0 for a logarithmic scale");
            reader.error(node.at, &path, message, None);
            None
        }
        _ => Some(Domain::Discrete { values, scale }),
    }
}

fn categorical(
    reader: &mut Reader,
    at: Position,
    path: &str,
    parts: &Parts<'_>,
    name: Option<&str>,
) -> Option<Domain> {
    let path = format!("{path}.categoricalValues");
    let (node, items) = items(reader, at, &path, parts.categories)?;
    let mut values: Vec<Arc<str>> = Vec::new();
    for (i, item) in items.iter().enumerate() {
        let value = reader.text(item, &format!("{path}[{i}]"))?;
        if values.iter().any(|other| **other == *value) {
            reader.error(node.at, &path, format!("`{value}` stands there twice"), None);
            return None;
        }
        // As `--NAME=VALUE`.
        let length = value.len() + name.map_or(0, str::len) + 3;
        if length > MAX_ARGUMENT_BYTES {
            let path = format!("{path}[{i}]");
            let message = format!("makes an argument of {length} bytes, and one holds {MAX_ARGUMENT_BYTES}");
            reader.error(item.at, &path, message, None);
            return None;
        }
        values.push(value.into());
    }
    Some(Domain::Categorical(values))
}

fn items<'n>(
    reader: &mut Reader,
    at: Position,
    path: &str,
    node: Option<&'n Node>,
) -> Option<(&'n Node, &'n [Node])> {
    let Some(node) = node else {
        reader.error(at, path, "missing".into(), None);
        return None;
    };
    let items = reader.list(node, path)?;
    if items.is_empty() {
        reader.error(node.at, path, "is empty".into(), None);
        return None;
    }
    Some((node, items))
}
