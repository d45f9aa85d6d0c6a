//! The command line: what can be said, with examples.

mod measure;
mod xbuild;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub(crate) use self::measure::Measure;
pub(crate) use self::xbuild::Xbuild;

/// Builds, measures, signs and boots virtualization stacks and bootable images.
#[derive(Debug, Parser)]
#[command(
    name = "bootwright",
    version,
    about,
    propagate_version = true,
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = "Exit codes: 0 done, 1 a build or test failed, 2 the project or the command line is wrong, \
                  3 this machine cannot do it, 101 a bug in bootwright."
)]
pub(crate) struct Cli {
    /// What holds for every command.
    #[command(flatten)]
    pub(crate) global: Global,
    /// The command.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What holds for every command.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Options of every command")]
pub(crate) struct Global {
    /// Work on the project in DIR instead of the one around the current directory
    #[arg(short = 'C', long, value_name = "DIR", global = true)]
    pub(crate) directory: Option<PathBuf>,
    /// How progress is shown on standard error
    #[arg(long, value_enum, default_value_t, env = "PROGRESS", global = true)]
    pub(crate) progress: ProgressMode,
    /// Print the result as JSON on standard output
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Fail if `bootwright.lock` would have to change
    #[arg(long, global = true)]
    pub(crate) locked: bool,
    /// Open no connections; fail if something is missing
    #[arg(long, global = true)]
    pub(crate) offline: bool,
    /// How many steps run at once [default: the number of processors]
    #[arg(short = 'j', long, value_name = "N", global = true)]
    pub(crate) jobs: Option<std::num::NonZeroUsize>,
    /// After a failure go on with what does not depend on it
    #[arg(short = 'k', long, global = true)]
    pub(crate) keep_going: bool,
    /// Compile again only what changed, with the objects of the last such build: the results are marked as tainted
    #[arg(long, global = true)]
    pub(crate) incremental: bool,
    /// Set a knob of the project
    #[arg(long = "set", value_name = "KNOB=VALUE", value_parser = knob, global = true)]
    pub(crate) knobs: Vec<(String, String)>,
    /// Take Debian packages from this mirror instead of the one this machine is configured for
    #[arg(long, value_name = "URL", env = "BOOTWRIGHT_MIRROR", global = true)]
    pub(crate) mirror: Option<String>,
    /// Take packages that have left the mirrors from this archive of snapshots instead of Debian's
    #[arg(long, value_name = "URL", env = "BOOTWRIGHT_SNAPSHOTS", global = true)]
    pub(crate) snapshots: Option<String>,
    /// Take package indexes however old they are, also such as are older than the lock's: somebody on the way could hide security fixes
    #[arg(long, global = true)]
    pub(crate) ignore_dates: bool,
    /// Keep caches here [default: $XDG_CACHE_HOME/bootwright]
    #[arg(long, value_name = "DIR", env = "BOOTWRIGHT_CACHE", global = true)]
    pub(crate) cache: Option<PathBuf>,
    /// Look at all files of local sources, also where a `watch` knows which of them changed
    #[arg(long, global = true)]
    pub(crate) no_watcher: bool,
    /// Write a timeline of the build, with `log` of the last one, for chrome://tracing or ui.perfetto.dev
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) trace: Option<PathBuf>,
}

fn knob(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write it as KNOB=VALUE".to_owned()),
    }
}

/// How progress is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProgressMode {
    /// `tty` on a terminal, else `plain`
    #[default]
    Auto,
    /// Live lines for what runs
    Tty,
    /// A line for what happened
    Plain,
    /// JSON lines, each with a version
    Json,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Build targets and put them into `out/`
    #[command(after_help = "Examples:\n  bootwright build                 the project's default targets\n  \
                            bootwright build disk -j 4       one target, four steps at once\n  \
                            bootwright build --set ARCH=arm64")]
    Build(Reported),
    /// Boot the machines of the project's tests and check what they say
    #[command(after_help = "Examples:\n  bootwright test                  all tests\n  \
                            bootwright test boots --json     one test, the result as JSON")]
    Test(Reported),
    /// Boot a machine with this terminal as its console (Ctrl-a x leaves)
    #[command(after_help = "Examples:\n  bootwright run                   the project's only machine\n  \
                            bootwright run guest --dry-run   print the QEMU command line\n  \
                            bootwright run --gdb             wait for a debugger at 127.0.0.1:1234")]
    Run {
        /// The machine [default: the only one]
        machine: Option<String>,
        /// Build what it needs, put that into `out/`, and print the QEMU command line instead of running it
        #[arg(long)]
        dry_run: bool,
        /// Start the guest when a debugger says so, which connects to this port of 127.0.0.1 [default port: 1234]
        #[arg(
            long,
            value_name = "PORT",
            num_args = 0..=1,
            require_equals = true,
            default_missing_value = "1234",
            value_parser = clap::value_parser!(u16).range(1..)
        )]
        gdb: Option<u16>,
    },
    /// Build, and build again whenever something of it is saved
    ///
    /// While it runs, it also tells every other build of the project what changed in local sources, so that these need
    /// not look at all their files.
    #[command(after_help = "Examples:\n  bootwright watch                 the project's default targets\n  \
                            bootwright watch boots           run a test again\n  \
                            bootwright watch --run guest     start a machine anew, or push files into it\n  \
                            bootwright watch --daemon        only tell builds what changed, in the background")]
    Watch {
        /// Targets, tests and machines [default: the project's default targets, with --run none]
        #[arg(value_name = "NAME")]
        names: Vec<String>,
        /// Run this machine, and start it anew after each build; what it has in `push` goes into the running guest
        #[arg(long, value_name = "MACHINE")]
        run: Option<String>,
        /// Build nothing: tell other builds what changed, in the background, until nobody asked for 8 hours
        #[arg(long, conflicts_with_all = ["names", "run"])]
        daemon: bool,
        /// End whatever watches this project
        #[arg(long, conflicts_with_all = ["names", "run", "daemon"])]
        stop: bool,
        /// Be what `--daemon` starts
        #[arg(long, hide = true, conflicts_with_all = ["names", "run", "daemon", "stop"])]
        answer: bool,
    },
    /// Show what is in an image, or what lies where in a machine's memory
    #[command(
        after_help = "Examples:\n  bootwright inspect live.qcow2                    what it is, and its partitions\n  \
                            bootwright inspect live.qcow2:IMGA/boot          the files in there\n  \
                            bootwright inspect live.qcow2:IMGA/etc/hostname  that file\n  \
                            bootwright inspect guest --json                  a machine's address map for programs"
    )]
    Inspect {
        /// An image, and a path in it, through as many images as are in each other; or a machine with `regions`
        /// [default: the only machine]
        #[arg(value_name = "IMAGE[:PATH]|MACHINE")]
        what: Option<OsString>,
        /// List everything, not only what is on top
        #[arg(short, long)]
        recursive: bool,
        /// Write the bytes to standard output, whatever they are
        #[arg(long, conflicts_with_all = ["recursive", "json"])]
        raw: bool,
    },
    /// Write what is in an image to a directory
    #[command(
        after_help = "Examples:\n  bootwright extract initrd.img root            all files of an initramfs\n  \
                            bootwright extract live.raw:IMGA/etc etc      a directory of a file system\n  \
                            bootwright extract vmlinuz:config .           the configuration of a kernel"
    )]
    Extract {
        /// An image, and a path in it
        #[arg(value_name = "IMAGE[:PATH]")]
        what: OsString,
        /// Where: a directory that is empty or not there, or for a single file any directory
        #[arg(value_name = "DIR")]
        place: PathBuf,
    },
    /// Say what takes up an image: by directory, by package and by type of file, and what grew
    #[command(
        after_help = "Examples:\n  bootwright size disk                 a target, against its last build\n  \
                            bootwright size live.qcow2:IMGA      a file system in an image\n  \
                            bootwright size new.squashfs --against old.squashfs\n  \
                            bootwright size disk --html disk.html   a page with a treemap"
    )]
    Size {
        /// A target, or an image and a path in it
        #[arg(value_name = "TARGET|IMAGE[:PATH]")]
        what: OsString,
        /// Compare with this image [default: of a target, its last build that was another]
        #[arg(long, value_name = "IMAGE[:PATH]")]
        against: Option<OsString>,
        /// Write a page for browsers
        #[arg(long, value_name = "FILE")]
        html: Option<PathBuf>,
        /// How deep directories are listed
        #[arg(long, value_name = "N", default_value_t = 2)]
        depth: usize,
        /// How long lists are
        #[arg(long, value_name = "N", default_value_t = 12)]
        lines: usize,
    },
    /// Compare two images, or two things in images, at any depth
    #[command(after_help = "Exit codes: 0 the same, 1 different, 2 cannot be compared.\n\nExamples:\n  \
                            bootwright diff a.raw b.raw\n  \
                            bootwright diff old.squashfs live.qcow2:IMGA     the same file system in two places\n  \
                            bootwright diff --ignore signatures a.efi b.efi")]
    Diff {
        /// An image, and a path in it
        #[arg(value_name = "A[:PATH]")]
        a: OsString,
        /// Another one
        #[arg(value_name = "B[:PATH]")]
        b: OsString,
        /// What is not compared
        #[arg(long, value_enum, value_delimiter = ',', value_name = "WHAT")]
        ignore: Vec<IgnoredArg>,
    },
    /// Make an existing image what a target gives, writing only what differs
    ///
    /// The target is built, and what is different in the image is replaced: the whole of it, or nothing if this is
    /// interrupted before the first byte; after that, the next update finishes it. Partitions without contents in the
    /// project, those with `state = true`, and those that were added or grown, belong to whoever runs the image and stay
    /// as they are. An image that runs, is laid out in another way, or has something that no build put there, is refused.
    #[command(
        after_help = "Examples:\n  bootwright update live.qcow2 --with live           a disk of the target `live`\n  \
                            bootwright update root.squashfs --with root        a file system\n  \
                            bootwright update live.raw --with live --keep EFI  but for that partition\n  \
                            bootwright update live.raw --with live --dry-run   how much would be written"
    )]
    Update(UpdateArgs),
    /// Compute what the platform of a confidential guest will report of an IGVM file
    #[command(
        after_help = "Exit codes: 0 done, 1 the file is wrong, or not what is expected, 2 the command line is.\n\n\
                            Examples:\n  bootwright measure svsm.igvm                     the digest of each platform\n  \
                            bootwright measure svsm.igvm --platform sev-snp --check-kvm --bare\n  \
                            bootwright measure svsm.igvm --update            write it to measurements.lock\n  \
                            bootwright measure svsm.igvm --check             fail if it moved, and say what moved it\n  \
                            bootwright measure svsm.igvm --sign id.pem --output signed.igvm"
    )]
    Measure(Measure),
    /// Build what recipes of COCONUT-SVSM say, in its tree
    ///
    /// It reads the JSON files that COCONUT's own `cargo xbuild` reads, takes the same options, and leaves the same files in
    /// `bin`. What all recipes need is built once; what is there already is not built again, also after a change of the branch
    /// and back. The launch digests are computed without a tool of the tree.
    #[command(
        after_help = "Exit codes: 0 done, 1 a build failed, 2 a recipe is wrong, 3 this machine cannot do it.\n\n\
                            Examples:\n  bootwright xbuild configs/qemu-target.json\n  \
                            bootwright xbuild --release -f vtpm configs/*.json     all of them as one build\n  \
                            bootwright xbuild --env rust configs/qemu-target.json  in a locked environment\n  \
                            bootwright xbuild --locked configs/qemu-target.json    fail if measurements.lock expects else"
    )]
    Xbuild(Xbuild),
    /// Start a project from a template
    #[command(after_help = "Examples:\n  bootwright init --list           what there is to start from\n  \
                            bootwright init hello            Debian, booted, in the new directory `hello`\n  \
                            bootwright init --from guest-arm64 guest")]
    Init {
        /// Where: a directory that is empty or not there [default: the current one]
        #[arg(value_name = "DIR")]
        place: Option<PathBuf>,
        /// The template
        #[arg(long, value_name = "TEMPLATE", default_value = "quickstart")]
        from: String,
        /// List the templates
        #[arg(long, conflicts_with_all = ["place", "from"])]
        list: bool,
    },
    /// Show what a build would run, why, and how long it would take
    #[command(after_help = "Examples:\n  bootwright plan disk\n  bootwright plan --json")]
    Plan(Targets),
    /// Say why a target last ran, or why it would run now
    #[command(after_help = "Examples:\n  bootwright explain disk          what changed for the disk\n  \
                            bootwright explain rootfs/configure   one step of a target")]
    Explain {
        /// A target or a step's label
        target: String,
    },
    /// Change the configuration of a kernel in its menus, or compare two
    ///
    /// The menus are those of the kernel itself (`make menuconfig`), in the target's environment. What was changed goes
    /// into the last file that the target's `config` names. A COMMAND is run instead of the menus, where `.config` is.
    #[command(after_help = "Examples:\n  bootwright config kernel         the kernel's menus\n  \
                            bootwright config kernel -- source/scripts/config --enable KVM\n  \
                            bootwright config --diff host guest     two kernels of the project\n  \
                            bootwright config --diff /boot/config-6.1.0-9-amd64 guest")]
    Config {
        /// A kernel
        #[arg(required_unless_present = "diff")]
        target: Option<String>,
        /// Print in which symbols two kernels or files differ; a file has a slash or a dot in its name
        #[arg(long, num_args = 2, value_names = ["A", "B"], conflicts_with_all = ["target", "command"])]
        diff: Vec<String>,
        /// What to run instead of the menus
        #[arg(last = true, value_name = "COMMAND")]
        command: Vec<String>,
    },
    /// Enter the sandbox of a target as its step sees it
    #[command(
        after_help = "Examples:\n  bootwright shell kernel          inputs in place, before the step\n  \
                            bootwright shell --failed        where the last failure stopped\n  \
                            bootwright shell kernel -- make -n"
    )]
    Shell {
        /// A target or a step's label
        #[arg(required_unless_present = "failed")]
        target: Option<String>,
        /// Enter the sandbox that the last failed step left
        #[arg(long, conflicts_with = "target")]
        failed: bool,
        /// What to run there instead of a shell
        #[arg(last = true, value_name = "COMMAND")]
        command: Vec<String>,
    },
    /// Rebuild targets under other circumstances and compare every step's bytes
    ///
    /// Each step runs again with another clock, order of directories, number and choice of processors, host, user
    /// and umask. Where its bytes differ, the files are named, and what they depend on, which is found out by
    /// trying.
    #[command(after_help = "Examples:\n  bootwright verify                the project's default targets\n  \
                            bootwright verify disk --json    one target, the findings as JSON")]
    Verify(Targets),
    /// Print what a target's step wrote when it last ran, or what the last build did
    #[command(after_help = "Examples:\n  bootwright log kernel            what its step printed\n  \
                            bootwright log 'unpack bash 5.2' the same of a step by its label\n  \
                            bootwright log                   what ran in the last build, and for how long\n  \
                            bootwright log --trace FILE      its timeline, for ui.perfetto.dev")]
    Log {
        /// A target, a test or a step's label [default: the last build as a whole]
        target: Option<String>,
    },
    /// Write a page about the last build: its graph, its timeline, why each step ran, logs and artifacts
    #[command(after_help = "Examples:\n  bootwright report                out/report.html\n  \
                            bootwright report build.html\n  \
                            bootwright report --json")]
    Report {
        /// The page [default: out/report.html]
        file: Option<PathBuf>,
    },
    /// Resolve packages and sources and write `bootwright.lock`
    #[command(
        after_help = "Examples:\n  bootwright lock                  add what is missing, keep the rest\n  \
                            bootwright lock --update         take the newest of everything\n  \
                            bootwright lock --locked         only check that it is complete"
    )]
    Lock {
        /// Resolve everything anew
        #[arg(long)]
        update: bool,
    },
    /// Download everything that the lock names
    #[command(after_help = "Examples:\n  bootwright fetch                 all that any target needs\n  \
                            bootwright fetch disk && bootwright build disk --offline")]
    Fetch(Targets),
    /// Check whether this machine can build, and say what to do if not
    #[command(after_help = "Examples:\n  bootwright doctor\n  bootwright doctor --json\n  \
                            bootwright doctor --scrub        also after a disk was in trouble")]
    Doctor {
        /// Read everything in the cache and remove what is damaged
        #[arg(long)]
        scrub: bool,
    },
    /// Remove the project's `out/` directory
    #[command(
        after_help = "Examples:\n  bootwright clean                 caches stay, the next build is fast\n  \
                            bootwright clean && bootwright gc --keep 0"
    )]
    Clean,
    /// Make the cache smaller
    #[command(
        after_help = "Examples:\n  bootwright gc --keep 20GB        drop the least recently used above 20 GB\n  \
                            bootwright gc --keep 30d         drop what was not used for 30 days"
    )]
    Gc {
        /// A size (`20GB`, `512MiB`) or an age (`30d`, `12h`)
        #[arg(long, value_name = "SIZE|AGE", default_value = "20GB")]
        keep: Keep,
    },
    /// Print the JSON Schema of `bootwright.toml`
    #[command(after_help = "Examples:\n  bootwright schema > bootwright.schema.json")]
    Schema,
    /// Print a completion script for a shell
    #[command(
        after_help = "Examples:\n  bootwright completions bash > ~/.local/share/bash-completion/completions/bootwright"
    )]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// Targets by name.
#[derive(Clone, Debug, Args)]
pub(crate) struct Targets {
    /// Names [default: those of `stack.default`, for `test` all tests]
    #[arg(value_name = "NAME")]
    pub(crate) names: Vec<String>,
}

/// Targets by name, and a report on what came of them.
#[derive(Clone, Debug, Args)]
pub(crate) struct Reported {
    #[command(flatten)]
    pub(crate) targets: Targets,
    /// Write a page about the build, also when it fails: `bootwright report` does so afterwards
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
}

/// What is updated, and how.
#[derive(Clone, Debug, Args)]
pub(crate) struct UpdateArgs {
    /// A raw image or a qcow2
    #[arg(value_name = "IMAGE")]
    pub(crate) image: PathBuf,
    /// The target that it is to be, or one of its files
    #[arg(long, value_name = "TARGET[/FILE]")]
    pub(crate) with: String,
    /// Leave this partition alone
    #[arg(long, value_name = "NAME")]
    pub(crate) keep: Vec<String>,
    /// Replace also what no build put there
    #[arg(long)]
    pub(crate) force: bool,
    /// Only say how much would be written
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// What `gc` keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keep {
    /// This many bytes, the most recently used.
    Bytes(u64),
    /// What was used within this many seconds.
    Seconds(u64),
}

impl std::str::FromStr for Keep {
    type Err = String;

    fn from_str(text: &str) -> Result<Keep, String> {
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let wrong = || format!("`{text}` is neither a size such as `20GB` nor an age such as `30d`");
        let number: u64 = number.parse().map_err(|_| wrong())?;
        let scaled = |factor: u64| number.checked_mul(factor).ok_or_else(wrong);
        match unit {
            "" | "B" => Ok(Keep::Bytes(number)),
            "kB" | "KB" => scaled(1000).map(Keep::Bytes),
            "MB" => scaled(1_000_000).map(Keep::Bytes),
            "GB" => scaled(1_000_000_000).map(Keep::Bytes),
            "TB" => scaled(1_000_000_000_000).map(Keep::Bytes),
            "KiB" => scaled(1 << 10).map(Keep::Bytes),
            "MiB" => scaled(1 << 20).map(Keep::Bytes),
            "GiB" => scaled(1 << 30).map(Keep::Bytes),
            "TiB" => scaled(1 << 40).map(Keep::Bytes),
            "s" => Ok(Keep::Seconds(number)),
            "h" => scaled(3600).map(Keep::Seconds),
            "d" => scaled(86400).map(Keep::Seconds),
            "w" => scaled(7 * 86400).map(Keep::Seconds),
            _ => Err(wrong()),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_has_examples() {
        for command in Cli::command().get_subcommands() {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains("Example"), "{}", command.get_name());
        }
    }

    #[test]
    fn sizes_and_ages() {
        let check = |text: &str, keep| assert_eq!(text.parse::<Keep>().ok(), keep, "{text}");
        check("20GB", Some(Keep::Bytes(20_000_000_000)));
        check("1MiB", Some(Keep::Bytes(1 << 20)));
        check("0", Some(Keep::Bytes(0)));
        check("30d", Some(Keep::Seconds(30 * 86400)));
        check("30x", None);
        check("-3d", None);
        check("99999999999TB", None);
    }
}

/// What `diff` does not compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum IgnoredArg {
    /// Signatures of kernel modules and of programs for firmware
    Signatures,
    /// Times of files
    Times,
}
