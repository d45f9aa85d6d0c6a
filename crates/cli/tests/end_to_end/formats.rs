//! The tools that own the formats accept what we write.

use crate::harness::Project;

#[test]
fn foreign_tools_accept_our_images() {
    let project = Project::copy_of("crates/cli/tests/projects/checkers");
    project.succeed(&["build"]);
    assert_eq!(
        project.read("out/ext4-accepted/stat"),
        "/etc/secret Type: regular Mode: 0640 User: 0 Group: 42 \n\
         /usr/bin/suid Type: regular Mode: 04755 User: 0 Group: 0 \n\
         /srv Type: directory Mode: 02775 User: 1000 Group: 1000 \n\
         /etc/long Type: symlink Mode: 0777 User: 0 Group: 0 \n\
         /empty Type: regular Mode: 0644 User: 0 Group: 0 \n\
         /overlaid/run Type: regular Mode: 0755 User: 0 Group: 0 \n"
    );
    let squashfs = project.read("out/squashfs-accepted/list");
    for expected in [
        "-rw-r----- 0/42 26 ",
        "-rwsr-xr-x 0/0 10 ",
        "drwxrwsr-x 1000/1000 3 ",
        "lrwxrwxrwx 0/0 85 ",
        "-rwxr-xr-x 0/0 24 ",
    ] {
        assert!(squashfs.lines().any(|line| line.starts_with(expected)), "no `{expected}` in {squashfs}");
    }
    let stat = project.read("out/squashfs-accepted/stat");
    for expected in [
        "Compression xz\n",
        "Filters selected: x86, arm\n",
        "Block size 1048576\n",
        "Number of fragments 0\n",
    ] {
        assert!(stat.contains(expected), "no `{expected}` in {stat}");
    }
    let cpio = project.read("out/cpio-accepted/list");
    assert!(
        cpio.lines()
            .any(|line| line.starts_with("-rw-r-----   1 0        42 ") && line.ends_with(" etc/secret")),
        "{cpio}"
    );
    let has =
        |start: &str, end: &str| cpio.lines().any(|line| line.starts_with(start) && line.ends_with(end));
    assert!(has("crw-------   1 0        0          5,   1 ", " dev/console"), "{cpio}");
    assert!(has("brw-rw----   1 0        6        254,   0 ", " dev/vda"), "{cpio}");
    let tar = project.read("out/layer-accepted/list");
    assert!(
        tar.lines().any(|line| line.starts_with("drwxrwsr-x 1000/1000 ") && line.ends_with(" srv/")),
        "{tar}"
    );
}
