//! `--incremental`: what is compiled again, and that nothing of it is taken for clean.

use crate::harness::{Project, unique};

/// A kernel as far as `make` knows it: objects beside the source, an image of them.
const MAKEFILE: &str = "\
image := $(O)/arch/x86/boot/bzImage
olddefconfig:
\t@touch $(O)/.config
savedefconfig:
\t@cp $(O)/.config $(O)/defconfig
bzImage: $(image)
$(O)/%.o: %.c $(O)/.config
\t@echo compiling $*
\t@! grep error $<
\t@cat $< > $@
$(image): $(O)/a.o $(O)/b.o
\t@mkdir -p $(@D)
\t@cat $^ > $@
\t@cp $@ $(O)/vmlinux
\t@touch $(O)/System.map
";

fn kernel() -> Project {
    let project = Project::new(
        "[stack]\nname = \"edited\"\n[source.linux]\npath = \"linux\"\n[env.native]\ndistro = \"debian:bookworm\"\n\
         packages = [\"gcc\", \"make\", \"flex\", \"bison\", \"bc\", \"perl\"]\n[target.kernel]\nkind = \"kernel\"\n\
         source = \"linux\"\nenv = \"native\"\n",
    );
    for (path, text) in [("Makefile", MAKEFILE), ("Kbuild", ""), ("Kconfig", ""), ("b.c", "b\n")] {
        project.write(&format!("linux/{path}"), text);
    }
    project.write("linux/a.c", &format!("{}\n", unique()));
    project
}

/// Returns what the last run of the kernel's step compiled.
fn compiled(project: &Project) -> String {
    let log = project.succeed(&["log", "kernel", "--incremental"]).stdout;
    let mut files: Vec<&str> = log.lines().filter_map(|line| line.strip_prefix("compiling ")).collect();
    // They are compiled side by side.
    files.sort_unstable();
    files.join(" ")
}

#[test]
fn only_what_changed_is_compiled() {
    let project = kernel();
    let image = || project.read("out/kernel/bzImage");
    let build = ["build", "kernel", "--incremental"];
    let first = project.read("linux/a.c");
    let ran = project.succeed(&build);
    assert!(ran.stderr.contains("made with --incremental, so not for others: `kernel`"), "{}", ran.stderr);
    assert!(project.read("out/kernel/TAINTED").contains("--incremental"));
    assert_eq!((compiled(&project).as_str(), image()), ("a b", format!("{first}b\n")));

    project.write("linux/b.c", "changed\n");
    project.succeed(&build);
    assert_eq!((compiled(&project).as_str(), image()), ("b", format!("{first}changed\n")));
    assert!(project.succeed(&build).stderr.contains("nothing to do"));

    // An error in one file, while another one changes: both are looked at again.
    project.write("linux/a.c", "error\n");
    project.write("linux/b.c", "b\n");
    project.fail(&["build", "kernel", "--incremental", "-j1"], 1, &["`kernel` failed"]);
    project.write("linux/a.c", "again\n");
    project.succeed(&build);
    assert_eq!(image(), "again\nb\n");

    // What was seen before is as old as it ever was. It is remembered, and then no object is of it.
    project.write("linux/a.c", &first);
    project.succeed(&build);
    assert_eq!(image(), format!("{first}b\n"));
    project.write("linux/b.c", "third\n");
    project.succeed(&build);
    assert_eq!(image(), format!("{first}third\n"));

    // A clean build knows nothing of all that.
    let ran = project.succeed(&["build", "kernel"]);
    assert!(!ran.stderr.contains("--incremental"), "{}", ran.stderr);
    assert_eq!(image(), format!("{first}third\n"));
    assert!(!project.path().join("out/kernel/TAINTED").exists());
}

#[test]
fn commands_find_what_they_left_only_if_asked() {
    let project = Project::new(&format!(
        "[stack]\nname = \"caches\"\n[knob]\nN = {{ default = \"1\" }}\n[env.small]\ndistro = \"debian:bookworm\"\n\
         [target.counts]\nkind = \"command\"\nenv = \"small\"\ncaches = [\"numbers\"]\n\
         run = \"echo ${{N}} {} >> cache/numbers/all; wc -l < cache/numbers/all > $OUT/n\"\n\
         [target.reads]\nkind = \"command\"\nenv = \"small\"\ninputs = {{ n = \"counts/n\" }}\n\
         run = \"cat in/n > $OUT/n\"\n",
        unique()
    ));
    for (number, expected) in [("1", "1"), ("2", "2"), ("3", "3")] {
        project.succeed(&["build", "reads", "--incremental", "--set", &format!("N={number}")]);
        assert_eq!(project.read("out/reads/n").trim(), expected);
        // Whoever reads something that is tainted is so, too.
        assert!(project.path().join("out/reads/TAINTED").exists());
    }
    project.succeed(&["build", "reads", "--set", "N=2"]);
    assert_eq!(project.read("out/reads/n").trim(), "1");
    assert!(!project.path().join("out/reads/TAINTED").exists());
}
