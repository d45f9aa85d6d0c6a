//! What this process was given by its environment: the only place that asks.
#![allow(clippy::disallowed_methods, reason = "this module is where the environment is read")]

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use local::fetch::Proxies;

use crate::failure::Failure;

/// Returns the directory of all caches: `given`, else by the XDG base directory specification.
///
/// Fails when there is neither a home directory nor anything else that says where caches belong.
pub(crate) fn cache_directory(given: Option<&Path>) -> Result<PathBuf, Failure> {
    if let Some(given) = given {
        return std::path::absolute(given).map_err(crate::failure::io(format!("find `{}`", given.display())));
    }
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute("XDG_CACHE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".cache")))
        .map(|caches| caches.join("bootwright"))
        .ok_or_else(|| {
            Failure::machine("there is no directory for caches: neither XDG_CACHE_HOME nor HOME is set")
                .help("set HOME, or name a directory with --cache")
        })
}

/// Returns the environment variables whose name and value are text: knobs may be among them.
pub(crate) fn variables() -> BTreeMap<String, String> {
    let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
        Some((name.into_string().ok()?, value.into_string().ok()?))
    };
    std::env::vars_os().filter_map(text).collect()
}

/// Returns all environment variables, for programs of this machine.
pub(crate) fn all() -> Vec<(std::ffi::OsString, std::ffi::OsString)> {
    std::env::vars_os().collect()
}

/// Returns the proxies that this machine's programs are told to use.
pub(crate) fn proxies() -> Proxies {
    let text = |names: [&str; 2]| {
        names.into_iter().find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
    };
    let all = text(["all_proxy", "ALL_PROXY"]);
    Proxies {
        http: text(["http_proxy", "HTTP_PROXY"]).or_else(|| all.clone()),
        https: text(["https_proxy", "HTTPS_PROXY"]).or(all),
        none: text(["no_proxy", "NO_PROXY"]).unwrap_or_default(),
    }
}

/// Allows this process as many open files as hundreds of steps at once need, if the machine lets it.
pub(crate) fn allow_open_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    const ENOUGH: u64 = 64 << 10;
    let limit = getrlimit(Resource::Nofile);
    let most = limit.maximum.unwrap_or(ENOUGH).min(ENOUGH);
    if limit.current.is_some_and(|current| current < most) {
        // If it stays as it is and is too low, opening a file says so.
        let _stays = setrlimit(Resource::Nofile, Rlimit { current: Some(most), ..limit });
    }
}

/// Returns what a program in a step's terminal needs to know of ours.
pub(crate) fn terminal() -> Vec<(String, String)> {
    std::env::var("TERM").ok().map(|term| ("TERM".to_owned(), term)).into_iter().collect()
}

/// Returns how many steps run at once when nobody says: one per processor that this process may use.
pub(crate) fn processors() -> NonZeroUsize {
    std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}

/// Returns how many bytes of memory steps may be expected to use together; `None` where the system does not
/// tell.
pub(crate) fn memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    // A tenth stays for everything else that runs here.
    Some(kibibytes * 1024 / 10 * 9)
}

/// Returns the time since 1970.
pub(crate) fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// A clock that starts at zero, for events.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock(Instant);

impl Clock {
    /// Returns a clock that starts now.
    pub(crate) fn start() -> Clock {
        Clock(Instant::now())
    }

    /// Returns the time since it was started.
    pub(crate) fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

/// Returns the text of this user's configuration of cargo, if there is one.
pub(crate) fn cargo_configuration() -> Option<String> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".cargo")))?;
    ["config.toml", "config"].iter().find_map(|file| std::fs::read_to_string(home.join(file)).ok())
}

/// Returns the texts of the machine's own apt configuration, of both forms; none where there is no apt.
pub(crate) fn apt_configuration() -> Vec<(PathBuf, String)> {
    let apt = Path::new("/etc/apt");
    let mut paths = vec![apt.join("sources.list")];
    let mut parts: Vec<PathBuf> = std::fs::read_dir(apt.join("sources.list.d"))
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            path.extension().is_some_and(|extension| extension == "list" || extension == "sources")
        })
        .collect();
    parts.sort();
    paths.append(&mut parts);
    paths
        .into_iter()
        .filter_map(|path| std::fs::read_to_string(&path).ok().map(|text| (path, text)))
        .collect()
}
