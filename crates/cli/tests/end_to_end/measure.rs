//! `measure`: digests printed as they are wanted, expected ones in a lock, ID blocks, and whatever is wrong with a file.

use std::fs;

use launch::{
    ContextFormat, Data, Directive, File, Import, Initialization, Page, PageKind, Platform, PlatformKind,
    Revision, VpContext, ZeroPages, measure, write,
};

use crate::harness::{Project, workspace};

/// Writes a file for SEV-SNP and TDX with two pages, of which the second is full of `byte`.
fn put(project: &Project, name: &str, byte: u8, is_state_last: bool) -> String {
    let (first, second) = ([7; 4096], [byte; 4096]);
    let mut vmsa = [0; 4096];
    vmsa[0x158] = 0x31;
    let page = |gpa, data| {
        let (kind, import) = (PageKind::Normal, Import::Measured);
        Directive::Page(Page { gpa, mask: 3, kind, import, size: 4096, data: Some(Data::new(data)) })
    };
    let platform = |kind, mask| Platform { kind, mask, highest_vtl: 0, shared_gpa_boundary: 0 };
    let state = Directive::VpContext(VpContext {
        gpa: 0xffff_ffff_f000,
        mask: 1,
        vp_index: 0,
        format: ContextFormat::Vmsa,
        data: Data::new(&vmsa),
    });
    let mut directives = vec![page(0x1000, &first), page(0x9000, &second)];
    directives.insert(if is_state_last { 2 } else { 0 }, state);
    let file = File {
        revision: Revision::V1,
        platforms: vec![platform(PlatformKind::SevSnp, 1), platform(PlatformKind::Tdx, 2)],
        initializations: vec![Initialization::GuestPolicy { policy: 0x30000, mask: 1 }],
        directives,
    };
    fs::write(project.path().join(name), write(&file).unwrap()).unwrap();
    measure(&file, PlatformKind::SevSnp, ZeroPages::Normal).unwrap().digest.to_string()
}

#[test]
fn digests_are_printed_as_they_are_wanted() {
    let project = Project::new("");
    let digest = put(&project, "a.igvm", 1, true);
    let text = project.succeed(&["measure", "a.igvm", "--check-kvm"]).stdout;
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], format!("sev-snp  launch digest  {digest}"));
    assert!(lines[1].starts_with("tdx      MRTD           "), "{text}");
    let bare = project.succeed(&["measure", "a.igvm", "--bare", "--platform", "snp"]).stdout;
    assert_eq!(bare, format!("{}\n", digest.to_uppercase()));
    project.fail(&["measure", "a.igvm", "--bare"], 2, &["a bare digest is one", "--platform"]);
    project.fail(
        &["measure", "a.igvm", "--platform", "vsm"],
        2,
        &["the file is not for vsm: it is for sev-snp, tdx"],
    );
    project.fail(&["measure", "a.igvm", "--platform", "sgx"], 2, &["`sgx` is no platform"]);
    let rule = "=".repeat(111);
    let expected =
        format!("\n{rule}\nigvmmeasure 'a.igvm'\nLaunch Digest: {}\n{rule}\n\n", digest.to_uppercase());
    assert_eq!(project.succeed(&["measure", "a.igvm", "--igvmmeasure"]).stdout, expected);
    let json: serde_json::Value =
        serde_json::from_str(&project.succeed(&["measure", "a.igvm", "--json"]).stdout).unwrap();
    assert_eq!(json["measurements"][0]["digest"], digest);
    assert_eq!(json["measurements"][0]["policy"], "0x30000");
    assert_eq!(json["measurements"][1]["platform"], "tdx");
}

#[test]
fn what_is_wrong_with_a_file_is_told() {
    let project = Project::new("");
    put(&project, "b.igvm", 1, false);
    project.fail(
        &["measure", "b.igvm", "--check-kvm"],
        1,
        &["page 0x1000 comes after the state of the processor"],
    );
    project.fail(&["measure", "none.igvm"], 2, &["could not read", "none.igvm"]);
    let mut bytes = fs::read(project.path().join("b.igvm")).unwrap();
    bytes[60] ^= 1;
    fs::write(project.path().join("b.igvm"), &bytes).unwrap();
    project.fail(
        &["measure", "b.igvm"],
        1,
        &["could not read the IGVM file `b.igvm`", "the checksum of the headers is"],
    );
    fs::write(project.path().join("b.igvm"), &bytes[..90]).unwrap();
    project.fail(&["measure", "b.igvm"], 1, &["the file has 90 bytes, but its header says"]);
    fs::write(project.path().join("b.igvm"), "text").unwrap();
    project.fail(&["measure", "b.igvm"], 1, &["the file has 4 bytes"]);
}

#[test]
fn a_digest_that_moved_is_told_with_its_pages() {
    let project = Project::new("");
    put(&project, "a.igvm", 1, true);
    project.fail(&["measure", "a.igvm", "--check"], 1, &["`measurements.lock` expects nothing of `a.igvm`"]);
    project.succeed(&["measure", "a.igvm", "--update"]);
    let lock = project.read("measurements.lock");
    project.succeed(&["measure", "a.igvm", "--check"]);
    project.succeed(&["measure", "a.igvm", "--update"]);
    assert_eq!(project.read("measurements.lock"), lock);

    let digest = put(&project, "a.igvm", 2, true);
    let expected =
        ["sev-snp: expected", &digest, "changed  0x9000: 1 page normal", "tdx: expected", "--update"];
    project.fail(&["measure", "a.igvm", "--check"], 1, &expected);
    project.succeed(&["measure", "a.igvm", "--update"]);
    project.succeed(&["measure", "a.igvm", "--lock", "measurements.lock"]);
    project.fail(
        &["measure", "a.igvm", "--check", "--native-zero", "--lock", "other.lock"],
        1,
        &["other.lock"],
    );
    project.write("measurements.lock", "version = 2\n");
    project.fail(&["measure", "a.igvm", "--check"], 2, &["could not read `measurements.lock`", "version 2"]);
}

#[test]
fn what_is_measured_is_told_to_those_who_verify() {
    let project = Project::new("");
    let digest = put(&project, "a.igvm", 1, true);
    let corim = ["measure", "a.igvm", "--corim", "a.corim", "--svn", "7"];
    project.fail(&corim, 2, &["a CoRIM is for one platform, not for", "say which with `--platform`"]);
    project.fail(&corim[..4], 2, &["--svn"]);
    project.succeed(&[&corim[..], &["--platform", "sev-snp"]].concat());
    let document = fs::read(project.path().join("a.corim")).unwrap();
    // Tag 501 (draft-ietf-rats-corim-10, section 4.1).
    assert!(document.starts_with(&[0xd9, 0x01, 0xf5]));
    let bytes: Vec<u8> =
        (0..48).map(|idx| u8::from_str_radix(&digest[2 * idx..2 * idx + 2], 16).unwrap()).collect();
    assert!(document.windows(48).any(|window| window == bytes));
}

#[test]
fn signed_files_are_checked() {
    let project = Project::new("");
    let digest = put(&project, "a.igvm", 1, true);
    let keys = workspace().join("crates/launch/tests/launch");
    for name in ["id.pem", "author.pem"] {
        fs::copy(keys.join(name), project.path().join(name)).unwrap();
    }
    let arguments =
        ["measure", "a.igvm", "--sign", "id.pem", "--author-key", "author.pem", "--output", "signed.igvm"];
    assert!(
        project.succeed(&arguments).stdout.starts_with(&format!("signed.igvm: launch digest {digest}, key "))
    );
    let text = project.succeed(&["measure", "signed.igvm"]).stdout;
    assert!(text.contains("ID block  right, key ") && text.contains("author "), "{text}");
    // Another page, and so a digest that the block does not expect.
    let mut bytes = fs::read(project.path().join("signed.igvm")).unwrap();
    let at = bytes.windows(4096).position(|window| window == [7; 4096]).unwrap();
    bytes[at] = 8;
    fs::write(project.path().join("signed.igvm"), bytes).unwrap();
    project.fail(&["measure", "signed.igvm"], 1, &["it expects the digest", "would refuse the ID block"]);
    project.succeed(&["measure", "signed.igvm", "--ignore-idblock"]);
    project.fail(
        &["measure", "a.igvm", "--sign", "a.igvm", "--output", "x"],
        2,
        &["could not read the key `a.igvm`"],
    );
    assert!(!project.path().join("x").exists());
}
