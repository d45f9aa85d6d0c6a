//! A kernel of one's own: compiled whole, and after an edit, beside the kernel's own `make` and a bare QEMU.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::measure::{Case, Sample, Task, in_turns_without_warm_up};
use super::report::{Goal, Report, Row};
use super::{Context, command, make_directory, missing, remove, write};

const STACK: &str = "stacks/guest-arm64";
/// The source that the stack is locked to.
const SOURCE: &str = "linux=6.1.176-1";
/// How much of the time of `make` a whole kernel may take.
const WHOLE: f64 = 1.03;
/// How much of the time of `make` and QEMU it may take until an edited file was seen to boot.
const EDITED: f64 = 1.25;
/// How long it may take to find that there is nothing to do, in seconds.
const UNCHANGED: f64 = 0.050;
/// How much of the time of a whole kernel it may take with the files of `ccache`.
const CCACHE: f64 = 1.0 / 3.0;
/// How much of the work divided by the processors two targets may take together.
const TOGETHER: f64 = 1.05;
/// Some minute of one processor.
const BUSY: &str = "head -c 25G /dev/zero | cksum > $OUT/sum";

/// Measures the kernel of the arm64 guest: all of it compiled, a changed file compiled and booted, nothing changed,
/// also with somebody who watches the source, compiled again with `ccache`, and beside another target.
///
/// The first time, packages are downloaded, and the source is unpacked.
pub(crate) fn run(context: &Context, n_runs: usize) -> Result<Report, String> {
    let bench = Bench::prepare(context)?;
    let mut notes = vec![
        "the peers are the host's cross compiler and QEMU; the edit is a string in the driver of virtio disks".to_owned(),
    ];
    let gone = [
        missing("aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu"),
        missing("qemu-system-aarch64", "qemu-system-arm"),
        missing("flex", "flex"),
        missing("bison", "bison"),
        missing("bc", "bc"),
    ];
    let gone: Vec<String> = gone.into_iter().flatten().collect();
    let has_peers = gone.is_empty();
    notes.extend(gone);

    let mut cases = vec![
        Case::new("whole", bench.ours(&["build", "kernel"]))
            .prepare(|run| bench.edit(&format!("whole {run}"))),
        Case::new("edited and booted", bench.ours(&["test", "--incremental"]))
            .prepare(|run| bench.edit(&format!("ours {run}")))
            .says("kernel"),
        Case::new("unchanged", bench.ours(&["test", "--incremental"])).says("nothing to do"),
        Case::new("unchanged, watched", bench.watched(&["test", "--incremental"]))
            .prepare(|_| bench.watch())
            .says("nothing to do"),
        Case::new("edited and booted, watched", bench.watched(&["test", "--incremental"]))
            .prepare(|run| {
                bench.watch()?;
                bench.edit(&format!("watched {run}"))
            })
            .says("kernel"),
        Case::new("with ccache", bench.ours(&["build", "kernel", "--incremental"])).prepare(|run| {
            bench.forget_objects()?;
            bench.edit(&format!("ccache {run}"))
        }),
        Case::new("beside another target", bench.ours(&["build", "kernel", "busy"])).prepare(|run| {
            write(&bench.project.join("busy.txt"), &format!("{run} {}\n", bench.unique))?;
            bench.edit(&format!("together {run}"))
        }),
    ];
    if has_peers {
        bench.make_peer()?;
        let whole = bench.scratch.join("make-whole");
        cases.push(Case::new("make", bench.make(&whole)).prepare(|run| {
            bench.edit(&format!("whole {run}"))?;
            remove(&bench.scratch.join("make-whole"))?;
            bench.configure(&bench.scratch.join("make-whole"))
        }));
        let edited = Task::new("sh", &bench.scratch).args(["-euc", &bench.make_and_boot()]);
        cases.push(
            Case::new("make and QEMU", edited)
                .prepare(|run| bench.edit(&format!("theirs {run}")))
                .says("hello from the disk"),
        );
    }
    let samples = in_turns_without_warm_up(&bench.scratch, &mut cases, n_runs);
    let mut stop = Command::new(&bench.program);
    command(bench.arguments(&mut stop, &["watch", "--stop"]))?;
    let samples = samples?;
    let row = |idx: usize| Row::of(cases[idx].name, &samples[idx]);
    let (whole, mut peers) = (row(0), Vec::new());
    let mut rows = vec![row(0), row(1)];
    if has_peers {
        peers = vec![row(7), row(8)];
        rows = vec![row(0).against(&peers[0]), row(1).against(&peers[1])];
    }
    let mut rows: Vec<Row> =
        rows.into_iter().zip([WHOLE, EDITED]).map(|(row, goal)| row.goal(Goal::Ratio(goal))).collect();
    rows.push(row(2).goal(Goal::Seconds(UNCHANGED)));
    rows.push(row(3).goal(Goal::Seconds(UNCHANGED)));
    rows.push(match peers.get(1) {
        Some(peer) => row(4).against(peer).goal(Goal::Ratio(EDITED)),
        None => row(4),
    });
    rows.push(row(5).against(&whole).goal(Goal::Ratio(CCACHE)));
    let work = work(&samples[6]);
    rows.push(row(6).against(&work).goal(Goal::Ratio(TOGETHER)));
    rows.push(work);
    rows.extend(peers);
    Ok(Report { name: "kernel", title: format!("{STACK}, Linux from {SOURCE}, {n_runs} runs"), rows, notes })
}

/// Returns what the runs would take if every processor were busy all the time.
fn work(samples: &[Sample]) -> Row {
    let n_processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let seconds: Vec<f64> = samples.iter().map(|sample| sample.cpu / n_processors as f64).collect();
    Row::of_seconds("its work / processors", &seconds)
}

/// A copy of the stack with a source of its own.
struct Bench {
    program: PathBuf,
    scratch: PathBuf,
    project: PathBuf,
    linux: PathBuf,
    /// What the file that is edited says.
    driver: String,
    /// What no other run of this program wrote there, since the cache of an earlier one remembers its kernels.
    unique: u128,
}

const DRIVER: &str = "drivers/block/virtio_blk.c";

impl Bench {
    fn prepare(context: &Context) -> Result<Bench, String> {
        let scratch = context.scratch("kernel")?;
        let bench = |driver: String| Bench {
            program: context.program("bootwright"),
            project: scratch.join("project"),
            linux: scratch.join("linux"),
            scratch: scratch.clone(),
            driver,
            unique: std::time::UNIX_EPOCH.elapsed().map_or(0, |elapsed| elapsed.as_nanos()),
        };
        let linux = scratch.join("linux");
        if !linux.is_dir() {
            unpack(context, &scratch)?;
        }
        let original = scratch.join("virtio_blk.c");
        if !original.exists() {
            super::copy(&linux.join(DRIVER), &original)?;
        }
        let driver =
            fs::read_to_string(&original).map_err(|error| format!("could not read a driver: {error}"))?;
        let bench = bench(driver);
        remove(&bench.project)?;
        command(Command::new("cp").arg("-r").arg(context.root.join(STACK)).arg(&bench.project))?;
        symlink(&bench.linux, bench.project.join("linux"))
            .map_err(|error| format!("could not link: {error}"))?;
        let recipe = bench.project.join("bootwright.toml");
        let text =
            fs::read_to_string(&recipe).map_err(|error| format!("could not read the stack: {error}"))?;
        let with_ccache = text.replacen("\"perl\"]", "\"perl\", \"ccache\"]", 1);
        if with_ccache == text {
            return Err(format!("the environment of {STACK} is not as it was when this was written"));
        }
        let busy = format!(
            "\n[source.number]\npath = \"busy.txt\"\n\n[target.busy]\nkind = \"command\"\nenv = \"cross\"\n\
             sources = [\"number\"]\nrun = \"{BUSY}\"\n"
        );
        write(&bench.project.join("busy.txt"), "0\n")?;
        write(&recipe, &(with_ccache + &busy))?;
        bench.edit("first")?;
        let mut first = Command::new(&bench.program);
        command(bench.arguments(&mut first, &["test", "--incremental"]))?;
        let mut rest = Command::new(&bench.program);
        command(bench.arguments(&mut rest, &["build", "kernel", "initrd", "disk", "--incremental"]))?;
        Ok(bench)
    }

    fn arguments<'c>(&self, program: &'c mut Command, words: &[&str]) -> &'c mut Command {
        let program = program.current_dir(&self.project).arg("--cache").arg(self.scratch.join("cache"));
        program.args(["--set", "LINUX=local"]).args(words)
    }

    fn ours(&self, words: &[&str]) -> Task {
        self.watched(words).arg("--no-watcher")
    }

    /// The same with the help of who watches the source, if somebody does.
    fn watched(&self, words: &[&str]) -> Task {
        let task = Task::new(&self.program, &self.project).arg("--cache").arg(self.scratch.join("cache"));
        words.iter().fold(task.args(["--set", "LINUX=local"]), |task, word| task.arg(*word))
    }

    /// Has the source watched, and a build know since when.
    fn watch(&self) -> Result<(), String> {
        let run = |words: &[&str]| {
            let mut program = Command::new(&self.program);
            command(self.arguments(&mut program, words)).map(drop)
        };
        super::watch(run, &["test", "--incremental"])
    }

    /// Changes a file so that another kernel comes of it.
    fn edit(&self, text: &str) -> Result<(), String> {
        let line = format!("\nstatic const char bench_edit[] __used = \"{text} {}\";\n", self.unique);
        write(&self.linux.join(DRIVER), &(self.driver.clone() + &line))
    }

    /// Removes the objects that the kernel's step keeps, and leaves it the files of `ccache`.
    fn forget_objects(&self) -> Result<(), String> {
        let projects = self.scratch.join("cache/projects");
        let entries =
            fs::read_dir(&projects).map_err(|error| format!("could not read the cache: {error}"))?;
        for entry in entries.flatten() {
            remove(&entry.path().join("kept/kernel+objects"))?;
        }
        Ok(())
    }

    fn make(&self, objects: &Path) -> Task {
        let n_processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Task::new("make", &self.scratch)
            .arg("-C")
            .arg(&self.linux)
            .arg(format!("O={}", objects.display()))
            .arg(format!("-j{n_processors}"))
            .args(["ARCH=arm64", "CROSS_COMPILE=aarch64-linux-gnu-", "Image"])
    }

    /// Gives `make` the configuration that we have.
    fn configure(&self, objects: &Path) -> Result<(), String> {
        make_directory(objects)?;
        super::copy(&self.project.join("out/kernel/config"), &objects.join(".config"))
    }

    /// Makes the objects of the peer, once.
    fn make_peer(&self) -> Result<(), String> {
        let objects = self.scratch.join("make-edited");
        self.configure(&objects)?;
        self.make(&objects).run(super::measure::MEASURE, &self.scratch.join("log")).map(drop)
    }

    fn make_and_boot(&self) -> String {
        let n_processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        format!(
            "make -C linux O=../make-edited -j{n_processors} ARCH=arm64 CROSS_COMPILE=aarch64-linux-gnu- Image\n\
             exec qemu-system-aarch64 -machine virt,gic-version=3 -accel tcg -cpu max -smp 4 -m 1G -nographic \
             -nodefaults -serial stdio -no-reboot -kernel make-edited/arch/arm64/boot/Image \
             -initrd project/out/initrd/initramfs.img -append 'console=ttyAMA0 loglevel=8 nokaslr rdinit=/init' \
             -drive if=none,id=disk,format=raw,file=project/out/disk/disk.ext4,snapshot=on \
             -device virtio-blk-device,drive=disk\n"
        )
    }
}

/// Unpacks the source to `linux` in `scratch`.
fn unpack(context: &Context, scratch: &Path) -> Result<(), String> {
    let project = scratch.join("source");
    make_directory(&project)?;
    let recipe = format!(
        "[stack]\nname = \"source\"\n\n[source.linux]\ndebian-source = \"{SOURCE}\"\n\n\
         [env.tar]\ndistro = \"debian:bookworm\"\npackages = [\"tar\"]\n\n\
         [target.tar]\nkind = \"command\"\nenv = \"tar\"\nsources = [\"linux\"]\n\
         run = \"tar -C src --hard-dereference -cf $OUT/linux.tar linux\"\n"
    );
    write(&project.join("bootwright.toml"), &recipe)?;
    let mut build = Command::new(context.program("bootwright"));
    command(build.current_dir(&project).arg("--cache").arg(scratch.join("cache")).arg("build"))?;
    command(Command::new("tar").current_dir(scratch).arg("-xf").arg(project.join("out/tar/linux.tar")))?;
    remove(&project.join("out"))
}
