//! What is said about a symbol, and how.

use std::fmt;

use crate::error::Location;
use crate::expression::{Expression, Operand};
use crate::model::Type;
use crate::values::Tristate;

/// Whether a symbol is what was asked for.
///
/// As text, it is a line to be put after the name of the symbol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is.
    Holds,
    /// There is none of this name.
    UnknownSymbol {
        /// Those that may have been meant, the most similar one first; at most three.
        suggestions: Vec<String>,
    },
    /// It is not.
    Differs {
        /// Why.
        reason: Reason,
        /// Where the symbol is defined, in the first of several places that was of interest.
        at: Location,
    },
}

/// Why a symbol is not what was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Its type has no such value.
    Type {
        /// The type; a symbol without one is never set.
        kind: Option<Type>,
        /// The value.
        wanted: String,
    },
    /// It cannot be `m` because there are no modules.
    NeedsModules {
        /// The symbol that says so, if the tree has any.
        modules: Option<String>,
    },
    /// What it depends on does not hold.
    Depends(Vec<Unmet>),
    /// Others make it more than was asked for.
    Forced {
        /// What they make it.
        to: Tristate,
        /// Those that select it.
        by: Setters,
    },
    /// It cannot be asked for.
    NotAskable {
        /// What its prompt depends on, if it has one.
        prompt: Option<Vec<Unmet>>,
        /// The default that it has instead.
        default: Option<DefaultReason>,
        /// Those that could set it, or do.
        setters: Option<Setters>,
    },
    /// Another member of its choice is set.
    OtherChosen {
        /// The member.
        member: String,
    },
    /// It is what its choice is set to, and one of them has to be.
    Chosen {
        /// The other members that could be set instead.
        others: Vec<String>,
    },
    /// The value is not one that it may have.
    Range {
        /// The value.
        wanted: String,
        /// The least one, as it is written.
        low: String,
        /// The greatest one, as it is written.
        high: String,
    },
    /// It is only read from old configurations.
    Transitional,
    /// Nothing prevents what was asked for.
    Free {
        /// What it is, if it is anything.
        value: Option<String>,
    },
}

/// A part of an expression that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unmet {
    /// The part.
    pub expression: Expression,
    /// What it would have to be, at least.
    pub needed: Tristate,
    /// What its symbols are; `None` for those that no file defines.
    pub symbols: Vec<(String, Option<String>)>,
    /// What of it only a command can tell, and all depends on.
    pub unknown: Option<String>,
    /// Why it is not so, where it is a symbol.
    pub cause: Option<Box<Reason>>,
}

/// What a default does about a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DefaultReason {
    /// It is this, as it is written.
    Is(String),
    /// It would be what was asked for, if not for these.
    Needs(Vec<Unmet>),
}

/// One that selects or implies a symbol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetBy {
    /// Its name.
    pub symbol: String,
    /// What it is.
    pub value: Tristate,
    /// What keeps it from doing so, although it is set: the condition, which does not hold.
    pub unmet: Option<Expression>,
}

/// Those that select or imply a symbol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setters {
    /// Those that can be set come first.
    pub symbols: Vec<SetBy>,
    /// Whether some of them do not select, but only imply it.
    pub some_imply: bool,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Verdict::Holds => f.write_str("holds"),
            Verdict::UnknownSymbol { suggestions } if suggestions.is_empty() => {
                f.write_str("is not defined by any file of the tree")
            }
            Verdict::UnknownSymbol { suggestions } => {
                write!(f, "is not defined by any file of the tree: did you mean {}?", list(suggestions, "or"))
            }
            Verdict::Differs { reason, at } => write!(f, "{reason} ({at})"),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Type { kind: Some(kind), wanted } => {
                write!(f, "is of type {kind}, which `{wanted}` is not")
            }
            Reason::Type { kind: None, .. } => f.write_str("has no type and is never set"),
            Reason::NeedsModules { modules: Some(modules) } => write!(f, "needs modules ({modules} is n)"),
            Reason::NeedsModules { modules: None } => {
                f.write_str("needs modules, which this tree does not have")
            }
            Reason::Depends(unmet) => write!(f, "depends on {}", all(unmet, ", and on ")),
            Reason::Forced { to, by } => match &by.symbols[..] {
                [SetBy { symbol, value, .. }] => {
                    write!(f, "is forced to {to} by {symbol}, which is {value} (select)")
                }
                _ => write!(f, "is forced to {to} by {} (select)", by.names()),
            },
            Reason::NotAskable { prompt: None, default: None, setters: Some(setters) } => {
                write!(f, "is only set by others: {setters}")
            }
            Reason::NotAskable { prompt, default, setters } => {
                let between = match prompt {
                    Some(unmet) => {
                        write!(f, "has a prompt only if {}", all(unmet, ", and "))?;
                        "; it has"
                    }
                    None => {
                        f.write_str("has no prompt")?;
                        " and"
                    }
                };
                match default {
                    Some(DefaultReason::Is(value)) => write!(f, "{between} the default {value}")?,
                    Some(DefaultReason::Needs(unmet)) => {
                        write!(f, "{between} a default that needs {}", all(unmet, ", and "))?;
                    }
                    None => write!(f, "{between} no default")?,
                }
                match setters {
                    Some(setters) => write!(f, "; it is {setters}"),
                    None => Ok(()),
                }
            }
            Reason::OtherChosen { member } => write!(f, "is not what its choice is set to: {member} is"),
            Reason::Chosen { others } if others.is_empty() => {
                f.write_str("is all that its choice can be set to")
            }
            Reason::Chosen { others } => {
                write!(f, "is what its choice is set to: set {} instead", list(others, "or"))
            }
            Reason::Range { wanted, low, high } => {
                write!(f, "cannot be {wanted}: its range is {low} to {high}")
            }
            Reason::Transitional => f.write_str("is transitional: it is only read from old configurations"),
            Reason::Free { value: Some(value) } => {
                write!(f, "is {value}, but nothing in the tree prevents what was asked for")
            }
            Reason::Free { value: None } => {
                f.write_str("is absent, but nothing in the tree prevents what was asked for")
            }
        }
    }
}

impl fmt::Display for Unmet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.expression)?;
        let is_symbol = |part: &Expression| matches!(part, Expression::Operand(Operand::Symbol(_)));
        match (&self.expression, &self.symbols[..], &self.unknown) {
            (Expression::Operand(_), _, Some(_)) => f.write_str(", which only a command can tell")?,
            (_, _, Some(unknown)) => write!(f, ", of which only a command can tell what {unknown} is")?,
            (Expression::Operand(Operand::Symbol(_)), [(_, Some(value))], _) => {
                write!(f, ", which is {value}")?
            }
            (Expression::Operand(Operand::Symbol(_)), _, _) => {
                f.write_str(", which no file of the tree defines")?
            }
            (Expression::Operand(_), _, _) => f.write_str(", which never holds")?,
            (Expression::Or(parts), symbols, _)
                if parts.iter().all(is_symbol) && self.needed < Tristate::Yes =>
            {
                let none = if symbols.len() == 2 { "neither" } else { "none" };
                write!(f, ", {none} of which is set")?;
            }
            (_, symbols, _) => {
                let facts = symbols.iter().map(|(name, value)| match value {
                    Some(value) => format!("{name} is {value}"),
                    None => format!("{name} is not defined"),
                });
                write!(f, ", but {}", list(&facts.collect::<Vec<_>>(), "and"))?;
            }
        }
        match (&self.cause, &self.expression) {
            (Some(cause), name) => write!(f, ": {name} {cause}"),
            (None, _) => Ok(()),
        }
    }
}

impl Setters {
    /// Returns their names, those of about four.
    fn names(&self) -> String {
        let names = self.symbols.iter().map(|by| match &by.unmet {
            Some(condition) => format!("{} if {condition}", by.symbol),
            None => by.symbol.clone(),
        });
        let mut names: Vec<String> = names.collect();
        let n_others = names.len().saturating_sub(4);
        if n_others > 1 {
            names.truncate(4);
            names.push(format!("{n_others} others"));
        }
        list(&names, "and")
    }
}

impl fmt::Display for Setters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = if self.some_imply { "selected or implied by" } else { "selected by" };
        write!(f, "{verb} {}", self.names())?;
        let set = self.symbols.iter().filter(|by| by.value > Tristate::No);
        let set: Vec<String> = set.map(|by| format!("{} is {}", by.symbol, by.value)).take(4).collect();
        match (&self.symbols[..], &set[..]) {
            ([only], _) => write!(f, ", which is {}", only.value),
            ([_, _], []) => f.write_str(", neither of which is set"),
            (_, []) => f.write_str(", none of which is set"),
            _ => write!(f, ", of which {}", list(&set, "and")),
        }
    }
}

fn all(unmet: &[Unmet], between: &str) -> String {
    unmet.iter().map(Unmet::to_string).collect::<Vec<_>>().join(between)
}

fn list(items: &[String], conjunction: &str) -> String {
    match items {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} {conjunction} {last}", first.join(", ")),
    }
}
