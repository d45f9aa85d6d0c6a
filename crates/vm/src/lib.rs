//! Turns a machine description into a running QEMU, and tells what its guest did.
//!
//! A boot is an action like any other: the tool `runvm` reads a [`spec::Boot`], starts the QEMU that it
//! finds beside it, talks to the guest over the serial console and leaves logs. Where QEMU comes from and
//! in what sandbox it runs is left to others.

pub mod accelerator;
pub mod agent;
pub mod boot;
mod complaints;
pub mod console;
pub mod device_tree;
pub mod host;
pub mod image;
pub mod layout;
pub mod map;
pub mod number;
pub mod process;
pub mod qemu;
pub mod qmp;
pub mod spec;
mod suggest;
pub mod terminal;
