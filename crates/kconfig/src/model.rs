//! What a tree of Kconfig files defines.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::error::{Location, Problem};
use crate::expression::{Expression, Operand};

/// The type of a symbol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// `y` or `n`
    Bool,
    /// `y`, `m` or `n`
    Tristate,
    /// Text.
    String,
    /// A decimal number.
    Int,
    /// A hexadecimal number.
    Hex,
}

impl Type {
    pub(crate) fn parse(word: &str) -> Option<Type> {
        let all = [Type::Bool, Type::Tristate, Type::String, Type::Int, Type::Hex];
        all.into_iter().find(|kind| kind.to_string() == word)
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Type::Bool => "bool",
            Type::Tristate => "tristate",
            Type::String => "string",
            Type::Int => "int",
            Type::Hex => "hex",
        })
    }
}

/// A prompt: what makes a symbol one that can be asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prompt {
    /// The text.
    pub text: String,
    /// What is after `if`.
    pub condition: Option<Expression>,
}

/// Something that holds if an expression does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conditional<T> {
    /// What.
    pub value: T,
    /// What is after `if`.
    pub condition: Option<Expression>,
}

/// The values from one to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range {
    /// The least one.
    pub low: Operand,
    /// The greatest one.
    pub high: Operand,
}

/// One of the places that define a symbol.
#[derive(Clone, Debug)]
pub struct Definition {
    /// The `config` line.
    pub at: Location,
    /// Its own prompt, of several the last.
    pub prompt: Option<Prompt>,
    /// Its defaults, of which the first counts whose condition holds.
    pub defaults: Vec<Conditional<Expression>>,
    /// What it selects.
    pub selects: Vec<Conditional<String>>,
    /// What it implies.
    pub implies: Vec<Conditional<String>>,
    /// Its ranges, of which the first counts whose condition holds.
    pub ranges: Vec<Conditional<Range>>,
    /// What is after its own `depends on`.
    pub(crate) depends: Vec<Expression>,
    pub(crate) scope: Option<usize>,
}

/// A symbol.
#[derive(Clone, Debug, Default)]
pub struct Symbol {
    /// Its name, without `CONFIG_`.
    pub name: String,
    /// Its type, if it has one.
    pub kind: Option<Type>,
    /// Whether it is only read from old configurations.
    pub is_transitional: bool,
    /// The places that define it, in the order in which they are read.
    pub definitions: Vec<Definition>,
    /// What the variable has that `option env` names.
    pub(crate) from_environment: Option<String>,
}

/// An `if`, `menu` or `choice`.
#[derive(Debug)]
pub(crate) struct Scope {
    pub(crate) parent: Option<usize>,
    pub(crate) at: Location,
    pub(crate) depends: Vec<Expression>,
    pub(crate) kind: ScopeKind,
}

#[derive(Debug)]
pub(crate) enum ScopeKind {
    If,
    Menu { visible_if: Vec<Expression> },
    Choice(Choice),
}

impl ScopeKind {
    /// Returns the word that begins such a block.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            ScopeKind::If => "if",
            ScopeKind::Menu { .. } => "menu",
            ScopeKind::Choice(_) => "choice",
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Choice {
    pub(crate) kind: Option<Type>,
    pub(crate) prompt: Option<Prompt>,
    pub(crate) is_optional: bool,
    /// Those that are alternatives, in the order of their names.
    pub(crate) members: Vec<String>,
}

/// A definition that selects or implies a symbol.
#[derive(Clone, Debug)]
pub(crate) struct Setter {
    pub(crate) symbol: String,
    pub(crate) definition: usize,
    pub(crate) condition: Option<Expression>,
}

/// What a tree of Kconfig files defines.
#[derive(Debug, Default)]
pub struct Kconfig {
    pub(crate) symbols: BTreeMap<String, Symbol>,
    pub(crate) scopes: Vec<Scope>,
    pub(crate) problems: Vec<Problem>,
    /// The symbol that says whether there are modules.
    pub(crate) modules: Option<String>,
    /// Who selects a symbol.
    pub(crate) selected_by: BTreeMap<String, Vec<Setter>>,
    /// Who implies a symbol.
    pub(crate) implied_by: BTreeMap<String, Vec<Setter>>,
}

impl Kconfig {
    /// Returns a symbol by its name, without `CONFIG_`.
    pub fn symbol(&self, name: &str) -> Option<&Symbol> {
        self.symbols.get(name)
    }

    /// Returns all symbols, by name.
    pub fn symbols(&self) -> impl Iterator<Item = &Symbol> {
        self.symbols.values()
    }

    /// Returns the lines that were skipped, because they are not understood.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// Returns all that a definition depends on: what it says itself, then what the blocks around it say,
    /// from the innermost one on.
    pub fn dependencies<'a>(&'a self, definition: &'a Definition) -> impl Iterator<Item = &'a Expression> {
        let around = self.scopes_around(definition.scope).flat_map(|scope| &scope.depends);
        definition.depends.iter().chain(around)
    }

    /// Returns all that a definition's prompt depends on besides.
    pub(crate) fn visibility<'a>(
        &'a self,
        definition: &'a Definition,
    ) -> impl Iterator<Item = &'a Expression> {
        let own = definition.prompt.iter().flat_map(|prompt| &prompt.condition);
        let around = self.scopes_around(definition.scope).flat_map(|scope| match &scope.kind {
            ScopeKind::If => &[],
            ScopeKind::Menu { visible_if } => &visible_if[..],
            ScopeKind::Choice(choice) => {
                let condition = choice.prompt.as_ref().and_then(|prompt| prompt.condition.as_ref());
                condition.map(std::slice::from_ref).unwrap_or_default()
            }
        });
        own.chain(around)
    }

    /// Returns the choice that a symbol is one of the alternatives of.
    pub(crate) fn choice_of(&self, symbol: &Symbol) -> Option<&Choice> {
        symbol.definitions.iter().find_map(|definition| {
            match self.choice_scope(definition).and_then(|scope_idx| self.scopes.get(scope_idx)) {
                Some(Scope { kind: ScopeKind::Choice(choice), .. }) => {
                    Some(choice).filter(|choice| choice.members.binary_search(&symbol.name).is_ok())
                }
                _ => None,
            }
        })
    }

    /// Returns the choice that a definition is in, with nothing but `if` between.
    fn choice_scope(&self, definition: &Definition) -> Option<usize> {
        let mut innermost = definition.scope;
        while let Some(scope_idx) = innermost {
            let scope = self.scopes.get(scope_idx)?;
            match scope.kind {
                ScopeKind::If => innermost = scope.parent,
                ScopeKind::Menu { .. } => return None,
                ScopeKind::Choice(_) => return Some(scope_idx),
            }
        }
        None
    }

    fn scopes_around(&self, scope: Option<usize>) -> impl Iterator<Item = &Scope> {
        let get = |scope_idx: usize| self.scopes.get(scope_idx);
        std::iter::successors(scope.and_then(get), move |scope| scope.parent.and_then(get))
    }

    /// Completes what only the whole tree tells.
    pub(crate) fn finish(&mut self) {
        let mut inside: BTreeMap<usize, Vec<&Symbol>> = BTreeMap::new();
        for symbol in self.symbols.values() {
            for definition in symbol.definitions.iter().filter(|definition| definition.prompt.is_some()) {
                if let Some(scope_idx) = self.choice_scope(definition) {
                    inside.entry(scope_idx).or_default().push(symbol);
                }
            }
        }
        // Once for each symbol, which may be in as many choices as it has definitions.
        let needs = inside.values().flatten().map(|symbol| (&symbol.name[..], *symbol));
        let needs: BTreeMap<&str, &Symbol> = needs.collect();
        let needs = needs.into_iter().map(|(name, symbol)| (name, needs_of(symbol))).collect();
        let members = inside.iter().map(|(scope_idx, inside)| (*scope_idx, alternatives(inside, &needs)));
        let members = members.collect();
        self.finish_choices(members);
        for symbol in self.symbols.values() {
            for (definition_idx, definition) in symbol.definitions.iter().enumerate() {
                let setters = [
                    (&definition.selects, &mut self.selected_by),
                    (&definition.implies, &mut self.implied_by),
                ];
                for (set, by) in setters {
                    for Conditional { value, condition } in set {
                        by.entry(value.clone()).or_default().push(Setter {
                            symbol: symbol.name.clone(),
                            definition: definition_idx,
                            condition: condition.clone(),
                        });
                    }
                }
            }
        }
    }

    /// Gives the members of choices their type, or it the type of the first.
    fn finish_choices(&mut self, members: Vec<(usize, Vec<String>)>) {
        for (scope_idx, members) in members {
            let Some(Scope { kind: ScopeKind::Choice(choice), .. }) = self.scopes.get_mut(scope_idx) else {
                continue;
            };
            let mut kinds = members.iter().filter_map(|name| self.symbols.get(name)?.kind);
            let kind = choice.kind.or_else(|| kinds.next());
            for name in &members {
                if let Some(symbol) = self.symbols.get_mut(name) {
                    symbol.kind = symbol.kind.or(kind);
                }
            }
            choice.members = members;
        }
    }
}

/// Returns the other symbols that a symbol needs itself, in any of its definitions.
fn needs_of(symbol: &Symbol) -> BTreeSet<&str> {
    let depends = symbol.definitions.iter().flat_map(|definition| &definition.depends);
    let symbols = depends.flat_map(Expression::conjuncts).filter_map(|part| match part {
        Expression::Operand(Operand::Symbol(other)) if *other != symbol.name => Some(&other[..]),
        _ => None,
    });
    symbols.collect()
}

/// Returns those that depend on no other one, which would make them its submenu.
fn alternatives(inside: &[&Symbol], needs: &BTreeMap<&str, BTreeSet<&str>>) -> Vec<String> {
    // A symbol that the choice defines twice is in it once.
    let names: BTreeSet<&str> = inside.iter().map(|symbol| &symbol.name[..]).collect();
    let depends_on_another = |name: &str| {
        needs.get(name).is_some_and(|needs| {
            let (few, many) = if needs.len() < names.len() { (needs, &names) } else { (&names, needs) };
            few.iter().any(|other| many.contains(other))
        })
    };
    names.iter().filter(|name| !depends_on_another(name)).map(|name| (*name).to_owned()).collect()
}
