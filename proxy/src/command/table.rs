//! What a command's output looks like to a person: tables, sizes, counts, times, rates and progress bars. Pure: whether there is a terminal, and how wide,
//! is an argument.

use std::{ffi::OsStr, time::Duration};

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

pub(crate) use config::value::human_size as size;

/// Between two columns.
const GAP: &str = "  ";

/// What stands for what was left out.
const ELLIPSIS: char = '…';

/// A column is not made narrower than this: then its lines are too long, and the terminal breaks them.
const NARROWEST: usize = 16;

/// Letters of a progress bar between its brackets.
const BAR: usize = 30;

const DAY: u64 = 86_400;
const HOUR: u64 = 3_600;
const MINUTE: u64 = 60;

/// How output is dressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Look {
    /// Whether headings stand out.
    pub(crate) colours: bool,
    /// Columns of the terminal. What goes elsewhere has lines of any length.
    pub(crate) width: Option<usize>,
}

impl Look {
    /// Colours are for terminals, unless somebody asked for none (<https://no-color.org>).
    pub(crate) fn new(is_terminal: bool, no_color: Option<&OsStr>, term: Option<&OsStr>) -> Self {
        let unwanted = no_color.is_some_and(|value| !value.is_empty()) || term.is_some_and(|term| term == "dumb");
        Self { colours: is_terminal && !unwanted, width: None }
    }

    /// Of standard output as it is.
    pub(crate) fn of_stdout() -> Self {
        let variable = |name| std::env::var_os(name);
        let is_terminal = std::io::IsTerminal::is_terminal(&std::io::stdout());
        let look = Self::new(is_terminal, variable("NO_COLOR").as_deref(), variable("TERM").as_deref());
        let size = terminal_size::terminal_size_of(std::io::stdout()).filter(|_| is_terminal);
        Self { width: size.map(|(width, _)| usize::from(width.0)), ..look }
    }

    /// What stands above or before other things.
    pub(crate) fn heading(self, text: &str) -> String {
        if self.colours { format!("\x1b[1m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// What somebody should look at.
    pub(crate) fn alarm(self, text: &str) -> String {
        if self.colours { format!("\x1b[1;31m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// To which side a column's cells are pushed: words to the left, numbers to the right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Left,
    Right,
}

/// Rows under a heading, in columns as wide as they must be. On a terminal the last column gets what is left, and what is longer loses its middle;
/// elsewhere nothing is left out.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    columns: Vec<(&'static str, Side)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(columns: &[(&'static str, Side)]) -> Self {
        Self { columns: columns.to_vec(), rows: Vec::new() }
    }

    /// One row, a cell per column.
    pub(crate) fn row<const N: usize>(&mut self, cells: [String; N]) {
        debug_assert_eq!(N, self.columns.len(), "a cell per column");
        self.rows.push(cells.iter().map(|cell| plain(cell)).collect());
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The lines, each with its end.
    pub(crate) fn text(&self, look: Look) -> String {
        let widths: Vec<usize> = (0..self.columns.len()).map(|place| self.width(place)).collect();
        let last = self.left_for_last(&widths, look);
        let titles: Vec<String> = self.columns.iter().map(|(title, _)| (*title).to_owned()).collect();
        let mut text = look.heading(&self.line(&titles, &widths)) + "\n";
        for row in &self.rows {
            let mut row = row.clone();
            if let (Some(cell), Some(width)) = (row.last_mut(), last) {
                *cell = shortened(cell, width);
            }
            text.push_str(&self.line(&row, &widths));
            text.push('\n');
        }
        text
    }

    /// If it is one of words.
    fn left_for_last(&self, widths: &[usize], look: Look) -> Option<usize> {
        let (width, (.., side)) = (look.width?, self.columns.last()?);
        let others: usize = widths[..widths.len() - 1].iter().map(|width| width + GAP.len()).sum();
        (*side == Side::Left).then(|| width.saturating_sub(others).max(NARROWEST))
    }

    fn width(&self, place: usize) -> usize {
        let cells = self.rows.iter().filter_map(|row| row.get(place)).map(|cell| cell.width());
        cells.max().unwrap_or(0).max(self.columns[place].0.width())
    }

    fn line(&self, cells: &[String], widths: &[usize]) -> String {
        let padded = cells.iter().zip(&self.columns).zip(widths).map(|((cell, (_, side)), width)| {
            let space = " ".repeat(width.saturating_sub(cell.width()));
            match side {
                Side::Left => format!("{cell}{space}"),
                Side::Right => format!("{space}{cell}"),
            }
        });
        padded.collect::<Vec<_>>().join(GAP).trim_end().to_owned()
    }
}

/// Lines of a label and what it stands for, the label to the left of one edge. On a terminal they are broken between words.
pub(crate) fn facts(rows: &[(&str, String)], look: Look) -> String {
    let width = rows.iter().map(|(label, _)| label.width()).max().unwrap_or(0);
    let edge = 2 + width + GAP.len();
    let line = |(label, text): &(&str, String)| {
        let space = " ".repeat(width - label.width());
        let text = broken(&plain(text), look.width.map(|width| width.saturating_sub(edge)), edge);
        format!("  {}{space}{GAP}{text}", look.heading(label)).trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}

/// In lines of at most so many columns, as far as words allow; all but the first begin at the edge.
fn broken(text: &str, width: Option<usize>, edge: usize) -> String {
    let Some(width) = width.filter(|width| text.width() > *width) else { return text.to_owned() };
    let (mut lines, mut line) = (String::new(), String::new());
    for word in text.split_inclusive(' ') {
        if !line.is_empty() && line.width() + word.trim_end().width() > width {
            lines.push_str(line.trim_end());
            lines.push('\n');
            lines.push_str(&" ".repeat(edge));
            line.clear();
        }
        line.push_str(word);
    }
    lines + line.trim_end()
}

/// Without its middle, if it is wider: of a path, both ends tell something.
fn shortened(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let (head, tail) = (width.saturating_sub(1) / 3, width.saturating_sub(1) - width.saturating_sub(1) / 3);
    let fitting = |letters: &mut dyn Iterator<Item = char>, room: usize| {
        let mut left = room;
        let fits = |letter: &char| {
            let taken = letter.width().unwrap_or(0);
            let fits = taken <= left;
            left = left.saturating_sub(taken);
            fits
        };
        letters.take_while(fits).collect::<Vec<char>>()
    };
    let begin = fitting(&mut text.chars(), head);
    let end = fitting(&mut text.chars().rev(), tail);
    begin.into_iter().chain([ELLIPSIS]).chain(end.into_iter().rev()).collect()
}

/// What came from elsewhere must not steer the terminal that shows it, nor tear its line.
pub(crate) fn plain(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { '\u{fffd}' } else { letter }).collect()
}

/// `1,234,567`
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number with its noun: `1 object`, `1,234 objects`.
pub(crate) fn counted(number: u64, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{} {what}s", count(number)) }
}

/// The two largest units: `3 d 4 h`, `2 min 5 s`; below ten seconds with a tenth.
pub(crate) fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    let two = |large, name, small, next| format!("{} {name} {} {next}", seconds / large, seconds % large / small);
    match seconds {
        DAY.. => two(DAY, "d", HOUR, "h"),
        HOUR.. => two(HOUR, "h", MINUTE, "min"),
        MINUTE.. => two(MINUTE, "min", 1, "s"),
        10.. => format!("{seconds} s"),
        _ => format!("{:.1} s", time.as_secs_f64()),
    }
}

/// Bytes per second.
pub(crate) fn rate(bytes: u64, time: Duration) -> String {
    format!("{}/s", size((bytes as f64 / time.as_secs_f64().max(0.001)) as u64))
}

/// A part in percent, rounded down, so that 100% means all of it. `None` if there is nothing of which it could be a part.
pub(crate) fn percent(part: u64, whole: u64) -> Option<u64> {
    (whole > 0).then(|| u64::try_from(u128::from(part) * 100 / u128::from(whole)).unwrap_or(u64::MAX))
}

/// `[=========>          ]  45%`
pub(crate) fn bar(part: u64, whole: u64) -> String {
    let percent = percent(part, whole).unwrap_or(100).min(100);
    let full = BAR * percent as usize / 100;
    let mut inner = "=".repeat(full);
    if full < BAR {
        inner.push('>');
    }
    format!("[{inner:<BAR$}] {percent:>3}%")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_they_must_be_and_lines_end_without_spaces() {
        let mut table = Table::new(&[("NAME", Side::Left), ("SIZE", Side::Right), ("WHERE", Side::Left)]);
        table.row(["a".into(), "12.0 MB".into(), "/srv".into()]);
        table.row(["prüfung".into(), "7 B".into(), String::new()]);
        table.row(["日本".into(), "0 B".into(), "x\x1b[2Jy\n".into()]);
        let expected = "NAME        SIZE  WHERE
a        12.0 MB  /srv
prüfung      7 B
日本         0 B  x\u{fffd}[2Jy\u{fffd}
";
        assert_eq!(table.text(Look::default()), expected);
    }

    #[test]
    fn headings_stand_out_on_a_terminal_alone() {
        let text = |value: &'static str| Some(OsStr::new(value));
        for (is_terminal, no_color, term, colours) in [
            (true, None, text("xterm"), true),
            (true, text(""), None, true),
            (true, text("1"), text("xterm"), false),
            (true, None, text("dumb"), false),
            (false, None, text("xterm"), false),
        ] {
            assert_eq!(Look::new(is_terminal, no_color, term).colours, colours);
        }
        let look = Look { colours: true, width: None };
        assert_eq!(Table::new(&[("A", Side::Left)]).text(look), "\x1b[1mA\x1b[0m\n");
        assert_eq!(facts(&[("a", "1".into()), ("long", "2".into())], Look::default()), "  a     1\n  long  2\n");
    }

    #[test]
    fn on_a_terminal_the_last_column_gets_what_is_left() {
        let mut table = Table::new(&[("SIZE", Side::Right), ("PATH", Side::Left)]);
        table.row(["5 B".into(), "/a".into()]);
        table.row(["12.0 MB".into(), "/pub/images/2026/installation-medium.iso".into()]);
        table.row(["1 B".into(), "/日本/日本/日本/日本/日本.iso".into()]);
        let at = |width| table.text(Look { colours: false, width });
        let narrow = "   SIZE  PATH
    5 B  /a
12.0 MB  /pub/im…ion-medium.iso
    1 B  /日本/…/日本/日本.iso
";
        assert_eq!(at(Some(31)), narrow);
        assert!(narrow.lines().all(|line| line.width() <= 31));
        assert_eq!(at(Some(80)), at(None));
        // Below a limit it is not made narrower any more.
        assert_eq!(at(Some(3)), at(Some(25)));
    }

    #[test]
    fn on_a_terminal_facts_are_broken_between_words() {
        let rows =
            [("cache", "12 GB of 400 GB in 1,234 objects".to_owned()), ("", "averylongwordthatstaysasitis".into())];
        let expected = "  cache  12 GB of
         400 GB in
         1,234
         objects
         averylongwordthatstaysasitis
";
        assert_eq!(facts(&rows, Look { colours: false, width: Some(20) }), expected);
        assert_eq!(facts(&rows, Look::default()).lines().count(), 2);
    }

    #[test]
    fn counts_and_times_and_rates() {
        assert_eq!([0, 999, 1000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([counted(1, "file"), counted(1000, "file")], ["1 file", "1,000 files"]);
        for (ms, text) in [
            (0, "0.0 s"),
            (9_940, "9.9 s"),
            (59_999, "59 s"),
            (125_000, "2 min 5 s"),
            (3_600_000, "1 h 0 min"),
            (100 * 3_600_000, "4 d 4 h"),
        ] {
            assert_eq!(span(Duration::from_millis(ms)), text);
        }
        assert_eq!(rate(5_000_000, Duration::from_secs(2)), "2.50 MB/s");
    }

    #[test]
    fn a_bar_is_full_only_at_the_end() {
        assert_eq!(bar(0, 10), "[>                             ]   0%");
        assert_eq!(bar(999, 1000), "[=============================>]  99%");
        assert_eq!(bar(10, 10), "[==============================] 100%");
        assert_eq!(bar(0, 0), bar(20, 10));
        assert_eq!((percent(1, 0), percent(u64::MAX, u64::MAX)), (None, Some(100)));
    }
}
