//! Lines of sysctl files that set a limit of the table: `/etc/sysctl.conf` and the fragments of `sysctl.d`.
//!
//! At boot fragments are applied in the order of their names, a name in /etc hiding the same in /run and /usr/lib, and
//! `/etc/sysctl.conf` comes last. So it is on OpenWrt (which knows /etc alone) and with procps; the last one wins.

use crate::journal::Setting;
use crate::observe::text::{decimal32, fields};
use crate::units::Entries;

/// The names that the limits have had, as files: where one is not there, a line that names it has no effect.
const KEYS: [(&str, Setting); 6] = [
    ("proc/sys/net/netfilter/nf_conntrack_max", Setting::Max),
    ("proc/sys/net/nf_conntrack_max", Setting::Max),
    ("proc/sys/net/ipv4/netfilter/ip_conntrack_max", Setting::Max),
    ("proc/sys/net/ipv4/ip_conntrack_max", Setting::Max),
    ("proc/sys/net/netfilter/nf_conntrack_buckets", Setting::Buckets),
    ("proc/sys/net/ipv4/netfilter/ip_conntrack_buckets", Setting::Buckets),
];

/// What a line sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its file.
    pub key: &'static str,
    /// What it is.
    pub setting: Setting,
    /// To this.
    pub value: Entries,
}

/// Reads one line; `None`: it sets something else, or nothing.
///
/// ```
/// # use ctwarden::sysctl::read;
/// assert_eq!(read(b" -net.netfilter.nf_conntrack_max = 65536 ").unwrap().value.0, 65_536);
/// assert_eq!(read(b"#net.netfilter.nf_conntrack_max=65536"), None);
/// ```
pub fn read(line: &[u8]) -> Option<Line> {
    let mut parts = line.splitn(2, |b| *b == b'=');
    let name = parts.next()?.trim_ascii();
    // An error with it is no error.
    let name = name.strip_prefix(b"-").unwrap_or(name).trim_ascii_start();
    let same = |key: &str| {
        // Either is written.
        let key = key.get("proc/sys/".len()..).unwrap_or_default();
        name.len() == key.len() && name.iter().zip(key.as_bytes()).all(|(n, k)| n == k || (*n, *k) == (b'.', b'/'))
    };
    let (key, setting) = KEYS.into_iter().find(|(key, _)| same(key))?;
    let value = decimal32(fields(parts.next()?).next()?)?;
    Some(Line { key, setting, value: Entries(value) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn either_spelling_is_read_and_nothing_else() {
        let max = |line: &str| read(line.as_bytes()).map(|l| (l.setting, l.value.0));
        for line in [
            "net.netfilter.nf_conntrack_max=16384",
            "net/netfilter/nf_conntrack_max = 16384",
            "\tnet.nf_conntrack_max=16384\r",
            "- net.ipv4.netfilter.ip_conntrack_max =16384 # more",
            "net.ipv4.ip_conntrack_max=16384",
        ] {
            assert_eq!(max(line), Some((Setting::Max, 16_384)), "{line}");
        }
        assert_eq!(max("net.netfilter.nf_conntrack_buckets=4096"), Some((Setting::Buckets, 4_096)));
        for line in [
            "",
            "=",
            "#net.netfilter.nf_conntrack_max=1",
            ";net.netfilter.nf_conntrack_max=1",
            "net.netfilter.nf_conntrack_max",
            "net.netfilter.nf_conntrack_max=",
            "net.netfilter.nf_conntrack_max=many",
            "net.netfilter.nf_conntrack_max=99999999999",
            "net.netfilter.nf_conntrack_max=-1",
            "net.netfilter.nf_conntrack_maxi=1",
            "xnet.netfilter.nf_conntrack_max=1",
            "netxnetfilter.nf_conntrack_max=1",
            "net.netfilter.nf_conntrack_udp_timeout=60",
        ] {
            assert_eq!(max(line), None, "{line}");
        }
    }
}
