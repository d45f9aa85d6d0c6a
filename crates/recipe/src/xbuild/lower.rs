//! A plan as actions.
//!
//! A command that builds something sees the whole tree at `src/tree`, at whose root it starts. What reads what others
//! left does so at `in/…`. So it is the same action wherever it runs.

use std::collections::BTreeMap;
use std::sync::Arc;

use cas::Digest;
use engine::{Graph, Input, MergeId, Placement, Requirements, Step, StepId};
use mkimg::spec::{PackItFile, PackItSpec, Spec};

use super::plan::{Copy, Part, Places, Plan, Planned, Product};
use super::{Image, KERNEL_PARTS, VERSION_MODULE, version_module};

/// Where commands find the tree, relative to the input root.
pub const TREE: &str = "build/src/tree";

/// What is there already.
#[derive(Clone, Debug)]
pub struct Here {
    /// The tree.
    pub tree: Input,
    /// What is there beside it for what builds.
    pub beside: Vec<Placement>,
    /// The firmware of each recipe's guest, if it has one.
    pub firmwares: BTreeMap<usize, Input>,
    /// The tool `mkimg`.
    pub mkimg: Digest,
    /// The root of the environment in which commands run, a part of the graph; without it they run on the machine itself.
    pub root: Option<MergeId>,
    /// The name of the commit that the tree is at, where there is no repository to ask; in an environment only.
    pub version: Option<String>,
    /// The variables of every command that is not one of our tools.
    pub environment: BTreeMap<String, String>,
    /// What the labels of steps begin with.
    pub prefix: String,
    /// What each step needs of the machine.
    pub requirements: Requirements,
}

/// What a plan comes to.
#[derive(Clone, Debug, Default)]
pub struct Lowered {
    /// What has to be in the store before anything runs.
    pub blobs: Vec<Vec<u8>>,
    /// What recipes leave, by its path in the tree. Of what several leave, the last one's is there.
    pub files: BTreeMap<String, (StepId, String)>,
    /// The images, in the order of the recipes.
    pub images: Vec<LoweredImage>,
}

/// An image.
#[derive(Clone, Debug)]
pub struct LoweredImage {
    /// Its path in the tree.
    pub path: String,
    /// The step that makes it.
    pub step: StepId,
    /// The name of the file that the step leaves.
    pub file: String,
    /// What the recipe says of it.
    pub image: Image,
}

/// What every script begins with: it goes into the tree, to build what is called `$what`. Makefiles take for granted that
/// there is a directory `bin`, which upstream's program makes first of all; and in older trees a build script writes the
/// module that says which commit it is.
const ENTER: &str = r#"tree=$1 what=$2; shift 2
out=$PWD/out
cd "$tree"
mkdir -p bin
[ ! -e release/src/git_version.rs ] || chmod u+w release/src/git_version.rs
"#;

/// Builds something at the root of the tree, and copies what comes of it.
const BUILD: &str = r#""$@"
[ -f "$what" ] || { echo "error: it left no \`$what\`" >&2; exit 1; }
cp -- "$what" "$out/"
"#;

/// The same for a test program: cargo tells of everything that it built, a line each.
const TEST: &str = r#""$@" > "$out/messages"
name=$(printf %s "$what" | tr - _)
product=$(grep -F '"reason":"compiler-artifact"' "$out/messages" | grep '"kind":\[[^]]*"lib"' |
  grep -F "\"name\":\"$name\"" | grep -F '"test":true' | sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' | tail -n 1)
rm "$out/messages"
[ -n "$product" ] || { echo "error: cargo built no test program of \`$what\`" >&2; exit 1; }
cp -- "$product" "$out/$what"
"#;

/// Where the program is that answers what build scripts ask of a repository.
const GIT: &str = "usr/local/bin/git";

/// Returns a program that tells the name of the commit, as `git describe` does.
fn git(version: &str) -> String {
    let quoted = version.replace('\'', r"'\''");
    format!(
        "#!/bin/sh\n\
         # There is no repository here, and build scripts ask which commit this is.\n\
         [ \"$1\" = describe ] || {{ echo \"git: there is no repository here\" >&2; exit 128; }}\n\
         printf '%s\\n' '{quoted}'\n"
    )
}

/// Adds the actions for `plan` to `graph`.
pub fn lower(plan: &Plan, here: &Here, graph: &mut Graph) -> Lowered {
    let mut lowering = Lowering {
        here,
        graph,
        environment: Arc::new(here.environment.clone()),
        lowered: Lowered::default(),
        copies: BTreeMap::new(),
        labels: BTreeMap::new(),
    };
    let parts: Vec<(StepId, String)> = plan.parts.iter().map(|part| lowering.part(part)).collect();
    for (idx, recipe) in plan.recipes.iter().enumerate() {
        let firmware = here.firmwares.get(&idx).cloned();
        lowering.recipe(recipe, &parts, firmware);
    }
    lowering.lowered
}

struct Lowering<'a> {
    here: &'a Here,
    graph: &'a mut Graph,
    environment: Arc<BTreeMap<String, String>>,
    lowered: Lowered,
    /// What was copied already, by part, format and name.
    copies: BTreeMap<(usize, String, String), StepId>,
    /// How often a label was wanted.
    labels: BTreeMap<String, usize>,
}

impl Lowering<'_> {
    /// Returns the step that builds a part, and the name of the file that it leaves.
    fn part(&mut self, part: &Part) -> (StepId, String) {
        let (script, product, file) = match &part.product {
            Product::File(path) => (BUILD, path, path.rsplit('/').next().unwrap_or(path).to_owned()),
            Product::Test(package) => (TEST, package, package.clone()),
        };
        let script = format!("{ENTER}{script}");
        let head = ["sh", "-euc", &script, "sh", "src/tree", product];
        let arguments = head.map(str::to_owned).into_iter().chain(part.command.iter().cloned()).collect();
        let mut environment = self.environment.clone();
        if !part.environment.is_empty() {
            Arc::make_mut(&mut environment).extend(part.environment.clone());
        }
        let mut inputs = self.root();
        inputs.push(Placement { path: TREE.to_owned(), input: self.here.tree.clone() });
        inputs.extend(self.here.beside.iter().cloned());
        if let Some(version) = &self.here.version {
            for (path, text, executable) in [
                (format!("{TREE}/{VERSION_MODULE}"), version_module(version), false),
                (GIT.to_owned(), git(version), true),
            ] {
                let input = Input::File { digest: self.blob(text), executable };
                inputs.push(Placement { path, input });
            }
        }
        (self.step(part.label.clone(), arguments, environment, inputs), file)
    }

    /// Has a text in the store when steps run, and returns its digest.
    fn blob(&mut self, text: String) -> Digest {
        let bytes = text.into_bytes();
        let digest = Digest::of(&bytes);
        if !self.lowered.blobs.contains(&bytes) {
            self.lowered.blobs.push(bytes);
        }
        digest
    }

    fn recipe(&mut self, recipe: &Planned, parts: &[(StepId, String)], firmware: Option<Input>) {
        let mut inputs = self.root();
        let mut places = Places::default();
        for copy in &recipe.kernel {
            let (step, name) = (self.copy(copy, parts), &copy.name);
            self.leave(&format!("bin/{name}"), step, name);
            if KERNEL_PARTS.contains(&name.as_str()) {
                places.kernel.insert(name.clone(), format!("in/{name}"));
                inputs.push(input(name, step, name));
            }
        }
        if let Some(step) = self.file_system(recipe, parts) {
            self.leave("bin/svsm-fs.bin", step, "svsm-fs.bin");
            places.filesystem = Some("in/svsm-fs.bin".to_owned());
            inputs.push(input("svsm-fs.bin", step, "svsm-fs.bin"));
        }
        if let Some(input) = firmware {
            places.firmware = Some("in/firmware".to_owned());
            inputs.push(Placement { path: "build/in/firmware".to_owned(), input });
        }
        let (builder, builder_file) = &parts[recipe.builder];
        inputs.push(input("builder", *builder, builder_file));
        for image in &recipe.images {
            let file = image.output.rsplit('/').next().unwrap_or(&image.output).to_owned();
            let mut arguments = vec!["in/builder".to_owned()];
            arguments.extend(recipe.builder_arguments(image, &format!("out/{file}"), &places));
            let label = image.output.clone();
            let step = self.step(label, arguments, self.environment.clone(), inputs.clone());
            let path = format!("bin/{}", image.output);
            self.leave(&path, step, &file);
            self.lowered.images.push(LoweredImage { path, step, file, image: image.clone() });
        }
    }

    /// Returns the step that packs the modules, if there are any.
    fn file_system(&mut self, recipe: &Planned, parts: &[(StepId, String)]) -> Option<StepId> {
        if recipe.modules.is_empty() {
            return None;
        }
        let (mut inputs, mut files) = (Vec::new(), Vec::new());
        for (idx, module) in recipe.modules.iter().enumerate() {
            let step = self.copy(&module.copy, parts);
            self.leave(&format!("bin/fs/{}", module.path), step, &module.copy.name);
            inputs.push(input(&format!("files/{idx}"), step, &module.copy.name));
            files.push(PackItFile { name: module.path.clone(), source: format!("in/files/{idx}") });
        }
        let spec = Spec::PackIt(PackItSpec { output: "out/svsm-fs.bin".to_owned(), files });
        let mut text = serde_json::to_vec_pretty(&spec).expect("specifications have no maps with odd keys");
        text.push(b'\n');
        let digest = Digest::of(&text);
        self.lowered.blobs.push(text);
        let spec = Input::File { digest, executable: false };
        inputs.push(Placement { path: "build/in/spec.json".to_owned(), input: spec });
        let tool = Input::File { digest: self.here.mkimg, executable: true };
        inputs.push(Placement { path: "build/tools/mkimg".to_owned(), input: tool });
        let arguments = vec!["tools/mkimg".to_owned(), "in/spec.json".to_owned()];
        Some(self.step("svsm-fs.bin".to_owned(), arguments, Arc::default(), inputs))
    }

    fn copy(&mut self, copy: &Copy, parts: &[(StepId, String)]) -> StepId {
        let key = (copy.part, copy.format.clone(), copy.name.clone());
        if let Some(step) = self.copies.get(&key) {
            return *step;
        }
        let (part, file) = &parts[copy.part];
        let [from, to] = ["in", "out"].map(|directory| format!("{directory}/{}", copy.name));
        let arguments = ["objcopy", "-O", &copy.format, copy.strip, &from, &to].map(str::to_owned);
        let mut inputs = self.root();
        inputs.push(input(&copy.name, *part, file));
        let built = &self.graph.step(*part).label;
        let label = format!("objcopy {}", built.strip_prefix(self.here.prefix.as_str()).unwrap_or(built));
        let step = self.step(label, arguments.into(), self.environment.clone(), inputs);
        self.copies.insert(key, step);
        step
    }

    /// Returns what a command that is not one of our tools runs in.
    fn root(&self) -> Vec<Placement> {
        let root = self.here.root.map(|root| Placement { path: String::new(), input: Input::Merged(root) });
        root.into_iter().collect()
    }

    fn leave(&mut self, path: &str, step: StepId, file: &str) {
        self.lowered.files.insert(path.to_owned(), (step, file.to_owned()));
    }

    /// Adds a step; a label that another one has is told apart by a number.
    fn step(
        &mut self,
        label: String,
        arguments: Vec<String>,
        environment: Arc<BTreeMap<String, String>>,
        inputs: Vec<Placement>,
    ) -> StepId {
        let number = self.labels.entry(label.clone()).or_default();
        *number += 1;
        let label = if *number == 1 { label } else { format!("{label} #{number}") };
        let label = format!("{}{label}", self.here.prefix);
        let requirements = self.here.requirements.clone();
        self.graph.add_step(Step { label, arguments, environment, inputs, requirements })
    }
}

fn input(name: &str, step: StepId, path: &str) -> Placement {
    Placement { path: format!("build/in/{name}"), input: Input::Output { step, path: path.to_owned() } }
}
