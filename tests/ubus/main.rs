//! ubus: the codec beside the real one, recorded conversations of a real ubusd, and the daemon's connection to a broker that
//! behaves as they do.

mod calls;
mod codec;
mod golden;
#[cfg(all(target_arch = "x86_64", target_os = "linux", target_env = "gnu"))]
mod real;
mod same;
mod tree;

#[cfg(feature = "daemon")]
mod broker;
#[cfg(feature = "daemon")]
mod counting;
/// What fills the kernel's table.
#[cfg(feature = "ubus")]
#[allow(dead_code)]
#[path = "../bench/ctnetlink.rs"]
mod ctnetlink;
#[cfg(feature = "ubus")]
mod kernel;
#[cfg(feature = "daemon")]
mod life;
#[cfg(feature = "daemon")]
mod load;
#[cfg(feature = "daemon")]
mod names;
#[cfg(feature = "daemon")]
mod recorded;
#[cfg(feature = "ubus")]
mod subject;
#[cfg(feature = "ubus")]
mod whole;
#[cfg(feature = "daemon")]
mod world;

/// What a helper of the bench gives.
#[cfg(feature = "ubus")]
type Outcome<T> = Result<T, String>;

/// The daemon's own, which is no library.
#[cfg(feature = "daemon")]
#[allow(dead_code, missing_docs)]
#[path = "../../src/daemon/ubus"]
mod ubus {
    pub mod connection;
    pub mod errands;
}
