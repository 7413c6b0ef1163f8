//! `--fail-if`: conditions that make a run a failure, such as `loss>1%,p99>200ms,outage>5s,cuts>0`.

use std::fmt;
use std::str::FromStr;

use super::figures::{Figures, Times};

const EXAMPLE: &str = "loss>1%,p99>200ms,outage>5s,cuts>0";

/// Conditions; one met condition fails the run.
#[derive(Clone, Debug, Default)]
pub struct Conditions(Vec<Condition>);

/// A comparison of a figure with a bound.
#[derive(Clone, Debug)]
struct Condition {
    figure: &'static Figure,
    comparison: Comparison,
    /// The bound: seconds, a fraction, or a plain number, by the unit of the figure.
    bound: f64,
    /// The condition as the user wrote it.
    text: String,
}

#[derive(Clone, Copy, Debug)]
enum Comparison {
    Above,
    AtLeast,
    Below,
    AtMost,
}

/// A figure that a condition can use.
#[derive(Debug)]
struct Figure {
    name: &'static str,
    unit: Unit,
    value: fn(&Figures) -> Option<f64>,
}

/// The unit of a bound.
#[derive(Clone, Copy, Debug)]
enum Unit {
    Percent,
    Time,
    Number,
}

static FIGURES: [Figure; 11] = [
    Figure { name: "loss", unit: Unit::Percent, value: Figures::loss },
    Figure { name: "availability", unit: Unit::Percent, value: |of| Some(of.availability) },
    Figure { name: "min", unit: Unit::Time, value: |of| time(of, |times| times.min) },
    Figure { name: "avg", unit: Unit::Time, value: |of| time(of, |times| times.avg) },
    Figure { name: "p50", unit: Unit::Time, value: |of| time(of, |times| times.p50) },
    Figure { name: "p90", unit: Unit::Time, value: |of| time(of, |times| times.p90) },
    Figure { name: "p99", unit: Unit::Time, value: |of| time(of, |times| times.p99) },
    Figure { name: "max", unit: Unit::Time, value: |of| time(of, |times| times.max) },
    Figure { name: "outage", unit: Unit::Time, value: |of| Some(of.outage_longest) },
    Figure { name: "outages", unit: Unit::Number, value: |of| Some(of.outages as f64) },
    Figure { name: "cuts", unit: Unit::Number, value: |of| Some(of.cuts as f64) },
];

fn time(figures: &Figures, value: fn(&Times) -> f64) -> Option<f64> {
    figures.times.as_ref().map(value)
}

impl Conditions {
    /// The conditions that these figures meet, as text; `None` if no condition is met.
    #[must_use]
    pub fn met(&self, figures: &Figures) -> Option<String> {
        let met: Vec<_> = self.0.iter().filter_map(|condition| condition.met(figures)).collect();
        (!met.is_empty()).then(|| met.join(", "))
    }
}

impl Condition {
    /// `loss is 20% (loss>1%)`, if the condition is met. An unknown figure, such as a round trip
    /// without replies, never meets a condition.
    fn met(&self, figures: &Figures) -> Option<String> {
        let value = (self.figure.value)(figures)?;
        let is_met = match self.comparison {
            Comparison::Above => value > self.bound,
            Comparison::AtLeast => value >= self.bound,
            Comparison::Below => value < self.bound,
            Comparison::AtMost => value <= self.bound,
        };
        let Figure { name, unit, .. } = self.figure;
        is_met.then(|| format!("{name} is {} ({})", Shown(value, *unit), self.text))
    }
}

/// A value printed with its unit.
struct Shown(f64, Unit);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(value, unit) = *self;
        match unit {
            Unit::Percent => write!(f, "{:.2}%", value * 100.0),
            Unit::Time if value < 1.0 => write!(f, "{:.2} ms", value * 1000.0),
            Unit::Time => write!(f, "{value:.2} s"),
            Unit::Number => write!(f, "{value}"),
        }
    }
}

impl FromStr for Conditions {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.split(',').map(|part| part.trim().parse()).collect::<Result<_, _>>().map(Self)
    }
}

impl FromStr for Condition {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let at = text.find(['<', '>']).ok_or_else(|| {
            format!("allowed are conditions of a name, > or <, and a bound, such as {EXAMPLE}")
        })?;
        let (name, rest) = (text[..at].trim(), &text[at..]);
        let (comparison, bound) = comparison(rest);
        let figure = FIGURES.iter().find(|figure| figure.name == name).ok_or_else(|| {
            let names: Vec<_> = FIGURES.iter().map(|figure| figure.name).collect();
            format!("{name:?} is no figure: allowed are {}", names.join(", "))
        })?;
        let bound = figure.unit.parse(bound.trim()).ok_or_else(|| {
            format!(
                "the bound of {name} is {:?}: allowed is {}",
                bound.trim(),
                figure.unit.allowed()
            )
        })?;
        Ok(Self { figure, comparison, bound, text: text.to_owned() })
    }
}

/// Splits off the comparison operator at the start of a text.
fn comparison(text: &str) -> (Comparison, &str) {
    [
        (">=", Comparison::AtLeast),
        ("<=", Comparison::AtMost),
        (">", Comparison::Above),
        ("<", Comparison::Below),
    ]
    .into_iter()
    .find_map(|(sign, comparison)| Some((comparison, text.strip_prefix(sign)?)))
    .unwrap_or((Comparison::Above, text))
}

impl Unit {
    fn parse(self, text: &str) -> Option<f64> {
        let (digits, factor) = match self {
            Self::Percent => (text.strip_suffix('%')?, 0.01),
            Self::Number => (text, 1.0),
            Self::Time => [("us", 1e-6), ("ms", 1e-3), ("s", 1.0), ("m", 60.0), ("h", 3600.0)]
                .into_iter()
                .find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, factor)))?,
        };
        let is_number = digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        digits.parse::<f64>().ok().filter(|_| is_number).map(|number| number * factor)
    }

    fn allowed(self) -> &'static str {
        match self {
            Self::Percent => "a percentage, such as 1% or 0.5%",
            Self::Time => "a time with its unit, such as 200ms, 1.5s or 2m",
            Self::Number => "a number, such as 0 or 3",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn figures() -> Figures {
        Figures {
            sent: 50,
            received: 49,
            lost: 1,
            times: Some(Times { min: 0.001, avg: 0.01, p50: 0.01, p90: 0.1, p99: 0.25, max: 3.0 }),
            outages: 2,
            cuts: 1,
            outage_longest: 6.0,
            availability: 0.95,
            ..Figures::default()
        }
    }

    fn met(text: &str) -> Option<String> {
        text.parse::<Conditions>().unwrap().met(&figures())
    }

    #[test]
    fn each_figure_can_have_a_bound() {
        for (text, expected) in [
            ("loss>1%", Some("loss is 2.00% (loss>1%)")),
            ("loss>2%", None),
            ("loss>=2%", Some("loss is 2.00% (loss>=2%)")),
            ("p99>200ms", Some("p99 is 250.00 ms (p99>200ms)")),
            ("p99 > 0.2s", Some("p99 is 250.00 ms (p99 > 0.2s)")),
            ("max>2s", Some("max is 3.00 s (max>2s)")),
            ("min>500us", Some("min is 1.00 ms (min>500us)")),
            ("outage>5s", Some("outage is 6.00 s (outage>5s)")),
            ("outage>0.1m", None),
            ("outages>1", Some("outages is 2 (outages>1)")),
            ("cuts>0", Some("cuts is 1 (cuts>0)")),
            ("cuts>1", None),
            ("availability<99.9%", Some("availability is 95.00% (availability<99.9%)")),
            ("availability<=94%", None),
            ("loss>5%, p50<20ms,cuts>0", Some("p50 is 10.00 ms (p50<20ms), cuts is 1 (cuts>0)")),
        ] {
            assert_eq!(met(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn an_unknown_round_trip_meets_no_condition() {
        let none = Figures { times: None, sent: 0, ..figures() };
        let conditions: Conditions = "p99>0ms,loss>0%".parse().unwrap();
        assert_eq!(conditions.met(&none), None);
    }

    #[test]
    fn an_error_names_the_fault_and_the_allowed_values() {
        for (text, expected) in [
            ("", "allowed are conditions of a name, > or <, and a bound, such as loss>1%,"),
            ("loss", "allowed are conditions of a name"),
            ("loss=1%", "allowed are conditions of a name"),
            ("loss>1%,", "allowed are conditions of a name"),
            ("lost>1%", "\"lost\" is no figure: allowed are loss, availability, min, avg, p50,"),
            (">1%", "\"\" is no figure: allowed are loss"),
            ("loss>1", "the bound of loss is \"1\": allowed is a percentage, such as 1% or 0.5%"),
            ("p99>200", "the bound of p99 is \"200\": allowed is a time with its unit, such as"),
            ("p99>-1ms", "the bound of p99 is \"-1ms\": allowed is a time"),
            ("p99>infs", "the bound of p99 is \"infs\": allowed is a time"),
            ("p99>>1ms", "the bound of p99 is \">1ms\": allowed is a time"),
            ("cuts>0%", "the bound of cuts is \"0%\": allowed is a number, such as 0 or 3"),
            ("cuts>", "the bound of cuts is \"\": allowed is a number"),
        ] {
            let error = text.parse::<Conditions>().unwrap_err();
            assert!(error.starts_with(expected), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in any::<String>(), rest in "[a-z0-9]{0,4}[<>=]{0,3}[0-9.a-z%€]{0,5}") {
            let _ = (text.parse::<Conditions>(), rest.parse::<Conditions>());
        }
    }
}
