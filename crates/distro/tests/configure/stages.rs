//! Packages configured on top of others that are configured already.

use crate::fixtures::{TarEntry, directory, file};
use crate::world::{Outcome, Package, World};
use crate::{package, script};

/// Configures `first`, then `second` on top of it.
fn in_two_stages(first: &[Package], second: &[Package]) -> Option<(World, World)> {
    let below = World::new(first)?;
    let configure = |world: &World| match world.configure() {
        Outcome::Done => {}
        Outcome::Failed { code, printed } => panic!("exit code {code}:\n{printed}"),
    };
    configure(&below);
    let above = below.on_top(second);
    configure(&above);
    Some((below, above))
}

#[test]
fn only_new_packages_are_configured() {
    let said = |name: &str| script("postinst", &format!("echo \"{name} $*\" >> /etc/order"));
    let alpha = package("alpha", "", &[said("alpha")], &[file("./usr/share/alpha", "1")]);
    let scripts = [script("preinst", "echo \"beta preinst $*\" >> /etc/order"), said("beta")];
    let beta = package("beta", "Depends: alpha\n", &scripts, &[file("./usr/share/beta", "2")]);
    let Some((_, above)) = in_two_stages(&[alpha], &[beta]) else { return };
    assert_eq!(above.read("etc/order"), "alpha configure \nbeta preinst install\nbeta configure \n");
    assert_eq!(above.changes(), ["file    0644 0:0 1700000000 etc/order size=54"]);
    let status = above.read("var/lib/dpkg/status");
    let installed = |name: &str| {
        let mut stanzas =
            status.split("\n\n").filter(|stanza| stanza.contains(&format!("Package: {name}\n")));
        stanzas.next().is_some_and(|stanza| stanza.contains("Status: install ok installed\n"))
    };
    assert!(installed("dpkg") && installed("alpha") && installed("beta"), "{status}");
    assert!(!above.read("var/lib/dpkg/info/beta.list").is_empty());
}

#[test]
fn triggers_of_configured_packages_fire() {
    let said = script("postinst", "echo \"$DPKG_MAINTSCRIPT_PACKAGE $*\" >> /etc/order");
    let interests =
        "interest-noawait /usr/share/things\ninterest-noawait named\ninterest /usr/share/others\n";
    let alpha = package("alpha", "", &[said.clone(), file("./triggers", interests)], &[]);
    let idle = package("idle", "", &[said, file("./triggers", "interest /usr/share/thing\n")], &[]);
    let data = [directory("./usr/share/things/"), file("./usr/share/things/one", "1")];
    let beta = package("beta", "", &[file("./triggers", "activate-noawait named\n")], &data);
    let Some((_, above)) = in_two_stages(&[alpha, idle], &[beta]) else { return };
    let order = above.read("etc/order");
    let (configured, triggered) = order.split_at(order.find("alpha triggered").expect(&order));
    // Neither needs the other, so either may come first.
    let mut configured: Vec<&str> = configured.lines().collect();
    configured.sort_unstable();
    assert_eq!(configured, ["alpha configure ", "idle configure "]);
    let mut words: Vec<&str> = triggered.split_whitespace().collect();
    words.sort_unstable();
    assert_eq!(words, ["/usr/share/things", "alpha", "named", "triggered"]);
    assert!(!above.read("var/lib/dpkg/status").contains("trigger"), "nothing is pending");
}

#[test]
fn diversions_of_configured_packages_hold() {
    let divert = "dpkg-divert --package alpha --add --rename --divert /usr/bin/tool.real /usr/bin/tool";
    let data = [TarEntry { mode: 0o755, ..file("./usr/bin/tool", "alpha's") }];
    let alpha = package("alpha", "", &[script("preinst", divert)], &data);
    let beta = package("beta", "", &[], &[TarEntry { mode: 0o755, ..file("./usr/bin/tool", "beta's") }]);
    let Some((_, above)) = in_two_stages(&[alpha], &[beta]) else { return };
    assert_eq!(above.read("usr/bin/tool"), "alpha's");
    assert_eq!(above.read("usr/bin/tool.real"), "beta's");
}

#[test]
fn what_scripts_made_of_directories_and_files_stays() {
    let postinst = script(
        "postinst",
        "chown 33:42 /var/shared; chmod 2770 /var/shared; echo x > /var/shared/made; chown 33 /var/shared/made
         rm /usr/share/gone",
    );
    let alpha =
        package("alpha", "", &[postinst], &[directory("./var/shared/"), file("./usr/share/gone", "1")]);
    let beta = package(
        "beta",
        "",
        &[script("postinst", "echo y >> /var/shared/made; test ! -e /usr/share/gone")],
        &[directory("./var/shared/"), file("./var/shared/beta", "2")],
    );
    let Some((_, above)) = in_two_stages(&[alpha], &[beta]) else { return };
    assert_eq!(
        above.changes(),
        ["dir     2770 33:42 1000000000 var/shared", "file    0644 33:0 1700000000 var/shared/made size=4"]
    );
}

#[test]
fn three_stages_and_every_user_give_the_same_layer() {
    let said = |name: &str| script("postinst", &format!("echo {name} >> /etc/order"));
    let [alpha, beta, gamma] = ["alpha", "beta", "gamma"].map(|name| package(name, "", &[said(name)], &[]));
    let Some((_, above)) = in_two_stages(&[alpha], &[beta]) else { return };
    let worlds = [(); 2].map(|()| above.on_top(std::slice::from_ref(&gamma)));
    assert!(matches!(worlds[0].configure(), Outcome::Done));
    assert_eq!(worlds[0].read("etc/order"), "alpha\nbeta\ngamma\n");
    let again = match rustix::process::geteuid().is_root() {
        true => worlds[1].configure_as_ordinary_user(),
        false => Some(worlds[1].configure()),
    };
    let Some(again) = again else { return };
    assert!(matches!(again, Outcome::Done), "{again:?}");
    assert!(worlds[0].layer() == worlds[1].layer());
    let plain = std::fs::read_to_string(worlds[0].path().join("out/tree/etc/order")).unwrap();
    assert_eq!(plain, "alpha\nbeta\ngamma\n");
}
