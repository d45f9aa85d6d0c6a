//! The network of a machine.

use crate::Spanned;
use crate::reader::table;
use crate::scalar::TargetRef;

table! {
    /// A network card on virtio, and a network of which nothing leaves the machine: QEMU gives the guest an address, and
    /// serves what it starts from.
    pub struct Network {
        /// What firmware starts before it looks at the disks: a file of a target, all of whose files are served over
        /// TFTP. On amd64 QEMU's iPXE starts it, a script or a program; the environment needs `ipxe-qemu` for that.
        boot: Option<Spanned<TargetRef>>,
    }
}
