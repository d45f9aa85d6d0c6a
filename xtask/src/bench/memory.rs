//! The memory of a process and all that it started, while they run.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

/// How long between two looks.
const INTERVAL: Duration = Duration::from_millis(10);

/// Looks at the processes below and at `root`, a child of this process, until it ended. Returns the most bytes that
/// they had together: what several share is divided among them, and files that are only cached do not count.
pub(super) fn watch(root: u32) -> u64 {
    let mut most = 0;
    loop {
        let parents = parents();
        // It stays as a zombie until we wait for it.
        if parents.get(&root).is_none_or(|process| process.has_ended) {
            return most;
        }
        let is_ours = |&(pid, _): &(&u32, &Process)| {
            let above = |pid: &u32| parents.get(pid).map(|process| process.parent);
            std::iter::successors(Some(*pid), above).any(|pid| pid == root)
        };
        let now: u64 = parents.iter().filter(is_ours).map(|(pid, _)| proportional_size(*pid)).sum();
        most = most.max(now);
        std::thread::sleep(INTERVAL);
    }
}

struct Process {
    parent: u32,
    has_ended: bool,
}

/// Returns all processes of this machine. Whatever ends meanwhile is left out.
fn parents() -> BTreeMap<u32, Process> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let process = |entry: fs::DirEntry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        Some((pid, parse_stat(&fs::read_to_string(entry.path().join("stat")).ok()?)?))
    };
    entries.filter_map(process).collect()
}

/// Reads `/proc/PID/stat`: the number, the name in parentheses, which may hold anything, the state, the parent.
fn parse_stat(text: &str) -> Option<Process> {
    let (_, after_name) = text.rsplit_once(") ")?;
    let mut words = after_name.split(' ');
    let state = words.next()?;
    Some(Process { parent: words.next()?.parse().ok()?, has_ended: matches!(state, "Z" | "X") })
}

/// Returns the proportional set size of a process in bytes; 0 when it ended.
fn proportional_size(pid: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    parse_size(&text).unwrap_or_default()
}

fn parse_size(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_found_below_its_parent() {
        let process = parse_stat("12 (a) b) S 7 12 12 0 -1").unwrap();
        assert!(process.parent == 7 && !process.has_ended);
        assert!(parse_stat("12 (a) Z 7 12").unwrap().has_ended);
        assert!(parse_stat("12").is_none());
    }

    #[test]
    fn sizes() {
        assert_eq!(
            parse_size("55 [rollup]\nRss:   9 kB\nPss:       1234 kB\nPss_Dirty: 1 kB\n"),
            Some(1234 * 1024)
        );
        assert_eq!(parse_size(""), None);
    }

    #[test]
    fn a_child_and_its_child_are_watched() {
        let script = "x=$(head -c 20000000 /dev/zero | tr '\\0' x); (y=$x$x; sleep 0.3)";
        let mut child = std::process::Command::new("bash").args(["-c", script]).spawn().unwrap();
        let most = watch(child.id());
        child.wait().unwrap();
        assert!(most > 50_000_000, "{most}");
    }
}
