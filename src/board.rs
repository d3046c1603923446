//! Boards and RAM classes: what sizing cannot read from the system. The files are in `board/`; the README there is their format.

use crate::text::{pieces, without_end};
use crate::units::{Entries, Kib};

/// Who takes memory that sizing cannot see coming.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// The running system without radios: kernel, daemons, files on tmpfs.
    System,
    /// What the kernel keeps free for itself; conntrack entries are never given it.
    Watermarks,
    /// Buffers of radio drivers.
    Radios,
    /// Buffers of packet offload engines.
    Offload,
    /// Host memory that a radio's firmware asks for.
    Firmware,
}

impl What {
    /// The word in the board files and for people.
    pub const fn name(self) -> &'static str {
        match self {
            What::System => "system",
            What::Watermarks => "watermarks",
            What::Radios => "radios",
            What::Offload => "offload",
            What::Firmware => "firmware",
        }
    }
}

/// One amount that is taken, with its source.
#[derive(Debug)]
pub struct Take {
    /// By whom.
    pub what: What,
    /// How much.
    pub kib: Kib,
    /// Where the number comes from, in short; begins with `assumed:` where nobody measured it. All of it is in the file.
    pub source: &'static str,
}

/// Routers with about so much RAM.
#[derive(Debug)]
pub struct RamClass {
    /// `ram-N`, N in MiB.
    pub name: &'static str,
    /// The largest `MemTotal` it holds for; the largest class holds for all above, too.
    pub up_to: Kib,
    /// What the system itself takes, in sum. Nothing asks for its parts: they stay in the file, with their sources.
    pub takes: Kib,
    /// Never size above this.
    pub ceiling: Option<Entries>,
}

/// Boards with the same SoC family and radio drivers.
#[derive(Debug)]
pub struct Class {
    /// Its file's name.
    pub name: &'static str,
    /// The boards known to be of it, with a space between. (A record a board would be as large as its name.)
    boards: &'static str,
    /// What a name in the device tree's `compatible` begins with. Empty: this is not asked.
    soc: &'static str,
    /// Its radio drivers, with a space between; one with a `?` need not be there. Empty: radios do not tell it.
    radios: &'static str,
    /// What radios and offload engines take on top of the system.
    pub takes: &'static [Take],
    /// Never size above this.
    pub ceiling: Option<Entries>,
}

impl Class {
    /// All that is taken, in sum.
    pub fn reserve(&self) -> Kib {
        Kib(self.takes.iter().fold(0, |sum, take| sum.saturating_add(take.kib.0)))
    }
}

/// One board.
#[derive(Clone, Copy, Debug)]
pub struct Board {
    /// As in `/tmp/sysinfo/board_name`; empty for a board that is not listed and was known by its radios.
    pub name: &'static str,
    /// What it is.
    pub class: &'static Class,
}

// static RAM, CLASSES: written by build.rs from board/.
include!(concat!(env!("OUT_DIR"), "/board.rs"));

/// Every RAM class, smallest first; never empty.
pub static RAM_CLASSES: &[RamClass] = &RAM;

/// Every board that is listed.
pub fn all() -> impl Iterator<Item = Board> {
    CLASSES.iter().flat_map(|class| words(class.boards).map(move |name| Board { name, class }))
}

/// The board of this name; white space around it (the file ends in a line break) does not count. `None` for a board
/// not listed: [`by_radios`] may know it, else its RAM class serves.
pub fn by_name(board_name: &str) -> Option<Board> {
    let name = board_name.trim_ascii();
    all().find(|board| board.name == name)
}

/// The class of a board that is not listed, by the drivers of its radios and the `compatible` of its device tree (names
/// that end with a zero; empty where there is none). `None` where they are of no class, or there are no radios.
pub fn by_radios(compatible: &[u8], drivers: &[&str]) -> Option<Board> {
    let fits = |class: &&Class| {
        let soc = compatible.split(|byte| *byte == 0).any(|name| name.starts_with(class.soc.as_bytes()));
        let known = |driver: &&str| words(class.radios).any(|radio| without_end(radio, b"?") == *driver);
        let needed = |radio: &str| radio.ends_with('?') || drivers.contains(&radio);
        soc && !class.radios.is_empty() && drivers.iter().all(known) && words(class.radios).all(needed)
    };
    CLASSES.iter().find(fits).map(|class| Board { name: "", class })
}

fn words(text: &'static str) -> impl Iterator<Item = &'static str> {
    pieces(text, b' ')
}

/// The RAM class of a router with this `MemTotal`.
pub fn by_ram(mem_total: Kib) -> &'static RamClass {
    let last = &RAM[RAM.len() - 1];
    RAM_CLASSES.iter().find(|c| mem_total <= c.up_to).unwrap_or(last)
}

/// What the system takes of this `MemTotal`: the reserve of its RAM class. Just above the border of two classes it is
/// less, so that a little more RAM never leaves less for the table. (Nothing real stands there: 64 MB of RAM are a
/// `MemTotal` of 57 to 61, the next size is 115 to 122.)
pub fn system_reserve(mem_total: Kib) -> Kib {
    let class = by_ram(mem_total);
    let full = class.takes;
    let below = RAM_CLASSES.iter().rev().find(|c| c.up_to < class.up_to);
    let left_below = below.map_or(0, |c| c.up_to.0.saturating_sub(c.takes.0));
    Kib(full.0.min(mem_total.0.saturating_sub(left_below)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_board_is_found_by_the_name_openwrt_gives_it() {
        let board = by_name("linksys,wrt3200acm\n").unwrap();
        assert_eq!(board.class.name, "mvebu-mwlwifi");
        assert_eq!(board.class.reserve(), Kib(143 * 1024));
        for name in ["", "linksys", "linksys,wrt3200acm,x", "\u{0}", "zzz"] {
            assert!(by_name(name).is_none(), "{name}");
        }
        for board in all() {
            assert!(by_name(board.name).is_some_and(|found| core::ptr::eq(found.class, board.class)), "{board:?}");
        }
    }

    #[test]
    fn every_number_has_a_source() {
        let takes: usize = CLASSES.iter().map(|class| class.takes.len()).sum();
        assert!(takes > 10);
        for take in CLASSES.iter().flat_map(|class| class.takes) {
            assert!(take.kib.0 > 0 && take.source.len() > 10 && take.source.len() < 70, "{take:?}");
        }
    }

    /// What the kernel shows of boards that are listed, and of some that are not.
    #[test]
    fn a_board_not_listed_is_known_by_its_radios() {
        let class =
            |compatible: &str, drivers: &[&str]| by_radios(compatible.as_bytes(), drivers).map(|b| b.class.name);
        for (compatible, drivers, expected) in [
            ("x,y\0qca,qca9563\0", &["ath9k", "ath10k_pci"][..], Some("ath79-ath10k")),
            ("x,y\0qca,qca9563\0", &["ath10k_pci", "ath10k_pci"], Some("ath79-ath10k")),
            ("x,y\0qca,qca9533\0", &["ath9k"], Some("ath79-ath9k")),
            ("x,y\0qcom,ipq8065\0qcom,ipq8064\0", &["ath10k_pci", "ath10k_pci"], Some("ipq806x-ath10k")),
            // The device trees of this SoC do not name it.
            ("x,y\0", &["ath10k_ahb", "ath10k_ahb"], Some("ipq40xx-ath10k")),
            ("x,y\0", &["ath10k_ahb", "ath10k_pci", "ath10k_ahb"], Some("ipq40xx-ath10k-pci")),
            ("x,y\0mediatek,mt7621-soc\0", &["mt7603e", "mt76x2e"], Some("mt7621-mt76")),
            ("x,y\0mediatek,mt7621-soc\0", &["mt7603e", "mt7915e"], Some("mt7621-mt7915")),
            ("x,y\0mediatek,mt7621-soc\0", &["mt7603e"], None),
            ("x,y\0mediatek,mt7981\0", &["mt798x-wmac", "mt798x-wmac"], Some("filogic-mt7915")),
            ("x,y\0mediatek,mt7621-soc\0", &[], None),
            // A card in a PC, a driver nobody knows, no device tree.
            ("", &["ath10k_pci"], None),
            ("x,y\0qca,qca9563\0", &["ath9k", "new"], None),
            ("", &["mwlwifi"], None),
        ] {
            assert_eq!(class(compatible, drivers), expected, "{compatible:?} {drivers:?}");
        }
    }

    /// 64 MB of RAM show as 57 to 61 MB; 128 MB as 115 to 122.
    #[test]
    fn a_ram_class_is_found_by_what_the_kernel_shows_of_it() {
        for (mem_total, name) in [
            (0, "ram-32"),
            (28_616, "ram-32"),
            (59_000, "ram-64"),
            (65_536, "ram-64"),
            (117_400, "ram-128"),
            (238_100, "ram-256"),
            (511_960, "ram-512"),
            (u32::MAX, "ram-2048"),
        ] {
            assert_eq!(by_ram(Kib(mem_total)).name, name, "{mem_total}");
        }
    }

    #[test]
    fn more_ram_never_leaves_less() {
        let mut before = 0;
        for mem_total in (0..3 << 20).step_by(64) {
            let left = mem_total - system_reserve(Kib(mem_total)).0;
            assert!(left >= before, "{mem_total}");
            before = left;
        }
        // In the middle of a class the reserve is the whole of what its file says.
        assert_eq!(system_reserve(Kib(120_000)), Kib(54 * 1024));
    }
}
