//! Dictionaries of structured fields (RFC 9651), as far as directives need them: the whole grammar is checked, and of values only integers and
//! booleans are told. A field that breaks the grammar anywhere is none.

/// A value, as far as a directive can have one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Item {
    Integer(i64),
    Boolean(bool),
    /// Of any other type.
    Other,
}

/// RFC 9651 section 4.2.2. The last of equal keys counts.
pub(super) fn dictionary(field: &[u8]) -> Option<Vec<(String, Item)>> {
    let mut input = Input(field.trim_ascii());
    let mut members: Vec<(String, Item)> = Vec::new();
    while !input.0.is_empty() {
        let key = input.key()?;
        let item = if input.skip(b'=') { input.item_or_list()? } else { Item::Boolean(true) };
        input.parameters()?;
        members.retain(|(known, _)| *known != key);
        members.push((key, item));
        input.optional_space();
        if input.0.is_empty() {
            break;
        }
        // A comma, and something behind it.
        if !input.skip(b',') {
            return None;
        }
        input.optional_space();
        if input.0.is_empty() {
            return None;
        }
    }
    Some(members)
}

struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn skip(&mut self, byte: u8) -> bool {
        let is_there = self.0.first() == Some(&byte);
        self.0 = &self.0[usize::from(is_there)..];
        is_there
    }

    fn take_while(&mut self, belongs: impl Fn(u8) -> bool) -> &'a [u8] {
        let end = self.0.iter().position(|byte| !belongs(*byte)).unwrap_or(self.0.len());
        let (taken, rest) = self.0.split_at(end);
        self.0 = rest;
        taken
    }

    fn optional_space(&mut self) {
        self.take_while(|byte| matches!(byte, b' ' | b'\t'));
    }

    fn key(&mut self) -> Option<String> {
        let begins = self.0.first().is_some_and(|byte| byte.is_ascii_lowercase() || *byte == b'*');
        let belongs = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-.*".contains(&byte);
        begins.then(|| String::from_utf8_lossy(self.take_while(belongs)).into_owned())
    }

    fn item_or_list(&mut self) -> Option<Item> {
        if !self.skip(b'(') {
            return self.bare_item();
        }
        loop {
            self.take_while(|byte| byte == b' ');
            if self.skip(b')') {
                return Some(Item::Other);
            }
            self.bare_item()?;
            self.parameters()?;
            if !matches!(self.0.first(), Some(b' ' | b')')) {
                return None;
            }
        }
    }

    fn parameters(&mut self) -> Option<()> {
        while self.skip(b';') {
            self.take_while(|byte| byte == b' ');
            self.key()?;
            if self.skip(b'=') {
                self.bare_item()?;
            }
        }
        Some(())
    }

    fn bare_item(&mut self) -> Option<Item> {
        match *self.0.first()? {
            b'-' | b'0'..=b'9' => self.number(),
            b'"' => self.string(),
            b'?' => self.boolean(),
            b':' => self.bytes(),
            b'@' => {
                self.skip(b'@');
                self.number().filter(|number| matches!(number, Item::Integer(_))).map(|_| Item::Other)
            }
            b'%' => {
                self.skip(b'%');
                self.string()
            }
            byte if byte.is_ascii_alphabetic() || byte == b'*' => {
                self.take_while(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~:/".contains(&byte));
                Some(Item::Other)
            }
            _ => None,
        }
    }

    /// At most 15 digits, or 12 and a point with at most three.
    fn number(&mut self) -> Option<Item> {
        let sign = if self.skip(b'-') { -1 } else { 1 };
        let whole = self.take_while(|byte| byte.is_ascii_digit());
        if whole.is_empty() || whole.len() > 15 {
            return None;
        }
        if self.skip(b'.') {
            let part = self.take_while(|byte| byte.is_ascii_digit());
            return (whole.len() <= 12 && (1..=3).contains(&part.len())).then_some(Item::Other);
        }
        Some(Item::Integer(sign * std::str::from_utf8(whole).ok()?.parse::<i64>().ok()?))
    }

    fn string(&mut self) -> Option<Item> {
        if !self.skip(b'"') {
            return None;
        }
        loop {
            self.take_while(|byte| (b' '..=b'~').contains(&byte) && byte != b'"' && byte != b'\\');
            if self.skip(b'"') {
                return Some(Item::Other);
            }
            if !self.skip(b'\\') || !(self.skip(b'"') || self.skip(b'\\')) {
                return None;
            }
        }
    }

    fn boolean(&mut self) -> Option<Item> {
        self.skip(b'?');
        match (self.skip(b'1'), self.skip(b'0')) {
            (true, false) => Some(Item::Boolean(true)),
            (false, true) => Some(Item::Boolean(false)),
            _ => None,
        }
    }

    fn bytes(&mut self) -> Option<Item> {
        self.skip(b':');
        self.take_while(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte));
        self.skip(b':').then_some(Item::Other)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_a_dictionary() {
        use Item::{Boolean, Integer, Other};
        for (text, expected) in [
            ("", vec![]),
            ("a=60", vec![("a", Integer(60))]),
            ("a=-1;x=1;y , *b", vec![("a", Integer(-1)), ("*b", Boolean(true))]),
            ("a=1, a=2", vec![("a", Integer(2))]),
            ("a=60.5, b=\"60\"", vec![("a", Other), ("b", Other)]),
            ("a=?0,b=?1", vec![("a", Boolean(false)), ("b", Boolean(true))]),
            (
                "a=(1 \"x\";q ?1), b=:YQ==:, c=@1, d=tok/en, e=%\"x\"",
                ["a", "b", "c", "d", "e"].map(|key| (key, Other)).into(),
            ),
        ] {
            let expected: Vec<_> = expected.into_iter().map(|(key, item)| (key.to_owned(), item)).collect();
            assert_eq!(dictionary(text.as_bytes()), Some(expected), "{text}");
        }
    }

    #[test]
    fn a_broken_one_is_none() {
        for text in [
            "A=60",
            "a =60",
            "a= 60",
            "a=60,",
            "a=60, &&&&&",
            "a=60 b",
            "a=1234567890123456",
            "a=\"open",
            "a=?2",
            "a=:x",
            "a=(1 2",
            "a=(1,2)",
            "=1",
            "a=1.",
            "a=@1.5",
            "a=\"\\x\"",
        ] {
            assert_eq!(dictionary(text.as_bytes()), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn whatever_it_says_it_is_read_or_not(field in proptest::collection::vec(any::<u8>(), 0..60)) {
            dictionary(&field);
        }

        #[test]
        fn almost_dictionaries_are_read_or_not(field in "[a-c=;,()\"?:@%0-9 .-]{0,40}") {
            dictionary(field.as_bytes());
        }
    }
}
