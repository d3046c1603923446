//! Emergency windows close: whatever is asked for, whatever fails, and without keeping the router awake for it.

use ctwarden::lease::{Due, Lease, SHEDS, Scope, TERM, Windows};
use ctwarden::units::Millis;
use proptest::prelude::*;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};

fn host(n: u8) -> Lease {
    Lease::Source(IpAddr::V4(Ipv4Addr::new(10, 0, 0, n)))
}

#[derive(Clone, Copy, Debug)]
enum Deed {
    Open(Scope, u64, bool),
    Close,
    /// Nothing but time.
    Wait,
}

prop_compose! {
    fn deeds()(
        scope in prop::sample::select(&[Scope::Router, Scope::Lan, Scope::All][..]), asked: bool,
        total in prop_oneof![1_000..900_000u64, 0..60_000u64], which in 0..5u8,
    ) -> Deed {
        match which {
            0 | 1 => Deed::Open(scope, total, asked),
            2 => Deed::Close,
            _ => Deed::Wait,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// A loop that sleeps until [`Windows::next`] and does what is due then: the kernel never holds an opening beyond the
    /// time it was given, one that nobody wants ends with its term, and the loop sleeps.
    #[test]
    fn an_opening_ends_and_lets_the_loop_sleep(
        steps in prop::collection::vec((deeds(), 0..90_000u64, any::<bool>(), prop::bool::weighted(0.8)), 1..30),
    ) {
        let mut w = Windows::new();
        // When the kernel's lease ends, and until when the opening may last.
        let (mut kernel, mut allowed) = (0, 0);
        let mut now = 0;
        for (deed, span, wanted, works) in steps {
            match deed {
                Deed::Open(scope, total, asked) => {
                    let o = w.open(Millis(now), scope, Millis(total), asked);
                    allowed = now + total;
                    kernel = now + total.min(TERM.0);
                    prop_assert_eq!((o.until.0, o.ends.0), (allowed, kernel));
                }
                Deed::Close => {
                    w.close();
                    kernel = now;
                }
                Deed::Wait => {}
            }
            let (began, end) = (now, now + span);
            let mut woken = 0;
            while let Some(next) = w.next().filter(|next| next.0 <= end) {
                now = now.max(next.0);
                woken += 1;
                prop_assert!(woken <= 4 + (now - began) / 1_000, "woken {woken} times in {} ms", now - began);
                match w.due(Millis(now), wanted) {
                    Due::Nothing | Due::Tell => {}
                    Due::Renew(term) => {
                        let asked = w.opening().is_some_and(|o| o.asked);
                        prop_assert!((wanted || asked) && kernel > now, "it was open, and still is to be");
                        if works {
                            kernel = now + term.0;
                            w.renewed(Millis(now), term);
                        }
                    }
                    Due::End => {
                        prop_assert!(now >= kernel, "it has {} ms left", kernel - now);
                        w.close();
                    }
                }
                prop_assert!(kernel <= allowed.max(began), "open beyond its time");
            }
            now = end;
            match w.opening() {
                Some(o) => prop_assert!(now <= o.ends.0 && o.ends.0 == kernel),
                None => prop_assert!(kernel <= now, "closed here, and open in the kernel"),
            }
        }
    }

    /// Never more caps than there is room for, and no host capped for longer at a stretch than allowed and a term.
    #[test]
    fn caps_end(
        steps in prop::collection::vec((prop::collection::vec(0..90u8, 0..70), 0..70_000u64), 1..60),
        total in 0..300_000u64,
    ) {
        let mut w = Windows::new();
        // Since when and until when each host has been capped without a pause of a minute.
        let mut capped = HashMap::<u8, (u64, u64)>::new();
        let mut now = 0;
        for (hosts, span) in steps {
            now += span;
            let mut hosts = hosts;
            hosts.sort_unstable();
            hosts.dedup();
            let wanted: Vec<_> = hosts.iter().copied().map(host).collect();
            let (given, [spent, running]) = w.to_shed(Millis(now), &wanted, Millis(total));
            prop_assert!(given.len() + spent + running <= wanted.len());
            w.shed(Millis(now), &given, TERM);
            for (host, _) in hosts.iter().zip(&wanted).filter(|(_, lease)| given.contains(lease)) {
                let before = capped.get(host).filter(|(_, until)| now < until + 60_000);
                let since = before.map_or(now, |(since, _)| *since);
                prop_assert!(since == now || now - since < total, "capped for {} of {total}", now - since);
                capped.insert(*host, (since, now + TERM.0));
            }
            let mut in_force = w.shedding(Millis(now)).map(|(lease, left)| (lease, now + left.0)).collect::<Vec<_>>();
            prop_assert!(in_force.len() <= SHEDS);
            let mut truly: Vec<_> = capped.iter().filter(|(_, (_, until))| *until > now).map(|(n, (_, until))| (host(*n), *until)).collect();
            in_force.sort_by_key(|(lease, _)| lease.to_string());
            truly.sort_by_key(|(lease, _)| lease.to_string());
            prop_assert_eq!(in_force, truly);
        }
    }
}
