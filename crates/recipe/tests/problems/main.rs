//! Every kind of wrong input, with the whole text that people see.

mod budgets;
mod disks;
mod erofs;
mod file_systems;
mod igvm;
mod iso;
mod keys;
mod layouts;
mod machines;
mod references;
mod sections;
mod text;

use recipe::{Settings, parse};

#[track_caller]
pub(crate) fn check(recipe: &str, expected: &str) {
    let (stack, problems) = parse(recipe, &Settings::default());
    let rendered: Vec<String> = problems.iter().map(|problem| problem.to_string()).collect();
    assert_eq!(rendered.join("\n\n"), expected.trim());
    assert_eq!(stack.is_some(), problems.is_empty(), "there is a stack when there is no problem");
}
