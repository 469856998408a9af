//! What drawings have in common: their frame, colours that the colour-blind can tell apart, and text that is safe in them.

use std::fmt::Write as _;

/// Colours after Okabe and Ito, the loudest first.
pub(crate) const COLOURS: [&str; 8] =
    ["#d55e00", "#0072b2", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#999999", "#000000"];

/// A drawing of that size, on white.
pub(crate) fn frame(width: f64, height: f64, inner: &str) -> String {
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
         font-family=\"sans-serif\" font-size=\"11\">\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n"
    );
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{inner}</svg>");
    text
}

pub(crate) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drawing_is_framed_and_its_text_is_safe() {
        let text = frame(10.0, 20.0, &format!("<text>{}</text>\n", escaped("a<b & c")));
        assert!(text.starts_with("<svg") && text.ends_with("</svg>\n") && text.contains("viewBox=\"0 0 10 20\""));
        assert!(text.contains("a&lt;b &amp; c"), "{text}");
    }
}
