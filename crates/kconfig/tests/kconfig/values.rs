//! What a `.config` says, and how two differ.

use kconfig::{Tristate, Values, diff};

#[track_caller]
fn check(before: &str, after: &str, expected: &[&str]) {
    let changes = diff(&Values::parse(before), &Values::parse(after));
    assert_eq!(changes.iter().map(ToString::to_string).collect::<Vec<_>>(), expected);
}

#[test]
fn lines_of_all_kinds() {
    let values = Values::parse(
        "#\n# Linux\n#\nCONFIG_A=y\r\nCONFIG_B=m\n# CONFIG_C is not set\n\
         CONFIG_D=\"a \\\"b\\\"\"\nCONFIG_E=0x10\n\
         junk\nCONFIG_=y\nCONFIG_F\n# CONFIG_G is not\nCONFIG_H=\nCONFIG_A-B=y\nCONFIG_E=0x20\n",
    );
    let got = ["A", "B", "C", "D", "E", "F", "G", "H", ""].map(|name| values.get(name));
    let d = Some("\"a \\\"b\\\"\"");
    let expected = [Some("y"), Some("m"), Some("n"), d, Some("0x20"), None, None, Some(""), None];
    assert_eq!(got, expected);
    let tristates = ["A", "B", "C", "D", "Z"].map(|name| values.tristate(name));
    let no = Tristate::No;
    assert_eq!(tristates, [Tristate::Yes, Tristate::Module, no, no, no]);
}

#[test]
fn changes_are_listed_by_name() {
    check(
        "CONFIG_VIRTIO_BLK=n\nCONFIG_B=y\nCONFIG_C=\"x\"\nCONFIG_D=5\nCONFIG_SAME=m\n",
        "CONFIG_VIRTIO_BLK=y\nCONFIG_A=m\n# CONFIG_B is not set\nCONFIG_D=6\nCONFIG_E=0x1\nCONFIG_SAME=m\n",
        &[
            "A: n -> m",
            "B: y -> n",
            "C: \"x\" -> absent",
            "D: 5 -> 6",
            "E: absent -> 0x1",
            "VIRTIO_BLK: n -> y",
        ],
    );
}

#[test]
fn not_set_and_not_there_are_the_same() {
    check("# CONFIG_A is not set\nCONFIG_B=n\n", "# CONFIG_C is not set\n", &[]);
}
