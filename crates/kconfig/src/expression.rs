//! Expressions of symbols, as after `depends on` and `if`.

use std::fmt;
use std::iter::Peekable;

use crate::tokens::Token;

/// How deep parentheses and negations nest.
const MAX_DEPTH: usize = 64;

/// What an expression compares, or a symbol alone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operand {
    /// A word. One that no file defines stands for itself, as numbers do.
    Symbol(String),
    /// A string, or one of `y`, `m` and `n`.
    Constant(String),
    /// Something, as it is written, of which only a command can tell what it is.
    Unknown(String),
}

/// How two operands are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Comparison {
    /// `=`
    Equal,
    /// `!=`
    Unequal,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

/// An expression.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Expression {
    /// An operand alone.
    Operand(Operand),
    /// Two operands, compared.
    Compare(Operand, Comparison, Operand),
    /// `!`
    Not(Box<Expression>),
    /// `&&` between two or more, none of which is one of the same kind.
    And(Vec<Expression>),
    /// `||` between two or more, none of which is one of the same kind.
    Or(Vec<Expression>),
}

impl Expression {
    /// Returns the parts that all have to hold.
    pub fn conjuncts(&self) -> &[Expression] {
        match self {
            Expression::And(parts) => parts,
            other => std::slice::from_ref(other),
        }
    }

    /// Returns the operands, in the order in which they are written.
    pub fn operands(&self) -> Vec<&Operand> {
        match self {
            Expression::Operand(operand) => vec![operand],
            Expression::Compare(left, _, right) => vec![left, right],
            Expression::Not(inner) => inner.operands(),
            Expression::And(parts) | Expression::Or(parts) => {
                parts.iter().flat_map(Expression::operands).collect()
            }
        }
    }

    pub(crate) fn and(parts: Vec<Expression>) -> Expression {
        joined(parts, Expression::And, |part| match part {
            Expression::And(parts) => parts,
            other => vec![other],
        })
    }

    pub(crate) fn or(parts: Vec<Expression>) -> Expression {
        joined(parts, Expression::Or, |part| match part {
            Expression::Or(parts) => parts,
            other => vec![other],
        })
    }
}

fn joined(
    parts: Vec<Expression>,
    join: fn(Vec<Expression>) -> Expression,
    flatten: fn(Expression) -> Vec<Expression>,
) -> Expression {
    let mut flat = Vec::with_capacity(parts.len());
    for part in parts {
        flat.append(&mut flatten(part));
    }
    match flat.len() {
        1 => flat.swap_remove(0),
        _ => join(flat),
    }
}

/// The tokens of a statement that were not read.
pub(crate) type Tokens = Peekable<std::vec::IntoIter<Token>>;

/// Reads an expression, as far as there is one.
pub(crate) fn parse(tokens: &mut Tokens) -> Result<Expression, &'static str> {
    parse_or(tokens, 0)
}

/// Reads `if` and an expression, if the statement does not end before.
pub(crate) fn parse_condition(tokens: &mut Tokens) -> Result<Option<Expression>, &'static str> {
    let condition = match tokens.next() {
        None => return Ok(None),
        Some(Token::Word(word)) if word == "if" => parse(tokens)?,
        Some(_) => return Err("expected `if` or the end of the line"),
    };
    match tokens.next() {
        None => Ok(Some(condition)),
        Some(_) => Err("there is something after the expression"),
    }
}

fn parse_or(tokens: &mut Tokens, depth: usize) -> Result<Expression, &'static str> {
    let mut parts = vec![parse_and(tokens, depth)?];
    while tokens.next_if_eq(&Token::Sign("||")).is_some() {
        parts.push(parse_and(tokens, depth)?);
    }
    Ok(Expression::or(parts))
}

fn parse_and(tokens: &mut Tokens, depth: usize) -> Result<Expression, &'static str> {
    let mut parts = vec![parse_unary(tokens, depth)?];
    while tokens.next_if_eq(&Token::Sign("&&")).is_some() {
        parts.push(parse_unary(tokens, depth)?);
    }
    Ok(Expression::and(parts))
}

fn parse_unary(tokens: &mut Tokens, depth: usize) -> Result<Expression, &'static str> {
    if depth == MAX_DEPTH {
        return Err("the expression is nested too deep");
    }
    if tokens.next_if_eq(&Token::Sign("!")).is_some() {
        return Ok(Expression::Not(Box::new(parse_unary(tokens, depth + 1)?)));
    }
    if tokens.next_if_eq(&Token::Sign("(")).is_some() {
        let inner = parse_or(tokens, depth + 1)?;
        return match tokens.next() {
            Some(Token::Sign(")")) => Ok(inner),
            _ => Err("a `)` is missing in the expression"),
        };
    }
    let left = parse_operand(tokens)?;
    let comparison = match tokens.peek() {
        Some(Token::Sign("=")) => Comparison::Equal,
        Some(Token::Sign("!=")) => Comparison::Unequal,
        Some(Token::Sign("<")) => Comparison::Less,
        Some(Token::Sign("<=")) => Comparison::LessOrEqual,
        Some(Token::Sign(">")) => Comparison::Greater,
        Some(Token::Sign(">=")) => Comparison::GreaterOrEqual,
        _ => return Ok(Expression::Operand(left)),
    };
    tokens.next();
    Ok(Expression::Compare(left, comparison, parse_operand(tokens)?))
}

/// Reads a word or a string.
pub(crate) fn parse_operand(tokens: &mut Tokens) -> Result<Operand, &'static str> {
    match tokens.next() {
        Some(Token::Word(word)) if word == "if" => Err("expected a symbol or a value before `if`"),
        Some(Token::Word(word)) if matches!(word.as_str(), "y" | "m" | "n") => Ok(Operand::Constant(word)),
        Some(Token::Word(word)) => Ok(Operand::Symbol(word)),
        Some(Token::Quoted(text)) => Ok(Operand::Constant(text)),
        Some(Token::Unknown(written)) => Ok(Operand::Unknown(written)),
        Some(Token::Sign(_)) | None => Err("expected a symbol or a value"),
    }
}

impl fmt::Display for Operand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Operand::Constant(text) if !matches!(text.as_str(), "y" | "m" | "n") => write!(f, "{text:?}"),
            Operand::Symbol(text) | Operand::Constant(text) | Operand::Unknown(text) => f.write_str(text),
        }
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Comparison::Equal => "=",
            Comparison::Unequal => "!=",
            Comparison::Less => "<",
            Comparison::LessOrEqual => "<=",
            Comparison::Greater => ">",
            Comparison::GreaterOrEqual => ">=",
        })
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (parts, sign) = match self {
            Expression::Operand(operand) => return write!(f, "{operand}"),
            Expression::Compare(left, comparison, right) => return write!(f, "{left} {comparison} {right}"),
            Expression::Not(inner) => {
                return match **inner {
                    Expression::Operand(_) | Expression::Not(_) => write!(f, "!{inner}"),
                    _ => write!(f, "!({inner})"),
                };
            }
            Expression::And(parts) => (parts, " && "),
            Expression::Or(parts) => (parts, " || "),
        };
        for (part_idx, part) in parts.iter().enumerate() {
            f.write_str(if part_idx > 0 { sign } else { "" })?;
            match part {
                Expression::And(_) | Expression::Or(_) => write!(f, "({part})")?,
                _ => write!(f, "{part}")?,
            }
        }
        Ok(())
    }
}
