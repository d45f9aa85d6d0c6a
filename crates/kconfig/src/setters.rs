//! What sets a symbol that nobody can ask for: its defaults, and others that select or imply it.

use std::collections::BTreeSet;

use crate::evaluate::Evaluation;
use crate::expression::{Expression, Operand};
use crate::model::{Conditional, Setter, Symbol};
use crate::reason::{DefaultReason, SetBy, Setters};
use crate::values::Tristate;

impl<'a> Evaluation<'a> {
    /// Returns the default of a symbol that cannot be asked for.
    pub(crate) fn applying_default(&self, symbol: &'a Symbol) -> Option<&'a Expression> {
        let mut defaults = self.possible_defaults(symbol);
        let applying =
            defaults.find(|default| self.condition(default.condition.as_ref()) != Some(Tristate::No));
        applying.map(|default| &default.value)
    }

    fn possible_defaults(&self, symbol: &'a Symbol) -> impl Iterator<Item = &'a Conditional<Expression>> {
        let definitions = symbol.definitions.iter();
        let possible = definitions.filter(|definition| self.dependencies(definition) != Some(Tristate::No));
        possible.flat_map(|definition| &definition.defaults)
    }

    /// Returns why the default of a symbol is not as much as `needed`.
    pub(crate) fn default_reason(
        &self,
        symbol: &'a Symbol,
        needed: Tristate,
        depth: usize,
    ) -> Option<DefaultReason> {
        let mut sufficient = Vec::new();
        for Conditional { value, condition } in self.possible_defaults(symbol) {
            let constant = match value {
                Expression::Operand(Operand::Constant(text)) => Tristate::parse(text),
                _ => None,
            };
            match (constant, condition) {
                (Some(constant), _) if constant < needed => {}
                (Some(_), Some(condition)) => sufficient.push(condition.clone()),
                (Some(_), None) | (None, None) => sufficient.push(value.clone()),
                (None, Some(condition)) => {
                    sufficient.push(Expression::and(vec![value.clone(), condition.clone()]));
                }
            }
            if self.condition(condition.as_ref()) > Some(Tristate::No) {
                break;
            }
        }
        if !sufficient.is_empty() {
            let unmet = self.unmet(std::iter::once(&Expression::or(sufficient)), needed, depth);
            if !unmet.is_empty() {
                return Some(DefaultReason::Needs(unmet));
            }
        }
        self.applying_default(symbol).map(|value| DefaultReason::Is(value.to_string()))
    }

    /// Returns what a definition makes of the symbol that it selects or implies; `None` if that is not known.
    pub(crate) fn sets(&self, setter: &Setter) -> Option<Tristate> {
        let definition = self.kconfig.symbol(&setter.symbol)?.definitions.get(setter.definition)?;
        let condition = self.condition(setter.condition.as_ref())?.min(self.dependencies(definition)?);
        Some(condition.min(self.values.tristate(&setter.symbol)))
    }

    /// Returns those that select a symbol, of which `is_wanted` holds; if there are none, those that imply it
    /// too.
    pub(crate) fn setters(&self, symbol: &Symbol, is_wanted: impl Fn(&Setter) -> bool) -> Option<Setters> {
        let find = |all: Option<&'a Vec<Setter>>| {
            let wanted = all.into_iter().flatten().filter(|setter| is_wanted(setter));
            let mut names = BTreeSet::new();
            let distinct = wanted.filter(|setter| names.insert(&setter.symbol));
            let mut found: Vec<SetBy> = distinct.map(|setter| self.set_by(setter)).collect();
            found.sort_by_cached_key(|by| !self.can_be_asked_for(&by.symbol));
            found
        };
        let selected = find(self.kconfig.selected_by.get(&symbol.name));
        if !selected.is_empty() {
            return Some(Setters { symbols: selected, some_imply: false });
        }
        let implied = find(self.kconfig.implied_by.get(&symbol.name));
        (!implied.is_empty()).then_some(Setters { symbols: implied, some_imply: true })
    }

    fn set_by(&self, setter: &Setter) -> SetBy {
        let value = self.values.tristate(&setter.symbol);
        let is_idle = value > Tristate::No && self.condition(setter.condition.as_ref()) == Some(Tristate::No);
        SetBy { symbol: setter.symbol.clone(), value, unmet: setter.condition.clone().filter(|_| is_idle) }
    }

    pub(crate) fn can_be_asked_for(&self, name: &str) -> bool {
        let mut definitions = self.kconfig.symbol(name).into_iter().flat_map(|symbol| &symbol.definitions);
        definitions.any(|definition| {
            let mut visibility = self.kconfig.visibility(definition);
            definition.prompt.is_some()
                && self.dependencies(definition) != Some(Tristate::No)
                && visibility.all(|condition| self.expression(condition) != Some(Tristate::No))
        })
    }
}
