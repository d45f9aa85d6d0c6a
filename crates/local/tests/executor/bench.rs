//! What a step costs beyond its command: `cargo test --release -p local --test executor -- --measure DIR`.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use crate::harness::{Step, World};

pub(crate) fn measure(scratch: &str) -> ExitCode {
    crate::harness::run(&[], &["--scratch", scratch]);
    let world = World::new();
    let executor = world.executor(2);
    let names: Vec<String> = (0..2000).map(|number| format!("d{}/f{number}", number % 70)).collect();
    let many: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "many")).collect();
    let plain = Step::shell(&world, "echo x > out/x");
    let placed = Step::shell(&world, "echo x > out/x").place("build/src", world.tree(&many));
    for (what, step) in [("environment only", plain), ("and a tree of 2000 files", placed)] {
        step.run(&executor);
        let mut times: Vec<Duration> = (0..50)
            .map(|_| {
                let start = Instant::now();
                step.run(&executor);
                start.elapsed()
            })
            .collect();
        times.sort_unstable();
        println!("{what}: median {:?}, least {:?}", times[25], times[0]);
    }
    ExitCode::SUCCESS
}
