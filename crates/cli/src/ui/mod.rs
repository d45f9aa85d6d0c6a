//! What people and programs see: results on standard output, progress and problems on standard error.
//!
//! This is the only place of the program that prints.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "printing is what this module is for")]

mod json;
mod plain;
mod replay;
mod text;
mod tty;

use std::io::{IsTerminal, Write};
use std::sync::{Mutex, PoisonError};

use engine::Event;

use crate::args::ProgressMode;
use crate::failure::Failure;

pub(crate) use replay::replay;
pub(crate) use text::{bytes, date, printable, seconds, some, start_of, time_left};

/// How far the downloads are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Downloads {
    /// How many files are done.
    pub(crate) files_done: usize,
    /// How many there are.
    pub(crate) files: usize,
    /// How many bytes have arrived.
    pub(crate) bytes_done: u64,
    /// How many bytes there are, if anybody knows.
    pub(crate) bytes: Option<u64>,
    /// The name of one that is under way.
    pub(crate) current: String,
}

/// How many problems are shown. Each is looked up in the whole text that it is about, and nobody reads thousands.
const SHOWN_PROBLEMS: usize = 100;

/// Shows what happens while it happens.
trait Console: Send {
    /// Shows an event of the build.
    fn event(&mut self, event: &Event);
    /// Shows how far the downloads are; called often.
    fn downloads(&mut self, downloads: &Downloads);
    /// Shows a sentence.
    fn note(&mut self, text: &str);
    /// Takes away what is only shown while something happens.
    fn clear(&mut self);
}

/// Where everything is shown. Shared by all threads.
pub(crate) struct Ui {
    console: Mutex<Box<dyn Console>>,
}

impl Ui {
    /// Returns the console that `mode` asks for.
    pub(crate) fn new(mode: ProgressMode) -> Ui {
        let console: Box<dyn Console> = match mode {
            ProgressMode::Auto if std::io::stderr().is_terminal() => Box::new(tty::Tty::default()),
            ProgressMode::Tty => Box::new(tty::Tty::default()),
            ProgressMode::Auto | ProgressMode::Plain => Box::new(plain::Plain::default()),
            ProgressMode::Json => Box::new(json::Json),
        };
        Ui { console: Mutex::new(console) }
    }

    fn with<T>(&self, show: impl FnOnce(&mut dyn Console) -> T) -> T {
        show(self.console.lock().unwrap_or_else(PoisonError::into_inner).as_mut())
    }

    /// Shows an event of the build.
    pub(crate) fn event(&self, event: &Event) {
        self.with(|console| console.event(event));
    }

    /// Shows how far the downloads are.
    pub(crate) fn downloads(&self, downloads: &Downloads) {
        self.with(|console| console.downloads(downloads));
    }

    /// Shows a sentence on standard error.
    pub(crate) fn note(&self, text: &str) {
        self.with(|console| console.note(&printable(text)));
    }

    /// Takes away what is only shown while something happens.
    pub(crate) fn clear(&self) {
        self.with(|console| console.clear());
    }

    /// Prints what is wrong with a project on standard error.
    pub(crate) fn problems(&self, problems: &[recipe::Problem]) {
        self.clear();
        let styled = std::io::stderr().is_terminal();
        for problem in problems.iter().take(SHOWN_PROBLEMS) {
            eprintln!("{}\n", if styled { problem.render_styled() } else { problem.render_plain() });
        }
        match problems.len().saturating_sub(SHOWN_PROBLEMS) {
            0 => {}
            n_more => eprintln!("and {n_more} more\n"),
        }
    }

    /// Prints a report of several lines on standard error.
    pub(crate) fn report(&self, text: &str) {
        self.clear();
        eprint!("{}", printable(text));
    }

    /// Prints a failure with its causes and its help on standard error.
    pub(crate) fn failure(&self, failure: &Failure) {
        self.clear();
        let Some(error) = &failure.error else { return };
        // It says itself that it is an error, where, and what helps.
        if let Some(problem) = error.downcast_ref() {
            return self.problems(std::slice::from_ref(problem));
        }
        let mut text = format!("error: {error}\n");
        let mut cause = error.source();
        while let Some(error) = cause {
            text.push_str(&format!("  caused by: {error}\n"));
            cause = error.source();
        }
        if let Some(help) = &failure.help {
            for (line_idx, line) in help.lines().enumerate() {
                text.push_str(if line_idx == 0 { "  help: " } else { "        " });
                text.push_str(line);
                text.push('\n');
            }
        }
        eprint!("{}", printable(&text));
    }

    /// Prints a result on standard output. A reader that has gone away is not an error.
    pub(crate) fn print(&self, text: &str) {
        self.clear();
        let mut stdout = std::io::stdout().lock();
        let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    }

    /// Prints a result as a line of JSON on standard output.
    pub(crate) fn print_json(&self, value: &serde_json::Value) {
        self.print(&format!("{value}\n"));
    }
}
