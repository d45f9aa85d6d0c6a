//! What takes up images, of targets and of files: measured, with the packages of files, for reports.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs::File;
use std::sync::Arc;

use cas::{Digest, LocalStore, Node, StoreError};
use engine::{Input, Outcome, StepId};
use inspect::{Format, Found, Limits, Object, Sizes};
use mkimg::usage::Basis;
use recipe::{Lowered, Name, Stack, Target};
use report::size::{File as ReportedFile, Image, Region, Rest};

use crate::args::Global;
use crate::failure::Failure;
use crate::image::{failure, find};

/// Where a step of an image finds its layers.
const LAYERS: &str = "build/in/layers/";

/// Measures what `IMAGE[:PATH]` names.
pub(crate) fn of_path(global: &Global, what: &OsStr) -> Result<Image, Failure> {
    let name = what.to_string_lossy().into_owned();
    match find(global, what)? {
        Found::Object(object) => {
            let sizes = Sizes::of(&object).map_err(failure)?;
            Ok(image(name, &object, sizes))
        }
        Found::Directory { of, entry } => {
            let mut sizes = Sizes::of(&of).map_err(failure)?;
            sizes.retain_below(&entry.path);
            let mut image = image(name, &of, sizes);
            // Of the image it is in, nothing is asked.
            image.size = image.stored();
            image.formats.insert(0, "a directory".to_owned());
            image.regions = Vec::new();
            Ok(image)
        }
        Found::Other { name, entry } => {
            Err(Failure::project(format!("`{name}` has no contents: it is a {}", entry.kind.name())))
        }
    }
}

/// Measures the image at `path` of the output that a target left, which may be gone.
///
/// Returns nothing if it is not stored any more.
pub(crate) fn of_output(
    store: &LocalStore,
    called: &str,
    output: &Digest,
    path: &str,
) -> Result<Option<Image>, Failure> {
    let missing_is_none = |error| match error {
        StoreError::Missing { .. } => Ok(None),
        error => Err(Failure::store(error)),
    };
    let file = match file_of(store, output, path) {
        Ok(file) => file,
        Err(error) => return missing_is_none(error),
    };
    let Some(digest) = file else { return Ok(None) };
    match store.open_blob(&digest) {
        Ok(file) => of_file(called, file).map(Some),
        Err(error) => missing_is_none(error),
    }
}

fn of_file(called: &str, file: File) -> Result<Image, Failure> {
    let object = Object::of(called.to_owned(), Arc::new(file), 0, Limits::default()).map_err(failure)?;
    let sizes = Sizes::of(&object).map_err(failure)?;
    Ok(image(called.to_owned(), &object, sizes))
}

/// Returns the digest of a file of an output, if there is such a file.
fn file_of(store: &LocalStore, output: &Digest, path: &str) -> Result<Option<Digest>, StoreError> {
    let mut tree = *output;
    let mut names = path.split('/').peekable();
    while let Some(name) = names.next() {
        let found = store.read_directory(&tree)?.entries.remove(name);
        match (found, names.peek()) {
            (Some(Node::Directory { digest }), Some(_)) => tree = digest,
            (Some(Node::File { digest, .. }), None) => return Ok(Some(digest)),
            _ => return Ok(None),
        }
    }
    Ok(None)
}

/// Returns what was measured as the report wants it.
fn image(name: String, object: &Object, sizes: Sizes) -> Image {
    let described = object.described();
    let outermost = object.wrappers().first().unwrap_or(described);
    let mut image = Image {
        name,
        formats: object.wrappers().iter().chain([described]).map(|of| of.format.name().to_owned()).collect(),
        size: outermost.size,
        ..Image::default()
    };
    let mut bases = BTreeSet::new();
    for part in sizes.parts {
        let within = |path: &str| match part.path.as_str() {
            "" => path.to_owned(),
            partition => format!("{partition}/{path}"),
        };
        if !part.files.is_empty() {
            bases.insert(how(part.basis));
        }
        let rest = [("[metadata]", part.metadata, false), ("[free]", part.free, true)];
        let rest = rest.into_iter().filter(|(_, bytes, _)| *bytes > 0);
        image.rest.extend(rest.map(|(path, bytes, is_free)| Rest { path: within(path), bytes, is_free }));
        image.files.extend(part.files.iter().map(|file| ReportedFile {
            path: within(&file.path),
            size: file.size,
            stored: file.stored,
            is_further_name: file.is_further_name,
            kind: file.kind.name().to_owned(),
            package: file.package.as_deref().map(str::to_owned),
        }));
        if let Some(problem) = part.problem {
            image.problems.push(format!("{} could not be looked into: {problem}", part.path));
        }
    }
    image.how = bases.into_iter().collect::<Vec<_>>().join("; ");
    if described.format == Format::Disk {
        regions(&mut image, object);
    }
    image
}

fn how(basis: Basis) -> &'static str {
    match basis {
        Basis::Stored => {
            "a file takes its blocks as they are stored, and its share of those it has in common"
        }
        Basis::Allocated => "a file takes the blocks that are allocated to it",
        Basis::Plain => "a file takes what it has",
        Basis::Ratio => "files are compressed together, and each takes its share of that",
    }
}

/// Adds what lies where on a disk, and what of it is in no partition.
fn regions(image: &mut Image, object: &Object) {
    let described = object.described();
    let mut at = 0;
    let (mut tables, mut gaps) = (0, 0);
    for region in &described.regions {
        let (start, end) = (region.range.start, region.range.end);
        if start > at {
            image.regions.push(Region { name: "-".to_owned(), start: at, end: start });
            gaps += start - at;
        }
        image.regions.push(Region { name: region.name.clone(), start, end });
        if matches!(region.name.as_str(), "MBR" | "GPT" | "copy of the GPT") {
            tables += end.saturating_sub(start);
        }
        at = at.max(end);
    }
    if at < described.size {
        image.regions.push(Region { name: "-".to_owned(), start: at, end: described.size });
        gaps += described.size - at;
    }
    for (path, bytes, is_free) in [("[tables]", tables, false), ("[free]", gaps, true)] {
        if bytes > 0 {
            image.rest.push(Rest { path: path.to_owned(), bytes, is_free });
        }
    }
}

/// Names what brought the files of which the image itself does not say it: the layers that a target is made of.
pub(crate) fn name_layers(
    image: &mut Image,
    store: &LocalStore,
    stack: &Stack,
    lowered: &Lowered,
    outcome: &Outcome,
    target: &Name,
) {
    if image.files.iter().all(|file| file.package.is_some()) {
        return;
    }
    let mut sources = vec![(String::new(), target.clone())];
    if let Some(Target::Disk(disk)) = stack.targets.get(target).map(|target| &target.value) {
        let partitions = disk.partitions.iter();
        sources.extend(partitions.filter_map(|partition| {
            let target = partition.target.as_ref()?;
            Some((format!("{}/", partition.name.value), target.target.clone()))
        }));
    }
    for (prefix, target) in sources {
        let Some(step) = lowered.targets.get(&target).and_then(|target| target.steps.first()) else {
            continue;
        };
        let owners = owners(store, lowered, outcome, *step);
        for file in image.files.iter_mut().filter(|file| file.package.is_none()) {
            if let Some(path) = file.path.strip_prefix(&prefix) {
                file.package = owners.get(path).cloned();
            }
        }
    }
}

/// Returns the layer that has each file of what a step makes. Where several have it, it is from the last.
fn owners(
    store: &LocalStore,
    lowered: &Lowered,
    outcome: &Outcome,
    step: StepId,
) -> BTreeMap<String, String> {
    let mut owners = BTreeMap::new();
    for placement in &lowered.graph.step(step).inputs {
        let (Some(file), Input::Output { step, path }) =
            (placement.path.strip_prefix(LAYERS), &placement.input)
        else {
            continue;
        };
        // `0007-bash.tar`.
        let name = file.split_once('-').map_or(file, |(_, name)| name);
        let name = name.strip_suffix(".tar").unwrap_or(name);
        let is_package = lowered.graph.step(*step).label.starts_with("unpack ");
        let name = if is_package { name.to_owned() } else { format!("layer {name}") };
        let Some(output) = outcome.result(*step).map(|result| result.output) else { continue };
        // What was collected since says nothing; the report is good without.
        let Ok(Some(digest)) = file_of(store, &output, path) else { continue };
        let Ok(blob) = store.open_blob(&digest) else { continue };
        let layer = layer::Layer::new(name.clone(), Arc::new(blob));
        let Ok(entries) = layer.entries() else { continue };
        for located in entries.map_while(Result::ok) {
            let path = String::from_utf8_lossy(located.entry.path.as_bytes()).into_owned();
            owners.insert(path, name.clone());
        }
    }
    owners
}
