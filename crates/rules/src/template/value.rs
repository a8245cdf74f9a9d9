//! Values of templates, and how Go prints them.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use daybook_promql::Element;

use super::numbers;

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Nil,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    /// Milliseconds since 1970.
    Time(i64),
    /// Nanoseconds.
    Duration(i64),
    /// Texts by name; one that is not there is empty.
    Texts(BTreeMap<String, String>),
    /// Values by name; one that is not there is nothing.
    Map(BTreeMap<String, Value>),
    List(Vec<Value>),
    /// Named fields; there are no others.
    Struct(Vec<(&'static str, Value)>),
}

impl Value {
    /// A series of a query's answer.
    pub(super) fn of_element(element: &Element) -> Self {
        let value = element.value.float().unwrap_or(0.0);
        Self::Struct(vec![("Labels", Self::of_labels(&element.labels)), ("Value", Self::Float(value))])
    }

    /// What Go calls its type, for messages.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Nil => "nil",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Float(_) => "float64",
            Self::Text(_) => "string",
            Self::Time(_) => "time.Time",
            Self::Duration(_) => "time.Duration",
            Self::Texts(_) => "map[string]string",
            Self::Map(_) => "map[string]interface {}",
            Self::List(_) => "list",
            Self::Struct(_) => "struct",
        }
    }

    pub(super) fn is_true(&self) -> bool {
        match self {
            Self::Nil => false,
            Self::Bool(value) => *value,
            Self::Int(value) | Self::Duration(value) => *value != 0,
            Self::Float(value) => *value != 0.0,
            Self::Text(text) => !text.is_empty(),
            Self::Texts(map) => !map.is_empty(),
            Self::Map(map) => !map.is_empty(),
            Self::List(items) => !items.is_empty(),
            Self::Time(_) | Self::Struct(_) => true,
        }
    }

    pub(super) fn field(&self, name: &str) -> Result<Self, String> {
        match self {
            Self::Texts(map) => Ok(Self::Text(map.get(name).cloned().unwrap_or_default())),
            Self::Map(map) => Ok(map.get(name).cloned().unwrap_or(Self::Nil)),
            Self::Struct(fields) => {
                let field = fields.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone());
                field.ok_or_else(|| format!("can't evaluate field {name}"))
            }
            Self::Nil => Err(format!("nil pointer evaluating interface {{}}.{name}")),
            other => Err(format!("can't evaluate field {name} in type {}", other.kind())),
        }
    }

    /// The item of a list or a mapping.
    pub(super) fn item(&self, key: &Self) -> Result<Self, String> {
        match (self, key) {
            (Self::List(items), Self::Int(at)) => {
                let item = usize::try_from(*at).ok().and_then(|at| items.get(at));
                item.cloned().ok_or_else(|| format!("index out of range: {at}"))
            }
            (Self::Texts(_) | Self::Map(_), Self::Text(name)) => self.field(name),
            (Self::Text(text), Self::Int(at)) => {
                let byte = usize::try_from(*at).ok().and_then(|at| text.as_bytes().get(at));
                byte.map(|byte| Self::Int((*byte).into())).ok_or_else(|| format!("index out of range: {at}"))
            }
            (Self::Nil, _) => Err("index of untyped nil".to_owned()),
            (of, key) => Err(format!("cannot index {} with {}", of.kind(), key.kind())),
        }
    }

    /// About how many bytes it takes.
    pub(super) fn weight(&self) -> usize {
        const EACH: usize = 16;
        EACH + match self {
            Self::Text(text) => text.len(),
            Self::Texts(map) => map.iter().map(|(name, text)| EACH + name.len() + text.len()).sum(),
            Self::Map(map) => map.iter().map(|(name, value)| name.len() + value.weight()).sum(),
            Self::List(items) => items.iter().map(Self::weight).sum(),
            Self::Struct(fields) => fields.iter().map(|(_, value)| value.weight()).sum(),
            _ => 0,
        }
    }

    /// A number, where a function wants one.
    pub(super) fn number(&self) -> Result<f64, String> {
        match self {
            Self::Float(value) => Ok(*value),
            Self::Int(value) => Ok(*value as f64),
            Self::Duration(nanoseconds) => Ok(*nanoseconds as f64 / 1e9),
            Self::Text(text) => {
                let known = match text.trim_start_matches('+').to_ascii_lowercase().as_str() {
                    "inf" | "infinity" => Some(f64::INFINITY),
                    "-inf" | "-infinity" => Some(f64::NEG_INFINITY),
                    other => other.parse().ok(),
                };
                known.ok_or_else(|| format!("strconv.ParseFloat: parsing {text:?}: invalid syntax"))
            }
            other => Err(format!("can't convert {} to float", other.kind())),
        }
    }

    /// A text, where a function wants one.
    pub(super) fn text(&self) -> Result<&str, String> {
        match self {
            Self::Text(text) => Ok(text),
            other => Err(format!("wrong type for value; expected string; got {}", other.kind())),
        }
    }

    /// Compares as Go's templates do: only what is of one kind.
    pub(super) fn compare(&self, other: &Self) -> Result<Option<Ordering>, String> {
        match (self, other) {
            (Self::Bool(a), Self::Bool(b)) => Ok(Some(a.cmp(b))),
            (Self::Int(a), Self::Int(b)) | (Self::Duration(a), Self::Duration(b)) => Ok(Some(a.cmp(b))),
            (Self::Float(a), Self::Float(b)) => Ok(a.partial_cmp(b)),
            (Self::Text(a), Self::Text(b)) => Ok(Some(a.cmp(b))),
            (Self::Nil, Self::Nil) => Ok(Some(Ordering::Equal)),
            _ => Err("incompatible types for comparison".to_owned()),
        }
    }

    /// As Go's `%v` prints it.
    pub(super) fn print(&self) -> String {
        let list = |items: Vec<String>| items.join(" ");
        match self {
            Self::Nil => "<no value>".to_owned(),
            Self::Bool(value) => value.to_string(),
            Self::Int(value) => value.to_string(),
            Self::Float(value) => numbers::shortest(*value),
            Self::Text(text) => text.clone(),
            Self::Time(at) => numbers::time(*at),
            Self::Duration(nanoseconds) => numbers::duration(*nanoseconds),
            Self::Texts(map) => {
                format!("map[{}]", list(map.iter().map(|(name, text)| format!("{name}:{text}")).collect()))
            }
            Self::Map(map) => {
                format!("map[{}]", list(map.iter().map(|(name, value)| format!("{name}:{}", value.print())).collect()))
            }
            Self::List(items) => format!("[{}]", list(items.iter().map(Self::print).collect())),
            Self::Struct(fields) => format!("{{{}}}", list(fields.iter().map(|(_, value)| value.print()).collect())),
        }
    }
}
