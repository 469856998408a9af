//! A value as it was written, before its option says what it means: one type for TOML, environment and flags.

use toml::de::DeValue;

/// A written value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Raw {
    /// A TOML string, or the whole text of a variable or flag.
    Text(String),
    /// A TOML integer.
    Integer(i64),
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
            DeValue::Array(items) => Self::List(items.iter().map(|item| Self::from_toml(item.get_ref())).collect()),
            DeValue::Table(table) => {
                let entries =
                    table.iter().map(|(key, value)| (key.get_ref().to_string(), Self::from_toml(value.get_ref())));
                Self::Table(entries.collect())
            }
            other => Self::Other(other.type_str()),
        }
    }

    /// What it is, for a message.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Text(text) => format!("'{text}'"),
            Self::Integer(number) => number.to_string(),
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
            Self::List(_) | Self::Table(_) | Self::Other(_) => None,
        }
    }

    /// As several texts: a list of strings, or one text with commas (as environment and flags have it).
    pub(crate) fn texts(&self) -> Option<Vec<String>> {
        match self {
            Self::Text(text) => Some(text.split(',').map(|part| part.trim().to_owned()).collect()),
            Self::List(items) => items.iter().map(Self::text).collect(),
            Self::Integer(_) | Self::Table(_) | Self::Other(_) => None,
        }
    }
}
