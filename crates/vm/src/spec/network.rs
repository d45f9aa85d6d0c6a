//! A network of the guest and QEMU.

use serde::{Deserialize, Serialize};

/// A network card, and behind it nobody but QEMU, which gives the guest an address. Nothing leaves this network.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Network {
    /// What firmware starts from there, before it looks at the disks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot: Option<NetworkBoot>,
}

/// What a server has for machines that start from the network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkBoot {
    /// The directory whose files it serves, over TFTP.
    pub directory: String,
    /// The file of these that is started.
    pub file: String,
}
