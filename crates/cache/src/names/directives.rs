//! What `Cache-Control` and its targeted form say of an answer (RFC 9111 section 5.2.2, RFC 9213), as typed directives. Reading only: what
//! follows from them is for `storing` and `freshness`.

use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::structured::{Item, dictionary};

/// Fields for caches like this one alone (RFC 9213), the first that is there counts.
const TARGETS: [&str; 1] = ["cdn-cache-control"];

/// RFC 9111 section 1.2.2: what is longer counts as so many seconds.
pub(crate) const DELTA_MAX: u64 = 1 << 31;

/// Directives of one answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Directives {
    pub(crate) no_store: bool,
    /// Without names of fields.
    pub(crate) no_cache: bool,
    /// Likewise.
    pub(crate) private: bool,
    pub(crate) public: bool,
    pub(crate) must_revalidate: bool,
    pub(crate) proxy_revalidate: bool,
    pub(crate) must_understand: bool,
    /// Seconds; 0 where it says something that cannot be read (RFC 9111 section 4.2.1 wants that taken for stale).
    pub(crate) max_age: Option<u64>,
    /// Likewise.
    pub(crate) s_maxage: Option<u64>,
    /// RFC 5861, in seconds.
    pub(crate) stale_while_revalidate: Option<u64>,
    /// Likewise.
    pub(crate) stale_if_error: Option<u64>,
    /// Fields that `no-cache="..."` and `private="..."` name: they are for the one who asked.
    pub(crate) withheld: Vec<HeaderName>,
    /// The field was one for caches like this one: then `Expires` does not count either.
    pub(crate) is_targeted: bool,
}

impl Directives {
    /// Of an answer's fields: the targeted field where it is there and can be read, else `Cache-Control`.
    pub(crate) fn of(fields: &HeaderMap) -> Self {
        if let Some(targeted) = TARGETS.iter().find_map(|name| Self::targeted(fields, name)) {
            return targeted;
        }
        let mut directives = Self::default();
        for value in fields.get_all(header::CACHE_CONTROL) {
            for (name, argument) in members(value.as_bytes()) {
                directives.take(name, argument);
            }
        }
        let is_told = fields.contains_key(header::CACHE_CONTROL);
        let says_pragma = || fields.get_all(header::PRAGMA).iter().any(|value| has_no_cache(value.as_bytes()));
        // RFC 9111 section 5.4 gives it no meaning in answers; who sends it without Cache-Control means this.
        directives.no_cache |= !is_told && says_pragma();
        directives
    }

    /// What a targeted field says; `None` if there is none, or it cannot be read, or it is empty (RFC 9213 section 2.1).
    fn targeted(fields: &HeaderMap, name: &str) -> Option<Self> {
        let lines: Vec<&[u8]> = fields.get_all(name).iter().map(HeaderValue::as_bytes).collect();
        let members = dictionary(&lines.join(&b", "[..]))?;
        let mut directives = Self { is_targeted: true, ..Self::default() };
        members.iter().for_each(|(key, item)| directives.take_item(key, item));
        (!members.is_empty()).then_some(directives)
    }

    /// A value of another type than the directive has is ignored; a flag may be given with any, for to overlook one would be worse.
    fn take_item(&mut self, key: &str, item: &Item) {
        let is_set = *item != Item::Boolean(false);
        let seconds = match item {
            Item::Integer(seconds) => Some(u64::try_from(*seconds).unwrap_or(0).min(DELTA_MAX)),
            Item::Boolean(_) | Item::Other => None,
        };
        match key {
            "no-store" => self.no_store = is_set,
            "no-cache" => self.no_cache = is_set,
            "private" => self.private = is_set,
            "public" => self.public = is_set,
            "must-revalidate" => self.must_revalidate = is_set,
            "proxy-revalidate" => self.proxy_revalidate = is_set,
            "must-understand" => self.must_understand = is_set,
            "max-age" => self.max_age = seconds,
            "s-maxage" => self.s_maxage = seconds,
            "stale-while-revalidate" => self.stale_while_revalidate = seconds,
            "stale-if-error" => self.stale_if_error = seconds,
            _ => {}
        }
    }

    fn take(&mut self, name: &[u8], argument: Option<&[u8]>) {
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        // RFC 9111 section 4.2.1: of several the first counts.
        let set = |seconds: &mut Option<u64>| _ = seconds.get_or_insert(delta(argument).unwrap_or(0));
        match name.len() {
            6 if is("public") => self.public = true,
            7 if is("max-age") => set(&mut self.max_age),
            7 if is("private") => self.private |= !self.withholds(argument),
            8 if is("no-store") => self.no_store = true,
            8 if is("no-cache") => self.no_cache |= !self.withholds(argument),
            8 if is("s-maxage") => set(&mut self.s_maxage),
            14 if is("stale-if-error") => self.stale_if_error = self.stale_if_error.or(delta(argument)),
            15 if is("must-revalidate") => self.must_revalidate = true,
            15 if is("must-understand") => self.must_understand = true,
            16 if is("proxy-revalidate") => self.proxy_revalidate = true,
            22 if is("stale-while-revalidate") => {
                self.stale_while_revalidate = self.stale_while_revalidate.or(delta(argument));
            }
            // RFC 9111 section 5.2.3: what is not known is ignored.
            _ => {}
        }
    }

    /// Takes the names of fields in an argument. `false` if there are none: then the directive speaks of the whole answer.
    fn withholds(&mut self, argument: Option<&[u8]>) -> bool {
        let names = argument.map(unquoted).unwrap_or_default().split(|byte| *byte == b',');
        let before = self.withheld.len();
        self.withheld.extend(names.filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok()));
        self.withheld.len() > before
    }

    /// Whether a stale answer may be given out only after asking (RFC 9111 section 4.2.4); `s-maxage` has the meaning of `proxy-revalidate`
    /// (section 5.2.2.10).
    pub(crate) fn forbids_stale(&self) -> bool {
        self.must_revalidate || self.proxy_revalidate || self.no_cache || self.s_maxage.is_some()
    }
}

/// The members of a field of directives, each with its argument as written. Commas in quotes belong to the argument.
pub(crate) fn members(field: &[u8]) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
    let (mut in_quotes, mut is_escaped) = (false, false);
    let members = field.split(move |byte| {
        let escapes = in_quotes && *byte == b'\\' && !is_escaped;
        in_quotes ^= *byte == b'"' && !is_escaped;
        is_escaped = escapes;
        *byte == b',' && !in_quotes
    });
    members.map(<[u8]>::trim_ascii).filter(|member| !member.is_empty()).map(|member| {
        match member.iter().position(|byte| *byte == b'=') {
            // A space before the sign is no part of the grammar; the argument is then one that cannot be read.
            Some(place) if member[..place].ends_with(b" ") => (member[..place].trim_ascii_end(), Some(&b" "[..])),
            Some(place) => (&member[..place], Some(&member[place + 1..])),
            None => (member, None),
        }
    })
}

/// Seconds, as a number or (RFC 9111 section 5.2: also accepted) in quotes.
pub(crate) fn delta(argument: Option<&[u8]>) -> Option<u64> {
    let text = unquoted(argument?);
    let are_digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    let seconds = std::str::from_utf8(text).ok()?.parse().unwrap_or(DELTA_MAX);
    are_digits.then_some(seconds.min(DELTA_MAX))
}

fn unquoted(argument: &[u8]) -> &[u8] {
    argument.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")).unwrap_or(argument)
}

/// Whether a field of directives has `no-cache`.
pub(crate) fn has_no_cache(field: &[u8]) -> bool {
    members(field).any(|(name, _)| name.eq_ignore_ascii_case(b"no-cache"))
}

/// The members of a list of names, in lower case: `Vary`, `Connection`.
pub(crate) fn names<'a>(values: impl Iterator<Item = &'a HeaderValue>) -> Vec<String> {
    let members = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    let names = members.map(|name| String::from_utf8_lossy(name.trim_ascii()).to_ascii_lowercase());
    names.filter(|name| !name.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(lines: &[(&'static str, &str)]) -> Directives {
        let mut fields = HeaderMap::new();
        for (name, value) in lines {
            fields.append(*name, value.parse().unwrap());
        }
        Directives::of(&fields)
    }

    #[test]
    fn directives_are_read_from_all_lines_without_case() {
        let found =
            of(&[("cache-control", "Public, MAX-AGE=60,,foo=\"a, no-store\""), ("cache-control", "s-maxage=\"5\"")]);
        assert_eq!(found, Directives { public: true, max_age: Some(60), s_maxage: Some(5), ..Directives::default() });
    }

    #[test]
    fn numbers_are_seconds_or_stale() {
        for (text, expected) in [
            ("max-age=3600", Some(3600)),
            ("max-age=003600", Some(3600)),
            ("max-age=\"3600\"", Some(3600)),
            ("max-age=2147483649", Some(DELTA_MAX)),
            ("max-age=99999999999999999999999", Some(DELTA_MAX)),
            ("max-age=1, max-age=3600", Some(1)),
            ("max-age=3600, max-age=1", Some(3600)),
            ("max-age=-3600", Some(0)),
            ("max-age='3600'", Some(0)),
            ("max-age=3600.0", Some(0)),
            ("max-age=a3600", Some(0)),
            ("max-age =3600", Some(0)),
            ("max-age= 3600", Some(0)),
            ("max-age=", Some(0)),
            ("max-age", Some(0)),
            ("extension=\"max-age=3600\"", None),
            ("extension=\"\\\"max-age=3600\", max-age=7", Some(7)),
            ("x\"max-age=1, max-age=2", None),
        ] {
            assert_eq!(of(&[("cache-control", text)]).max_age, expected, "{text}");
        }
        assert_eq!(of(&[("cache-control", "stale-if-error=x")]).stale_if_error, None);
    }

    #[test]
    fn names_of_fields_withhold_these_only() {
        let found = of(&[("cache-control", "no-cache=\"set-cookie, X-A\", private=\"b\"")]);
        assert_eq!(found.withheld, ["set-cookie", "x-a", "b"]);
        assert!(!found.no_cache && !found.private);
        let whole = of(&[("cache-control", "no-cache=\"\", private")]);
        assert!(whole.no_cache && whole.private && whole.withheld.is_empty());
    }

    #[test]
    fn pragma_counts_where_nothing_else_is_said() {
        assert!(of(&[("pragma", "no-cache")]).no_cache);
        assert!(!of(&[("pragma", "no-cache"), ("cache-control", "max-age=1")]).no_cache);
        assert!(!of(&[("pragma", "x")]).no_cache);
    }

    #[test]
    fn what_is_for_caches_like_this_one_comes_first() {
        let targeted = Directives { is_targeted: true, ..Directives::default() };
        for (lines, expected) in [
            (&["max-age=60"][..], Directives { max_age: Some(60), ..targeted.clone() }),
            (&["max-age=60", "foobar, no-store"], Directives { max_age: Some(60), no_store: true, ..targeted.clone() }),
            (&["max-age=99999999999"], Directives { max_age: Some(DELTA_MAX), ..targeted.clone() }),
            (&["max-age=-1"], Directives { max_age: Some(0), ..targeted.clone() }),
            (&["max-age=\"60\""], targeted.clone()),
            (&["private=?0, no-cache=\"a\""], Directives { no_cache: true, ..targeted.clone() }),
            // Broken, or empty: as if it were not there.
            (&["max-age=60, &&&"], Directives { no_store: true, ..Directives::default() }),
            (&[""], Directives { no_store: true, ..Directives::default() }),
        ] {
            let mut fields = vec![("cache-control", "no-store")];
            fields.extend(lines.iter().map(|line| (TARGETS[0], *line)));
            assert_eq!(of(&fields), expected, "{lines:?}");
        }
    }
}
