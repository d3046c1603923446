//! A config in the making.

use super::fault::{Fault, Problem};
use super::options::{COUNT_OF_OPTIONS, Kind, OPTIONS, Take};
use super::protect::NAME;
use super::uci::{Broken, Flaw, Reader, Verb, What};
use super::{Config, Faulty, PROTECTS, Protect, ladder};
use super::{INTERFACE, LANS, PORTS};
use crate::rung::{RUNGS, Rung};
use core::fmt::Write;
use heapless::{String, Vec};

/// Room for `@protect[15]` and for any name of ours.
type Label = String<40>;

/// Where options go.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    /// Nowhere: no section, or one that had a fault itself.
    Nowhere,
    In(Kind),
}

/// What is known of a `protect` section beside what it protects.
struct Rule {
    /// uci's name for it: the sections of one name are one.
    section: Option<String<NAME>>,
    line: u32,
    faulty: bool,
}

/// A config in the making.
pub(super) struct Draft<'f> {
    pub config: Config,
    /// The rungs of the chosen policy; `ladder` wins over it.
    pub policy: Option<&'static [Rung]>,
    pub ladder: Vec<Rung, RUNGS>,
    pub lan: Vec<String<INTERFACE>, LANS>,
    pub ports: Vec<u16, PORTS>,
    place: Place,
    /// The section as uci names it.
    label: Label,
    /// The `protect` section in hand, and all of them.
    rule: usize,
    rules: Vec<Rule, PROTECTS>,
    /// The line that gave each option its value; 0 if none did, [`FAULTY`] if one tried.
    lines: [u32; COUNT_OF_OPTIONS],
    file: &'f str,
    faults: &'f mut dyn FnMut(&Fault<'_>),
    count: u32,
}

/// In [`Draft::lines`]: the option had a fault, so nothing can be said about how it goes with others.
const FAULTY: u32 = u32::MAX;

impl<'f> Draft<'f> {
    pub fn new(file: &'f str, faults: &'f mut dyn FnMut(&Fault<'_>)) -> Self {
        Draft {
            config: Config::default(),
            policy: None,
            ladder: Vec::new(),
            lan: Vec::new(),
            ports: Vec::new(),
            place: Place::Nowhere,
            label: Label::new(),
            rule: 0,
            rules: Vec::new(),
            lines: [0; COUNT_OF_OPTIONS],
            file,
            faults,
            count: 0,
        }
    }

    pub fn read(mut self, text: &[u8]) -> Result<Config, Faulty> {
        let mut reader = Reader::new(text);
        while let Some(item) = reader.next_item() {
            match item.what {
                What::Package(_) => {}
                What::Section { kind, name } => self.open(item.line, kind, name),
                What::Option { name, value } => self.option(item.line, name, value, false),
                What::List { name, value } => self.option(item.line, name, value, true),
                What::Broken(broken) => self.broken(item.line, &broken),
            }
        }
        self.check_together();
        self.check_rules();
        if !self.ladder.is_empty() {
            self.config.ladder = self.ladder;
        } else if let Some(policy) = self.policy {
            self.config.ladder = ladder(policy);
        }
        if !self.lan.is_empty() {
            self.config.lan = self.lan;
        }
        if !self.ports.is_empty() {
            self.config.ports = self.ports;
        }
        if self.count == 0 { Ok(self.config) } else { Err(Faulty(self.count)) }
    }

    /// What the `protect` section in hand protects.
    pub fn rule(&mut self) -> Result<&mut Protect, Option<Problem>> {
        self.config.protect.get_mut(self.rule).ok_or(None)
    }

    fn fault(&mut self, line: u32, section: &[u8], option: &[u8], value: &[u8], problem: Problem) {
        self.cut_fault(line, section, option, value, false, problem);
    }

    fn cut_fault(&mut self, line: u32, section: &[u8], option: &[u8], value: &[u8], cut: bool, problem: Problem) {
        self.count = self.count.saturating_add(1);
        (self.faults)(&Fault { file: self.file, line, section, option, value, cut, problem });
    }

    fn mark_rule_faulty(&mut self) {
        if self.place == Place::In(Kind::Protect) {
            self.rules.get_mut(self.rule).into_iter().for_each(|rule| rule.faulty = true);
        }
    }

    fn broken(&mut self, line: u32, broken: &Broken<'_>) {
        let label = self.label.clone();
        let mut value = broken.value;
        let (section, option) = match broken.verb {
            Some(Verb::Option | Verb::List) => {
                self.mark_rule_faulty();
                (label.as_bytes(), broken.name)
            }
            Some(Verb::Section) => {
                // Its options go nowhere, rather than into the section before.
                self.place = Place::Nowhere;
                self.label.clear();
                (broken.name, &[][..])
            }
            Some(Verb::Package) | None => (&[][..], &[][..]),
        };
        if let (Flaw::NoWord, Some(verb)) = (broken.flaw, broken.verb) {
            value = verb.name().as_bytes();
        }
        self.cut_fault(line, section, option, value, broken.cut, Problem::Text(broken.flaw.text()));
    }

    fn open(&mut self, line: u32, kind: &[u8], name: &[u8]) {
        const SECTIONS: &str = "no such section; there are ctwarden 'main', sizing 'sizing' and protect";
        self.label.clear();
        let opened = match (kind, name) {
            (b"ctwarden", b"main") => Ok(Kind::Main),
            (b"sizing", b"sizing") => Ok(Kind::Sizing),
            // uci allows a name once: two types under it are one too many.
            (b"protect", b"main" | b"sizing") => Err("this name belongs to another section"),
            (b"protect", _) => self.open_rule(line, name),
            _ => Err(SECTIONS),
        };
        match opened {
            Ok(kind) => {
                self.place = Place::In(kind);
                let named = core::str::from_utf8(name).unwrap_or_default();
                // Neither is ever longer than a label: names have at most `NAME` bytes here.
                let _ = match named {
                    "" => write!(self.label.as_mut_view(), "@protect[{}]", self.rule),
                    _ => self.label.push_str(named).map_err(|_| core::fmt::Error),
                };
            }
            Err(text) => {
                self.place = Place::Nowhere;
                self.fault(line, kind, &[], name, Problem::Text(text));
            }
        }
    }

    /// Goes on with the `protect` section of that name, or begins one.
    fn open_rule(&mut self, line: u32, name: &[u8]) -> Result<Kind, &'static str> {
        let name = core::str::from_utf8(name).unwrap_or_default();
        let name = String::<NAME>::try_from(name).map_err(|_| "a name has up to 32 bytes here")?;
        let section = (!name.is_empty()).then_some(name.clone());
        let known = self.rules.iter().position(|rule| section.is_some() && rule.section == section);
        self.rule = known.unwrap_or(self.rules.len());
        if known.is_none() {
            const FULL: &str = "there can be up to 16 protect sections";
            self.rules.push(Rule { section, line, faulty: false }).map_err(|_| FULL)?;
            self.config.protect.push(Protect { name, ..Protect::default() }).map_err(|_| FULL)?;
        }
        Ok(Kind::Protect)
    }

    fn option(&mut self, line: u32, name: &[u8], value: &[u8], list: bool) {
        let Place::In(kind) = self.place else { return };
        let Err(problem) = self.set(kind, line, name, value, list) else { return };
        self.mark_rule_faulty();
        let label = self.label.clone();
        self.fault(line, label.as_bytes(), name, value, problem);
    }

    fn set(&mut self, kind: Kind, line: u32, name: &[u8], value: &[u8], list: bool) -> Result<(), Problem> {
        let found =
            OPTIONS.iter().zip(&mut self.lines).find(|(row, _)| row.section == kind && row.name.as_bytes() == name);
        let (row, at) = found.ok_or(Problem::NoOption(kind))?;
        if value.is_empty() && !list {
            // To uci an option without a value is not there.
            return Ok(());
        }
        *at = FAULTY;
        let text = core::str::from_utf8(value).map_err(|_| Problem::Allowed(row))?.trim_ascii();
        let taken = match row.take {
            Take::List(_, clear, set) => {
                if !list {
                    clear(self);
                }
                // As uci users write them: one a list entry, or several in an option.
                text.split_ascii_whitespace().try_for_each(|word| set(self, word))
            }
            _ if list => return Err(Problem::Text("not a list: write option, once")),
            Take::Text(_, set) => set(self, text),
            Take::Number(ref form, set) => form.read(text).map(|value| set(self, value)).ok_or(None),
        };
        taken.map_err(|problem| problem.unwrap_or(Problem::Allowed(row)))?;
        if let Some(at) = self.line_mut(kind, row.name) {
            *at = line;
        }
        Ok(())
    }

    fn line_mut(&mut self, kind: Kind, name: &str) -> Option<&mut u32> {
        let mut known = OPTIONS.iter().zip(&mut self.lines);
        known.find(|(row, _)| row.section == kind && row.name == name).map(|(_, line)| line)
    }

    /// What is right by itself and wrong together.
    fn check_together(&mut self) {
        let Config { high, low, sizing, .. } = self.config;
        let (floor, ceiling) = (sizing.floor.0, sizing.ceiling.0);
        let (low, high) = (u32::from(low.0 / 10), u32::from(high.0 / 10));
        self.against(low < high, Kind::Main, ["low", "high"], low, "below high, which is ", high);
        self.against(
            floor <= ceiling,
            Kind::Sizing,
            ["floor", "ceiling"],
            floor,
            "at most ceiling, which is ",
            ceiling,
        );
        let Some(max) = sizing.max.map(|max| max.0) else { return };
        self.against(max >= floor, Kind::Sizing, ["max", "floor"], max, "at least floor, which is ", floor);
        self.against(max <= ceiling, Kind::Sizing, ["max", "ceiling"], max, "at most ceiling, which is ", ceiling);
        let Some(buckets) = sizing.buckets.map(|buckets| buckets.0) else { return };
        let fits = buckets <= max && max <= buckets.saturating_mul(8);
        self.against(fits, Kind::Sizing, ["buckets", "max"], buckets, "from 1/8 of max to max, which is ", max);
    }

    /// A fault of the first of two options, on the line of the one that was given last, unless it is `right`.
    fn against(&mut self, right: bool, kind: Kind, pair: [&str; 2], value: u32, text: &'static str, other: u32) {
        let [first, second] = pair.map(|name| self.line_mut(kind, name).map_or(0, |line| *line));
        let line = first.max(second);
        if right || line == FAULTY {
            return;
        }
        let section: &[u8] = if kind == Kind::Main { b"main" } else { b"sizing" };
        let mut shown = String::<10>::new(); // u32::MAX has ten digits
        let _ = write!(shown.as_mut_view(), "{value}");
        self.fault(line, section, pair[0].as_bytes(), shown.as_bytes(), Problem::Against(text, other));
    }

    fn check_rules(&mut self) {
        const NOTHING_GIVEN: &str = "would protect every entry; give it source, destination, proto, port or mark";
        let rules = core::mem::take(&mut self.rules);
        let protect = core::mem::take(&mut self.config.protect);
        for (rule, protect) in rules.iter().zip(&protect) {
            if protect.is_everything() && !rule.faulty {
                self.fault(rule.line, b"protect", &[], protect.name.as_bytes(), Problem::Text(NOTHING_GIVEN));
            }
        }
        self.config.protect = protect;
    }
}
