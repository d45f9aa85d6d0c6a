//! Small archives, written as text, and what is chosen from them.

use proptest::prelude::*;
use sha2::{Digest, Sha256};

use super::*;
use crate::packages::{Index, Part};

/// A package a line: `name version [architecture]; Field: value; Field: value`.
fn universe(archive: &str) -> Universe {
    universe_of(archive.lines().map(str::to_owned).collect())
}

fn universe_of(lines: Vec<String>) -> Universe {
    let mut text = String::new();
    for line in lines.iter().map(|line| line.trim()).filter(|line| !line.is_empty()) {
        let mut fields = line.split(';');
        let mut head = fields.next().unwrap().split_whitespace();
        let (name, version) = (head.next().unwrap(), head.next().unwrap());
        let architecture = head.next().unwrap_or("amd64");
        text += &format!("Package: {name}\nVersion: {version}\nArchitecture: {architecture}\n");
        text += &format!("Filename: pool/{name}_{version}_{architecture}.deb\nSize: 1\n");
        text += &format!(
            "SHA256: {:x}\n",
            Sha256::digest(line).iter().fold(0u128, |all, &b| all << 4 ^ u128::from(b))
        );
        for field in fields {
            text += field.trim();
            text += "\n";
        }
        text += "\n";
    }
    let part = Part { index: Index::parse(text).unwrap(), suite: "bookworm".into(), priority: 500 };
    Universe::new("amd64", vec![part]).unwrap()
}

fn request(wanted: &str) -> Request {
    Request {
        requester: "quickstart".into(),
        wanted: wanted.split_whitespace().map(|word| word.parse().unwrap()).collect(),
        base: Base::Nothing,
        recommends: Recommends::Ignore,
        relations: Relations::Follow,
    }
}

fn render(universe: &Universe, result: Result<Solution, SolveError>) -> String {
    match result {
        Ok(solution) => solution
            .packages
            .iter()
            .map(|chosen| {
                let package = universe.package(chosen.id);
                match universe.architecture(chosen.id) {
                    "amd64" => format!("{}={}", package.name(), package.version()),
                    other => format!("{}:{other}={}", package.name(), package.version()),
                }
            })
            .collect::<Vec<_>>()
            .join(" "),
        Err(error) => format!("error: {error}"),
    }
}

#[track_caller]
fn check_request(archive: &str, request: &Request, expected: &str) {
    let universe = universe(archive);
    assert_eq!(render(&universe, solve(&universe, request)), expected);
    // The same archive backwards.
    let mut lines: Vec<String> = archive.lines().map(str::to_owned).collect();
    lines.reverse();
    let backwards = universe_of(lines);
    assert_eq!(render(&backwards, solve(&backwards, request)), expected, "with the archive backwards");
}

#[track_caller]
fn check(archive: &str, wanted: &str, expected: &str) {
    check_request(archive, &request(wanted), expected);
}

#[test]
fn dependencies_come_along_and_first() {
    check("aa 1; Depends: bb (>= 2), cc\n bb 2; Pre-Depends: cc\n cc 1\n dd 1", "aa", "cc=1 bb=2 aa=1");
}

#[test]
fn the_newest_version_is_preferred_and_older_ones_are_a_last_resort() {
    let archive = "aa 1\n aa 2\n bb 1; Depends: aa (<< 2)\n cc 1; Depends: aa";
    check(archive, "cc", "aa=2 cc=1");
    check(archive, "bb", "aa=1 bb=1");
    check(archive, "aa=1 cc", "aa=1 cc=1");
}

#[test]
fn the_first_alternative_is_taken_unless_another_is_there_anyway() {
    let archive = "aa 1; Depends: xx | yy\n xx 1\n yy 1\n bb 1; Depends: yy";
    check(archive, "aa", "xx=1 aa=1");
    check(archive, "aa bb", "yy=1 aa=1 bb=1");
    check(archive, "aa yy", "yy=1 aa=1");
}

#[test]
fn alternatives_are_skipped_when_they_lead_nowhere() {
    check("aa 1; Depends: xx | yy\n xx 1; Depends: missing\n yy 1", "aa", "yy=1 aa=1");
    check("aa 1; Depends: xx | yy\n xx 1; Conflicts: aa\n yy 1", "aa", "yy=1 aa=1");
}

#[test]
fn virtual_packages_are_provided() {
    let archive = "aa 1; Depends: mta\n exim 4; Provides: mta; Priority: standard\n courier 1; Provides: mta";
    check(archive, "aa", "exim=4 aa=1");
    check(archive, "aa courier", "courier=1 aa=1");
    // A package of that name before those that provide it.
    check("aa 1; Depends: awk\n awk 1\n mawk 1; Provides: awk; Priority: required", "aa", "awk=1 aa=1");
}

#[test]
fn many_packages_may_need_what_many_provide() {
    let universe = universe_of((0..2000).map(|n| format!("pp{n} 1; Provides: virt")).collect());
    let archive = provider::Archive::new(&universe, Versions::Preferred, Recommends::Ignore, &[]);
    let group = crate::depends::parse_group("pp7 | virt").unwrap();
    let first = archive.requirement(&group, "amd64");
    for _ in 0..2000 {
        assert!(archive.requirement(&group, "amd64") == first);
    }
    let names = archive.satisfying(&group, "amd64").into_iter().map(|id| universe.package(id).name());
    let names: Vec<&str> = names.collect();
    assert_eq!(names.len(), 2000);
    assert_eq!(names[..4], ["pp7", "pp0", "pp1", "pp10"]);
}

#[test]
fn versioned_provides_satisfy_versioned_relations() {
    check(
        "aa 1; Depends: api (>= 2)\n old 1; Provides: api\n new 1; Provides: api (= 3)",
        "aa",
        "new=1 aa=1",
    );
    check(
        "aa 1; Depends: api (>= 2)\n old 1; Provides: api (= 1)",
        "aa",
        "error: quickstart needs aa, aa 1 depends on api (>= 2), api is provided only by old 1 as 1",
    );
}

#[test]
fn conflicts_and_breaks_are_kept() {
    let archive = "aa 1; Depends: bb | cc\n bb 1; Breaks: dd (<< 2)\n cc 1\n dd 1\n ee 3; Conflicts: aa";
    check(archive, "aa dd", "cc=1 aa=1 dd=1");
    check(archive, "bb dd", "error: quickstart needs bb, bb 1 conflicts with dd (<< 2), quickstart needs dd");
    check(archive, "aa ee", "error: quickstart needs ee, ee 3 conflicts with aa, quickstart needs aa");
}

#[test]
fn a_package_does_not_conflict_with_what_it_provides_itself() {
    let archive = "exim 4; Provides: mta; Conflicts: mta\n postfix 3; Provides: mta; Conflicts: mta";
    check(archive, "exim", "exim=4");
    check(
        archive,
        "exim postfix",
        "error: quickstart needs postfix, postfix 3 conflicts with mta (which exim 4 provides), quickstart needs exim",
    );
}

#[test]
fn the_chain_is_named() {
    check(
        "foo 1.2; Depends: bar (>= 3)\n bar 2.1",
        "foo",
        "error: quickstart needs foo, foo 1.2 depends on bar (>= 3), the archive has only bar 2.1",
    );
    check(
        "aa 1; Depends: bb\n bb 2; Depends: cc | dd (>= 2)\n dd 1",
        "aa",
        "error: quickstart needs aa, aa 1 depends on bb, bb 2 depends on cc | dd (>= 2), \
         the archive has no cc and the archive has only dd 1",
    );
}

#[test]
fn unknown_names_get_a_suggestion() {
    let archive =
        "busybox-static 1\n busybox 1\n libfoo 1 arm64\n mawk 1; Provides: awk\n gawk 1; Provides: awk, only";
    check(archive, "busyboy", "error: the archive has no package `busyboy`; did you mean `busybox`?");
    check(archive, "zzz", "error: the archive has no package `zzz`");
    check(archive, "libfoo", "error: the archive has `libfoo` for arm64, not for amd64");
    check(archive, "awk", "error: `awk` is provided by gawk, mawk; ask for one of them");
    check(archive, "only", "gawk=1");
    check(archive, "mawk=2", "error: the archive has no `mawk=2`, only mawk 1");
    check(
        archive,
        "zzz busyboy",
        "error: the archive has no package `busyboy`; did you mean `busybox`?; the archive has no package `zzz`",
    );
}

#[test]
fn foreign_packages_are_packages_of_their_architecture() {
    let archive = "box 1\n box 1 arm64\n app 1 arm64; Depends: lib, tool, any:any\n lib 1; Multi-Arch: same\n \
                   lib 1 arm64; Multi-Arch: same\n tool 1; Multi-Arch: foreign\n any 1; Multi-Arch: allowed";
    check(archive, "box:arm64", "box:arm64=1");
    check(archive, "app:arm64", "lib:arm64=1 tool=1 any=1 app:arm64=1");
    check(archive, "app:arm64 lib", "lib:arm64=1 tool=1 any=1 app:arm64=1 lib=1");
    check(
        archive,
        "box box:arm64",
        "error: quickstart needs box:arm64, box cannot be installed for arm64 and amd64 at once, quickstart needs box",
    );
}

#[test]
fn the_same_library_for_two_architectures_has_one_version() {
    let archive = "lib 2; Multi-Arch: same\n lib 1; Multi-Arch: same\n lib 1 arm64; Multi-Arch: same";
    check(archive, "lib lib:arm64", "lib=1 lib:arm64=1");
}

#[test]
fn the_base_is_added() {
    let archive =
        "base 1; Essential: yes; Depends: libc\n libc 1\n tools 1; Priority: required\n apt 1\n aa 1";
    let with = |base| Request { base, ..request("aa") };
    check_request(archive, &with(Base::Nothing), "aa=1");
    check_request(archive, &with(Base::Essential), "libc=1 base=1 aa=1");
    check_request(archive, &with(Base::Minbase), "libc=1 base=1 apt=1 tools=1 aa=1");
}

#[test]
fn recommendations_are_followed_on_request_and_never_in_the_way() {
    let archive = "aa 1; Depends: bb; Recommends: cc, missing, dd | ee\n bb 1; Conflicts: cc\n cc 1\n ee 1; Recommends: ff\n ff 1";
    check(archive, "aa", "bb=1 aa=1");
    let follow = Request { recommends: Recommends::Follow, ..request("aa") };
    check_request(archive, &follow, "bb=1 aa=1 ee=1 ff=1");
}

#[test]
fn relations_can_be_ignored() {
    let ignore = Request { relations: Relations::Ignore, ..request("aa:arm64") };
    check_request("aa 1 arm64; Depends: missing", &ignore, "aa:arm64=1");
}

#[test]
fn reasons_are_the_nearest() {
    let universe =
        universe("aa 1; Depends: bb\n bb 1; Depends: cc\n cc 1\n dd 1; Depends: cc; Recommends: ee\n ee 1");
    let follow = Request { recommends: Recommends::Follow, ..request("aa dd") };
    let solution = solve(&universe, &follow).unwrap();
    let name = |id| universe.package(id).name();
    let reasons: Vec<String> = solution
        .packages
        .iter()
        .map(|chosen| match chosen.reason {
            Reason::Wanted => format!("{} wanted", name(chosen.id)),
            Reason::Base => format!("{} base", name(chosen.id)),
            Reason::NeededBy(by) => format!("{} needed by {}", name(chosen.id), name(by)),
            Reason::RecommendedBy(by) => format!("{} recommended by {}", name(chosen.id), name(by)),
        })
        .collect();
    assert_eq!(
        reasons.join(", "),
        "cc needed by dd, bb needed by aa, aa wanted, dd wanted, ee recommended by dd"
    );
}

#[test]
fn an_unreadable_relation_matters_only_where_it_is_needed() {
    let archive = "aa 1; Depends: bb | cc\n bb 1; Depends: x y\n cc 1";
    check(archive, "aa", "cc=1 aa=1");
    let universe = universe(archive);
    let error = solve(&universe, &request("bb")).unwrap_err();
    assert_eq!(error.to_string(), "could not read the relations of package `bb 1`");
}

#[test]
fn what_is_wanted_is_read() {
    for text in ["aa", "aa:arm64", "aa=1:2-3", "aa:arm64=1~2"] {
        assert_eq!(text.parse::<Wanted>().unwrap().to_string(), text);
    }
    for text in ["", "a b", "aa:", "aa=", "../aa", "aa=1/2", "aa:ARM"] {
        assert!(text.parse::<Wanted>().is_err(), "{text}");
    }
}

/// Every relation of every chosen package holds.
fn assert_consistent(universe: &Universe, solution: &Solution) {
    let ids: Vec<PackageId> = solution.packages.iter().map(|chosen| chosen.id).collect();
    for &id in &ids {
        let package = universe.package(id);
        for group in depends::parse(package.depends()).unwrap() {
            let holds = group.iter().any(|relation| {
                ids.iter().any(|&other| {
                    universe.package(other).name() == relation.name
                        && universe.is_target(other, relation, "amd64")
                })
            });
            assert!(holds, "{} {}: {group:?}", package.name(), package.version());
        }
        for relation in depends::parse(package.conflicts()).unwrap().into_iter().flatten() {
            let broken = ids.iter().any(|&other| {
                other != id
                    && universe.package(other).name() == relation.name
                    && universe.is_target(other, &relation, "amd64")
            });
            assert!(!broken, "{} {}: {relation:?}", package.name(), package.version());
        }
    }
}

fn any_relation() -> impl Strategy<Value = String> {
    (0..8u8, prop_oneof![Just("<<"), Just("<="), Just("="), Just(">="), Just(">>")], 1..4u8, any::<bool>())
        .prop_map(|(name, operator, version, bare)| match bare {
            true => format!("p{name}"),
            false => format!("p{name} ({operator} {version})"),
        })
}

fn any_package() -> impl Strategy<Value = String> {
    let alternatives = || proptest::collection::vec(any_relation(), 1..3).prop_map(|all| all.join(" | "));
    let depends = proptest::collection::vec(alternatives(), 0..3).prop_map(|all| all.join(", "));
    let conflicts = proptest::collection::vec(any_relation(), 0..2).prop_map(|all| all.join(", "));
    (0..8u8, 1..4u8, depends, conflicts).prop_map(|(name, version, depends, conflicts)| {
        format!("p{name} {version}; Depends: {depends}; Conflicts: {conflicts}")
    })
}

proptest! {
    #[test]
    fn solutions_are_consistent_and_independent_of_order(
        lines in proptest::collection::vec(any_package(), 1..20).prop_shuffle(),
        seed in any::<u64>(),
    ) {
        let first = universe_of(lines.clone());
        let wanted = first.package(PackageId(0)).name().to_owned();
        let result = solve(&first, &request(&wanted));
        if let Ok(solution) = &result {
            assert_consistent(&first, solution);
        }
        let mut shuffled = lines;
        let length = shuffled.len();
        for idx in 0..length {
            shuffled.swap(idx, (seed as usize).wrapping_mul(idx + 7) % length);
        }
        let second = universe_of(shuffled);
        prop_assert_eq!(render(&first, result), render(&second, solve(&second, &request(&wanted))));
    }
}
