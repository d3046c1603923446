//! What of the lifeline the owner's own rules would let in: they are printed by their programs and judged line by line
//! (`ctwarden::firewall`). Done when rules are installed and after they have changed, not in the loop.

use super::program::{PATIENCE_MS, find, is_readable, start, wait};
use crate::daemon::kernel::addresses::index_of;
use crate::daemon::kernel::tables::{Found, nft_tables};
use crate::daemon::root::{IP6TABLES_NAMES, IPTABLES_NAMES, Names, PIECE, Root};
use ctwarden::config::{Config, LANS, PORTS};
use ctwarden::event::Lifeline;
use ctwarden::firewall::{Check, Findings, Place, QUOTE, Question, Quote, Reader, Text};
use ctwarden::lease::Lease;
use ctwarden::observe::lines::LineSplitter;
use ctwarden::observe::own::Own;
use heapless::{String, Vec};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::unistd::{pipe2, read};
use std::ffi::CStr;
use std::net::IpAddr;

/// The ports of the config, DHCP twice and DNS twice, on each LAN.
pub const LEASES: usize = LANS * (PORTS + 4);
/// Addresses of one interface that are told apart.
const ADDRESSES: usize = 16;

/// What the lifeline may be.
pub struct Fits {
    /// On, if one of the router's TCP ports may be reached; else why not.
    pub lifeline: Lifeline,
    /// What it may consist of.
    pub leases: Vec<Lease, LEASES>,
    /// So many ports of the config are kept out of it,
    pub kept_out: u8,
    /// the first of them by this line. Empty: the rules could not be read.
    pub because: String<QUOTE>,
}

/// Judges all ports on all interfaces that are the LAN.
pub fn lifeline(root: &Root, config: &Config, own: &Own) -> Fits {
    let mut fits = Fits { lifeline: Lifeline::NoLan, leases: Vec::new(), kept_out: 0, because: String::new() };
    for name in &config.lan {
        let Some(interface) = index_of(name) else { continue };
        // More are not told apart: what is not known may be anything.
        let mut addresses: Vec<IpAddr, ADDRESSES> = Vec::new();
        if own.is_complete() && own.on(interface).count() <= ADDRESSES {
            addresses.extend(own.on(interface));
        }
        let question = Question::lifeline(config, name, &addresses);
        let (findings, readable) = judge(root, &question);
        for flow in &question.flows {
            let lease = Lease::Router { interface, protocol: flow.protocol, port: flow.port };
            if fits.leases.contains(&lease) {
                continue;
            }
            if findings.accepts(&question, flow.protocol, flow.port) {
                let _ = fits.leases.push(lease);
            } else if !flow.ipv6 {
                fits.kept_out = fits.kept_out.saturating_add(1);
            }
        }
        if fits.kept_out > 0 && fits.because.is_empty() && readable {
            fits.because = quote(root, findings.place());
        }
        if fits.leases.iter().any(|l| matches!(l, Lease::Router { protocol: ctwarden::entry::protocol::TCP, .. })) {
            fits.lifeline = Lifeline::On;
        } else if fits.lifeline != Lifeline::On {
            fits.lifeline = match (readable, findings.refused) {
                (false, _) => Lifeline::Unknown,
                (true, 0) => Lifeline::Nat,
                (true, _) => Lifeline::NotAccepted,
            };
        }
    }
    fits
}

/// What is found against flows, and whether all rules could be read.
fn judge(root: &Root, question: &Question<'_>) -> (Findings, bool) {
    let mut check = Check::new(question);
    let readable = read_all(root, &mut check);
    (check.findings(readable), readable)
}

/// Should somebody change the rules meanwhile, it is another line: people see that it is none of these.
fn quote(root: &Root, place: Place) -> String<QUOTE> {
    let mut quote = Quote::new(place);
    read_all(root, &mut quote);
    quote.line
}

/// iptables has tables of its own in the kernel, or in nftables' place; the program that shows the ones does not show the
/// others, and `iptables-save` may be either.
const SAVES: [(Names, Text, [&CStr; 2]); 2] = [
    (IPTABLES_NAMES, Text::Iptables, [c"iptables-legacy-save", c"iptables-save"]),
    (IP6TABLES_NAMES, Text::Ip6tables, [c"ip6tables-legacy-save", c"ip6tables-save"]),
];

/// Has all rules read that this system has; `false`: not all could be.
fn read_all(root: &Root, reader: &mut dyn Reader) -> bool {
    // -t: sets can be long, and what is in them is not known to a rule anyway.
    let nft = print(root, &[c"nft", c"-t", c"list", c"ruleset"], Text::Nft, reader);
    let Found { iptables, foreign } = nft_tables(root);
    // Without nftables in the kernel, nft has nothing to list.
    let mut readable = nft.is_ok() || !foreign;
    for (names, text, programs) in SAVES {
        let mut room = [0; 64];
        let legacy = root.read(names, &mut room).is_ok_and(|names| !names.is_empty());
        if legacy || iptables && nft.is_err() {
            let first = programs.into_iter().find(|name| find(root, name).is_some());
            let lines = first.map_or(Err(Errno::ENOENT), |name| print(root, &[name], text, reader));
            // There are tables: who shows none is the wrong program.
            readable &= lines.is_ok_and(|n| n > 0 || !legacy);
        }
    }
    readable
}

/// Starts a program and has what it prints read: how many lines. ENOENT: there is none.
fn print(root: &Root, words: &[&CStr], text: Text, reader: &mut dyn Reader) -> Result<u32, Errno> {
    let program = words.first().and_then(|name| find(root, name)).ok_or(Errno::ENOENT)?;
    let (from, to) = pipe2(OFlag::O_CLOEXEC)?;
    let pid = start(root, &program, words, [None, Some(&to)], false)?;
    drop(to);
    reader.begin(text);
    let mut lines = LineSplitter::<PIECE>::new();
    let (mut count, mut ended) = (0u32, Err(Errno::ETIMEDOUT));
    while is_readable(&from, PATIENCE_MS) {
        match read(&from, lines.room()) {
            Ok(0) => {
                ended = Ok(count);
                break;
            }
            Ok(n) => lines.filled(n),
            Err(Errno::EINTR) => {}
            Err(e) => {
                ended = Err(e);
                break;
            }
        }
        while let Some(line) = lines.next_line() {
            count = count.saturating_add(1);
            reader.line(line);
        }
    }
    if let Some(line) = lines.last_line() {
        reader.line(line);
    }
    drop(from);
    wait(pid).and(ended)
}
