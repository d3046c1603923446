//! Texts with a point each.

use ctwarden::config::uci::Flaw;

/// Taken by both, with the same outcome.
pub const TAKEN: &[&str] = &[
    "",
    "\n\n  \t\n# nothing but a comment",
    "config ctwarden 'main'\n\toption high '85'\n\tlist ladder 'grow'\n\tlist ladder 'trim'\n",
    // Abbreviations, and a package line that changes nothing.
    "p ctwarden\nc ctwarden main\no high 85\nl ladder grow\n",
    "package some-thing\nconfig a\n",
    // Anonymous, in three spellings.
    "config a\nconfig a ''\nconfig a \"\"\n",
    // A type may have almost any character, a name may not.
    "config a-b.c! 'x'\n",
    "config wifi-iface 'x'\n",
    // Pieces stick together; quotes may be around names.
    "config a b\noption 'c'\"d\" 8'5'\"%\"\n",
    "config a b\noption c 'it'\\''s'\n",
    // Backslashes.
    "config a b\noption c \"a\\\"b\\\\c\\nd\"\n",
    "config a b\noption c 'a\\b'\n",
    "config a b\noption c a\\ b\\#c\\;d\n",
    "config a b\noption c a\\\nb\n",
    "config a b\noption c \"a\\\nb\"\n",
    "config a b\noption c \"a\\\r\nb\"\n",
    "config a b\noption c a\\",
    // A value over lines.
    "config a b\noption c 'one\ntwo\n\nthree'\n",
    // Comments, in the midst of a word too.
    "config a b # one\noption c d#e f\noption g 'h'#i\n#j\n  # k\n",
    "config a b\noption c '#d' # e\n",
    // Semicolons where they work.
    "config a b ; option c d ; option e 'f'; option g 'h'\n",
    "config a b;\noption c d;\n",
    "config a b; # nothing is lost\n",
    "config a b\noption c d ;# comment\n",
    "config a b ; ",
    // An empty word behind the value ends the command, and another may follow.
    "config a b\noption c d '' option e f\n",
    // DOS line ends, other blanks, no line feed at the end.
    "config a 'b'\r\n\toption c 'd'\r\n\r\noption e f\r\n",
    "config\ta\x0bb\x0c\noption\tc\td",
    // The last one wins; an empty one does not count; lists and plain options turn into each other.
    "config a b\noption c 1\noption c 2\n",
    "config a b\noption c 1\noption c ''\noption c\n",
    "config a b\nlist c 1\nlist c 2\noption c 3\n",
    "config a b\noption c 1\nlist c 2\nlist c ''\nlist c\n",
    // Two halves of one section.
    "config a b\noption c 1\noption d 1\nconfig e\noption f 2\nconfig a b\noption c 3\n",
    // Bytes that are no text.
    "config a b\noption c '\u{e9}\x01\x7f\u{fffd}'\n",
];

/// Refused by both.
pub const REFUSED: &[&str] = &[
    "option high 85\n",
    "config\n",
    "config \n",
    "config",
    "config ''\n",
    "confg a\n",
    "Config a\n",
    "config\\\n a\n",
    "config\r a\n",
    "config\x0c a\n",
    "'config' a\n",
    "config a b c\n",
    "config a b-c\n",
    "config a 'b c'\n",
    "config 'a b'\n",
    "config \u{e9}\n",
    "config a\noption\n",
    "config a\noption ''\n",
    "config a\noption b-c 1\n",
    "config a\noption b 1 2\n",
    "config a\noption b 'c\n",
    "config a\noption b \"c'\n",
    "config a\noption b \"c\\",
    "config a\nlist 'b c' 1\n",
    "package\n",
    "package a b\n",
    "package 'a.b'\n",
    // Two types for one name.
    "config a x\nconfig b x\n",
    // A `;` before the end of the line; one that comes too early; two.
    "config a b ;\n",
    "config a b ; \n",
    "config a ; option b c\n",
    "config a b ;; option c d\n",
    ";\n",
];

/// Refused by us alone.
pub const STRICTER: &[(&str, Flaw)] = &[
    ("config a b\noption high 90; option low 50\n", Flaw::Dropped),
    ("config a b;option c d\n", Flaw::Dropped),
    ("config a;b\n", Flaw::Dropped),
    ("config a b\noption c d;e\n", Flaw::Dropped),
];

pub const TOKENS: [&str; 34] = [
    " ",
    " ",
    " ",
    "\n",
    "\n",
    "\n",
    "\t",
    "\r\n",
    "\x0b",
    "'",
    "'",
    "\"",
    "\"",
    "\\",
    "\\\n",
    ";",
    " ; ",
    "#",
    "config ",
    "config a b\n",
    "c ",
    "option ",
    "option x ",
    "\no y ",
    "list ",
    "\nl x ",
    "package ",
    "p",
    "a",
    "b",
    "x",
    "''",
    "'x'",
    "85",
];

pub const CONFIG: &[&str] = &["config", "config", "c"];
pub const OPTION: &[&str] = &["option", "option", "o", "list", "l", "\tlist"];
pub const KINDS: &[&str] = &["a", "a", "'a'", "\\a", "\"a\"''", "wifi-iface"];
pub const NAMES: &[&str] = &["b", "'c'", "\"d\"", "x_1", "'e'f", "\\g", "h\\\ni", "85"];
pub const VALUES: &[&str] = &[
    "a",
    "''",
    "",
    "8'5'",
    "'a b'",
    "\"a\\\"b\"",
    "a\\ b",
    "'two\nlines'",
    "# c",
    "a-b",
    "\"'\"",
    "'\"'",
    "\"\\\n\"",
    "a#",
    "\\#",
];
pub const ENDS: &[&str] = &["\n", "\n", "\n", "\n", "\n", "\n", "\r\n", " \n", "\t# c\n", "'';\n", "'' ; ", "\n\n#\n"];
