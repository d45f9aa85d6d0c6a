//! What a step sees, and what becomes of its outputs.

use std::fs;

use cas::{Digest, Node, Store as _, StoreError};
use engine::{ExecutorError, Kept};

use crate::harness::{Step, Test, World};

pub(crate) const TESTS: &[Test] = &[
    ("a_step_sees_its_inputs_and_leaves_outputs", inputs_and_outputs),
    ("every_step_finds_the_same_world", same_world),
    ("inputs_can_be_overwritten_without_harm", overwritten_inputs),
    ("placements_that_cover_each_other_are_staged_merged", overlapping),
    ("a_tool_needs_no_environment", no_environment),
    ("what_a_tool_reads_is_bound", bound_inputs),
    ("a_little_more_lies_over_what_is_there", near_environments),
    ("a_missing_input_is_named", missing_input),
    ("outputs_become_blobs_without_copying", moved_outputs),
    ("a_step_finds_what_earlier_ones_noted_about_kvm", kvm_note),
    ("a_step_finds_what_its_last_run_kept", kept_directory),
    ("a_source_with_an_edit_is_checked_out_as_the_edit", near_sources),
];

fn inputs_and_outputs() {
    let world = World::new();
    let executor = world.executor(2);
    let names: Vec<String> = (0..300).map(|number| format!("d{}/f{number}", number % 7)).collect();
    let many: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "many")).collect();
    let file = Node::File { digest: world.store.write(b"spec").unwrap(), executable: false };
    let tool =
        Node::File { digest: world.store.write(b"#!/bin/sh\necho tool $1\n").unwrap(), executable: true };
    let step = Step::shell(
        &world,
        "pwd; cat in/spec.json; echo; tools/tool x; cat src/a/b; ls src/many/d0 | head -n 1; cat src/many/d3/f10
         find . -newer in/spec.json -type f
         mkdir -p out/x; echo made > out/x/file; ln -s x/file out/link; chmod 700 out/x/file; chmod 0 out/x",
    )
    .place("build/in/spec.json", file)
    .place("build/tools/tool", tool)
    .place("build/src/a", world.tree(&[("b", "small\n")]))
    .place("build/src/many", world.tree(&many));
    for _ in 0..2 {
        let execution = step.run(&executor);
        assert_eq!(world.log(&execution), "/build\nspec\ntool x\nsmall\nf0\nmany");
        assert_eq!((execution.result.exit_code, &execution.kept), (0, &None));
        assert_eq!(world.read(&execution, "x/file"), "made\n");
        let output = world.store.read_directory(&execution.result.output).unwrap();
        assert_eq!(output.entries["link"], Node::Symlink { target: "x/file".to_owned() });
        assert!(execution.result.usage.wall.as_micros() > 0 && execution.result.usage.peak_memory > 0);
        assert_eq!(fs::read_dir(world.store.scratch()).unwrap().count(), 0, "the run left something");
    }
}

fn kept_directory() {
    let world = World::new();
    let executor = world.executor(2);
    let mut step = Step::shell(&world, "cat /tmp/kept/said || true; echo $WORD >> /tmp/kept/said");
    let said = |step: &Step| world.log(&step.run(&executor)).trim().replace('\n', " ");
    let kept = |name: &str| Kept { name: name.to_owned(), at: "/tmp/kept".to_owned() };
    step.requirements.kept = vec![kept("one")];
    let word = |word: &str| vec![("WORD".to_owned(), word.to_owned())];
    step.command.environment = word("first");
    assert!(said(&step).contains("No such file"));
    step.command.environment = word("second");
    assert_eq!(said(&step), "first");
    assert_eq!(said(&step), "first second");
    step.requirements.kept = vec![kept("two")];
    assert!(said(&step).contains("No such file"));
    step.requirements.kept.clear();
    step.command.arguments[2] = "mkdir /tmp/kept; ls /tmp/kept".to_owned();
    assert_eq!(said(&step), "");
}

/// Files that did not change are the same inodes, of the same age, in both: so a step knows what did.
fn near_sources() {
    let world = World::new();
    let executor = world.executor(2);
    let names: Vec<String> = (0..300).map(|number| format!("d{}/f{number}", number % 7)).collect();
    let mut files: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), name.as_str())).collect();
    let list = |files: &[(&str, &str)]| {
        let step = Step::shell(&world, "find src -type f -printf '%p %i %s %Ts\\n' | sort");
        world.log(&step.place("build/src/many", world.tree(files)).run(&executor))
    };
    let before = list(&files);
    files[17].1 = "changed";
    let after = list(&files);
    let differing: Vec<&str> =
        before.lines().zip(after.lines()).filter(|(a, b)| a != b).map(|(a, _)| a).collect();
    assert_eq!(differing.len(), 1, "{differing:?}");
    assert!(differing[0].starts_with("src/many/d3/f17 "), "{differing:?}");
}

fn same_world() {
    let world = World::new();
    let executor = world.executor(2);
    let check = |script: &str, expected: &str| {
        let mut step = Step::shell(&world, script);
        step.command.environment =
            vec![("OWN".to_owned(), "1".to_owned()), ("TZ".to_owned(), "Mars".to_owned())];
        assert_eq!(world.log(&step.run(&executor)), expected, "{script}");
    };
    check("id -u; id -g; umask; pwd", "1000\n1000\n0022\n/build\n");
    check("cat /proc/sys/kernel/hostname; ls -A /tmp out", "bootwright\n/tmp:\n\nout:\n");
    // The shell adds `PWD`.
    check(
        "env | sort | grep -v ^PWD=",
        "HOME=/build\nLANG=C.UTF-8\nLC_ALL=C.UTF-8\nLOGNAME=build\nMAKEFLAGS= -j2 --jobserver-auth=200,201\n\
         OWN=1\nPATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n\
         SOURCE_DATE_EPOCH=946684800\nTMPDIR=/tmp\nTZ=Mars\nUSER=build\n",
    );
    let root = Step::shell(&world, "id -u; mkdir /etc; echo x > /etc/new").root().run(&executor);
    assert_eq!((root.result.exit_code, world.log(&root).as_str()), (0, "0\n"));
}

fn overwritten_inputs() {
    let world = World::new();
    let executor = world.executor(1);
    let digest = world.store.write(b"original").unwrap();
    let file = Node::File { digest, executable: false };
    for root in [false, true] {
        let mut step = Step::shell(
            &world,
            "chmod u+w in/file; echo changed > in/file; echo no > /bin/cat; echo x >> src/f",
        )
        .place("build/in/file", file.clone())
        .place("build/src", world.tree(&[("f", "")]));
        step.requirements.root = root;
        let execution = step.run(&executor);
        // The shell refuses what its user may not; overlays allow the owner to.
        assert!(execution.result.exit_code == 0 || !root, "{}", world.log(&execution));
        world.store.verify(&digest).unwrap();
        let checkout = world.store.shared_checkout(&world.environment).unwrap();
        assert!(fs::metadata(checkout.join("bin/cat")).unwrap().len() > 100);
    }
}

fn overlapping() {
    let world = World::new();
    let executor = world.executor(1);
    let mut step = Step::shell(&world, "unused")
        .place("build/src", world.tree(&[("a", "old"), ("b", "old")]))
        .place("build/src/a", Node::File { digest: world.store.write(b"new").unwrap(), executable: false });
    // What the engine hands over with them.
    let mut root = world.store.read_directory(&world.environment).unwrap();
    root.entries.insert("build".to_owned(), world.tree(&[("src/a", "new"), ("src/b", "old")]));
    step.input_root = world.store.write(&root.encode()).unwrap();
    step.command.arguments[2] = "cat src/a src/b; echo made > out/made".to_owned();
    let execution = step.run(&executor);
    assert_eq!(world.log(&execution), "newold");
    assert_eq!(world.read(&execution, "made"), "made\n");
}

fn no_environment() {
    let world = World::new();
    let executor = world.executor(1);
    let mut step = Step::shell(&world, "");
    // All that is there is what was placed, and that has no such program.
    step.placed[0].path = "build/in/root".to_owned();
    step.command.arguments = vec!["in/root/bin/nothing".to_owned()];
    let execution = step.run(&executor);
    assert_eq!(execution.result.exit_code, 127);
    assert!(world.log(&execution).contains("could not execute `in/root/bin/nothing`: No such file"));
}

/// A static program would do without its libraries; these are placed as a tool's other inputs are.
fn bound_inputs() {
    let world = World::new();
    let executor = world.executor(1);
    let root = world.store.read_directory(&world.environment).unwrap();
    let many: Vec<String> = (0..300).map(|number| format!("f{number}")).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|name| (name.as_str(), "many")).collect();
    let digest = world.store.write(b"spec").unwrap();
    let mut step = Step::shell(
        &world,
        "cat in/spec in/many/f7; ls -A / in
         for path in in/spec in/many/f7 in/many/new; do (echo x > $path) 2> /dev/null && echo written; done
         mkdir /elsewhere; echo made > /elsewhere/file; cat /elsewhere/file > out/made",
    );
    for root_inside in [false, true] {
        step.requirements.root = root_inside;
        step.placed = Vec::new();
        for (name, node) in &root.entries {
            // Small trees are not bound, so each file is.
            world.each_file(node, name, &mut |path, node| {
                step.placed.push(engine::Placed { path: path.to_owned(), node });
            });
        }
        let placed = [
            ("build/in/spec", Node::File { digest, executable: false }),
            ("build/in/many", world.tree(&many)),
        ];
        step.placed.extend(placed.map(|(path, node)| engine::Placed { path: path.to_owned(), node }));
        let execution = step.run(&executor);
        let log = world.log(&execution);
        assert_eq!(execution.result.exit_code, 0, "{log}");
        assert!(log.starts_with("specmany") && !log.contains("written"), "{log}");
        assert_eq!(world.read(&execution, "made"), "made\n");
        world.store.verify(&digest).unwrap();
        assert_eq!(fs::read_dir(world.store.scratch()).unwrap().count(), 0, "the run left something");
    }
}

fn near_environments() {
    let world = World::new();
    let executor = world.executor(1);
    let run = |environment: Digest, script: &str| {
        let mut step = Step::shell(&world, script).root();
        step.placed[0].node = Node::Directory { digest: environment };
        world.log(&step.run(&executor))
    };
    let many: Vec<String> = (0..300).map(|number| format!("f{number}")).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|name| (name.as_str(), "many")).collect();
    let mut root = world.store.read_directory(&world.environment).unwrap();
    root.entries.insert("opt".to_owned(), world.tree(&many));
    let first = world.store.write(&root.encode()).unwrap();
    assert_eq!(run(first, "ls /opt | grep -c f"), "300\n");
    let changed: Vec<(&str, &str)> =
        many.iter().copied().filter(|(name, _)| *name != "f7").chain([("f7", "7\n"), ("g", "8\n")]).collect();
    root.entries.insert("opt".to_owned(), world.tree(&changed));
    let second = world.store.write(&root.encode()).unwrap();
    assert_eq!(run(second, "cat /opt/f7 /opt/g; echo x > /opt/f8; ls /opt | grep -c ."), "7\n8\n301\n");
    assert!(!world.store.root().join("trees").join(second.hex()).exists(), "all of it was checked out");
    // Nothing of the second one is seen in the first.
    assert_eq!(run(first, "cat /opt/f7; ls /opt | grep -c ."), "many300\n");
}

fn missing_input() {
    let world = World::new();
    let executor = world.executor(1);
    let missing = Digest::of(b"missing");
    for node in [Node::File { digest: missing, executable: false }, Node::Directory { digest: missing }] {
        let error = Step::shell(&world, "true").place("build/in/x", node).try_run(&executor).unwrap_err();
        let named =
            matches!(&error, ExecutorError::Store(StoreError::Missing { digest }) if *digest == missing);
        assert!(named, "{error:?}");
    }
}

fn moved_outputs() {
    use std::os::unix::fs::MetadataExt as _;
    let world = World::new();
    let executor = world.executor(1);
    let execution =
        Step::shell(&world, "head -c 300000 /dev/urandom > out/big; ls -i out/big").run(&executor);
    let inode: u64 = world.log(&execution).split_whitespace().next().unwrap().parse().unwrap();
    let output = world.store.read_directory(&execution.result.output).unwrap();
    let Node::File { digest, .. } = &output.entries["big"] else { panic!("no file") };
    assert_eq!(world.store.open_blob(digest).unwrap().metadata().unwrap().ino(), inode);
}

fn kvm_note() {
    let world = World::new();
    let executor = world.executor(1);
    let check = |step: &Step, expected: &str| assert_eq!(world.log(&step.run(&executor)), expected);
    let mut step = Step::shell(&world, "cat host/kvm; echo 'tcg: slow' > host/kvm");
    let without = Step::shell(&world, "ls");
    check(&without, "out\n");
    step.requirements.kvm = true;
    check(&step, "");
    check(&step, "tcg: slow\n");
    // Only those that may use KVM see it, and another executor of the same machine does, too.
    check(&without, "out\n");
    assert_eq!(world.log(&step.run(&world.executor(1))), "tcg: slow\n");
}
