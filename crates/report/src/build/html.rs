//! The report as a page.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{Build, Fate, Step, critical_path, graph};
use crate::numbers::{bytes, seconds};
use crate::page::{Escaped, Page};

/// How high a line of the timeline is, in `rem`.
const LINE: f64 = 1.75;
/// In how many parts the time is divided.
const TICKS: u32 = 5;

/// Returns the report as one page.
pub fn page(build: &Build) -> String {
    let critical = critical_path(&build.steps);
    let mut page = Page::new(&format!("Build of {}", build.name), &format!("It ended: {}", build.end));
    page.style(include_str!("../../assets/build.css"));
    sum(&mut page, build, &critical);
    timeline(&mut page, build, &critical);
    steps(&mut page, build, &critical);
    page.section("graph", "Graph");
    if build.steps.is_empty() {
        page.add(format_args!("<p>The steps of this build are not known any more.</p>\n"));
    } else {
        let (drawn, n_hidden) = graph::draw(&build.steps, &critical);
        page.add(format_args!(
            "<p>From left to right: what is read comes before what reads it.{}</p>\n{LEGEND}\
             <div class=\"graph\" tabindex=\"0\" role=\"region\" aria-label=\"Graph, which can be scrolled\">\n{drawn}</div>\n",
            match n_hidden {
                0 => String::new(),
                n => format!(" {n} remembered steps that nothing reads which ran are left out."),
            }
        ));
    }
    artifacts(&mut page, build);
    remembered(&mut page, build);
    page.finish()
}

const LEGEND: &str = "<ul class=\"legend\"><li><span class=\"c0\"></span>ran</li>\
                      <li><span class=\"c4\"></span>failed</li><li><span class=\"c2\"></span>skipped</li>\
                      <li><span class=\"c7\"></span>remembered</li>\
                      <li><span class=\"mark\"></span>on the critical path</li></ul>\n";

fn count(build: &Build, fate: Fate) -> usize {
    build.steps.iter().filter(|step| step.fate == fate).count()
}

fn sum(page: &mut Page, build: &Build, critical: &[usize]) {
    page.section("sum", "In short");
    let on_path: Duration = critical.iter().map(|at| build.steps[*at].wall()).sum();
    let cpu: Duration = build.steps.iter().map(|step| step.cpu).sum();
    let known = build.steps.len().max(build.needed as usize);
    let n_remembered =
        known - count(build, Fate::Ran) - count(build, Fate::Failed) - count(build, Fate::Skipped);
    let facts = [
        ("Result", build.end.clone()),
        ("Time", seconds(build.wall)),
        ("Steps", known.to_string()),
        ("Ran", count(build, Fate::Ran).to_string()),
        ("Remembered", n_remembered.to_string()),
        ("Failed", count(build, Fate::Failed).to_string()),
        ("Critical path", seconds(on_path)),
        ("Processor", seconds(cpu)),
    ];
    page.add(format_args!("<dl class=\"facts\">\n"));
    for (name, value) in &facts {
        page.add(format_args!("<div><dt>{name}</dt><dd>{}</dd></div>\n", Escaped(value)));
    }
    page.add(format_args!("</dl>\n"));
}

fn timeline(page: &mut Page, build: &Build, critical: &[usize]) {
    page.section("timeline", "Timeline");
    let runs = || {
        build.steps.iter().enumerate().flat_map(|(at, step)| step.runs.iter().map(move |run| (at, step, run)))
    };
    let Some(end) = runs().map(|(_, _, run)| run.end).max() else {
        page.add(format_args!("<p>Nothing ran: all results were remembered.</p>\n"));
        return;
    };
    let end = end.max(build.wall).as_secs_f64().max(1e-6);
    let lines = runs().map(|(_, _, run)| run.slot + 1).max().unwrap_or(1);
    let critical: BTreeSet<usize> = critical.iter().copied().collect();
    page.add(format_args!(
        "{LEGEND}<div class=\"timeline\" role=\"list\" aria-label=\"What ran when\" style=\"height:{:.2}rem\">\n",
        f64::from(lines) * LINE + 0.25
    ));
    for tick in 0..TICKS {
        let share = f64::from(tick) / f64::from(TICKS);
        page.add(format_args!(
            "<div class=\"tick\" aria-hidden=\"true\" style=\"left:{:.2}%\">{}</div>\n",
            share * 100.0,
            seconds(Duration::from_secs_f64(end * share))
        ));
    }
    let mut all: Vec<_> = runs().collect();
    all.sort_by_key(|(at, _, run)| (run.start, run.slot, *at));
    for (at, step, run) in all {
        let left = run.start.as_secs_f64() * 100.0 / end;
        let width = run.end.saturating_sub(run.start).as_secs_f64() * 100.0 / end;
        let is_narrow = width < 5.0;
        let name = Escaped(&step.label);
        let is_critical = critical.contains(&at);
        page.add(format_args!(
            "<a role=\"listitem\" href=\"#s{at}\" class=\"bar{}{}{}\" title=\"{name}\" aria-label=\"{name}, {} after {}{}\" \
             style=\"left:{left:.3}%;width:{width:.3}%;top:{:.2}rem\">{}</a>\n",
            if is_narrow { " narrow" } else { "" },
            if step.fate == Fate::Failed { " failed" } else { "" },
            if is_critical { " critical" } else { "" },
            seconds(run.end.saturating_sub(run.start)),
            seconds(run.start),
            if is_critical { ", on the critical path" } else { "" },
            f64::from(run.slot) * LINE + 0.125,
            Escaped(if is_narrow { "" } else { &step.label }),
        ));
    }
    page.add(format_args!("</div>\n<h3>Critical path</h3>\n<ol>\n"));
    for at in critical {
        let step = &build.steps[at];
        page.add(format_args!(
            "<li><a href=\"#s{at}\">{}</a> {}</li>\n",
            Escaped(&step.label),
            seconds(step.wall())
        ));
    }
    page.add(format_args!("</ol>\n"));
}

/// Lists the steps that were not remembered.
fn steps(page: &mut Page, build: &Build, critical: &[usize]) {
    page.section("steps", "Steps that ran, and why");
    let mut told: Vec<(usize, &Step)> =
        build.steps.iter().enumerate().filter(|(_, step)| step.fate != Fate::Remembered).collect();
    if told.is_empty() {
        page.add(format_args!("<p>None.</p>\n"));
        return;
    }
    // What failed is what is looked for; else the order of time.
    told.sort_by_key(|(at, step)| {
        let start = step.runs.first().map_or(Duration::MAX, |run| run.start);
        (step.fate != Fate::Failed, start, *at)
    });
    let critical: BTreeSet<usize> = critical.iter().copied().collect();
    page.add(format_args!(
        "<div class=\"scroll\"><table>\n<caption>What failed first, then in the order of time</caption>\n<thead><tr>\
         <th scope=\"col\">Step</th><th scope=\"col\">Result</th><th scope=\"col\" class=\"n\">Began</th>\
         <th scope=\"col\" class=\"n\">Took</th><th scope=\"col\" class=\"n\">Processor</th>\
         <th scope=\"col\" class=\"n\">Memory</th><th scope=\"col\">Why</th></tr></thead>\n<tbody>\n"
    ));
    for (at, step) in told {
        let class = match step.fate {
            Fate::Failed => "bad",
            Fate::Ran => "good",
            Fate::Skipped | Fate::Remembered => "quiet",
        };
        let began = step.runs.first().map_or("–".to_owned(), |run| seconds(run.start));
        let is_critical = if critical.contains(&at) { " (critical)" } else { "" };
        page.add(format_args!(
            "<tr id=\"s{at}\"><td><span class=\"path\">{}</span>{}</td><td class=\"{class}\">{}{is_critical}</td>\
             <td class=\"n\">{began}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td>\
             <td class=\"why\">{}</td></tr>\n",
            Escaped(&step.label),
            log(step),
            step.fate.name(),
            seconds(step.wall()),
            seconds(step.cpu),
            bytes(step.peak_memory),
            Escaped(&step.why)
        ));
    }
    page.add(format_args!("</tbody>\n</table></div>\n"));
}

fn log(step: &Step) -> String {
    let Some(log) = step.log.as_ref().filter(|log| !log.text.is_empty() || log.left_out > 0) else {
        return String::new();
    };
    let note = match log.left_out {
        0 => String::new(),
        left_out => format!(
            "<p class=\"quiet\">The end of it: {} before that are left out. All of it: <code>bootwright log '{}'</code></p>",
            bytes(left_out),
            Escaped(&step.label)
        ),
    };
    let open = if step.fate == Fate::Failed { " open" } else { "" };
    format!("<details{open}><summary>Log</summary>{note}<pre>{}</pre></details>", Escaped(&log.text))
}

fn artifacts(page: &mut Page, build: &Build) {
    page.section("artifacts", "Artifacts");
    if build.artifacts.is_empty() {
        page.add(format_args!("<p>None.</p>\n"));
        return;
    }
    page.add(format_args!(
        "<div class=\"scroll\"><table>\n<caption>Files below <code>out/</code></caption>\n<thead><tr>\
         <th scope=\"col\">File</th><th scope=\"col\" class=\"n\">Size</th><th scope=\"col\">SHA-256</th></tr></thead>\n<tbody>\n"
    ));
    for artifact in &build.artifacts {
        page.add(format_args!(
            "<tr><td class=\"path\">{}/{}</td><td class=\"n\">{}</td><td class=\"path\">{}</td></tr>\n",
            Escaped(&artifact.target),
            Escaped(&artifact.path),
            bytes(artifact.size),
            Escaped(&artifact.sha256)
        ));
    }
    page.add(format_args!("</tbody>\n</table></div>\n"));
}

fn remembered(page: &mut Page, build: &Build) {
    page.section("remembered", "Remembered steps");
    let hits: Vec<(usize, &Step)> =
        build.steps.iter().enumerate().filter(|(_, step)| step.fate == Fate::Remembered).collect();
    page.add(format_args!(
        "<p>Nothing of what these read has changed since they ran, so their results were used again.</p>\n\
         <details><summary>{} steps</summary>\n<ul class=\"columns\">\n",
        hits.len()
    ));
    for (at, step) in hits {
        page.add(format_args!("<li id=\"s{at}\">{}</li>\n", Escaped(&step.label)));
    }
    page.add(format_args!("</ul>\n</details>\n"));
}

#[cfg(test)]
mod tests {
    use super::super::{Artifact, Log, Run};
    use super::*;

    fn build() -> Build {
        let run = |start, end, slot| {
            vec![Run { start: Duration::from_secs(start), end: Duration::from_secs(end), slot }]
        };
        let step = |label: &str, after: &[usize], fate, runs| Step {
            label: label.to_owned(),
            after: after.to_vec(),
            fate,
            why: "it changed\n  <why>".to_owned(),
            action: None,
            runs,
            cpu: Duration::from_secs(1),
            peak_memory: 1000,
            log: Some(Log { text: "</pre><script>alert(1)</script>\u{1b}[31m".to_owned(), left_out: 3000 }),
        };
        Build {
            name: "stack".to_owned(),
            end: "failed".to_owned(),
            wall: Duration::from_secs(10),
            jobs: 2,
            needed: 4,
            steps: vec![
                step("hit", &[], Fate::Remembered, Vec::new()),
                step("one", &[0], Fate::Ran, run(0, 4, 0)),
                step("two", &[1], Fate::Failed, run(4, 10, 1)),
                step("three", &[2], Fate::Skipped, Vec::new()),
            ],
            artifacts: vec![Artifact {
                target: "one".to_owned(),
                path: "file".to_owned(),
                size: 5,
                sha256: "ab".repeat(32),
            }],
        }
    }

    #[test]
    fn a_page_has_every_step_and_escapes_logs() {
        let one = page(&build());
        assert_eq!(one, page(&build()));
        for text in [
            "id=\"s0\"",
            "id=\"s1\"",
            "id=\"s2\"",
            "id=\"s3\"",
            "on the critical path",
            "3.00 kB before",
            &"ab".repeat(32),
        ] {
            assert!(one.contains(text), "{text}");
        }
        assert!(!one.contains("<script>alert") && one.contains("&lt;/pre&gt;&lt;script&gt;"));
        assert!(one.contains("\\u{1b}[31m"));
        assert_eq!(one.matches("role=\"listitem\"").count(), 2);
    }

    #[test]
    fn a_build_of_nothing_is_told() {
        let none = Build { steps: Vec::new(), artifacts: Vec::new(), ..build() };
        let page = page(&none);
        assert!(page.contains("Nothing ran") && page.contains("not known any more"));
    }
}
