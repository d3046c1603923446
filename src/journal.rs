//! What was changed on the system and how to put it back, as one versioned, checksummed record.
//!
//! A change is written down before it is made (`next`), and again when it was read back (`ours`). A crash between the
//! two leaves a value that is either: both count as ours, any other value is somebody else's and is left alone.

use crate::lease::Backend;
use crate::units::Entries;
use serde::{Deserialize, Serialize};

/// A record of another version is not understood, and says so.
pub const VERSION: u8 = 3;
/// Bytes that a record takes at most.
pub const MOST_BYTES: usize = 128;

/// As `postcard::to_slice_crc32` has it; by way of that, all that a record is made of is there twice, 2 KB on MIPS.
const CRC: crc::Crc<u32> = crc::Crc::<u32>::new(&crc::CRC_32_ISCSI);

/// What can be changed and put back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Setting {
    /// `nf_conntrack_max`, or its legacy name.
    Max,
    /// `nf_conntrack_buckets`.
    Buckets,
    /// `nf_conntrack_tcp_be_liberal`: on while flows bypass the table.
    Liberal,
}

impl Setting {
    /// All settings, in the order in which they are put back.
    pub const ALL: [Setting; 3] = [Setting::Max, Setting::Buckets, Setting::Liberal];

    /// The sysctl's name.
    pub const fn name(self) -> &'static str {
        match self {
            Setting::Max => "nf_conntrack_max",
            Setting::Buckets => "nf_conntrack_buckets",
            Setting::Liberal => "nf_conntrack_tcp_be_liberal",
        }
    }
}

/// One setting that is not as it was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// As it was before us.
    pub before: Entries,
    /// As it was read back after our last write; equal to `before` while none was completed.
    pub ours: Entries,
    /// A write that was begun and not yet read back.
    pub next: Option<Entries>,
}

/// Whose value it is that stands there now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The one we wrote.
    Us,
    /// The one from before us: a module reload, or our write never happened.
    Before,
    /// None of these: somebody changed it since.
    Another,
}

impl Change {
    /// Whose value is `found`?
    pub fn owner(&self, found: Entries) -> Owner {
        if found == self.ours && self.ours != self.before || Some(found) == self.next {
            Owner::Us
        } else if found == self.before {
            Owner::Before
        } else {
            Owner::Another
        }
    }
}

/// The whole journal: at most one change a setting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Journal {
    version: u8,
    /// The kernel's boot id: after a reboot nothing of ours is left, and the record is void.
    pub boot: [u8; 16],
    /// What the table was sized to: where `max` goes back to after growth; `None` if it was not sized.
    pub sized: Option<Entries>,
    /// Where our packet rules are, or may be.
    pub backend: Backend,
    /// Rules that need connection tracking have been taken out, or are about to be: what they were is in files beside this
    /// one.
    pub stateless: bool,
    /// The same of the modules.
    pub unloaded: bool,
    max: Option<Change>,
    buckets: Option<Change>,
    liberal: Option<Change>,
}

/// Why a record was not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Void {
    /// Not a record of ours, or damaged.
    Damaged,
    /// Of another version.
    Version(u8),
    /// Of an earlier boot.
    Rebooted,
}

impl Journal {
    /// Nothing changed yet.
    pub const fn new(boot: [u8; 16]) -> Self {
        Self {
            version: VERSION,
            boot,
            sized: None,
            backend: Backend::None,
            stateless: false,
            unloaded: false,
            max: None,
            buckets: None,
            liberal: None,
        }
    }

    /// Reads a record. `Err` says why it does not count.
    pub fn decode(bytes: &[u8], boot: [u8; 16]) -> Result<Self, Void> {
        let (bytes, sum) = bytes.split_last_chunk().ok_or(Void::Damaged)?;
        if CRC.checksum(bytes) != u32::from_le_bytes(*sum) {
            return Err(Void::Damaged);
        }
        let record: Journal = postcard::from_bytes(bytes).map_err(|_| Void::Damaged)?;
        if record.version != VERSION {
            return Err(Void::Version(record.version));
        }
        if record.boot != boot { Err(Void::Rebooted) } else { Ok(record) }
    }

    /// The record as bytes, in the part of `room` that it takes. `None` cannot happen with [`MOST_BYTES`] of room.
    pub fn encode<'a>(&self, room: &'a mut [u8; MOST_BYTES]) -> Option<&'a [u8]> {
        let used = postcard::to_slice(self, room).ok()?.len();
        let sum = CRC.checksum(room.get(..used)?).to_le_bytes();
        room.get_mut(used..)?.first_chunk_mut().map(|behind| *behind = sum)?;
        room.get(..used + sum.len())
    }

    /// The change on record for a setting.
    pub fn change(&self, setting: Setting) -> Option<&Change> {
        match setting {
            Setting::Max => self.max.as_ref(),
            Setting::Buckets => self.buckets.as_ref(),
            Setting::Liberal => self.liberal.as_ref(),
        }
    }

    fn slot(&mut self, setting: Setting) -> &mut Option<Change> {
        match setting {
            Setting::Max => &mut self.max,
            Setting::Buckets => &mut self.buckets,
            Setting::Liberal => &mut self.liberal,
        }
    }

    /// To be written down before a setting that now is `found` is set to `next`.
    pub fn intend(&mut self, setting: Setting, found: Entries, next: Entries) {
        let slot = self.slot(setting);
        match slot {
            // An operator's value in between becomes what we go back to.
            Some(c) if c.owner(found) == Owner::Another => {
                *slot = Some(Change { before: found, ours: found, next: Some(next) })
            }
            Some(c) => c.next = Some(next),
            None => *slot = Some(Change { before: found, ours: found, next: Some(next) }),
        }
    }

    /// To be written down when the value was read back. Back to what it was before us: the change is forgotten.
    pub fn applied(&mut self, setting: Setting, read_back: Entries) {
        let slot = self.slot(setting);
        if let Some(c) = slot {
            c.ours = read_back;
            c.next = None;
            if c.before == read_back {
                *slot = None;
            }
        }
    }

    /// It is somebody else's now.
    pub fn forget(&mut self, setting: Setting) {
        *self.slot(setting) = None;
        if setting == Setting::Max {
            self.sized = None;
        }
    }

    /// Nothing is changed.
    pub fn is_empty(&self) -> bool {
        Setting::ALL.iter().all(|s| self.change(*s).is_none())
            && self.backend == Backend::None
            && !self.stateless
            && !self.unloaded
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOOT: [u8; 16] = [7; 16];

    #[test]
    fn a_record_is_as_postcard_checks_it() {
        let mut journal = Journal::new(BOOT);
        journal.intend(Setting::Max, Entries(1), Entries(70_000));
        let (mut room, mut theirs) = ([0; MOST_BYTES], [0; MOST_BYTES]);
        let record = journal.encode(&mut room).unwrap();
        assert_eq!(record, postcard::to_slice_crc32(&journal, &mut theirs, CRC.digest()).unwrap());
        assert_eq!(Ok(journal.clone()), postcard::from_bytes_crc32(record, CRC.digest()));
        assert_eq!(Journal::decode(record, BOOT), Ok(journal));
    }

    #[test]
    fn a_record_comes_back_as_it_went_and_any_damage_is_seen() {
        let mut j = Journal::new(BOOT);
        j.intend(Setting::Max, Entries(16384), Entries(65536));
        j.sized = Some(Entries(65536));
        let mut room = [0; MOST_BYTES];
        let bytes = j.encode(&mut room).unwrap();
        assert_eq!(Journal::decode(bytes, BOOT), Ok(j.clone()));
        assert_eq!(Journal::decode(bytes, [8; 16]), Err(Void::Rebooted));
        let length = bytes.len();
        for at in 0..length {
            let mut damaged = room;
            damaged[at] ^= 0x10;
            assert!(Journal::decode(&damaged[..length], BOOT).is_err(), "byte {at}");
            assert!(Journal::decode(&room[..at], BOOT).is_err(), "cut at {at}");
        }
    }

    /// The fullest record there is fits its room with a third to spare.
    #[test]
    fn a_record_of_all_that_can_be_changed_fits() {
        let mut j = Journal::new([0xff; 16]);
        for setting in Setting::ALL {
            j.intend(setting, Entries(u32::MAX), Entries(u32::MAX - 1));
        }
        (j.sized, j.backend, j.stateless, j.unloaded) = (Some(Entries(u32::MAX)), Backend::Script, true, true);
        let mut room = [0; MOST_BYTES];
        let bytes = j.encode(&mut room).unwrap();
        assert!(bytes.len() <= MOST_BYTES * 2 / 3, "{}", bytes.len());
        assert_eq!(Journal::decode(bytes, [0xff; 16]), Ok(j));
    }

    #[test]
    fn rules_and_modules_taken_out_are_on_record() {
        for (stateless, unloaded) in [(true, false), (false, true)] {
            let j = Journal { stateless, unloaded, ..Journal::new(BOOT) };
            assert!(!j.is_empty());
        }
    }

    #[test]
    fn a_crash_between_intention_and_effect_leaves_either_value_ours_or_before() {
        let mut j = Journal::new(BOOT);
        j.intend(Setting::Max, Entries(100), Entries(200));
        let c = *j.change(Setting::Max).unwrap();
        assert_eq!(
            (c.owner(Entries(100)), c.owner(Entries(200)), c.owner(Entries(300))),
            (Owner::Before, Owner::Us, Owner::Another)
        );
        j.applied(Setting::Max, Entries(200));
        j.intend(Setting::Max, Entries(200), Entries(250));
        let c = *j.change(Setting::Max).unwrap();
        assert_eq!((c.before, c.owner(Entries(200)), c.owner(Entries(250))), (Entries(100), Owner::Us, Owner::Us));
    }

    /// A module reload is to be mended, an operator's value to be left, now and when we undo.
    #[test]
    fn what_was_found_is_ours_the_one_before_or_anothers() {
        let mut j = Journal::new(BOOT);
        j.intend(Setting::Max, Entries(7_680), Entries(23_000));
        j.applied(Setting::Max, Entries(23_000));
        let c = *j.change(Setting::Max).unwrap();
        assert_eq!(c.owner(Entries(23_000)), Owner::Us);
        assert_eq!(c.owner(Entries(7_680)), Owner::Before);
        assert_eq!(c.owner(Entries(65_536)), Owner::Another);
        assert_eq!(c.owner(Entries(0)), Owner::Another);
        // Found as we would have it: nothing was changed, nothing is to be mended or undone.
        j.intend(Setting::Buckets, Entries(512), Entries(512));
        j.applied(Setting::Buckets, Entries(512));
        assert_eq!(j.change(Setting::Buckets), None);
    }

    #[test]
    fn a_record_of_another_version_is_not_understood() {
        let newer = Journal { version: VERSION + 1, ..Journal::new(BOOT) };
        assert_eq!(Journal::decode(newer.encode(&mut [0; MOST_BYTES]).unwrap(), BOOT), Err(Void::Version(VERSION + 1)));
    }

    /// All that a record can hold, each number as long as it gets.
    #[test]
    fn the_largest_record_fits() {
        let mut j = Journal::new([u8::MAX; 16]);
        let most = Entries(u32::MAX);
        for setting in Setting::ALL {
            *j.slot(setting) = Some(Change { before: most, ours: most, next: Some(most) });
        }
        j.sized = Some(most);
        assert!(j.encode(&mut [0; MOST_BYTES]).is_some());
        Setting::ALL.into_iter().for_each(|setting| j.forget(setting));
        assert!(j.is_empty());
    }

    #[test]
    fn going_back_forgets_and_an_operators_value_becomes_the_one_to_go_back_to() {
        let mut j = Journal::new(BOOT);
        j.intend(Setting::Max, Entries(100), Entries(200));
        j.applied(Setting::Max, Entries(200));
        j.intend(Setting::Max, Entries(150), Entries(300));
        assert_eq!(j.change(Setting::Max).unwrap().before, Entries(150));
        j.applied(Setting::Max, Entries(150));
        assert!(j.is_empty());
    }
}
