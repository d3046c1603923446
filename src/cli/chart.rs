//! Charts for people: how full the table was, as a line of blocks, and below it what happened.

use super::text::{Grouped, cell, print};
use ctwarden::history::{History, Slot};
use ctwarden::rung::Rung;
use ctwarden::units::Entries;
use std::fmt::Write as _;

/// Columns of a chart where nobody says how many.
pub const COLUMNS: usize = 75;
/// A line of blocks is three bytes a column.
pub const COLUMNS_MOST: usize = 250;

const BLOCKS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// A letter a rung, in their order.
const LETTERS: &[u8; ctwarden::rung::RUNGS] = b"gtsfoSu";

/// A line of the chart.
pub type Line = heapless::String<{ COLUMNS_MOST * 3 }>;

/// Both lines: blocks, and flags (`!`: refused; else the letter of the strongest rung).
pub fn lines(h: &History, columns: usize) -> (Line, Line) {
    let (mut blocks, mut flags) = (Line::new(), Line::new());
    let (slots, columns) = (h.slots.len(), columns.min(COLUMNS_MOST));
    for column in 0..columns {
        // Where there are fewer slots than columns some are drawn twice.
        let (from, to) = (column * slots / columns, (column + 1) * slots / columns);
        let part = h.slots.get(from..to.max(from + 1)).unwrap_or_default();
        let (mut full, mut refused, mut rungs) = (None, false, 0);
        for slot in part {
            full = full.max(occupancy(slot));
            refused |= slot.refused > 0;
            rungs |= slot.rungs;
        }
        // The lowest block is for an empty table, none for an unknown one.
        let block = full.map_or(0, |p| 1 + (p.min(999) as usize * 8 / 1000));
        let _ = blocks.push(BLOCKS.get(block).copied().unwrap_or(' '));
        let strongest = (7 - rungs.leading_zeros() as usize % 8).min(LETTERS.len() - 1);
        let flag = match (refused, rungs) {
            (true, _) => b'!',
            (_, 0) => b' ',
            _ => LETTERS.get(strongest).copied().unwrap_or(b'?'),
        };
        let _ = flags.push(flag as char);
    }
    (blocks, flags)
}

/// In permille; `None`: it was not read, or there is no limit.
fn occupancy(slot: &Slot) -> Option<u16> {
    (slot.max > 0).then(|| Entries(slot.count).share_of(Entries(slot.max)).0)
}

/// What the letters mean, and the sums.
pub fn history(h: &History) {
    let (blocks, flags) = lines(h, COLUMNS);
    let (mut peak, mut refused, mut rungs) = (Slot::default(), 0_u32, 0);
    for slot in &h.slots {
        refused = refused.saturating_add(slot.refused);
        rungs |= slot.rungs;
        if occupancy(slot) >= occupancy(&peak) {
            peak = *slot;
        }
    }
    let full = Entries(peak.count).share_of(Entries(peak.max.max(1)));
    let of = cell(format_args!("{}", Grouped(peak.max)));
    print(format_args!(
        "{}: up to {} of {of} entries ({full}), {} packets refused",
        h.span.name(),
        Grouped(peak.count),
        Grouped(refused)
    ));
    print(format_args!("{blocks}"));
    if refused > 0 || rungs > 0 {
        print(format_args!("{flags}"));
        let mut legend = Line::new();
        let _ = legend.push_str(if refused > 0 { "! refused" } else { "" });
        for (rung, letter) in Rung::ALL.into_iter().zip(LETTERS) {
            if rungs & 1 << rung as u8 != 0 {
                let gap = if legend.is_empty() { "" } else { ", " };
                let _ = write!(legend.as_mut_view(), "{gap}{} {}", *letter as char, rung.name());
            }
        }
        print(format_args!("{legend}"));
    }
}
