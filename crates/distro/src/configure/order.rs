//! In which order maintainer scripts run.
//!
//! All packages are unpacked when configuring begins; dpkg sorts out the order of the `postinst` scripts by
//! itself. What it cannot know is when a `preinst` script would have run: after the Essential packages
//! worked, and after its own Pre-Depends did (Policy 3.8, 7.2).

use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// What the order depends on.
#[derive(Debug, Clone, Default)]
pub(super) struct Candidate {
    /// The package's name.
    pub(super) name: String,
    /// The names that it provides.
    pub(super) provides: Vec<String>,
    /// Whether it must work before anything else may run scripts.
    pub(super) is_essential: bool,
    /// Whether it has a `preinst` script.
    pub(super) has_preinst: bool,
    /// The names of its Pre-Depends: all of the outer, one of the inner lists.
    pub(super) pre_depends: Vec<Vec<String>>,
    /// The names of its Depends likewise.
    pub(super) depends: Vec<Vec<String>>,
}

/// One step; numbers are indices of candidates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Runs the package's `preinst install`.
    Preinst(usize),
    /// Has dpkg configure these packages, whose dependencies are among them or configured. Triggers may wait.
    Configure(Vec<usize>),
    /// Has dpkg configure all that is left and process all triggers.
    ConfigureAll,
}

/// Returns the names in a field such as Depends, without versions and architectures.
pub(super) fn names(relations: &str) -> Vec<Vec<String>> {
    let name = |alternative: &str| {
        let end = alternative.find(|c: char| c.is_whitespace() || "(:[<".contains(c));
        alternative[..end.unwrap_or(alternative.len())].to_owned()
    };
    relations
        .split(',')
        .map(|group| {
            group.split('|').map(|one| name(one.trim_ascii())).filter(|name| !name.is_empty()).collect()
        })
        .filter(|group: &Vec<String>| !group.is_empty())
        .collect()
}

/// Returns the steps for `candidates`, which come in an order in which they can be installed. The first `n_configured`
/// of them are configured already.
pub(super) fn steps(candidates: &[Candidate], n_configured: usize) -> Vec<Step> {
    let mut planner = Planner::new(candidates, n_configured);
    let essential = (0..candidates.len()).filter(|idx| candidates[*idx].is_essential);
    let essential = planner.closure(essential);
    // The users and groups that everything else gives files to.
    let (first, rest): (Vec<usize>, Vec<usize>) =
        essential.iter().partition(|idx| ["base-passwd", "base-files"].contains(&&*candidates[**idx].name));
    for idx in first.into_iter().rev().chain(rest) {
        planner.run_preinst(idx);
    }
    let others: Vec<usize> = (0..candidates.len())
        .filter(|idx| candidates[*idx].has_preinst && !planner.started.contains(idx))
        .filter(|idx| !essential.contains(idx))
        .collect();
    if !others.is_empty() && !essential.is_empty() {
        planner.configure(essential);
    }
    for idx in others {
        planner.preinst_after_its_needs(idx, &mut BTreeSet::new());
    }
    planner.steps.push(Step::ConfigureAll);
    planner.steps
}

struct Planner<'a> {
    candidates: &'a [Candidate],
    /// Those of every architecture: which of them is meant is dpkg's knowledge, and more than needed does no harm.
    by_name: BTreeMap<&'a str, Vec<usize>>,
    configured: BTreeSet<usize>,
    started: BTreeSet<usize>,
    steps: Vec<Step>,
}

impl<'a> Planner<'a> {
    fn new(candidates: &'a [Candidate], n_configured: usize) -> Planner<'a> {
        let mut by_name: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (idx, candidate) in candidates.iter().enumerate() {
            by_name.entry(&candidate.name).or_default().push(idx);
        }
        for (idx, candidate) in candidates.iter().enumerate() {
            for provided in &candidate.provides {
                // A package of that name is preferred to one that provides it.
                by_name.entry(provided).or_insert_with(|| vec![idx]);
            }
        }
        let configured: BTreeSet<usize> = (0..n_configured).collect();
        let started = configured.clone();
        Planner { candidates, by_name, configured, started, steps: Vec::new() }
    }

    /// Returns the packages that fulfil each of `groups`: all that have the first name which is there.
    fn find<'b>(&'b self, groups: &'b [Vec<String>]) -> impl Iterator<Item = usize> + 'b {
        let found = |group: &'b Vec<String>| group.iter().find_map(|name| self.by_name.get(name.as_str()));
        groups.iter().filter_map(found).flatten().copied()
    }

    /// Returns `roots` and all that they need to be configured, in the candidates' order.
    fn closure(&self, roots: impl Iterator<Item = usize>) -> BTreeSet<usize> {
        let mut found = BTreeSet::new();
        let mut queue: VecDeque<usize> = roots.collect();
        while let Some(idx) = queue.pop_front() {
            if found.insert(idx) {
                let candidate = &self.candidates[idx];
                queue.extend(self.find(&candidate.pre_depends).chain(self.find(&candidate.depends)));
            }
        }
        found
    }

    fn run_preinst(&mut self, idx: usize) {
        if self.started.insert(idx) && self.candidates[idx].has_preinst {
            self.steps.push(Step::Preinst(idx));
        }
    }

    fn configure(&mut self, packages: BTreeSet<usize>) {
        let new: Vec<usize> = packages.into_iter().filter(|idx| self.configured.insert(*idx)).collect();
        if !new.is_empty() {
            self.steps.push(Step::Configure(new));
        }
    }

    /// Configures what `idx` pre-depends on, then runs its script. `above` are those that wait for this; a
    /// circle among them is broken where it closes, as dpkg does it.
    fn preinst_after_its_needs(&mut self, idx: usize, above: &mut BTreeSet<usize>) {
        if self.started.contains(&idx) || !above.insert(idx) {
            return;
        }
        let needs = self.closure(self.find(&self.candidates[idx].pre_depends));
        let missing: BTreeSet<usize> = needs.difference(&self.configured).copied().collect();
        for need in missing.iter().filter(|need| self.candidates[**need].has_preinst) {
            self.preinst_after_its_needs(*need, above);
        }
        let missing: BTreeSet<usize> =
            missing.into_iter().filter(|need| *need != idx && !self.configured.contains(need)).collect();
        if !missing.is_empty() {
            self.configure(missing);
        }
        self.run_preinst(idx);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A package per line: `name` with `!` if essential, `*` if it has a preinst, then `pre: …; dep: …; pro: …`.
    fn read(text: &str) -> Vec<Candidate> {
        let line = |line: &str| {
            let (head, fields) = line.split_once(' ').unwrap_or((line, ""));
            let field = |key: &str| {
                fields.split(';').find_map(|field| field.trim().strip_prefix(key)).unwrap_or_default().trim()
            };
            Candidate {
                name: head.trim_end_matches(['!', '*']).to_owned(),
                provides: names(field("pro:")).concat(),
                is_essential: head.contains('!'),
                has_preinst: head.contains('*'),
                pre_depends: names(field("pre:")),
                depends: names(field("dep:")),
            }
        };
        text.lines().map(str::trim).filter(|line| !line.is_empty()).map(line).collect()
    }

    #[track_caller]
    fn check(packages: &str, expected: &str) {
        check_on_top(0, packages, expected);
    }

    #[track_caller]
    fn check_on_top(n_configured: usize, packages: &str, expected: &str) {
        let candidates = read(packages);
        let step = |step: &Step| match step {
            Step::Preinst(idx) => format!("{}.preinst", candidates[*idx].name),
            Step::Configure(set) => {
                let names: Vec<&str> = set.iter().map(|idx| candidates[*idx].name.as_str()).collect();
                format!("configure({})", names.join(" "))
            }
            Step::ConfigureAll => "configure-all".to_owned(),
        };
        let rendered: Vec<String> = steps(&candidates, n_configured).iter().map(step).collect();
        assert_eq!(rendered.join(", "), expected);
    }

    #[test]
    fn names_in_relations() {
        assert_eq!(
            names("libc6 (>= 2.34), debconf (>= 0.5) | debconf-2.0 , python3:any <!nocheck>, x [amd64],"),
            [vec!["libc6"], vec!["debconf", "debconf-2.0"], vec!["python3"], vec!["x"]]
        );
        assert!(names("").is_empty());
    }

    #[test]
    fn without_scripts_dpkg_does_it_all() {
        check("libc\nbash! dep: libc\ntool", "configure-all");
        check("", "configure-all");
    }

    #[test]
    fn essential_packages_work_before_the_scripts_of_others() {
        check(
            "libc*\nbase-files!*\nbase-passwd!*\nbash! pre: libc\ntool*\nother",
            "base-passwd.preinst, base-files.preinst, libc.preinst, configure(libc base-files base-passwd bash), \
             tool.preinst, configure-all",
        );
    }

    #[test]
    fn pre_depends_are_configured_first() {
        check(
            "bash!\nmini dep: lib\nlib* pre: deep\ndeep\npython* pre: mini | x\nlast* pre: virtual\nreal pro: virtual",
            "configure(bash), configure(deep), lib.preinst, configure(mini lib), python.preinst, configure(real), \
             last.preinst, configure-all",
        );
    }

    #[test]
    fn packages_of_all_architectures_are_meant() {
        check("libc\nlibc\nbash! dep: libc\ntool*", "configure(libc libc bash), tool.preinst, configure-all");
    }

    #[test]
    fn what_is_configured_stays() {
        check_on_top(3, "libc*\nbash! dep: libc\ndeep\nlast* pre: deep", "last.preinst, configure-all");
        check_on_top(
            1,
            "libc*\nlib pre: libc\nlast* pre: lib",
            "configure(lib), last.preinst, configure-all",
        );
        check_on_top(1, "bash!", "configure-all");
    }

    #[test]
    fn circles_end() {
        check("a* pre: b\nb* pre: a", "configure(a), b.preinst, configure(b), a.preinst, configure-all");
    }
}
