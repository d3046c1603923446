//! A message as a tree, to be written and read by either codec.

use ctwarden::out::Out;
use ctwarden::wire::blob::{Fields, Value};
use proptest::prelude::*;

#[derive(Clone, Debug, PartialEq)]
pub enum Tree {
    Null,
    Bool(bool),
    Small(i16),
    Number(i32),
    Long(i64),
    Double(u64),
    Text(String),
    Array(Vec<Tree>),
    Table(Vec<(String, Tree)>),
}

/// Without what our writer has no need of: small and negative numbers, floating point.
pub fn ours() -> impl Strategy<Value = Vec<(String, Tree)>> {
    tree(prop_oneof![
        Just(Tree::Null),
        any::<bool>().prop_map(Tree::Bool),
        (0..=i32::MAX).prop_map(Tree::Number),
        any::<i64>().prop_map(Tree::Long),
        "\\PC{0,20}".prop_map(Tree::Text),
    ])
}

#[allow(dead_code)] // where the real codec is not built
pub fn any_tree() -> impl Strategy<Value = Vec<(String, Tree)>> {
    tree(prop_oneof![
        Just(Tree::Null),
        any::<bool>().prop_map(Tree::Bool),
        any::<i16>().prop_map(Tree::Small),
        any::<i32>().prop_map(Tree::Number),
        any::<i64>().prop_map(Tree::Long),
        any::<u64>().prop_map(Tree::Double),
        "\\PC{0,20}".prop_map(Tree::Text),
    ])
}

fn tree(leaf: impl Strategy<Value = Tree> + 'static) -> impl Strategy<Value = Vec<(String, Tree)>> {
    let node = leaf.prop_recursive(5, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Tree::Array),
            prop::collection::vec(("[a-z_]{1,9}", inner), 0..5).prop_map(Tree::Table),
        ]
    });
    prop::collection::vec(("[a-z_]{1,9}", node), 0..6)
}

/// By our writer.
pub fn tell(o: &mut dyn Out, table: &[(String, Tree)]) {
    for (name, value) in table {
        tell_one(o, name, value);
    }
}

fn tell_one(o: &mut dyn Out, name: &str, value: &Tree) {
    match value {
        Tree::Null => o.null(name),
        Tree::Bool(b) => o.flag(name, *b),
        Tree::Number(n) => o.number(name, *n as u32),
        Tree::Long(n) => o.long(name, *n as u64),
        Tree::Text(text) => o.text(name, text),
        Tree::Array(items) => {
            o.array(name);
            items.iter().for_each(|item| tell_one(o, "", item));
            o.end();
        }
        Tree::Table(table) => {
            o.object(name);
            tell(o, table);
            o.end();
        }
        Tree::Small(_) | Tree::Double(_) => unreachable!("our writer has none"),
    }
}

/// What our reader must make of it: whole numbers are one to it, and it does not look into floating point.
pub fn as_read(value: &Tree) -> Tree {
    match value {
        Tree::Small(n) => Tree::Long((*n).into()),
        Tree::Number(n) => Tree::Long((*n).into()),
        Tree::Double(_) => Tree::Double(0),
        Tree::Array(items) => Tree::Array(items.iter().map(as_read).collect()),
        Tree::Table(table) => Tree::Table(table.iter().map(|(name, value)| (name.clone(), as_read(value))).collect()),
        other => other.clone(),
    }
}

/// By our reader; `None`: some of it is damaged, or deeper than `depth`.
pub fn read(block: &[u8], depth: u32) -> Option<Vec<(String, Tree)>> {
    let mut table = Vec::new();
    let mut fields = Fields::new(block);
    for (name, value) in fields.by_ref() {
        let deeper = depth.checked_sub(1);
        let value = match value {
            Value::Null => Tree::Null,
            Value::Bool(b) => Tree::Bool(b),
            Value::Number(n) => Tree::Long(n),
            Value::Double => Tree::Double(0),
            Value::Text(text) => Tree::Text(String::from_utf8(text.to_vec()).ok()?),
            Value::Table(inner) => Tree::Table(read(inner, deeper?)?),
            Value::Array(inner) => Tree::Array(read(inner, deeper?)?.into_iter().map(|(_, value)| value).collect()),
        };
        table.push((String::from_utf8(name.to_vec()).ok()?, value));
    }
    (!fields.damaged()).then_some(table)
}
