//! What the loop asks of the command line's side: the config file, and texts that are for people.

use ctwarden::config::Config;
use ctwarden::out::Out;
use ctwarden::sizing::Plan;

/// What a reload of the config comes to.
#[allow(clippy::large_enum_variant)] // moved on the spot
pub enum Reload {
    Config(Config),
    /// It has faults.
    Stay,
    /// It switches the guard off.
    Leave,
}

/// What is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// The faults of the config file.
    Check,
    /// What would be done.
    Drill,
}

pub trait Front {
    /// The config anew. Faults go to standard error.
    fn reload(&self) -> Reload;
    /// Gives the text, and whether all is well.
    fn show(&self, what: Shown, to: &mut dyn FnMut(bool, &str));
    /// Tells a plan, every number explained.
    fn plan(&self, plan: &Plan, o: &mut dyn Out);
}
