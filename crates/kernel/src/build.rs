//! Compiles a kernel that was configured.

use std::fs;
use std::path::Path;

use kconfig::Values;

use crate::Error;
use crate::make::Make;
use crate::objects::Objects;
use crate::spec::BuildSpec;
use crate::{date, headers, modules, needs};

/// Builds the kernel and leaves in the directory `out` its image, `vmlinux`, `System.map`, `config`, `defconfig`, the
/// modules as the layer `modules.tar`, and, if they are asked for, the device trees in `dtbs` and the headers for
/// programs in `headers/include`.
///
/// With objects that were kept, `say` is told which files of the source changed since.
pub fn build(spec: &BuildSpec, out: &Path, say: &mut dyn FnMut(&str)) -> Result<(), Error> {
    let mut make = Make::new(&spec.linux)?.at(date::of(spec)?);
    let kept = match &spec.kept {
        Some(kept) => Some(Objects::open(make.objects(), &spec.linux.source, &kept.made_for, say)?),
        None => None,
    };
    if spec.kept.as_ref().is_some_and(|kept| kept.ccache) {
        make = make.with_ccache()?;
    }
    let result = compile(spec, &make, out);
    if let Some(kept) = kept {
        kept.close(result.is_ok())?;
    }
    result
}

fn compile(spec: &BuildSpec, make: &Make<'_>, out: &Path) -> Result<(), Error> {
    let config = spec.config.join("config");
    let text = fs::read_to_string(&config).map_err(Error::io("read", &config))?;
    let place = make.object(".config");
    // One that is newer than what was made for it is taken for another one.
    if fs::read_to_string(&place).ok().as_ref() != Some(&text) {
        fs::write(&place, &text).map_err(Error::io("write", &place))?;
    }
    let values = Values::parse(&text);
    needs::check(&values)?;
    let has_modules = values.get("MODULES") == Some("y");
    let image = spec.linux.arch.image();
    let mut targets = vec![image];
    if has_modules {
        targets.push("modules");
    }
    if spec.dtbs {
        targets.push("dtbs");
    }
    if spec.headers {
        targets.push("headers");
    }
    make.run(&targets, &[])?;
    let made = [
        (make.image(), image),
        (make.object("vmlinux"), "vmlinux"),
        (make.object("System.map"), "System.map"),
        (config, "config"),
        (spec.config.join("defconfig"), "defconfig"),
    ];
    for (from, name) in made {
        fs::copy(&from, out.join(name)).map_err(Error::io("copy", &from))?;
    }
    let installed = make.object("installed");
    if installed.exists() {
        fs::remove_dir_all(&installed).map_err(Error::io("remove", &installed))?;
    }
    fs::create_dir_all(&installed).map_err(Error::io("make", &installed))?;
    if has_modules {
        let below = installed.join("usr");
        make.run(
            &["modules_install"],
            &[("INSTALL_MOD_PATH", &below), ("INSTALL_MOD_STRIP", Path::new("1"))],
        )?;
    }
    modules::write(&installed, &out.join("modules.tar"))?;
    if spec.headers {
        headers::copy(&make.object("usr/include"), &out.join("headers/include"))?;
    }
    if spec.dtbs {
        // `make` works elsewhere.
        let dtbs = std::path::absolute(out.join("dtbs")).map_err(Error::io("find", out))?;
        make.run(&["dtbs_install"], &[("INSTALL_DTBS_PATH", &dtbs)])?;
    }
    Ok(())
}
