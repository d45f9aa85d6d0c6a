//! Says why nothing can be installed, as chains of relations from the request to what contradicts it.

use std::collections::{BTreeSet, VecDeque};

use resolvo::conflict::{Conflict, ConflictCause, ConflictEdge, ConflictGraph, ConflictNode};
use resolvo::{Requirement, Solver};

use super::provider::{Archive, RelationsOf};
use super::{Reason, Request, Roots};
use crate::depends::{Group, Qualifier, Relation};
use crate::packages::PackageId;

/// More ways than these tell a reader nothing new.
const MAX_SENTENCES: usize = 5;

type Node = usize;

struct Explainer<'a, 'b> {
    archive: &'b Archive<'a>,
    graph: ConflictGraph,
    request: &'b Request,
    roots: &'b Roots,
    /// For each node, from where and by which requirement it is reached first from the root.
    reached_by: Vec<Option<(Node, Requirement)>>,
    /// Nodes in the order in which they are reached.
    order: Vec<Node>,
}

/// One sentence for each contradiction, the shortest chain first.
pub(super) fn sentences(
    conflict: &Conflict,
    solver: &Solver<Archive<'_>>,
    request: &Request,
    roots: &Roots,
) -> Vec<String> {
    let graph = conflict.graph(solver);
    let mut explainer = Explainer {
        archive: solver.provider(),
        reached_by: vec![None; graph.graph.node_count()],
        graph,
        request,
        roots,
        order: Vec::new(),
    };
    explainer.reach();
    let mut sentences: Vec<String> = Vec::new();
    for &node in &explainer.order {
        for sentence in explainer.contradictions_at(node) {
            if !sentences.contains(&sentence) && sentences.len() < MAX_SENTENCES {
                sentences.push(sentence);
            }
        }
    }
    if sentences.is_empty() {
        sentences.push(format!("what {} needs cannot be installed together", request.requester));
    }
    sentences
}

impl Explainer<'_, '_> {
    fn package(&self, node: Node) -> Option<PackageId> {
        match self.graph.graph.node_weights().nth(node) {
            Some(ConflictNode::Solvable(solvable)) => self.archive.package_id(*solvable),
            _ => None,
        }
    }

    /// The edges out of `node`, in an order that does not depend on the solver's maps.
    fn edges(&self, node: Node) -> Vec<(Node, ConflictEdge)> {
        let graph = &self.graph.graph;
        let Some(index) = graph.node_indices().nth(node) else { return Vec::new() };
        let mut edges: Vec<(Node, ConflictEdge)> = graph
            .edge_indices()
            .filter_map(|edge| {
                let (source, target) = graph.edge_endpoints(edge)?;
                (source == index).then(|| (target.index(), graph[edge]))
            })
            .collect();
        edges.sort_by_key(|(target, _)| self.package(*target));
        edges
    }

    fn reach(&mut self) {
        let root = self.graph.root_node.index();
        let mut seen = BTreeSet::from([root]);
        let mut queue = VecDeque::from([root]);
        while let Some(node) = queue.pop_front() {
            self.order.push(node);
            for (target, edge) in self.edges(node) {
                if let ConflictEdge::Requires(requirement) = edge
                    && Some(target) != self.graph.unresolved_node.map(|node| node.index())
                    && seen.insert(target)
                {
                    self.reached_by[target] = Some((node, requirement));
                    queue.push_back(target);
                }
            }
        }
    }

    fn contradictions_at(&self, node: Node) -> Vec<String> {
        let unresolved = self.graph.unresolved_node.map(|node| node.index());
        let mut sentences = Vec::new();
        for (target, edge) in self.edges(node) {
            match edge {
                ConflictEdge::Requires(requirement) if Some(target) == unresolved => {
                    sentences.push(self.unresolved(node, requirement));
                }
                ConflictEdge::Conflict(
                    ConflictCause::Constrains(_) | ConflictCause::ForbidMultipleInstances,
                ) => {
                    sentences.extend(self.contradiction(node, target));
                }
                _ => {}
            }
        }
        sentences
    }

    /// `quickstart needs foo, foo 1.2 depends on bar (>= 3), the archive has only bar 2.1`
    fn unresolved(&self, node: Node, requirement: Requirement) -> String {
        let mut links = self.chain(node);
        let groups = match self.package(node) {
            Some(id) => self.groups(id, requirement),
            None => Vec::new(),
        };
        match groups.first() {
            Some((text, what_there_is)) => {
                let id = self.package(node).expect("only packages have groups");
                links.push(format!("{} depends on {text}", self.with_version(id)));
                links.push(what_there_is.clone());
            }
            None => links.push("which has no version that can be used".to_owned()),
        }
        links.join(", ")
    }

    /// `q needs a, a 1 conflicts with b (<< 2), q needs b`
    fn contradiction(&self, node: Node, target: Node) -> Option<String> {
        let (left, right) = (self.package(node)?, self.package(target)?);
        let universe = self.archive.universe;
        let mut links = self.chain(node);
        let (left_package, right_package) = (universe.package(left), universe.package(right));
        if universe.slot(left) == universe.slot(right) {
            links.push(format!(
                "only one of {} and {} can be installed",
                self.with_version(left),
                self.with_version(right)
            ));
        } else if left_package.name() == right_package.name() {
            links.push(format!(
                "{} cannot be installed for {} and {} at once",
                left_package.name(),
                universe.architecture(left),
                universe.architecture(right)
            ));
        } else {
            let relation = self.conflict_between(left, right)?;
            let other = self.with_version(right);
            let by_name = relation.split([' ', ':']).next() == Some(right_package.name());
            let which = if by_name { String::new() } else { format!(" (which {other} provides)") };
            links.push(format!("{} conflicts with {relation}{which}", self.with_version(left)));
        }
        let others = self.chain(target);
        links.extend(others.into_iter().filter(|link| !links.contains(link)).collect::<Vec<_>>());
        Some(links.join(", "))
    }

    /// The relations that lead from the request to `node`, the outermost first.
    fn chain(&self, node: Node) -> Vec<String> {
        let mut links = Vec::new();
        let mut node = node;
        while let Some((parent, requirement)) = self.reached_by[node] {
            links.push(match self.package(parent) {
                Some(id) => {
                    let text = self.groups(id, requirement).into_iter().next().map(|(text, _)| text);
                    format!("{} depends on {}", self.with_version(id), text.unwrap_or_default())
                }
                None => self.root_link(node),
            });
            node = parent;
        }
        links.reverse();
        links
    }

    fn root_link(&self, node: Node) -> String {
        let Some(id) = self.package(node) else { return format!("{} needs it", self.request.requester) };
        let universe = self.archive.universe;
        let slot = universe.slot(id);
        let reason =
            self.roots.packages.iter().find(|(root, _)| universe.slot(**root) == slot).map(|(_, r)| *r);
        let name = self.name(id);
        match reason {
            Some(Reason::Base) => format!("{name} is part of every base system"),
            _ => format!("{} needs {name}", self.request.requester),
        }
    }

    fn name(&self, id: PackageId) -> String {
        let universe = self.archive.universe;
        let (name, architecture) = (universe.package(id).name(), universe.architecture(id));
        if architecture == universe.native() { name.to_owned() } else { format!("{name}:{architecture}") }
    }

    fn with_version(&self, id: PackageId) -> String {
        format!("{} {}", self.name(id), self.archive.universe.package(id).version())
    }

    /// The relations of `id` that became `requirement`: as written, and what the archive has of it.
    fn groups(&self, id: PackageId, requirement: Requirement) -> Vec<(String, String)> {
        let universe = self.archive.universe;
        let architecture = universe.architecture(id);
        let relations = RelationsOf::read(&universe.package(id), architecture).unwrap_or_default();
        let groups = relations.needs.iter().chain(&relations.recommends);
        groups
            .filter(|group| self.archive.requirement(group, architecture) == requirement)
            .map(|group| {
                let text = group.iter().map(ToString::to_string).collect::<Vec<_>>().join(" | ");
                (text, self.what_there_is(group, architecture))
            })
            .collect()
    }

    fn what_there_is(&self, group: &Group<'_>, architecture: &str) -> String {
        let mut there: Vec<String> = Vec::new();
        for relation in group {
            there.push(self.what_there_is_of(relation, architecture));
        }
        there.dedup();
        there.join(" and ")
    }

    fn what_there_is_of(&self, relation: &Relation<'_>, architecture: &str) -> String {
        let universe = self.archive.universe;
        let any_version = Relation { version: None, ..relation.clone() };
        let named: Vec<PackageId> = universe.named(relation.name).collect();
        let versions: Vec<&str> = named
            .iter()
            .filter(|&&id| universe.is_target(id, &any_version, architecture))
            .map(|&id| universe.package(id).version())
            .collect();
        if !versions.is_empty() {
            return format!("the archive has only {} {}", relation.name, versions.join(" and "));
        }
        if !named.is_empty() {
            if relation.qualifier == Qualifier::Any {
                return format!("{} is not `Multi-Arch: allowed`", relation.name);
            }
            let mut architectures: Vec<&str> = named.iter().map(|&id| universe.architecture(id)).collect();
            architectures.dedup();
            return format!("the archive has {} only for {}", relation.name, architectures.join(" and "));
        }
        let mut providers: Vec<String> = universe
            .providers(relation.name)
            .map(|provider| match provider.version {
                Some(version) => format!("{} as {version}", self.with_version(provider.package)),
                None => self.with_version(provider.package),
            })
            .collect();
        providers.dedup();
        if providers.is_empty() {
            format!("the archive has no {}", relation.name)
        } else {
            format!("{} is provided only by {}", relation.name, providers.join(" and "))
        }
    }

    /// The relation by which `left` forbids `right`, as written.
    fn conflict_between(&self, left: PackageId, right: PackageId) -> Option<String> {
        let universe = self.archive.universe;
        let other = universe.package(right);
        let relations =
            RelationsOf::read(&universe.package(left), universe.architecture(left)).unwrap_or_default();
        let forbids = |relation: &&Relation<'_>| {
            let holds = |version: &str| {
                relation.version.is_none_or(|(operator, bound)| operator.accepts(version, bound))
            };
            if relation.name == other.name() {
                return holds(other.version());
            }
            universe.providers(relation.name).any(|provider| {
                provider.package == right
                    && (relation.version.is_none() || provider.version.is_some_and(holds))
            })
        };
        relations.conflicts.iter().find(forbids).map(ToString::to_string)
    }
}
