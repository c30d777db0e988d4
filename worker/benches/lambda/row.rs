//! A row of the table.

use std::fmt;

/// One figure, the most it may be and what it aims at.
pub(crate) struct Row {
    pub(crate) about: String,
    pub(crate) figure: f64,
    pub(crate) unit: Unit,
    pub(crate) limit: Option<f64>,
    pub(crate) aim: Option<f64>,
}

/// What a figure is counted in.
#[derive(Clone, Copy)]
pub(crate) enum Unit {
    Milliseconds,
    JobsPerSecond,
    MiB,
    Megabytes,
    Each,
    /// Of something by its ideal.
    Times,
}

impl Row {
    pub(crate) const HEAD: &'static str = concat!(
        "figure                                                          measured",
        "        limit          aim  verdict"
    );

    /// A figure that nothing is expected of.
    pub(crate) fn new(about: impl Into<String>, figure: f64, unit: Unit) -> Self {
        Self { about: about.into(), figure, unit, limit: None, aim: None }
    }

    /// What it must not be worse than.
    pub(crate) fn limit(self, limit: f64) -> Self {
        Self { limit: Some(limit), ..self }
    }

    /// What it aims at.
    pub(crate) fn aim(self, aim: f64) -> Self {
        Self { aim: Some(aim), ..self }
    }

    fn verdict(&self) -> &'static str {
        let is_met = |bound: Option<f64>| bound.is_none_or(|it| self.unit.meets(self.figure, it));
        match (self.limit, self.aim) {
            (None, None) => "",
            _ if !is_met(self.limit) => "OVER THE LIMIT",
            _ if !is_met(self.aim) => "aim missed",
            _ => "met",
        }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown =
            |bound: Option<f64>| bound.map_or_else(String::new, |bound| self.unit.shown(bound));
        let (limit, aim) = (shown(self.limit), shown(self.aim));
        let figure = self.unit.shown(self.figure);
        write!(f, "{:<58} {figure:>13} {limit:>12} {aim:>12}  {}", self.about, self.verdict())
    }
}

impl Unit {
    fn meets(self, figure: f64, bound: f64) -> bool {
        match self {
            Self::JobsPerSecond => figure >= bound,
            _ => figure <= bound,
        }
    }

    fn shown(self, value: f64) -> String {
        match self {
            Self::Milliseconds if value < 1.0 => format!("{value:.3} ms"),
            Self::Milliseconds => format!("{value:.1} ms"),
            Self::JobsPerSecond => format!("{value:.0} jobs/s"),
            Self::MiB => format!("{value:.1} MiB"),
            Self::Megabytes => format!("{value:.1} MB"),
            Self::Each => format!("{value:.3}"),
            Self::Times => format!("{value:.2} ×"),
        }
    }
}
