//! One boot: start the machine, hold the conversation, see how it ends.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write};
use std::iter;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use crate::accelerator;
use crate::complaints::Complaints;
use crate::console::Console;
use crate::host::{Host, Verdict};
use crate::layout::{self, LayoutError};
use crate::map::Map;
use crate::process::{Event, Qemu, StartError};
use crate::qemu::{self, Engine};
use crate::qmp::{Monitor, Stop};
use crate::spec::{Accelerator, Boot, Ending, Firmware, Machine, Talk};

/// Console text that fails every boot: the guest's kernel has given up.
pub const PANICS: &[&str] = &["Kernel panic - not syncing", "end Kernel panic", "Unable to mount root fs"];

/// How many bytes of the console are kept in `console.log`.
const LOG_LIMIT: u64 = 64 * 1024 * 1024;
/// How many lines of QEMU's own complaints are shown.
const SHOWN_COMPLAINTS: usize = 10;
/// The end of a `console.log` that is not all.
const CUT_OFF: &str = "\n[the guest wrote more than this]\n";
/// How long a guest that panicked may go on printing, so that the report shows its trace.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Why a boot did not do what was expected.
#[derive(Debug, thiserror::Error)]
pub enum BootError {
    /// The guest or QEMU did something else. The text is for people and ends with the last console lines.
    #[error("{0}")]
    Unexpected(Failure),
    /// KVM is demanded and does not work.
    #[error("this machine must run on KVM, and cannot: {reason}")]
    NoKvm {
        /// Why it does not.
        reason: String,
    },
    /// The regions of the machine cannot lie where they shall.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// QEMU could not be started.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The firmware is not there.
    #[error("there is no firmware `{file}`: the machine's environment has it with the package `{package}`")]
    NoFirmware {
        /// Where it was looked for.
        file: String,
        /// The Debian package that has it there.
        package: &'static str,
    },
    /// This QEMU does not start guests from IGVM files.
    #[error(
        "`{program}` knows nothing of IGVM files: it is older than 10.1, or built without libigvm, as Debian's is. \
         The machine's `qemu` can be another one; `stacks/igvm-guest` builds one"
    )]
    NoIgvm {
        /// The program.
        program: String,
    },
    /// A disk in which the guest writes could not be made.
    #[error("could not copy the disk `{file}` to `{copy}`")]
    Disk {
        /// The disk.
        file: String,
        /// The copy.
        copy: String,
        /// What the system said.
        source: io::Error,
    },
    /// A log could not be written, or QEMU not be waited for.
    #[error("could not {doing}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

/// What went wrong, and what was on the screen at that moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What happened instead of what.
    pub what: String,
    /// Lines of the console: the last, or those around what failed the boot.
    pub console: Vec<String>,
    /// What QEMU itself complained about: the first lines and the last.
    pub qemu: Vec<String>,
    /// The command line of QEMU, where the guest may never have run.
    pub command: Option<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        if self.console.is_empty() {
            write!(f, "\n  the console is empty")?;
        } else {
            write!(f, "\n  lines of the console:")?;
        }
        for line in &self.console {
            write!(f, "\n  | {line}")?;
        }
        for line in &self.qemu {
            write!(f, "\n  qemu: {line}")?;
        }
        if let Some(command) = &self.command {
            write!(f, "\n  it ran: {command}")?;
        }
        Ok(())
    }
}

/// A boot that did what was expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Success {
    /// What executed the guest.
    pub engine: Engine,
}

/// What is noted, and said, when KVM stopped in the middle of a guest.
pub(crate) const GAVE_UP: &str = "KVM gave up on a guest";

/// Boots the machine on `host` and holds the conversation. Leaves `console.log` and `qemu.log` in `logs`.
///
/// `notice` is told in a sentence what executes the guest when that is not KVM, and when a boot that KVM
/// gave up on is tried again with TCG, which happens once and only if the machine leaves the choice.
pub fn run(
    boot: &Boot,
    host: &Host,
    logs: &Path,
    notice: &mut dyn FnMut(&str),
) -> Result<Success, BootError> {
    let map = layout::load(&boot.machine)?;
    can_start(&boot.machine)?;
    let choice = accelerator::choose(&boot.machine, host).map_err(|reason| BootError::NoKvm { reason })?;
    if let Some(reason) = &choice.reason {
        notice(&format!("the guest runs on TCG: {reason}"));
    }
    match attempt(boot, &map, choice.engine, logs)? {
        Attempt::Done => Ok(Success { engine: choice.engine }),
        Attempt::Failed { gave_up: true, .. }
            if choice.engine == Engine::Kvm && boot.machine.accelerator == Accelerator::Auto =>
        {
            host.note(&Verdict::Unusable(GAVE_UP.to_owned()));
            notice(&format!("{GAVE_UP}: trying once more on TCG"));
            match attempt(boot, &map, Engine::Tcg, logs)? {
                Attempt::Done => Ok(Success { engine: Engine::Tcg }),
                Attempt::Failed { failure, .. } => Err(BootError::Unexpected(failure)),
            }
        }
        Attempt::Failed { failure, .. } => Err(BootError::Unexpected(failure)),
    }
}

enum Attempt {
    Done,
    /// `gave_up`: it was the engine, not the guest.
    Failed {
        failure: Failure,
        gave_up: bool,
    },
}

/// What the loop of an attempt ended with.
enum End {
    /// The script is through, and the guest shall be left running.
    Through,
    /// QEMU closed the console.
    Closed,
    /// The console shows this forbidden text.
    Forbidden(String),
    /// QEMU paused the guest.
    GaveUp,
    TimedOut,
}

#[allow(clippy::disallowed_methods, reason = "a boot has a timeout")]
fn attempt(boot: &Boot, map: &Map, engine: Engine, logs: &Path) -> Result<Attempt, BootError> {
    let io = |doing| move |source| BootError::Io { doing, source };
    let sockets = tempfile::tempdir().map_err(io("make a directory for the QMP socket"))?;
    let socket = sockets.path().join("qmp");
    let stderr_path = logs.join("qemu.log");
    let log = File::create(logs.join("console.log")).map_err(io("create `console.log`"))?;
    for disk in &boot.machine.disks {
        if let Some(copy) = &disk.keep {
            copy_disk(&disk.file, copy)?;
        }
    }
    let console = qemu::Console::Program { qmp_socket: socket.to_string_lossy().into_owned() };
    let arguments = layout::arguments(&boot.machine, map, sockets.path(), engine, &console)
        .map_err(io("write the bare kernel"))?;
    let program = qemu::program(&boot.machine);
    let (mut qemu, events) = Qemu::start(program.as_ref(), &arguments, &stderr_path)?;
    let monitor = if qemu::is_held(&boot.machine, &console) {
        Monitor::connect_and_continue(&socket)
    } else {
        Monitor::connect(&socket)
    };

    let mut talk =
        Conversation { boot, next: 0, console: Console::default(), log, logged: 0, is_cut_off: false };
    let timeout = Duration::from_secs(boot.timeout_seconds);
    let start = Instant::now();
    let mut last_words: Option<(Instant, String)> = None;
    let end = loop {
        let now = Instant::now();
        if let Some((until, forbidden)) = &last_words
            && now >= *until
        {
            break End::Forbidden(forbidden.clone());
        }
        if last_words.is_none() && talk.advance(&mut qemu) && boot.ending == Ending::Running {
            break End::Through;
        }
        if monitor.stop() == Some(Stop::InternalError) {
            break End::GaveUp;
        }
        let Some(left) = timeout.checked_sub(start.elapsed()) else { break End::TimedOut };
        match events.recv_timeout(left.min(Duration::from_millis(100))) {
            Ok(Event::Console(bytes)) => {
                talk.hear(&bytes).map_err(io("write `console.log`"))?;
                if last_words.is_none()
                    && let Some(forbidden) = talk.forbidden()
                {
                    last_words = Some((now + LAST_WORDS, forbidden));
                }
            }
            Ok(Event::Closed) | Err(RecvTimeoutError::Disconnected) => match &last_words {
                Some((_, forbidden)) => break End::Forbidden(forbidden.clone()),
                None => break End::Closed,
            },
            Err(RecvTimeoutError::Timeout) => {}
        }
    };
    if matches!(end, End::Closed) {
        // What was expected may be in the guest's very last bytes.
        talk.advance(&mut qemu);
    }
    let gave_up = matches!(end, End::GaveUp);
    let shown = match &end {
        End::Forbidden(text) => talk.console.lines_around(text),
        _ => talk.console.last_lines(),
    };
    let mut qemu_failed = false;
    let what = match end {
        End::Through => None,
        End::Forbidden(text) => Some(format!("the console shows `{text}`")),
        End::GaveUp => Some("QEMU paused the guest after an internal error".to_owned()),
        End::TimedOut => Some(match talk.waiting_for() {
            Some(text) => format!("the console did not show `{text}` within {} s", boot.timeout_seconds),
            None => format!("the guest did not {} within {} s", verb(boot.ending), boot.timeout_seconds),
        }),
        End::Closed => {
            let status = wait_or_kill(&mut qemu).map_err(io("wait for QEMU"))?;
            qemu_failed = !status.success();
            let stop = if status.success() { monitor.last_stop() } else { monitor.stop() };
            match (talk.waiting_for(), &stop) {
                _ if !status.success() => Some(format!("QEMU failed: {status}")),
                (Some(text), stop) => {
                    Some(format!("the guest {} before the console showed `{text}`", told(stop.as_ref())))
                }
                (None, Some(Stop::PoweredOff)) if boot.ending == Ending::PowerOff => None,
                (None, Some(Stop::Reset)) if boot.ending == Ending::Reset => None,
                (None, stop) => {
                    Some(format!("the guest {}, but it was to {}", told(stop.as_ref()), verb(boot.ending)))
                }
            }
        }
    };
    let _ = qemu.kill();
    let Some(what) = what else { return Ok(Attempt::Done) };
    let complaints = File::open(&stderr_path).map(|log| Complaints::read(&log)).unwrap_or_default();
    let gave_up = gave_up || complaints.say("KVM internal error");
    let command = (qemu_failed || shown.is_empty()).then(|| qemu::shell_line(program, &arguments));
    let failure = Failure { what, console: shown, qemu: complaints.lines(SHOWN_COMPLAINTS), command };
    Ok(Attempt::Failed { failure, gave_up })
}

/// Fails when what the machine starts from is not there, or is nothing to its QEMU.
pub(crate) fn can_start(machine: &Machine) -> Result<(), BootError> {
    firmware_is_there(machine)?;
    if machine.igvm.is_none() {
        return Ok(());
    }
    let program = qemu::program(machine);
    let mut command = Command::new(program);
    command.args(["-object", "help"]).stdin(Stdio::null()).stderr(Stdio::null());
    let known = command.output().map_err(|source| StartError::new(program.as_ref(), source))?;
    // One that does not even say what it knows will say why when it is started.
    let is_known = !known.status.success() || String::from_utf8_lossy(&known.stdout).contains("igvm-cfg");
    if is_known { Ok(()) } else { Err(BootError::NoIgvm { program: program.to_owned() }) }
}

/// Fails when the machine has firmware that is not where it is said to be.
fn firmware_is_there(machine: &Machine) -> Result<(), BootError> {
    let firmware = machine.firmware.iter();
    for file in firmware.flat_map(|firmware| iter::once(&firmware.code).chain(&firmware.variables)) {
        if !Path::new(file).exists() {
            return Err(BootError::NoFirmware {
                file: file.clone(),
                package: Firmware::package(machine.arch),
            });
        }
    }
    Ok(())
}

/// Makes the copy of a disk in which the guest writes, whatever an attempt before left of it.
fn copy_disk(file: &str, copy: &str) -> Result<(), BootError> {
    let parent = Path::new(copy).parent().unwrap_or(Path::new(""));
    let copied = || {
        fs::create_dir_all(parent)?;
        // The image may be write-protected, which the copy is not to be.
        io::copy(&mut File::open(file)?, &mut File::create(copy)?)
    };
    copied().map(drop).map_err(|source| BootError::Disk {
        file: file.to_owned(),
        copy: copy.to_owned(),
        source,
    })
}

/// QEMU closes its console a moment before it ends; one that does not end is hanging.
fn wait_or_kill(qemu: &mut Qemu) -> io::Result<std::process::ExitStatus> {
    for _ in 0..500 {
        if let Some(status) = qemu.ended()? {
            return Ok(status);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    qemu.kill()
}

fn verb(ending: Ending) -> &'static str {
    match ending {
        Ending::PowerOff => "power itself off",
        Ending::Reset => "reset itself",
        Ending::Running => "keep running",
    }
}

fn told(stop: Option<&Stop>) -> String {
    match stop {
        Some(Stop::PoweredOff) => "powered itself off".to_owned(),
        Some(Stop::Reset) => "reset itself".to_owned(),
        Some(Stop::Panicked) => "panicked".to_owned(),
        Some(Stop::InternalError) => "was paused by an internal error".to_owned(),
        Some(Stop::Other(reason)) => format!("was stopped ({reason})"),
        None => "ended".to_owned(),
    }
}

struct Conversation<'a> {
    boot: &'a Boot,
    next: usize,
    console: Console,
    log: File,
    logged: u64,
    is_cut_off: bool,
}

impl Conversation<'_> {
    fn hear(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.console.push(bytes);
        let left = LOG_LIMIT.saturating_sub(self.logged);
        let kept = &bytes[..bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX))];
        self.log.write_all(kept)?;
        self.logged += kept.len() as u64;
        if kept.len() < bytes.len() && !self.is_cut_off {
            self.is_cut_off = true;
            self.log.write_all(CUT_OFF.as_bytes())?;
        }
        Ok(())
    }

    /// Goes on as far as the console allows; returns whether the script is through.
    fn advance(&mut self, qemu: &mut Qemu) -> bool {
        while let Some(turn) = self.boot.script.get(self.next) {
            match turn {
                Talk::Expect(text) if !self.console.find(text) => return false,
                Talk::Expect(_) => {}
                Talk::Send(text) => qemu.type_text(text),
            }
            self.next += 1;
        }
        true
    }

    fn waiting_for(&self) -> Option<&str> {
        self.boot.script[self.next..].iter().find_map(|turn| match turn {
            Talk::Expect(text) => Some(text.as_str()),
            Talk::Send(_) => None,
        })
    }

    /// Returns what the console shows now and must not.
    fn forbidden(&mut self) -> Option<String> {
        let texts = PANICS.iter().copied().chain(self.boot.forbid.iter().map(String::as_str));
        self.console.shows_now(texts).map(str::to_owned)
    }
}
