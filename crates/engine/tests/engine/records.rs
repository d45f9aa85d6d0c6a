//! Event logs, the console's view of them, traces, and the history.

use std::time::Duration;

use cas::Digest;
use engine::{End, Event, EventKind, Graph, History, Options, Progress, Run, Usage};

use crate::world::{TestWorld, at, output, step};

/// Events of a build with a hit, a success, a retry and a failure.
fn events() -> Vec<Event> {
    let mut world =
        TestWorld { options: Options { keep_going: true, ..Options::default() }, ..TestWorld::default() };
    let mut graph = Graph::default();
    let hit = graph.add_step(step("hit", &["const", "1"], vec![]));
    let ran = graph.add_step(step("ran \"it\"", &["list"], vec![at("in", output(hit, ""))]));
    let fails = graph.add_step(step("fails", &["exit", "2"], vec![at("in", output(hit, ""))]));
    let skipped = graph.add_step(step("skipped", &["list"], vec![at("in", output(fails, ""))]));
    world.build_and_record(&graph, &[hit]);
    world.build(&graph, &[ran, skipped]);
    world.events()
}

#[test]
fn log_comes_back_as_it_was_written() {
    let events = events();
    let log: String = events.iter().map(Event::to_line).collect();
    assert_eq!(engine::parse_event_log(&log).unwrap(), events);
    assert!(log.lines().all(|line| line.starts_with("{\"version\":1,\"at_us\":")), "{log}");
    assert!(log.contains("\"event\":\"hit\",\"label\":\"hit\""), "{log}");
}

#[test]
fn log_of_a_killed_build_is_read_to_where_it_ends() {
    let events = events();
    let log: String = events.iter().map(Event::to_line).collect();
    for cut in [1, 20] {
        let cut_log = &log[..log.len() - cut];
        assert_eq!(engine::parse_event_log(cut_log).unwrap(), events[..events.len() - 1]);
    }
    assert_eq!(engine::parse_event_log("").unwrap(), []);
}

#[test]
fn foreign_logs_are_refused_with_the_line() {
    #[track_caller]
    fn check(log: &str, expected: &str) {
        let error = engine::parse_event_log(log).unwrap_err();
        let cause = std::error::Error::source(&error).unwrap();
        assert_eq!(format!("{error}: {cause}"), expected);
    }
    let line = Event { at: Duration::ZERO, kind: EventKind::Finished { end: End::Done } }.to_line();
    check(
        &format!("{line}{}", line.replace("\"version\":1", "\"version\":9")),
        "line 2 of the event log is no event: version 9 where 1 is understood",
    );
    check("hello\n", "line 1 of the event log is no event: expected value at line 1 column 1");
}

#[test]
fn progress_is_the_fold_of_the_events() {
    let events = events();
    let mut progress = Progress::default();
    let mut most_running = 0;
    for event in &events {
        progress.apply(event);
        most_running = most_running.max(progress.running.len());
        assert!(progress.done() as usize + progress.running.len() <= progress.total as usize);
    }
    assert_eq!(most_running, 1);
    assert_eq!(
        (progress.total, progress.hits, progress.ran, progress.failed, progress.skipped),
        (4, 1, 1, 1, 1)
    );
    assert_eq!(progress.done(), progress.total);
    assert_eq!(progress.end, Some(End::Failed));
    assert!(progress.running.is_empty());
}

#[test]
fn any_number_of_steps_may_be_told_to_run() {
    let mut progress = Progress::default();
    let action = Digest::of(b"");
    let mut apply = |kind| progress.apply(&Event { at: Duration::ZERO, kind });
    for slot in 0..200_000 {
        let label = slot.to_string();
        apply(EventKind::Started { label, action, slot, attempt: 1, expected: None });
    }
    for slot in (0..200_000).rev() {
        apply(EventKind::Retried { label: slot.to_string(), error: String::new() });
    }
    assert!(progress.running.is_empty());
}

#[test]
fn time_left_counts_down_between_events() {
    let mut progress = Progress::default();
    let seconds = Duration::from_secs;
    progress.apply(&Event { at: seconds(0), kind: EventKind::Began { steps: 2, jobs: 1 } });
    assert_eq!(progress.time_left(seconds(1)), None);
    progress.apply(&Event { at: seconds(2), kind: EventKind::Estimated { left: seconds(60), unknown: 3 } });
    let left = progress.time_left(seconds(12)).unwrap();
    assert_eq!((left.known, left.unknown), (seconds(50), 3));
    assert_eq!(progress.time_left(seconds(100)).unwrap().known, Duration::ZERO);
}

#[test]
fn trace_has_a_box_for_every_run() {
    let events = events();
    let trace: serde_json::Value = serde_json::from_str(&engine::chrome_trace(&events)).unwrap();
    let boxes: Vec<&serde_json::Value> =
        trace["traceEvents"].as_array().unwrap().iter().filter(|event| event["ph"] == "X").collect();
    let names: Vec<&str> = boxes.iter().map(|event| event["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["fails", "ran \"it\""]);
    assert_eq!(boxes[0]["args"]["exit_code"], 2);
    assert!(boxes.iter().all(|event| event["dur"].as_u64().unwrap() > 0));
}

#[test]
fn trace_of_a_killed_build_ends_where_the_log_does() {
    let mut events = events();
    let started = events.iter().rposition(|event| matches!(event.kind, EventKind::Started { .. })).unwrap();
    events.truncate(started + 1);
    let trace: serde_json::Value = serde_json::from_str(&engine::chrome_trace(&events)).unwrap();
    let all = trace["traceEvents"].as_array().unwrap();
    assert_eq!(all.iter().filter(|event| event["ph"] == "X").count(), 2);
}

#[test]
fn trace_of_a_damaged_log_has_the_lines_that_are_used() {
    let mut events = events();
    for event in &mut events {
        if let EventKind::Started { slot, .. } = &mut event.kind {
            *slot = u32::MAX;
        }
    }
    let trace: serde_json::Value = serde_json::from_str(&engine::chrome_trace(&events)).unwrap();
    let names = trace["traceEvents"].as_array().unwrap().iter().filter(|event| event["ph"] == "M");
    assert_eq!(names.map(|event| event["tid"].as_u64().unwrap()).collect::<Vec<_>>(), [u64::from(u32::MAX)]);
}

fn run(label: &str, exit_code: i32, seconds: u64) -> Run {
    let usage = Usage {
        wall: Duration::from_secs(seconds),
        cpu: Duration::from_secs(2 * seconds),
        peak_memory: seconds << 20,
    };
    Run {
        label: label.to_owned(),
        action: Digest::of(&seconds.to_le_bytes()),
        exit_code,
        log: Digest::of(b""),
        usage,
    }
}

#[test]
fn history_expects_what_the_last_success_cost() {
    let lines = [run("kernel", 0, 300), run("kernel", 2, 1), run("only-failed", 1, 5)];
    let history = History::new(lines.iter().map(Run::to_line).collect());
    assert_eq!(history.last("kernel"), Some(&lines[1]));
    assert_eq!(history.expected("kernel"), Some(lines[0].usage));
    assert_eq!(history.expected("only-failed"), Some(lines[2].usage));
    assert_eq!(history.expected("never-ran"), None);
}

#[test]
fn damaged_lines_are_as_if_they_were_not_there() {
    let good = run("kernel", 0, 300).to_line();
    let torn = &good[..good.len() / 2];
    let history = History::new(format!("{torn}\n\0\0\0\n{good}{torn}"));
    assert_eq!(history.runs("kernel").len(), 1);
}

#[test]
fn compaction_keeps_what_is_asked_for() {
    let mut lines = String::new();
    lines.push_str(&run("kernel", 0, 300).to_line());
    for seconds in 1..2000 {
        lines.push_str(&run("kernel", 1, seconds).to_line());
        lines.push_str(&run("image", 0, seconds).to_line());
    }
    let history = History::new(lines);
    assert!(history.is_worth_compacting());
    let compact = History::new(history.compact());
    assert!(!compact.is_worth_compacting());
    assert_eq!(compact.runs("image").len(), 3);
    assert_eq!(compact.last("kernel"), history.last("kernel"));
    assert_eq!(compact.expected("kernel"), Some(run("kernel", 0, 300).usage));
    assert_eq!(compact.compact(), history.compact());
}
