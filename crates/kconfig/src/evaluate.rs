//! What expressions come to, given what a `.config` says.

use crate::expression::{Comparison, Expression, Operand};
use crate::model::{Definition, Kconfig, Type};
use crate::values::{Tristate, Values, unquote};

/// A tree and what was configured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Evaluation<'a> {
    pub(crate) kconfig: &'a Kconfig,
    pub(crate) values: &'a Values,
}

impl Evaluation<'_> {
    /// Returns what an expression comes to, or `None` if only a command can tell.
    pub(crate) fn expression(&self, expression: &Expression) -> Option<Tristate> {
        match expression {
            Expression::Operand(operand) => self.tristate(operand),
            Expression::Compare(left, comparison, right) => {
                let holds = compare(&self.text(left)?, *comparison, &self.text(right)?);
                Some(if holds { Tristate::Yes } else { Tristate::No })
            }
            Expression::Not(inner) => self.expression(inner).map(|value| match value {
                Tristate::No => Tristate::Yes,
                Tristate::Module => Tristate::Module,
                Tristate::Yes => Tristate::No,
            }),
            // An unknown part does not matter where another one decides.
            Expression::And(parts) => {
                let values = parts.iter().map(|part| self.expression(part));
                values.reduce(|one, other| match (one, other) {
                    (Some(one), Some(other)) => Some(one.min(other)),
                    (Some(Tristate::No), None) | (None, Some(Tristate::No)) => Some(Tristate::No),
                    _ => None,
                })?
            }
            Expression::Or(parts) => {
                let values = parts.iter().map(|part| self.expression(part));
                values.reduce(|one, other| match (one, other) {
                    (Some(one), Some(other)) => Some(one.max(other)),
                    (Some(Tristate::Yes), None) | (None, Some(Tristate::Yes)) => Some(Tristate::Yes),
                    _ => None,
                })?
            }
        }
    }

    /// Returns what a condition comes to, which none always does to `y`.
    pub(crate) fn condition(&self, condition: Option<&Expression>) -> Option<Tristate> {
        condition.map_or(Some(Tristate::Yes), |condition| self.expression(condition))
    }

    /// Returns what all that a definition depends on comes to.
    pub(crate) fn dependencies(&self, definition: &Definition) -> Option<Tristate> {
        let mut all = Some(Tristate::Yes);
        for dependency in self.kconfig.dependencies(definition) {
            match (all, self.expression(dependency)) {
                (_, Some(Tristate::No)) => return Some(Tristate::No),
                (Some(one), Some(other)) => all = Some(one.min(other)),
                _ => all = None,
            }
        }
        all
    }

    pub(crate) fn has_modules(&self) -> bool {
        let modules = self.kconfig.modules.as_ref();
        modules.is_some_and(|modules| self.values.tristate(modules) != Tristate::No)
    }

    fn tristate(&self, operand: &Operand) -> Option<Tristate> {
        match operand {
            Operand::Unknown(_) => None,
            Operand::Constant(text) => Some(match Tristate::parse(text) {
                Some(Tristate::Module) if !self.has_modules() => Tristate::No,
                value => value.unwrap_or(Tristate::No),
            }),
            Operand::Symbol(name) => {
                let kind = self.kconfig.symbol(name).and_then(|symbol| symbol.kind);
                let is_tristate = matches!(kind, Some(Type::Bool | Type::Tristate));
                Some(if is_tristate { self.values.tristate(name) } else { Tristate::No })
            }
        }
    }

    /// Returns what is compared, strings without quotes.
    pub(crate) fn text(&self, operand: &Operand) -> Option<String> {
        match operand {
            Operand::Unknown(_) => None,
            Operand::Constant(text) => Some(text.clone()),
            Operand::Symbol(name) => {
                let Some(symbol) = self.kconfig.symbol(name) else { return Some(name.clone()) };
                let fixed = || symbol.from_environment.clone();
                let absent = || match symbol.kind {
                    Some(Type::Bool | Type::Tristate) => "n".to_owned(),
                    Some(Type::String | Type::Int | Type::Hex) | None => String::new(),
                };
                Some(self.values.get(name).map(unquote).or_else(fixed).unwrap_or_else(absent))
            }
        }
    }
}

/// Numbers, as which `n`, `m` and `y` count too, are compared as such, everything else as text.
fn compare(left: &str, comparison: Comparison, right: &str) -> bool {
    let ordering = match (number(left), number(right)) {
        (Some(left), Some(right)) => left.cmp(&right),
        _ => left.cmp(right),
    };
    match comparison {
        Comparison::Equal => ordering.is_eq(),
        Comparison::Unequal => ordering.is_ne(),
        Comparison::Less => ordering.is_lt(),
        Comparison::LessOrEqual => ordering.is_le(),
        Comparison::Greater => ordering.is_gt(),
        Comparison::GreaterOrEqual => ordering.is_ge(),
    }
}

fn number(text: &str) -> Option<i128> {
    match Tristate::parse(text) {
        Some(tristate) => Some(tristate as i128),
        None if text.starts_with("0x") || text.starts_with("0X") => parse_number(Type::Hex, text),
        None => parse_number(Type::Int, text),
    }
}

/// Returns the number that is written as a value of the type.
pub(crate) fn parse_number(kind: Type, text: &str) -> Option<i128> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    match kind {
        Type::Hex => {
            let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text);
            let is_hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
            i128::from_str_radix(digits, 16).ok().filter(|_| is_hex)
        }
        _ if digits.bytes().all(|digit| digit.is_ascii_digit()) => text.parse().ok(),
        _ => None,
    }
}
