//! A disk that is full.

use std::process::{Command, Stdio};

use super::Numbers;
use super::world::{N_VARIANTS, World};

/// Runs in namespaces of its own: mounts a disk of a size for the cache, builds on it, looks at what was left, makes
/// the disk larger, and builds again. Prints `NAME=VALUE` for each.
const SCRIPT: &str = r#"
mkdir -p "$CACHE" && mount -t tmpfs -o "size=$SIZE" none "$CACHE" || exit 77
"$@" build > "$LOG" 2>&1; echo "first=$?"
echo "left=$(find "$CACHE/store/scratch" -mindepth 1 2>/dev/null | wc -l)"
mount -o remount,size=1g "$CACHE" || exit 78
"$@" build > "$LOG.again" 2>&1; echo "second=$?"
"$@" doctor --scrub > "$LOG.doctor" 2>&1; echo "doctor=$?"
grep '^[a-z]* *cache:' "$LOG.doctor" | sed 's/^\([a-z]*\).*/cache=\1/'
"#;

/// Builds where the disk gets full sooner or later: that is said, what was finished is kept, and with more room the
/// next build comes to the same bytes.
pub(crate) fn full(world: &World, numbers: &mut Numbers) -> Result<(), String> {
    let variant = numbers.below(N_VARIANTS);
    world.clean(0)?;
    // All of it takes about forty megabytes.
    let size = 300_000 + numbers.below(45_000_000);
    let program = world.command(&[], 0, variant);
    let log = world.cache.with_extension("log");
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", SCRIPT, "sh"]);
    command.arg(program.get_program()).args(program.get_args());
    for (name, value) in program.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.env("CACHE", &world.cache).env("SIZE", size.to_string()).env("LOG", &log).stdin(Stdio::null());
    let output = command.output().map_err(|error| format!("could not start `unshare`: {error}"))?;
    if matches!(output.status.code(), Some(77 | 78)) {
        return Err(format!(
            "no file system can be mounted here: {}",
            String::from_utf8_lossy(&output.stderr)
        ));
    }
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let value = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        line.unwrap_or("nothing").to_owned()
    };
    let said = std::fs::read_to_string(&log).unwrap_or_default();
    let context = |error: String| format!("with {size} bytes for variant {variant}: {error}\n{said}");
    match value("first").as_str() {
        // It was enough.
        "0" => {}
        "3" if said.contains("free some space") => {}
        other => return Err(context(format!("the build ended with {other}"))),
    }
    if value("left") != "0" {
        return Err(context(format!("{} files of it were left in the scratch directory", value("left"))));
    }
    if (value("second").as_str(), value("cache").as_str()) != ("0", "good") {
        let again = std::fs::read_to_string(log.with_extension("log.again")).unwrap_or_default();
        return Err(context(format!("with more room it went on to {text}{again}")));
    }
    world.check_results(0, variant).map_err(context)
}
