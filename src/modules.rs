//! Which modules hold connection tracking, from `/proc/modules`: the order in which to unload them, or who keeps them.
//!
//! ```text
//!   nf_conntrack 172032 3 nft_ct,xt_conntrack, Live 0x0
//!                       │ └ modules that use it: each holds it once, and goes first
//!                       └ held so often: once more than there are such modules, and something else holds it (a rule, say)
//! ```

use crate::observe::text::{decimal32, fields, lines};
use heapless::Vec;

/// Modules that are unloaded at most: a router with all of them has 60. More is [`Kept::TooMany`].
pub const MODULES: usize = 96;
/// Those named that keep the others. More are not named.
pub const HOLDERS: usize = 8;
/// Longest chain of modules that use each other; the kernel has five.
const DEPTH: u8 = 16;

/// Since 2.6.20, and before.
const ROOTS: [&[u8]; 2] = [b"nf_conntrack", b"ip_conntrack"];

/// Why nothing is unloaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kept<'a> {
    /// Not a module here: built in, or not there at all.
    NoModule,
    /// These are held, so often, by something that is no module: by rules, mostly. 0: for ever.
    Held(Vec<(&'a [u8], u32), HOLDERS>),
    /// More than there is room for.
    TooMany,
}

/// The modules to unload, one after the other: users first.
#[allow(clippy::result_large_err)] // no heap here, and either is as large
pub fn plan(text: &[u8]) -> Result<Vec<&[u8], MODULES>, Kept<'_>> {
    let mut order = Vec::new();
    let mut held = Vec::new();
    for root in ROOTS {
        visit(text, root, &mut order, &mut held, DEPTH).ok_or(Kept::TooMany)?;
    }
    match (order.is_empty(), held.is_empty()) {
        (_, false) => Err(Kept::Held(held)),
        (true, true) => Err(Kept::NoModule),
        _ => Ok(order),
    }
}

/// Is a module of that name loaded?
pub fn is_loaded(text: &[u8], name: &[u8]) -> bool {
    lines(text).any(|line| fields(line).next() == Some(name))
}

fn visit<'a>(
    text: &'a [u8],
    name: &[u8],
    order: &mut Vec<&'a [u8], MODULES>,
    held: &mut Vec<(&'a [u8], u32), HOLDERS>,
    depth: u8,
) -> Option<()> {
    let Some(line) = lines(text).find(|line| fields(line).next() == Some(name)) else { return Some(()) };
    let mut fields = fields(line);
    let name = fields.next()?;
    if order.contains(&name) || held.iter().any(|(n, _)| *n == name) {
        return Some(());
    }
    // Without unloading in the kernel both are `-`.
    let held_times = fields.nth(1).and_then(decimal32);
    let mut users = 0;
    let mut for_ever = held_times.is_none();
    for user in fields.next().unwrap_or_default().split(|b| *b == b',').filter(|u| !matches!(*u, b"" | b"-")) {
        if user == b"[permanent]" {
            for_ever = true;
            continue;
        }
        users += 1;
        visit(text, user, order, held, depth.checked_sub(1)?)?;
    }
    let more = held_times.unwrap_or(0).saturating_sub(users);
    if for_ever || more > 0 {
        // Full: enough are named.
        let _ = held.push((name, if for_ever { 0 } else { more }));
        return Some(());
    }
    order.push(name).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FREE: &[u8] = b"xt_conntrack 3072 0 - Live 0x7f8c6000\n\
        nf_nat 28672 2 xt_MASQUERADE,nft_chain_nat, Live 0x7f7a0000\n\
        xt_MASQUERADE 1184 0 - Live 0x7f900000 (O)\n\
        nft_chain_nat 2048 0 - Live 0x7f900000\n\
        nf_conntrack 86016 4 xt_conntrack,xt_MASQUERADE,nft_chain_nat,nf_nat, Live 0x7f880000\n\
        nf_defrag_ipv4 1472 1 nf_conntrack, Live 0x7f860000\n\
        ath9k 120000 0 - Live 0x7f860000\n";

    #[test]
    fn users_go_first_and_what_it_uses_stays() {
        let expected: [&[u8]; 5] = [b"xt_conntrack", b"xt_MASQUERADE", b"nft_chain_nat", b"nf_nat", b"nf_conntrack"];
        assert_eq!(plan(FREE).unwrap().as_slice(), expected);
    }

    #[test]
    fn who_holds_is_named_with_how_often() {
        let text = FREE.to_vec_with(b"xt_conntrack 3072 0", b"xt_conntrack 3072 7");
        let text = text.to_vec_with(b"nf_conntrack 86016 4", b"nf_conntrack 86016 5");
        let Err(Kept::Held(held)) = plan(&text) else { panic!("not held") };
        assert_eq!(held.as_slice(), [(&b"xt_conntrack"[..], 7), (b"nf_conntrack", 1)]);
    }

    #[test]
    fn built_in_permanent_or_noise() {
        assert_eq!(plan(b"ath9k 120000 0 - Live 0x0\n"), Err(Kept::NoModule));
        for text in [&b"nf_conntrack 1 - - Live 0x0"[..], b"nf_conntrack 1 0 [permanent], Live 0x0", b"nf_conntrack"] {
            assert_eq!(plan(text).unwrap_err(), Kept::Held(Vec::from_slice(&[(&b"nf_conntrack"[..], 0)]).unwrap()));
        }
        assert_eq!(plan(b"nf_conntrack 1 1 a, x\na 1 1 nf_conntrack, x\n"), Err(Kept::TooMany), "a circle");
        assert_eq!(plan(b"ip_conntrack 1 1 ip_nat, x\nip_nat 1 0 - x\n").unwrap().len(), 2);
    }

    trait With {
        fn to_vec_with(&self, from: &[u8], to: &[u8]) -> Vec<u8, 1024>;
    }
    impl With for [u8] {
        fn to_vec_with(&self, from: &[u8], to: &[u8]) -> Vec<u8, 1024> {
            let at = self.windows(from.len()).position(|w| w == from).unwrap();
            let parts = [&self[..at], to, &self[at + from.len()..]];
            parts.iter().flat_map(|p| p.iter().copied()).collect()
        }
    }
}
