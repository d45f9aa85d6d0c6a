//! What is built by cargo or make, and what recipes of COCONUT are built from.

use std::collections::BTreeMap;

use super::Checker;
use crate::cargo::{Cargo, CargoWord, Make};
use crate::scalar::SourceRef;
use crate::stack::Source;
use crate::xbuild::Xbuild;
use crate::{Place, Problem, Spanned, Target};

impl Checker<'_> {
    pub(super) fn cargo(&mut self, target: &Spanned<Target>, cargo: &Cargo) {
        if cargo.bins.is_empty() {
            let problem = Problem::at(&target.place, "nothing is built: `bins` is empty");
            self.report(problem.help("name the programs, as in `bins = [\"svsm\"]`"));
        }
        let mut seen: BTreeMap<&CargoWord, &Place> = BTreeMap::new();
        for bin in &cargo.bins {
            if let Some(first) = seen.insert(&bin.value, &bin.place) {
                let problem = Problem::at(&bin.place, format!("program `{}` is listed twice", bin.as_str()));
                self.report(problem.related(first, "first listed here"));
            }
        }
        for feature in &cargo.features {
            if feature.is_empty() || feature.contains([',', ' ']) || feature.starts_with('-') {
                let problem = format!("`{}` is not one feature", feature.escape_debug());
                self.report(Problem::at(&feature.place, problem).help("list each by itself"));
            }
        }
        self.has_tree(&cargo.source, "crates are fetched before anything is unpacked");
        self.inputs_and_variables(&cargo.inputs, &cargo.environment);
    }

    pub(super) fn make(&mut self, target: &Spanned<Target>, make: &Make) {
        if make.files.is_empty() {
            let problem = Problem::at(&target.place, "nothing is left: `files` is empty");
            self.report(
                problem.help("name what `make` leaves, as in `files = { \"x.bin\" = \"out/x.bin\" }`"),
            );
        }
        let paths: Vec<&str> = make.files.keys().map(|path| path.as_str()).collect();
        for (path, file) in &make.files {
            let inner =
                |outer: &&str| path.as_str().strip_prefix(*outer).is_some_and(|rest| rest.starts_with('/'));
            if let Some(outer) = paths.iter().find(|outer| inner(outer)) {
                let problem = format!("`{}` and `{outer}` lie in each other", path.as_str());
                self.report(Problem::at(&file.place, problem));
            }
        }
        for goal in &make.goals {
            // What has one is a variable to `make`.
            if goal.is_empty() || goal.starts_with('-') || goal.contains('=') {
                let problem = Problem::at(&goal.place, format!("`{}` is no goal", goal.escape_debug()));
                self.report(problem.help("variables are set with `variables`"));
            }
        }
        for (name, value) in &make.variables {
            if name.is_empty() || name.starts_with('-') || name.contains(['=', ':', '#', ' ']) {
                let problem = format!("`{}` is no name of a variable", name.escape_debug());
                self.report(Problem::at(&value.place, problem));
            }
        }
        if make.lockfile.is_some() {
            self.has_tree(&make.source, "crates are fetched before anything is unpacked");
        }
        self.inputs_and_variables(&make.inputs, &make.environment);
    }

    pub(super) fn xbuild(&mut self, xbuild: &Xbuild) {
        self.has_tree(&xbuild.source, "its recipes are read before anything is unpacked");
        if let Some(firmware) = &xbuild.firmware {
            self.file(firmware, "a firmware");
        }
        self.inputs_and_variables(&BTreeMap::new(), &xbuild.environment);
    }

    fn inputs_and_variables(
        &mut self,
        inputs: &BTreeMap<crate::Name, Spanned<crate::TargetRef>>,
        environment: &BTreeMap<String, Spanned<String>>,
    ) {
        for input in inputs.values() {
            self.file_reference(input);
        }
        self.variables(environment);
    }

    /// Reports a source that only a step unpacks.
    fn has_tree(&mut self, source: &Spanned<SourceRef>, why: &str) {
        let found = self.recipe.source.get(source.as_str());
        if found.is_some_and(|found| matches!(found.value, Source::Debian(_))) {
            let problem = format!("source `{}` is a source package, and {why}", source.as_str());
            self.report(
                Problem::at(&source.place, problem).help("take the sources from git, or from an archive"),
            );
        }
    }
}
