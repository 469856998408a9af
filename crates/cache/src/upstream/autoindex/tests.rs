//! Pages as the servers make them, and as nobody should.

use proptest::prelude::*;

use super::*;

/// `href size time` of each entry.
fn read(page: &str, folder: &str) -> Option<Vec<String>> {
    let shown = |link: Link| {
        let size = link.size.map_or("-".into(), |size| size.to_string());
        let modified = link.modified.map_or("-".into(), protocol::timestamp::rfc3339);
        format!("{} {size} {modified}", link.href)
    };
    parse(page.as_bytes(), folder).map(|links| links.into_iter().map(shown).collect())
}

const NGINX: &str = "<html>\r\n<head><title>Index of /pub/</title></head>\r\n<body>\r\n<h1>Index of /pub/</h1><hr><pre>\
<a href=\"../\">../</a>\r\n\
<a href=\"sub%20folder/\">sub folder/</a>                                        22-Nov-2026 01:41                   -\r\n\
<a href=\"a%26b.iso\">a&amp;b.iso</a>                                          22-Nov-2026 01:41          4831838208\r\n\
<a href=\"a-name-that-is-so-long-that-nginx-has-to-cut-it-at-the-end.deb\">a-name-that-is-so-long-that-nginx-has-to-cut-i..&gt;</a> 01-Feb-2024 23:59                  17\r\n\
</pre><hr></body>\r\n</html>\r\n";

const APACHE: &str = "<!DOCTYPE HTML PUBLIC \"-//W3C//DTD HTML 3.2 Final//EN\">\n<html>\n <head>\n  <title>Index of /pub</title>\n </head>\n <body>\n<h1>Index of /pub</h1>\n\
  <table>\n   <tr><th valign=\"top\"><img src=\"/icons/blank.gif\" alt=\"[ICO]\"></th><th><a href=\"?C=N;O=D\">Name</a></th><th><a href=\"?C=M;O=A\">Last modified</a></th><th><a href=\"?C=S;O=A\">Size</a></th><th><a href=\"?C=D;O=A\">Description</a></th></tr>\n\
   <tr><th colspan=\"5\"><hr></th></tr>\n\
<tr><td valign=\"top\"><img src=\"/icons/back.gif\" alt=\"[PARENTDIR]\"></td><td><a href=\"/\">Parent Directory</a>       </td><td>&nbsp;</td><td align=\"right\">  - </td><td>&nbsp;</td></tr>\n\
<tr><td valign=\"top\"><img src=\"/icons/folder.gif\" alt=\"[DIR]\"></td><td><a href=\"drivers/\">drivers/</a>               </td><td align=\"right\">2026-11-22 01:41  </td><td align=\"right\">  - </td><td>&nbsp;</td></tr>\n\
<tr><td valign=\"top\"><img src=\"/icons/unknown.gif\" alt=\"[   ]\"></td><td><a href=\"x.iso\">x.iso</a>                  </td><td align=\"right\">2026-11-21 13:05  </td><td align=\"right\">1.2K</td><td>&nbsp;</td></tr>\n\
<tr><td valign=\"top\"><img src=\"/icons/unknown.gif\" alt=\"[   ]\"></td><td><a href=\"small\">small</a>                  </td><td align=\"right\">2026-11-21 13:05  </td><td align=\"right\"> 12 </td><td>&nbsp;</td></tr>\n\
   <tr><th colspan=\"5\"><hr></th></tr>\n</table>\n<address>Apache/2.4.57 (Debian) Server at example.org Port 80</address>\n</body></html>\n";

const APACHE_PRE: &str = "<html><head><title>Index of /pub</title></head><body><h1>Index of /pub</h1>\n\
<pre><img src=\"/icons/blank.gif\" alt=\"Icon \"> <a href=\"?C=N;O=D\">Name</a>                    <a href=\"?C=M;O=A\">Last modified</a>      <a href=\"?C=S;O=A\">Size</a>  <a href=\"?C=D;O=A\">Description</a><hr><img src=\"/icons/back.gif\" alt=\"[PARENTDIR]\"> <a href=\"/\">Parent Directory</a>                             -   \n\
<img src=\"/icons/unknown.gif\" alt=\"[   ]\"> <a href=\"x.iso\">x.iso</a>                   2026-11-21 13:05   17M  \n<hr></pre>\n</body></html>";

const APACHE_PLAIN: &str = "<html><head><title>Index of /pub</title></head><body><h1>Index of /pub</h1>\n<ul><li><a href=\"/\"> Parent Directory</a></li>\n<li><a href=\"a.exe\"> a.exe</a></li>\n<li><a href=\"d/\"> d/</a></li>\n</ul>\n</body></html>";

const IIS: &str = "<html><head><title>files.example - /pub/</title></head><body><H1>files.example - /pub/</H1><hr>\r\n\r\n<pre><A HREF=\"/\">[To Parent Directory]</A><br><br> \
11/22/2026  1:41 AM        &lt;dir&gt; <A HREF=\"/pub/Drivers/\">Drivers</A><br> \
 2/1/2024 11:59 PM         1234567 <A HREF=\"/pub/setup%20a.exe\">setup a.exe</A><br>\
Sunday, November 22, 2026  1:41 PM           12 <A HREF=\"/PUB/other\">other</A><br>\
11/22/2026 13:41              168 <A HREF=\"/pub/web.config\">web.config</A><br></pre><hr></body></html>";

#[test]
fn pages_of_the_servers() {
    for (name, page, expected) in [
        (
            "nginx",
            NGINX,
            &[
                "sub%20folder/ - 2026-11-22T01:41:00Z",
                "a%26b.iso 4831838208 2026-11-22T01:41:00Z",
                "a-name-that-is-so-long-that-nginx-has-to-cut-it-at-the-end.deb 17 2024-02-01T23:59:00Z",
            ][..],
        ),
        (
            "Apache, as a table",
            APACHE,
            &["drivers/ - 2026-11-22T01:41:00Z", "x.iso 1228 2026-11-21T13:05:00Z", "small 12 2026-11-21T13:05:00Z"],
        ),
        ("Apache, with columns", APACHE_PRE, &["x.iso 17825792 2026-11-21T13:05:00Z"]),
        ("Apache, plain", APACHE_PLAIN, &["a.exe - -", "d/ - -"]),
        (
            "IIS",
            IIS,
            &[
                "Drivers/ - 2026-11-22T01:41:00Z",
                "setup%20a.exe 1234567 2024-02-01T23:59:00Z",
                "other 12 2026-11-22T13:41:00Z",
                "web.config 168 2026-11-22T13:41:00Z",
            ],
        ),
    ] {
        assert_eq!(read(page, "/pub/").as_deref(), Some(&strings(expected)[..]), "{name}");
    }
}

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

#[test]
fn another_page_is_no_index() {
    for page in [
        "",
        "<html><body><a href=\"a\">a</a></body></html>",
        "<title>Welcome</title><a href=\"a\">a</a>",
        "<title>News - sports/</title><a href=\"a\">a</a>",
        "<title>host - /pub/deeper/</title><a href=\"a\">a</a>",
        "<body><title>Index of /</title></body>",
        "<!-- <title>Index of /</title> --><title>x</title>",
        "{\"entries\":[]}",
        "\u{0}\u{1}",
    ] {
        assert_eq!(read(page, "/pub/"), None, "{page}");
    }
}

#[test]
fn links_that_lead_elsewhere_are_left_out() {
    let page = |links: &[&str]| {
        let links: String = links.iter().map(|href| format!("<a href=\"{href}\">x</a> ")).collect();
        format!("<title>Index of /pub/</title>{links}")
    };
    let elsewhere = [
        "../",
        "..",
        ".",
        "./",
        "/",
        "/pub/",
        "/pub",
        "/other/a",
        "/pub/a/b",
        "a/b",
        "?C=N;O=D",
        "a?C=N",
        "#top",
        "http://evil.example/a",
        "//evil.example/a",
        "javascript:alert(1)",
        "mailto:a@example.org",
        "data:text/html,x",
        "",
    ];
    assert_eq!(read(&page(&elsewhere), "/pub/"), Some(vec![]));
    let kept = ["a", "./x:y", "/pub/b", "c/#top"];
    assert_eq!(
        read(&page(&kept), "/pub/"),
        Some(vec!["a - -".into(), "x:y - -".into(), "b - -".into(), "c/ - -".into()])
    );
}

#[test]
fn markup_that_is_odd_is_read_all_the_same() {
    for (page, expected) in [
        ("<a href=a>x</a>", &["a - -"][..]),
        ("<a href='a b'>x</a>", &["a%20b - -"]),
        ("<A\nclass='q' HREF = 'a' >x</A>", &["a - -"]),
        ("<a download href='it&#39;s&#x26;&amp;'>x</a>", &["it's&& - -"]),
        ("<a title='>' href='a'>x</a>", &["a - -"]),
        ("<a href='&bogus;&'>x</a>", &["&bogus;& - -"]),
        ("<abbr href='no'>x</abbr><a name='no'>x</a><a>x</a>", &[]),
        ("<script>'<a href=no>'</script><style><a href=no></style><!--<a href=no>--><a href='a'>x</a>", &["a - -"]),
        ("<a href='a' 22-Nov-2026 01:41 5", &[]),
        ("<a href='unclosed", &[]),
        ("<a href=a", &[]),
        ("<script>never closed <a href=no>", &[]),
        ("<a href='a'>x</a> 31-Feb-2026 25:61 99999999999999999999999", &["a - -"]),
        ("<a href='a'>x</a> 2026-13-40 01:00 1.2.3K", &["a - -"]),
        ("<a href='a'>x</a> 22-Nov-2026 01:41 1e5", &["a - 2026-11-22T01:41:00Z"]),
        ("<a href='a'>x</a> 22-Nov-2026 01:41 99999999999T", &["a - 2026-11-22T01:41:00Z"]),
    ] {
        let page = format!("<title>Index of /pub/</title>{page}");
        assert_eq!(read(&page, "/pub/"), Some(strings(expected)), "{page}");
    }
}

#[test]
fn a_page_that_is_endless_is_read_in_time_that_grows_with_its_length() {
    for piece in ["<", "<a ", "<a href=", "&", "<!--", "</", "<script></", "<a href='a'>", "'\"<a "] {
        let page = format!("<title>Index of /</title>{}", piece.repeat(400_000 / piece.len()));
        let links = read(&page, "/").unwrap();
        assert!(links.len() <= LINKS_MAX);
    }
}

proptest! {
    #[test]
    fn what_is_listed_is_one_name_of_the_folder(page in "(<a href=['\"]?|[a-z./:%&;?#> '\"=<-]|</a>|22-Nov-2026 01:41 5){0,40}") {
        let page = format!("<title>Index of /pub/</title>{page}");
        for link in parse(page.as_bytes(), "/pub/").unwrap() {
            let name = link.href.trim_end_matches('/');
            prop_assert!(!name.is_empty() && !name.contains(['/', '?', '#']) && name != "..", "{}", link.href);
        }
    }

    #[test]
    fn no_bytes_make_it_panic(page in proptest::collection::vec(any::<u8>(), 0..400), folder in "/[a-z%/]{0,9}") {
        let mut whole = b"<title>Index of /</title>".to_vec();
        whole.extend(page);
        parse(&whole, &folder);
    }
}
