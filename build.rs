//! Reads `board/` into a const table at build time (format: `board/README.md`). Any fault ends the build with file and line.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// What is wrong in a board file, and where.
#[derive(Debug, PartialEq)]
pub struct Fault {
    /// The file, as given.
    pub file: PathBuf,
    /// The line, from 1; 0 where the file as a whole is meant.
    pub line: usize,
    /// What is wrong.
    pub what: String,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}: {}", self.file.display(), self.line, self.what)
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Folder {
    Ram,
    Class,
    Device,
}

/// One number that has a source.
struct Sourced {
    /// KiB for `takes`, entries for `ceiling`.
    number: u32,
    what: &'static str,
    source: String,
}

/// One file of `board/`, whichever folder it is in.
#[derive(Default)]
struct Record {
    file: PathBuf,
    name: String,
    ram: Option<u32>,
    soc: Option<String>,
    matches: Option<String>,
    radio: Vec<String>,
    class: Option<(usize, String)>,
    takes: Vec<Sourced>,
    ceiling: Option<Sourced>,
    note: Option<String>,
}

impl Record {
    fn reserve(&self) -> u32 {
        self.takes.iter().map(|t| t.number).sum()
    }
}

/// More than any router has, so that sums stay far inside 32 bits.
const MOST_KIB: u32 = 1 << 30;

/// The words of `takes`, and the variants of `board::What` they become.
const WHATS: [(&str, &str); 5] = [
    ("system", "System"),
    ("watermarks", "Watermarks"),
    ("radios", "Radios"),
    ("offload", "Offload"),
    ("firmware", "Firmware"),
];

fn amount(number: &str, unit: &str) -> Result<u32, String> {
    let n: u32 = number.parse().map_err(|_| format!("`{number}` is not a whole number"))?;
    let kib = match unit {
        "KiB" => Some(n),
        "MiB" => n.checked_mul(1024),
        _ => return Err(format!("`{unit}` is neither KiB nor MiB")),
    };
    kib.filter(|&k| k > 0 && k <= MOST_KIB).ok_or(format!("{number} {unit} is out of range"))
}

fn parse(folder: Folder, file: &Path, text: &str) -> Result<Record, Fault> {
    let mut r = Record { file: file.into(), ..Record::default() };
    let at = |line: usize, what: String| Fault { file: file.into(), line, what };
    r.name = match file.file_name().and_then(|n| n.to_str()) {
        Some(n) if n.chars().all(|c| c.is_ascii_graphic() && c != '"' && c != '\\') => n.into(),
        _ => return Err(at(0, "a file name is printable ASCII".into())),
    };
    // The key and line of a number that still lacks its source.
    let mut open: Option<(&str, usize)> = None;
    let mut last = 0;
    for (i, text) in text.lines().enumerate() {
        let line = i + 1;
        last = line;
        let fault = |what: String| Err(at(line, what));
        let text = text.trim();
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        let Some((key, value)) = text.split_once('=').map(|(k, v)| (k.trim(), v.trim())) else {
            return fault(format!("`{text}` is not `key = value`"));
        };
        if value.is_empty() {
            return fault(format!("`{key}` has no value"));
        }
        if !value.chars().all(|c| c == ' ' || c.is_ascii_graphic()) {
            return fault("only printable ASCII is allowed".into());
        }
        if let (Some((number, _)), true) = (open, key != "source") {
            return fault(format!("the source of `{number}` must come next, not `{key}`"));
        }
        let words: Vec<&str> = value.split_ascii_whitespace().collect();
        match (key, folder) {
            ("ram", Folder::Ram) if r.ram.is_none() => match words[..] {
                [n, unit] => r.ram = Some(amount(n, unit).map_err(|e| at(line, e))?),
                _ => return fault(format!("`{value}` is not an amount and a unit")),
            },
            ("soc", Folder::Class) if r.soc.is_none() => r.soc = Some(value.into()),
            ("match", Folder::Class) if r.matches.is_none() => r.matches = Some(value.into()),
            ("radio", Folder::Class) if r.radio.is_empty() => r.radio = words.iter().map(|w| w.to_string()).collect(),
            ("class", Folder::Device) if r.class.is_none() => r.class = Some((line, value.into())),
            ("takes", Folder::Ram | Folder::Class) => {
                let [n, unit, what] = words[..] else {
                    return fault(format!("`{value}` is not amount, unit and what takes it"));
                };
                let number = amount(n, unit).map_err(|e| at(line, e))?;
                let Some((_, what)) = WHATS.iter().find(|(word, _)| *word == what) else {
                    return fault(format!("`{what}` is none of system, watermarks, radios, offload, firmware"));
                };
                r.takes.push(Sourced { number, what, source: String::new() });
                open = Some(("takes", line));
            }
            ("ceiling", Folder::Ram | Folder::Class) if r.ceiling.is_none() => {
                let Some(number) = value.parse().ok().filter(|&n: &u32| n > 0) else {
                    return fault(format!("`{value}` is not a number of entries"));
                };
                r.ceiling = Some(Sourced { number, what: "", source: String::new() });
                open = Some(("ceiling", line));
            }
            ("source", _) => {
                let number = match open.take() {
                    Some(("ceiling", _)) => r.ceiling.as_mut(),
                    Some(_) => r.takes.last_mut(),
                    None => None,
                };
                match number {
                    Some(n) => n.source = value.into(),
                    None => return fault("a source belongs right after `takes` or `ceiling`".into()),
                }
            }
            ("note", _) if r.note.is_none() => r.note = Some(value.into()),
            ("ram" | "soc" | "match" | "radio" | "class" | "takes" | "ceiling" | "note", _) => {
                return fault(format!("`{key}` does not belong here, or stands here twice"));
            }
            _ => return fault(format!("no such key `{key}`")),
        }
    }
    if let Some((number, line)) = open {
        return Err(at(line, format!("`{number}` has no source")));
    }
    let missing = match folder {
        Folder::Ram => [r.ram.is_none().then_some("ram"), r.takes.is_empty().then_some("takes")],
        Folder::Class => [r.soc.is_none().then_some("soc"), None],
        Folder::Device => [r.class.is_none().then_some("class"), None],
    };
    match missing.into_iter().flatten().next() {
        Some(key) => Err(at(last, format!("`{key}` is missing"))),
        None => Ok(r),
    }
}

fn folder(dir: &Path, kind: Folder) -> Result<Vec<Record>, Fault> {
    let fault = |file: &Path, e: std::io::Error| Fault { file: file.into(), line: 0, what: e.to_string() };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(|e| fault(dir, e))? {
        files.push(entry.map_err(|e| fault(dir, e))?.path());
    }
    files.sort();
    files.iter().map(|f| parse(kind, f, &std::fs::read_to_string(f).map_err(|e| fault(f, e))?)).collect()
}

/// Whether OpenWrt could have written this into `/tmp/sysinfo/board_name`: the first `compatible` of the device tree
/// (`vendor,model`), or on x86 what the BIOS says, with a dash for all but letters, digits, `_` and `-`.
fn named_by_openwrt(name: &str, x86: bool) -> bool {
    let made_of = |part: &str, more: &str| {
        let ends = [part.chars().next(), part.chars().last()];
        part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || more.contains(c))
            && ends.iter().all(|end| end.is_some_and(|c| c != '-'))
    };
    match name.split_once(',') {
        Some((vendor, model)) => !x86 && made_of(vendor, "-") && made_of(model, "-._"),
        None => x86 && made_of(name, "-_"),
    }
}

/// What one file alone cannot say: classes that exist, RAM classes that grow.
fn check(ram: &mut [Record], classes: &[Record], devices: &[Record]) -> Result<(), Fault> {
    let fault = |r: &Record, line, what: &str| Err(Fault { file: r.file.clone(), line, what: what.into() });
    ram.sort_by_key(|r| r.ram);
    let of = |r: &Record| r.ram.unwrap_or_default();
    for r in &*ram {
        if r.name != format!("ram-{}", of(r) / 1024) {
            return fault(r, 0, "the name of a RAM class is ram- and its MiB");
        }
        if r.reserve() >= of(r) {
            return fault(r, 0, "more is taken than there is");
        }
    }
    for pair in ram.windows(2) {
        // So that more RAM never means a smaller table.
        if of(&pair[0]) - pair[0].reserve() > of(&pair[1]) - pair[1].reserve() {
            return fault(&pair[1], 0, "leaves less than the class below");
        }
        let most = |r: &Record| r.ceiling.as_ref().map_or(u32::MAX, |c| c.number);
        if most(&pair[0]) > most(&pair[1]) {
            return fault(&pair[1], 0, "has a lower ceiling than the class below");
        }
    }
    if ram.is_empty() {
        return Err(Fault { file: "board/ram".into(), line: 0, what: "no RAM class at all".into() });
    }
    for d in devices {
        let Some((line, class)) = &d.class else { continue };
        let Some(class) = classes.iter().find(|c| c.name == *class) else {
            return fault(d, *line, &format!("no such class `{class}`"));
        };
        if !named_by_openwrt(&d.name, class.soc.as_deref() == Some("x86")) {
            return fault(
                d,
                0,
                "is no name that OpenWrt gives: vendor,model of the device tree, or on x86 the maker's, in small letters",
            );
        }
    }
    Ok(())
}

/// What the program shows of a source: where, without what was seen there. Of an assumption, what was assumed.
fn shown(source: &str) -> &str {
    let end = if source.starts_with("assumed:") { source.find(';') } else { source.find(':') };
    source.get(..end.unwrap_or(source.len())).unwrap_or(source)
}

fn ceiling(r: &Record) -> String {
    r.ceiling.as_ref().map_or("None".into(), |c| format!("Some(Entries({}))", c.number))
}

/// Reads the folders below `board` and writes the table as Rust text.
pub fn table(board: &Path) -> Result<String, Fault> {
    let mut ram = folder(&board.join("ram"), Folder::Ram)?;
    let classes = folder(&board.join("class"), Folder::Class)?;
    let devices = folder(&board.join("device"), Folder::Device)?;
    check(&mut ram, &classes, &devices)?;
    let mut out = String::new();
    let _ = writeln!(out, "static RAM: [RamClass; {}] = [", ram.len());
    for r in &ram {
        let (up_to, takes, ceiling) = (r.ram.unwrap_or_default(), r.reserve(), ceiling(r));
        let _ = writeln!(
            out,
            "RamClass {{ name: {:?}, up_to: Kib({up_to}), takes: Kib({takes}), ceiling: {ceiling} }},",
            r.name
        );
    }
    let _ = writeln!(out, "];\nstatic CLASSES: [Class; {}] = [", classes.len());
    for c in &classes {
        let of: Vec<&str> = devices
            .iter()
            .filter(|d| d.class.as_ref().is_some_and(|(_, class)| *class == c.name))
            .map(|d| d.name.as_str())
            .collect();
        let (boards, radios, soc) = (of.join(" "), c.radio.join(" "), c.matches.as_deref().unwrap_or_default());
        let _ = write!(
            out,
            "Class {{ name: {:?}, boards: {boards:?}, soc: {soc:?}, radios: {radios:?}, ceiling: {}, takes: &[",
            c.name,
            ceiling(c)
        );
        for t in &c.takes {
            let (what, kib, source) = (t.what, t.number, shown(&t.source));
            let _ = write!(out, "Take {{ what: What::{what}, kib: Kib({kib}), source: {source:?} }}, ");
        }
        out += "] },\n";
    }
    out += "];\n";
    Ok(out)
}

/// Called by cargo.
pub fn main() {
    println!("cargo::rerun-if-changed=board");
    println!("cargo::rerun-if-changed=build.rs");
    let out = std::env::var_os("OUT_DIR").map(|d| PathBuf::from(d).join("board.rs"));
    match (table(Path::new("board")), out) {
        (Ok(table), Some(out)) => {
            if let Err(e) = std::fs::write(&out, table) {
                println!("cargo::error={}: {e}", out.display());
            }
        }
        (Err(fault), _) => println!("cargo::error={fault}"),
        (_, None) => println!("cargo::error=OUT_DIR is not set"),
    }
}
