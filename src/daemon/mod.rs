//! The only code that touches the system.
//!
//! ```text
//! run.rs     the loop: what wakes it, and what is served; the only reader of the clock
//! turn.rs    look, decide, act
//! job.rs     a pass under way, in slices; answer.rs: what a request leads to
//! act.rs     an action becomes a write or a pass, and its outcome an observation
//! emergency.rs leases: given, renewed, taken back; rules.rs: what they are given in, and the lifeline;
//!            no_windows.rs: in a program without
//! work.rs    passes over the table, with all their buffers
//! resize.rs  the limits at start, after a reload, after drift
//! system.rs  the machine and its settings, by way of the journal (statefile.rs)
//! footing.rs memory that stays, a turn on the CPU, an end with the jail
//! past.rs    charts and counts; metrics.rs: told to those who monitor
//! control.rs the socket that the CLI speaks to
//! ubus/      the object on OpenWrt's bus; no_ubus.rs: in a program without
//! front.rs   what the loop asks of the command line's side
//! kernel/    netlink, log, counters
//! firewall/  leases become packet rules
//! hooks.rs   the owner's scripts, one at a time, never waited for; bare.rs: how they are started
//! sysctl.rs  the files that set the limits at boot
//! taken.rs   rules and modules taken out, and the way back; unload.rs: the modules; no_taken.rs: in a program without
//! clock.rs   the clock
//! root.rs    the only place where a system path is made
//! ```

pub mod act;
pub mod answer;
mod bare;
pub mod clock;
pub mod control;
pub mod crash;
#[cfg(feature = "nft")]
pub mod emergency;
#[cfg(not(feature = "nft"))]
#[path = "no_windows.rs"]
pub mod emergency;
#[cfg(not(feature = "nft"))]
use emergency as rules;
#[cfg(feature = "nft")]
pub mod firewall;
pub mod footing;
pub mod front;
pub mod hooks;
pub mod job;
pub mod kernel;
pub mod metrics;
pub mod past;
pub mod report;
pub mod resize;
pub mod root;
#[cfg(feature = "nft")]
pub mod rules;
pub mod run;
pub mod signals;
pub mod statefile;
pub mod sysctl;
pub mod system;
#[cfg(feature = "stateless")]
pub mod taken;
#[cfg(not(feature = "stateless"))]
#[path = "no_taken.rs"]
pub mod taken;
pub mod turn;
#[cfg(feature = "ubus")]
pub mod ubus;
#[cfg(not(feature = "ubus"))]
#[path = "no_ubus.rs"]
pub mod ubus;
#[cfg(feature = "stateless")]
pub mod unload;
pub mod work;
