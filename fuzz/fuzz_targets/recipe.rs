//! The project file: whatever it says, the answer is a stack or problems that can be shown.
#![no_main]

use libfuzzer_sys::fuzz_target;
use recipe::Settings;

fuzz_target!(|text: &str| {
    let (stack, problems) = recipe::parse(text, &Settings::default());
    assert_eq!(stack.is_some(), problems.is_empty());
    for problem in problems {
        let _ = problem.render_plain();
    }
});
