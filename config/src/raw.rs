//! A value as it was written, before its option says what it means: one type for TOML, environment, flags, and what an origin delivers.

use serde_json::Value;
use toml::de::DeValue;

/// A written value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Raw {
    /// A TOML string, or the whole text of a variable or flag.
    Text(String),
    /// A TOML integer.
    Integer(i64),
    /// A TOML boolean.
    Truth(bool),
    /// A TOML array.
    List(Vec<Raw>),
    /// A TOML table, in the order of its keys.
    Table(Vec<(String, Raw)>),
    /// What no option takes: the name of its TOML type.
    Other(&'static str),
}

impl Raw {
    /// From a TOML value. An integer that does not fit 64 bits is of no type that an option takes.
    pub(crate) fn from_toml(value: &DeValue<'_>) -> Self {
        match value {
            DeValue::String(text) => Self::Text(text.to_string()),
            DeValue::Integer(integer) => i64::from_str_radix(integer.as_str(), integer.radix())
                .map_or(Self::Other("integer of more than 64 bits"), Self::Integer),
            DeValue::Boolean(truth) => Self::Truth(*truth),
            DeValue::Array(items) => Self::List(items.iter().map(|item| Self::from_toml(item.get_ref())).collect()),
            DeValue::Table(table) => {
                let entries =
                    table.iter().map(|(key, value)| (key.get_ref().to_string(), Self::from_toml(value.get_ref())));
                Self::Table(entries.collect())
            }
            other => Self::Other(other.type_str()),
        }
    }

    /// From a value that was delivered as JSON. A number that is no integer is of no type that an option takes.
    pub(crate) fn from_json(value: &Value) -> Self {
        match value {
            Value::String(text) => Self::Text(text.clone()),
            Value::Number(number) => number.as_i64().map_or(Self::Other("float"), Self::Integer),
            Value::Bool(truth) => Self::Truth(*truth),
            Value::Array(items) => Self::List(items.iter().map(Self::from_json).collect()),
            Value::Object(entries) => {
                Self::Table(entries.iter().map(|(key, value)| (key.clone(), Self::from_json(value))).collect())
            }
            Value::Null => Self::Other("null"),
        }
    }

    /// To deliver it; `None` where an option takes no such value.
    pub(crate) fn to_json(&self) -> Option<Value> {
        Some(match self {
            Self::Text(text) => Value::from(text.as_str()),
            Self::Integer(number) => Value::from(*number),
            Self::Truth(truth) => Value::from(*truth),
            Self::List(items) => Value::Array(items.iter().map(Self::to_json).collect::<Option<_>>()?),
            Self::Table(entries) => {
                let entry = |(key, value): &(String, Self)| Some((key.clone(), value.to_json()?));
                Value::Object(entries.iter().map(entry).collect::<Option<_>>()?)
            }
            Self::Other(_) => return None,
        })
    }

    /// What it is, for a message.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Text(text) => format!("'{text}'"),
            Self::Integer(number) => number.to_string(),
            Self::Truth(_) => Self::Other("boolean").describe(),
            Self::List(_) => "a list".into(),
            Self::Table(_) => "a table".into(),
            Self::Other(kind) => format!("a value of type {kind}"),
        }
    }

    /// As text, where a number may stand for its digits.
    pub(crate) fn text(&self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text.clone()),
            Self::Integer(number) => Some(number.to_string()),
            Self::Truth(_) | Self::List(_) | Self::Table(_) | Self::Other(_) => None,
        }
    }

    /// As several texts: a list of strings, or one text with commas (as environment and flags have it).
    pub(crate) fn texts(&self) -> Option<Vec<String>> {
        match self {
            Self::Text(text) => Some(text.split(',').map(|part| part.trim().to_owned()).collect()),
            Self::List(items) => items.iter().map(Self::text).collect(),
            Self::Integer(_) | Self::Truth(_) | Self::Table(_) | Self::Other(_) => None,
        }
    }
}
