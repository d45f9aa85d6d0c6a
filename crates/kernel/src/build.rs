//! Compiles a kernel that was configured.

use std::fs;
use std::path::Path;

use kconfig::Values;

use crate::Error;
use crate::make::{Make, is_in_path};
use crate::modules;
use crate::spec::BuildSpec;

/// Builds the kernel and leaves in the directory `out` its image, `vmlinux`, `System.map`, `config`, `defconfig`, the
/// modules as the layer `modules.tar`, and the device trees in `dtbs` if they are asked for.
pub fn build(spec: &BuildSpec, out: &Path) -> Result<(), Error> {
    let make = Make::new(&spec.linux)?;
    let config = spec.config.join("config");
    let text = fs::read_to_string(&config).map_err(Error::io("read", &config))?;
    fs::write(make.object(".config"), &text).map_err(Error::io("write", &make.object(".config")))?;
    let has_modules = Values::parse(&text).get("MODULES") == Some("y");
    if has_modules && !is_in_path("depmod") && !Path::new("/sbin/depmod").exists() {
        return Err(Error::NoProgram { program: "depmod".to_owned(), package: "kmod" });
    }
    let image = spec.linux.arch.image();
    let mut targets = vec![image];
    if has_modules {
        targets.push("modules");
    }
    if spec.dtbs {
        targets.push("dtbs");
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
    fs::create_dir_all(&installed).map_err(Error::io("make", &installed))?;
    if has_modules {
        let below = installed.join("usr");
        make.run(
            &["modules_install"],
            &[("INSTALL_MOD_PATH", &below), ("INSTALL_MOD_STRIP", Path::new("1"))],
        )?;
    }
    modules::write(&installed, &out.join("modules.tar"))?;
    if spec.dtbs {
        // `make` works elsewhere.
        let dtbs = std::path::absolute(out.join("dtbs")).map_err(Error::io("find", out))?;
        make.run(&["dtbs_install"], &[("INSTALL_DTBS_PATH", &dtbs)])?;
    }
    Ok(())
}
