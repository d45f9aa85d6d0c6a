//! Arguments that load regions and start the first processor: QEMU's device `loader`
//! (docs/system/generic-loader.rst of QEMU).

use super::{BARE_KERNEL, escape};
use crate::map::{Board, Map};
use crate::number::hex;
use crate::spec::{AddressRange, Arch, Content, Machine, Place, Region};

/// What QEMU's device tree takes: `FDT_MAX_SIZE` of system/device_tree.c, as it is not packed on arm64.
const DEVICE_TREE_LEN: u64 = 1 << 20;

/// The arguments that load regions.
#[derive(Debug, Default)]
pub(super) struct Loading {
    /// Pairs of an option and its value.
    pub(super) arguments: Vec<[String; 2]>,
}

impl Loading {
    /// Returns the arguments that load the regions of `map`, in the order of their addresses.
    pub(super) fn new(machine: &Machine, map: &Map, bare_kernel: &str) -> Loading {
        let loads = map.all().into_iter().map(|placed| (&placed.content, hex(placed.range.start)));
        let entry = map.entry.as_ref().map(|start| hex(start.address));
        let bare_kernel = needs_bare_kernel(machine, map).then_some(bare_kernel);
        Loading::from_parts(machine, loads, entry, bare_kernel)
    }

    /// Returns the arguments as far as the machine alone says them: words stand for addresses that depend on
    /// files.
    pub(super) fn without_map(machine: &Machine) -> Loading {
        let mut regions: Vec<&Region> = machine.regions.iter().collect();
        // Those with an address first, which `Option` would put last.
        regions.sort_by_key(|region| address(region).map_or((true, 0), |address| (false, address)));
        let entry = regions.iter().find_map(|region| {
            let offset = region.entry?.offset;
            Some(match (&region.content, address(region)) {
                (Content::Raw(_) | Content::LinuxImage(_), Some(address)) => {
                    hex(address.saturating_add(offset))
                }
                _ => format!("<entry of {}>", region.name),
            })
        });
        let is_at_start = |region: &&Region| {
            region.content.file().is_some()
                && address(region).is_some_and(|start| device_tree(machine).has(start))
        };
        let bare_kernel = (starts_bare(machine) && machine.regions.iter().any(|region| is_at_start(&region)))
            .then_some(BARE_KERNEL);
        let loads = regions.iter().map(|region| (&region.content, start(region)));
        Loading::from_parts(machine, loads, entry, bare_kernel)
    }

    fn from_parts<'a>(
        machine: &Machine,
        loads: impl Iterator<Item = (&'a Content, String)>,
        entry: Option<String>,
        bare_kernel: Option<&str>,
    ) -> Loading {
        let mut arguments: Vec<[String; 2]> = Vec::new();
        let mut push = |option: &str, value: String| arguments.push([option.to_owned(), value]);
        if let Some(bare_kernel) = bare_kernel {
            push("-kernel", bare_kernel.to_owned());
        }
        // OpenSBI would lie at the start of RAM, and nobody would start it.
        if entry.is_some() && machine.arch == Arch::Riscv64 && machine.kernel.is_none() {
            push("-bios", "none".to_owned());
        }
        for (content, address) in loads {
            match content {
                Content::Raw(file) | Content::LinuxImage(file) => {
                    push(
                        "-device",
                        format!("loader,file={},addr={},force-raw=on", escape(file), escape(&address)),
                    );
                }
                Content::Elf(file) => push("-device", format!("loader,file={}", escape(file))),
                Content::Reserved(_) | Content::Device(_) => {}
            }
        }
        if let Some(address) = entry {
            push("-device", format!("loader,addr={},cpu-num=0", escape(&address)));
        }
        Loading { arguments }
    }
}

/// Returns the address of a region that says it.
fn address(region: &Region) -> Option<u64> {
    match &region.place {
        Place::At(address) => Some(*address),
        Place::After(_) | Place::Free => None,
    }
}

/// Returns the address of a region, or words for it.
fn start(region: &Region) -> String {
    match &region.place {
        Place::At(address) => hex(*address),
        Place::After(anchor) => format!("<after {anchor}>"),
        Place::Free => "<first gap>".to_owned(),
    }
}

/// Returns whether QEMU must be given a [`bare_kernel`].
///
/// QEMU's `virt` for arm64, when it has no kernel, puts its device tree at the start of RAM ("Hardware
/// configuration information for bare-metal programming" in docs/system/arm/virt.rst of QEMU), and refuses to
/// load anything else there. With a kernel that is an ELF file and reaches to the start of RAM it does not
/// (`arm_setup_direct_kernel_boot` in hw/arm/boot.c).
pub fn needs_bare_kernel(machine: &Machine, map: &Map) -> bool {
    let tree = device_tree(machine);
    let is_in_the_way = map
        .all()
        .iter()
        .any(|region| region.content.file().is_some() && region.range.intersection(&tree).is_some());
    starts_bare(machine) && is_in_the_way
}

fn starts_bare(machine: &Machine) -> bool {
    machine.arch == Arch::Arm64 && machine.kernel.is_none()
}

/// Returns where QEMU puts its device tree on a machine without a kernel.
fn device_tree(machine: &Machine) -> AddressRange {
    let memory = Board::new(machine.arch, machine.memory_mib).memory;
    AddressRange::new(memory.first().map_or(0, |memory| memory.start), DEVICE_TREE_LEN)
}

/// Returns an ELF file that loads nothing, ends where the RAM of `machine` starts, and starts the first
/// processor where `map` says.
///
/// Its one segment is four bytes without contents in the device window below RAM, where QEMU drops them.
pub fn bare_kernel(machine: &Machine, map: &Map) -> Vec<u8> {
    let segment = device_tree(machine).start.saturating_sub(4);
    let entry = map.entry.as_ref().map_or(segment, |start| start.address);
    let mut file = b"\x7fELF\x02\x01\x01".to_vec();
    file.resize(16, 0);
    // The rest of the ELF header: e_type (ET_EXEC), e_machine, e_version, e_entry, e_phoff, e_shoff, e_flags,
    // and six lengths and numbers.
    file.extend(2u16.to_le_bytes());
    file.extend(crate::image::elf::machine_of(machine.arch).to_le_bytes());
    file.extend(1u32.to_le_bytes());
    file.extend([entry, 64, 0].map(u64::to_le_bytes).as_flattened());
    file.extend(0u32.to_le_bytes());
    file.extend([64u16, 56, 1, 0, 0, 0].map(u16::to_le_bytes).as_flattened());
    // The program header: p_type (PT_LOAD), p_flags (readable and executable), p_offset, p_vaddr, p_paddr,
    // p_filesz, p_memsz, p_align.
    file.extend([1u32, 5].map(u32::to_le_bytes).as_flattened());
    file.extend([120, segment, segment, 0, 4, 4].map(u64::to_le_bytes).as_flattened());
    file
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::map::{Extent, Measured, resolve};
    use crate::qemu::{Console, Engine, arguments, arguments_with_map};
    use crate::spec::Entry;

    fn region(name: &str, content: Content, place: Place) -> Region {
        Region::new(name, content, place)
    }

    /// A hypervisor at the start of RAM, or behind QEMU's device tree, with a guest.
    fn machine(arch: Arch, hypervisor: u64) -> Machine {
        let file = |name: &str| format!("in/{name}");
        let mut regions = vec![
            region("initrd", Content::Raw(file("a,b")), Place::After("linux".into())),
            region("linux", Content::LinuxImage(file("Image")), Place::At(hypervisor + 0x800_0000)),
            region("heap", Content::Reserved(1 << 20), Place::At(hypervisor + 0x400_0000)),
            region("firmware", Content::Elf(file("fw.elf")), Place::Free),
            region("hypervisor", Content::Raw(file("hv")), Place::At(hypervisor)),
        ];
        regions[4].entry = Some(Entry { offset: 0x40 });
        Machine { arch, regions, ..Machine::default() }
    }

    fn map(machine: &Machine) -> Map {
        let hypervisor = machine.regions[4].place.clone();
        let Place::At(start) = hypervisor else { panic!("it has an address") };
        let linked = Extent { address: Some(start + 0x600_0000), ..Extent::bytes(0x1000) };
        let extents = [
            Extent::bytes(0x2000),
            Extent::bytes(0x1_0000),
            Extent::declared(&machine.regions[2].content),
            linked,
            Extent::bytes(0x1000),
        ];
        let regions = machine.regions.iter().zip(extents);
        let regions: Vec<_> = regions.map(|(region, extent)| Measured { region, extent }).collect();
        resolve(&Board::new(machine.arch, machine.memory_mib), &regions).unwrap()
    }

    const CONSOLE: Console = Console::Terminal { qmp_socket: None };

    /// Compares what stands behind the devices that all machines have.
    #[track_caller]
    fn check(arguments: &[String], expected: &str) {
        let shown = arguments.join(" ");
        let (_, shown) = shown.split_once(" -device virtio-rng-pci").unwrap();
        assert_eq!(shown.replace(" -device loader,", "\n"), expected);
    }

    #[track_caller]
    fn check_map(machine: &Machine, expected: &str) {
        let map = map(machine);
        check(&arguments_with_map(machine, &map, "/tmp/bare.elf", Engine::Tcg, &CONSOLE), expected);
    }

    #[test]
    fn regions_are_loaded_in_the_order_of_addresses() {
        check_map(
            &machine(Arch::Arm64, 0x4020_0000),
            "
file=in/hv,addr=0x40200000,force-raw=on
file=in/fw.elf
file=in/Image,addr=0x48200000,force-raw=on
file=in/a,,b,addr=0x48210000,force-raw=on
addr=0x40200040,cpu-num=0",
        );
    }

    #[test]
    fn at_the_start_of_ram_the_device_tree_makes_room() {
        let machine = machine(Arch::Arm64, 0x4000_0000);
        check_map(
            &machine,
            " -kernel /tmp/bare.elf
file=in/hv,addr=0x40000000,force-raw=on
file=in/fw.elf
file=in/Image,addr=0x48000000,force-raw=on
file=in/a,,b,addr=0x48010000,force-raw=on
addr=0x40000040,cpu-num=0",
        );
        // It is read as every other ELF file is.
        let bare = bare_kernel(&machine, &map(&machine));
        let table = crate::image::elf::table(Arch::Arm64, &bare[..64], 120).unwrap();
        let extent = crate::image::elf::parse(&table, &bare[64..], 120).unwrap();
        assert_eq!((extent.address, extent.size, extent.entry), (Some(0x3fff_fffc), 4, None));
        // A kernel of the machine's own is as good.
        let with_kernel = Machine { kernel: Some("in/k".into()), ..machine.clone() };
        assert!(needs_bare_kernel(&machine, &map(&machine)));
        assert!(!needs_bare_kernel(&with_kernel, &map(&machine)));
    }

    #[test]
    fn riscv_starts_without_its_firmware() {
        check_map(
            &machine(Arch::Riscv64, 0x8000_0000),
            " -bios none
file=in/hv,addr=0x80000000,force-raw=on
file=in/fw.elf
file=in/Image,addr=0x88000000,force-raw=on
file=in/a,,b,addr=0x88010000,force-raw=on
addr=0x80000040,cpu-num=0",
        );
    }

    #[test]
    fn without_files_words_stand_for_addresses() {
        check(
            &arguments(&machine(Arch::Arm64, 0x4000_0000), Engine::Tcg, &CONSOLE),
            " -kernel bare.elf
file=in/hv,addr=0x40000000,force-raw=on
file=in/Image,addr=0x48000000,force-raw=on
file=in/a,,b,addr=<after linux>,force-raw=on
file=in/fw.elf
addr=0x40000040,cpu-num=0",
        );
        let mut machine = machine(Arch::Arm64, 0x4020_0000);
        machine.regions[4].place = Place::Free;
        check(
            &arguments(&machine, Engine::Tcg, &CONSOLE),
            "
file=in/Image,addr=0x48200000,force-raw=on
file=in/a,,b,addr=<after linux>,force-raw=on
file=in/fw.elf
file=in/hv,addr=<first gap>,force-raw=on
addr=<entry of hypervisor>,cpu-num=0",
        );
    }

    #[test]
    fn a_guest_without_firmware_waits_until_it_is_watched() {
        let held = |machine: &Machine| {
            let console = Console::Program { qmp_socket: "/tmp/q".into() };
            arguments_with_map(machine, &map(machine), "", Engine::Tcg, &console).contains(&"-S".to_owned())
        };
        let machine = machine(Arch::Arm64, 0x4000_0000);
        assert!(held(&machine));
        assert!(!arguments(&machine, Engine::Tcg, &CONSOLE).contains(&"-S".to_owned()));
    }
}
