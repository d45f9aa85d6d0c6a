//! All packages of several suites, components and architectures as one sorted set.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::ops::Range;

use super::index::{Index, Package, Priority, Span};
use crate::depends::{self, DependsError, Qualifier, Relation};
use crate::version::{self, Operator};

/// An index and where it comes from.
#[derive(Clone, Debug)]
pub struct Part {
    /// The packages.
    pub index: Index,
    /// The suite it belongs to, such as `bookworm-security`.
    pub suite: String,
    /// Which suite's packages are preferred: first the highest priority, then the newest version.
    pub priority: i32,
}

/// A package of a [`Universe`]. Ids are sorted: by name; then the native architecture before others; then what
/// to prefer first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PackageId(pub(crate) u32);

impl PackageId {
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

/// Packages merged from all parts. Does not depend on the order of the parts, nor on that within them.
#[derive(Debug)]
pub struct Universe {
    native: String,
    parts: Vec<Part>,
    entries: Vec<Entry>,
    /// For each slot, the ids of its versions; sorted by name and architecture like the entries.
    slots: Vec<Range<u32>>,
    /// Sorted by name, then package.
    provides: Vec<Provide>,
    /// How the name of each slot and of each of `provides` starts: what nearly every search is decided by,
    /// without a look at the names themselves, which lie far apart.
    slot_starts: Vec<u64>,
    provide_starts: Vec<u64>,
}

/// What can be installed once: a name on an architecture. `all` counts as the native architecture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Slot(pub(crate) u32);

#[derive(Clone, Copy, Debug)]
struct Entry {
    part_idx: u32,
    record_idx: u32,
    slot: Slot,
}

#[derive(Clone, Copy, Debug)]
struct Provide {
    package: PackageId,
    name: Span,
    version: Option<Span>,
}

/// A package that stands for a name.
#[derive(Clone, Copy, Debug)]
pub struct Provider<'a> {
    /// Which.
    pub package: PackageId,
    /// The version it provides the name in; none satisfies only relations without version.
    pub version: Option<&'a str>,
}

impl Universe {
    /// Merges `parts` for a system of architecture `native`.
    ///
    /// Packages that are in several parts, such as those of architecture `all`, are there once. Fails when the
    /// field `Provides` of a package cannot be read.
    pub fn new(native: &str, mut parts: Vec<Part>) -> Result<Universe, (String, DependsError)> {
        parts.sort_by(|a, b| a.suite.cmp(&b.suite).then(b.priority.cmp(&a.priority)));
        let mut universe = Universe {
            native: native.to_owned(),
            parts,
            entries: Vec::new(),
            slots: Vec::new(),
            provides: Vec::new(),
            slot_starts: Vec::new(),
            provide_starts: Vec::new(),
        };
        universe.fill_entries();
        universe.fill_slots();
        universe.fill_provides()?;
        universe.fill_starts();
        Ok(universe)
    }

    /// The architecture that scripts run on, and that `all` means.
    pub fn native(&self) -> &str {
        &self.native
    }

    /// How many packages there are, counting each version.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// What the archive says about `id`.
    pub fn package(&self, id: PackageId) -> Package<'_> {
        let entry = self.entries[id.index()];
        self.parts[entry.part_idx as usize].index.package(entry.record_idx as usize)
    }

    /// The suite that `id` is taken from.
    pub fn suite(&self, id: PackageId) -> &str {
        &self.parts[self.entries[id.index()].part_idx as usize].suite
    }

    /// The architecture `id` is installed for: `all` means the native one.
    pub fn architecture(&self, id: PackageId) -> &str {
        effective(self.package(id).architecture(), &self.native)
    }

    /// All packages, in the order of their ids.
    pub fn ids(&self) -> impl Iterator<Item = PackageId> + use<> {
        (0..u32::try_from(self.entries.len()).expect("fill_entries counted them")).map(PackageId)
    }

    /// All versions of `name` for all architectures, the native one first.
    pub fn named(&self, name: &str) -> impl Iterator<Item = PackageId> + use<> {
        let slots = self.slots_named(name);
        let first = slots.clone().next().map_or(0, |slot| self.versions(slot).start);
        let end = slots.last().map_or(0, |slot| self.versions(slot).end);
        (first..end).map(PackageId)
    }

    /// The package that stands for `name` on `architecture` when nothing else is asked.
    pub fn candidate(&self, name: &str, architecture: &str) -> Option<PackageId> {
        self.slots_named(name)
            .map(|slot| PackageId(self.versions(slot).start))
            .find(|&id| self.architecture(id) == architecture)
    }

    /// The packages whose field `Provides` has `name`.
    pub fn providers(&self, name: &str) -> impl Iterator<Item = Provider<'_>> {
        let start = find_first(&self.provide_starts, name, |idx| self.provided_name(&self.provides[idx]));
        self.provides[start..].iter().take_while(move |provide| self.provided_name(provide) == name).map(
            |provide| {
                let text = self.package(provide.package).text();
                Provider { package: provide.package, version: provide.version.map(|span| span.get(text)) }
            },
        )
    }

    /// The names most like `name`, the best first; few, and none when nothing is like it.
    pub fn similar(&self, name: &str) -> Vec<&str> {
        nearest(name, self.slots.iter().map(|slot| self.package(PackageId(slot.start)).name()))
    }

    pub(crate) fn n_slots(&self) -> usize {
        self.slots.len()
    }

    pub(crate) fn slot(&self, id: PackageId) -> Slot {
        self.entries[id.index()].slot
    }

    /// The ids of all versions in `slot`, what to prefer first; never empty.
    pub(crate) fn versions(&self, slot: Slot) -> Range<u32> {
        self.slots[slot.0 as usize].clone()
    }

    pub(crate) fn slots_named(&self, name: &str) -> impl Iterator<Item = Slot> + Clone + use<> {
        let name_of = |slot: &Range<u32>| self.package(PackageId(slot.start)).name();
        let start = find_first(&self.slot_starts, name, |idx| name_of(&self.slots[idx]));
        let length = self.slots[start..].iter().take_while(|slot| name_of(slot) == name).count();
        let start = u32::try_from(start).expect("there are no more slots than entries");
        let length = u32::try_from(length).expect("there are no more slots than entries");
        (start..start + length).map(Slot)
    }

    /// Whether `id` is what `relation` of a package for `architecture` asks, by its own name.
    pub(crate) fn is_target(&self, id: PackageId, relation: &Relation<'_>, architecture: &str) -> bool {
        let package = self.package(id);
        let version_holds =
            relation.version.is_none_or(|(operator, bound)| operator.accepts(package.version(), bound));
        version_holds && self.architecture_holds(id, relation.qualifier, architecture)
    }

    /// Whether `provider` is what `relation` of a package for `architecture` asks, by what it provides.
    pub(crate) fn is_provider(
        &self,
        provider: Provider<'_>,
        relation: &Relation<'_>,
        architecture: &str,
    ) -> bool {
        let version_holds = match (relation.version, provider.version) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some((operator, bound)), Some(provided)) => operator.accepts(provided, bound),
        };
        version_holds && self.architecture_holds(provider.package, relation.qualifier, architecture)
    }

    /// The rule of deb_parse's `deparchsatisfied` in dpkg.
    fn architecture_holds(&self, id: PackageId, qualifier: Qualifier<'_>, architecture: &str) -> bool {
        use super::MultiArch;
        let own = self.architecture(id);
        match qualifier {
            Qualifier::Same => own == architecture || self.package(id).multi_arch() == MultiArch::Foreign,
            Qualifier::Any => self.package(id).multi_arch() == MultiArch::Allowed,
            Qualifier::Native => own == self.native,
            Qualifier::Named(named) => own == effective(named, &self.native),
        }
    }

    /// The order in which apt would try packages that all satisfy the same name.
    pub(crate) fn compare_providers(&self, name: &str, left: PackageId, right: PackageId) -> Ordering {
        let rank = |id: PackageId| {
            let package = self.package(id);
            let is_foreign = self.architecture(id) != self.native;
            (
                package.name() != name,
                !package.essential(),
                !package.important(),
                is_foreign,
                package.priority(),
            )
        };
        let by_rank: Ordering = rank(left).cmp(&rank(right));
        by_rank.then(left.cmp(&right))
    }

    fn fill_entries(&mut self) {
        // The names beside the entries: almost every comparison is decided by them.
        let mut entries: Vec<(&str, Entry)> =
            Vec::with_capacity(self.parts.iter().map(|part| part.index.len()).sum());
        for (part_idx, part) in self.parts.iter().enumerate() {
            for (record_idx, package) in part.index.packages().enumerate() {
                let fits = "each index is shorter than 4 GiB, so it has fewer packages";
                let part_idx = u32::try_from(part_idx).expect(fits);
                let record_idx = u32::try_from(record_idx).expect(fits);
                entries.push((package.name(), Entry { part_idx, record_idx, slot: Slot(0) }));
            }
        }
        let package = |entry: &Entry| {
            let part = &self.parts[entry.part_idx as usize];
            (part, part.index.package(entry.record_idx as usize))
        };
        entries.sort_by(|(left_name, left), (right_name, right)| {
            left_name.cmp(right_name).then_with(|| {
                let ((left_part, left), (right_part, right)) = (package(left), package(right));
                place(left, &self.native)
                    .cmp(&place(right, &self.native))
                    .then_with(|| right_part.priority.cmp(&left_part.priority))
                    .then_with(|| version::compare(right.version(), left.version()))
                    .then_with(|| right.version().cmp(left.version()))
                    .then_with(|| left.architecture().cmp(right.architecture()))
                    .then_with(|| left.sha256().cmp(right.sha256()))
                    .then_with(|| left_part.suite.cmp(&right_part.suite))
                    .then_with(|| left.filename().cmp(right.filename()))
            })
        });
        // What is in suites of several priorities is there once for each, with other versions between them.
        let mut once = Vec::with_capacity(entries.len());
        let mut known = HashSet::new();
        for entries in entries.chunk_by(|(left, _), (right, _)| left == right) {
            known.clear();
            let is_first = |entry: &Entry| {
                let (_, package) = package(entry);
                known.insert((package.version(), package.architecture(), package.sha256()))
            };
            let all = entries.iter().map(|(_, entry)| *entry);
            if entries.len() == 1 { once.extend(all) } else { once.extend(all.filter(is_first)) }
        }
        self.entries = once;
    }

    fn fill_slots(&mut self) {
        let mut slots: Vec<Range<u32>> = Vec::with_capacity(self.entries.len());
        for id in self.ids() {
            let starts_slot = match slots.last() {
                None => true,
                Some(slot) => {
                    let previous = PackageId(slot.start);
                    self.package(previous).name() != self.package(id).name()
                        || self.architecture(previous) != self.architecture(id)
                }
            };
            if starts_slot {
                slots.push(id.0..id.0);
            }
            let slot_idx = slots.len() - 1;
            slots[slot_idx].end = id.0 + 1;
            self.entries[id.index()].slot =
                Slot(u32::try_from(slot_idx).expect("no more slots than entries"));
        }
        self.slots = slots;
    }

    fn fill_provides(&mut self) -> Result<(), (String, DependsError)> {
        let mut provides: Vec<(&str, PackageId, Option<&str>)> = Vec::new();
        for id in self.ids() {
            let package = self.package(id);
            if package.provides().is_empty() {
                continue;
            }
            let groups =
                depends::parse(package.provides()).map_err(|error| (package.name().to_owned(), error))?;
            for relation in groups.into_iter().flatten() {
                match relation.version {
                    None => provides.push((relation.name, id, None)),
                    Some((Operator::Equal, version)) => provides.push((relation.name, id, Some(version))),
                    // Only `=` says which version is provided (Policy 7.5); dpkg ignores other operators.
                    Some(_) => {}
                }
            }
        }
        provides.sort_unstable();
        let spans = provides.into_iter().map(|(name, id, version)| {
            let text = self.package(id).text();
            Provide {
                package: id,
                name: Span::of(name, text),
                version: version.map(|version| Span::of(version, text)),
            }
        });
        self.provides = spans.collect();
        Ok(())
    }

    fn fill_starts(&mut self) {
        let of_slot = |slot: &Range<u32>| start_of(self.package(PackageId(slot.start)).name());
        let slot_starts = self.slots.iter().map(of_slot).collect();
        let provide_starts =
            self.provides.iter().map(|provide| start_of(self.provided_name(provide))).collect();
        (self.slot_starts, self.provide_starts) = (slot_starts, provide_starts);
    }

    fn provided_name(&self, provide: &Provide) -> &str {
        let part_idx = self.entries[provide.package.index()].part_idx;
        provide.name.get(self.parts[part_idx as usize].index.text())
    }

    /// Native packages whose preferred version is `Essential: yes`.
    pub fn essential(&self) -> impl Iterator<Item = PackageId> {
        self.candidates().filter(|&id| self.package(id).essential())
    }

    /// Native packages whose preferred version is `Priority: required`.
    pub fn required(&self) -> impl Iterator<Item = PackageId> {
        self.candidates().filter(|&id| self.package(id).priority() == Priority::Required)
    }

    fn candidates(&self) -> impl Iterator<Item = PackageId> {
        self.slots.iter().map(|slot| PackageId(slot.start)).filter(|&id| self.architecture(id) == self.native)
    }
}

/// Returns the first eight bytes of a name as a number, which sorts as they do: no name has a NUL.
fn start_of(name: &str) -> u64 {
    let mut start = [0; 8];
    let length = name.len().min(8);
    start[..length].copy_from_slice(&name.as_bytes()[..length]);
    u64::from_be_bytes(start)
}

/// Returns the first index whose name is not less than `name`. The names are sorted; `starts` is how they start.
fn find_first<'a>(starts: &[u64], name: &str, name_of: impl Fn(usize) -> &'a str) -> usize {
    let start = start_of(name);
    let mut first = starts.partition_point(|other| *other < start);
    let mut end = first + starts[first..].partition_point(|other| *other == start);
    while first < end {
        let middle = first + (end - first) / 2;
        if name_of(middle) < name { first = middle + 1 } else { end = middle }
    }
    first
}

/// Sorts the native architecture before the others.
fn place<'a>(package: Package<'a>, native: &'a str) -> (bool, &'a str) {
    let architecture = effective(package.architecture(), native);
    (architecture != native, architecture)
}

/// Packages for all architectures count as native ones when relations are looked at.
fn effective<'a>(architecture: &'a str, native: &'a str) -> &'a str {
    if architecture == "all" { native } else { architecture }
}

/// The few of `names` that are most like `name`, the best first.
pub(crate) fn nearest<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let furthest = (name.len() / 3).clamp(1, 3);
    let mut found: Vec<(usize, &str)> = names
        .filter(|candidate| candidate.len().abs_diff(name.len()) <= furthest)
        .map(|candidate| (strsim::osa_distance(candidate, name), candidate))
        .filter(|(distance, _)| *distance <= furthest)
        .collect();
    found.sort_unstable();
    found.dedup();
    found.truncate(3);
    found.into_iter().map(|(_, name)| name).collect()
}
