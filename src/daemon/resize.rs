//! The limits as machine and config have them, and whose they are: ours, the system's, an operator's.

use super::report::tell;
use super::run::Daemon;
use super::{sysctl, system};
use ctwarden::event::Event;
use ctwarden::journal::{Owner, Setting};
use ctwarden::rung::Rung;
use ctwarden::sizing;
use ctwarden::units::Entries;

/// Whose a limit is that stands there now.
#[derive(Clone, Copy, PartialEq)]
enum Whose {
    Ours {
        before: Entries,
    },
    System,
    /// An operator's: left alone.
    Theirs,
}

impl Daemon {
    /// Sizes the table: max and buckets as the machine and the config have it.
    pub(super) fn size(&mut self) {
        let Some(mut found) = system::found(&self.root, &mut self.counters) else { return };
        let count = found.count;
        let max = self.whose(Setting::Max, found.max);
        let buckets = found.buckets.map_or(Whose::System, |b| self.whose(Setting::Buckets, b));
        // What is ours is not the system's own value. Of buckets that must not be resized now it is a fact all the same.
        if let Whose::Ours { before } = max {
            found.max = before;
        }
        if let (Whose::Ours { before }, Some(now)) = (buckets, &mut found.buckets)
            && sizing::may_resize(count, *now)
        {
            *now = before;
        }
        let machine = system::machine(&self.root, None);
        let plan = sizing::plan_beside(sysctl::owners_max(&self.root), &machine, &self.config.sizing, Some(&found));
        for (setting, whose, to) in [(Setting::Buckets, buckets, plan.buckets), (Setting::Max, max, plan.max)] {
            let Some(from) = system::value(&self.root, setting).filter(|from| *from != to && to.0 > 0) else {
                continue;
            };
            // Room that was made in need is not taken from a table that still needs it: it goes back after calm.
            let needed = setting == Setting::Max && from > to && count > to.part(self.settings.marks.low);
            match whose {
                Whose::Theirs => {}
                Whose::Ours { .. } if needed => {}
                _ => self.set_to_size(setting, from, to),
            }
        }
        self.journal.sized = Some(plan.max).filter(|_| max != Whose::Theirs);
    }

    /// Whose value stands there. One that somebody set while we were gone is left alone.
    fn whose(&mut self, setting: Setting, found: Entries) -> Whose {
        let Some(change) = self.journal.change(setting).copied() else { return Whose::System };
        match change.owner(found) {
            Owner::Us => Whose::Ours { before: change.before },
            Owner::Another if self.resumed => {
                self.leave_alone(setting, change.ours, found);
                Whose::Theirs
            }
            // Of a module that came anew, or a config that is to hold from now on.
            Owner::Another | Owner::Before => Whose::System,
        }
    }

    fn leave_alone(&mut self, setting: Setting, ours: Entries, found: Entries) {
        tell(Event::LeftAlone { name: setting.name(), ours, found });
        self.journal.forget(setting);
        let _ = self.state.save(&self.journal);
    }

    fn set_to_size(&mut self, setting: Setting, from: Entries, to: Entries) {
        let name = setting.name();
        if self.config.dry_run {
            return tell(Event::WouldSize { name, from, to });
        }
        match system::set(&self.root, &self.state, &mut self.journal, setting, to) {
            Ok(to) if to != from => tell(Event::Sized { name, from, to }),
            Ok(_) => {}
            // One line is enough: max, which comes next, will meet the same.
            Err(_) if setting == Setting::Buckets => {}
            Err(why) if self.config.ladder.contains(&Rung::Grow) => self.skip(Rung::Grow, why),
            Err(why) => tell(Event::NotWritten { name, why }),
        }
    }

    /// Our value may have fallen back (module reload), or somebody may have set another. True: it was sized anew.
    pub(super) fn watch_drift(&mut self, found: Entries) -> bool {
        let Some(change) = self.journal.change(Setting::Max).copied() else { return false };
        match change.owner(found) {
            Owner::Us => return false,
            Owner::Before => {
                tell(Event::FellBack { name: Setting::Max.name(), found });
                self.size();
            }
            Owner::Another => self.leave_alone(Setting::Max, change.ours, found),
        }
        true
    }
}
