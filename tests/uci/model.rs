//! A package as both readers end up with it.

use ctwarden::config::uci::{Flaw, Reader, What};

/// Bytes that show as text where a comparison fails.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bytes(pub Vec<u8>);

impl std::fmt::Debug for Bytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0.escape_ascii())
    }
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Value {
    Plain(Bytes),
    List(Vec<Bytes>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    pub kind: Bytes,
    pub name: Option<Bytes>,
    /// Sorted by name: the real one puts an option that was set again last, and nobody cares.
    pub options: Vec<(Bytes, Value)>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Package {
    pub sections: Vec<Section>,
}

impl Package {
    pub fn longest_word(&self) -> usize {
        let length = |word: &Bytes| word.0.len();
        let values = |value: &Value| match value {
            Value::Plain(value) => length(value),
            Value::List(values) => values.iter().map(length).max().unwrap_or(0),
        };
        let options =
            |section: &Section| section.options.iter().map(|(name, value)| length(name).max(values(value))).max();
        self.sections
            .iter()
            .flat_map(|s| [options(s), Some(length(&s.kind)), s.name.as_ref().map(length)])
            .flatten()
            .max()
            .unwrap_or(0)
    }
}

/// Why the whole was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    Flaws(Vec<Flaw>),
    /// A section of another type has that name.
    OtherType,
}

/// What our reader makes of `text`, and how often the same named section was opened at most.
pub fn ours(text: &[u8]) -> (Result<Package, Refused>, usize) {
    let mut package = Package::default();
    let mut opened: Vec<usize> = Vec::new();
    let mut current = 0;
    let mut flaws = Vec::new();
    let mut other_type = false;
    let mut reader = Reader::new(text);
    while let Some(item) = reader.next_item() {
        match item.what {
            What::Package(_) => {}
            What::Section { kind, name } => {
                let (kind, name) = (Bytes(kind.into()), (!name.is_empty()).then(|| Bytes(name.into())));
                let known = package.sections.iter().position(|s| name.is_some() && s.name == name);
                current = known.unwrap_or(package.sections.len());
                match known {
                    Some(n) => {
                        other_type |= package.sections[n].kind != kind;
                        opened[n] += 1;
                    }
                    None => {
                        package.sections.push(Section { kind, name, options: Vec::new() });
                        opened.push(1);
                    }
                }
            }
            What::Option { value: b"", .. } => {}
            What::Option { name, value } => {
                if let Some(section) = package.sections.get_mut(current) {
                    section.options.retain(|(n, _)| n.0 != name);
                    section.options.push((Bytes(name.into()), Value::Plain(Bytes(value.into()))));
                }
            }
            What::List { name, value } => {
                let Some(section) = package.sections.get_mut(current) else { continue };
                let value = Bytes(value.into());
                match section.options.iter_mut().find(|(n, _)| n.0 == name) {
                    Some((_, Value::List(values))) => values.push(value),
                    Some((_, plain)) => {
                        let Value::Plain(first) = plain.clone() else { unreachable!() };
                        *plain = Value::List(vec![first, value]);
                    }
                    None => section.options.push((Bytes(name.into()), Value::List(vec![value]))),
                }
            }
            What::Broken(broken) => flaws.push(broken.flaw),
        }
    }
    package.sections.iter_mut().for_each(|s| s.options.sort());
    let result = match (flaws.is_empty(), other_type) {
        (false, _) => Err(Refused::Flaws(flaws)),
        (true, true) => Err(Refused::OtherType),
        (true, false) => Ok(package),
    };
    (result, opened.into_iter().max().unwrap_or(0))
}
