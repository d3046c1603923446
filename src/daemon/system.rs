//! The machine and the settings of its table: what is read for sizing, and what is written, by way of the journal.

use super::kernel::counters::Counters;
use super::root::{
    ARCH, BOARD_NAME, BUCKETS, COMPATIBLE, LIBERAL, MAX, MEMINFO, Names, PIECE, RADIO_DRIVER, Root, SLABINFO, link,
};
use super::statefile::StateFile;
use ctwarden::board::{self, Board, by_name};
use ctwarden::event::{Event, Obstacle};
use ctwarden::journal::{Journal, Owner, Setting};
use ctwarden::observe::counters::entries;
use ctwarden::observe::lines::LineSplitter;
use ctwarden::observe::memory::{EntryCost, Memory, SlabText};
use ctwarden::sizing::{Found, Machine};
use ctwarden::units::{Entries, Kib};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::unistd::read;

/// `MemTotal` and `MemAvailable`; zeros where they cannot be read.
pub fn memory(root: &Root) -> Memory {
    let mut room = [0; 2048];
    root.read(MEMINFO, &mut room).ok().and_then(|text| Memory::parse(text).ok()).unwrap_or_default()
}

/// What an entry costs here: measured where the slab is told (not in OpenWrt kernels from 6.8 on), else assumed.
pub fn entry_cost(root: &Root) -> EntryCost {
    let Ok(file) = root.open(SLABINFO, OFlag::O_RDONLY) else { return EntryCost::ASSUMED };
    let mut splitter = LineSplitter::<PIECE>::new();
    let mut slab = SlabText::new();
    while let Ok(n @ 1..) = read(&file, splitter.room()) {
        splitter.filled(n);
        while let Some(line) = splitter.next_line() {
            slab.line(line.bytes);
        }
    }
    slab.finish()
}

/// The machine to size for, with the board of that name or of the name that the system gives itself.
pub fn machine(root: &Root, board: Option<&str>) -> Machine {
    let memory = memory(root);
    let mut room = [0; 96];
    let named = root.read(BOARD_NAME, &mut room).ok().and_then(|b| core::str::from_utf8(b).ok());
    let board = match board {
        // Another machine is only thought of.
        Some(name) => by_name(name),
        None => named.and_then(by_name).or_else(|| by_radios(root)),
    };
    Machine {
        mem_total: memory.total,
        mem_available: memory.available,
        cost: entry_cost(root),
        pointer: kernel_pointer(root),
        board,
    }
}

/// Most radios that are looked at.
const RADIOS: u8 = 4;

/// The class of a board that is not listed, by its radios. A jail without /sys shows none, nor are radios found that have
/// another name than the kernel's own (few boards give one): the RAM class serves.
#[inline(never)]
fn by_radios(root: &Root) -> Option<Board> {
    let mut room = [0; 256];
    let compatible = root.read(COMPATIBLE, &mut room).unwrap_or_default();
    let mut links = [[0; 128]; RADIOS as usize];
    let mut drivers = heapless::Vec::<&str, { RADIOS as usize }>::new();
    for (n, room) in (b'0'..).zip(&mut links) {
        let number = [n];
        let number = core::str::from_utf8(&number).unwrap_or_default();
        let [before, behind] = RADIO_DRIVER;
        let Some(path) = link(&root.path(&[before, number, behind]), room) else { continue };
        let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        let _ = drivers.push(core::str::from_utf8(name).unwrap_or_default());
    }
    board::by_radios(compatible, &drivers)
}

/// Bytes of a kernel pointer: a 32-bit program may run on a 64-bit kernel. The file is there since Linux 6.1; before
/// that uname says it, which under a fake root would speak of the wrong machine.
fn kernel_pointer(root: &Root) -> u32 {
    let mut room = [0; 64];
    let wide = match root.read(ARCH, &mut room) {
        Ok(arch) => arch.windows(2).any(|w| w == b"64"),
        Err(_) if root.is_real() => {
            nix::sys::utsname::uname().is_ok_and(|u| u.machine().as_encoded_bytes().windows(2).any(|w| w == b"64"))
        }
        Err(_) => false,
    };
    if wide { 8 } else { 4 }
}

/// The limits in force.
pub fn found(root: &Root, counters: &mut Counters) -> Option<Found> {
    let table = counters.table_with_buckets(root)?;
    Some(Found { max: table.max, buckets: Some(table.buckets).filter(|b| b.0 > 0), count: table.count })
}

pub const fn names(setting: Setting) -> Names {
    match setting {
        Setting::Max => MAX,
        Setting::Buckets => BUCKETS,
        Setting::Liberal => LIBERAL,
    }
}

/// The value of a setting now.
pub fn value(root: &Root, setting: Setting) -> Option<Entries> {
    let mut room = [0; 32];
    entries(root.read(names(setting), &mut room).ok()?).ok()
}

/// Sets a value: intention into the journal, the write, the value as read back, that into the journal.
pub fn set(
    root: &Root,
    state: &StateFile,
    journal: &mut Journal,
    setting: Setting,
    to: Entries,
) -> Result<Entries, Obstacle> {
    let found = value(root, setting).ok_or(Obstacle::ReadOnlySysctl { errno: Errno::ENOENT as i32 })?;
    journal.intend(setting, found, to);
    let noted = state.save(journal);
    // Without a journal nothing is changed.
    let written = noted.map_or(Ok(()), |()| root.write_number(names(setting), to.0));
    crate::daemon::crash::step();
    let now = value(root, setting).unwrap_or(found);
    journal.applied(setting, now);
    noted.map_err(|e| Obstacle::NoJournal { errno: e as i32 })?;
    // The record of the intention does until the next one.
    let _ = state.save(journal);
    written.map_or_else(|e| Err(Obstacle::ReadOnlySysctl { errno: e as i32 }), |()| Ok(now))
}

/// Puts back everything that is still ours, and says what is not.
pub fn put_back_all(root: &Root, state: &StateFile, journal: &mut Journal, report: &mut dyn FnMut(Event)) {
    for setting in Setting::ALL {
        put_back(root, state, journal, setting, report);
    }
    journal.sized = None;
    let _ = state.save(journal);
}

/// Puts one setting back, if it is still ours. Needs no record first: a crash in the middle leaves our value or the one from
/// before us, and both are known as such.
pub fn put_back(
    root: &Root,
    state: &StateFile,
    journal: &mut Journal,
    setting: Setting,
    report: &mut dyn FnMut(Event),
) {
    let Some(change) = journal.change(setting).copied() else { return };
    let name = setting.name();
    let Some(found) = value(root, setting) else {
        // The module is gone and took the value with it.
        return journal.forget(setting);
    };
    match change.owner(found) {
        Owner::Us => match root.write_number(names(setting), change.before.0) {
            Ok(()) => report(Event::PutBack { name, to: value(root, setting).unwrap_or(change.before) }),
            // It stays on record for the next start.
            Err(e) => return report(Event::NotWritten { name, why: Obstacle::ReadOnlySysctl { errno: e as i32 } }),
        },
        Owner::Before => {}
        Owner::Another => report(Event::LeftAlone { name, ours: change.ours, found }),
    }
    journal.forget(setting);
    let _ = state.save(journal);
}

/// What is spared of memory for growth.
pub fn available(root: &Root) -> Kib {
    memory(root).available
}
