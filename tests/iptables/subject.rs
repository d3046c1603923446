//! `subject BACKEND CONFIG`: a back end by itself. An order a line, an answer a line:
//! `probe`, `install`, `recheck`, `grant SECONDS LEASES`, `revoke LEASES`, `left LEASES`, `remove`. LEASES are separated by
//! commas, what is left of them by blanks: `source ADDRESS`, `dest ADDRESS PROTOCOL PORT`, `router INTERFACE PROTOCOL PORT`, `lan INTERFACE`, `all 4`.

use std::io::{BufRead, Write, stdin, stdout};
use std::net::IpAddr;

use ctwarden::config::Config;
use ctwarden::lease::{Backend, Lease};
use ctwarden::units::Millis;
use nix::net::if_::if_nametoindex;

use crate::Outcome;
use crate::daemon::firewall::Firewall;
use crate::daemon::root::Root;

pub fn serve(words: &[String]) -> Outcome<()> {
    let [backend, config] = words else { return Err("subject: back end and config".into()) };
    let mut config = Config::parse(config.as_bytes(), "config", &mut |fault| eprintln!("{fault}"))
        .map_err(|_| "the config has faults")?;
    config.backend = Backend::from_name(backend);
    let root = Root::new("").ok_or("no root")?;
    let mut firewall = Firewall::new();
    firewall.probe(&root, &config);
    for order in stdin().lock().lines() {
        let order = order.map_err(|e| e.to_string())?;
        let (verb, rest) = order.split_once(' ').unwrap_or((&order, ""));
        let (seconds, leases) = rest.split_once(' ').unwrap_or((rest, ""));
        let leases = leases_of(if verb == "grant" { leases } else { rest });
        let Some(leases) = leases.or((!matches!(verb, "grant" | "revoke" | "left")).then(Vec::new)) else {
            println!("which lease? {order}");
            continue;
        };
        crate::allocations::mark();
        let said = |done: Result<(), nix::errno::Errno>| done.map_or_else(|e| format!("{e:?}"), |()| "ok".into());
        let before = crate::allocations::since_mark();
        let (answer, after);
        match verb {
            "probe" => {
                let found = firewall.probe(&root, &Config { backend: None, ..config.clone() });
                after = before;
                answer = found.name().to_string();
                firewall.probe(&root, &config);
            }
            "recheck" => {
                let health = firewall.recheck(&root, &config);
                after = crate::allocations::since_mark();
                answer = format!("{health:?}");
            }
            "left" => {
                let mut left = vec![None; leases.len()];
                let mark = crate::allocations::since_mark();
                for (left, lease) in left.iter_mut().zip(&leases) {
                    *left = firewall.left(&root, lease);
                }
                // The room for the answers is not its.
                after = before.zip(mark).zip(crate::allocations::since_mark()).map(|((b, m), a)| b + (a - m));
                let seconds = |l: Millis| format!("{}.{:03}", l.0 / 1000, l.0 % 1000);
                let all: Vec<_> = left.into_iter().map(|l| l.map_or("-1".into(), seconds)).collect();
                answer = all.join(" ");
            }
            _ => {
                let done = match verb {
                    "install" => firewall.install(&root, &config),
                    "remove" => firewall.remove(&root),
                    "revoke" => firewall.revoke(&root, &leases),
                    "grant" => {
                        let term = Millis((seconds.parse::<f64>().unwrap_or(0.0) * 1000.0) as u64);
                        firewall.grant(&root, &leases, term)
                    }
                    _ => Err(nix::errno::Errno::ENOSYS),
                };
                after = crate::allocations::since_mark();
                answer = said(done);
            }
        }
        let quiet = matches!(verb, "grant" | "revoke" | "left") || answer == "Sound";
        let allocated = after.unwrap_or(0) - before.unwrap_or(0);
        let allocated = if quiet && allocated > 0 { format!(" with {allocated} allocations") } else { String::new() };
        println!("{answer}{allocated}");
        let _ = stdout().flush();
    }
    Ok(())
}

fn leases_of(text: &str) -> Option<Vec<Lease>> {
    text.split(',').map(|one| lease(&one.split_whitespace().collect::<Vec<_>>())).collect()
}

fn lease(words: &[&str]) -> Option<Lease> {
    let address = |text: &str| text.parse::<IpAddr>().ok();
    let index = |name: &str| if_nametoindex(name).ok();
    Some(match words {
        ["source", a] => Lease::Source(address(a)?),
        ["dest", a, protocol, port] => {
            Lease::Destination { address: address(a)?, protocol: protocol.parse().ok()?, port: port.parse().ok()? }
        }
        ["router", i, protocol, port] => {
            Lease::Router { interface: index(i)?, protocol: protocol.parse().ok()?, port: port.parse().ok()? }
        }
        ["lan", i] => Lease::Lan { interface: index(i)? },
        ["all", family] => Lease::All { ipv6: *family == "6" },
        _ => return None,
    })
}
