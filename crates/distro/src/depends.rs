//! The syntax of relations between packages: `a (>= 1) | b:any [amd64] <!nocheck>, c`.
//!
//! Reading is separate from what a relation means; which package satisfies one is decided by `solve`.
//! Everything borrows from the field's text (Debian Policy 7.1, deb-control(5), deb-src-control(5)).

use crate::version::Operator;

/// Alternatives, of which one must hold; never empty.
pub type Group<'a> = Vec<Relation<'a>>;

/// One alternative.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relation<'a> {
    /// The package, or what packages provide.
    pub name: &'a str,
    /// What follows the name after a colon.
    pub qualifier: Qualifier<'a>,
    /// The restriction of its version.
    pub version: Option<(Operator, &'a str)>,
    /// `[amd64 !i386]`: on which architectures the relation exists at all. Empty means everywhere.
    pub architectures: Vec<Restriction<'a>>,
    /// `<!nocheck> <stage1 cross>`: a disjunction of conjunctions of build profiles. Empty means always.
    pub profiles: Vec<Vec<Restriction<'a>>>,
}

/// Which architecture the target must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Qualifier<'a> {
    /// The one of the package that has the relation, unless the target is `Multi-Arch: foreign`.
    Same,
    /// `:any`, possible where the target is `Multi-Arch: allowed`.
    Any,
    /// `:native`, the architecture of the system.
    Native,
    /// `:arm64` and the like.
    Named(&'a str),
}

/// A name that must, or must not, hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restriction<'a> {
    /// An architecture or a build profile.
    pub name: &'a str,
    /// Written with `!`.
    pub negated: bool,
}

impl Relation<'_> {
    /// Whether the relation exists when building or installing for `architecture` with no build profile set.
    pub fn applies_to(&self, architecture: &str) -> bool {
        let architectures_hold = match self.architectures.first() {
            None => true,
            // Negated lists name the exceptions; a list may not mix both.
            Some(first) if first.negated => !self.architectures.iter().any(|a| matches(a.name, architecture)),
            Some(_) => self.architectures.iter().any(|a| matches(a.name, architecture)),
        };
        // With no profile active, a conjunction holds when every term of it is negated.
        let profiles_hold = self.profiles.is_empty()
            || self.profiles.iter().any(|terms| terms.iter().all(|term| term.negated));
        architectures_hold && profiles_hold
    }
}

impl std::fmt::Display for Relation<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)?;
        match self.qualifier {
            Qualifier::Same => {}
            Qualifier::Any => f.write_str(":any")?,
            Qualifier::Native => f.write_str(":native")?,
            Qualifier::Named(architecture) => write!(f, ":{architecture}")?,
        }
        match self.version {
            Some((operator, bound)) => write!(f, " ({} {bound})", operator.as_str()),
            None => Ok(()),
        }
    }
}

/// Why a field is no list of relations.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{problem} in relation `{relation}`")]
pub struct DependsError {
    /// The alternative that could not be read.
    pub relation: String,
    /// What is wrong with it.
    pub problem: &'static str,
}

/// Reads a whole field. Empty entries, which stray commas leave behind, are skipped as dpkg does.
pub fn parse(field: &str) -> Result<Vec<Group<'_>>, DependsError> {
    field.split(',').filter(|entry| !entry.trim_ascii().is_empty()).map(parse_group).collect()
}

/// Reads the alternatives of one entry.
pub fn parse_group(entry: &str) -> Result<Group<'_>, DependsError> {
    entry.split('|').map(parse_relation).collect()
}

/// Reads one alternative.
pub fn parse_relation(text: &str) -> Result<Relation<'_>, DependsError> {
    let error = |problem| DependsError { relation: text.trim_ascii().to_owned(), problem };
    let rest = text.trim_ascii();
    let name_length =
        rest.find(|c: char| c.is_ascii_whitespace() || "([<:".contains(c)).unwrap_or(rest.len());
    let (name, mut rest) = rest.split_at(name_length);
    if !is_package_name(name) {
        return Err(error("no package name"));
    }
    let mut relation = Relation {
        name,
        qualifier: Qualifier::Same,
        version: None,
        architectures: Vec::new(),
        profiles: Vec::new(),
    };
    if let Some(after) = rest.strip_prefix(':') {
        let length =
            after.find(|c: char| c.is_ascii_whitespace() || "([<".contains(c)).unwrap_or(after.len());
        let (qualifier, after) = after.split_at(length);
        if !is_architecture_name(qualifier) {
            return Err(error("no architecture after the colon"));
        }
        relation.qualifier = match qualifier {
            "any" => Qualifier::Any,
            "native" => Qualifier::Native,
            named => Qualifier::Named(named),
        };
        rest = after;
    }
    rest = rest.trim_ascii_start();
    if let Some(after) = rest.strip_prefix('(') {
        let (inside, after) = after.split_once(')').ok_or_else(|| error("no closing parenthesis"))?;
        relation.version = Some(parse_version(inside).map_err(error)?);
        rest = after.trim_ascii_start();
    }
    if let Some(after) = rest.strip_prefix('[') {
        let (inside, after) = after.split_once(']').ok_or_else(|| error("no closing bracket"))?;
        relation.architectures = parse_restrictions(inside).map_err(error)?;
        let negated = relation.architectures.iter().filter(|a| a.negated).count();
        if negated != 0 && negated != relation.architectures.len() {
            return Err(error("architectures with and without `!`"));
        }
        rest = after.trim_ascii_start();
    }
    while let Some(after) = rest.strip_prefix('<') {
        let (inside, after) = after.split_once('>').ok_or_else(|| error("no closing angle bracket"))?;
        relation.profiles.push(parse_restrictions(inside).map_err(error)?);
        rest = after.trim_ascii_start();
    }
    if rest.is_empty() { Ok(relation) } else { Err(error("unexpected text at the end")) }
}

fn parse_version(inside: &str) -> Result<(Operator, &str), &'static str> {
    let inside = inside.trim_ascii();
    let length = inside.find(|c| !"<=>".contains(c)).unwrap_or(inside.len());
    let (operator, version) = inside.split_at(length);
    let operator = match operator {
        "<<" => Operator::Earlier,
        "<=" | "<" => Operator::EarlierOrEqual,
        "=" | "" => Operator::Equal,
        ">=" | ">" => Operator::LaterOrEqual,
        ">>" => Operator::Later,
        _ => return Err("unknown operator"),
    };
    let version = version.trim_ascii();
    if version.is_empty() || version.contains(|c: char| c.is_ascii_whitespace()) {
        return Err("no single version after the operator");
    }
    Ok((operator, version))
}

fn parse_restrictions(inside: &str) -> Result<Vec<Restriction<'_>>, &'static str> {
    let restrictions: Vec<_> = inside
        .split_ascii_whitespace()
        .map(|word| match word.strip_prefix('!') {
            Some(name) => Restriction { name, negated: true },
            None => Restriction { name: word, negated: false },
        })
        .collect();
    if restrictions.is_empty() || restrictions.iter().any(|restriction| restriction.name.is_empty()) {
        return Err("an empty restriction");
    }
    Ok(restrictions)
}

/// Whether `pattern`, a name or a wildcard such as `any`, `linux-any` or `any-amd64`, means `architecture`.
///
/// Architectures with an operating system in their name (`hurd-i386`) are told from Linux by it.
fn matches(pattern: &str, architecture: &str) -> bool {
    let (system, cpu) = architecture.split_once('-').unwrap_or(("linux", architecture));
    match pattern.split_once('-') {
        None => pattern == "any" || pattern == architecture,
        Some(("any", pattern_cpu)) => pattern_cpu == "any" || pattern_cpu == cpu,
        Some((pattern_system, "any")) => pattern_system == system,
        Some(_) => pattern == architecture,
    }
}

/// Whether `name` may name a package, Policy 5.6.7; also what keeps it harmless as part of a path.
///
/// Capital letters are let pass, as dpkg does.
pub fn is_package_name(name: &str) -> bool {
    name.len() >= 2
        && name.as_bytes()[0].is_ascii_alphanumeric()
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'))
}

/// Whether `name` may name an architecture.
pub fn is_architecture_name(name: &str) -> bool {
    !name.is_empty()
        && name.as_bytes()[0].is_ascii_alphanumeric()
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(field: &str, expected: &str) {
        let rendered = match parse(field) {
            Ok(groups) => groups
                .iter()
                .map(|group| group.iter().map(ToString::to_string).collect::<Vec<_>>().join(" | "))
                .collect::<Vec<_>>()
                .join(", "),
            Err(error) => error.to_string(),
        };
        assert_eq!(rendered, expected);
    }

    #[test]
    fn alternatives_versions_and_qualifiers() {
        check(
            "libc6 (>= 2.36), default-mta|mail-transport-agent,\n python3:any (>>3.11~) , gcc:amd64(<<13)",
            "libc6 (>= 2.36), default-mta | mail-transport-agent, python3:any (>> 3.11~), gcc:amd64 (<< 13)",
        );
    }

    #[test]
    fn obsolete_operators_include_equality() {
        check("ab (< 1), ab (> 1), ab (1)", "ab (<= 1), ab (>= 1), ab (= 1)");
    }

    #[test]
    fn stray_commas_are_skipped() {
        check(" , aa ,, bb,", "aa, bb");
        check("", "");
    }

    #[test]
    fn what_is_no_relation_is_refused() {
        check("aa (>= 1", "no closing parenthesis in relation `aa (>= 1`");
        check("aa (=> 1)", "unknown operator in relation `aa (=> 1)`");
        check("aa (>= )", "no single version after the operator in relation `aa (>= )`");
        check("aa bb", "unexpected text at the end in relation `aa bb`");
        check("aa | ", "no package name in relation ``");
        check("../x", "no package name in relation `../x`");
        check("aa: (>= 1)", "no architecture after the colon in relation `aa: (>= 1)`");
        check("aa [amd64 !i386]", "architectures with and without `!` in relation `aa [amd64 !i386]`");
        check("aa []", "an empty restriction in relation `aa []`");
        check("aa [amd64", "no closing bracket in relation `aa [amd64`");
        check("aa <!nocheck", "no closing angle bracket in relation `aa <!nocheck`");
    }

    #[track_caller]
    fn check_applies(relation: &str, applies: &[&str], not: &[&str]) {
        let relation = parse_relation(relation).unwrap();
        for architecture in applies {
            assert!(relation.applies_to(architecture), "{relation:?} on {architecture}");
        }
        for architecture in not {
            assert!(!relation.applies_to(architecture), "{relation:?} on {architecture}");
        }
    }

    #[test]
    fn architecture_restrictions() {
        check_applies("aa [amd64 arm64]", &["amd64", "arm64"], &["i386"]);
        check_applies("aa (>= 1) [!amd64 !i386]", &["arm64"], &["amd64", "i386"]);
        check_applies("aa [linux-any]", &["amd64"], &["hurd-i386", "kfreebsd-amd64"]);
        check_applies("aa [any-i386]", &["i386", "hurd-i386"], &["amd64"]);
        check_applies("aa [any]", &["amd64", "hurd-i386"], &[]);
    }

    #[test]
    fn no_build_profile_is_active() {
        check_applies("aa <!nocheck>", &["amd64"], &[]);
        check_applies("aa <!nocheck !cross> <stage1>", &["amd64"], &[]);
        check_applies("aa <stage1>", &[], &["amd64"]);
        check_applies("aa:native [amd64] <!nocheck stage1>", &[], &["amd64", "arm64"]);
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[a-z0-9 ,|()<>=!:\\[\\]é.]{0,60}") {
            let _ = parse(&text);
        }

        #[test]
        fn what_is_written_reads_the_same(text in "[a-z]{2,4}(:any|:arm64)?( \\((<<|<=|=|>=|>>) [0-9][0-9.~]{0,3}\\))?") {
            prop_assert_eq!(parse_relation(&text).unwrap().to_string(), text);
        }
    }
}
