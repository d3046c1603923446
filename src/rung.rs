//! The steps of relief, gentlest first.

/// One step of relief. The order is that of gentleness; the configured order of rungs is the ladder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rung {
    /// Raise max while memory pays for it. Kills nothing.
    Grow,
    /// Evict by water level: what is over, what is idle, what the biggest holders hold too much.
    Trim,
    /// Cap the new entries of a hog by a lease.
    Shed,
    /// Empty the table; the firewall stays closed.
    Flush,
    /// Default-accept for a leased time.
    Open,
    /// Take out the rules that need connection tracking. Only by hand, and not while masquerade is in use.
    Stateless,
    /// Unload the connection tracking modules where nothing holds them. Only by hand.
    Unload,
}

/// How many rungs there are.
pub const RUNGS: usize = Rung::ALL.len();

impl Rung {
    /// All rungs, gentlest first.
    pub const ALL: [Rung; 7] =
        [Rung::Grow, Rung::Trim, Rung::Shed, Rung::Flush, Rung::Open, Rung::Stateless, Rung::Unload];

    /// The word in config, log and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Rung::Grow => "grow",
            Rung::Trim => "trim",
            Rung::Shed => "shed",
            Rung::Flush => "flush",
            Rung::Open => "open",
            Rung::Stateless => "stateless",
            Rung::Unload => "unload",
        }
    }

    /// From its word; `None` if there is no such rung.
    pub fn from_name(name: &str) -> Option<Rung> {
        Rung::ALL.into_iter().find(|r| r.name() == name)
    }
}
