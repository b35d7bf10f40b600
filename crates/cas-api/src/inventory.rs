//! Inventories: the list of a vault's archives that a job makes, as JSON or CSV.
//!
//! A vault may hold millions of archives, so an inventory is read entry by entry, in memory for one entry.

use std::cell::Cell;
use std::fmt;
use std::io::{self, BufRead, BufReader, Read};

use cas_http::json::{JsonObject, JsonWriter};
use cas_http::{ArchiveId, Timestamp, TreeHash, WireError};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// One archive in an inventory.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct InventoryEntry {
    /// Its identifier.
    pub archive_id: ArchiveId,
    /// The free text it was uploaded with; empty when there was none.
    pub description: String,
    /// When it was uploaded.
    pub creation_date: Timestamp,
    /// Its size in bytes.
    pub size: u64,
    /// Its tree hash. A CSV inventory may lack it.
    pub tree_hash: Option<TreeHash>,
}

impl InventoryEntry {
    /// An archive without a description.
    #[must_use]
    pub fn new(
        archive_id: impl Into<ArchiveId>,
        creation_date: Timestamp,
        size: u64,
        tree_hash: Option<TreeHash>,
    ) -> Self {
        InventoryEntry { archive_id: archive_id.into(), description: String::new(), creation_date, size, tree_hash }
    }

    /// The entry as it stands in `ArchiveList`.
    #[must_use]
    pub fn to_value(&self) -> Value {
        JsonWriter::new()
            .set("ArchiveDescription", self.description.as_str())
            .set("ArchiveId", self.archive_id.as_str())
            .set("CreationDate", self.creation_date.to_string())
            .set_or_null("SHA256TreeHash", self.tree_hash)
            .set("Size", self.size)
            .into()
    }

    /// The entry as a line of a CSV inventory, in the order of [`CSV_COLUMNS`], ending with `\r\n`; quoted as RFC 4180 says.
    #[must_use]
    pub fn to_csv_line(&self) -> String {
        let hash = self.tree_hash.map(|hash| hash.to_string()).unwrap_or_default();
        let description = self.description.replace('"', "\"\"");
        format!("{},\"{description}\",{},{},{hash}\r\n", self.archive_id, self.creation_date, self.size)
    }

    fn from_object(object: &JsonObject) -> Result<Self, WireError> {
        Ok(InventoryEntry {
            archive_id: object.require("ArchiveId")?,
            description: object.text("ArchiveDescription")?.unwrap_or_default(),
            creation_date: object.require("CreationDate")?,
            size: object.number("Size")?.ok_or_else(|| WireError::missing("Size"))?,
            tree_hash: object.parse("SHA256TreeHash")?,
        })
    }
}

/// The columns of a CSV inventory. The service's page announces five and names four; the fifth is taken to be the tree hash.
pub const CSV_COLUMNS: [&str; 5] = ["ArchiveId", "ArchiveDescription", "CreationDate", "Size", "SHA256TreeHash"];

/// What an inventory says of itself.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct InventoryHead {
    /// The vault's resource name. A CSV inventory lacks it.
    pub vault_qcs: Option<String>,
    /// When the service last compiled the list. A CSV inventory lacks it.
    pub date: Option<Timestamp>,
}

/// Why an inventory could not be read.
#[derive(Debug)]
#[non_exhaustive]
pub enum InventoryError {
    /// The bytes could not be had.
    Read(io::Error),
    /// The text is not an inventory: what is wrong, and where.
    Malformed(String),
    /// An entry makes no sense: its position, counted from 0, and what is wrong with it.
    Entry {
        /// Its position, counted from 0.
        index: u64,
        /// What is wrong with it.
        source: WireError,
    },
}

impl fmt::Display for InventoryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InventoryError::Read(_) => f.write_str("the inventory could not be read"),
            InventoryError::Malformed(why) => write!(f, "not an inventory: {why}"),
            InventoryError::Entry { index, .. } => write!(f, "entry {index} of the inventory makes no sense"),
        }
    }
}

impl std::error::Error for InventoryError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            InventoryError::Read(error) => Some(error),
            InventoryError::Malformed(_) => None,
            InventoryError::Entry { source, .. } => Some(source),
        }
    }
}

/// Reads a JSON inventory, handing over each entry as it comes. Memory is that of one entry.
///
/// # Errors
///
/// When the bytes cannot be had, the text is no inventory, a MiB comes without a whole entry, or an entry makes no sense. Entries before it
/// were handed over.
///
/// ```
/// let text = br#"{"VaultQCS":"q","InventoryDate":"2024-03-01T00:00:00.000Z","ArchiveList":[
///     {"ArchiveId":"a","ArchiveDescription":"x","CreationDate":"2024-02-01T00:00:00.000Z","Size":5,"SHA256TreeHash":null}]}"#;
/// let mut sizes = Vec::new();
/// let head = cas_api::inventory::read_json(&text[..], |entry| sizes.push(entry.size))?;
/// assert_eq!(sizes, [5]);
/// assert_eq!(head.vault_qcs.as_deref(), Some("q"));
/// # Ok::<(), cas_api::inventory::InventoryError>(())
/// ```
pub fn read_json(reader: impl Read, on_entry: impl FnMut(InventoryEntry)) -> Result<InventoryHead, InventoryError> {
    let room = Cell::new(MAX_JSON_ENTRY);
    let mut walk = Walk { on_entry, head: InventoryHead::default(), index: 0, problem: None, room: &room };
    let mut json = serde_json::Deserializer::from_reader(BufReader::new(Bounded { reader, room: &room }));
    let outcome = DeserializeSeed::deserialize(&mut walk, &mut json).and_then(|()| json.end());
    match (walk.problem, outcome) {
        (Some(problem), _) => Err(problem),
        (None, Err(_)) if room.get() == 0 => {
            Err(InventoryError::Malformed(format!("{MAX_JSON_ENTRY} bytes came without a whole entry")))
        }
        (None, Err(error)) if error.is_io() => Err(InventoryError::Read(error.into())),
        (None, Err(error)) => Err(InventoryError::Malformed(error.to_string())),
        (None, Ok(())) => Ok(walk.head),
    }
}

/// So much may come without a whole entry, and so much is the most that is held in memory; an entry has some 1500 bytes.
const MAX_JSON_ENTRY: usize = 1 << 20;

/// A reader that gives no more than there is room for. Every entry makes the room anew.
struct Bounded<'r, R> {
    reader: R,
    room: &'r Cell<usize>,
}

impl<R: Read> Read for Bounded<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let allowed = buffer.len().min(self.room.get());
        let read = self.reader.read(&mut buffer[..allowed])?;
        self.room.set(self.room.get() - read);
        Ok(read)
    }
}

/// The state of a walk over the JSON text. A problem with an entry is kept aside, because serde's own errors carry only text.
struct Walk<'r, F> {
    on_entry: F,
    head: InventoryHead,
    index: u64,
    problem: Option<InventoryError>,
    room: &'r Cell<usize>,
}

impl<'de, F: FnMut(InventoryEntry)> DeserializeSeed<'de> for &mut Walk<'_, F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, F: FnMut(InventoryEntry)> Visitor<'de> for &mut Walk<'_, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an inventory object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut listed = false;
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "VaultQCS" => self.head.vault_qcs = map.next_value::<Option<String>>()?,
                "InventoryDate" => {
                    self.head.date = map.next_value::<Option<String>>()?.and_then(|text| text.parse().ok())
                }
                "ArchiveList" => {
                    map.next_value_seed(Entries(self))?;
                    listed = true;
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        // Without this a captive portal's `{}` would pass for an empty vault.
        if listed { Ok(()) } else { Err(serde::de::Error::custom("ArchiveList is missing")) }
    }
}

/// The walk inside `ArchiveList`.
struct Entries<'w, 'r, F>(&'w mut Walk<'r, F>);

impl<'de, F: FnMut(InventoryEntry)> DeserializeSeed<'de> for Entries<'_, '_, F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de, F: FnMut(InventoryEntry)> Visitor<'de> for Entries<'_, '_, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of archives")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while let Some(map) = seq.next_element::<Map<String, Value>>()? {
            match InventoryEntry::from_object(&JsonObject::from(map)) {
                Ok(entry) => (self.0.on_entry)(entry),
                Err(source) => {
                    self.0.problem = Some(InventoryError::Entry { index: self.0.index, source });
                    return Err(serde::de::Error::custom("stopped at an entry that makes no sense"));
                }
            }
            self.0.index += 1;
            self.0.room.set(MAX_JSON_ENTRY);
        }
        Ok(())
    }
}

/// Reads a CSV inventory, handing over each entry as it comes. Memory is that of one entry.
///
/// The service documents neither a header line, nor quoting, nor line ends, so columns are found by name when the first line holds
/// `ArchiveId` and `CreationDate`, and by position otherwise, four or five of them; a quote within quotes may be doubled or follow a backslash.
///
/// # Errors
///
/// When the bytes cannot be had, the text is not CSV, or an entry makes no sense. Entries before it were handed over.
pub fn read_csv(reader: impl Read, mut on_entry: impl FnMut(InventoryEntry)) -> Result<InventoryHead, InventoryError> {
    let mut records = Records { reader: BufReader::new(reader) };
    let mut columns: Option<Vec<String>> = None;
    let mut index = 0;
    while let Some(record) = records.next()? {
        let columns = match &columns {
            Some(columns) => columns,
            None if is_header(&record) => {
                columns = Some(record.iter().map(|field| field.trim().to_owned()).collect());
                continue;
            }
            None => columns.insert(CSV_COLUMNS.iter().map(|&column| column.to_owned()).collect()),
        };
        let entry = entry_of(columns, record).map_err(|source| InventoryError::Entry { index, source })?;
        on_entry(entry);
        index += 1;
    }
    Ok(InventoryHead::default())
}

/// Two names, because one may be the description of an archive; an identifier and a date are never both written so.
fn is_header(record: &[String]) -> bool {
    ["ArchiveId", "CreationDate"].iter().all(|name| record.iter().any(|field| field.trim() == *name))
}

fn entry_of(columns: &[String], record: Vec<String>) -> Result<InventoryEntry, WireError> {
    if record.len() < CSV_COLUMNS.len() - 1 || record.len() > columns.len() {
        let what = format!("expected {} columns, or one less, found {}", columns.len(), record.len());
        return Err(WireError::invalid("line", what));
    }
    let values = columns.iter().cloned().zip(record.into_iter().map(Value::String));
    InventoryEntry::from_object(&JsonObject::from(values.collect::<Map<String, Value>>()))
}

/// The records of a CSV text.
struct Records<R> {
    reader: BufReader<R>,
}

/// A record longer than this is no inventory line: the description has at most 1024 bytes.
const MAX_RECORD: usize = 64 << 10;

impl<R: Read> Records<R> {
    /// The next record that is not an empty line. A line end within quotes belongs to the field.
    fn next(&mut self) -> Result<Option<Vec<String>>, InventoryError> {
        let mut text = Vec::new();
        loop {
            let room = (MAX_RECORD - text.len()) as u64;
            let read = (&mut self.reader).take(room).read_until(b'\n', &mut text).map_err(InventoryError::Read)?;
            if text.len() >= MAX_RECORD {
                return Err(InventoryError::Malformed(format!("a line is longer than {MAX_RECORD} bytes")));
            }
            if text.trim_ascii().is_empty() {
                if read == 0 {
                    return Ok(None);
                }
                text.clear();
                continue;
            }
            match fields(&text)? {
                Some(fields) => return Ok(Some(fields)),
                None if read == 0 => return Err(InventoryError::Malformed("a quote is never closed".into())),
                // A quoted field goes on in the next line.
                None => {}
            }
        }
    }
}

/// Cuts a record into its fields; `None` when its last field is quoted and not closed.
///
/// Only at the beginning of a field does a quote open one: a service that does not quote must not have its lines run together by a quote
/// in a description.
fn fields(record: &[u8]) -> Result<Option<Vec<String>>, InventoryError> {
    let text = std::str::from_utf8(record).map_err(|_| InventoryError::Malformed("a line is not UTF-8".into()))?;
    let mut chars = text.trim_start_matches('\u{feff}').chars().peekable();
    let (mut fields, mut field) = (Vec::new(), String::new());
    let (mut at_start, mut quoted) = (true, false);
    while let Some(c) = chars.next() {
        let opens = at_start && c == '"';
        at_start = !quoted && c == ',';
        match c {
            '"' if opens => quoted = true,
            '"' if quoted && chars.peek() == Some(&'"') => field.extend(chars.next()),
            '\\' if quoted && matches!(chars.peek(), Some('"' | '\\')) => field.extend(chars.next()),
            '"' if quoted => quoted = false,
            ',' if !quoted => fields.push(std::mem::take(&mut field)),
            '\r' | '\n' if !quoted => {}
            c => field.push(c),
        }
    }
    fields.push(field);
    Ok(if quoted { None } else { Some(fields) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(id: &str, description: &str) -> InventoryEntry {
        let date = "2024-02-01T00:00:00Z".parse().unwrap();
        let mut entry = InventoryEntry::new(ArchiveId::parse(id).unwrap(), date, 5, Some(TreeHash::of(b"hello")));
        entry.description = description.into();
        entry
    }

    fn json(text: &str) -> Result<Vec<InventoryEntry>, InventoryError> {
        let mut entries = Vec::new();
        read_json(text.as_bytes(), |entry| entries.push(entry)).map(|_| entries)
    }

    fn csv(text: &str) -> Result<Vec<InventoryEntry>, InventoryError> {
        let mut entries = Vec::new();
        read_csv(text.as_bytes(), |entry| entries.push(entry)).map(|_| entries)
    }

    #[test]
    fn json_goes_both_ways_and_unknown_keys_are_passed_over() {
        let entries = [entry("-a", "报告, \"x\""), entry("b", "")];
        let list: Vec<Value> = entries.iter().map(InventoryEntry::to_value).collect();
        let text = format!(r#"{{"New":[1,{{}}],"ArchiveList":{},"VaultQCS":null}}"#, Value::Array(list));
        assert_eq!(json(&text).unwrap(), entries);
        assert_eq!(json(r#"{"ArchiveList":[]}"#).unwrap(), []);
    }

    #[test]
    fn csv_goes_both_ways_whatever_is_in_a_description() {
        let entries = [entry("-a", "报告, \"x\""), entry("b", ""), entry("c", " a,b ")];
        let lines: String = entries.iter().map(InventoryEntry::to_csv_line).collect();
        let text = format!("{}\r\n{lines}", CSV_COLUMNS.join(","));
        assert_eq!(csv(&text).unwrap(), entries);
        assert_eq!(csv(&lines).unwrap(), entries, "without the header line");
        assert_eq!(csv("").unwrap(), []);
    }

    #[test]
    fn csv_of_unknown_habit_is_read() {
        let date = "2024-02-01T00:00:00.000Z";
        let unquoted = csv(&format!("a,6\" of \"snow,{date},5\nb,\"two\"\"\",{date},6\n")).unwrap();
        assert_eq!([&unquoted[0].description, &unquoted[1].description], ["6\" of \"snow", "two\""]);
        let backslash = csv(&format!("a,\"say \\\"hi\\\"\",{date},5\n\n")).unwrap();
        assert_eq!((backslash[0].description.as_str(), backslash[0].tree_hash), ("say \"hi\"", None));
        let other_order =
            csv(&format!("Size,ArchiveId,CreationDate,ArchiveDescription\n5,a,{date},\"two\nlines\"")).unwrap();
        assert_eq!((other_order[0].size, other_order[0].description.as_str()), (5, "two\nlines"));
    }

    #[test]
    fn a_first_line_whose_description_is_the_name_of_a_column_is_an_archive() {
        for name in CSV_COLUMNS {
            let entry = entry("a", name);
            assert_eq!(csv(&entry.to_csv_line()).unwrap(), [entry], "{name}");
        }
    }

    #[test]
    fn a_broken_entry_names_its_position() {
        let date = "2024-02-01T00:00:00.000Z";
        let good = entry("a", "").to_value();
        for (text, at) in [
            (format!(r#"{{"ArchiveList":[{good},{{"ArchiveId":"b"}}]}}"#), 1),
            (r#"{"ArchiveList":[{}]}"#.to_owned(), 0),
        ] {
            assert!(matches!(json(&text), Err(InventoryError::Entry { index, .. }) if index == at), "{text}");
        }
        assert!(matches!(csv(&format!("a,x,{date},5\nb,x\n")), Err(InventoryError::Entry { index: 1, .. })));
        assert!(matches!(csv(&format!("a,x,{date},-5\n")), Err(InventoryError::Entry { index: 0, .. })));
        assert!(matches!(csv(&format!("a,x,y,{date},5,,\n")), Err(InventoryError::Entry { index: 0, .. })));
    }

    /// A text that is made while it is read: a beginning, a piece as often as it is wanted, and an end. It counts what was taken.
    struct Generated<'t> {
        pieces: Box<dyn Iterator<Item = &'t [u8]> + 't>,
        piece: &'t [u8],
        taken: &'t Cell<usize>,
    }

    impl<'t> Generated<'t> {
        fn new(begin: &'t str, piece: &'t str, times: usize, end: &'t str, taken: &'t Cell<usize>) -> Self {
            let pieces = [begin].into_iter().chain(std::iter::repeat_n(piece, times)).chain([end]);
            Generated { pieces: Box::new(pieces.map(str::as_bytes)), piece: b"", taken }
        }
    }

    impl Read for Generated<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            while self.piece.is_empty() {
                match self.pieces.next() {
                    Some(piece) => self.piece = piece,
                    None => return Ok(0),
                }
            }
            let read = self.piece.read(buffer)?;
            self.taken.set(self.taken.get() + read);
            Ok(read)
        }
    }

    #[test]
    fn an_entry_is_handed_over_before_more_than_a_buffer_of_what_follows_is_read() {
        const TIMES: usize = 1_000;
        let taken = Cell::new(0);
        let (value, line) = (entry("-a", "x").to_value().to_string(), entry("-a", "x").to_csv_line());
        let first = format!(r#"{{"ArchiveList":[{value}"#);
        let next = format!(",{value}");

        let mut entries = 0;
        read_json(Generated::new(&first, &next, TIMES, "]}", &taken), |_| {
            entries += 1;
            assert!(taken.get() < entries * next.len() + first.len() + 16_384, "{entries}");
        })
        .unwrap();
        assert_eq!(entries, TIMES + 1);

        let mut entries = 0;
        taken.set(0);
        read_csv(Generated::new("", &line, TIMES, "", &taken), |_| {
            entries += 1;
            assert!(taken.get() < entries * line.len() + 16_384, "{entries}");
        })
        .unwrap();
        assert_eq!(entries, TIMES);
    }

    #[test]
    fn what_never_becomes_an_entry_is_not_gathered_in_memory() {
        for begin in [r#"{"ArchiveList":[{"ArchiveId":""#, r#"{""#, "{"] {
            let taken = Cell::new(0);
            let piece = if begin == "{" { "                " } else { "aaaaaaaaaaaaaaaa" };
            let endless = Generated::new(begin, piece, usize::MAX, "", &taken);
            assert!(matches!(read_json(endless, |_| ()), Err(InventoryError::Malformed(_))), "{begin}");
            assert!(taken.get() <= MAX_JSON_ENTRY, "{begin}");
        }
    }

    #[test]
    fn what_is_no_inventory_is_refused() {
        for text in
            ["", "{", "{}", "[]", "<html>", r#"{"ArchiveList":[]} x"#, r#"{"ArchiveList":[]"#, r#"{"ArchiveList":[1]}"#]
        {
            assert!(matches!(json(text), Err(InventoryError::Malformed(_))), "{text}");
        }
        let endless = "x".repeat(MAX_RECORD + 1);
        for text in ["a,\"x", endless.as_str()] {
            assert!(matches!(csv(text), Err(InventoryError::Malformed(_))), "{text:.20}");
        }
    }
}
