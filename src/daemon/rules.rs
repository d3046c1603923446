//! The rules that leases are given in, and the lifeline: in place at the start, again after a firewall reload, out at the end.

use super::emergency::lan;
use super::firewall::{Health, check};
use super::report::{tell, tell_kept_out};
use super::run::Daemon;
use ctwarden::config::{Config, LANS};
use ctwarden::event::{Event, Lifeline};
use ctwarden::lease::{Backend, LIFELINE_TERM, Lease, Scope, TRANSLATED};
use ctwarden::rung::Rung;
use nix::errno::Errno;

impl Daemon {
    /// Takes out what a former run left, chooses a back end and puts the rules in place. Under `dry_run` nothing is put in
    /// place; what a former run left goes all the same.
    pub(super) fn prepare(&mut self) {
        let Self { emergency: e, root, config, journal, state, .. } = self;
        (e.ready, e.waiting) = (false, false);
        e.lifeline = Lifeline::Off;
        if !root.is_real() {
            return;
        }
        // A former run's rules may be another back end's.
        let mut gone = true;
        if journal.backend != Backend::None {
            e.firewall.use_backend(journal.backend);
            if let Err(errno) = e.firewall.remove(root) {
                gone = false;
                tell(Event::BackendUnusable { backend: journal.backend, errno: errno as i32 });
            }
        }
        let backend = if config.dry_run { Backend::None } else { e.firewall.probe(root, config) };
        let wanted = wants_rules(config) && backend != Backend::None;
        // Rules of ours look at connections too: not beside what was taken out so that nothing does.
        e.waiting = wanted && state.rules_are_out();
        if !wanted || e.waiting {
            e.firewall.use_backend(Backend::None);
            // What could not be taken out stays on record for the next start.
            if gone {
                journal.backend = Backend::None;
                let _ = state.save(journal);
            }
            return;
        }
        // Written down first: what a crash leaves half done is taken out at the next start.
        journal.backend = backend;
        let installed = state.save(journal).and_then(|()| e.firewall.install(root, config));
        e.ready = installed.is_ok();
        match installed {
            Ok(()) => tell(Event::Backend { backend }),
            Err(errno) => tell(Event::BackendUnusable { backend, errno: errno as i32 }),
        }
        self.throw_lifeline();
    }

    /// Gives or renews the lifeline, where the owner's own rules would let its packets in.
    pub(super) fn throw_lifeline(&mut self) {
        let now = self.now();
        let Self { emergency: e, root, config, .. } = self;
        if !e.ready || !config.lifeline {
            return;
        }
        let before = e.lifeline;
        if !e.firewall.backend().has_leases() {
            e.lifeline = Lifeline::NoLeases;
        } else if before != Lifeline::On {
            let fits = check::lifeline(root, config);
            e.lifeline = fits.lifeline;
            if fits.kept_out > 0 {
                tell_kept_out(fits.kept_out, fits.because());
            }
            e.lifeline_leases = fits.leases;
        }
        if e.lifeline == Lifeline::On {
            e.lifeline_ends = now.after(LIFELINE_TERM);
            match e.firewall.grant(root, &e.lifeline_leases, LIFELINE_TERM) {
                Ok(()) => {}
                // None of its ports would be let in.
                Err(Errno::EOPNOTSUPP) => e.lifeline = Lifeline::NotAccepted,
                Err(errno) => e.lifeline = Lifeline::Failed { errno: errno as i32 },
            }
        }
        if e.lifeline != before {
            tell(Event::Lifeline(e.lifeline));
        }
    }

    /// Has the firewall been loaded anew? Then what ran is put back with the time that it had left.
    pub(super) fn recheck_firewall(&mut self) {
        if self.emergency.waiting && !self.state.rules_are_out() {
            self.prepare();
            return self.give_again();
        }
        let backend = self.emergency.firewall.backend();
        // Without leases a look may have to close what a killed guardian has left open, whatever is out.
        if backend == Backend::None || backend.has_leases() && self.state.rules_are_out() {
            return;
        }
        let Self { emergency: e, root, config, .. } = self;
        let was_ready = e.ready;
        let health = e.firewall.recheck(root, config);
        // Somebody translates IPv6 now: what goes untracked would keep its private addresses.
        if e.firewall.translates()
            && let Some(scope) = e.windows.opening().map(|o| o.scope).filter(|s| *s >= Scope::Lan)
        {
            let mut leases: heapless::Vec<Lease, LANS> =
                lan(config).into_iter().map(|interface| Lease::Lan { interface }).collect();
            leases.retain(|lease| e.firewall.left(root, lease).is_some());
            let _ = e.firewall.revoke(root, &leases);
            if scope == Scope::Lan {
                self.close(TRANSLATED);
            }
        }
        match health {
            Health::Sound if was_ready => return,
            Health::Missing => {
                self.emergency.ready = false;
                if was_ready {
                    let backend = self.emergency.firewall.backend();
                    tell(Event::BackendUnusable { backend, errno: Errno::ENOENT as i32 });
                }
                return;
            }
            Health::Sound | Health::Mended => self.emergency.ready = true,
        }
        // What was not possible may be.
        self.unusable.retain(|rung| *rung != Rung::Open);
        tell(Event::RulesBack { backend: self.emergency.firewall.backend() });
        // Its rules may have changed: asked anew.
        self.emergency.lifeline = Lifeline::Off;
        self.throw_lifeline();
        // What the lifeline does not hold any more is the opening's.
        self.give_again();
    }

    /// At the end: every lease back, every rule out.
    pub(super) fn put_rules_back(&mut self) {
        self.close("ctwarden stops");
        self.unshed();
        self.take_rules_out();
    }

    /// Every rule of ours out, and with them every lease.
    pub(super) fn take_rules_out(&mut self) {
        let Self { emergency: e, root, journal, state, .. } = self;
        if e.firewall.backend() != Backend::None {
            if let Err(errno) = e.firewall.remove(root) {
                // It stays on record for the next start.
                return tell(Event::BackendUnusable { backend: e.firewall.backend(), errno: errno as i32 });
            }
            journal.backend = Backend::None;
            let _ = state.save(journal);
        }
    }
}

/// Would the same rules be in place under both?
pub fn same_rules(a: &Config, b: &Config) -> bool {
    a.dry_run == b.dry_run
        && a.backend == b.backend
        && a.open_scope == b.open_scope
        && (a.lifeline, a.lifeline_dns, a.shed_count) == (b.lifeline, b.lifeline_dns, b.shed_count)
        && a.lan == b.lan
        && a.ports == b.ports
        && wants_rules(a) == wants_rules(b)
}

/// Does anything in this config need packet rules?
fn wants_rules(config: &Config) -> bool {
    use ctwarden::rung::Rung::{Open, Shed};
    // Who only watches makes no rules either.
    !config.ladder.is_empty() && (config.lifeline || config.ladder.contains(&Shed) || config.ladder.contains(&Open))
}
