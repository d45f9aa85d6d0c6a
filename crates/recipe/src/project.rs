//! From a project's files to a stack, or to all that is wrong with them.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::knobs::{Knobs, Settings, Variables};
use crate::lock::Lock;
use crate::needs::{Goal, needs};
use crate::reader::{Read, Reader};
use crate::scalar::Name;
use crate::stack::{Environment, KnobValue, Recipe, Source, StackSection};
use crate::value::{Entry, Kind, Table, Value};
use crate::{Machine, Place, Problem, SourceFile, Spanned, Target, Test, check, overlay, problem, value};

/// The name of a project's main file.
pub const FILE_NAME: &str = "bootwright.toml";

/// A project that was understood: every reference leads somewhere, nothing needs itself.
#[derive(Clone, Debug)]
pub struct Stack {
    /// The stack's name.
    pub name: String,
    /// The stack's own version.
    pub version: String,
    /// The targets that are built when none is named.
    pub default: Vec<Name>,
    /// The time stamp of everything that is made, in seconds since 1970.
    pub epoch: u64,
    /// What the knobs are set to.
    pub knobs: BTreeMap<String, KnobValue>,
    /// The sources.
    pub sources: BTreeMap<Name, Spanned<Source>>,
    /// The environments, as they are written: see [`crate::needs`] for what they come to.
    pub environments: BTreeMap<Name, Spanned<Environment>>,
    /// The targets.
    pub targets: BTreeMap<Name, Spanned<Target>>,
    /// The machines.
    pub machines: BTreeMap<Name, Spanned<Machine>>,
    /// The tests.
    pub tests: BTreeMap<Name, Spanned<Test>>,
}

/// The project could not be read at all.
#[derive(Debug, thiserror::Error)]
#[error("could not read recipe `{path}`")]
pub struct LoadError {
    /// The file.
    pub path: PathBuf,
    /// What the system said.
    #[source]
    pub source: io::Error,
}

/// Understands the text of a project of one file. The stack is there when there is no problem.
pub fn parse(text: &str, settings: &Settings) -> (Option<Stack>, Vec<Problem>) {
    parse_with(text, settings, &mut |_| Err(io::ErrorKind::NotFound.into()))
}

/// Understands the text of a project. `include` returns the text of another of its files, by its
/// normalised path from the project's root.
pub fn parse_with(
    text: &str,
    settings: &Settings,
    include: &mut dyn FnMut(&str) -> io::Result<String>,
) -> (Option<Stack>, Vec<Problem>) {
    let mut gathering = Gathering {
        include,
        is_too_much: false,
        seen: Vec::new(),
        chain: Vec::new(),
        syntax_errors: Vec::new(),
        problems: Vec::new(),
    };
    let main = Arc::new(SourceFile { name: FILE_NAME.to_owned(), text: text.to_owned() });
    let mut top = Table { path: String::new(), entries: Vec::new() };
    gathering.add(&main, &mut top);
    let syntax_errors = std::mem::take(&mut gathering.syntax_errors);
    let mut problems = gathering.problems;
    let stack = understand(top, &main, settings, !syntax_errors.is_empty(), &mut problems);
    // What was made of a line that is no TOML is not what its author meant.
    let wrong: BTreeSet<_> = syntax_errors.iter().filter_map(line_of).collect();
    problems.retain(|problem| line_of(problem).is_none_or(|line| !wrong.contains(&line)));
    problems.extend(syntax_errors);
    problem::tidy(&mut problems);
    (stack.filter(|_| problems.is_empty()), problems)
}

/// Reads and understands the project whose main file is `path`.
///
/// Fails when that file cannot be read; files that it includes are problems instead. What they say may not
/// leave the directory of `path`, not even through symbolic links.
pub fn load(path: &Path, settings: &Settings) -> Result<(Option<Stack>, Vec<Problem>), LoadError> {
    load_telling(path, settings, &mut |_| {})
}

/// Does the same, and tells the path of each file before it is read, also of those that cannot be.
pub fn load_telling(
    path: &Path,
    settings: &Settings,
    tell: &mut dyn FnMut(&Path),
) -> Result<(Option<Stack>, Vec<Problem>), LoadError> {
    tell(path);
    let wrong = |source| LoadError { path: path.to_owned(), source };
    let text = read_text(path).map_err(wrong)?;
    let root = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let root = root.canonicalize().map_err(wrong)?;
    Ok(parse_with(&text, settings, &mut |name| {
        let path = root.join(name);
        tell(&path);
        let path = path.canonicalize()?;
        if !path.starts_with(&root) {
            return Err(io::Error::other("a symbolic link leads out of the project"));
        }
        read_text(&path)
    }))
}

/// Returns the file and the line that a problem is in.
fn line_of(problem: &Problem) -> Option<(String, usize)> {
    let place = problem.place.as_ref()?;
    Some((place.file().name.clone(), place.line_and_column().0))
}

fn read_text(path: &Path) -> io::Result<String> {
    let bytes = std::fs::read(path)?;
    // A stray byte should be shown as such where it is, not stop everything.
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Reads files and what they include into one table.
struct Gathering<'a> {
    include: &'a mut dyn FnMut(&str) -> io::Result<String>,
    seen: Vec<String>,
    chain: Vec<String>,
    /// Whether there are more files than there may be, which was reported.
    is_too_much: bool,
    syntax_errors: Vec<Problem>,
    problems: Vec<Problem>,
}

/// How many files may include each other in a row, and how many there may be in all: a link to a directory around itself
/// gives the same file names without end.
const MOST_DEEP: usize = 64;
const MOST_FILES: usize = 1000;

const SECTIONS: [&str; 6] = ["knob", "source", "env", "target", "machine", "test"];

impl Gathering<'_> {
    fn add(&mut self, file: &Arc<SourceFile>, top: &mut Table) {
        self.seen.push(file.name.clone());
        self.chain.push(file.name.clone());
        let (value, mut errors) = value::parse(file);
        self.syntax_errors.append(&mut errors);
        let Kind::Table(table) = value.kind else { return };
        let is_main = self.chain.len() == 1;
        let includes = table.get("include").cloned();
        for entry in table.entries {
            self.add_section(entry, is_main, top);
        }
        if let Some(entry) = includes {
            let mut reader = Reader::default();
            let paths: Option<Vec<Spanned<String>>> =
                reader.inside("`include`".to_owned(), |reader| Read::read(&entry.value, reader));
            self.problems.append(&mut reader.problems);
            for path in paths.unwrap_or_default() {
                self.include(&path, file, top);
            }
        }
        self.chain.pop();
    }

    fn include(&mut self, path: &Spanned<String>, from: &SourceFile, top: &mut Table) {
        let Some(name) = beside(&from.name, path) else {
            self.problems.push(
                Problem::at(&path.place, format!("`{}` is not a file of the project", path.escape_debug()))
                    .help("an included file lies in the project; its path is relative to the file that includes it"),
            );
            return;
        };
        if self.chain.contains(&name) {
            let start = self.chain.iter().position(|file| *file == name).unwrap_or(0);
            let chain: Vec<String> =
                self.chain[start..].iter().chain([&name]).map(|file| format!("`{file}`")).collect();
            let message = format!("files include each other: {}", chain.join(" → "));
            self.problems.push(Problem::at(&path.place, message).help("remove one of the `include` entries"));
            return;
        }
        // The same file by two ways says the same thing twice.
        if self.seen.contains(&name) {
            return;
        }
        let limit = match (self.chain.len(), self.seen.len()) {
            (MOST_DEEP, _) => Some(format!("more than {MOST_DEEP} files include each other in a row")),
            (_, MOST_FILES) => Some(format!("a project of more than {MOST_FILES} files")),
            _ => None,
        };
        if let Some(message) = limit {
            // Once says it all.
            if !self.is_too_much {
                let help = "a link among the directories may lead in a circle; else join some of the files";
                self.problems.push(Problem::at(&path.place, message).help(help));
            }
            self.is_too_much = true;
            return;
        }
        match (self.include)(&name) {
            Ok(text) => self.add(&Arc::new(SourceFile { name, text }), top),
            Err(error) => {
                let reason = match error.kind() {
                    io::ErrorKind::NotFound => "there is no such file".to_owned(),
                    _ => error.to_string(),
                };
                self.problems.push(Problem::at(&path.place, format!("could not read `{name}`: {reason}")));
            }
        }
    }

    /// Adds one entry of a file's top level to what the files before it said.
    fn add_section(&mut self, entry: Entry, is_main: bool, top: &mut Table) {
        if !is_main && entry.key == "include" {
            return;
        }
        if !is_main && entry.key == "stack" {
            self.problems.push(
                Problem::at(&entry.key_place, "`[stack]` in an included file")
                    .help(format!("it belongs in the project's main file, `{FILE_NAME}`")),
            );
            return;
        }
        let is_section = SECTIONS.contains(&entry.key.as_str()) && entry.value.as_table().is_some();
        let known = top.get_mut(&entry.key).filter(|_| is_section);
        let Some(known) = known.and_then(|known| known.value.as_table_mut()) else {
            top.entries.push(entry);
            return;
        };
        let Kind::Table(section) = entry.value.kind else { return };
        for item in section.entries {
            match known.get(&item.key) {
                None => known.entries.push(item),
                Some(first) => self.problems.push(
                    Problem::at(&item.key_place, format!("`{}.{}` is already there", entry.key, item.key))
                        .related(&first.key_place, "first written here")
                        .help("give one of them another name; to change it under a condition, use `when`"),
                ),
            }
        }
    }
}

/// Returns the path of what `path` means in the file `from`, or `None` when that is not in the project.
fn beside(from: &str, path: &str) -> Option<String> {
    if path.starts_with('/') || path.contains('\0') {
        return None;
    }
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => _ = parts.pop()?,
            _ => parts.push(part),
        }
    }
    (!parts.is_empty()).then(|| parts.join("/"))
}

fn understand(
    mut top: Table,
    main: &Arc<SourceFile>,
    settings: &Settings,
    is_damaged: bool,
    problems: &mut Vec<Problem>,
) -> Option<Stack> {
    let knobs = Knobs::read(&top, settings, problems);
    let unfinished = interpolate(&mut top, &knobs, problems);
    let mut reader = Reader { partial: true, ..Reader::default() };
    read_idle_overlays(&mut top, &knobs, &mut reader);
    // What a damaged text lacks may be in what could not be read.
    reader.partial = is_damaged;
    let names = check::Names::of(&top);
    let recipe = Recipe::read(&Value { place: Place::new(main, 0..0), kind: Kind::Table(top) }, &mut reader);
    reader.problems.retain(|problem| !problem.place.as_ref().is_some_and(|place| unfinished.contains(place)));
    problems.append(&mut reader.problems);
    if is_damaged {
        return None;
    }
    check::references_lead_somewhere(&reader.references, &names, problems);
    let recipe = recipe?;
    check::check(&recipe, problems);
    let knobs = knobs.values.into_iter().map(|(name, value)| (name.0, value)).collect();
    Some(Stack {
        name: recipe.stack.name.to_string(),
        version: recipe.stack.version,
        default: recipe.stack.default.iter().map(|name| (***name).clone()).collect(),
        epoch: u64::try_from(recipe.stack.epoch.value).unwrap_or_default(),
        knobs,
        sources: recipe.source,
        environments: recipe.env,
        targets: recipe.target,
        machines: recipe.machine,
        tests: recipe.test,
    })
}

/// Returns the places of strings that could not be finished.
fn interpolate(top: &mut Table, knobs: &Knobs, problems: &mut Vec<Problem>) -> Vec<Place> {
    let mut variables = Variables { knobs, stack: BTreeMap::new(), unfinished: Vec::new() };
    // The stack's own name and version come first, since everything else may use them.
    if let Some(entry) = top.get_mut("stack") {
        for key in ["name", "version"] {
            if let Some(entry) = entry.value.as_table_mut().and_then(|stack| stack.get_mut(key)) {
                variables.interpolate(&mut entry.value, problems);
                let text = entry.value.as_str().unwrap_or_default().to_owned();
                variables.stack.insert(format!("stack.{key}"), text);
            }
        }
    }
    variables.stack.entry("stack.version".to_owned()).or_insert_with(|| "0".to_owned());
    variables.stack.entry("stack.name".to_owned()).or_default();
    for entry in &mut top.entries {
        match entry.key.as_str() {
            "knob" | "include" => {}
            "stack" => {
                let Some(stack) = entry.value.as_table_mut() else { continue };
                for entry in
                    stack.entries.iter_mut().filter(|entry| !["name", "version"].contains(&&*entry.key))
                {
                    variables.interpolate(&mut entry.value, problems);
                }
            }
            _ => variables.interpolate(&mut entry.value, problems),
        }
    }
    variables.unfinished
}

/// Applies all overlays, and reports what is wrong in those that are not in force.
fn read_idle_overlays(top: &mut Table, knobs: &Knobs, reader: &mut Reader) {
    for section in &mut top.entries {
        if section.key == "stack" {
            read_all::<StackSection>(
                &overlay::apply(&mut section.value, knobs, &mut reader.problems),
                "stack",
                reader,
            );
            continue;
        }
        let Some(table) = section.value.as_table_mut() else { continue };
        for entry in &mut table.entries {
            let name = entry.key.as_str();
            let read: fn(&[Value], &str, &mut Reader) = match section.key.as_str() {
                "source" => read_all::<Source>,
                "env" => read_all::<Environment>,
                "target" => read_all::<Target>,
                "machine" => read_all::<Machine>,
                "test" => read_all::<Test>,
                _ => continue,
            };
            read(&overlay::apply(&mut entry.value, knobs, &mut reader.problems), name, reader);
        }
    }
}

fn read_all<T: Read>(values: &[Value], name: &str, reader: &mut Reader) {
    for value in values {
        reader.inside(format!("`{name}`"), |reader| T::read(value, reader));
    }
}

/// Understands any text, and shows everything that is wrong with it; also as a lock. For fuzzing.
///
/// # Panics
/// Never, or it is a bug.
pub fn fuzz(text: &str) {
    let settings = Settings::default();
    // A file that includes whatever it names, itself among it, a few times: many files cost much and show nothing more.
    let mut n_included = 0;
    let mut include = |_: &_| {
        n_included += 1;
        Ok(if n_included <= 4 { text.to_owned() } else { String::new() })
    };
    let (stack, problems) = parse_with(text, &settings, &mut include);
    assert_eq!(stack.is_some(), problems.is_empty(), "there is a stack when there is no problem");
    // To show one costs more than to find it, and a text can have thousands.
    for problem in problems.iter().take(10) {
        let _ = problem.render_plain();
    }
    if let Some(stack) = &stack {
        let goals: Vec<Goal> = stack
            .targets
            .keys()
            .map(|name| Goal::Target(name.clone()))
            .chain(stack.machines.keys().map(|name| Goal::Machine(name.clone())))
            .chain(stack.tests.keys().map(|name| Goal::Test(name.clone())))
            .collect();
        let _ = needs(stack, &goals);
    }
    if let Err(problem) = Lock::parse(text) {
        let _ = problem.render_plain();
    }
}
