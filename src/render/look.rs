use anstyle::{AnsiColor, Style};

/// How text may look where it goes: how wide, and whether in colour.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Look {
    /// Columns of a line.
    pub width: usize,
    /// ANSI colours may be used.
    pub color: bool,
}

/// Not a terminal: no colours, and a width that never changes, so that outputs can be compared.
impl Default for Look {
    fn default() -> Self {
        Self { width: 100, color: false }
    }
}

/// What a piece of text is, for those who see colours. Nothing is said by colour alone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tone {
    Plain,
    /// A scenario's or a policy's name.
    Name,
    /// As promised.
    Good,
    /// Not as promised.
    Bad,
    /// Not as expected.
    Alarm,
    /// Places, and what is only for reference.
    Dim,
}

/// A space at which no line ends.
const NO_BREAK: char = '\u{a0}';

/// `mapcount 1` and `knob = value` stay on one line, and no line begins with `|`.
fn keep_together(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for (place, word) in text.replace(" = ", "\u{a0}=\u{a0}").replace(" | ", "\u{a0}| ").split(' ').enumerate() {
        let number = word.trim_end_matches([',', ';', ')', ':']);
        let number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        match (place, number) {
            (0, _) => {}
            (_, true) => out.push(NO_BREAK),
            (_, false) => out.push(' '),
        }
        out.push_str(word);
    }
    out
}

impl Look {
    /// The text in its tone.
    pub fn paint(&self, tone: Tone, text: &str) -> String {
        let style = match tone {
            _ if !self.color => return text.to_owned(),
            Tone::Plain => return text.to_owned(),
            Tone::Name => Style::new().bold(),
            Tone::Good => AnsiColor::Green.on_default(),
            Tone::Bad => AnsiColor::Yellow.on_default(),
            Tone::Alarm => AnsiColor::Red.on_default().bold(),
            Tone::Dim => Style::new().dimmed(),
        };
        format!("{style}{text}{style:#}")
    }

    /// The text on as many lines as it needs, each ended; `first` before the first, `rest` before the others.
    ///
    /// A line has room for 20 columns of text at the least, however far it is indented.
    pub fn wrap(&self, text: &str, first: &str, rest: &str) -> String {
        self.wrap_toned(text, first, rest, Tone::Plain)
    }

    /// As [`Look::wrap`], the text in a tone.
    pub fn wrap_toned(&self, text: &str, first: &str, rest: &str, tone: Tone) -> String {
        let columns = self.width.max(rest.len() + 20);
        let text = keep_together(text);
        let options = textwrap::Options::new(columns).initial_indent(first).subsequent_indent(rest);
        let lines = textwrap::wrap(&text, options.word_splitter(textwrap::WordSplitter::NoHyphenation));
        let mut out = String::new();
        for (number, line) in lines.iter().enumerate() {
            let indent = if number == 0 { first } else { rest };
            let text = line.strip_prefix(indent).unwrap_or(line).replace(NO_BREAK, " ");
            out.push_str(format!("{indent}{}", self.paint(tone, &text)).trim_end());
            out.push('\n');
        }
        out
    }
}
