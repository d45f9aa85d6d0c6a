//! Benchmarks that live beside the code that they measure, with their peers.

use std::ffi::OsStr;
use std::process::Command;

use super::report::{Goal, Report, Row};
use super::{Context, command, missing};

/// Measures what a sandbox costs, beside bubblewrap.
pub(crate) fn sandbox(context: &Context, n_runs: usize) -> Result<Report, String> {
    let mut found: Vec<(String, Vec<f64>)> = Vec::new();
    for _ in 0..n_runs {
        let text = cargo_bench(context, "sandbox", "cost", &[])?;
        for (name, median) in text.lines().filter_map(cost) {
            match found.iter_mut().find(|(known, _)| known == name) {
                Some((_, medians)) => medians.push(median),
                None => found.push((name.to_owned(), vec![median])),
            }
        }
    }
    let peer = found.iter().find(|(name, _)| name == "bubblewrap");
    let peer = peer.map(|(name, medians)| Row::of_seconds(name, medians));
    let row = |(name, medians): &(String, Vec<f64>)| {
        let row = Row::of_seconds(name, medians);
        match (&peer, name.as_str()) {
            (Some(peer), "sandbox" | "sandbox as root") => row.against(peer).goal(Goal::Ratio(1.3)),
            (Some(peer), "sandbox over 100 trees") => row.against(peer),
            _ => row,
        }
    };
    let rows = found.iter().map(row).collect();
    let mut notes = vec![format!("each figure is the median of 200 runs in turns, {n_runs} times over")];
    notes.extend(missing("bwrap", "bubblewrap"));
    Ok(Report { name: "sandbox", title: "`true` over a root of 20,000 files".to_owned(), rows, notes })
}

/// Measures what it costs to unpack the packages of minbase to layers, beside decompressing them.
pub(crate) fn unpack(context: &Context, n_runs: usize) -> Result<Report, String> {
    /// How much of the time of decompressing it may take.
    const GOAL: f64 = 1.3;
    let packages = super::bootstrap::packages(context)?;
    let mut found = [Vec::new(), Vec::new()];
    for _ in 0..n_runs {
        let text = cargo_bench(context, "distro", "unpack", &[packages.as_os_str()])?;
        for (name, times) in ["unpack to layers", "decompress"].iter().zip(&mut found) {
            let median = text.lines().filter_map(cost).find(|(found, _)| found == name);
            times.push(median.ok_or_else(|| format!("the benchmark printed no `{name}`:\n{text}"))?.1);
        }
    }
    let [ours, peer] = found;
    let peer = Row::of_seconds("decompress, two at a time", &peer);
    let ours =
        Row::of_seconds("unpack to layers, two at a time", &ours).against(&peer).goal(Goal::Ratio(GOAL));
    let notes = vec![format!("each figure is the median of 9 runs in turns, {n_runs} times over")];
    Ok(Report { name: "unpack", title: "the packages of minbase".to_owned(), rows: vec![ours, peer], notes })
}

fn cargo_bench(
    context: &Context,
    package: &str,
    bench: &str,
    arguments: &[&OsStr],
) -> Result<String, String> {
    eprintln!("+ cargo bench --package {package} --bench {bench}");
    let mut cargo = Command::new("cargo");
    cargo.current_dir(&context.root).args([
        "bench",
        "--locked",
        "--quiet",
        "--package",
        package,
        "--bench",
        bench,
        "--",
    ]);
    command(cargo.args(arguments))
}

/// The name and the median in a line of the benchmark of the sandbox: `NAME  fastest ms  median ms  90 % ms`.
fn cost(line: &str) -> Option<(&str, f64)> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [.., _, "ms", median, "ms", _, "ms"] = words[..] else { return None };
    let name = line.split("  ").next()?.trim();
    Some((name, median.parse::<f64>().ok()? / 1e3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_sandbox() {
        let line = "sandbox over 100 trees     5.10 ms   6.00 ms   9.00 ms";
        assert_eq!(cost(line), Some(("sandbox over 100 trees", 0.006)));
        assert_eq!(cost("                           fastest    median      90 %"), None);
    }
}
