//! What of the lifeline the owner's own rules would let in: they are printed by their programs and judged line by line
//! (`ctwarden::firewall`). Done when rules are installed and after they have changed, not in the loop.

use super::program::{PATIENCE_MS, find, is_readable, start, wait};
use crate::daemon::kernel::addresses::{index_of, on};
#[cfg(feature = "iptables")]
use crate::daemon::kernel::tables::{Found, nft_tables};
use crate::daemon::root::{IP6TABLES_NAMES, IPTABLES_NAMES, Names, PIECE, Root};
use ctwarden::config::{Config, LANS, PORTS};
use ctwarden::entry::protocol::TCP;
use ctwarden::event::Lifeline;
use ctwarden::firewall::{Check, Place, Question, Quote, Reader, Text};
use ctwarden::lease::Lease;
use ctwarden::observe::lines::LineSplitter;
use heapless::Vec;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::unistd::{pipe2, read};
use std::ffi::CStr;

/// The ports of the config, DHCP twice and DNS twice, on each LAN.
pub const LEASES: usize = LANS * (PORTS + 4);
const DHCPV6: u16 = 547;

/// What the lifeline may be.
pub struct Fits {
    /// On, if one of the router's TCP ports may be reached; else why not.
    pub lifeline: Lifeline,
    /// What it may consist of.
    pub leases: Vec<Lease, LEASES>,
    /// So many leases are kept out of it.
    pub kept_out: u8,
    because: Quote,
}

impl Fits {
    /// The line by which the first of them is kept out. Empty: the rules could not be read.
    pub fn because(&self) -> &str {
        self.because.line()
    }
}

/// Judges all ports on all interfaces that are the LAN.
pub fn lifeline(root: &Root, config: &Config) -> Fits {
    let mut fits = Fits {
        lifeline: Lifeline::NoLan,
        leases: Vec::new(),
        kept_out: 0,
        because: Quote::new(Place { text: 0, line: 0 }),
    };
    for name in &config.lan {
        let Some(interface) = index_of(name) else { continue };
        let addresses = on(name);
        let question = Question::lifeline(config, name, &addresses);
        let mut check = Check::new(&question);
        let readable = read_all(root, &mut check);
        let findings = check.findings(readable);
        let before = fits.kept_out;
        for flow in &question.flows {
            let lease = Lease::Router { interface, protocol: flow.protocol, port: flow.port };
            // A lease is for both families, and DHCP has a port of its own in each.
            if flow.ipv6 && flow.port != DHCPV6 {
                continue;
            }
            if findings.accepts(&question, flow.protocol, flow.port) {
                let _ = fits.leases.push(lease);
                if flow.protocol == TCP {
                    fits.lifeline = Lifeline::On;
                }
            } else {
                fits.kept_out = fits.kept_out.saturating_add(1);
            }
        }
        if fits.lifeline != Lifeline::On {
            fits.lifeline = match findings.refused {
                _ if !readable => Lifeline::Unknown,
                0 => Lifeline::Nat,
                _ => Lifeline::NotAccepted,
            };
        }
        if before == 0 && fits.kept_out > 0 && readable {
            // Should somebody change the rules meanwhile, it is another line: people see that it is none of these.
            fits.because = Quote::new(findings.place);
            read_all(root, &mut fits.because);
        }
    }
    fits
}

#[cfg(feature = "iptables")]
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
    read_iptables(root, nft.is_ok(), reader)
}

#[cfg(feature = "iptables")]
fn read_iptables(root: &Root, nft: bool, reader: &mut dyn Reader) -> bool {
    let Found { iptables, foreign } = nft_tables(root);
    // Without nftables in the kernel, nft has nothing to list; what iptables-nft has made is shown by its own programs too.
    (nft || !foreign)
        && SAVES.into_iter().all(|(names, text, programs)| {
            let legacy = is_loaded(root, names);
            if !legacy && (nft || !iptables) {
                return true;
            }
            let first = programs.into_iter().find(|name| find(root, name).is_some());
            let lines = first.map_or(Err(Errno::ENOENT), |name| print(root, &[name], text, reader));
            // There are tables: who shows none is the wrong program.
            lines.is_ok_and(|n| n > 0 || !legacy)
        })
}

/// This program does not know iptables.
#[cfg(not(feature = "iptables"))]
fn read_iptables(root: &Root, nft: bool, _reader: &mut dyn Reader) -> bool {
    nft && !is_loaded(root, IPTABLES_NAMES) && !is_loaded(root, IP6TABLES_NAMES)
}

fn is_loaded(root: &Root, names: Names) -> bool {
    let mut room = [0; 64];
    root.read(names, &mut room).is_ok_and(|names| !names.is_empty())
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
