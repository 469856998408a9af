//! Media types by file name, for files of a directory, which tell none. A small table of what shares hold; what is not in it is
//! `application/octet-stream`, which every client saves as it is.

/// Unknown content.
pub const OCTETS: &str = "application/octet-stream";

/// The media type for a path or name, encoded or not: only the last extension of the last segment counts.
pub fn of_path(path: &str) -> &'static str {
    let name = path.rsplit('/').next().unwrap_or_default();
    let Some((_, extension)) = name.rsplit_once('.') else { return OCTETS };
    let row = TABLE.iter().find(|(extensions, _)| extensions.iter().any(|known| known.eq_ignore_ascii_case(extension)));
    row.map_or(OCTETS, |(_, media_type)| media_type)
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
    fn the_last_extension_of_the_last_segment_counts() {
        for (path, expected) in [
            ("/a/b.html", "text/html"),
            ("/A.HTML", "text/html"),
            ("/x.tar.gz", "application/gzip"),
            ("/v1.2/readme", OCTETS),
            ("/", OCTETS),
            ("", OCTETS),
            ("/.zip", "application/zip"),
            ("setup.msi", "application/x-msi"),
        ] {
            assert_eq!(of_path(path), expected, "{path}");
        }
    }
}
