//! What a Debian archive means to resolvo.
//!
//! A solver's *name* is a slot (a package name on an architecture), of which one version can be installed. A
//! relation is a union of *version sets*, one for each slot that can satisfy it, in the order of preference:
//! alternatives as written, and within one the package of that name before those that provide it. A conflict
//! forbids versions of other slots. A recommendation is a requirement with one alternative more: a solvable of
//! its own that is no package.

use std::any::Any;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt::Display;

use resolvo::{
    Candidates, Condition, ConditionId, DenseIndex, Dependencies, DependencyProvider,
    HintDependenciesAvailable, Interner, KnownDependencies, NameId, Requirement, SolvableId, SolverCache,
    StringId, VersionSetId, VersionSetUnionId,
};

use super::{Recommends, SolveError};
use crate::depends::{self, DependsError, Group, Relation};
use crate::packages::{MultiArch, Package, PackageId, Slot, Universe};

/// Which versions of a package the search may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Versions {
    /// The preferred one, and those asked for by version.
    Preferred,
    /// All of the archive.
    All,
}

/// The provider.
pub(super) struct Archive<'a> {
    pub(super) universe: &'a Universe,
    versions: Versions,
    recommends: Recommends,
    /// Of a slot in which a version was asked for: only that version counts.
    exact: BTreeMap<Slot, PackageId>,
    sets: RefCell<Sets>,
    error: RefCell<Option<SolveError>>,
}

/// Version sets and unions, each kept once.
#[derive(Default)]
struct Sets {
    sets: Vec<(NameId, Box<[u32]>)>,
    set_ids: HashMap<(NameId, Box<[u32]>), VersionSetId>,
    unions: Vec<Box<[VersionSetId]>>,
    union_ids: HashMap<Box<[VersionSetId]>, VersionSetUnionId>,
    /// What satisfies a relation, by its text and the architecture of the package that has it: as many packages may
    /// have one relation as satisfy it.
    satisfying: HashMap<(String, String), Vec<VersionSetId>>,
    n_recommendations: u32,
}

/// Every relation of a package, read.
#[derive(Default)]
pub(super) struct RelationsOf<'a> {
    /// `Pre-Depends`, then `Depends`.
    pub(super) needs: Vec<Group<'a>>,
    pub(super) n_pre_depends: usize,
    pub(super) recommends: Vec<Group<'a>>,
    pub(super) conflicts: Vec<Relation<'a>>,
}

impl<'a> RelationsOf<'a> {
    pub(super) fn read(package: &Package<'a>, architecture: &str) -> Result<Self, DependsError> {
        let groups = |field: &'a str| -> Result<Vec<Group<'a>>, DependsError> {
            let mut groups = depends::parse(field)?;
            groups.retain_mut(|group| {
                group.retain(|relation| relation.applies_to(architecture));
                !group.is_empty()
            });
            Ok(groups)
        };
        let mut needs = groups(package.pre_depends())?;
        let n_pre_depends = needs.len();
        needs.extend(groups(package.depends())?);
        let mut conflicts = groups(package.conflicts())?;
        conflicts.extend(groups(package.breaks())?);
        Ok(RelationsOf {
            needs,
            n_pre_depends,
            recommends: groups(package.recommends())?,
            conflicts: conflicts.into_iter().flatten().collect(),
        })
    }
}

impl<'a> Archive<'a> {
    pub(super) fn new(
        universe: &'a Universe,
        versions: Versions,
        recommends: Recommends,
        exact: &[PackageId],
    ) -> Self {
        let exact = exact.iter().map(|&id| (universe.slot(id), id)).collect();
        Archive { universe, versions, recommends, exact, sets: RefCell::default(), error: RefCell::default() }
    }

    /// The first thing that could not be read, if any.
    pub(super) fn take_error(&self) -> Option<SolveError> {
        self.error.borrow_mut().take()
    }

    /// The packages among `solvables`, sorted.
    pub(super) fn packages(&self, solvables: &[SolvableId]) -> BTreeSet<PackageId> {
        solvables.iter().filter_map(|&solvable| self.package_id(solvable)).collect()
    }

    /// The requirement that `id`, or another usable version of the same package, is installed.
    pub(super) fn root_requirement(&self, id: PackageId) -> Requirement {
        let slot = self.universe.slot(id);
        let members = self.usable(slot).collect();
        self.set(name_id(slot), members).into()
    }

    /// The requirement that `group`, a relation of a package for `architecture`, holds.
    pub(super) fn requirement(&self, group: &Group<'_>, architecture: &str) -> Requirement {
        self.requirement_of(self.sets_satisfying(group, architecture))
    }

    /// The package that a solvable is, unless it only stands for a recommendation that is not followed.
    pub(super) fn package_id(&self, solvable: SolvableId) -> Option<PackageId> {
        let idx = solvable.into_raw();
        ((idx as usize) < self.universe.len()).then_some(PackageId(idx))
    }

    /// The packages that satisfy `group` among those the search may use, in the order of preference.
    pub(super) fn satisfying(&self, group: &Group<'_>, architecture: &str) -> Vec<PackageId> {
        let sets = self.sets_satisfying(group, architecture);
        let known = self.sets.borrow();
        sets.iter().flat_map(|set| known.sets[set.to_index()].1.iter().map(|&idx| PackageId(idx))).collect()
    }

    fn requirement_of(&self, sets: Vec<VersionSetId>) -> Requirement {
        match sets[..] {
            // A set without members, of a name without candidates.
            [] => self.set(NameId::from_raw(self.no_name()), Vec::new()).into(),
            [single] => single.into(),
            _ => self.union(sets).into(),
        }
    }

    fn sets_satisfying(&self, group: &Group<'_>, architecture: &str) -> Vec<VersionSetId> {
        let mut known = HashSet::new();
        let sets = group.iter().flat_map(|relation| self.sets_satisfying_one(relation, architecture));
        sets.filter(|&set| known.insert(set)).collect()
    }

    fn sets_satisfying_one(&self, relation: &Relation<'_>, architecture: &str) -> Vec<VersionSetId> {
        let key = (relation.to_string(), architecture.to_owned());
        if let Some(sets) = self.sets.borrow().satisfying.get(&key) {
            return sets.clone();
        }
        let universe = self.universe;
        let targets = universe.slots_named(relation.name).flat_map(|slot| {
            self.usable(slot).filter(|&id| universe.is_target(PackageId(id), relation, architecture))
        });
        let providers = universe
            .providers(relation.name)
            .filter(|provider| self.is_usable(provider.package))
            .filter(|&provider| universe.is_provider(provider, relation, architecture))
            .map(|provider| provider.package.0);
        let mut satisfying: Vec<PackageId> = targets.chain(providers).map(PackageId).collect();
        satisfying.sort_by(|&left, &right| universe.compare_providers(relation.name, left, right));
        satisfying.dedup();
        // Versions of one slot go together, where the first of them stands.
        let mut by_slot: Vec<(Slot, Vec<u32>)> = Vec::new();
        let mut places: HashMap<Slot, usize> = HashMap::new();
        for id in satisfying {
            let slot = universe.slot(id);
            let place = *places.entry(slot).or_insert(by_slot.len());
            match by_slot.get_mut(place) {
                Some((_, members)) => members.push(id.0),
                None => by_slot.push((slot, vec![id.0])),
            }
        }
        let sets = by_slot.into_iter().map(|(slot, mut members)| {
            members.sort_unstable();
            self.set(name_id(slot), members)
        });
        let sets: Vec<VersionSetId> = sets.collect();
        self.sets.borrow_mut().satisfying.insert(key, sets.clone());
        sets
    }

    /// What `package` forbids, as the sets in which the version of each slot concerned must lie.
    fn constraints(&self, id: PackageId, relations: &RelationsOf<'_>) -> Vec<VersionSetId> {
        let universe = self.universe;
        let package = universe.package(id);
        let architecture = universe.architecture(id);
        let mut forbidden: BTreeMap<Slot, BTreeSet<u32>> = BTreeMap::new();
        let mut forbid = |id: PackageId| {
            forbidden.entry(universe.slot(id)).or_default().insert(id.0);
        };
        for relation in &relations.conflicts {
            // Policy 7.4: a package never conflicts with itself, also not by what it provides. Unlike other
            // relations these reach all architectures, unless one is named.
            for other in universe
                .named(relation.name)
                .filter(|&other| universe.package(other).name() != package.name())
            {
                let of_architecture = self.forbids_architecture(relation, other);
                let other_version = universe.package(other).version();
                if of_architecture
                    && relation.version.is_none_or(|(operator, bound)| operator.accepts(other_version, bound))
                {
                    forbid(other);
                }
            }
            for provider in universe.providers(relation.name) {
                let version_holds = match (relation.version, provider.version) {
                    (None, _) => true,
                    (Some(_), None) => false,
                    (Some((operator, bound)), Some(provided)) => operator.accepts(provided, bound),
                };
                if version_holds
                    && universe.package(provider.package).name() != package.name()
                    && self.forbids_architecture(relation, provider.package)
                {
                    forbid(provider.package);
                }
            }
        }
        // One package name for two architectures: only if both are `Multi-Arch: same` and of one version.
        for slot in universe.slots_named(package.name()).filter(|&slot| slot != universe.slot(id)) {
            for other in universe.versions(slot).map(PackageId) {
                let other_package = universe.package(other);
                let together = package.multi_arch() == MultiArch::Same
                    && other_package.multi_arch() == MultiArch::Same
                    && package.version() == other_package.version();
                if !together && universe.architecture(other) != architecture {
                    forbid(other);
                }
            }
        }
        forbidden
            .into_iter()
            .map(|(slot, forbidden)| {
                let allowed = universe.versions(slot).filter(|idx| !forbidden.contains(idx)).collect();
                self.set(name_id(slot), allowed)
            })
            .collect()
    }

    fn forbids_architecture(&self, relation: &Relation<'_>, other: PackageId) -> bool {
        match relation.qualifier {
            depends::Qualifier::Same | depends::Qualifier::Any => true,
            depends::Qualifier::Native => self.universe.architecture(other) == self.universe.native(),
            depends::Qualifier::Named(named) => self.universe.architecture(other) == named,
        }
    }

    fn usable(&self, slot: Slot) -> impl Iterator<Item = u32> + use<'_> {
        self.universe.versions(slot).filter(|&idx| self.is_usable(PackageId(idx)))
    }

    fn is_usable(&self, id: PackageId) -> bool {
        let slot = self.universe.slot(id);
        match self.exact.get(&slot) {
            Some(&exact) => exact == id,
            None => self.versions == Versions::All || self.universe.versions(slot).start == id.0,
        }
    }

    fn set(&self, name: NameId, members: Vec<u32>) -> VersionSetId {
        let mut sets = self.sets.borrow_mut();
        let key = (name, members.into_boxed_slice());
        if let Some(&id) = sets.set_ids.get(&key) {
            return id;
        }
        let id = VersionSetId::from_index(sets.sets.len());
        sets.sets.push(key.clone());
        sets.set_ids.insert(key, id);
        id
    }

    fn union(&self, members: Vec<VersionSetId>) -> VersionSetUnionId {
        let mut sets = self.sets.borrow_mut();
        let key = members.into_boxed_slice();
        if let Some(&id) = sets.union_ids.get(&key) {
            return id;
        }
        let id = VersionSetUnionId::from_index(sets.unions.len());
        sets.unions.push(key.clone());
        sets.union_ids.insert(key, id);
        id
    }

    /// The set of a new solvable that stands for a recommendation that is not followed.
    fn not_followed(&self) -> VersionSetId {
        let ordinal = {
            let mut sets = self.sets.borrow_mut();
            sets.n_recommendations += 1;
            sets.n_recommendations
        };
        let solvable = u32::try_from(self.universe.len()).expect("ids are 32 bits wide") + ordinal;
        self.set(NameId::from_raw(self.no_name() + ordinal), vec![solvable])
    }

    /// The first name that is no slot.
    fn no_name(&self) -> u32 {
        u32::try_from(self.universe.n_slots()).expect("slots are numbered with 32 bits")
    }

    fn relations(&self, id: PackageId) -> Option<RelationsOf<'a>> {
        let package = self.universe.package(id);
        match RelationsOf::read(&package, self.universe.architecture(id)) {
            Ok(relations) => Some(relations),
            Err(source) => {
                let package = format!("{} {}", package.name(), package.version());
                self.error.borrow_mut().get_or_insert(SolveError::Relation { package, source });
                None
            }
        }
    }
}

pub(super) fn name_id(slot: Slot) -> NameId {
    NameId::from_raw(slot.0)
}

impl Interner for Archive<'_> {
    type NameId = NameId;
    type SolvableId = SolvableId;

    fn display_solvable(&self, solvable: SolvableId) -> impl Display + '_ {
        match self.package_id(solvable) {
            Some(id) => {
                let package = self.universe.package(id);
                format!("{} {}", package.name(), package.version())
            }
            None => "nothing".to_owned(),
        }
    }

    fn display_name(&self, name: NameId) -> impl Display + '_ {
        if name.into_raw() < self.no_name() {
            let first = PackageId(self.universe.versions(Slot(name.into_raw())).start);
            self.universe.package(first).name()
        } else {
            "nothing"
        }
    }

    fn display_version_set(&self, version_set: VersionSetId) -> impl Display + '_ {
        format!("{:?}", self.sets.borrow().sets[version_set.to_index()].1)
    }

    fn display_string(&self, _: StringId) -> impl Display + '_ {
        "relations that cannot be read"
    }

    fn version_set_name(&self, version_set: VersionSetId) -> NameId {
        self.sets.borrow().sets[version_set.to_index()].0
    }

    fn solvable_name(&self, solvable: SolvableId) -> NameId {
        match self.package_id(solvable) {
            Some(id) => name_id(self.universe.slot(id)),
            None => {
                let n_packages = u32::try_from(self.universe.len()).expect("ids are 32 bits wide");
                NameId::from_raw(self.no_name() + (solvable.into_raw() - n_packages))
            }
        }
    }

    fn version_sets_in_union(&self, union: VersionSetUnionId) -> impl Iterator<Item = VersionSetId> {
        self.sets.borrow().unions[union.to_index()].clone().into_iter()
    }

    fn resolve_condition(&self, _: ConditionId) -> Condition {
        unreachable!("no requirement made here has a condition")
    }
}

impl DependencyProvider for Archive<'_> {
    async fn filter_candidates(
        &self,
        candidates: &[SolvableId],
        version_set: VersionSetId,
        inverse: bool,
    ) -> Vec<SolvableId> {
        let sets = self.sets.borrow();
        let members = &sets.sets[version_set.to_index()].1;
        let is_member = |solvable: &SolvableId| members.binary_search(&solvable.into_raw()).is_ok();
        candidates.iter().copied().filter(|solvable| is_member(solvable) != inverse).collect()
    }

    async fn get_candidates(&self, name: NameId) -> Option<Candidates<SolvableId>> {
        let raw = name.into_raw();
        let candidates = match raw.checked_sub(self.no_name()) {
            None => self.usable(Slot(raw)).map(SolvableId::from_raw).collect(),
            Some(0) => Vec::new(),
            Some(ordinal) => {
                let n_packages = u32::try_from(self.universe.len()).expect("ids are 32 bits wide");
                vec![SolvableId::from_raw(n_packages + ordinal)]
            }
        };
        Some(Candidates {
            candidates,
            hint_dependencies_available: HintDependenciesAvailable::All,
            ..Candidates::default()
        })
    }

    async fn sort_candidates(&self, _: &SolverCache<Self>, solvables: &mut [SolvableId]) {
        solvables.sort_unstable_by_key(|solvable| solvable.into_raw());
    }

    async fn get_dependencies(&self, solvable: SolvableId) -> Dependencies {
        let Some(id) = self.package_id(solvable) else {
            return Dependencies::Known(KnownDependencies::default());
        };
        let Some(relations) = self.relations(id) else {
            return Dependencies::Unknown(StringId::from_index(0));
        };
        let architecture = self.universe.architecture(id);
        let mut requirements: Vec<_> =
            relations.needs.iter().map(|group| self.requirement(group, architecture).into()).collect();
        if self.recommends == Recommends::Follow {
            for group in &relations.recommends {
                let mut sets = self.sets_satisfying(group, architecture);
                if !sets.is_empty() {
                    sets.push(self.not_followed());
                    requirements.push(self.requirement_of(sets).into());
                }
            }
        }
        Dependencies::Known(KnownDependencies { requirements, constrains: self.constraints(id, &relations) })
    }

    fn should_cancel_with_value(&self) -> Option<Box<dyn Any>> {
        None
    }
}
