//! `doctor`: whether this machine can build, found out by trying, and what to do if not.

use std::fs;
use std::path::Path;

use serde_json::json;
use vm::host::Verdict;

use super::scrub_text;
use crate::args::Global;
use crate::environment;
use crate::failure::{Blame, Failure};
use crate::ui::{Ui, bytes};
use crate::workspace::Caches;

/// Less than this, and a build is likely to fill the disk.
const LOW_SPACE: u64 = 5_000_000_000;

/// What was looked at.
struct Finding {
    name: &'static str,
    grade: Grade,
    text: String,
    help: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Grade {
    Good,
    /// Works, with less comfort.
    Fair,
    /// Nothing can be built.
    Bad,
}

/// Looks at everything that a build needs of this machine. Fails with exit code 3 when something is missing.
///
/// With `scrub` the whole cache is verified, too, and what is damaged removed: it is fetched or made again when
/// it is needed.
pub(crate) fn run(global: &Global, ui: &Ui, scrub: bool) -> Result<(), Failure> {
    let caches = Caches::open(global)?;
    let mut findings = vec![sandboxes(&caches), space(&caches.root), kvm(&caches), processors(), packages()];
    if scrub {
        findings.push(cache(&caches)?);
    }
    let bad = findings.iter().any(|finding| finding.grade == Grade::Bad);
    if global.json {
        let checks: Vec<_> = findings
            .iter()
            .map(|finding| {
                json!({ "name": finding.name, "grade": word(finding.grade), "text": finding.text, "help": finding.help })
            })
            .collect();
        ui.print_json(&json!({ "version": 1, "can_build": !bad, "checks": checks }));
    } else {
        for finding in &findings {
            ui.print(&format!("{:<5} {}: {}\n", word(finding.grade), finding.name, finding.text));
            if let Some(help) = &finding.help {
                ui.print(&format!("      help: {help}\n"));
            }
        }
    }
    if bad { Err(Failure::told(Blame::Machine)) } else { Ok(()) }
}

fn word(grade: Grade) -> &'static str {
    match grade {
        Grade::Good => "good",
        Grade::Fair => "fair",
        Grade::Bad => "bad",
    }
}

fn sandboxes(caches: &Caches) -> Finding {
    let name = "sandboxes";
    let scratch = caches.store.scratch().join("doctor");
    let probed = fs::create_dir_all(&scratch)
        .and_then(|()| std::env::current_exe())
        .map_err(|error| (error.to_string(), None))
        .and_then(|init| {
            sandbox::probe(&init, &scratch).map_err(|error| {
                let mut text = error.to_string();
                if let Some(cause) = std::error::Error::source(&error) {
                    text = format!("{text}: {cause}");
                }
                (text, error.help().map(str::to_owned))
            })
        });
    match probed {
        Ok(capabilities) => {
            let user = if capabilities.root { "root" } else { "an ordinary user" };
            Finding {
                name,
                grade: Grade::Good,
                text: format!("work as {user} on Linux {}", capabilities.kernel),
                help: None,
            }
        }
        Err((text, help)) => Finding { name, grade: Grade::Bad, text, help },
    }
}

fn cache(caches: &Caches) -> Result<Finding, Failure> {
    let scrubbed = caches.store.scrub().map_err(Failure::store)?;
    let whole = scrubbed.damaged.is_empty() && scrubbed.n_broken_records == 0;
    Ok(Finding {
        name: "cache",
        grade: if whole { Grade::Good } else { Grade::Fair },
        text: scrub_text(&scrubbed),
        help: (!whole)
            .then(|| "it is made again when it is needed; look at the disk and its logs".to_owned()),
    })
}

fn space(cache: &Path) -> Finding {
    let name = "disk";
    match rustix::fs::statvfs(cache) {
        Ok(stat) => {
            let free = stat.f_bavail.saturating_mul(stat.f_frsize);
            let text = format!("{} free for caches in `{}`", bytes(free), cache.display());
            if free < LOW_SPACE {
                let help = "free some space, or put caches elsewhere with --cache".to_owned();
                return Finding { name, grade: Grade::Fair, text, help: Some(help) };
            }
            Finding { name, grade: Grade::Good, text, help: None }
        }
        Err(error) => {
            Finding { name, grade: Grade::Fair, text: format!("could not be looked at: {error}"), help: None }
        }
    }
}

fn kvm(caches: &Caches) -> Finding {
    let name = "kvm";
    let fair =
        |text: String, help: &str| Finding { name, grade: Grade::Fair, text, help: Some(help.to_owned()) };
    let good = |text: &str| Finding { name, grade: Grade::Good, text: text.to_owned(), help: None };
    match fs::File::options().read(true).write(true).open("/dev/kvm") {
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return fair(
                "there is no /dev/kvm: machines run on QEMU's translator".to_owned(),
                "enable virtualization in the firmware, or nesting on the host",
            );
        }
        Err(error) => {
            return fair(
                format!("/dev/kvm does not open ({error}): machines run on QEMU's translator"),
                "join its group: usermod -aG kvm USER, then log in again",
            );
        }
    }
    // Finding out takes a QEMU, which is a matter of the project: boots do it and leave a note.
    let Some(note) = caches.kvm_note() else {
        return good("/dev/kvm opens; each boot tries whether it is fast");
    };
    match note.read().parse() {
        Ok(Verdict::Usable) => good("works, as a boot has found out"),
        Ok(Verdict::Unusable(reason)) => fair(
            format!("{reason}, as a boot has found out: machines run on QEMU's translator"),
            &format!("to have it tried again, restart this machine or remove `{}`", note.path().display()),
        ),
        Err(_) => good("/dev/kvm opens; the first boot tries whether it is fast"),
    }
}

fn processors() -> Finding {
    let memory = environment::memory().map_or("an unknown amount".to_owned(), bytes);
    let text = format!("{} processors, {memory} of memory for steps", environment::processors());
    Finding { name: "processors", grade: Grade::Good, text, help: None }
}

fn packages() -> Finding {
    let n_files = environment::apt_configuration().len();
    let text = if n_files > 0 {
        "the mirror of this machine's apt configuration is used unless another is named".to_owned()
    } else {
        "no apt configuration here: packages come from the distribution's own mirror".to_owned()
    };
    Finding { name: "packages", grade: Grade::Good, text, help: None }
}
