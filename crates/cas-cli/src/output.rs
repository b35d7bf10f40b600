//! Everything that is printed: results on standard output, all else on standard error. Nothing else in this program prints.

use std::fmt::{self, Display};
use std::io::{self, BufRead, IsTerminal, Write};

use anstyle::{AnsiColor, Style};
use serde::Serialize;

use crate::exit::{Failure, Problem, Report};

/// Where and in which form a command tells what it did.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    json: bool,
}

impl Output {
    /// For people, or as JSON.
    pub(crate) fn new(json: bool) -> Self {
        Output { json }
    }

    /// Whether results are JSON.
    pub(crate) fn is_json(self) -> bool {
        self.json
    }

    /// Prints a result: as JSON in one line, or as the text for people.
    pub(crate) fn result(self, json: &impl Serialize, text: impl Display) -> Result<(), Failure> {
        if self.json {
            self.raw(format_args!("{}\n", serde_json::to_string(json)?))
        } else {
            self.raw(format_args!("{text}\n"))
        }
    }

    /// Prints a line of a story for people, and nothing as JSON.
    pub(crate) fn story(self, text: impl Display) -> Result<(), Failure> {
        if self.json { Ok(()) } else { self.raw(format_args!("{text}\n")) }
    }

    /// Prints to standard output as it is.
    pub(crate) fn raw(self, text: impl Display) -> Result<(), Failure> {
        let mut stdout = io::stdout().lock();
        write!(stdout, "{text}").and_then(|()| stdout.flush()).map_err(|error| match error.kind() {
            io::ErrorKind::BrokenPipe => Problem::OutputClosed.into(),
            _ => Failure::from(error).doing("standard output cannot be written"),
        })
    }

    /// Tells people something beside the result. Readers of JSON are not told: they expect one object or none.
    pub(crate) fn notice(self, text: impl Display) {
        if !self.json {
            to_stderr(format_args!("{NOTICE}cas:{NOTICE:#} {text}\n"));
        }
    }

    /// Prints why a command failed and what to do.
    pub(crate) fn failure(self, report: &Report) {
        if self.json {
            to_stderr(format_args!("{}\n", report.to_json()));
        } else {
            to_stderr(format_args!("{FAILURE}cas:{FAILURE:#} {report}"));
        }
    }

    /// Asks whether to do something that cannot be undone.
    ///
    /// # Errors
    ///
    /// When the answer is no; when nobody can be asked, because standard input or standard error is no terminal.
    pub(crate) fn confirm(self, question: impl Display) -> Result<(), Failure> {
        if self.json || !io::stdin().is_terminal() || !io::stderr().is_terminal() {
            return Err(Problem::Usage(format!("{question}? nobody can be asked here: say --yes if so")).into());
        }
        to_stderr(format_args!("{question}? [y/N] "));
        let mut answer = String::new();
        io::stdin().lock().read_line(&mut answer)?;
        match answer.trim().to_ascii_lowercase().as_str() {
            "y" | "yes" => Ok(()),
            _ => Err(Problem::Declined.into()),
        }
    }
}

const NOTICE: Style = Style::new().bold();
const FAILURE: Style = AnsiColor::Red.on_default().bold();

/// Colours are left out where nobody sees them. Standard error may be closed; there is nobody left to tell then.
fn to_stderr(text: impl Display) {
    _ = write!(anstream::stderr().lock(), "{text}");
}

/// Rows of text in columns, two blanks between them.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    align: &'static [Align],
    rows: Vec<Vec<String>>,
}

/// On which side of its column a text stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Align {
    Left,
    Right,
}

impl Table {
    /// A table with a head.
    pub(crate) fn with_head(columns: &'static [Align], head: &[&str]) -> Self {
        let mut table = Table { align: columns, rows: Vec::new() };
        table.row(head.iter().map(ToString::to_string));
        table
    }

    /// A table of names and what is known under them.
    pub(crate) fn of_facts<'a>(facts: impl IntoIterator<Item = (&'a str, String)>) -> Self {
        let rows = facts.into_iter().map(|(name, value)| vec![name.to_owned(), value]).collect();
        Table { align: &[Align::Left, Align::Left], rows }
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }
}

/// The rows, without a line break behind the last.
impl Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width_of = |text: &str| text.chars().count();
        let width = |column: usize| self.rows.iter().map(|row| row.get(column).map_or(0, |cell| width_of(cell))).max();
        let widths: Vec<usize> = (0..self.align.len()).map(|column| width(column).unwrap_or(0)).collect();
        for (index, row) in self.rows.iter().enumerate() {
            let mut line = String::new();
            for ((cell, width), align) in row.iter().zip(&widths).zip(self.align) {
                let padding = " ".repeat(width - width_of(cell));
                match align {
                    Align::Left => line.extend([cell, &padding, "  "]),
                    Align::Right => line.extend([&padding, cell, "  "]),
                }
            }
            let line_break = if index + 1 < self.rows.len() { "\n" } else { "" };
            write!(f, "{}{line_break}", line.trim_end())?;
        }
        Ok(())
    }
}

/// Text for a shell: in single quotes where it holds anything that a shell would read.
pub(crate) fn quoted(word: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:@%+,=".contains(&byte);
    if !word.is_empty() && word.bytes().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let mut table = Table::with_head(&[Align::Left, Align::Right, Align::Left], &["NAME", "SIZE", "TEXT"]);
        table.row(["photos", "1", "ä"].map(String::from));
        table.row(["x", "1000", ""].map(String::from));
        assert_eq!(table.to_string(), "NAME    SIZE  TEXT\nphotos     1  ä\nx       1000");
        let facts = Table::of_facts([("size", "1".to_owned()), ("tree hash", "2".to_owned())]);
        assert_eq!(facts.to_string(), "size       1\ntree hash  2");
    }

    #[test]
    fn a_shell_reads_back_what_was_quoted() {
        assert_eq!(quoted("-6ZUS_3Xl"), "-6ZUS_3Xl");
        assert_eq!(quoted("my file"), "'my file'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted(""), "''");
        assert_eq!(quoted("$HOME"), "'$HOME'");
    }
}
