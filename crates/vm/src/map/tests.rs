//! Tests of maps as a whole. A region is a line of words: its name, its content, and what else is said of it.
//!
//! In place of a file a content has the size of one: `raw:70M`; a Linux image also its offset from its
//! alignment: `linux-image:30M+0`; an ELF file also its address, and its entry point from there if it has
//! one: `elf:64K@0x40000000+0x40`.

mod problems;

use super::*;
use crate::number::parse;
use crate::spec::{Arch, Entry, Place};

fn number(text: &str) -> u64 {
    parse(text).unwrap_or_else(|| panic!("`{text}` is a number"))
}

fn region(line: &str) -> (Region, Extent) {
    let mut words = line.split_whitespace();
    let name = words.next().unwrap();
    let (kind, size) = words.next().unwrap().split_once(':').unwrap();
    let file = format!("in/{name}");
    let (content, extent) = match kind {
        "raw" => (Content::Raw(file), Extent::bytes(number(size))),
        "linux-image" => {
            let (size, offset) = size.split_once('+').unwrap();
            (Content::LinuxImage(file), Extent::bytes(number(size)).aligned(2 << 20, number(offset)))
        }
        "elf" => {
            let (size, address) = size.split_once('@').unwrap();
            let (address, entry) = address.split_once('+').unwrap_or((address, ""));
            let extent =
                Extent { address: parse(address), entry: parse(entry), ..Extent::bytes(number(size)) };
            (Content::Elf(file), extent)
        }
        "reserved" => (Content::Reserved(number(size)), Extent::declared(&Content::Reserved(number(size)))),
        _ => (Content::Device(number(size)), Extent::declared(&Content::Device(number(size)))),
    };
    let mut region = Region::new(name, content, Place::Free);
    for word in words {
        let (key, value) = word.split_once('=').unwrap_or((word, "0"));
        match key {
            "at" => region.place = Place::At(number(value)),
            "after" => region.place = Place::After(value.to_owned()),
            "inside" => region.inside = Some(value.to_owned()),
            "align" => region.align = Some(number(value)),
            "max" => region.max = Some(number(value)),
            "entry" => region.entry = Some(Entry { offset: number(value) }),
            _ => {
                let (start, end) = value.split_once("..").unwrap();
                region.within = Some(AddressRange { start: number(start), end: number(end) });
            }
        }
    }
    (region, extent)
}

fn resolved(arch: Arch, memory_mib: u64, lines: &str) -> Result<Map, Problems> {
    let regions: Vec<(Region, Extent)> = lines.lines().map(region).collect();
    let regions: Vec<Measured<'_>> =
        regions.iter().map(|(region, extent)| Measured { region, extent: *extent }).collect();
    resolve(&Board::new(arch, memory_mib), &regions)
}

/// Resolves regions on an arm64 machine with 1 GiB, and compares where they lie, or the problems with their
/// help.
#[track_caller]
fn check(lines: &str, expected: &str) {
    check_on(Arch::Arm64, 1024, lines, expected);
}

#[track_caller]
fn check_on(arch: Arch, memory_mib: u64, lines: &str, expected: &str) {
    let told: Vec<String> = match resolved(arch, memory_mib, lines) {
        Ok(map) => map.all().iter().map(|region| format!("{} {}", region.name, region.range)).collect(),
        Err(problems) => {
            let with_help = |problem: &Problem| match problem.help() {
                Some(help) => format!("{problem}; help: {help}"),
                None => problem.to_string(),
            };
            problems.problems.iter().map(with_help).collect()
        }
    };
    assert_eq!(told.join("\n"), expected);
}

/// The layout of a hypervisor with one guest, all by address.
const REFERENCE: &str = "hypervisor raw:72K at=0x40000000 entry
dtb raw:1M at=0x47000000
guest reserved:512M at=0x48000000
linux linux-image:30M+0 at=0x48000000 inside=guest
initramfs raw:11M at=0x54000000 inside=guest
disk raw:64M at=0x58000000 inside=guest
uart device:4K at=0x09000000";

#[test]
fn the_reference_layout_is_drawn() {
    let map = resolved(Arch::Arm64, 2048, REFERENCE).unwrap();
    let expected = "
┌────────────┬────────────┬───────────┬───────────────┬─────────────┐
│ start      │ end        │      size │ region        │ content     │
├────────────┼────────────┼───────────┼───────────────┼─────────────┤
│ 0x09000000 │ 0x09001000 │     4 KiB │ uart          │ device      │
│ 0x40000000 │ 0xc0000000 │     2 GiB │ RAM           │             │
│ 0x40000000 │ 0x40012000 │    72 KiB │   hypervisor  │ raw, entry  │
│ 0x40012000 │ 0x47000000 │ 111.9 MiB │   (free)      │             │
│ 0x47000000 │ 0x47100000 │     1 MiB │   dtb         │ raw         │
│ 0x47100000 │ 0x48000000 │    15 MiB │   (free)      │             │
│ 0x48000000 │ 0x68000000 │   512 MiB │   guest       │ reserved    │
│ 0x48000000 │ 0x49e00000 │    30 MiB │     linux     │ linux-image │
│ 0x49e00000 │ 0x54000000 │   162 MiB │     (free)    │             │
│ 0x54000000 │ 0x54b00000 │    11 MiB │     initramfs │ raw         │
│ 0x54b00000 │ 0x58000000 │    53 MiB │     (free)    │             │
│ 0x58000000 │ 0x5c000000 │    64 MiB │     disk      │ raw         │
│ 0x5c000000 │ 0x68000000 │   192 MiB │     (free)    │             │
│ 0x68000000 │ 0xc0000000 │  1408 MiB │   (free)      │             │
└────────────┴────────────┴───────────┴───────────────┴─────────────┘
the first processor starts in hypervisor at 0x40000000
";
    assert_eq!(format!("\n{}", map.draw()), expected);
}

#[test]
fn the_reference_layout_by_rules_is_the_same() {
    let by_rules = "hypervisor raw:72K entry
dtb raw:1M within=0x47000000..0x48000000
guest reserved:512M after=dtb align=128M
linux linux-image:30M+0 inside=guest
initramfs raw:11M after=linux inside=guest within=0x54000000..0x58000000
disk raw:64M inside=guest after=initramfs align=64M
uart device:4K at=0x09000000";
    assert_eq!(resolved(Arch::Arm64, 2048, by_rules), resolved(Arch::Arm64, 2048, REFERENCE));
}

#[test]
fn a_wrong_map_is_told_with_its_drawing() {
    let lines = REFERENCE.replace("raw:11M", "raw:70M").replace("disk raw:64M", "disk raw:700M");
    let problems = resolved(Arch::Arm64, 1024, &format!("{lines}\nstray raw:1M at=0x30000000"));
    let expected = "the address map of the machine has 3 problems
┌────────────┬────────────┬───────────┬────────────────────┬─────────────┐
│ start      │ end        │      size │ region             │ content     │
├────────────┼────────────┼───────────┼────────────────────┼─────────────┤
│ 0x09000000 │ 0x09001000 │     4 KiB │ uart               │ device      │
│ 0x30000000 │ 0x30100000 │     1 MiB │ stray              │ raw         │
│ 0x40000000 │ 0x80000000 │     1 GiB │ RAM                │             │
│ 0x40000000 │ 0x40012000 │    72 KiB │   hypervisor       │ raw, entry  │
│ 0x40012000 │ 0x47000000 │ 111.9 MiB │   (free)           │             │
│ 0x47000000 │ 0x47100000 │     1 MiB │   dtb              │ raw         │
│ 0x47100000 │ 0x48000000 │    15 MiB │   (free)           │             │
│ 0x48000000 │ 0x68000000 │   512 MiB │   guest            │ reserved    │
│ 0x48000000 │ 0x49e00000 │    30 MiB │     linux          │ linux-image │
│ 0x49e00000 │ 0x54000000 │   162 MiB │     (free)         │             │
│ 0x54000000 │ 0x58600000 │    70 MiB │     initramfs      │ raw         │
│ 0x58000000 │ 0x58600000 │     6 MiB │     (OVERLAP)      │             │
│ 0x58000000 │ 0x83c00000 │   700 MiB │     disk           │ raw         │
│ 0x68000000 │ 0x83c00000 │   444 MiB │     (PAST THE END) │             │
│ 0x68000000 │ 0x80000000 │   384 MiB │   (free)           │             │
└────────────┴────────────┴───────────┴────────────────────┴─────────────┘
the first processor starts in hypervisor at 0x40000000
- `disk` at 0x58000000..0x83c00000 (700 MiB, the file `in/disk`, placed there) is too big for `guest`, which has \
         only 512 MiB: 188 MiB are missing
  help: reserve more memory for `guest`
- `stray` at 0x30000000..0x30100000 (1 MiB, the file `in/stray`, placed there) does not start in RAM, which is \
         0x40000000..0x80000000
- `initramfs` at 0x54000000..0x58600000 (70 MiB, the file `in/initramfs`, placed there) and `disk` at \
         0x58000000..0x83c00000 (700 MiB, the file `in/disk`, placed there) overlap by 6 MiB
  help: `initramfs` has grown past the start of `disk`: place that at 0x58600000 or later, or `after` `initramfs`";
    assert_eq!(problems.unwrap_err().to_string(), expected);
}

#[test]
fn problems_name_the_lines_that_declare_their_regions() {
    let (mut initrd, extent) = region("initrd raw:70M at=0x54000000");
    let (mut disk, disk_extent) = region("disk raw:1M at=0x58000000");
    initrd.declared = Some("bootwright.toml:12".to_owned());
    disk.declared = Some("parts/disk.toml:3".to_owned());
    let regions = [Measured { region: &initrd, extent }, Measured { region: &disk, extent: disk_extent }];
    let text = resolve(&Board::new(Arch::Arm64, 1024), &regions).unwrap_err().to_string();
    let end = " overlap by 1 MiB
  bootwright.toml:12: `initrd`
  parts/disk.toml:3: `disk`
  help: `initrd` has grown past the start of `disk`: place that at 0x58600000 or later, or `after` `initrd`";
    assert!(text.ends_with(end), "{text}");
}

#[test]
fn drawings_are_never_wider_than_100_columns() {
    let long = "a-name-that-is-thirty-two-long-x";
    let mut lines = format!("{long}0 reserved:1G at=0xfffffffff0000000\n{long} reserved:256M\n");
    for (depth, parent) in [long, "b1", "b2", "b3", "b4", "b5", "b6", "b7"].iter().enumerate() {
        lines += &format!("b{} reserved:3M inside={parent}\n", depth + 1);
    }
    let problems = resolved(Arch::Arm64, 1024, lines.trim_end()).unwrap_err();
    let widest = problems.drawing.lines().map(|line| line.chars().count()).max();
    assert!(widest <= Some(100), "{widest:?}\n{}", problems.drawing);
}

#[test]
fn the_json_has_every_number_as_text() {
    let map = resolved(Arch::Arm64, 64, "a reserved:1M\nb elf:64K@0x40080000+0x40 inside=a entry").unwrap();
    let json: serde_json::Value = serde_json::from_str(&map.to_json()).unwrap();
    assert_eq!(
        json.to_string(),
        r#"{"entry":{"address":"0x40080040","region":"b"},"memory":[{"end":"0x44000000","start":"0x40000000"}],"regions":[{"content":{"reserved":"0x00100000"},"end":"0x40100000","name":"a","regions":[{"content":{"elf":"in/b"},"end":"0x40090000","name":"b","regions":[],"size":"0x00010000","start":"0x40080000"}],"size":"0x00100000","start":"0x40000000"}]}"#
    );
    assert_eq!(map.find("b").unwrap().range.start, 0x4008_0000);
}

#[test]
fn two_guests_lie_behind_each_other() {
    check(
        "hypervisor raw:72K at=0x40000000
guest0 reserved:512M at=0x48000000
guest1 reserved:256M after=guest0
linux0 linux-image:30M+0 at=0x48000000 inside=guest0
linux1 linux-image:30M+0x80000 inside=guest1
initrd1 raw:5000 after=linux1 inside=guest1 align=4K",
        "hypervisor 0x40000000..0x40012000
guest0 0x48000000..0x68000000
linux0 0x48000000..0x49e00000
guest1 0x68000000..0x78000000
linux1 0x68080000..0x69e80000
initrd1 0x69e80000..0x69e81388",
    );
}

#[test]
fn gaps_are_filled_last_and_from_below() {
    check(
        "c raw:1M\nd raw:3M\na raw:1M at=0x40100000\nb raw:1M after=a",
        "c 0x40000000..0x40100000\na 0x40100000..0x40200000\nb 0x40200000..0x40300000\nd 0x40300000..0x40600000",
    );
    check(
        "a raw:1 within=0x40000001..0x40002000 align=4K\nb raw:1 within=0x40000800..0x40001000",
        "b 0x40000800..0x40000801\na 0x40001000..0x40001001",
    );
    check("a elf:64K@0x40080000\nb raw:1M", "a 0x40080000..0x40090000\nb 0x40090000..0x40190000");
    check("a elf:64K@0x40080000 at=0x40080000", "a 0x40080000..0x40090000");
}
