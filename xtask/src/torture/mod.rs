//! `cargo xtask torture`: what must hold however the machine, the network and the user treat a build.
//!
//! Every scenario draws what it does from a seed, which is printed: the same seed does the same again, as far as
//! the machine's own timing lets it. The first failure ends a scenario.

#![allow(clippy::disallowed_methods, reason = "a test of programs waits, and says how long it took")]

mod archive;
mod crowds;
mod damage;
mod disk;
mod kills;
mod servers;
mod world;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use world::World;

/// A scenario: its name, what it does, and one round of it.
type Scenario = (&'static str, &'static str, fn(&World, &mut Numbers) -> Result<(), String>);

const SCENARIOS: &[Scenario] = &[
    (
        "kills",
        "kill -9 during fetch, unpack, configure, build and gc, also of two builds at once",
        kills::kill,
    ),
    ("interrupts", "ctrl-C at any moment", kills::interrupt),
    ("power", "power cuts: whatever was not synchronised is lost or torn", damage::power),
    ("flips", "bits that flip and files that are cut short in the cache", damage::flip),
    ("disk", "a disk that is full at every possible moment", disk::full),
    ("servers", "archives that stall, lie, break and lead astray", servers::bad),
    ("crowds", "hundreds of steps, thousands of orphans, steps out of memory", crowds::crowd),
];

/// Numbers that look random and are the same for the same seed.
#[derive(Clone, Debug)]
pub(crate) struct Numbers(u64);

impl Numbers {
    /// Returns a number below `limit`.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        // Knuth's MMIX constants; the upper half is the better one.
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit.max(1)
    }

    /// Returns a part of `whole`.
    pub(crate) fn part_of(&mut self, whole: Duration) -> Duration {
        whole * u32::try_from(self.below(1001)).unwrap_or(0) / 1000
    }

    /// Returns one of them.
    pub(crate) fn one_of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len() as u64) as usize]
    }
}

struct Options {
    scenarios: Vec<Scenario>,
    n_rounds: Option<u64>,
    time: Duration,
    seed: u64,
    program: Option<PathBuf>,
    /// Where projects and caches are; on a disk that others keep busy, synchronising takes most of the time.
    scratch: Option<PathBuf>,
}

/// Runs the scenarios that are named, or all. Returns whether everything held.
pub(crate) fn run(root: &Path, words: &[&str]) -> bool {
    let options = match parse(words) {
        Ok(options) => options,
        Err(error) => {
            eprintln!("torture: {error}");
            return false;
        }
    };
    match options.run(root) {
        Ok(n_failed) => n_failed == 0,
        Err(error) => {
            eprintln!("torture: {error}");
            false
        }
    }
}

fn parse(words: &[&str]) -> Result<Options, String> {
    let since_1970 = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let mut options = Options {
        scenarios: Vec::new(),
        n_rounds: None,
        time: Duration::from_secs(20),
        seed: since_1970.as_secs(),
        program: None,
        scratch: None,
    };
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let mut number = || words.next().and_then(|text| text.parse::<u64>().ok());
        match *word {
            "--rounds" => options.n_rounds = Some(number().ok_or("--rounds needs a number")?),
            "--seconds" => options.time = Duration::from_secs(number().ok_or("--seconds needs a number")?),
            "--seed" => options.seed = number().ok_or("--seed needs a number")?,
            "--scratch" => options.scratch = Some(words.next().ok_or("--scratch needs a directory")?.into()),
            "--program" => options.program = Some(words.next().ok_or("--program needs a file")?.into()),
            name => {
                let known = SCENARIOS.iter().find(|scenario| scenario.0 == name);
                options.scenarios.push(*known.ok_or_else(|| {
                    let names: Vec<&str> = SCENARIOS.iter().map(|scenario| scenario.0).collect();
                    format!("there is no scenario `{name}`, only {}", names.join(", "))
                })?);
            }
        }
    }
    if options.scenarios.is_empty() {
        options.scenarios = SCENARIOS.to_vec();
    }
    Ok(options)
}

impl Options {
    fn run(&self, root: &Path) -> Result<usize, String> {
        let target = target_directory(root)?;
        let program = match &self.program {
            Some(program) => program.clone(),
            None => {
                if !crate::cargo(&["build", "--release", "--locked", "--package", "bootwright"]) {
                    return Err("bootwright could not be built".to_owned());
                }
                target.join("release/bootwright")
            }
        };
        let mut n_failed = 0;
        for (name, what, round) in &self.scenarios {
            println!("{name}: {what}; --seed {}", self.seed);
            let scratch = self.scratch.clone().unwrap_or_else(|| target.join("torture")).join(name);
            let world = World::new(&program, &scratch, &target.join("torture/archive"))?;
            let mut numbers = Numbers(self.seed);
            let start = Instant::now();
            let mut n_rounds = 0;
            let outcome = loop {
                let is_done = match self.n_rounds {
                    Some(wanted) => n_rounds >= wanted,
                    None => start.elapsed() >= self.time,
                };
                if is_done {
                    break Ok(());
                }
                n_rounds += 1;
                if let Err(error) = round(&world, &mut numbers) {
                    break Err(error);
                }
            };
            let took = start.elapsed().as_secs();
            match outcome {
                Ok(()) => {
                    println!("{name}: ok, {n_rounds} rounds in {took} s");
                    world::remove(&scratch)?;
                }
                Err(error) => {
                    n_failed += 1;
                    println!("{name}: FAILED in round {n_rounds} after {took} s: {error}");
                    println!("{name}: what it left is in `{}`", scratch.display());
                }
            }
        }
        Ok(n_failed)
    }
}

fn target_directory(root: &Path) -> Result<PathBuf, String> {
    let program = std::env::current_exe().map_err(|error| format!("could not find xtask: {error}"))?;
    // The program is TARGET/PROFILE/xtask.
    Ok(program.ancestors().nth(2).unwrap_or(root).to_owned())
}
