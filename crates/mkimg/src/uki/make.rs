//! Makes a unified kernel image as a specification says.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;

use super::build::{Parts, build};
use super::measure::measure;
use crate::error::Error;
use crate::files::Directory;
use crate::pe::{self, Pe};
use crate::spec::{UkiSpec, UkiText};

/// Writes the image that `spec` describes, and what is in it as text. Returns what is worth telling.
pub(crate) fn write(spec: &UkiSpec, directory: &Directory<'_>) -> Result<Vec<String>, Error> {
    let read = |file: &String| {
        let path = directory.path(file);
        fs::read(&path).map_err(|source| Error::Read { path, source })
    };
    let text = |text: &Option<UkiText>| match text {
        None => Ok(None),
        Some(UkiText::Text(text)) => Ok(Some(text.clone())),
        Some(UkiText::File(file)) => {
            let text = String::from_utf8(read(file)?);
            text.map(Some).map_err(|_| Error::NotText { path: directory.path(file) })
        }
    };
    let (stub, linux) = (read(&spec.stub)?, read(&spec.linux)?);
    let initrds = spec.initrds.iter().map(read).collect::<Result<Vec<_>, Error>>()?;
    let (mut cmdline, os_release) = (text(&spec.cmdline)?, text(&spec.os_release)?);
    if let Some(hash) = text(&spec.root_hash.clone().map(UkiText::File))? {
        let before = cmdline.take().unwrap_or_default();
        cmdline = Some(format!("{} roothash={}", before.trim_end(), hash.trim()).trim_start().to_owned());
    }
    let devicetree = spec.devicetree.as_ref().map(read).transpose()?;
    let splash = spec.splash.as_ref().map(read).transpose()?;
    let parts = Parts {
        stub: &stub,
        linux: &linux,
        initrds: initrds.iter().map(Vec::as_slice).collect(),
        cmdline: cmdline.as_deref(),
        os_release: os_release.as_deref(),
        uname: spec.uname.as_deref(),
        devicetree: devicetree.as_deref(),
        splash: splash.as_deref(),
        sbat: spec.sbat.iter().map(String::as_str).collect(),
    };
    let built = build(&parts).map_err(|source| Error::Uki { path: directory.path(&spec.output), source })?;
    let described = describe(&built.bytes)?;
    for (path, bytes) in [(&spec.output, &built.bytes[..]), (&spec.text_output, described.as_bytes())] {
        let output = directory.create(path)?;
        let mut writer = output.writer();
        writer.write_all(bytes).map_err(|source| output.error(source))?;
        output.close(writer)?;
    }
    Ok(built.notes)
}

/// Returns the sections of an image, and what will be measured of them.
fn describe(image: &[u8]) -> Result<String, Error> {
    let mut text = pe::dump(image).map_err(Error::OwnProgram)?;
    let pe = Pe::parse(image).map_err(|error| Error::OwnProgram(error.into()))?;
    let Some(measured) = measure(&pe) else {
        text += "\nThe stub does not say its version, so what it measures is not known.\n";
        return Ok(text);
    };
    let _ = writeln!(text, "\n# systemd-stub {} measures {}", measured.stub, measured.sections.join(" "));
    let values = std::iter::once(("", &measured.start));
    let values = values.chain(measured.phases.iter().map(|(phase, value)| (*phase, value)));
    for (phase, value) in values {
        let _ = writeln!(text, "# PCR[11] Phase <{phase}>\n11:sha256={value}");
    }
    Ok(text)
}
