//! What is wrong with a project, and how it is shown.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use crate::Place;

/// Something that the author of the project has to change.
#[derive(Clone, Debug)]
pub struct Problem {
    /// What is wrong: one line, lower case, no full stop, names in backticks.
    pub message: String,
    /// Where, unless it is not about a text (a value from the command line, a missing file).
    pub place: Option<Place>,
    /// What the place shows, where the message alone does not say it.
    pub label: Option<String>,
    /// Other places that matter, and what they show.
    pub related: Vec<(Place, String)>,
    /// What the reader can do.
    pub help: Option<String>,
}

impl Problem {
    /// Returns a problem with the text at `place`.
    pub fn at(place: &Place, message: impl Into<String>) -> Problem {
        Problem { place: Some(place.clone()), ..Problem::nowhere(message) }
    }

    /// Returns a problem that is not about a text.
    pub fn nowhere(message: impl Into<String>) -> Problem {
        Problem { message: message.into(), place: None, label: None, related: Vec::new(), help: None }
    }

    /// Says what the place shows.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Problem {
        self.label = Some(label.into());
        self
    }

    /// Adds another place that matters.
    #[must_use]
    pub fn related(mut self, place: &Place, label: impl Into<String>) -> Problem {
        self.related.push((place.clone(), label.into()));
        self
    }

    /// Says what the reader can do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Problem {
        self.help = Some(help.into());
        self
    }

    /// Returns the text for people without colours: message, `file:line:column`, excerpt, help.
    pub fn render_plain(&self) -> String {
        self.render(&Renderer::plain())
    }

    /// Returns the text for people with the colours of a terminal.
    pub fn render_styled(&self) -> String {
        self.render(&Renderer::styled())
    }

    fn render(&self, renderer: &Renderer) -> String {
        let mut group = Group::with_title(Level::ERROR.primary_title(self.message.as_str()));
        if let Some(place) = &self.place {
            let mut snippet = snippet(place)
                .annotation(AnnotationKind::Primary.span(place.span()).label(self.label.as_deref()));
            // Places in the same file share one excerpt.
            for (other, label) in
                self.related.iter().filter(|(other, _)| other.file().name == place.file().name)
            {
                snippet =
                    snippet.annotation(AnnotationKind::Context.span(other.span()).label(label.as_str()));
            }
            group = group.element(snippet);
        }
        let elsewhere = self.related.iter().filter(|(other, _)| {
            self.place.as_ref().is_none_or(|place| other.file().name != place.file().name)
        });
        for (other, label) in elsewhere {
            group = group.element(
                snippet(other).annotation(AnnotationKind::Context.span(other.span()).label(label.as_str())),
            );
        }
        if let Some(help) = &self.help {
            group = group.element(Level::HELP.message(help.as_str()));
        }
        renderer.render(&[group])
    }
}

fn snippet(place: &Place) -> Snippet<'_, annotate_snippets::Annotation<'_>> {
    Snippet::source(place.file().text.as_str()).path(place.file().name.as_str())
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render_plain())
    }
}

impl std::error::Error for Problem {}

/// Sorts the problems by where they are and drops repetitions: what two readings of one text both found.
pub(crate) fn tidy(problems: &mut Vec<Problem>) {
    let file = |problem: &Problem| problem.place.as_ref().map(|place| place.file().name.clone());
    // The order of files is that in which they were read, which the first problem of each shows.
    let mut files = BTreeMap::new();
    for problem in problems.iter() {
        let n_known = files.len();
        files.entry(file(problem)).or_insert(n_known);
    }
    let key = |problem: &Problem| {
        let place = problem.place.as_ref().map(|place| (place.span().start, place.span().end));
        (files.get(&file(problem)).copied(), place, problem.message.clone())
    };
    let mut seen = BTreeSet::new();
    problems.retain(|problem| seen.insert(key(problem)));
    problems.sort_by_cached_key(key);
}
