//! What is expected to be measured: written, read, and compared.

use launch::lock::{Lock, Moved, expected, moved};
use launch::{Directive, File, Page, PlatformKind, ZeroPages, write};

use crate::files::{self, ALL, SNP, page, vmsa};

fn base() -> Vec<Directive<'static>> {
    let mut elf = vec![0; 4096];
    elf[..4].copy_from_slice(b"\x7fELF");
    vec![
        Directive::Page(page(0x1000, ALL)),
        Directive::Page(page(0x2000, ALL)),
        Directive::Page(Page { data: Some(launch::Data::new(Vec::leak(elf))), ..page(0x3000, ALL) }),
        Directive::Page(page(0x4000, ALL)),
        Directive::VpContext(vmsa(files::KVM_VMSA, SNP, 0)),
    ]
}

fn of(directives: Vec<Directive<'static>>, kind: PlatformKind, zeros: ZeroPages) -> launch::lock::Expected {
    let mut file = files::empty(ALL);
    file.directives = directives;
    expected(&File::parse(&write(&file).unwrap()).unwrap(), kind, zeros).unwrap()
}

#[test]
fn a_lock_is_read_as_it_was_written() {
    let mut lock = Lock::default();
    for name in ["a.igvm", "with \"quotes\".igvm", "in\ntwo 'lines'.igvm"] {
        let platforms = lock.images.entry(name.to_owned()).or_default();
        for kind in [PlatformKind::SevSnp, PlatformKind::Tdx, PlatformKind::Vsm] {
            platforms.insert(kind, of(base(), kind, ZeroPages::Normal));
        }
        platforms.insert(PlatformKind::Sev, of(base(), PlatformKind::Sev, ZeroPages::Native));
    }
    let text = lock.to_text();
    assert_eq!(Lock::parse(&text).unwrap(), lock, "{text}");
    assert_eq!(Lock::parse(&text).unwrap().to_text(), text);
    assert!(Lock::parse(&text.replace("version = 1", "version = 2")).is_err());
    assert!(Lock::parse(&text.replace(".tdx]", ".tdp2]")).is_err());
    assert!(Lock::parse(&text.replace("pages =", "page =")).is_err());
    for (right, wrong) in
        [("gpa = \"0x1", "gpa = \"1"), ("sha256 = \"", "sha256 = \"X"), ("digest = \"", "digest = \"\\\"")]
    {
        let error = Lock::parse(&text.replace(right, wrong)).unwrap_err();
        assert!(error.to_string().contains("which is no digest or address"), "{error}");
    }
}

#[test]
fn a_digest_that_moved_says_what_it_is_of() {
    let before = of(base(), PlatformKind::SevSnp, ZeroPages::Normal);
    let shown: Vec<String> = before.parts.iter().map(|part| part.shown()).collect();
    assert_eq!(
        shown,
        ["0x1000: 2 pages normal", "0x3000: 2 pages normal, ELF", "0xfffffffff000: 1 page vmsa"]
    );
    let check = |change: fn(&mut Vec<Directive<'static>>), zeros: ZeroPages| {
        let mut directives = base();
        change(&mut directives);
        let after = of(directives, PlatformKind::SevSnp, zeros);
        let moved = moved(&before, &after).into_iter().map(|moved| match moved {
            Moved::Removed(part) => format!("- {}", part.shown()),
            Moved::Added(part) => format!("+ {}", part.shown()),
            Moved::Changed(_, part) => format!("! {}", part.shown()),
            Moved::NativeZero => "zeros".to_owned(),
            Moved::Order => "order".to_owned(),
        });
        moved.collect::<Vec<_>>()
    };
    assert!(check(|_| {}, ZeroPages::Normal).is_empty());
    let elf = |directives: &mut Vec<Directive<'static>>| {
        directives[3] = Directive::Page(Page { data: Some(files::noise(77, 4096)), ..page(0x4000, ALL) });
    };
    assert_eq!(check(elf, ZeroPages::Normal), ["! 0x3000: 2 pages normal, ELF"]);
    let more =
        |directives: &mut Vec<Directive<'static>>| directives.insert(4, Directive::Page(page(0x9000, ALL)));
    assert_eq!(check(more, ZeroPages::Normal), ["+ 0x9000: 1 page normal"]);
    let less = |directives: &mut Vec<Directive<'static>>| drop(directives.drain(..2));
    assert_eq!(check(less, ZeroPages::Normal), ["- 0x1000: 2 pages normal"]);
    assert_eq!(check(|directives| directives.swap(0, 3), ZeroPages::Normal), ["order"]);
    let zero = |directives: &mut Vec<Directive<'static>>| {
        directives[1] = Directive::Page(Page { data: None, ..page(0x2000, ALL) });
    };
    assert_eq!(check(zero, ZeroPages::Native), ["zeros", "! 0x1000: 2 pages normal"]);
}

#[test]
fn many_parts_are_compared_once_each() {
    let part = |number: usize| launch::lock::Part {
        gpa: format!("{:#x}", number * 0x1000),
        pages: 1,
        kind: "normal".to_owned(),
        contents: None,
        sha256: None,
    };
    let of = |digest: &str, numbers: &mut dyn Iterator<Item = usize>| launch::lock::Expected {
        digest: digest.to_owned(),
        native_zero: false,
        parts: numbers.map(part).collect(),
    };
    // In the other order, each would be compared with all others.
    let (before, after) = (of("a", &mut (0..20_000)), of("b", &mut (2..20_002).rev()));
    let shown = |part: &launch::lock::Part| part.gpa.clone();
    let moved = moved(&before, &after)
        .iter()
        .map(|moved| match moved {
            Moved::Removed(part) => format!("- {}", shown(part)),
            Moved::Added(part) => format!("+ {}", shown(part)),
            other => format!("{other:?}"),
        })
        .collect::<Vec<_>>();
    assert_eq!(moved, ["- 0x0", "- 0x1000", "+ 0x4e21000", "+ 0x4e20000"]);
    // Parts of one place and kind are compared in their order.
    let (before, after) = (of("a", &mut [1, 1].into_iter()), of("b", &mut [1, 3, 1, 1].into_iter()));
    let moved = launch::lock::moved(&before, &after);
    assert_eq!(moved, [Moved::Added(part(3)), Moved::Added(part(1))]);
}
