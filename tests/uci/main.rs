//! Our reader of UCI text beside the real one (libuci, built from its source by `libuci-sys`): same sections, options and
//! values, and both accept or neither. The few places where ours is stricter are counted in [`STRICTER`].
#![cfg(all(target_arch = "x86_64", target_os = "linux", target_env = "gnu"))]

mod model;
mod reading;
mod real;
mod settings;
mod texts;
