//! Whether a configuration is what was asked for; where it is not, why.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use kconfig::{Kconfig, Values, Verdict};

use crate::Error;
use crate::spec::{ContractSpec, Linux, Rule};

/// Checks every rule and that nothing random would be compiled in. Leaves an empty `kept` in the directory `out`.
///
/// Fails with all rules that do not hold, each with the dependency that is not met and where the rule is.
pub fn check(spec: &ContractSpec, out: &Path) -> Result<(), Error> {
    let text = fs::read_to_string(&spec.config).map_err(Error::io("read", &spec.config))?;
    let values = Values::parse(&text);
    let mut broken = Vec::new();
    // A symbol that exists may be absent, too, because what it depends on is.
    let absent: Vec<_> = spec.named.iter().filter(|named| values.get(&named.symbol).is_none()).collect();
    if !absent.is_empty() || spec.rules.iter().any(|rule| !holds(&values, rule)) {
        // Reading thousands of files is for those who have a question.
        let kconfig = Kconfig::load(&spec.linux.source, "Kconfig", &variables(&spec.linux))?;
        for rule in &spec.rules {
            let verdict = kconfig.explain(&values, &rule.symbol, &rule.value);
            if !matches!(verdict, Verdict::Holds) {
                broken.push(format!("{}={}: {verdict} ({})", rule.symbol, rule.value, rule.place));
            }
        }
        for named in absent {
            let verdict = kconfig.explain(&values, &named.symbol, "y");
            if matches!(verdict, Verdict::UnknownSymbol { .. }) {
                broken.push(format!("{}: {verdict} ({})", named.symbol, named.place));
            }
        }
    }
    broken.extend(random_key(&values));
    broken.extend(random_layout(&values, &spec.linux.source));
    if !broken.is_empty() {
        return Err(Error::Contract(broken));
    }
    let kept = out.join("kept");
    fs::write(&kept, "").map_err(Error::io("write", &kept))
}

fn holds(values: &Values, rule: &Rule) -> bool {
    values.get(&rule.symbol).unwrap_or("n") == rule.value
}

/// Says what is wrong when the build would sign modules with a key that it makes itself: another one each time.
fn random_key(values: &Values) -> Option<String> {
    let is_on = |symbol: &str| values.get(symbol) == Some("y");
    let key = values.get("MODULE_SIG_KEY").unwrap_or_default().trim_matches('"');
    let is_made = key.is_empty() || key == "certs/signing_key.pem";
    let by =
        ["MODULE_SIG", "IMA_APPRAISE_MODSIG"].into_iter().find(|symbol| is_on(symbol)).filter(|_| is_made)?;
    if by == "IMA_APPRAISE_MODSIG" && !is_on("MODULES") {
        return None;
    }
    Some(format!(
        "{by}=y: modules would be signed with a key that is made anew in every build, so no two builds would be the same; \
         set {by}=n, or MODULE_SIG_KEY to a key of yours"
    ))
}

/// Says what is wrong when the build would shuffle the members of structures by a seed that it draws itself.
fn random_layout(values: &Values, source: &Path) -> Option<String> {
    let all = [
        ("RANDSTRUCT", "RANDSTRUCT_NONE=y", "scripts/gen-randstruct-seed.sh"),
        ("GCC_PLUGIN_RANDSTRUCT", "GCC_PLUGIN_RANDSTRUCT=n", "scripts/gcc-plugins/gen-random-seed.sh"),
    ];
    let (by, none, script) = all.into_iter().find(|(symbol, ..)| values.get(symbol) == Some("y"))?;
    // Patched, it may have a seed of its own.
    let draws =
        fs::read_to_string(source.join(script)).map_or(true, |script| script.contains("/dev/urandom"));
    if !draws {
        return None;
    }
    Some(format!(
        "{by}=y: structures would be laid out by a seed that is drawn anew in every build, so no two builds would be the \
         same; set {none}, or have a patch give `{script}` a seed of yours"
    ))
}

/// What the Kconfig files expect to find in the environment.
fn variables(linux: &Linux) -> BTreeMap<String, String> {
    let arch = linux.arch;
    let source = linux.source.display().to_string();
    [
        ("ARCH", arch.linux()),
        ("SRCARCH", arch.directory()),
        ("srctree", source.as_str()),
        ("KERNELVERSION", ""),
        ("CC", "gcc"),
        ("LD", "ld"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{Arch, Named, Toolchain};

    const KCONFIG: &str = "\
config MODULES
	bool \"modules\"
	modules

config NET
	bool \"net\"

config VIRTIO_BLK
	tristate \"blk\"
	depends on NET
";

    /// Checks a configuration against rules as `SYMBOL=VALUE` and symbols that the recipe sets, which stand in lines 10
    /// and up of it.
    #[track_caller]
    fn check(config: &str, rules: &[&str], named: &[&str], expected: &[&str]) {
        let scratch = tempfile::tempdir().unwrap();
        let path = |name: &str| scratch.path().join(name);
        fs::write(path("Kconfig"), KCONFIG).unwrap();
        fs::write(path("config"), config).unwrap();
        let mut lines = 10..;
        let mut place = || format!("bootwright.toml:{}", lines.next().unwrap());
        let rules = rules.iter().map(|rule| {
            let (symbol, value) = rule.split_once('=').unwrap();
            Rule { symbol: symbol.to_owned(), value: value.to_owned(), place: place() }
        });
        let rules = rules.collect();
        let named = named.iter().map(|symbol| Named { symbol: (*symbol).to_owned(), place: place() });
        let spec = ContractSpec {
            linux: Linux { source: scratch.path().to_owned(), arch: Arch::Arm64, toolchain: Toolchain::Gcc },
            config: path("config"),
            rules,
            named: named.collect(),
        };
        let found = match super::check(&spec, scratch.path()) {
            Ok(()) => Vec::new(),
            Err(Error::Contract(broken)) => broken,
            Err(error) => panic!("{error:?}"),
        };
        assert_eq!(found, expected);
        assert_eq!(path("kept").exists(), expected.is_empty());
    }

    #[test]
    fn what_does_not_hold_is_told_with_the_dependency_and_the_line() {
        check("CONFIG_NET=y\nCONFIG_VIRTIO_BLK=y\n", &["VIRTIO_BLK=y", "MODULES=n"], &["NET"], &[]);
        check(
            "# CONFIG_NET is not set\n",
            &["NET=n", "VIRTIO_BLK=y"],
            &["VIRTIO_BLK"],
            &["VIRTIO_BLK=y: depends on NET, which is n (Kconfig:8) (bootwright.toml:11)"],
        );
        check(
            "CONFIG_NET=y\nCONFIG_VIRTIO_BLK=y\n",
            &["VIRTIO_BLK=m"],
            &[],
            &["VIRTIO_BLK=m: needs modules (MODULES is n) (Kconfig:8) (bootwright.toml:10)"],
        );
    }

    #[test]
    fn a_symbol_that_does_not_exist_gets_a_suggestion() {
        let known = "is not defined by any file of the tree: did you mean VIRTIO_BLK?";
        check(
            "CONFIG_NET=y\n",
            &["VIRTIO_BLCK=y"],
            &["NET", "VIRTO_BLK"],
            &[
                &format!("VIRTIO_BLCK=y: {known} (bootwright.toml:10)"),
                &format!("VIRTO_BLK: {known} (bootwright.toml:12)"),
            ],
        );
    }

    #[test]
    fn a_key_that_the_build_would_make_is_refused_and_a_given_one_is_not() {
        let reason = "MODULE_SIG=y: modules would be signed with a key that is made anew in every build, so no two \
                      builds would be the same; set MODULE_SIG=n, or MODULE_SIG_KEY to a key of yours";
        for key in ["certs/signing_key.pem", ""] {
            let config = format!("CONFIG_MODULE_SIG=y\nCONFIG_MODULE_SIG_KEY=\"{key}\"\n");
            check(&config, &[], &[], &[reason]);
        }
        check("CONFIG_MODULE_SIG=y\nCONFIG_MODULE_SIG_KEY=\"certs/mine.pem\"\n", &[], &[], &[]);
        check("# CONFIG_MODULE_SIG is not set\n", &[], &[], &[]);
        let appraised = "CONFIG_IMA_APPRAISE_MODSIG=y\n";
        check(appraised, &[], &[], &[]);
        let reason = reason.replace("MODULE_SIG=", "IMA_APPRAISE_MODSIG=");
        check(&format!("{appraised}CONFIG_MODULES=y\n"), &[], &[], &[&reason]);
    }

    #[test]
    fn structures_are_not_laid_out_by_chance() {
        for (symbol, remedy) in [
            (
                "RANDSTRUCT",
                "RANDSTRUCT_NONE=y, or have a patch give `scripts/gen-randstruct-seed.sh` a seed of yours",
            ),
            (
                "GCC_PLUGIN_RANDSTRUCT",
                "GCC_PLUGIN_RANDSTRUCT=n, or have a patch give `scripts/gcc-plugins/gen-random-seed.sh` a seed of yours",
            ),
        ] {
            let reason = format!(
                "{symbol}=y: structures would be laid out by a seed that is drawn anew in every build, so no two builds \
                 would be the same; set {remedy}"
            );
            check(&format!("CONFIG_{symbol}=y\n"), &[], &[], &[&reason]);
        }
        check("CONFIG_RANDSTRUCT_NONE=y\n", &[], &[], &[]);
    }
}
