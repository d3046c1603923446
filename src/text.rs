//! Texts looked at by bytes. `str`'s own search knows all of Unicode and every kind of pattern, which is 5 KB on MIPS.

/// What stands before and behind the first `at`, which is ASCII.
pub fn cut(text: &str, at: u8) -> Option<(&str, &str)> {
    let before = text.bytes().position(|b| b == at)?;
    Some((text.get(..before)?, text.get(before + 1..)?))
}

/// Whether `part` stands in it.
pub fn has(text: &str, part: &str) -> bool {
    text.as_bytes().windows(part.len()).any(|w| w == part.as_bytes())
}

/// Its lines, without their ends.
pub fn lines(text: &str) -> impl Iterator<Item = &str> {
    pieces(text, b'\n')
}

/// What each `end` ends, which is ASCII; the last may be without one.
pub fn pieces(text: &str, end: u8) -> impl Iterator<Item = &str> {
    let mut rest = text;
    core::iter::from_fn(move || {
        let (piece, more) = if rest.is_empty() { None } else { cut(rest, end).or(Some((rest, ""))) }?;
        rest = more;
        Some(piece)
    })
}

/// It without the last bytes, as long as they are among these, which are ASCII.
pub fn without_end<'a>(text: &'a str, these: &[u8]) -> &'a str {
    let length = text.bytes().rposition(|b| !these.contains(&b)).map_or(0, |last| last + 1);
    text.get(..length).unwrap_or_default()
}

/// What stands behind `before`, if it begins so.
pub fn after<'a>(text: &'a [u8], before: &str) -> Option<&'a [u8]> {
    text.strip_prefix(before.as_bytes())
}

/// Decimal digits and nothing else; `None` also when it does not fit.
pub fn number(digits: &str) -> Option<u32> {
    crate::observe::text::decimal32(digits.as_bytes())
}

/// What a table says of a word.
pub fn find<T: Copy>(table: &[(&str, T)], word: &[u8]) -> Option<T> {
    table.iter().find(|(name, _)| name.as_bytes() == word).map(|(_, is)| *is)
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    #[test]
    fn as_str_has_it() {
        for text in ["", "=", "a=b", "a=b=c", "=a", "é=è", "a\n\nb", "a\n", "\n", "a/b/", "///", "{ a {", "é{"] {
            assert_eq!(cut(text, b'='), text.split_once('='));
            assert!(lines(text).eq(text.lines()), "{text:?}");
            assert_eq!(without_end(text, b"/"), text.trim_end_matches('/'));
            assert_eq!(without_end(text, b" {"), text.trim_end_matches([' ', '{']));
            for part in ["a", "b=", "é", "a=b=c=d"] {
                assert_eq!(has(text, part), text.contains(part));
            }
        }
        assert_eq!(lines("a\nb").collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(find(&[("a", 1), ("b", 2)], b"b"), Some(2));
        assert_eq!(find(&[("a", 1)], b""), None);
    }
}
