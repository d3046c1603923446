//! The firewalls of nftables that a back end stands beside.

use std::fs;
use std::path::{Path, PathBuf};

use crate::Outcome;
use crate::world::World;

pub fn foreign_tables(world: &World) -> Outcome<()> {
    world.shell(&format!("nft -f - <<'EOF'\n{FOREIGN}\nEOF\n")).map(drop)
}

const FOREIGN: &str = r#"
table inet foreign {
    chain input { type filter hook input priority filter; policy drop;
        iifname "lo" accept
        meta l4proto ipv6-icmp accept
        ct state established,related accept
        iifname "br-lan" accept
    }
    chain forward { type filter hook forward priority filter; policy drop;
        ct state established,related accept
        iifname "br-lan" oifname "wan0" accept
    }
}
table ip nat {
    chain post { type nat hook postrouting priority srcnat;
        oifname "wan0" masquerade
    }
}
table ip second {
    chain INPUT { type filter hook input priority filter + 10; policy accept;
        counter
    }
}
"#;

/// The real fw4's ruleset, with our snippets where it puts them.
pub fn fw4(world: &World) -> Outcome<()> {
    let ruleset = fw4_ruleset()?;
    world.shell(&format!("nft -f - <<'EOF'\n{ruleset}\nEOF\n")).map(drop)
}

const SNIPPETS: &str = "openwrt/ctwarden/files/usr/share/nftables.d";

/// `tests/golden/fw4/ruleset-default.nft` for br-lan and wan0, and the shipped snippets.
fn fw4_ruleset() -> Outcome<String> {
    let mut text = fs::read_to_string("tests/golden/fw4/ruleset-default.nft").map_err(|e| e.to_string())?;
    text = text.replace("\"lan0\"", "\"br-lan\"");
    let snippets = |place: &str| -> Outcome<String> {
        let folder = Path::new(SNIPPETS).join(place);
        let mut files: Vec<PathBuf> = match fs::read_dir(&folder) {
            Ok(files) => files.flatten().map(|f| f.path()).collect(),
            Err(_) => return Ok(String::new()),
        };
        files.sort();
        files.iter().map(|f| fs::read_to_string(f).map_err(|e| format!("{}: {e}", f.display()))).collect()
    };
    let mut out = Vec::new();
    let mut chain = String::new();
    for line in text.lines() {
        let word = line.trim();
        if let Some(name) = word.strip_prefix("chain ") {
            chain = name.trim_end_matches(" {").to_string();
        }
        if word == "}" && !chain.is_empty() {
            out.push(snippets(&format!("chain-post/{chain}"))?);
            chain.clear();
        }
        out.push(line.to_string());
        if word == "table inet fw4 {" {
            out.push(snippets("table-pre")?);
        }
        // Ours come right behind the head of a base chain; fw4 itself puts an accept of the loopback before them.
        if word.starts_with("type filter hook") || word.starts_with("type nat hook") {
            out.push(snippets(&format!("chain-pre/{chain}"))?);
        }
    }
    Ok(out.join("\n"))
}
