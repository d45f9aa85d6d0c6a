//! Recipes of COCONUT-SVSM as steps.

use std::collections::BTreeSet;
use std::sync::Arc;

use engine::{Input, StepId};

use super::{Lowering, cargo, timeout};
use crate::needs::FileIn;
use crate::scalar::Name;
use crate::xbuild::{self, Firmwares, Here, RELEASE, Recipe, Strictness, Xbuild};
use crate::{Problem, SourceFile, suggest};

impl Lowering<'_> {
    /// Adds the steps that make the images of a recipe, and returns those that leave an image each: none after a problem.
    pub(super) fn xbuild(&mut self, name: &Name, target: &Xbuild) -> Vec<StepId> {
        let tree = self.source_tree(&target.source);
        let crates = self.crates(&target.source, "Cargo.lock".to_owned());
        let recipe = self.recipe_of(target);
        let (Some(tree), Some(crates), Some(recipe)) = (tree, crates, recipe) else { return Vec::new() };

        let options = target.options();
        let mut version = None;
        let path = |path: &str| FileIn { source: (*target.source.value).clone(), path: path.to_owned() };
        if self.resolved.texts.contains_key(&path(RELEASE)) {
            let said = target.version.as_ref().map(|version| version.value.clone());
            version = Some(said.unwrap_or_else(|| self.version_of(&target.source)));
        }
        let firmware = target.firmware.as_ref().map(|firmware| self.file(firmware));
        let mut environment = (*self.environment).clone();
        environment.extend(cargo::variables(&target.environment));
        if options.build_std.is_some() {
            environment.entry("RUSTC_BOOTSTRAP".to_owned()).or_insert_with(|| "1".to_owned());
        }
        let firmwares = firmware.iter().map(|_| (0, "firmware".into()));
        let plan = xbuild::plan(&[recipe], &options, &firmwares.collect::<Firmwares>());
        for unused in &plan.unused {
            let place = target.features.iter().find(|feature| feature.value == *unused);
            let place = place.map_or(&target.recipe.place, |feature| &feature.place);
            let problem = format!("the recipe has no component `{}`", unused.component);
            let components = plan.parts.iter().map(|part| part.name.as_str());
            let help = suggest::help(&unused.component, "components", components);
            self.problems.push(Problem::at(place, problem).help(help));
        }
        let here = Here {
            tree: Input::Tree(tree),
            beside: vec![crates],
            version,
            firmwares: firmware.into_iter().map(|input| (0, input)).collect(),
            mkimg: self.resolved.tools["mkimg"],
            root: Some(self.lowered.environments[target.env.as_str()]),
            environment,
            prefix: format!("{name}/"),
            requirements: timeout(target.timeout.as_ref().map(|timeout| timeout.duration())),
        };
        let made = xbuild::lower(&plan, &here, &mut self.lowered.graph);
        for blob in made.blobs {
            self.blob(blob);
        }
        let mut files = BTreeSet::new();
        for image in &made.images {
            if !files.insert(&image.file) {
                let problem = format!("two images of the recipe are called `{}`", image.file);
                self.problems.push(Problem::at(&target.recipe.place, problem));
            }
        }
        let images = made.images.iter().map(|image| (image.file.clone(), image.step));
        self.lowered.formats.insert(name.clone(), images.collect());
        made.images.iter().map(|image| image.step).collect()
    }

    /// Returns the recipe that a target names, or reports what is wrong with it.
    fn recipe_of(&mut self, target: &Xbuild) -> Option<Recipe> {
        let path = target.recipe.as_str().to_owned();
        let file = FileIn { source: (*target.source.value).clone(), path };
        let Some(text) = self.resolved.texts.get(&file) else {
            let problem = format!("source `{}` has no `{}`", file.source, file.path);
            self.problems
                .push(Problem::at(&target.recipe.place, problem).help("recipes are mostly in `configs`"));
            return None;
        };
        let source = SourceFile { name: format!("{}/{}", file.source, file.path), text: text.clone() };
        let parsed = xbuild::parse(&Arc::new(source), Strictness::Strict);
        self.problems.extend(parsed.problems);
        let recipe = parsed.recipe?;
        if recipe.images.is_empty() {
            let problem = Problem::at(&target.recipe.place, "the recipe makes no image: its `igvm` is empty");
            self.problems.push(problem);
            return None;
        }
        let said = &recipe.firmware;
        if target.firmware.is_none() && (said.command.is_some() || said.file.is_some()) {
            let problem = "the recipe takes its firmware from a command or a file of the machine";
            self.problems.push(Problem::at(&target.recipe.place, problem).help(
                "say with `firmware` which it is: a target such as `\"ovmf\"`, or `{ file = \"OVMF.fd\" }`",
            ));
            return None;
        }
        Some(recipe)
    }
}
