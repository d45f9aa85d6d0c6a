//! Sources as inputs of steps.

use std::collections::BTreeMap;

use cas::Digest;
use engine::{Input, Placement, Requirements, StepId};

use super::{INPUTS, Imported, Lowering};
use crate::Problem;
use crate::lock::{LockedFile, LockedSource};
use crate::scalar::Name;

/// The steps that put sources together, each shared by all that lists a source of the same files.
pub(super) type Steps = BTreeMap<Vec<Digest>, StepId>;

impl<'a> Lowering<'a> {
    /// Returns a source as an input.
    pub(super) fn source(&mut self, name: &Name) -> Input {
        if let Some(LockedSource::Debian { debian_source, version, files, .. }) = self.locked(name.as_str()) {
            return self.debian_source(name, &format!("{} {version}", base_name(debian_source)), files);
        }
        match self.resolved.sources[name] {
            Imported::Tree(digest) => Input::Tree(digest),
            Imported::File { digest, executable } => Input::File { digest, executable },
        }
    }

    /// Returns what the source is locked to, as it is named now: it may have been something else when it was locked.
    pub(super) fn locked(&self, name: &str) -> Option<&'a LockedSource> {
        let source = self.needs.sources.get(name)?;
        self.lock.sources.get(name).filter(|locked| locked.answers(&source.value))
    }

    /// Returns the tree of a source package, which a step makes of its files.
    fn debian_source(&mut self, name: &Name, title: &str, files: &[LockedFile]) -> Input {
        let digests: Vec<Digest> = files.iter().filter_map(LockedFile::digest).collect();
        let tree = |step| Input::Output { step, path: "tree".to_owned() };
        if let Some(step) = self.source_steps.get(&digests) {
            return tree(*step);
        }
        let Some(dsc) = files.iter().find(|file| file.name().ends_with(".dsc")) else {
            let place = &self.needs.sources[name].place;
            let problem = Problem::at(place, format!("source `{name}` is locked without a .dsc"));
            self.problems.push(problem.help("run `bootwright lock --update`"));
            return Input::Tree(Digest::of(b""));
        };
        let path = format!("in/{}", dsc.name());
        let inputs = files.iter().filter_map(|file| {
            let input = Input::File { digest: file.digest()?, executable: false };
            Some(Placement { path: format!("{INPUTS}/{}", file.name()), input })
        });
        let inputs = inputs.collect();
        let label = format!("source {title}");
        let step = self.tool_step(label, &["pkgroot", "source", &path], inputs, Requirements::default());
        self.source_steps.insert(digests, step);
        tree(step)
    }
}

/// The name of a source package that may have been asked for in a certain version.
fn base_name(asked: &str) -> &str {
    asked.split('=').next().unwrap_or(asked)
}
