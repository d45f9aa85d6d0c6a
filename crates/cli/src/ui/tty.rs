//! Progress on a terminal: a line for each running step, one for the whole, nothing left behind.

use std::collections::BTreeMap;
use std::time::Duration;

use engine::{Event, EventKind};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::{Console, Downloads, bytes, seconds, time_left};

/// Draws with `indicatif`, which notices the terminal's width and takes its lines away again.
#[derive(Default)]
pub(crate) struct Tty {
    lines: MultiProgress,
    total: Option<ProgressBar>,
    running: BTreeMap<String, ProgressBar>,
    downloads: Option<ProgressBar>,
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .expect("the template is a constant that the test draws")
        .progress_chars("=> ")
}

// The last line must end before the terminal does: what it echoes of Ctrl-c would begin another one, and then one
// line too few would be taken away. So the line of the whole comes last, and only lines above it are padded.
const TOTAL: &str = "[{elapsed_precise}] {bar:30} {pos}/{len} steps{msg}";
const STEP: &str = "  {spinner} {elapsed:>5} {wide_msg}";
const DOWNLOADS: &str =
    "[{elapsed_precise}] {bar:30} {bytes}/{total_bytes} at {bytes_per_sec}, {eta} left, {msg}";

const DOWNLOADS_OF_ANY_SIZE: &str = "[{elapsed_precise}] {spinner} {bytes} at {bytes_per_sec} {msg}";

impl Tty {
    fn total(&mut self, show: impl FnOnce(&ProgressBar)) {
        if let Some(total) = &self.total {
            show(total);
        }
    }

    fn end(&mut self, label: &str) {
        if let Some(line) = self.running.remove(label) {
            line.finish_and_clear();
            self.lines.remove(&line);
        }
        self.total(|total| total.inc(1));
    }

    fn say(&self, text: String) {
        // A terminal that has gone away needs no progress.
        let _ = self.lines.println(text);
    }
}

impl Console for Tty {
    fn event(&mut self, event: &Event) {
        match &event.kind {
            EventKind::Began { steps, .. } => {
                if let Some(total) = self.total.take() {
                    total.finish_and_clear();
                    self.lines.remove(&total);
                }
                let total = self.lines.add(ProgressBar::new(u64::from(*steps)).with_style(style(TOTAL)));
                // Its clock goes on while nothing happens.
                total.enable_steady_tick(Duration::from_millis(500));
                self.total = Some(total);
            }
            EventKind::Hit { label, .. }
            | EventKind::Skipped { label, .. }
            | EventKind::Unready { label, .. } => {
                self.end(label);
            }
            EventKind::Started { label, expected, .. } => {
                let message = match expected {
                    Some(expected) => format!("{label}  ({} last time)", seconds(*expected)),
                    None => label.clone(),
                };
                let line = ProgressBar::new_spinner().with_style(style(STEP)).with_message(message);
                let line = match &self.total {
                    Some(total) => self.lines.insert_before(total, line),
                    None => self.lines.add(line),
                };
                line.enable_steady_tick(Duration::from_millis(100));
                self.running.insert(label.clone(), line);
            }
            EventKind::Ended { label, exit_code, usage, .. } => {
                self.end(label);
                if *exit_code != 0 {
                    self.say(format!("{label} failed after {}", seconds(usage.wall)));
                }
            }
            EventKind::Retried { label, error } => {
                self.say(format!("note: trying `{label}` once more: {error}"))
            }
            EventKind::Lost { .. } => {}
            EventKind::Estimated { left, unknown } => {
                let message = format!(", left: {}", time_left(*left, *unknown));
                self.total(|total| total.set_message(message));
            }
            EventKind::Finished { .. } => self.clear(),
        }
    }

    fn downloads(&mut self, downloads: &Downloads) {
        let line = self.downloads.get_or_insert_with(|| {
            let line = match downloads.bytes {
                Some(bytes) => ProgressBar::new(bytes).with_style(style(DOWNLOADS)),
                None => ProgressBar::no_length().with_style(style(DOWNLOADS_OF_ANY_SIZE)),
            };
            self.lines.add(line)
        });
        if let Some(bytes) = downloads.bytes {
            line.set_length(bytes);
        }
        line.set_position(downloads.bytes_done);
        line.set_message(match downloads.bytes {
            Some(_) => format!("{}/{} files", downloads.files_done, downloads.files),
            None => downloads.current.clone(),
        });
        if downloads.files_done == downloads.files {
            line.finish_and_clear();
            self.downloads = None;
            let what = match downloads.bytes {
                Some(_) => format!("{} files", downloads.files),
                None => downloads.current.clone(),
            };
            self.say(format!("fetched {what}, {}", bytes(downloads.bytes_done)));
        }
    }

    fn note(&mut self, text: &str) {
        self.say(format!("note: {text}"));
    }

    fn clear(&mut self) {
        let running = std::mem::take(&mut self.running).into_values();
        for line in running.chain(self.total.take()).chain(self.downloads.take()) {
            line.finish_and_clear();
            self.lines.remove(&line);
        }
        let _ = self.lines.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_valid() {
        for template in [TOTAL, STEP, DOWNLOADS, DOWNLOADS_OF_ANY_SIZE] {
            style(template);
        }
    }
}
