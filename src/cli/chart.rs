//! Charts for people: how full the table is, how full it was as a line of blocks, and below it what happened.

use super::text::{Grouped, cell, print};
use ctwarden::history::{History, Slot};
use ctwarden::units::{Entries, Permille};

/// Columns of a chart.
const COLUMNS: usize = 75;

/// Three bytes each.
const BLOCKS: &str = "▁▂▃▄▅▆▇█";
const FULL: &str = "█";
/// A letter a rung, in their order, and behind them all what is refused.
const FLAGS: &str = "gtsfoSu!";
const LEGEND: &str = "! refused  g grow  t trim  s shed  f flush  o open";

/// A line of so many columns.
fn draw(column: &dyn Fn(usize) -> &'static str) {
    let mut line = heapless::String::<{ COLUMNS * FULL.len() }>::new();
    for n in 0..COLUMNS {
        let _ = line.push_str(column(n));
    }
    print(format_args!("{line}"));
}

/// The n-th letter, each of so many bytes.
fn letter(of: &'static str, bytes: usize, n: usize) -> &'static str {
    of.get(n * bytes..(n + 1) * bytes).unwrap_or(" ")
}

/// A slot that nobody read, or without a limit, is an empty one here.
fn occupancy(slot: &Slot) -> Permille {
    Entries(slot.count).share_of(Entries(slot.max.max(1)))
}

/// What stands in the slots of a column: the fullest, all that was refused and done.
fn column(slots: &[Slot], n: usize) -> Slot {
    // Where there are fewer slots than columns some are drawn twice.
    let (from, to) = (n * slots.len() / COLUMNS, (n + 1) * slots.len() / COLUMNS);
    sum(slots.get(from..to.max(from + 1)).unwrap_or_default())
}

fn sum(slots: &[Slot]) -> Slot {
    let mut all = Slot::default();
    for slot in slots {
        if occupancy(slot) >= occupancy(&all) {
            (all.count, all.max) = (slot.count, slot.max);
        }
        all.refused = all.refused.saturating_add(slot.refused);
        all.rungs |= slot.rungs;
    }
    all
}

/// The last five minutes, or the last day.
pub fn history(h: &History) {
    if h.slots.is_empty() {
        return print(format_args!(
            "{}: nothing yet, the first is full in {} s at most",
            h.span.name(),
            h.span.step_s()
        ));
    }
    let (all, now) = (sum(&h.slots), h.slots.last().copied().unwrap_or_default());
    let of = cell(format_args!("{}", Grouped(all.max)));
    print(format_args!(
        "{}: {} full; up to {}, {} of {of} entries; {} packets refused",
        h.span.name(),
        occupancy(&now),
        occupancy(&all),
        Grouped(all.count),
        Grouped(all.refused)
    ));
    let (full, marks) = (occupancy(&now), [h.low, h.high]);
    draw(&|n| {
        let [from, to] = [n, n + 1].map(|n| Permille((n * 1000 / COLUMNS) as u16));
        match marks.iter().any(|mark| from <= *mark && *mark < to) {
            true => "|",
            false if to <= full => FULL,
            false => "░",
        }
    });
    draw(&|n| {
        let slot = column(&h.slots, n);
        // The lowest block is for an empty table, none for an unknown one.
        let block = occupancy(&slot).0.min(999) as usize * 8 / 1000;
        if slot.max > 0 { letter(BLOCKS, FULL.len(), block) } else { " " }
    });
    if all.refused > 0 || all.rungs > 0 {
        draw(&|n| {
            let slot = column(&h.slots, n);
            let flags = if slot.refused > 0 { u8::MAX } else { slot.rungs };
            // Nothing is beyond the last.
            letter(FLAGS, 1, flags.checked_ilog2().map_or(FLAGS.len(), |n| n as usize))
        });
        print(format_args!("{LEGEND}"));
    }
}
