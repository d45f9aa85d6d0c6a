//! How two objects differ, at any depth.
//!
//! What has entries is compared by them: what both have, under the same path, is compared by what it is, to whom it
//! belongs, and what is in it. Contents that differ and are something with entries themselves are gone into, so the
//! answer names what differs in them, not that they do.

mod bytes;
mod causes;
mod excerpt;
mod lines;
mod packages;
mod signatures;
mod stored;
mod symbols;

use std::collections::BTreeMap;

pub use causes::Group;
pub use excerpt::Excerpt;
pub use packages::PackageChange;

use crate::container::Container;
use crate::entry::{Entry, EntryKind, shown};
use crate::error::Error;
use crate::facts::Value;
use crate::format::Format;
use crate::object::Object;
use crate::source::Source;
use bytes::Comparer;
use lines::{LineComparer, TooMany};
use stored::StoredBlocks;

/// In what respect something differs. Of two values the first is that of the first object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Aspect {
    /// Only the first has it: what it is.
    Removed(&'static str),
    /// Only the second has it: what it is.
    Added(&'static str),
    /// What it is.
    Kind(String, String),
    /// Permissions.
    Mode(u32, u32),
    /// Owner and group.
    Owner((u32, u32), (u32, u32)),
    /// When it was changed, in seconds since 1970.
    Time(i64, i64),
    /// An extended attribute, and what it is in each.
    Attribute(String, Option<String>, Option<String>),
    /// Something that only its format has, such as the type of a partition.
    Detail(&'static str, String, String),
    /// Something that its headers say.
    Fact(&'static str, String, String),
    /// Lines of a text that only one of them has.
    Lines(Vec<String>, Vec<String>),
    /// Symbols of a program, or of a kernel's map of them, that only one of them has.
    Symbols(Vec<String>, Vec<String>),
    /// Sizes in bytes, and where they differ first.
    Contents(u64, u64, Excerpt),
    /// Everything in it is the same, and yet its bytes are not: where the first that differs is.
    Layout(u64),
    /// It cannot be told, and why.
    Unknown(String),
}

/// What differs at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The path, which goes through as many objects as needed.
    pub path: String,
    /// In what respects.
    pub aspects: Vec<Aspect>,
}

/// What is not compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ignored {
    /// Signatures of kernel modules and of programs for firmware, and certificates in kernels.
    pub signatures: bool,
    /// Times of files.
    pub times: bool,
}

/// How two objects differ.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Differences {
    /// What differs, in the order of the first object.
    pub changes: Vec<Change>,
    /// The packages of which they have other versions, in the order of their names.
    pub packages: Vec<PackageChange>,
    /// How many files were compared.
    pub n_compared: u64,
}

/// Compares two objects.
///
/// # Errors
///
/// Only what makes the two objects themselves impossible to compare. What is in them and cannot be read is a
/// difference of its own, and so is what would be more than [`Limits::compared`](crate::Limits::compared) of the first,
/// which counts what is unpacked or read on the way as well. That all they have in them, at any depth, is more than
/// [`Limits::entries`](crate::Limits::entries) is an error.
pub fn diff(a: &Object, b: &Object, ignored: Ignored) -> Result<Differences, Error> {
    let mut comparison = Comparison::new(a, ignored);
    comparison.objects("", a, b)?;
    Ok(comparison.found)
}

struct Comparison {
    ignored: Ignored,
    comparer: Comparer,
    lines: LineComparer,
    /// What the first object is called.
    name: String,
    most_entries: u64,
    /// How many entries all containers had so far.
    n_entries: u64,
    found: Differences,
}

impl Comparison {
    /// Returns one that has compared nothing, by the limits of the first object.
    fn new(first: &Object, ignored: Ignored) -> Comparison {
        Comparison {
            ignored,
            comparer: Comparer::new(first.limits()),
            lines: LineComparer::new(lines::MOST_IN_ALL),
            name: first.name().to_owned(),
            most_entries: first.limits().entries,
            n_entries: 0,
            found: Differences::default(),
        }
    }

    fn report(&mut self, path: &str, aspects: Vec<Aspect>) {
        if !aspects.is_empty() {
            let path = if path.is_empty() { ".".to_owned() } else { path.to_owned() };
            self.found.changes.push(Change { path, aspects });
        }
    }

    /// Compares two objects that are at `path`.
    fn objects(&mut self, path: &str, a: &Object, b: &Object) -> Result<(), Error> {
        let before = self.found.changes.len();
        let (left, right) = (a.described(), b.described());
        if left.format != right.format {
            let kinds = Aspect::Kind(left.format.name().to_owned(), right.format.name().to_owned());
            self.report(path, vec![kinds]);
            return Ok(());
        }
        let is_elf = left.format == Format::Elf;
        if is_elf
            && self.ignored.signatures
            && let (Some(left), Some(right)) = (a.source(), b.source())
            && signatures::certificates_differ_alone(left, right)
        {
            return Ok(());
        }
        let mut facts = Vec::new();
        let wrappers = |object: &Object| {
            object.wrappers().iter().map(|wrapper| wrapper.format.name()).collect::<Vec<_>>().join(" in ")
        };
        if wrappers(a) != wrappers(b) {
            facts.push(Aspect::Fact("wrapped in", wrappers(a), wrappers(b)));
        }
        let differing = left.facts.iter().filter_map(|fact| {
            let other = right.facts.iter().find(|other| other.name == fact.name);
            let other = other.map_or(String::new(), |other| said(&other.value));
            let own = said(&fact.value);
            (own != other).then_some(Aspect::Fact(fact.name, own, other))
        });
        facts.extend(differing.filter(|fact| !self.is_ignored(fact)));
        match (a.container(), b.container(), a.text().zip(b.text())) {
            (_, _, Some((left, right))) if left != right => match self.lines.differing(left, right) {
                Ok((removed, added)) if removed.is_empty() && added.is_empty() => {}
                Ok((removed, added)) => self.report(path, vec![Aspect::Lines(removed, added)]),
                Err(TooMany) => self.report(path, vec![Aspect::Unknown(TooMany::WHY.to_owned())]),
            },
            (Some(left), Some(right), None) => self.containers(path, (a, &**left), (b, &**right))?,
            _ => {}
        }
        let (Some(left), Some(right)) = (a.source(), b.source()) else {
            self.report(path, facts);
            return Ok(());
        };
        let is_same_inside = self.found.changes.len() == before;
        if is_elf && let Some((removed, added)) = symbols::of_programs(left, right) {
            facts.push(Aspect::Symbols(removed, added));
        }
        if is_same_inside && facts.is_empty() {
            let io = |source| Error::Io { what: a.name().to_owned(), source };
            match self.comparer.first_difference(left, right).map_err(io)? {
                None => {}
                Some(_)
                    if self.ignored.signatures && signatures::differ_alone(left, right, &self.comparer) => {}
                // The times that are not compared are in bytes that are.
                Some(_) if self.ignored.times && a.container().is_some() => {}
                Some(at) if a.container().is_some() || a.text().is_some() => {
                    self.report(path, vec![Aspect::Layout(at)]);
                }
                Some(at) => {
                    let aspects = self.contents((a, left), (b, right), at).map_err(io)?;
                    self.report(path, aspects);
                }
            }
        } else {
            self.report(path, facts);
        }
        Ok(())
    }

    fn is_ignored(&self, fact: &Aspect) -> bool {
        self.ignored.signatures && matches!(fact, Aspect::Fact("signed by", ..))
    }

    /// Says how contents differ that are nothing with entries, from the byte `at` on, and whether that is not all that
    /// could be said of them.
    fn contents(
        &self,
        (a, left): (&Object, &Source),
        (b, right): (&Object, &Source),
        at: u64,
    ) -> std::io::Result<Vec<Aspect>> {
        let mut more = None;
        if a.described().format == Format::Text && b.described().format == Format::Text {
            if let Some((removed, added)) = symbols::of_maps(left, right) {
                return Ok(vec![Aspect::Symbols(removed, added)]);
            }
            match self.lines.of_sources(left, right) {
                Ok(Some((removed, added))) => return Ok(vec![Aspect::Lines(removed, added)]),
                Ok(None) => {}
                Err(TooMany) => more = Some(Aspect::Unknown(TooMany::WHY.to_owned())),
            }
        }
        let excerpt = Excerpt::of(left, right, at)?;
        let contents = Aspect::Contents(a.described().size, b.described().size, excerpt);
        Ok([contents].into_iter().chain(more).collect())
    }

    /// Compares what is in two containers.
    fn containers(
        &mut self,
        path: &str,
        (a, left): (&Object, &dyn Container),
        (b, right): (&Object, &dyn Container),
    ) -> Result<(), Error> {
        let list = |container: &dyn Container| {
            let mut entries: BTreeMap<Vec<u8>, Entry> = BTreeMap::new();
            let mut order = Vec::new();
            container.walk(&mut |entry| {
                order.push(entry.path.clone());
                entries.insert(entry.path.clone(), entry);
                Ok(())
            })?;
            Ok::<_, Error>((entries, order))
        };
        let (mut others, other_order) = list(right)?;
        let (entries, order) = list(left)?;
        self.count(order.len().max(other_order.len()) as u64)?;
        let first = self.found.changes.len();
        let mut blocks = StoredBlocks::default();
        let mut seen = std::collections::BTreeSet::new();
        for name in order {
            // An archive may have a path twice: the last one holds.
            if !seen.insert(name.clone()) {
                continue;
            }
            let entry = &entries[&name];
            let at = join(path, &name);
            match others.remove(&name) {
                None => self.report(&at, vec![Aspect::Removed(entry.kind.name())]),
                Some(other) => {
                    self.entries(&at, (a, left, entry), (b, right, &other), &mut blocks)?;
                }
            }
        }
        for name in other_order {
            if let Some(entry) = others.remove(&name) {
                self.report(&join(path, &name), vec![Aspect::Added(entry.kind.name())]);
            }
        }
        // Nobody can have other packages and the same files.
        if self.found.changes.len() > first {
            self.found.packages.extend(packages::changed(path, left, right, &self.found.changes[first..]));
        }
        Ok(())
    }

    /// Counts the entries of a container: one that has many names of another, which has many of a third, has more in it
    /// than anybody can go through.
    fn count(&mut self, n_entries: u64) -> Result<(), Error> {
        self.n_entries += n_entries;
        if self.n_entries > self.most_entries {
            let problem = format!("has more than {} entries, with those of what is in it", self.most_entries);
            return Err(Error::Limit { what: self.name.clone(), problem });
        }
        Ok(())
    }

    fn entries(
        &mut self,
        path: &str,
        (a, left, entry): (&Object, &dyn Container, &Entry),
        (b, right, other): (&Object, &dyn Container, &Entry),
        blocks: &mut StoredBlocks,
    ) -> Result<(), Error> {
        self.found.n_compared += 1;
        let mut aspects = Vec::new();
        if entry.kind != other.kind {
            aspects.push(Aspect::Kind(kind(&entry.kind), kind(&other.kind)));
        }
        if let (Some(mode), Some(other)) = (entry.mode, other.mode)
            && mode != other
        {
            aspects.push(Aspect::Mode(mode, other));
        }
        if let (Some(owner), Some(other)) = (entry.owner, other.owner)
            && owner != other
        {
            aspects.push(Aspect::Owner(owner, other));
        }
        if let (Some(time), Some(other)) = (entry.mtime, other.mtime)
            && time != other
            && !self.ignored.times
        {
            aspects.push(Aspect::Time(time, other));
        }
        for name in
            entry.xattrs.keys().chain(other.xattrs.keys().filter(|name| !entry.xattrs.contains_key(*name)))
        {
            let value = |entry: &Entry| entry.xattrs.get(name).map(|value| value.escape_ascii().to_string());
            let (value, other) = (value(entry), value(other));
            if value != other {
                aspects.push(Aspect::Attribute(shown(name), value, other));
            }
        }
        for (name, value) in &entry.details {
            let found = other.details.iter().find(|(other, _)| other == name);
            let found = found.map_or(String::new(), |(_, value)| value.clone());
            if *value != found {
                aspects.push(Aspect::Detail(name, value.clone(), found));
            }
        }
        self.report(path, aspects);
        if !entry.kind.has_contents() || !other.kind.has_contents() || entry.kind != other.kind {
            return Ok(());
        }
        if entry.size == 0 && other.size == 0 {
            return Ok(());
        }
        if entry.size == other.size && blocks.are_same((left, entry), (right, other), &self.comparer) {
            return Ok(());
        }
        let io = |source| Error::Io { what: path.to_owned(), source };
        let n_opened = opened(a, entry).max(opened(b, other));
        let compared = self.comparer.spend(n_opened).map_err(io).and_then(|()| {
            let (left, right) = (left.open(entry)?, right.open(other)?);
            let excerpt = self.comparer.excerpt_of_counted(&left, &right, n_opened).map_err(io)?;
            Ok(excerpt.map(|excerpt| (excerpt, left, right)))
        });
        let (excerpt, left, right) = match compared {
            Ok(None) => return Ok(()),
            Ok(Some(differing)) => differing,
            Err(error) => {
                self.report(path, vec![Aspect::Unknown(explained(&error))]);
                return Ok(());
            }
        };
        let entered = a.entered(entry, left).and_then(|left| Ok((left, b.entered(other, right)?)));
        // There may be many names of something that takes long to look into.
        let n_entered = entered.iter().flat_map(|(left, right)| [left, right]).map(looked_into).max();
        let spent = self.comparer.spend(n_entered.unwrap_or(0));
        match entered {
            Ok((left, right)) if left.described().format == right.described().format => {
                let compared = spent.map_err(io).and_then(|()| self.objects(path, &left, &right));
                match compared {
                    // That there is too much in all is no property of what is here.
                    Err(error) if self.n_entries <= self.most_entries => {
                        self.report(path, vec![Aspect::Unknown(explained(&error))]);
                        Ok(())
                    }
                    compared => compared,
                }
            }
            // What is something only for one of them, or damaged, are bytes that differ.
            _ => {
                self.report(path, vec![Aspect::Contents(entry.size, other.size, excerpt)]);
                Ok(())
            }
        }
    }
}

/// Returns how many bytes are unpacked to open an entry of an object.
fn opened(object: &Object, entry: &Entry) -> u64 {
    match object.described().format {
        Format::Erofs => entry.size,
        _ => 0,
    }
}

/// Returns about how many bytes were unpacked, or read one by one, to find out what an object is.
fn looked_into(object: &Object) -> u64 {
    let described = object.described();
    let inner = object.wrappers().iter().skip(1).chain([described]);
    let unpacked = object.wrappers().iter().zip(inner).map(|(wrapper, inner)| match wrapper.format {
        Format::Compressed(_) | Format::Gcp => inner.size,
        _ => 0,
    });
    let facts = described.facts.iter().map(|fact| match (described.format, fact.name, &fact.value) {
        // It may be compressed.
        (Format::Cpio, "contents", Value::Size(size)) => *size,
        _ => 0,
    });
    let read = match described.format {
        Format::Cpio
        | Format::Tar
        | Format::Pe
        | Format::BzImage
        | Format::Arm64Image
        | Format::RiscvImage
        | Format::Igvm
        | Format::DeviceTree
        | Format::Elf => described.size,
        _ => 0,
    };
    unpacked.chain(facts).fold(read, u64::saturating_add)
}

/// Returns an error with its causes.
fn explained(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    text
}

fn join(path: &str, name: &[u8]) -> String {
    match (path, name) {
        ("", b"") => "/".to_owned(),
        ("", name) => shown(name),
        (path, b"") => path.to_owned(),
        (path, name) => format!("{path}/{}", shown(name)),
    }
}

fn kind(kind: &EntryKind) -> String {
    match kind {
        EntryKind::Symlink(target) => format!("symlink to {}", shown(target)),
        EntryKind::HardLink(target) => format!("hard link to {}", shown(target)),
        EntryKind::CharDevice(major, minor) | EntryKind::BlockDevice(major, minor) => {
            format!("{} {major}:{minor}", kind.name())
        }
        other => other.name().to_owned(),
    }
}

fn said(value: &Value) -> String {
    match value {
        Value::Text(text) => text.clone(),
        Value::Number(number) | Value::Size(number) => number.to_string(),
        Value::Address(address) => format!("{address:#x}"),
        Value::List(list) => list.join("; "),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::source::Limits;

    #[test]
    fn lines_that_are_not_compared_any_more_are_told() {
        let open = |bytes: Vec<u8>| {
            Object::of("text".to_owned(), Arc::new(bytes) as Source, 0, Limits::default()).unwrap()
        };
        let [a, b] = ["one\n", "two\n"].map(|text| open(text.into()));
        let mut comparison = Comparison::new(&a, Ignored::default());
        comparison.lines = LineComparer::new(200);
        for path in ["1", "2", "3", "4"] {
            comparison.objects(path, &a, &b).unwrap();
        }
        // No text, and one that is too long whatever came before.
        let [binary, other] = [1, 2].map(|byte| open(vec![0, byte, 0xff]));
        comparison.objects("binary", &binary, &other).unwrap();
        let [long, other] = ["a", "b"].map(|last| open(("line\n".repeat(2 << 20) + last).into_bytes()));
        comparison.objects("long", &long, &other).unwrap();
        let shown = |aspects: &[Aspect]| match aspects {
            [Aspect::Lines(..)] => "lines",
            [Aspect::Contents(..)] => "contents",
            [Aspect::Contents(..), Aspect::Unknown(why)] if why == TooMany::WHY => "contents, not all",
            other => panic!("{other:?}"),
        };
        let said: Vec<&str> = comparison.found.changes.iter().map(|change| shown(&change.aspects)).collect();
        let not_all = "contents, not all";
        assert_eq!(said, ["lines", not_all, not_all, not_all, "contents", "contents"]);
        // Of many it is said once.
        let (groups, _) = comparison.found.causes();
        assert_eq!(groups[0].aspect, Aspect::Unknown(TooMany::WHY.to_owned()));
        assert_eq!(groups[0].paths, ["2", "3", "4"]);
    }
}
