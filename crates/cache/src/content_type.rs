//! Media types by file name, for upstreams that tell none (directories). A small table: what is not in it is `application/octet-stream`,
//! which every client saves as it is.

/// Unknown content.
pub(crate) const OCTETS: &str = "application/octet-stream";

/// The media type for an encoded path.
pub(crate) fn of_path(path: &str) -> &'static str {
    let name = path.rsplit('/').next().unwrap_or_default();
    let Some((_, extension)) = name.rsplit_once('.') else { return OCTETS };
    TABLE
        .iter()
        .find(|(extensions, _)| extensions.iter().any(|known| known.eq_ignore_ascii_case(extension)))
        .map_or(OCTETS, |(_, media_type)| media_type)
}

const TABLE: &[(&[&str], &str)] = &[
    (&["html", "htm"], "text/html"),
    (&["txt", "log", "ini", "cfg", "conf", "md"], "text/plain"),
    (&["css"], "text/css"),
    (&["csv"], "text/csv"),
    (&["xml"], "application/xml"),
    (&["json"], "application/json"),
    (&["js", "mjs"], "text/javascript"),
    (&["wasm"], "application/wasm"),
    (&["pdf"], "application/pdf"),
    (&["png"], "image/png"),
    (&["jpg", "jpeg"], "image/jpeg"),
    (&["gif"], "image/gif"),
    (&["svg"], "image/svg+xml"),
    (&["webp"], "image/webp"),
    (&["ico"], "image/x-icon"),
    (&["mp4"], "video/mp4"),
    (&["webm"], "video/webm"),
    (&["mp3"], "audio/mpeg"),
    (&["woff2"], "font/woff2"),
    (&["zip"], "application/zip"),
    (&["gz", "tgz"], "application/gzip"),
    (&["bz2"], "application/x-bzip2"),
    (&["xz"], "application/x-xz"),
    (&["zst"], "application/zstd"),
    (&["7z"], "application/x-7z-compressed"),
    (&["tar"], "application/x-tar"),
    (&["deb"], "application/vnd.debian.binary-package"),
    (&["rpm"], "application/x-rpm"),
    (&["iso"], "application/x-iso9660-image"),
    (&["msi"], "application/x-msi"),
    (&["exe", "dll"], "application/vnd.microsoft.portable-executable"),
    (&["cab"], "application/vnd.ms-cab-compressed"),
    (&["jar"], "application/java-archive"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_follow_the_last_extension_of_the_last_segment() {
        for (path, expected) in [
            ("/a/b.html", "text/html"),
            ("/A.HTML", "text/html"),
            ("/x.tar.gz", "application/gzip"),
            ("/v1.2/readme", OCTETS),
            ("/", OCTETS),
            ("/.zip", "application/zip"),
            ("/setup.msi", "application/x-msi"),
        ] {
            assert_eq!(of_path(path), expected, "{path}");
        }
    }
}
