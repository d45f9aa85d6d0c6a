//! Finds out why a symbol is not what was asked for.

use strsim::osa_distance;

use crate::evaluate::{Evaluation, parse_number};
use crate::expression::{Expression, Operand};
use crate::model::{Definition, Kconfig, Range, Setter, Symbol, Type};
use crate::reason::{DefaultReason, Reason, Unmet, Verdict};
use crate::values::{Tristate, Values, unquote};

/// How many parts that do not hold are told, and symbols of one.
const MAX_LISTED: usize = 16;
/// How far causes of causes are followed. This also ends dependencies that go round in circles.
const MAX_DEPTH: usize = 2;

impl Kconfig {
    /// Says whether `symbol` has the value `wanted`, and if not, why.
    ///
    /// `symbol` may begin with `CONFIG_`, and strings may have quotes. `values` are those of a finished
    /// `.config`: what it does not say is `n`, and nothing here tells what it would come to.
    pub fn explain(&self, values: &Values, symbol: &str, wanted: &str) -> Verdict {
        let name = symbol.strip_prefix("CONFIG_").unwrap_or(symbol);
        let Some(symbol) = self.symbol(name) else {
            return Verdict::UnknownSymbol { suggestions: self.suggestions(name) };
        };
        let evaluation = Evaluation { kconfig: self, values };
        match evaluation.difference(symbol, &unquote(wanted)) {
            None => Verdict::Holds,
            Some((reason, definition)) => Verdict::Differs { reason, at: definition.at.clone() },
        }
    }

    fn suggestions(&self, wrong: &str) -> Vec<String> {
        let wrong = wrong.to_uppercase();
        let allowed = wrong.chars().count().div_ceil(3).min(4);
        // The distance is never less than the difference of the lengths, and that is quickly told.
        let near = self.symbols.keys().filter(|name| name.len().abs_diff(wrong.len()) <= allowed);
        let near = near.map(|name| (osa_distance(&wrong, &name.to_uppercase()), name));
        let mut near: Vec<(usize, &String)> = near.filter(|(distance, _)| *distance <= allowed).collect();
        near.sort_unstable();
        near.into_iter().take(3).map(|(_, name)| name.clone()).collect()
    }
}

/// A reason, and the definition that it was found at.
type Explained<'a> = (Reason, &'a Definition);

impl<'a> Evaluation<'a> {
    /// Returns why `symbol` is not `wanted`; `None` if it is.
    fn difference(&self, symbol: &'a Symbol, wanted: &str) -> Option<Explained<'a>> {
        let wrong_type = || {
            let definition = symbol.definitions.first()?;
            Some((Reason::Type { kind: symbol.kind, wanted: wanted.to_owned() }, definition))
        };
        match symbol.kind {
            None => wrong_type(),
            Some(kind @ (Type::Bool | Type::Tristate)) => {
                let Some(wanted) = Tristate::parse(wanted) else { return wrong_type() };
                let value = self.values.tristate(&symbol.name);
                match wanted {
                    _ if value == wanted => None,
                    Tristate::Module if kind == Type::Bool => wrong_type(),
                    Tristate::Module if !self.has_modules() => {
                        let reason = Reason::NeedsModules { modules: self.kconfig.modules.clone() };
                        Some((reason, symbol.definitions.first()?))
                    }
                    _ if wanted > value => self.too_little(symbol, wanted, 0),
                    _ => self.too_much(symbol, value, wanted),
                }
            }
            Some(Type::String) => {
                let found = self.values.get(&symbol.name).map(unquote);
                if found.as_deref() == Some(wanted) {
                    None
                } else {
                    self.not_this(symbol, Type::String, wanted)
                }
            }
            Some(kind @ (Type::Int | Type::Hex)) => {
                let found = self.values.get(&symbol.name).and_then(|found| parse_number(kind, found));
                match parse_number(kind, wanted) {
                    None => wrong_type(),
                    wanted_number if wanted_number == found => None,
                    Some(_) => self.not_this(symbol, kind, wanted),
                }
            }
        }
    }

    /// Returns why a symbol is less than `wanted`.
    fn too_little(&self, symbol: &'a Symbol, wanted: Tristate, depth: usize) -> Option<Explained<'a>> {
        // A bool is `y` if what it depends on is `m`, and so is a tristate without modules.
        let is_tristate = symbol.kind == Some(Type::Tristate) && self.has_modules();
        let needed = if is_tristate { wanted } else { Tristate::Module };
        let best = self.best_definition(symbol, needed, depth)?;
        let other = self.kconfig.choice_of(symbol).and_then(|choice| {
            let mut others = choice.members.iter().filter(|member| **member != symbol.name);
            others.find(|member| self.values.tristate(member) == Tristate::Yes)
        });
        let reason = match (best.obstacle(), other) {
            (Obstacle::Depends(unmet), _) => Reason::Depends(unmet),
            _ if symbol.is_transitional => Reason::Transitional,
            (Obstacle::Prompt(prompt), _) => Reason::NotAskable {
                prompt,
                default: self.default_reason(symbol, needed, depth),
                setters: self.setters(symbol, |_| true),
            },
            (Obstacle::None | Obstacle::Unknown(_), Some(member)) => {
                Reason::OtherChosen { member: member.clone() }
            }
            (Obstacle::Unknown(suspects), None) => Reason::Depends(suspects),
            (Obstacle::None, None) => {
                Reason::Free { value: Some(self.values.tristate(&symbol.name).to_string()) }
            }
        };
        Some((reason, best.definition))
    }

    /// Returns why a symbol is `value`, which is more than `wanted`.
    fn too_much(&self, symbol: &'a Symbol, value: Tristate, wanted: Tristate) -> Option<Explained<'a>> {
        let best = self.best_definition(symbol, Tristate::Module, MAX_DEPTH)?;
        let forcing = |setter: &Setter| self.sets(setter).is_some_and(|sets| sets > wanted);
        if let Some(by) = self.setters(symbol, forcing)
            && !by.some_imply
        {
            return Some((Reason::Forced { to: value, by }, best.definition));
        }
        let reason = match (best.obstacle(), self.kconfig.choice_of(symbol)) {
            (Obstacle::Prompt(prompt), _) => Reason::NotAskable {
                prompt,
                default: self.applying_default(symbol).map(|value| DefaultReason::Is(value.to_string())),
                setters: self.setters(symbol, forcing),
            },
            (_, Some(choice)) if !choice.is_optional && value == Tristate::Yes => {
                let others = choice.members.iter().filter(|member| **member != symbol.name);
                let others = others.filter(|member| self.can_be_asked_for(member));
                Reason::Chosen { others: others.cloned().collect() }
            }
            _ => Reason::Free { value: Some(value.to_string()) },
        };
        Some((reason, best.definition))
    }

    /// Returns why a string or number is not `wanted`.
    fn not_this(&self, symbol: &'a Symbol, kind: Type, wanted: &str) -> Option<Explained<'a>> {
        let best = self.best_definition(symbol, Tristate::Module, 0)?;
        let outside = |range: &Range| {
            let [wanted, low, high] =
                [Some(wanted.to_owned()), self.text(&range.low), self.text(&range.high)]
                    .map(|text| parse_number(kind, &text?));
            low.is_some_and(|low| wanted < Some(low)) || high.is_some_and(|high| wanted > Some(high))
        };
        let ranges = symbol.definitions.iter().flat_map(|definition| &definition.ranges);
        let holds = |condition: Option<&Expression>| self.condition(condition) > Some(Tristate::No);
        let range = ranges.filter(|range| holds(range.condition.as_ref())).map(|range| &range.value).next();
        let reason = match (best.obstacle(), range) {
            (Obstacle::Depends(unmet), _) => Reason::Depends(unmet),
            (Obstacle::Prompt(prompt), _) => Reason::NotAskable {
                prompt,
                default: self.applying_default(symbol).map(|value| DefaultReason::Is(value.to_string())),
                setters: None,
            },
            (_, Some(range)) if outside(range) => Reason::Range {
                wanted: wanted.to_owned(),
                low: range.low.to_string(),
                high: range.high.to_string(),
            },
            (Obstacle::Unknown(suspects), _) => Reason::Depends(suspects),
            (Obstacle::None, _) => Reason::Free { value: self.values.get(&symbol.name).map(str::to_owned) },
        };
        Some((reason, best.definition))
    }

    /// Returns the definition that lacks least to be asked for.
    fn best_definition(&self, symbol: &'a Symbol, needed: Tristate, depth: usize) -> Option<Candidate<'a>> {
        let lacking = |definition, depth| self.unmet(self.kconfig.dependencies(definition), needed, depth);
        let candidates = symbol.definitions.iter().map(|definition| Candidate {
            definition,
            depends: lacking(definition, MAX_DEPTH),
            hidden: self.unmet(self.kconfig.visibility(definition), needed, MAX_DEPTH),
        });
        let n_known = |unmet: &[Unmet]| unmet.iter().filter(|unmet| unmet.unknown.is_none()).count();
        let best = candidates.min_by_key(|candidate| {
            (candidate.definition.prompt.is_none(), n_known(&candidate.depends), n_known(&candidate.hidden))
        })?;
        // Causes are looked for in the best one only: what it depends on may have as many definitions again.
        Some(Candidate { depends: lacking(best.definition, depth), ..best })
    }

    /// Returns the parts of expressions that are not as much as `needed`, or not known to be.
    pub(crate) fn unmet<'b>(
        &self,
        expressions: impl Iterator<Item = &'b Expression>,
        needed: Tristate,
        depth: usize,
    ) -> Vec<Unmet> {
        let mut found: Vec<Unmet> = Vec::new();
        for part in expressions.flat_map(Expression::conjuncts) {
            if found.len() == MAX_LISTED {
                break;
            }
            let value = self.expression(part);
            let is_met = value.is_some_and(|value| value >= needed);
            if !is_met && found.iter().all(|unmet| unmet.expression != *part) {
                found.push(self.unmet_part(part, value, needed));
            }
        }
        let mut known = found.iter_mut().filter(|unmet| unmet.unknown.is_none());
        // Of several, each would have to be set first; the reader asks for those again.
        if let (Some(only), None, true) = (known.next(), known.next(), depth < MAX_DEPTH)
            && let Expression::Operand(Operand::Symbol(name)) = &only.expression
            && let Some(symbol) = self.kconfig.symbol(name)
            && matches!(symbol.kind, Some(Type::Bool | Type::Tristate))
            && let Some((reason, _)) = self.too_little(symbol, needed, depth + 1)
            && !matches!(reason, Reason::Free { .. })
        {
            only.cause = Some(Box::new(reason));
        }
        found
    }

    fn unmet_part(&self, part: &Expression, value: Option<Tristate>, needed: Tristate) -> Unmet {
        let mut symbols: Vec<(String, Option<String>)> = Vec::new();
        let mut unknown = None;
        for operand in self.failing(part, needed).into_iter().take(MAX_LISTED) {
            match operand {
                Operand::Symbol(name) if symbols.iter().all(|(known, _)| known != name) => {
                    let is_defined = self.kconfig.symbol(name).is_some();
                    // A number is a word that nothing defines, and needs no saying that it is not.
                    if is_defined || name.bytes().any(|byte| byte.is_ascii_uppercase()) {
                        let value = self.text(operand).filter(|_| is_defined);
                        symbols.push((name.clone(), value));
                    }
                }
                Operand::Unknown(written) => unknown = unknown.or(Some(written.clone())),
                Operand::Symbol(_) | Operand::Constant(_) => {}
            }
        }
        let unknown = unknown.filter(|_| value.is_none());
        Unmet { expression: part.clone(), needed, symbols, unknown, cause: None }
    }

    /// Returns the operands of those parts of an expression that are not as much as `needed`.
    fn failing<'b>(&self, expression: &'b Expression, needed: Tristate) -> Vec<&'b Operand> {
        match expression {
            Expression::And(parts) | Expression::Or(parts) => {
                let is_met = |part: &Expression| self.expression(part).is_some_and(|value| value >= needed);
                let failing = parts.iter().filter(|part| !is_met(part));
                failing.flat_map(|part| self.failing(part, needed)).collect()
            }
            other => other.operands(),
        }
    }
}

/// A definition, and what it lacks.
struct Candidate<'a> {
    definition: &'a Definition,
    depends: Vec<Unmet>,
    /// What its prompt needs besides.
    hidden: Vec<Unmet>,
}

/// What prevents that a symbol is asked for.
enum Obstacle {
    None,
    Depends(Vec<Unmet>),
    /// There is no prompt, or not now.
    Prompt(Option<Vec<Unmet>>),
    /// Perhaps this does, but only a command can tell.
    Unknown(Vec<Unmet>),
}

impl Candidate<'_> {
    fn obstacle(&self) -> Obstacle {
        let known = |all: &[Unmet]| -> Vec<Unmet> {
            all.iter().filter(|unmet| unmet.unknown.is_none()).cloned().collect()
        };
        let (depends, hidden) = (known(&self.depends), known(&self.hidden));
        let suspects = || [&self.depends[..], &self.hidden[..]].concat();
        match self.definition.prompt {
            _ if !depends.is_empty() => Obstacle::Depends(depends),
            None => Obstacle::Prompt(None),
            Some(_) if !hidden.is_empty() => Obstacle::Prompt(Some(hidden)),
            Some(_) if suspects().is_empty() => Obstacle::None,
            Some(_) => Obstacle::Unknown(suspects()),
        }
    }
}
