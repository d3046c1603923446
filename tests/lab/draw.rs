//! Bars, histories and colours for a plain terminal of 80 columns.

/// Colours of the sixteen every terminal has.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    Red = 31,
    Green = 32,
    Yellow = 33,
    Dim = 2,
    Bold = 1,
}

/// What the terminal can show.
#[derive(Clone, Copy)]
pub struct Pen {
    /// Blocks and lines of Unicode; else ASCII stands in.
    pub unicode: bool,
}

impl Pen {
    /// Unicode where the locale says so.
    pub fn of_environment() -> Self {
        let locale =
            ["LC_ALL", "LC_CTYPE", "LANG"].iter().find_map(|v| std::env::var(v).ok().filter(|s| !s.is_empty()));
        let locale = locale.unwrap_or_default().to_ascii_lowercase();
        Self { unicode: locale.contains("utf-8") || locale.contains("utf8") }
    }

    /// A bar of `width` cells, `permille` of it filled.
    pub fn bar(self, permille: u64, width: usize, colour: Colour) -> String {
        let filled = ((permille.min(1000) as usize * width) + 500) / 1000;
        let (full, empty) = if self.unicode { ('█', '░') } else { ('#', '.') };
        let rest: String = std::iter::repeat_n(empty, width - filled).collect();
        paint(&std::iter::repeat_n(full, filled).collect::<String>(), colour) + &paint(&rest, Colour::Dim)
    }

    /// One character a value (in permille), `colour` naming each one's.
    pub fn history(self, values: &[Option<u64>], colour: impl Fn(u64) -> Colour) -> String {
        const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
        const ASCII: [char; 8] = ['_', '.', ':', '-', '=', '+', '*', '#'];
        let levels = if self.unicode { BLOCKS } else { ASCII };
        let cell = |value: &Option<u64>| match value {
            None => " ".to_string(),
            Some(v) => {
                let level = levels[(*v as usize * 7 + 500).min(7500) / 1000];
                paint(level.encode_utf8(&mut [0; 4]), colour(*v))
            }
        };
        values.iter().map(cell).collect()
    }

    /// A ruled line of 78 cells with a title at its left and one at its right.
    pub fn rule(self, left: &str, right: &str) -> String {
        let stroke = if self.unicode { '─' } else { '-' };
        let line = |n: usize| paint(&std::iter::repeat_n(stroke, n).collect::<String>(), Colour::Dim);
        let used = 2 + left.chars().count() + 2 + if right.is_empty() { 0 } else { right.chars().count() + 4 };
        let middle = line(78usize.saturating_sub(used));
        let left = paint(left, Colour::Bold);
        if right.is_empty() {
            format!("{} {left} {middle}", line(2))
        } else {
            format!("{} {left} {middle} {right} {}", line(2), line(2))
        }
    }
}

/// `text` in a colour.
pub fn paint(text: &str, colour: Colour) -> String {
    if text.is_empty() { String::new() } else { format!("\x1b[{}m{text}\x1b[0m", colour as u8) }
}

/// 1234567 as `1,234,567`.
pub fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// At most `width` printable characters of `text`: a log line must not move the cursor.
pub fn fit(text: &str, width: usize) -> String {
    text.chars().filter(|c| !c.is_control()).take(width).collect()
}
