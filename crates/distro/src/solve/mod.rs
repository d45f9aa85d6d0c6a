//! Chooses packages: from what is wanted to a set in which every relation holds.
//!
//! The search is resolvo's; here is what a Debian archive means to it (`provider`), what went wrong in words
//! (`explain`), and the order in which the result can be installed (`order`).
//!
//! Like apt, only the preferred version of each package is considered first. When that has no solution, and
//! only then, older versions in the archive are.

mod explain;
mod order;
mod provider;

use std::collections::{BTreeMap, BTreeSet};

use resolvo::{Problem, Solver, UnsolvableOrCancelled};

use crate::depends::{self, DependsError};
use crate::packages::{PackageId, Universe};
use provider::{Archive, Versions};

/// What to install.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Who asks, for messages: the name of an environment or a target.
    pub requester: String,
    /// The packages, by name. What an earlier one needs comes earlier in the solution.
    pub wanted: Vec<Wanted>,
    /// What is added without being named.
    pub base: Base,
    /// Whether `Recommends` are followed where they can be satisfied.
    pub recommends: Recommends,
    /// Whether relations are followed at all.
    pub relations: Relations,
}

/// What a system is made of before anything is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Base {
    /// Nothing: only what is asked for and what that needs.
    Nothing,
    /// Packages that are `Essential: yes`, which all others rely on without saying so.
    #[default]
    Essential,
    /// These, `Priority: required`, and apt: what `mmdebstrap --variant=minbase` installs.
    Minbase,
}

/// Whether `Recommends` count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Recommends {
    /// They are left out.
    #[default]
    Ignore,
    /// They are followed where that leads to no contradiction.
    Follow,
}

/// Whether relations between packages count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Relations {
    /// Everything needed comes along.
    #[default]
    Follow,
    /// Only the packages named, for those of which merely the files are used, such as a foreign kernel.
    Ignore,
}

/// One package of a [`Request`]: `name`, `name:architecture`, `name=version` or both.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wanted {
    /// The package, or something that exactly one package provides.
    pub name: String,
    /// The native architecture if absent.
    pub architecture: Option<String>,
    /// The preferred version if absent.
    pub version: Option<String>,
}

/// Why a text does not name a package.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no package: expected `name`, `name:architecture` or `name=version`")]
pub struct WantedError {
    /// What was written.
    pub text: String,
}

impl std::str::FromStr for Wanted {
    type Err = WantedError;

    fn from_str(text: &str) -> Result<Self, WantedError> {
        let error = || WantedError { text: text.to_owned() };
        let (rest, version) = match text.split_once('=') {
            Some((rest, version)) => (rest, Some(version)),
            None => (text, None),
        };
        let (name, architecture) = match rest.split_once(':') {
            Some((name, architecture)) => (name, Some(architecture)),
            None => (rest, None),
        };
        if !depends::is_package_name(name)
            || architecture.is_some_and(|a| !depends::is_architecture_name(a))
            || version.is_some_and(|v| crate::version::check(v).is_err())
        {
            return Err(error());
        }
        Ok(Wanted {
            name: name.to_owned(),
            architecture: architecture.map(str::to_owned),
            version: version.map(str::to_owned),
        })
    }
}

impl std::fmt::Display for Wanted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name)?;
        if let Some(architecture) = &self.architecture {
            write!(f, ":{architecture}")?;
        }
        match &self.version {
            Some(version) => write!(f, "={version}"),
            None => Ok(()),
        }
    }
}

/// A set of packages in which every relation holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Solution {
    /// In an order in which they can be installed: what a package needs comes before it, cycles apart.
    pub packages: Vec<Chosen>,
}

/// A package of a [`Solution`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chosen {
    /// Which.
    pub id: PackageId,
    /// Why it is there.
    pub reason: Reason,
    /// With what it came: the first that needs it.
    pub with: With,
}

/// What packages come with, in the order in which they come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum With {
    /// What is `Essential: yes`: the same for all that has it in its base.
    Essential,
    /// The rest of the [`Base`].
    Base,
    /// The wanted package of that index.
    Wanted(usize),
}

/// Why a package is part of a solution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It was asked for.
    Wanted,
    /// It belongs to the [`Base`].
    Base,
    /// This package, itself nearer to what was asked for, needs it.
    NeededBy(PackageId),
    /// This package recommends it.
    RecommendedBy(PackageId),
}

/// Why there is no solution.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SolveError {
    /// Names, architectures or versions that the archive does not have, one sentence each.
    #[error("{}", .0.join("; "))]
    Unknown(Vec<String>),
    /// A chain of relations that cannot hold together, one sentence for each way that was tried.
    #[error("{}", .0.join("; "))]
    Unsatisfiable(Vec<String>),
    /// A relation of a package that is reached cannot be read.
    #[error("could not read the relations of package `{package}`")]
    Relation {
        /// The package and its version.
        package: String,
        /// What is wrong.
        #[source]
        source: DependsError,
    },
}

/// Chooses packages for `request` from `universe`.
///
/// Which packages are chosen depends on what the universe and the request contain, not on any order in them. In which
/// order they come depends on that of [`Request::wanted`], too.
pub fn solve(universe: &Universe, request: &Request) -> Result<Solution, SolveError> {
    let roots = Roots::of(universe, request)?;
    if request.relations == Relations::Ignore {
        let chosen = |(wanted, &id): (usize, &PackageId)| Chosen {
            id,
            reason: Reason::Wanted,
            with: With::Wanted(wanted),
        };
        return Ok(Solution { packages: roots.wanted.iter().enumerate().map(chosen).collect() });
    }
    match search(universe, request, &roots, Versions::Preferred) {
        Err(SolveError::Unsatisfiable(_)) => search(universe, request, &roots, Versions::All),
        other => other,
    }
}

/// What must be in the solution, resolved to packages.
struct Roots {
    /// With the version to prefer of each.
    packages: BTreeMap<PackageId, Reason>,
    /// Those of the base, the essential ones first.
    base: Vec<(PackageId, With)>,
    /// Those that were asked for, in that order.
    wanted: Vec<PackageId>,
    /// Those that were asked for in a version that is not the preferred one.
    exact: Vec<PackageId>,
}

impl Roots {
    fn of(universe: &Universe, request: &Request) -> Result<Roots, SolveError> {
        let mut unknown = Vec::new();
        let essential: BTreeSet<PackageId> = match request.base {
            Base::Nothing => BTreeSet::new(),
            Base::Essential | Base::Minbase => universe.essential().collect(),
        };
        let others: BTreeSet<PackageId> = match request.base {
            Base::Nothing | Base::Essential => BTreeSet::new(),
            Base::Minbase => {
                universe.required().chain(universe.candidate("apt", universe.native())).collect()
            }
        };
        let others = others.difference(&essential).map(|&id| (id, With::Base));
        let base: Vec<_> = essential.iter().map(|&id| (id, With::Essential)).chain(others).collect();
        let packages = base.iter().map(|&(id, _)| (id, Reason::Base)).collect();
        let mut roots = Roots { packages, base, wanted: Vec::new(), exact: Vec::new() };
        for wanted in &request.wanted {
            match find(universe, wanted) {
                Ok(id) => {
                    roots.packages.insert(id, Reason::Wanted);
                    roots.wanted.push(id);
                    if wanted.version.is_some() {
                        roots.exact.push(id);
                    }
                }
                Err(sentence) => unknown.push(sentence),
            }
        }
        unknown.sort_unstable();
        unknown.dedup();
        if unknown.is_empty() { Ok(roots) } else { Err(SolveError::Unknown(unknown)) }
    }
}

/// The package that `wanted` means, or a sentence on why there is none.
fn find(universe: &Universe, wanted: &Wanted) -> Result<PackageId, String> {
    let architecture = match wanted.architecture.as_deref() {
        None | Some("all") => universe.native(),
        Some(named) => named,
    };
    let name = wanted.name.as_str();
    if let Some(candidate) = universe.candidate(name, architecture) {
        let Some(version) = &wanted.version else { return Ok(candidate) };
        let versions: Vec<PackageId> =
            universe.named(name).filter(|&id| universe.architecture(id) == architecture).collect();
        let found = versions.iter().find(|&&id| universe.package(id).version() == version);
        return found.copied().ok_or_else(|| {
            let known: Vec<&str> = versions.iter().map(|&id| universe.package(id).version()).collect();
            format!("the archive has no `{wanted}`, only {name} {}", known.join(" and "))
        });
    }
    let mut providers: Vec<PackageId> = universe
        .providers(name)
        .map(|provider| provider.package)
        .filter(|&id| universe.architecture(id) == architecture && wanted.version.is_none())
        .filter(|&id| universe.candidate(universe.package(id).name(), architecture) == Some(id))
        .collect();
    providers.dedup();
    if let [provider] = providers[..] {
        return Ok(provider);
    }
    if !providers.is_empty() {
        let mut names: Vec<&str> = providers.iter().map(|&id| universe.package(id).name()).collect();
        names.dedup();
        return Err(format!("`{name}` is provided by {}; ask for one of them", names.join(", ")));
    }
    let mut elsewhere: Vec<&str> = universe.named(name).map(|id| universe.architecture(id)).collect();
    elsewhere.dedup();
    if !elsewhere.is_empty() {
        return Err(format!(
            "the archive has `{name}` for {}, not for {architecture}",
            elsewhere.join(" and ")
        ));
    }
    match universe.similar(name)[..] {
        [] => Err(format!("the archive has no package `{name}`")),
        [ref first @ .., last] => {
            let mut names: Vec<String> = first.iter().map(|name| format!("`{name}`")).collect();
            names.push(format!("`{last}`"));
            Err(format!("the archive has no package `{name}`; did you mean {}?", names.join(" or ")))
        }
    }
}

fn search(
    universe: &Universe,
    request: &Request,
    roots: &Roots,
    versions: Versions,
) -> Result<Solution, SolveError> {
    let archive = Archive::new(universe, versions, request.recommends, &roots.exact);
    let requirements = roots.packages.keys().map(|&id| archive.root_requirement(id).into()).collect();
    let mut solver = Solver::new(archive);
    match solver.solve(Problem::new().requirements(requirements)) {
        Ok(solvables) => {
            let chosen = solver.provider().packages(&solvables);
            Ok(Solution {
                packages: order::installation(solver.provider(), roots, &chosen, request.recommends),
            })
        }
        Err(UnsolvableOrCancelled::Unsolvable(conflict)) => match solver.provider().take_error() {
            Some(error) => Err(error),
            None => Err(SolveError::Unsatisfiable(explain::sentences(&conflict, &solver, request, roots))),
        },
        // Nothing here asks the solver to stop.
        Err(UnsolvableOrCancelled::Cancelled(_)) => Err(SolveError::Unsatisfiable(Vec::new())),
    }
}

#[cfg(test)]
mod tests;
