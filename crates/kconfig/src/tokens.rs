//! Statements as tokens: lines, those that a backslash continues joined, with `$(…)` expanded.

use crate::macros::{Flavor, Macros, reference_length};

/// A word of a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    Word(String),
    Quoted(String),
    /// A word or string, as it is written, of which only a command can tell what it is.
    Unknown(String),
    Sign(&'static str),
}

#[derive(Debug)]
pub(crate) enum Statement {
    Tokens(Vec<Token>),
    Assignment { name: String, flavor: Flavor, value: String },
}

/// Those that another one begins with come first.
const SIGNS: [&str; 13] = ["||", "&&", "!=", "<=", ">=", ":=", "+=", "=", "<", ">", "!", "(", ")"];

/// The text of a file, as far as it was not read.
#[derive(Debug)]
pub(crate) struct Statements<'a> {
    rest: &'a str,
    /// The line that `rest` begins in, counted from 1.
    line: usize,
}

impl<'a> Statements<'a> {
    pub(crate) fn new(text: &'a str) -> Statements<'a> {
        Statements { rest: text, line: 1 }
    }

    /// Returns the next statement and the line that it begins in.
    pub(crate) fn next(&mut self, macros: &mut Macros) -> Option<(usize, Statement)> {
        let mut tokens = Vec::new();
        let mut line = self.line;
        while let Some(first) = self.rest.bytes().next() {
            match first {
                b'\n' => {
                    self.take(1);
                    self.line += 1;
                    if !tokens.is_empty() {
                        break;
                    }
                    line = self.line;
                }
                b'\\' if self.rest[1..].starts_with('\n') => {
                    self.take(2);
                    self.line += 1;
                }
                b'\\' if self.rest[1..].starts_with("\r\n") => {
                    self.take(3);
                    self.line += 1;
                }
                b'#' => {
                    self.rest_of_line();
                }
                b'"' | b'\'' => tokens.push(self.quoted(macros)),
                byte if is_name(byte) || byte == b'$' => tokens.extend(self.word(macros)),
                _ => match SIGNS.into_iter().find(|sign| self.rest.starts_with(sign)) {
                    Some(sign) => {
                        self.take(sign.len());
                        if let (Some(flavor), [Token::Word(name)]) = (flavor(sign), &tokens[..]) {
                            let (name, value) = (name.clone(), self.rest_of_line());
                            let value =
                                value.trim_start_matches([' ', '\t']).trim_end_matches('\r').to_owned();
                            return Some((line, Statement::Assignment { name, flavor, value }));
                        }
                        tokens.push(Token::Sign(sign));
                    }
                    // Blanks; and the kernel's parser ignores characters that it does not know.
                    None => {
                        self.take(self.rest.chars().next().map_or(1, char::len_utf8));
                    }
                },
            }
        }
        (!tokens.is_empty()).then_some((line, Statement::Tokens(tokens)))
    }

    /// Skips the text after a `help` line: as far as it is indented like its first line, or more.
    pub(crate) fn skip_help(&mut self) {
        let mut indentation = None;
        while !self.rest.is_empty() {
            let length = self.rest.find('\n').unwrap_or(self.rest.len());
            let text = &self.rest[..length];
            if !text.trim().is_empty() {
                let found = indentation_of(text);
                if found == 0 || found < *indentation.get_or_insert(found) {
                    return;
                }
            }
            self.take((length + 1).min(self.rest.len()));
            self.line += 1;
        }
    }

    fn take(&mut self, length: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(length);
        self.rest = rest;
        taken
    }

    fn rest_of_line(&mut self) -> &'a str {
        self.take(self.rest.find('\n').unwrap_or(self.rest.len()))
    }

    /// Takes the `$(…)` that the rest begins with; what does not end, ends with the line.
    fn reference(&mut self) -> &'a str {
        match reference_length(self.rest) {
            Some(length) => self.take(length),
            None => self.rest_of_line(),
        }
    }

    /// Reads a word. One that expands to nothing is none.
    fn word(&mut self, macros: &mut Macros) -> Option<Token> {
        let all = self.rest;
        loop {
            if self.rest.starts_with("$(") {
                self.reference();
            } else if self.rest.bytes().next().is_some_and(|byte| is_name(byte) || byte == b'$') {
                self.take(1);
            } else {
                break;
            }
        }
        let written = &all[..all.len() - self.rest.len()];
        match macros.expand(written) {
            Some(word) => (!word.is_empty()).then_some(Token::Word(word)),
            None => Some(Token::Unknown(written.to_owned())),
        }
    }

    /// Reads a string. One that does not end, ends with the line.
    fn quoted(&mut self, macros: &mut Macros) -> Token {
        let all = self.rest;
        let quote = self.take(1);
        let mut text = Some(String::new());
        loop {
            let plain = self.rest.find(['$', '\\', '\n', '"', '\'']).unwrap_or(self.rest.len());
            let mut piece = self.take(plain).to_owned();
            if self.rest.starts_with("$(") {
                let expanded = macros.expand(self.reference());
                text = text.zip(expanded).map(|(text, expanded)| text + &piece + &expanded);
                continue;
            }
            if self.rest.is_empty() || self.rest.starts_with('\n') {
                break text = text.map(|text| text + &piece);
            }
            let character = self.take(1);
            if character == quote {
                break text = text.map(|text| text + &piece);
            }
            if character == "\\" {
                let escaped = self.rest.chars().next().filter(|escaped| *escaped != '\n');
                piece.push_str(self.take(escaped.map_or(0, char::len_utf8)));
            } else {
                piece.push_str(character);
            }
            text = text.map(|text| text + &piece);
        }
        match text {
            Some(text) => Token::Quoted(text),
            None => Token::Unknown(all[..all.len() - self.rest.len()].to_owned()),
        }
    }
}

fn flavor(sign: &str) -> Option<Flavor> {
    match sign {
        "=" => Some(Flavor::Recursive),
        ":=" => Some(Flavor::Simple),
        "+=" => Some(Flavor::Append),
        _ => None,
    }
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}

fn indentation_of(text: &str) -> usize {
    text.bytes().take_while(|byte| matches!(byte, b' ' | b'\t')).fold(0, |column, byte| match byte {
        b'\t' => (column & !7) + 8,
        _ => column + 1,
    })
}
