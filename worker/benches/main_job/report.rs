//! A row of the table.

use std::fmt;

use super::scenario::{Figure, Scenario};

/// What a scenario's runs came to.
pub(crate) struct Report {
    scenario: &'static Scenario,
    /// The best first.
    figures: Vec<f64>,
}

impl Report {
    pub(crate) const HEAD: &'static str = concat!(
        "scenario                                                              best",
        "       median        ideal  ratio       target  verdict"
    );

    pub(crate) fn new(scenario: &'static Scenario, mut figures: Vec<f64>) -> Self {
        figures.sort_by(f64::total_cmp);
        if scenario.figure.is_better_when_large() {
            figures.reverse();
        }
        Self { scenario, figures }
    }

    fn median(&self) -> Option<f64> {
        self.figures.get(self.figures.len() / 2).copied()
    }

    fn verdict(&self) -> &'static str {
        match (self.median(), self.scenario.target) {
            (Some(median), Some(target)) => {
                let is_met = match self.scenario.figure.is_better_when_large() {
                    true => median > target,
                    false => median < target,
                };
                if is_met { "met" } else { "MISSED" }
            }
            _ => "–",
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Scenario { name, about, figure, ideal, target, .. } = self.scenario;
        let shown =
            |value: Option<f64>| value.map_or_else(|| "–".to_owned(), |value| figure.shown(value));
        let ratio =
            self.median().zip(*ideal).map(|(median, ideal)| format!("{:.2}", median / ideal));
        write!(f, "{name:<10} {about:<51} {:>12}", shown(self.figures.first().copied()))?;
        write!(f, " {:>12} {:>12}", shown(self.median()), shown(*ideal))?;
        let ratio = ratio.unwrap_or_else(|| "–".to_owned());
        write!(f, " {ratio:>6} {:>12}  {}", shown(*target), self.verdict())
    }
}

impl Figure {
    fn is_better_when_large(self) -> bool {
        matches!(self, Self::JobsPerSecond)
    }

    fn shown(self, value: f64) -> String {
        match self {
            Self::WallSeconds => format!("{value:.3} s"),
            Self::JobsPerSecond => format!("{value:.0} jobs/s"),
            Self::PeakMiB => format!("{value:.1} MiB"),
            Self::CpuMicrosPerJob => format!("{value:.0} µs"),
        }
    }
}
