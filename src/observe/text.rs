//! Numbers and fields out of foreign text, without a panic and without the formatting machinery of `core::str`.

/// The fields between blanks, tabs and line ends; never an empty one.
pub(crate) fn fields(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(u8::is_ascii_whitespace).filter(|f| !f.is_empty())
}

/// The lines of a text that is all there, without their ends.
pub(crate) fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|b| *b == b'\n')
}

/// Decimal digits and nothing else; `None` also when it does not fit.
pub(crate) fn decimal(digits: &[u8]) -> Option<u64> {
    number(digits, 10)
}

/// [`decimal`] that fits into 32 bits.
pub(crate) fn decimal32(digits: &[u8]) -> Option<u32> {
    u32::try_from(decimal(digits)?).ok()
}

/// Hexadecimal digits and nothing else, no `0x`; `None` also when it does not fit.
pub(crate) fn hex32(digits: &[u8]) -> Option<u32> {
    u32::try_from(number(digits, 16)?).ok()
}

fn number(digits: &[u8], base: u32) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    let mut n = 0u64;
    for &d in digits {
        let d = char::from(d).to_digit(base)?;
        n = n.checked_mul(base as u64)?.checked_add(d as u64)?;
    }
    Some(n)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_digits_only_and_fit() {
        assert_eq!(decimal(b"18446744073709551615"), Some(u64::MAX));
        assert_eq!(decimal(b"18446744073709551616"), None);
        assert_eq!(decimal32(b"4294967296"), None);
        assert_eq!(hex32(b"ffffffff"), Some(u32::MAX));
        for bad in [&b""[..], b"-1", b"+1", b" 1", b"1 ", b"1x", b"0x1"] {
            assert_eq!(decimal(bad), None, "{bad:?}");
        }
    }
}
