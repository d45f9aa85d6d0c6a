//! A build that is over, told again from its events.

use engine::{End, Event, EventKind, Progress};

use super::{bytes, seconds};

/// Returns the build as text: a line for each thing that happened, with its time since the build began.
pub(crate) fn replay(events: &[Event]) -> String {
    let mut progress = Progress::default();
    let start = events.first().map(|event| event.at).unwrap_or_default();
    let mut text = String::new();
    for event in events {
        progress.apply(event);
        if let Some(line) = line(event, &progress) {
            let at = seconds(event.at.saturating_sub(start));
            text.push_str(&format!("{at:>12}  {line}\n"));
        }
    }
    if progress.end.is_none() {
        text.push_str("the build is still running, or was killed\n");
    }
    text
}

fn line(event: &Event, progress: &Progress) -> Option<String> {
    Some(match &event.kind {
        EventKind::Began { steps, jobs } => format!("began: {steps} steps, {jobs} at once"),
        EventKind::Started { label, attempt: 1, .. } => format!("started {label}"),
        EventKind::Started { label, attempt, .. } => format!("started {label}, attempt {attempt}"),
        EventKind::Retried { label, error } => format!("could not run {label}: {error}"),
        EventKind::Ended { label, exit_code, usage, .. } => {
            let how = match exit_code {
                0 => "ended",
                _ => "failed:",
            };
            let (wall, cpu, memory) = (seconds(usage.wall), seconds(usage.cpu), bytes(usage.peak_memory));
            format!("{how} {label} after {wall}, {cpu} of processor, {memory}")
        }
        EventKind::Unready { label, problem } => format!("could not run {label}: {problem}"),
        EventKind::Skipped { label, because } => format!("skipped {label}: {because} failed"),
        EventKind::Lost { label: Some(label) } => format!("the result of {label} is incomplete: made again"),
        EventKind::Finished { end } => {
            let Progress { ran, failed, skipped, .. } = progress;
            let how = match end {
                End::Done => "done",
                End::Failed => "failed",
                End::Cancelled => "interrupted",
                End::Error => "given up: this machine could not go on",
            };
            format!("{how}: {ran} ran, {failed} failed, {skipped} skipped")
        }
        EventKind::Hit { .. } | EventKind::Lost { label: None } | EventKind::Estimated { .. } => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = r#"{"version":1,"at_us":1000000,"event":"began","steps":3,"jobs":2}
{"version":1,"at_us":1100000,"event":"started","label":"kernel","action":"<A>","slot":0,"attempt":1}
{"version":1,"at_us":1200000,"event":"retried","label":"kernel","error":"no room"}
{"version":1,"at_us":1300000,"event":"started","label":"kernel","action":"<A>","slot":0,"attempt":2}
{"version":1,"at_us":4300000,"event":"ended","label":"kernel","action":"<A>","exit_code":2,"output":"<A>","log":"<A>","wall_us":3000000,"cpu_us":2500000,"peak_memory":4200000}
{"version":1,"at_us":4300000,"event":"skipped","label":"disk","because":"kernel"}
{"version":1,"at_us":4400000,"event":"finished","end":"failed"}
"#;

    #[track_caller]
    fn check(log: &str, expected: &str) {
        let digest = cas::Digest::of(b"").to_string();
        let events = engine::parse_event_log(&log.replace("<A>", &digest)).unwrap();
        assert_eq!(replay(&events), expected);
    }

    #[test]
    fn a_build_is_told_again() {
        check(
            LOG,
            "      0.00 s  began: 3 steps, 2 at once
      0.10 s  started kernel
      0.20 s  could not run kernel: no room
      0.30 s  started kernel, attempt 2
       3.3 s  failed: kernel after 3.0 s, 2.5 s of processor, 4.20 MB
       3.3 s  skipped disk: kernel failed
       3.4 s  failed: 0 ran, 1 failed, 1 skipped
",
        );
    }

    #[test]
    fn a_build_that_was_killed_has_no_end() {
        let first = LOG.lines().next().unwrap();
        check(
            &format!("{first}\n{{\"vers"),
            "      0.00 s  began: 3 steps, 2 at once\nthe build is still running, or was killed\n",
        );
        check("", "the build is still running, or was killed\n");
    }
}
