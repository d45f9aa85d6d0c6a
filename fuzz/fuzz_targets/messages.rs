//! What a cluster answers and a store remembers of actions; logs and histories of builds.
#![no_main]

use engine::{Action, ActionResult, Command, History, Progress, chrome_trace, parse_event_log};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(command) = Command::decode(bytes) {
        assert_eq!(Command::decode(&command.encode()).expect("our own encoding is a command"), command);
    }
    if let Ok(action) = Action::decode(bytes) {
        assert_eq!(Action::decode(&action.encode()).expect("our own encoding is an action"), action);
    }
    if let Ok(result) = ActionResult::decode(bytes) {
        assert_eq!(ActionResult::decode(&result.encode()).expect("our own encoding is a result"), result);
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let history = History::new(text.to_owned());
    let kept = history.compact();
    assert_eq!(History::new(kept.clone()).compact(), kept);
    let Ok(events) = parse_event_log(text) else { return };
    let mut progress = Progress::default();
    for event in &events {
        progress.apply(event);
        let _ = progress.time_left(event.at);
        let again = parse_event_log(&event.to_line()).expect("our own line is one of a log");
        assert_eq!(again, std::slice::from_ref(event));
    }
    let _ = chrome_trace(&events);
});
