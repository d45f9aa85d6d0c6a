//! The jobserver that steps share.

use std::time::Instant;

use cas::{Node, Store as _};

use crate::harness::{Step, Test, World};

pub(crate) const TESTS: &[Test] = &[("make_shares_the_jobs_of_all_steps", make_shares_jobs)];

/// Notes which jobs run while each of them does.
const MAKEFILE: &str = "all: 1 2 3 4 5 6\n1 2 3 4 5 6:\n\t@mkdir running/$@; echo `ls running` >> out/seen; sleep 0.3; rmdir running/$@\n";

fn make_shares_jobs() {
    let world = World::new();
    if !world.has("make") {
        return println!("skipped: this host has no `make`; the tests of `cli` run one from locked packages");
    }
    let executor = world.executor(3);
    let makefile = Node::File { digest: world.store.write(MAKEFILE.as_bytes()).unwrap(), executable: false };
    let step = Step::shell(&world, "mkdir running; make").place("build/Makefile", makefile);
    let most = |execution: &engine::Execution| {
        assert_eq!(world.log(execution), "", "make has something to say about its jobserver");
        assert_eq!(execution.result.exit_code, 0);
        world.read(execution, "seen").lines().map(|seen| seen.split_whitespace().count()).max().unwrap()
    };
    assert_eq!(most(&step.run(&executor)), 3);
    // Two of them have three jobs together, each at least its own.
    let start = Instant::now();
    let both: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..2).map(|_| scope.spawn(|| step.run(&executor))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(both.iter().all(|execution| most(execution) <= 3));
    // Twelve jobs of 0.3 s, three at once.
    assert!(start.elapsed().as_millis() >= 1200, "{:?}", start.elapsed());
}
