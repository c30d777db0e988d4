//! Which dead letters are meant, as it is typed.

use std::time::Duration;

use clap::{
    ValueEnum,
    builder::{PossibleValuesParser, TypedValueParser},
};

use crate::{
    dead_letter::{Assignment, Filter, Standing},
    error::ErrorClass,
};

/// The class of letters that a queue's redrive policy put there: they bear none.
const NO_CLASS: &str = "none";

/// Which. Flags of one name are alternatives, those of different names have all to be met; without any, all
/// letters are meant.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Which")]
pub(super) struct MeantArgs {
    /// Of this class of error; `none`: put there by the queue's redrive policy.
    #[arg(long, value_name = "CLASS", value_parser = class())]
    class: Vec<NamedClass>,

    /// Of this tool.
    #[arg(long, value_name = "NAME")]
    tool: Vec<String>,

    /// Of this tenant.
    #[arg(long, value_name = "NAME")]
    tenant: Vec<String>,

    /// Of jobs that stand so in the ledger.
    #[arg(long, value_name = "STATE", value_enum)]
    state: Vec<State>,

    /// Dead for longer than this, such as 90s, 15m, 2h or 3d.
    #[arg(long, value_name = "TIME", value_parser = time)]
    older_than: Option<Duration>,

    /// Dead for less than this.
    #[arg(long, value_name = "TIME", value_parser = time)]
    newer_than: Option<Duration>,

    /// With this field in the job, such as input.language=de; given several times, with all of them.
    #[arg(long = "match", value_name = "FIELD=VALUE")]
    fields: Vec<Assignment>,
}

#[derive(Clone, Copy, Debug)]
struct NamedClass(Option<ErrorClass>);

fn class() -> impl TypedValueParser<Value = NamedClass> {
    let names = ErrorClass::ALL.into_iter().map(ErrorClass::as_str).chain([NO_CLASS]);
    PossibleValuesParser::new(names).map(|name| NamedClass(ErrorClass::from_name(&name)))
}

#[derive(Clone, Copy, Debug)]
struct State(Standing);

impl ValueEnum for State {
    fn value_variants<'a>() -> &'a [Self] {
        const ALL: [State; Standing::ALL.len()] = {
            let mut all = [State(Standing::Failed); Standing::ALL.len()];
            let mut index = 0;
            while index < all.len() {
                all[index] = State(Standing::ALL[index]);
                index += 1;
            }
            all
        };
        &ALL
    }

    fn to_possible_value(&self) -> Option<clap::builder::PossibleValue> {
        Some(clap::builder::PossibleValue::new(self.0.as_str()))
    }
}

/// A number and its unit.
fn time(text: &str) -> Result<Duration, String> {
    let expected = || "expected a number with its unit, such as 90s, 15m, 2h or 3d".to_owned();
    let unit = text.chars().next_back().ok_or_else(expected)?;
    let seconds: u64 = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return Err(expected()),
    };
    let number: u64 = text[..text.len() - 1].parse().map_err(|_| expected())?;
    number.checked_mul(seconds).map(Duration::from_secs).ok_or_else(expected)
}

impl MeantArgs {
    pub(super) fn filter(&self) -> Filter {
        Filter {
            classes: self.class.iter().map(|class| class.0).collect(),
            tools: self.tool.clone(),
            tenants: self.tenant.clone(),
            standings: self.state.iter().map(|state| state.0).collect(),
            older_than: self.older_than,
            newer_than: self.newer_than,
            fields: self.fields.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_a_unit() {
        assert_eq!(time("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(time("2d"), Ok(Duration::from_secs(172_800)));
        for text in ["", "2", "h", "-1h", "1.5h", "2w", "2 h", "99999999999999999999d", "1ä"] {
            assert!(time(text).is_err(), "{text}");
        }
    }
}
