//! The events of a build as a trace that Chrome's `about:tracing` and Perfetto show.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value, json};

use crate::events::{Event, EventKind};
use crate::micros;

/// Returns the trace: a line for each slot, a box for each attempt to run a step. A step that the events do
/// not see end goes on until the last one.
pub fn chrome_trace(events: &[Event]) -> String {
    let mut boxes = Vec::new();
    let mut running: BTreeMap<&str, Open<'_>> = BTreeMap::new();
    let mut slots = BTreeSet::new();
    for event in events {
        match &event.kind {
            EventKind::Started { label, action, slot, attempt, .. } => {
                slots.insert(*slot);
                let arguments = json!({ "action": action, "attempt": attempt });
                running.insert(label, Open { label, slot: *slot, since: event.at, arguments });
            }
            EventKind::Ended { label, exit_code, usage, .. } => {
                if let Some(mut open) = running.remove(label.as_str()) {
                    open.arguments["exit_code"] = json!(exit_code);
                    open.arguments["cpu_us"] = json!(micros::of(usage.cpu));
                    open.arguments["peak_memory"] = json!(usage.peak_memory);
                    boxes.push(open.close(event.at, *exit_code == 0));
                }
            }
            EventKind::Retried { label, error } => {
                if let Some(mut open) = running.remove(label.as_str()) {
                    open.arguments["error"] = json!(error);
                    boxes.push(open.close(event.at, false));
                }
            }
            _ => {}
        }
    }
    let end = events.last().map(|event| event.at).unwrap_or_default();
    boxes.extend(running.into_values().map(|open| open.close(end, false)));
    let names = slots.into_iter().map(|slot| {
        json!({ "ph": "M", "name": "thread_name", "pid": 1, "tid": slot, "args": { "name": format!("slot {slot}") } })
    });
    let all: Vec<Value> = names.chain(boxes).collect();
    json!({ "displayTimeUnit": "ms", "traceEvents": all }).to_string()
}

/// A step that was started.
struct Open<'e> {
    label: &'e str,
    slot: u32,
    since: Duration,
    arguments: Value,
}

impl Open<'_> {
    fn close(self, end: Duration, is_success: bool) -> Value {
        let mut complete = json!({
            "ph": "X",
            "name": self.label,
            "pid": 1,
            "tid": self.slot,
            "ts": micros::of(self.since),
            "dur": micros::of(end.saturating_sub(self.since)),
            "args": self.arguments,
        });
        if !is_success {
            complete["cname"] = json!("terrible");
        }
        complete
    }
}
