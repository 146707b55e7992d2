//! A row: one thing that the server says of itself, in INFO and, if it is a number worth watching, as a series of
//! `/metrics`.
//!
//! Everything about it stands in one place: its name in INFO, what it is, how it is shown, what the series is called,
//! and where its value comes from. INFO asks the rows of its sections; the cron asks those that have a series.

use std::borrow::Cow;
use std::fmt::{Display, Formatter};

use super::{Facts, Line};
use crate::observe::metrics::{self, Series};

/// How a row's value behaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// It only grows, until CONFIG RESETSTAT.
    Counter,
    /// It only grows, and not even CONFIG RESETSTAT makes it begin again.
    Total,
    /// A state: it is what it is, whatever is reset.
    Gauge,
    /// A maximum or mean of what happened since CONFIG RESETSTAT.
    Measure,
    /// About something that this server does not have.
    Absent,
}

/// What a row says at one moment.
#[derive(Clone, PartialEq, Debug)]
pub enum Value {
    /// A number that cannot be negative.
    Count(u64),
    /// A number.
    Integer(i64),
    /// With so many digits after the point.
    Fixed(f64, usize),
    /// The same with two digits, and a percent sign.
    Percent(f64),
    /// A number of bytes for people: `1.50M`.
    Size(u64),
    /// Whether something went well: `ok` or `err`.
    Outcome(bool),
    /// Text.
    Text(Cow<'static, str>),
    /// Nothing just now: there is no line.
    Nothing,
}

impl Value {
    /// The value as a number, if it is one.
    pub fn number(&self) -> Option<f64> {
        match *self {
            Value::Count(n) | Value::Size(n) => Some(n as f64),
            Value::Integer(n) => Some(n as f64),
            Value::Fixed(n, _) | Value::Percent(n) => Some(n),
            Value::Outcome(ok) => Some(f64::from(u8::from(ok))),
            Value::Text(_) | Value::Nothing => None,
        }
    }
}

impl Display for Value {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        match self {
            Value::Count(n) => n.fmt(f),
            Value::Integer(n) => n.fmt(f),
            Value::Fixed(n, digits) => write!(f, "{n:.digits$}"),
            Value::Percent(n) => write!(f, "{n:.2}%"),
            Value::Size(bytes) => size(*bytes, f),
            Value::Outcome(ok) => f.write_str(if *ok { "ok" } else { "err" }),
            Value::Text(text) => f.write_str(text),
            Value::Nothing => Ok(()),
        }
    }
}

/// A number of bytes for people.
fn size(bytes: u64, f: &mut Formatter<'_>) -> std::fmt::Result {
    const UNITS: [(&str, u32); 5] = [("P", 50), ("T", 40), ("G", 30), ("M", 20), ("K", 10)];
    match UNITS.iter().find(|(_, bits)| bytes >> bits > 0) {
        None => write!(f, "{bytes}B"),
        Some((unit, bits)) => write!(f, "{:.2}{unit}", bytes as f64 / (1u64 << bits) as f64),
    }
}

impl From<u64> for Value {
    fn from(n: u64) -> Value {
        Value::Count(n)
    }
}

impl From<u32> for Value {
    fn from(n: u32) -> Value {
        Value::Count(n.into())
    }
}

impl From<usize> for Value {
    fn from(n: usize) -> Value {
        Value::Count(n as u64)
    }
}

impl From<bool> for Value {
    fn from(yes: bool) -> Value {
        Value::Count(yes.into())
    }
}

impl From<i64> for Value {
    fn from(n: i64) -> Value {
        Value::Integer(n)
    }
}

impl From<&'static str> for Value {
    fn from(text: &'static str) -> Value {
        Value::Text(text.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Value {
        Value::Text(text.into())
    }
}

/// One row.
pub struct Row {
    /// The field of INFO.
    pub info: &'static str,
    /// How its value behaves.
    pub kind: Kind,
    /// Whether a field `_human` shows the same number of bytes for people.
    human: bool,
    /// The series; empty when there is none.
    series: &'static str,
    help: &'static str,
    scale: f64,
    value: fn(&Facts<'_>) -> Value,
}

const fn row(kind: Kind, info: &'static str, value: fn(&Facts<'_>) -> Value) -> Row {
    Row { info, kind, human: false, series: "", help: "", scale: 1.0, value }
}

pub(super) const fn counter(info: &'static str, value: fn(&Facts<'_>) -> Value) -> Row {
    row(Kind::Counter, info, value)
}

pub(super) const fn total(info: &'static str, value: fn(&Facts<'_>) -> Value) -> Row {
    row(Kind::Total, info, value)
}

pub(super) const fn gauge(info: &'static str, value: fn(&Facts<'_>) -> Value) -> Row {
    row(Kind::Gauge, info, value)
}

pub(super) const fn measure(info: &'static str, value: fn(&Facts<'_>) -> Value) -> Row {
    row(Kind::Measure, info, value)
}

/// About something that is not there: it says 0, and has no series until there is something behind it.
pub(super) const fn absent(info: &'static str) -> Row {
    row(Kind::Absent, info, |_| Value::Count(0))
}

impl Row {
    /// It says this instead of 0.
    pub(super) const fn says(mut self, value: fn(&Facts<'_>) -> Value) -> Row {
        self.value = value;
        self
    }

    /// It is a series, too. The names are those of the usual exporter for Redis; a new one begins with `kvstash_`.
    pub(super) const fn series(mut self, name: &'static str, help: &'static str) -> Row {
        self.series = name;
        self.help = help;
        self
    }

    /// What INFO's number is multiplied with to come to the unit of the series.
    pub(super) const fn scale(mut self, scale: f64) -> Row {
        self.scale = scale;
        self
    }

    /// It is a number of bytes, which is shown for people, too.
    pub(super) const fn human(mut self) -> Row {
        self.human = true;
        self
    }

    /// What it says now.
    pub fn value(&self, facts: &Facts<'_>) -> Value {
        (self.value)(facts)
    }

    /// The series, if it has one.
    pub fn as_series(&self) -> Option<Series> {
        let kind = match self.kind {
            Kind::Counter | Kind::Total => metrics::Kind::Counter,
            Kind::Gauge | Kind::Measure | Kind::Absent => metrics::Kind::Gauge,
        };
        let Row { info, series: name, help, scale, .. } = *self;
        (!name.is_empty()).then_some(Series { name, help, kind, info, scale })
    }

    /// The names of its lines in INFO.
    pub fn fields(&self) -> impl Iterator<Item = String> {
        [Some(self.info.to_owned()), self.human.then(|| self.human_field())].into_iter().flatten()
    }

    fn human_field(&self) -> String {
        format!("{}_human", self.info)
    }

    /// Writes its lines.
    pub(super) fn write(&self, facts: &Facts<'_>, line: Line<'_>) {
        let value = self.value(facts);
        if value == Value::Nothing {
            return;
        }
        line(self.info, &value);
        if let (Value::Count(bytes), true) = (value, self.human) {
            line(&self.human_field(), &Value::Size(bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_values_are_shown() {
        let sizes = [(0, "0B"), (1023, "1023B"), (1024, "1.00K"), (1_572_864, "1.50M"), (25_276_502_016, "23.54G")];
        for (bytes, text) in sizes {
            assert_eq!(Value::Size(bytes).to_string(), text);
        }
        let shown = [Value::Fixed(1.0 / 3.0, 6), Value::Percent(12.345), Value::Outcome(false), Value::from(true)];
        assert_eq!(shown.map(|value| value.to_string()), ["0.333333", "12.35%", "err", "1"]);
        assert_eq!(Value::from("text").number(), None);
        assert_eq!(Value::from(-1i64).number(), Some(-1.0));
    }
}
