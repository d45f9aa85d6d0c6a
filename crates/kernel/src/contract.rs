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
    if spec.rules.iter().any(|rule| !holds(&values, rule)) {
        // Reading thousands of files is for those who have a question.
        let kconfig = Kconfig::load(&spec.linux.source, "Kconfig", &variables(&spec.linux))?;
        for rule in &spec.rules {
            let verdict = kconfig.explain(&values, &rule.symbol, &rule.value);
            if !matches!(verdict, Verdict::Holds) {
                broken.push(format!("{}={}: {verdict} ({})", rule.symbol, rule.value, rule.place));
            }
        }
    }
    broken.extend(random_key(&values));
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
    (is_on("MODULE_SIG") && is_made).then(|| {
        "MODULE_SIG=y: modules would be signed with a key that is made anew in every build, so no two builds would \
         be the same; set MODULE_SIG=n, or MODULE_SIG_KEY to a key of yours"
            .to_owned()
    })
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
