//! As much JSON as `--json` speaks, read into a tree.

use std::collections::BTreeMap;

#[derive(Clone, Debug, PartialEq)]
pub enum Json {
    /// `null`, `true` and `false` are kept as the word.
    Word(String),
    Number(f64),
    Text(String),
    List(Vec<Json>),
    Object(BTreeMap<String, Json>),
}

impl Json {
    /// Reads one value; `None` if it is not one, or is followed by anything.
    pub fn read(text: &str) -> Option<Self> {
        let mut reader = Reader(text.trim().as_bytes());
        let value = reader.value()?;
        reader.0.is_empty().then_some(value)
    }
    /// The member of an object.
    pub fn get(&self, name: &str) -> Option<&Self> {
        if let Json::Object(members) = self { members.get(name) } else { None }
    }
    /// The first member of that name, however deep.
    pub fn find(&self, name: &str) -> Option<&Self> {
        match self {
            Json::Object(members) => members.get(name).or_else(|| members.values().find_map(|v| v.find(name))),
            Json::List(items) => items.iter().find_map(|v| v.find(name)),
            _ => None,
        }
    }
    pub fn number(&self) -> Option<f64> {
        if let Json::Number(n) = self { Some(*n) } else { None }
    }
    pub fn text(&self) -> Option<&str> {
        if let Json::Text(t) = self { Some(t) } else { None }
    }
    pub fn list(&self) -> Option<&[Self]> {
        if let Json::List(l) = self { Some(l) } else { None }
    }
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn peek(&mut self) -> Option<u8> {
        let blank = self.0.iter().take_while(|b| b.is_ascii_whitespace()).count();
        self.0 = &self.0[blank..];
        self.0.first().copied()
    }
    fn eat(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.0 = &self.0[1..])
    }
    fn value(&mut self) -> Option<Json> {
        match self.peek()? {
            b'{' => self.object(),
            b'[' => self.array(),
            b'"' => self.string().map(Json::Text),
            _ => self.plain(),
        }
    }
    fn object(&mut self) -> Option<Json> {
        self.eat(b'{')?;
        let mut members = BTreeMap::new();
        if self.eat(b'}').is_some() {
            return Some(Json::Object(members));
        }
        loop {
            self.peek()?;
            let name = self.string()?;
            self.eat(b':')?;
            members.insert(name, self.value()?);
            if self.eat(b',').is_none() {
                return self.eat(b'}').map(|()| Json::Object(members));
            }
        }
    }
    fn array(&mut self) -> Option<Json> {
        self.eat(b'[')?;
        let mut items = Vec::new();
        if self.eat(b']').is_some() {
            return Some(Json::List(items));
        }
        loop {
            items.push(self.value()?);
            if self.eat(b',').is_none() {
                return self.eat(b']').map(|()| Json::List(items));
            }
        }
    }
    /// Escapes are kept as they stand: no key that is looked for has any.
    fn string(&mut self) -> Option<String> {
        self.eat(b'"')?;
        let mut end = 0;
        while *self.0.get(end)? != b'"' {
            end += if self.0[end] == b'\\' { 2 } else { 1 };
        }
        let text = String::from_utf8_lossy(&self.0[..end]).into_owned();
        self.0 = &self.0[end + 1..];
        Some(text)
    }
    fn plain(&mut self) -> Option<Json> {
        let end = self.0.iter().take_while(|b| b.is_ascii_alphanumeric() || b"+-.".contains(b)).count();
        let word = std::str::from_utf8(&self.0[..end]).ok().filter(|w| !w.is_empty())?.to_string();
        self.0 = &self.0[end..];
        Some(word.parse().map_or(Json::Word(word), Json::Number))
    }
}

#[cfg(test)]
mod tests {
    use super::Json;

    #[test]
    fn what_the_command_line_prints_is_read() {
        let json =
            Json::read(r#"{ "rows": [{"key":"fd00::/64","share":1234},{"key":"a\"b","share":-5e-1}], "none": null }"#);
        let json = json.expect("it is JSON");
        let rows = json.get("rows").and_then(Json::list).expect("a list");
        assert_eq!(rows[0].get("key").and_then(Json::text), Some("fd00::/64"));
        assert_eq!(rows[0].get("share").and_then(Json::number), Some(1234.0));
        assert_eq!(rows[1].get("share").and_then(Json::number), Some(-0.5));
        assert_eq!(json.find("share").and_then(Json::number), Some(1234.0));
        assert_eq!(json.get("none"), Some(&Json::Word("null".into())));
    }

    #[test]
    fn what_is_cut_short_or_goes_on_is_not() {
        for text in ["", "{", "[1,", "{\"a\" 1}", "[1] 2", "\"open", "{\"a\":}"] {
            assert_eq!(Json::read(text), None, "{text}");
        }
    }
}
