//! How much memory there is, and what an entry of the table takes of it.

use super::text::{decimal, decimal32, fields, lines};
use crate::units::Kib;

/// Memory of the machine.
#[derive(Default, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// What the kernel manages: RAM less what firmware and kernel image took.
    pub total: Kib,
    /// What can be had without swapping.
    pub available: Kib,
    /// The kernel did not say what is available (before 3.14); it is free memory, buffers and page cache without tmpfs.
    /// Somewhat too much, since some page cache is always in use.
    pub estimated: bool,
}

/// Why `/proc/meminfo` says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryFault {
    /// No `MemTotal`, or no number in it.
    NoTotal,
    /// Neither `MemAvailable` nor `MemFree`.
    NoAvailable,
}

impl Memory {
    /// Reads `/proc/meminfo`. Sizes past 4 TiB count as 4 TiB.
    pub fn parse(meminfo: &[u8]) -> Result<Memory, MemoryFault> {
        const NAMES: [&[u8]; 6] = [b"MemTotal:", b"MemAvailable:", b"MemFree:", b"Buffers:", b"Cached:", b"Shmem:"];
        let mut found = [None; NAMES.len()];
        for line in lines(meminfo) {
            let mut fields = fields(line);
            let Some(name) = fields.next() else { continue };
            let Some(kib) = fields.next().and_then(decimal) else { continue };
            let kib = u32::try_from(kib).unwrap_or(u32::MAX);
            if let Some((_, place)) = NAMES.iter().zip(&mut found).find(|(known, _)| **known == name) {
                *place = Some(kib);
            }
        }
        let [total, available, free, buffers, cached, shmem] = found;
        let total = Kib(total.ok_or(MemoryFault::NoTotal)?);
        if let Some(available) = available {
            return Ok(Memory { total, available: Kib(available), estimated: false });
        }
        let free = free.ok_or(MemoryFault::NoAvailable)?;
        // tmpfs (on OpenWrt all of /tmp) is in Cached and cannot be dropped.
        let cache = buffers.unwrap_or(0).saturating_add(cached.unwrap_or(0).saturating_sub(shmem.unwrap_or(0)));
        Ok(Memory { total, available: Kib(free.saturating_add(cache)), estimated: true })
    }
}

/// What one entry takes of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryCost {
    /// Bytes: the slab object and its extensions. An offloaded flow takes 320…512 more.
    pub bytes: u32,
    /// The slab's part was read from this kernel, not assumed.
    pub measured: bool,
}

/// NAT, accounting, labels… of an entry: one allocation, never below 128 (`NF_CT_EXT_PREALLOC`), which is what a masqueraded flow takes.
pub const EXTENSION_BYTES: u32 = 128;
/// `struct nf_conn` in its slab: 256 on x86_64 Linux 6.18, and on 32-bit MIPS Linux 6.1 as well, where cache lines round it up.
/// So one constant serves both widths of pointer.
pub const SLAB_BYTES: u32 = 256;

impl EntryCost {
    /// Where `/proc/slabinfo` is not there (OpenWrt kernels from 6.8 on) or not readable.
    pub const ASSUMED: EntryCost = EntryCost { bytes: SLAB_BYTES + EXTENSION_BYTES, measured: false };

    /// Reads `/proc/slabinfo`; [`EntryCost::ASSUMED`] where the cache is not in it.
    pub fn parse(slabinfo: &[u8]) -> EntryCost {
        let mut reader = SlabText::new();
        for line in lines(slabinfo) {
            reader.line(line);
        }
        reader.finish()
    }
}

/// Reads `/proc/slabinfo` line by line: it is far longer than any buffer one would want for it.
#[derive(Clone, Debug, Default)]
pub struct SlabText {
    object_bytes: Option<u32>,
}

impl SlabText {
    /// Before the first line.
    pub const fn new() -> Self {
        Self { object_bytes: None }
    }

    /// The next line.
    pub fn line(&mut self, line: &[u8]) {
        // name, active objects, objects, bytes an object, …: so since slabinfo 1.0.
        let mut fields = fields(line);
        if !fields.next().is_some_and(is_table) {
            return;
        }
        if let Some(bytes) = fields.nth(2).and_then(decimal32).filter(|b| *b > 0) {
            // A cache for each namespace (before 4.7): they differ by nothing, but take the dearest.
            self.object_bytes = Some(self.object_bytes.unwrap_or(0).max(bytes));
        }
    }

    /// All lines are in.
    pub fn finish(self) -> EntryCost {
        match self.object_bytes {
            Some(bytes) => EntryCost { bytes: bytes.saturating_add(EXTENSION_BYTES), measured: true },
            None => EntryCost::ASSUMED,
        }
    }
}

/// `nf_conntrack`, or one for each namespace on old kernels: `nf_conntrack_1`, `nf_conntrack_ffff88003c5f0000`. Not `nf_conntrack_expect`.
fn is_table(name: &[u8]) -> bool {
    if let Some(namespace) = name.strip_prefix(b"nf_conntrack_") {
        return !namespace.is_empty() && namespace.iter().all(u8::is_ascii_hexdigit);
    }
    matches!(name, b"nf_conntrack" | b"ip_conntrack")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_router_of_256_mb() {
        let text = b"MemTotal:         248220 kB\nMemFree:          156412 kB\nMemAvailable:     148600 kB\nBuffers:               0 kB\nCached:            23456 kB\nSwapCached:            0 kB\n";
        let memory = Memory { total: Kib(248220), available: Kib(148600), estimated: false };
        assert_eq!(Memory::parse(text), Ok(memory));
    }

    /// Linux 3.10: no MemAvailable. /tmp (Shmem) does not count as available.
    #[test]
    fn an_old_kernel_has_it_estimated() {
        let text = b"MemTotal: 61000 kB\nMemFree: 20000 kB\nBuffers: 1000 kB\nCached: 9000 kB\nSwapCached: 0 kB\nShmem: 4000 kB\n";
        let memory = Memory { total: Kib(61000), available: Kib(26000), estimated: true };
        assert_eq!(Memory::parse(text), Ok(memory));
    }

    #[test]
    fn nothing_there_is_a_fault() {
        assert_eq!(Memory::parse(b""), Err(MemoryFault::NoTotal));
        assert_eq!(Memory::parse(b"MemTotal: many kB\nMemFree: 1 kB\n"), Err(MemoryFault::NoTotal));
        assert_eq!(Memory::parse(b"MemTotal: 1 kB\nCached: 1 kB\n"), Err(MemoryFault::NoAvailable));
    }

    #[test]
    fn the_cache_of_the_table_and_no_other() {
        let row = |name: &str| std::format!("{name} 96 160 320 12 1 : tunables 0 0 0 : slabdata 10 10 0\n");
        extern crate std;
        for name in ["nf_conntrack", "nf_conntrack_1", "nf_conntrack_ffff88003c5f0000", "ip_conntrack"] {
            assert_eq!(EntryCost::parse(row(name).as_bytes()), EntryCost { bytes: 448, measured: true }, "{name}");
        }
        for name in ["nf_conntrack_expect", "nf_conntrack_", "xnf_conntrack", "ip_conntrack_expect", ""] {
            assert_eq!(EntryCost::parse(row(name).as_bytes()), EntryCost::ASSUMED, "{name}");
        }
        assert_eq!(
            EntryCost::parse(b"nf_conntrack 96 160\nnf_conntrack 96 160 x\nnf_conntrack 1 1 0\n"),
            EntryCost::ASSUMED
        );
    }
}
