//! Progress where no terminal is: a line for what ended, none for what goes on as it should.

use std::time::Duration;

use engine::{Event, EventKind};

use super::{Console, Downloads, bytes, seconds};

/// Steps that end sooner than this are only counted.
const WORTH_A_LINE: Duration = Duration::from_millis(500);

/// Writes a line for each step that took a while, each failure, and the downloads now and then.
#[derive(Default)]
pub(crate) struct Plain {
    steps: u32,
    done: u32,
    tenths_told: u64,
    bytes_told: u64,
    downloading: bool,
}

impl Plain {
    /// Of a download whose size nobody knows, a line whenever twice as much is here.
    fn download_of_any_size(&mut self, downloads: &Downloads) {
        let Downloads { files_done, files, bytes_done, current, .. } = downloads;
        if !self.downloading {
            self.downloading = true;
            self.bytes_told = FIRST_TOLD;
            eprintln!("fetching {current}");
        }
        if files_done == files {
            self.downloading = false;
            eprintln!("fetched {current}, {}", bytes(*bytes_done));
        } else if *bytes_done >= 2 * self.bytes_told {
            self.bytes_told = *bytes_done;
            eprintln!("fetched {} of {current}", bytes(*bytes_done));
        }
    }
}

/// Half of what has to be here before a line says so.
const FIRST_TOLD: u64 = 8_000_000;

impl Console for Plain {
    fn event(&mut self, event: &Event) {
        match &event.kind {
            EventKind::Began { steps, .. } => (self.steps, self.done) = (*steps, 0),
            EventKind::Hit { .. } | EventKind::Skipped { .. } => self.done += 1,
            EventKind::Started { label, expected: Some(expected), .. } if *expected > 10 * WORTH_A_LINE => {
                eprintln!("[{}/{}] {label} started, {} last time", self.done, self.steps, seconds(*expected));
            }
            EventKind::Ended { label, exit_code, usage, .. } => {
                self.done += 1;
                if *exit_code != 0 {
                    eprintln!("[{}/{}] {label} failed after {}", self.done, self.steps, seconds(usage.wall));
                } else if usage.wall >= WORTH_A_LINE {
                    eprintln!("[{}/{}] {label} {}", self.done, self.steps, seconds(usage.wall));
                }
            }
            EventKind::Retried { label, error } => eprintln!("note: trying `{label}` once more: {error}"),
            _ => {}
        }
    }

    fn downloads(&mut self, downloads: &Downloads) {
        let Downloads { files_done, files, bytes_done, bytes: Some(total), .. } = downloads else {
            return self.download_of_any_size(downloads);
        };
        if !self.downloading {
            self.downloading = true;
            self.tenths_told = 0;
            eprintln!("fetching {files} files, {}", bytes(*total));
        }
        let tenths = (bytes_done * 10).checked_div(*total).unwrap_or(10);
        if tenths > self.tenths_told {
            self.tenths_told = tenths;
            eprintln!("fetched {files_done}/{files} files, {} of {}", bytes(*bytes_done), bytes(*total));
        }
        if files_done == files {
            self.downloading = false;
        }
    }

    fn note(&mut self, text: &str) {
        eprintln!("note: {text}");
    }

    fn clear(&mut self) {}
}
