//! `measure`: what the platforms of a confidential guest will report of an IGVM file.

mod locked;
mod moved;
mod sign;

use std::fmt::Write as _;
use std::io::Read as _;
use std::path::{Path, PathBuf};

pub(super) use locked::after_build;
pub(super) use moved::Origin;

use launch::{
    Directive, File, MeasureError, Measurement, Platform, PlatformKind, ZeroPages, check_kvm, id_block,
    measure, unlike_igvmmeasure,
};
use serde_json::{Value, json};

use crate::args::{Global, Measure};
use crate::failure::{Blame, Failure, io};
use crate::ui::Ui;

/// Measures a file, and does with the digests what was asked for.
pub(crate) fn run(global: &Global, ui: &Ui, options: &Measure) -> Result<(), Failure> {
    let bytes = read(&place(global, &options.file))?;
    let file = parse(&bytes, options)?;
    let zeros = zeros(options);
    let measured = measured(ui, &file, options)?;
    if let Some(key) = &options.sign {
        return sign::run(global, ui, options, (&bytes, zeros), key);
    }
    let blocks = blocks(&file, &measured);
    print(global, ui, options, (&file, zeros), &measured, &blocks)?;

    if !options.ignore_idblock && blocks.iter().any(|(_, problems)| !problems.is_empty()) {
        for problem in blocks.iter().flat_map(|(_, problems)| problems) {
            ui.note(&format!("the ID block: {problem}"));
        }
        return Err(Failure::new(Blame::Build, "the firmware would refuse the ID block of the file")
            .help("`--ignore-idblock` measures without it, and `--sign` makes another one"));
    }
    if let (Some(path), Some(svn)) = (&options.corim, options.svn) {
        corim(&place(global, path), &measured, svn)?;
    }
    if options.update {
        locked::update(global, ui, options, &file, &measured, zeros)
    } else if options.check || options.lock.is_some() {
        locked::check(global, ui, options, &file, &measured, zeros)
    } else {
        Ok(())
    }
}

/// Returns what programs are told of a file.
pub(super) fn value(global: &Global, ui: &Ui, options: &Measure) -> Result<Value, Failure> {
    let bytes = read(&place(global, &options.file))?;
    let file = parse(&bytes, options)?;
    let zeros = zeros(options);
    let measured = measured(ui, &file, options)?;
    Ok(as_json(options, (&file, zeros), &measured, &blocks(&file, &measured)))
}

/// Fails if a file measures something else than the lock expects, and tells which input is why; prints nothing if not.
pub(super) fn check_only(
    global: &Global,
    ui: &Ui,
    options: &Measure,
    origin: &Origin<'_>,
) -> Result<(), Failure> {
    let bytes = read(&place(global, &options.file))?;
    let file = parse(&bytes, options)?;
    let zeros = zeros(options);
    let measured = measured(ui, &file, options)?;
    let checked = locked::check(global, ui, options, &file, &measured, zeros);
    if checked.is_err() {
        locked::explain(global, ui, options, zeros, origin)?;
    }
    checked
}

fn parse<'b>(bytes: &'b [u8], options: &Measure) -> Result<File<'b>, Failure> {
    File::parse(bytes)
        .map_err(|error| Failure::new(Blame::Build, NotRead { path: options.file.clone(), source: error }))
}

fn zeros(options: &Measure) -> ZeroPages {
    if options.native_zero { ZeroPages::Native } else { ZeroPages::Normal }
}

/// Measures a file for the platforms that are asked for, and checks what QEMU with KVM makes of it if that is.
fn measured(ui: &Ui, file: &File<'_>, options: &Measure) -> Result<Vec<Measurement>, Failure> {
    let kinds = kinds(file, options)?;
    let measured = all(file, &kinds, zeros(options)).map_err(|(kind, error)| match error {
        MeasureError::NoPlatform { .. } => Failure::project(error),
        error => Failure::new(Blame::Build, error).help(format!("`--platform` measures others than {kind}")),
    })?;
    if options.check_kvm {
        kvm(ui, file, &kinds)?;
    }
    Ok(measured)
}

/// A file that is not what it should be.
#[derive(Debug, thiserror::Error)]
#[error("could not read the IGVM file `{path}`")]
struct NotRead {
    path: PathBuf,
    source: launch::ReadError,
}

fn place(global: &Global, path: &Path) -> PathBuf {
    global.directory.as_deref().map_or_else(|| path.to_owned(), |directory| directory.join(path))
}

/// Reads a file; of what is none of IGVM, which may be as large as a disk, only how it begins.
fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let failed = |error: std::io::Error| {
        let is_missing = error.kind() == std::io::ErrorKind::NotFound;
        let failure = io(format!("read `{}`", path.display()))(error);
        if is_missing { Failure { blame: Blame::Project, ..failure } } else { failure }
    };
    let file = std::fs::File::open(path).map_err(failed)?;
    let mut bytes = Vec::new();
    let mut start = file.take(32);
    start.read_to_end(&mut bytes).map_err(failed)?;
    let mut file = start.into_inner();
    if bytes.starts_with(b"IGVM") {
        let length = file.metadata().map_err(failed)?.len();
        bytes.reserve(usize::try_from(length.min(u32::MAX.into())).unwrap_or_default());
        (&mut file).take(u32::MAX.into()).read_to_end(&mut bytes).map_err(failed)?;
    }
    Ok(bytes)
}

/// Returns which platforms are measured: those that were asked for, or all that measure something.
fn kinds(file: &File<'_>, options: &Measure) -> Result<Vec<PlatformKind>, Failure> {
    if !options.platform.is_empty() {
        return Ok(options.platform.clone());
    }
    // As igvmmeasure, whose text is wanted.
    if options.igvmmeasure || options.sign.is_some() {
        return Ok(vec![PlatformKind::SevSnp]);
    }
    let measured = file.platforms.iter().filter(|platform| platform.kind.measurement().is_some());
    let kinds: Vec<_> = measured.map(|platform| platform.kind).collect();
    match kinds[..] {
        [] => Err(Failure::new(Blame::Build, "the file is for no platform that measures what it loads")),
        [_, _, ..] if options.bare => {
            let names: Vec<_> = kinds.iter().map(|kind| kind.name()).collect();
            Err(Failure::project(format!("a bare digest is one, and the file is for {}", names.join(", ")))
                .help("say which with `--platform`"))
        }
        _ => Ok(kinds),
    }
}

/// Measures for several platforms at once.
fn all(
    file: &File<'_>,
    kinds: &[PlatformKind],
    zeros: ZeroPages,
) -> Result<Vec<Measurement>, (PlatformKind, MeasureError)> {
    std::thread::scope(|scope| {
        let running: Vec<_> =
            kinds.iter().map(|kind| (*kind, scope.spawn(move || measure(file, *kind, zeros)))).collect();
        let mut measured = Vec::new();
        for (kind, thread) in running {
            let result = thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            measured.push(result.map_err(|error| (kind, error))?);
        }
        Ok(measured)
    })
}

/// Tells why QEMU with KVM would have something else measured.
fn kvm(ui: &Ui, file: &File<'_>, kinds: &[PlatformKind]) -> Result<(), Failure> {
    let mut n_problems = 0;
    for platform in kinds.iter().filter_map(|kind| file.platform(*kind)) {
        for problem in check_kvm(file, platform) {
            ui.note(&format!("{}: {problem}", platform.kind));
            n_problems += 1;
        }
    }
    match n_problems {
        0 => Ok(()),
        _ => Err(Failure::new(
            Blame::Build,
            "QEMU with KVM would have something else measured than the file says",
        )),
    }
}

/// Writes what is measured as a document.
fn corim(path: &Path, measured: &[Measurement], svn: u64) -> Result<(), Failure> {
    let [measured] = measured else {
        let names: Vec<_> = measured.iter().map(|measured| measured.platform.name()).collect();
        return Err(Failure::project(format!("a CoRIM is for one platform, not for {}", names.join(", ")))
            .help("say which with `--platform`"));
    };
    let document = launch::corim(measured, svn).map_err(Failure::project)?;
    write(path, &document)
}

type Block<'a> = (&'a launch::IdBlock, Vec<id_block::BlockProblem>);

/// Returns the ID blocks for the platform that has them, each with what is wrong with it.
fn blocks<'a>(file: &'a File<'_>, measured: &[Measurement]) -> Vec<Block<'a>> {
    let measured = measured.iter().find(|measured| measured.platform == PlatformKind::SevSnp);
    let Some((measured, platform)) = measured.zip(file.platform(PlatformKind::SevSnp)) else {
        return Vec::new();
    };
    let blocks = file.directives_for(platform).filter_map(|directive| match directive {
        Directive::IdBlock(block) => {
            Some((&**block, id_block::check(block, measured.digest.bytes(), file.policy(platform))))
        }
        _ => None,
    });
    blocks.collect()
}

/// What igvmmeasure draws around what it says.
const RULE: &str = "===============================================================================================================";

fn print(
    global: &Global,
    ui: &Ui,
    options: &Measure,
    (file, zeros): (&File<'_>, ZeroPages),
    measured: &[Measurement],
    blocks: &[Block<'_>],
) -> Result<(), Failure> {
    if options.igvmmeasure || options.bare {
        let [measured] = measured else {
            return Err(Failure::project("this prints one digest, and several platforms were asked for"));
        };
        let digest = format!("{:#}", measured.digest);
        let name = options.file.display();
        ui.print(&match options.bare {
            true => format!("{digest}\n"),
            false => format!("\n{RULE}\nigvmmeasure '{name}'\nLaunch Digest: {digest}\n{RULE}\n\n"),
        });
        if options.igvmmeasure
            && let Some(platform) = file.platform(measured.platform)
        {
            for reason in unlike_igvmmeasure(file, platform) {
                ui.note(&format!("igvmmeasure itself prints another digest: {reason}"));
            }
        }
    } else if global.json {
        ui.print_json(&as_json(options, (file, zeros), measured, blocks));
    } else {
        ui.print(&as_text(options, file, measured, blocks));
    }
    Ok(())
}

fn as_text(options: &Measure, file: &File<'_>, measured: &[Measurement], blocks: &[Block<'_>]) -> String {
    let mut text = String::new();
    let name = |measured: &Measurement| measured.platform.measurement().unwrap_or_default();
    let width = |of: fn(&Measurement) -> usize| measured.iter().map(of).max().unwrap_or(0);
    let first = width(|measured| measured.platform.name().len());
    let second = width(|measured| measured.platform.measurement().unwrap_or_default().len());
    for measured in measured {
        // Writing to a string never fails.
        let _ = writeln!(
            text,
            "{:first$}  {:second$}  {}",
            measured.platform.name(),
            name(measured),
            measured.digest
        );
    }
    let left: Vec<_> =
        file.platforms.iter().filter(|platform| platform.kind.measurement().is_none()).collect();
    for Platform { kind, .. } in left.into_iter().filter(|_| options.platform.is_empty()) {
        let _ = writeln!(text, "{:first$}  is not measured", kind.name());
    }
    for (block, problems) in blocks {
        let state = if problems.is_empty() { "right" } else { "wrong" };
        let _ =
            writeln!(text, "\nID block  {state}, key {}", hex(&id_block::key_digest(&block.id_public_key)));
        if block.author_key_enabled != 0 {
            let _ =
                writeln!(text, "          author {}", hex(&id_block::key_digest(&block.author_public_key)));
        }
    }
    text
}

fn as_json(
    options: &Measure,
    (file, zeros): (&File<'_>, ZeroPages),
    measured: &[Measurement],
    blocks: &[Block<'_>],
) -> Value {
    let measurements = measured.iter().map(|measured| {
        let platform = file.platform(measured.platform);
        let policy = platform.and_then(|platform| file.policy(platform));
        json!({
            "platform": measured.platform.name(),
            "measurement": measured.platform.measurement(),
            "digest": measured.digest.to_string(),
            "pages": measured.n_pages,
            "policy": policy.map(|policy| format!("{policy:#x}")),
            "unlike_igvmmeasure": platform.map(|platform| unlike_igvmmeasure(file, platform)),
        })
    });
    let blocks = blocks.iter().map(|(block, problems)| {
        let author =
            (block.author_key_enabled != 0).then(|| hex(&id_block::key_digest(&block.author_public_key)));
        json!({
            "digest": hex(&block.ld),
            "family_id": hex(&block.family_id),
            "image_id": hex(&block.image_id),
            "guest_svn": block.guest_svn,
            "key": hex(&id_block::key_digest(&block.id_public_key)),
            "author": author,
            "problems": problems.iter().map(ToString::to_string).collect::<Vec<_>>(),
        })
    });
    json!({
        "version": 1,
        "file": options.file.display().to_string(),
        "native_zero": zeros == ZeroPages::Native,
        "measurements": measurements.collect::<Vec<_>>(),
        "id_blocks": blocks.collect::<Vec<_>>(),
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Writes a file whole or not at all.
fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    use std::io::Write as _;
    let failed = || io(format!("write `{}`", path.display()));
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new()
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
        .tempfile_in(directory)
        .map_err(failed())?;
    file.write_all(bytes).map_err(failed())?;
    file.persist(path).map(drop).map_err(|error| failed()(error.error))
}
