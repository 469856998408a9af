//! What of a request takes part in its answer, read in one pass over its fields; borrowed for answers at once, owned for later ones.

use http::{HeaderMap, HeaderValue, Method, header};
use protocol::{
    condition::{Conditions, KeptConditions},
    digest::Sha256,
    info::REQUESTER_FIELD,
};
use serve::{handler::Client, request::Request};

use crate::names::control::Control;

/// A `Range` that asks for nothing.
const NO_RANGE: &[u8] = b"bytes=";

/// One request, without its target.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) is_head: bool,
    pub(crate) conditions: Conditions<'a>,
    /// The index as JSON, please.
    pub(crate) wants_json: bool,
    /// What it says of caching.
    pub(crate) control: Control,
    /// The agent's name for itself.
    pub(crate) agent: Option<&'a [u8]>,
    /// What the one range that it asks for must be.
    pub(crate) expects: Option<Sha256>,
    pub(crate) client: Client,
}

/// The same, for as long as it takes.
#[derive(Clone, Debug)]
pub(crate) struct Owned {
    is_head: bool,
    conditions: KeptConditions,
    wants_json: bool,
    control: Control,
    agent: Option<Box<[u8]>>,
    expects: Option<Sha256>,
    client: Client,
}

impl<'a> Asked<'a> {
    pub(crate) fn read(request: &Request<'a>, client: &Client) -> Self {
        let is_head = request.method == Method::HEAD;
        let mut asked = Self {
            is_head,
            conditions: Conditions::default(),
            wants_json: false,
            control: Control::default(),
            agent: None,
            expects: None,
            client: *client,
        };
        for (name, value) in request.fields.iter() {
            asked.read_field(name, value);
        }
        if is_head {
            // RFC 9110 section 14.2: Range is defined for GET.
            asked.conditions.range = None;
        }
        asked
    }

    fn read_field(&mut self, name: &str, value: &'a [u8]) {
        let is = |wanted: &str| name.eq_ignore_ascii_case(wanted);
        let conditions = &mut self.conditions;
        match name.len() {
            // Twice, and as one they would be no valid field (RFC 9110 section 5.3): ignored, like any that is not.
            5 if is("range") => conditions.range = Some(if conditions.range.is_none() { value } else { NO_RANGE }),
            6 if is("accept") => self.wants_json |= protocol::listing::prefers_json(value),
            6 if is("pragma") => self.control.pragma(value),
            8 if is("if-range") => _ = conditions.if_range.get_or_insert(value),
            8 if is("if-match") => _ = conditions.if_match.get_or_insert(value),
            13 if is("if-none-match") => _ = conditions.if_none_match.get_or_insert(value),
            13 if is("cache-control") => self.control.take(value),
            17 if is("if-modified-since") => _ = conditions.if_modified_since.get_or_insert(value),
            19 if is("if-unmodified-since") => _ = conditions.if_unmodified_since.get_or_insert(value),
            _ if name.len() == REQUESTER_FIELD.len() && is(REQUESTER_FIELD) => self.agent = Some(value),
            _ => {}
        }
    }

    /// Whether the answer may turn out to need no body: then a description of the content is enough at first.
    pub(crate) fn may_need_no_body(&self) -> bool {
        let conditions = &self.conditions;
        self.is_head || conditions.if_none_match.is_some() || conditions.if_modified_since.is_some()
    }

    /// Ignores the range, if there is one and it is not to be answered.
    pub(crate) fn range_unless(&mut self, is_ignored: impl FnOnce() -> bool) {
        if self.conditions.range.is_some() && is_ignored() {
            self.conditions.range = None;
        }
    }

    pub(crate) fn into_owned(self) -> Owned {
        Owned {
            is_head: self.is_head,
            conditions: self.conditions.keep(),
            wants_json: self.wants_json,
            control: self.control,
            agent: self.agent.map(Box::from),
            expects: self.expects,
            client: self.client,
        }
    }
}

impl Owned {
    pub(crate) fn asked(&self) -> Asked<'_> {
        Asked {
            is_head: self.is_head,
            conditions: self.conditions.conditions(),
            wants_json: self.wants_json,
            control: self.control,
            agent: self.agent.as_deref(),
            expects: self.expects,
            client: self.client,
        }
    }

    /// The conditions as fields, for a request that is passed through.
    pub(crate) fn condition_fields(&self) -> HeaderMap {
        let conditions = self.conditions.conditions();
        let fields = [
            (header::IF_MATCH, conditions.if_match),
            (header::IF_NONE_MATCH, conditions.if_none_match),
            (header::IF_MODIFIED_SINCE, conditions.if_modified_since),
            (header::IF_UNMODIFIED_SINCE, conditions.if_unmodified_since),
            (header::IF_RANGE, conditions.if_range),
            (header::RANGE, conditions.range),
        ];
        let valid = |value: Option<&[u8]>| HeaderValue::from_bytes(value?).ok();
        fields.into_iter().filter_map(|(name, value)| Some((name, valid(value)?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use serve::request::{Announced, Fields};

    use super::*;

    fn client() -> Client {
        Client { address: "127.0.0.1:1".parse().unwrap(), connection: 1, secure: false }
    }

    fn header<'a>(name: &'a str, value: &'a str) -> httparse::Header<'a> {
        httparse::Header { name, value: value.as_bytes() }
    }

    #[test]
    fn one_pass_finds_what_matters() {
        let fields = [
            header("Host", "h"),
            header("RANGE", "bytes=0-1"),
            header("If-Range", "\"a\""),
            header("Cache-control", "no-cache"),
            header("Outpost-Requester", "pc7"),
            header("Accept", "application/json"),
        ];
        let request = |method| Request {
            method,
            target: b"/",
            http11: true,
            fields: Fields::new(&fields),
            body: Announced::None,
        };
        let asked = Asked::read(&request(Method::GET), &client());
        assert_eq!(asked.conditions.range, Some(&b"bytes=0-1"[..]));
        assert!(asked.control.no_cache() && asked.wants_json && !asked.may_need_no_body());
        assert_eq!(asked.agent, Some(&b"pc7"[..]));
        let owned = asked.into_owned();
        assert_eq!(owned.asked().conditions.if_range, Some(&b"\"a\""[..]));
        assert_eq!(owned.condition_fields().len(), 2);
        assert_eq!(Asked::read(&request(Method::HEAD), &client()).conditions.range, None);
    }

    #[test]
    fn browsers_get_html_and_programs_json() {
        for (accept, expected) in [
            ("application/json", true),
            ("application/json;q=1, text/html;q=0.5", true),
            ("text/html,application/xhtml+xml,application/json;q=0.9,*/*;q=0.8", false),
            ("*/*", false),
            ("", false),
        ] {
            let fields = [header("Host", "h"), header("Accept", accept)];
            let request = Request {
                method: Method::GET,
                target: b"/",
                http11: true,
                fields: Fields::new(&fields),
                body: Announced::None,
            };
            assert_eq!(Asked::read(&request, &client()).wants_json, expected, "{accept}");
        }
    }
}
