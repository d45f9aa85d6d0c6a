//! What is told of maps that are wrong.

use super::*;

#[test]
fn overlaps_name_both_regions() {
    check(
        "initrd raw:70M at=0x54000000\ndisk raw:1M at=0x58000000",
        "`initrd` at 0x54000000..0x58600000 (70 MiB, the file `in/initrd`, placed there) and `disk` at \
         0x58000000..0x58100000 (1 MiB, the file `in/disk`, placed there) overlap by 1 MiB; help: `initrd` \
         has \
         grown past the start of `disk`: place that at 0x58600000 or later, or `after` `initrd`",
    );
    check(
        "guest reserved:512M at=0x48000000\nlinux linux-image:30M+0 at=0x48000000",
        "`guest` at 0x48000000..0x68000000 (512 MiB, reserved memory, placed there) and `linux` at \
         0x48000000..0x49e00000 (30 MiB, the Linux image `in/linux`, placed there) overlap by 30 MiB; \
         help: if \
         `linux` is a part of `guest`, say that it is `inside` it",
    );
    check(
        "a raw:2M at=0x40000000\nb reserved:4K at=0x40800000\nc elf:1M@0x40100000\nd raw:8M after=a",
        "`a` at 0x40000000..0x40200000 (2 MiB, the file `in/a`, placed there) and `c` at \
         0x40100000..0x40200000 (1 MiB, the ELF file `in/c`, linked there) overlap by 1 MiB; help: `a` has \
         grown past the start of `c`: link that to lie at 0x40200000 or later
`d` at 0x40200000..0x40a00000 (8 MiB, the file `in/d`, after `a`) and `b` at 0x40800000..0x40801000 (4 \
         KiB, reserved memory, placed there) overlap by 4 KiB; help: `d` has grown past the start of `b`: \
         place that at 0x40a00000 or later, or `after` `d`",
    );
}

#[test]
fn memory_ends_somewhere() {
    check(
        "a raw:2M at=0x7ff00000",
        "`a` at 0x7ff00000..0x80100000 (2 MiB, the file `in/a`, placed there) reaches past the end of RAM \
         at 0x80000000: 1 MiB are missing; help: a machine with 1025 MiB has enough",
    );
    check(
        "a raw:2M at=0x20000000",
        "`a` at 0x20000000..0x20200000 (2 MiB, the file `in/a`, placed there) does not start in RAM, which \
         is 0x40000000..0x80000000",
    );
    check(
        "a raw:2M at=0xfffffffffff00001",
        "`a` at 0xfffffffffff00001..0xffffffffffffffff (2 MiB, the file `in/a`, placed there) does not \
         start in RAM, which is 0x40000000..0x80000000",
    );
    check(
        "a elf:64K@0x3fff0000\nb elf:128K@0x3fff0000",
        "`a` at 0x3fff0000..0x40000000 (64 KiB, the ELF \
         file `in/a`, linked there) does not start in RAM, which is 0x40000000..0x80000000
`b` at 0x3fff0000..0x40010000 (128 KiB, the ELF file `in/b`, linked there) does not start in RAM, which is \
         0x40000000..0x80000000; help: a linker may put the ELF headers in front of the first section: `ld \
         -n` does not
`b` at 0x3fff0000..0x40010000 (128 KiB, the ELF file `in/b`, linked there) and `a` at \
         0x3fff0000..0x40000000 (64 KiB, the ELF file `in/a`, linked there) overlap by 64 KiB; help: `b` \
         has grown past the start of `a`: link that to lie at 0x40010000 or later",
    );
    check(
        "a raw:2G",
        "there is no room for `a` (2 GiB, the file `in/a`) in RAM; help: the largest gap there is 1 GiB: 1 \
         GiB are missing",
    );
    check(
        "a reserved:1M\nb raw:2M after=a inside=a",
        "`b` at 0x40100000..0x40300000 (2 MiB, the file `in/b`, after `a`) is too big for `a`, which has \
         only 1 MiB: 1 MiB are missing; help: reserve more memory for `a`",
    );
    check(
        "a reserved:4M\nb raw:2M inside=a\nc raw:1M after=b inside=a\nd raw:2M inside=a",
        "there is no room for `d` (2 MiB, the file `in/d`) in `a`; help: the largest gap there is 1 MiB: 1 \
         MiB are missing",
    );
    check_on(
        Arch::X86_64,
        4096,
        "a raw:2M at=0x7ff00000\nb raw:1M at=0x100000000",
        "`a` at 0x7ff00000..0x80100000 (2 MiB, the file `in/a`, placed there) reaches past the end of RAM \
         at 0x80000000: 1 MiB are missing",
    );
    check_on(
        Arch::X86_64,
        512,
        "a raw:64K at=0x90000\nb raw:1M at=0xa0000",
        "`b` at 0x000a0000..0x001a0000 (1 MiB, the file `in/b`, placed there) does not start in RAM, which \
         is 0x00000000..0x000a0000 and 0x00100000..0x20000000",
    );
}

#[test]
fn a_region_stays_inside_its_parent() {
    check(
        "guest reserved:16M\nlinux linux-image:30M+0 inside=guest",
        "there is no room for `linux` (30 MiB, the Linux image `in/linux`) in `guest`; help: the largest \
         gap there is 16 MiB: 14 MiB are missing",
    );
    check(
        "guest reserved:16M\nlinux linux-image:30M+0 inside=guest at=0x40000000",
        "`linux` at 0x40000000..0x41e00000 (30 MiB, the Linux image `in/linux`, placed there) is too big \
         for `guest`, which has only 16 MiB: 14 MiB are missing; help: reserve more memory for `guest`",
    );
    check(
        "guest reserved:16M at=0x48000000\ninitrd raw:12M inside=guest at=0x48800000",
        "`initrd` at 0x48800000..0x49400000 (12 MiB, the file `in/initrd`, placed there) is not inside \
         `guest` at 0x48000000..0x49000000 (16 MiB, reserved memory, placed there): 4 MiB of it are outside",
    );
    check(
        "guest reserved:16M at=0x48000000\ninitrd raw:12M inside=guest at=0x50000000",
        "`initrd` at 0x50000000..0x50c00000 (12 MiB, the file `in/initrd`, placed there) is not inside \
         `guest` at 0x48000000..0x49000000 (16 MiB, reserved memory, placed there): 12 MiB of it are outside",
    );
}

#[test]
fn limits_are_kept() {
    check("a raw:5M max=4M", "`a` takes 5 MiB, 1 MiB more than its limit of 4 MiB (the file `in/a`)");
    check("a raw:4M max=4M", "a 0x40000000..0x40400000");
    check(
        "a raw:4M at=0x40000000 within=0x40000000..0x40200000",
        "`a` at 0x40000000..0x40400000 (4 MiB, the file `in/a`, placed there) leaves the addresses \
         0x40000000..0x40200000 that it is confined to",
    );
    check(
        "a raw:4M within=0x40000000..0x40200000",
        "there is no room for `a` (4 MiB, the file `in/a`) in RAM within 0x40000000..0x40200000; help: the \
         largest gap there is 2 MiB: 2 MiB are missing",
    );
    check(
        "a raw:1M within=0x40200000..0x40000000",
        "there is no room for `a` (1 MiB, the file `in/a`) in RAM within 0x40200000..0x40000000; help: the \
         largest gap there is 0 B: 1 MiB are missing",
    );
    check(
        "a raw:1M align=1G within=0x40001000..0x60000000",
        "there is no room for `a` (1 MiB, the file `in/a`) in RAM within 0x40001000..0x60000000; help: the \
         largest gap there is 511.9 MiB, but no address in it suits",
    );
    check(
        "a raw:1M at=0x40000000\nb raw:1M after=a within=0x40800000..0x40900000",
        "a 0x40000000..0x40100000\nb 0x40800000..0x40900000",
    );
}

#[test]
fn addresses_are_aligned() {
    check(
        "a raw:1M at=0x40000800 align=4K",
        "`a` at 0x40000800..0x40100800 (1 MiB, the file `in/a`, placed there) is not aligned: it shall be \
         a multiple of 0x1000; help: the next suitable address is 0x40001000",
    );
    check(
        "linux linux-image:30M+0 at=0x48100000",
        "`linux` at 0x48100000..0x49f00000 (30 MiB, the Linux image `in/linux`, placed there) is not \
         aligned: its header demands a multiple of 0x200000; help: the next suitable address is 0x48200000",
    );
    check(
        "linux linux-image:30M+0x80000 at=0x48000000",
        "`linux` at 0x48000000..0x49e00000 (30 MiB, the Linux image `in/linux`, placed there) is not \
         aligned: its header demands 0x80000 after a multiple of 0x200000; help: the next suitable address \
         is 0x48080000",
    );
    check("linux linux-image:30M+0x80000 at=0x48080000", "linux 0x48080000..0x49e80000");
    check(
        "linux linux-image:30M+0x80000 align=4M",
        "`linux` at 0x40080000..0x41e80000 (30 MiB, the Linux image `in/linux`, in the first gap) is not \
         aligned: it shall be a multiple of 0x400000",
    );
    check(
        "linux linux-image:30M+0 align=4M\na raw:1 align=3\nb raw:1 align=0",
        "`a` cannot be aligned to 0x3, which is not a power of two
`b` cannot be aligned to 0x0, which is not a power of two",
    );
    check(
        "a elf:4K@0x40000800 align=4K",
        "`a` at 0x40000800..0x40001800 (4 KiB, the ELF file `in/a`, linked there) is not aligned: it shall \
         be a multiple of 0x1000; help: the next suitable address is 0x40001000",
    );
}

#[test]
fn names_are_names_of_regions() {
    check(
        "a/b raw:1M\na raw:1M\na raw:1M",
        "`a/b` is not a name for a region; help: names have 1 to 32 letters, digits, `-`, `_` or `.`
there are two regions `a`",
    );
    check(
        "linux raw:1M after=hypervizor\nhypervisor raw:1M\ninitrd raw:1M inside=guest",
        "`linux` is placed after `hypervizor`, which is no region; help: did you mean `hypervisor`?
`initrd` is placed inside `guest`, which is no region; help: known regions: `hypervisor`, `linux`",
    );
    check(
        "a raw:1M inside=b\nb raw:2M\nc raw:1M inside=a",
        "`a` cannot lie inside `b`, which is raw and not reserved memory
`c` cannot lie inside `a`, which is raw and not reserved memory",
    );
    check(
        "a raw:1M after=a\nb reserved:1M inside=c\nc reserved:1M after=d\nd reserved:1M inside=b\ne raw:1M \
         after=d",
        "the places of `a` → `a` depend on each other; help: give one of them an address
the places of `b` → `c` → `d` → `b` depend on each other; help: give one of them an address",
    );
    let nested = |n: u32| {
        (0..n).fold("r reserved:8M".to_owned(), |lines, depth| {
            let parent = if depth == 0 { "r".to_owned() } else { format!("r{}", depth - 1) };
            format!("{lines}\nr{depth} reserved:1M inside={parent}")
        })
    };
    assert!(resolved(Arch::Arm64, 1024, &nested(8)).is_ok());
    check(
        &nested(10),
        "`r8` is nested deeper than 8 regions
`r9` is nested deeper than 8 regions",
    );
}

#[test]
fn nothing_takes_no_memory() {
    check(
        "a raw:0\nb reserved:0 at=0x40000000\nc device:0 at=0x09000000",
        "`a` takes no memory: the file `in/a` is empty
`b` takes no memory: reserved memory is empty
`c` takes no memory: a device window is empty",
    );
}

#[test]
fn devices_lie_where_the_board_has_them() {
    check(
        "gic device:16M at=0x08000000\nio device:64K at=0x0a000000",
        "gic 0x08000000..0x09000000\nio 0x0a000000..0x0a010000",
    );
    check(
        "uart device:4K at=0x09100000\nbad device:4K at=0x40000000",
        "`uart` at 0x09100000..0x09101000 \
         (4 KiB, a device window, placed there) is a device, but the board has none there; help: the \
         nearest is `smmu` at 0x09050000..0x09070000
`bad` at 0x40000000..0x40001000 (4 KiB, a device window, placed there) is a device, but there is RAM at \
         0x40000000..0x40001000",
    );
    check(
        "a device:4K at=0x50\nb device:4K at=0x1000",
        "`a` at 0x00000050..0x00001050 (4 KiB, a device window, placed there) and `b` at \
         0x00001000..0x00002000 (4 KiB, a device window, placed there) overlap by 80 B; help: `a` has \
         grown past the start of `b`: place that at 0x00001050 or later, or `after` `a`",
    );
    check_on(Arch::X86_64, 512, "hpet device:1K at=0xfed00000", "hpet 0xfed00000..0xfed00400");
    check_on(
        Arch::Riscv64,
        128,
        "uart device:256 at=0x10000000\nk raw:1M",
        "uart 0x10000000..0x10000100\nk 0x80000000..0x80100000",
    );
}

#[test]
fn a_linked_file_lies_where_it_is_linked() {
    check(
        "a elf:64K@0x40080000 at=0x40000000",
        "`a` cannot be placed at 0x40000000: the ELF file `in/a` is linked to lie at 0x40080000; help: \
         leave its place out, or link it to lie elsewhere",
    );
    check(
        "b raw:1M\na elf:64K@0x40080000 after=b",
        "`a` cannot be placed after `b`: the ELF file `in/a` \
         is linked to lie at 0x40080000; help: leave its place out, or link it to lie elsewhere
`b` at 0x40000000..0x40100000 (1 MiB, the file `in/b`, in the first gap) and `a` at 0x40080000..0x40090000 \
         (64 KiB, the ELF file `in/a`, linked there) overlap by 64 KiB; help: `b` has grown past the start \
         of `a`: link that to lie at 0x40100000 or later",
    );
}

#[test]
fn the_first_processor_starts_in_one_place() {
    let start =
        |lines: &str| resolved(Arch::Arm64, 64, lines).unwrap().entry.map(|start| number::hex(start.address));
    assert_eq!(start("a raw:1M at=0x40200000 entry=0x40").as_deref(), Some("0x40200040"));
    assert_eq!(start("a elf:1M@0x40200000+0x100 entry=4").as_deref(), Some("0x40200104"));
    assert_eq!(start("a raw:1M"), None);
    check(
        "a raw:1M entry\nb raw:1M entry\nc raw:1M entry",
        "the first processor cannot start in both `a` and `b`
the first processor cannot start in both `b` and `c`",
    );
    check("a reserved:1M entry", "the first processor cannot start in `a`: nothing is loaded there");
    check(
        "a elf:1M@0x40200000 entry",
        "the first processor cannot start in `a`: the entry point of the ELF file `in/a` is in none of its \
         segments; help: give the linker an entry point, as with `ENTRY(_start)`",
    );
    check(
        "a raw:1M entry=1M",
        "the first processor cannot start in `a`: the offset 0x100000 is past its end",
    );
    check(
        "a elf:1M@0x40200000+0x100 entry=0xffffffffffffffff",
        "the first processor cannot start in `a`: the offset 0xffffffffffffffff is past its end",
    );
}
