//! Bytes from the kernel → values. Everything here is pure: the daemon reads the files, these modules say what stands in them.
//!
//! In the order in which a look at the system uses them: [`counters`] and [`kmsg`] every turn (cheap: is it full, was anything refused),
//! [`memory`] when room is to be made, [`timeouts`] and [`census`] when it matters who holds the table.
//! [`lines`] and [`proctext`] serve kernels that have no ctnetlink.

pub mod census;
pub mod counters;
pub mod keys;
pub mod kmsg;
pub mod lines;
pub mod logwindow;
pub mod memory;
pub mod own;
pub mod proctext;
pub mod sketch;
pub mod tally;
pub(crate) mod text;
pub mod timeouts;
