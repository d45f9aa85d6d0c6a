//! Follows statements: builds the model, one line after the other.

use std::collections::BTreeMap;

use crate::error::{LoadError, Location, Problem};
use crate::expression::{self, Expression, Operand, Tokens};
use crate::model::{Choice, Conditional, Definition, Kconfig, Prompt, Range, Scope, ScopeKind, Symbol, Type};
use crate::tokens::Token;

/// How deep blocks nest.
const MAX_DEPTH: usize = 64;

/// What the lines below an entry are about.
#[derive(Debug)]
enum Entry {
    /// Nothing that has any.
    None,
    /// The last definition of this symbol.
    Symbol(String),
    /// The innermost block.
    Block,
    /// Not of interest.
    Comment,
}

/// What a statement asks of the one that reads files.
#[derive(Debug)]
pub(crate) enum Next {
    Statement,
    SkipHelp,
}

type Parsed<T = ()> = Result<T, &'static str>;

#[derive(Debug)]
pub(crate) struct Builder {
    pub(crate) kconfig: Kconfig,
    environment: BTreeMap<String, String>,
    /// The blocks that are open, by their place among the scopes.
    open: Vec<usize>,
    entry: Entry,
}

impl Builder {
    pub(crate) fn new(environment: BTreeMap<String, String>) -> Builder {
        Builder { kconfig: Kconfig::default(), environment, open: Vec::new(), entry: Entry::None }
    }

    /// Returns how many blocks are open.
    pub(crate) fn depth(&self) -> usize {
        self.open.len()
    }

    /// Says that what follows is in another file than the entry.
    pub(crate) fn end_entry(&mut self) {
        self.entry = Entry::None;
    }

    /// Fails if more than `base` blocks are open.
    pub(crate) fn end_file(&mut self, base: usize) -> Result<(), LoadError> {
        self.end_entry();
        match self.open.get(base..).and_then(|open| open.last()) {
            Some(scope_idx) => {
                let scope = &self.kconfig.scopes[*scope_idx];
                Err(block_error(&scope.at, scope.kind.word(), "is not closed in its file"))
            }
            None => Ok(()),
        }
    }

    /// Follows a statement of a file that was begun when `base` blocks were open. What is not understood is
    /// noted and skipped; only blocks have to be right, for what is in them depends on them.
    pub(crate) fn statement(
        &mut self,
        first: Token,
        rest: Tokens,
        at: &Location,
        base: usize,
    ) -> Result<Next, LoadError> {
        let Token::Word(word) = first else {
            // A macro that stands alone is there for what it does, as `$(error-if,…)` is.
            if !matches!(first, Token::Unknown(_)) {
                self.problem(at, "this is no statement");
            }
            return Ok(Next::Statement);
        };
        match word.as_str() {
            "help" | "---help---" => return Ok(Next::SkipHelp),
            "if" | "menu" | "choice" => self.begin(&word, rest, at)?,
            "endif" | "endmenu" | "endchoice" => self.end(&word, at, base)?,
            _ => {
                if let Err(text) = self.line(&word, rest, at) {
                    self.problem(at, text);
                }
            }
        }
        Ok(Next::Statement)
    }

    pub(crate) fn problem(&mut self, at: &Location, text: &str) {
        self.kconfig.problems.push(Problem { at: at.clone(), text: text.to_owned() });
    }

    fn begin(&mut self, word: &str, mut rest: Tokens, at: &Location) -> Result<(), LoadError> {
        if self.open.len() == MAX_DEPTH {
            return Err(block_error(at, word, "is nested too deep"));
        }
        let mut depends = Vec::new();
        let kind = match word {
            "if" => {
                depends.push(whole_expression(&mut rest).unwrap_or_else(|text| {
                    self.problem(at, text);
                    not_understood()
                }));
                ScopeKind::If
            }
            "menu" => ScopeKind::Menu { visible_if: Vec::new() },
            _ => ScopeKind::Choice(Choice::default()),
        };
        self.entry = match kind {
            ScopeKind::If => Entry::None,
            ScopeKind::Menu { .. } | ScopeKind::Choice(_) => Entry::Block,
        };
        let parent = self.open.last().copied();
        self.open.push(self.kconfig.scopes.len());
        self.kconfig.scopes.push(Scope { parent, at: at.clone(), depends, kind });
        Ok(())
    }

    fn end(&mut self, word: &str, at: &Location, base: usize) -> Result<(), LoadError> {
        self.entry = Entry::None;
        let innermost = self.open.get(base..).and_then(|open| open.last());
        let innermost = innermost.map(|scope_idx| self.kconfig.scopes[*scope_idx].kind.word());
        if word.strip_prefix("end") != innermost {
            return Err(block_error(at, word, "does not end the innermost block of its file"));
        }
        self.open.pop();
        Ok(())
    }

    fn line(&mut self, word: &str, mut rest: Tokens, at: &Location) -> Parsed {
        match word {
            "config" | "menuconfig" => {
                // Also when the name is missing: the lines below are not the previous symbol's.
                self.entry = Entry::Comment;
                let name = name(&mut rest)?;
                self.config(name, at);
            }
            "comment" => self.entry = Entry::Comment,
            "mainmenu" => self.entry = Entry::None,
            "depends" => {
                rest.next_if_eq(&Token::Word("on".to_owned())).ok_or("expected `on` after `depends`")?;
                let (expression, problem) = match whole_expression(&mut rest) {
                    Ok(expression) => (expression, Ok(())),
                    Err(text) => (not_understood(), Err(text)),
                };
                match &self.entry {
                    Entry::Symbol(_) => self.definition()?.depends.push(expression),
                    Entry::Block => self.block()?.depends.push(expression),
                    Entry::Comment => {}
                    Entry::None => return Err("`depends on` belongs to no entry"),
                }
                return problem;
            }
            "visible" => {
                let condition = expression::parse_condition(&mut rest)?;
                match &mut self.block()?.kind {
                    ScopeKind::Menu { visible_if } => visible_if.extend(condition),
                    _ => return Err("`visible` belongs to no menu"),
                }
            }
            _ if matches!(self.entry, Entry::Block) => self.choice_attribute(word, rest)?,
            _ if matches!(self.entry, Entry::Symbol(_)) => self.symbol_attribute(word, rest)?,
            // Those of a `config` whose line was not understood.
            _ if matches!(self.entry, Entry::Comment) => {}
            _ => return Err("this is no statement that is known, and belongs to no entry"),
        }
        Ok(())
    }

    fn config(&mut self, name: String, at: &Location) {
        let scope = self.open.last().copied();
        let symbol = self.kconfig.symbols.entry(name.clone()).or_default();
        symbol.name.clone_from(&name);
        symbol.definitions.push(Definition {
            at: at.clone(),
            prompt: None,
            defaults: Vec::new(),
            selects: Vec::new(),
            implies: Vec::new(),
            ranges: Vec::new(),
            depends: Vec::new(),
            scope,
        });
        self.entry = Entry::Symbol(name);
    }

    fn symbol(&mut self) -> Parsed<&mut Symbol> {
        let Entry::Symbol(name) = &self.entry else { return Err("this line belongs to no symbol") };
        self.kconfig.symbols.get_mut(name).ok_or("this line belongs to no symbol")
    }

    fn definition(&mut self) -> Parsed<&mut Definition> {
        self.symbol()?.definitions.last_mut().ok_or("this line belongs to no symbol")
    }

    fn block(&mut self) -> Parsed<&mut Scope> {
        let innermost = self.open.last().filter(|_| matches!(self.entry, Entry::Block));
        innermost
            .and_then(|scope_idx| self.kconfig.scopes.get_mut(*scope_idx))
            .ok_or("this line belongs to no menu or choice")
    }

    fn choice_attribute(&mut self, word: &str, mut rest: Tokens) -> Parsed {
        let ScopeKind::Choice(choice) = &mut self.block()?.kind else {
            return Err("this is nothing that a menu has");
        };
        match word {
            "bool" | "tristate" => {
                choice.kind = choice.kind.or(Type::parse(word));
                choice.prompt = optional_prompt(rest)?.or_else(|| choice.prompt.take());
            }
            "prompt" => choice.prompt = Some(prompt(&mut rest)?),
            "optional" => choice.is_optional = true,
            // Which one is set when nothing is said is no reason why another one is not.
            "default" => {}
            _ => return Err("this is nothing that a choice has"),
        }
        Ok(())
    }

    fn symbol_attribute(&mut self, word: &str, mut rest: Tokens) -> Parsed {
        match word {
            "bool" | "tristate" | "string" | "int" | "hex" => {
                let symbol = self.symbol()?;
                symbol.kind = symbol.kind.or(Type::parse(word));
                if let Some(prompt) = optional_prompt(rest)? {
                    self.definition()?.prompt = Some(prompt);
                }
            }
            "prompt" => self.definition()?.prompt = Some(prompt(&mut rest)?),
            "default" | "def_bool" | "def_tristate" => {
                let symbol = self.symbol()?;
                symbol.kind = symbol.kind.or(word.strip_prefix("def_").and_then(Type::parse));
                let value = expression::parse(&mut rest)?;
                let condition = expression::parse_condition(&mut rest)?;
                self.definition()?.defaults.push(Conditional { value, condition });
            }
            "select" | "imply" => {
                let value = name(&mut rest)?;
                let set = Conditional { value, condition: expression::parse_condition(&mut rest)? };
                let definition = self.definition()?;
                if word == "select" { &mut definition.selects } else { &mut definition.implies }.push(set);
            }
            "range" => {
                let low = expression::parse_operand(&mut rest)?;
                let value = Range { low, high: expression::parse_operand(&mut rest)? };
                let condition = expression::parse_condition(&mut rest)?;
                self.definition()?.ranges.push(Conditional { value, condition });
            }
            "modules" => self.kconfig.modules = Some(self.symbol()?.name.clone()),
            "transitional" => self.symbol()?.is_transitional = true,
            "option" => match (rest.next(), rest.nth(1)) {
                (Some(Token::Word(word)), _) if word == "modules" => {
                    self.kconfig.modules = Some(self.symbol()?.name.clone());
                }
                (Some(Token::Word(word)), Some(Token::Quoted(variable))) if word == "env" => {
                    let value = self.environment.get(&variable).cloned();
                    self.symbol()?.from_environment = value;
                }
                _ => {}
            },
            _ => return Err("this is nothing that a symbol has"),
        }
        Ok(())
    }
}

fn name(rest: &mut Tokens) -> Parsed<String> {
    match rest.next() {
        Some(Token::Word(name)) => Ok(name),
        _ => Err("expected the name of a symbol"),
    }
}

fn whole_expression(rest: &mut Tokens) -> Parsed<Expression> {
    let expression = expression::parse(rest)?;
    rest.next().map_or(Ok(expression), |_| Err("there is something after the expression"))
}

fn block_error(at: &Location, word: &str, why: &'static str) -> LoadError {
    LoadError::Block { at: at.clone(), word: word.to_owned(), why }
}

/// Returns what stands for an expression that must not become one that always holds.
fn not_understood() -> Expression {
    Expression::Operand(Operand::Unknown("an expression that is not understood".to_owned()))
}

fn prompt(rest: &mut Tokens) -> Parsed<Prompt> {
    let text = match rest.next() {
        Some(Token::Quoted(text) | Token::Unknown(text) | Token::Word(text)) => text,
        Some(Token::Sign(_)) | None => return Err("expected the text of a prompt"),
    };
    Ok(Prompt { text, condition: expression::parse_condition(rest)? })
}

fn optional_prompt(mut rest: Tokens) -> Parsed<Option<Prompt>> {
    rest.peek().is_some().then(|| prompt(&mut rest)).transpose()
}
