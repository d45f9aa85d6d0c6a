//! The parts of an Arm machine that a device tree can be put together from.

use crate::Spanned;
use crate::reader::{table, words};
use crate::region::Address;

table! {
    /// What a machine is called.
    pub struct Root {
        /// Its name for people.
        model: String,
        /// Its names for drivers, the most exact one first.
        compatible: Vec<Spanned<String>>,
    }
}

table! {
    /// A range of addresses.
    pub struct Window {
        /// Where it begins.
        at: Spanned<Address>,
        /// How many bytes it has.
        size: Spanned<Address>,
    }
}

table! {
    /// Processors of one kind.
    pub struct Cpus {
        /// How many.
        count: Spanned<u32>,
        /// What they are, the most exact name first. The default is `arm,armv8`.
        compatible: Vec<Spanned<String>>,
    }
}

words! {
    /// How a guest calls PSCI.
    pub enum PsciMethod("method") {
        /// The hypervisor answers.
        Hvc = "hvc",
        /// The secure monitor answers.
        Smc = "smc",
    }
}

table! {
    /// A GICv3.
    pub struct GicV3 {
        /// Its distributor.
        distributor: Spanned<Window>,
        /// Its redistributors, of 128 KiB for each processor.
        redistributors: Spanned<Window>,
    }
}

table! {
    /// A GICv2.
    pub struct GicV2 {
        /// Its distributor.
        distributor: Spanned<Window>,
        /// Where processors talk to it.
        cpu_interface: Spanned<Window>,
    }
}

table! {
    /// A serial port.
    pub struct Pl011 {
        /// Where its registers begin.
        at: Spanned<Address>,
        /// How many bytes they take.
        size: Spanned<Address> = "4K",
        /// Its interrupt, as shared ones are counted.
        spi: Spanned<u32>,
        /// Its clock, in hertz.
        clock: u32 = 24_000_000,
    }
}

table! {
    /// Virtio devices in memory, one behind the other.
    pub struct VirtioMmio {
        /// Where the registers of the first one begin.
        at: Spanned<Address>,
        /// How many bytes those of each one take.
        size: Spanned<Address> = "0x200",
        /// The interrupt of the first one, as shared ones are counted; the others have those that follow.
        spi: Spanned<u32>,
        /// How many there are.
        count: Spanned<u32> = 1,
    }
}

table! {
    /// What `/chosen` tells the system.
    pub struct Chosen {
        /// The command line of the kernel.
        bootargs: Option<String>,
        /// The console: the path of its node, or an alias, and perhaps `:` and options.
        stdout_path: Option<String>,
    }
}
