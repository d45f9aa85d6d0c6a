//! Progress for programs: JSON lines on standard error, each with a version.

use engine::{EVENT_VERSION, Event};

use super::{Console, Downloads};

/// Writes a line for each event, each note and the state of the downloads.
pub(crate) struct Json;

impl Console for Json {
    fn event(&mut self, event: &Event) {
        eprint!("{}", event.to_line());
    }

    fn downloads(&mut self, downloads: &Downloads) {
        let Downloads { files_done, files, bytes_done, bytes, .. } = downloads;
        let line = serde_json::json!({
            "version": EVENT_VERSION, "event": "downloads", "files_done": files_done, "files": files,
            "bytes_done": bytes_done, "bytes": bytes,
        });
        eprintln!("{line}");
    }

    fn note(&mut self, text: &str) {
        eprintln!("{}", serde_json::json!({ "version": EVENT_VERSION, "event": "note", "text": text }));
    }

    fn clear(&mut self) {}
}
