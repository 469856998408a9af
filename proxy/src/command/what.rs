//! What a command is about: a file by its path, as clients ask for it, or an object by its MD5.

use protocol::digest::Md5;

/// Letters of an MD5.
const MD5_LETTERS: usize = 32;

/// A path or a digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// As it stands in a URL.
    Path(String),
    /// Of an object.
    Md5(Md5),
}

impl What {
    /// From what people write, and copy from lists of files and addresses of browsers.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text.starts_with('/') {
            return Ok(Self::Path(as_in_url(text)));
        }
        let is_md5 = text.len() == MD5_LETTERS && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        match text.to_ascii_lowercase().parse() {
            Ok(md5) if is_md5 => Ok(Self::Md5(md5)),
            _ => Err("it is neither a path, which begins with '/', nor an MD5 of 32 hexadecimal digits".into()),
        }
    }
}

/// With those letters escaped that cannot stand in a URL. What is escaped already stays.
pub(crate) fn as_in_url(path: &str) -> String {
    let letter = |byte: u8| match byte {
        b'!' | b'#'..=b';' | b'=' | b'?'..=b'[' | b']' | b'_' | b'a'..=b'z' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    path.bytes().map(letter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_digests_are_told_apart() {
        let md5 = "b1946ac92492d2347c6235b4d2611184";
        assert_eq!(What::parse(md5), Ok(What::Md5(md5.parse().unwrap())));
        assert_eq!(What::parse(&md5.to_uppercase()), What::parse(md5));
        for (text, path) in [
            ("/", "/"),
            ("/a b/ü.txt", "/a%20b/%C3%BC.txt"),
            ("/a%20b", "/a%20b"),
            ("/pool/a_1.0~rc1+b(2)?x=1&y=[2]", "/pool/a_1.0~rc1+b(2)?x=1&y=[2]"),
            ("/\"<>\\^`{|}\n", "/%22%3C%3E%5C%5E%60%7B%7C%7D%0A"),
        ] {
            assert_eq!(What::parse(text), Ok(What::Path(path.into())));
        }
        for text in ["", "a/b", "b1946ac92492d2347c6235b4d261118", "x1946ac92492d2347c6235b4d2611184"] {
            assert!(What::parse(text).is_err(), "{text}");
        }
    }
}
