//! The cases, by what they are about.

mod control;
mod dry;
mod exits;
mod flush;
pub mod grow;
mod leak;
mod limits;
mod log;
mod module;
mod reload;
mod stopped;
mod traffic;
mod trim;
mod trim_asked;

use crate::Outcome;
use crate::checks::Checks;
use crate::world::World;

/// Its number and what it does.
pub type Case = (u8, fn(&World, &mut Checks) -> Outcome<()>);

/// Write the limits: one after the other, in the initial namespace.
pub const OF_THE_HOST: [Case; 4] =
    [(1, limits::sizing), (2, limits::killed), (3, limits::drift), (15, stopped::stopped)];

/// Whatever the limits are meanwhile.
pub const APART: [Case; 4] = [(8, reload::reload), (9, control::control), (12, exits::exits), (16, module::module)];

/// Need limits that stay as they are.
pub const UNDER_SHARED_MAX: [Case; 10] = [
    (5, trim::trim),
    (5, trim_asked::asked),
    (6, flush::asked),
    (6, flush::fallbacks),
    (7, dry::dry_run),
    (10, log::log),
    (10, log::overrun),
    (11, flush::on_saturation),
    (13, leak::leak),
    (14, log::without_log),
];
