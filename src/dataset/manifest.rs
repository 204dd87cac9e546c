//! Tables of images: Hugging Face's `metadata.csv` / `metadata.jsonl`, CSV with path and label columns, and the
//! header-less `TRAIN,path,label`.

use super::Split;

/// One line of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Path as written, relative to the table (or absolute).
    pub path: String,
    /// Label, if there is one.
    pub label: Option<String>,
    /// Split, if there is one.
    pub split: Option<Split>,
}

/// Why a table could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// No column names a file.
    #[error(
        "the table has no column named path, file_name, filename, file or image (its first line is {first_line:?})"
    )]
    NoPathColumn {
        /// The table's first line.
        first_line: String,
    },
    /// A line that is no CSV.
    #[error("line {line} of the table is not CSV: {message}")]
    Csv {
        /// Line number, from 1.
        line: u64,
        /// What the reader said.
        message: String,
    },
    /// A path or a label with a line break in it: nearly always a quotation mark that is left open.
    #[error("line {line} of the table has a line break inside its {column}: is a quotation mark left open?")]
    LineBreak {
        /// Line number, from 1, where the record begins.
        line: usize,
        /// Which cell.
        column: Column,
    },
    /// A quotation mark that swallows the rest of the table.
    #[error("line {line} of the table opens a quotation mark that is never closed")]
    OpenQuote {
        /// Line number, from 1, where the record begins.
        line: usize,
    },
    /// A line that is no JSON object with `file_name`.
    #[error("line {line} of the table is not a JSON object with a file_name")]
    Json {
        /// Line number, from 1.
        line: usize,
    },
}

/// A column that every table of images has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    /// It names the file.
    Path,
    /// It names the class.
    Label,
}

impl std::fmt::Display for Column {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Path => "path",
            Self::Label => "label",
        })
    }
}

const PATH_COLUMNS: [&str; 7] = ["file_name", "path", "filename", "file", "image", "image_path", "filepath"];
const LABEL_COLUMNS: [&str; 4] = ["label", "class", "category", "target"];
const SPLIT_COLUMNS: [&str; 3] = ["split", "set", "subset"];

const CONFIDENCE_COLUMN: &str = "confidence";
/// Spreadsheets write `;` where the comma is the decimal mark, and tabs when asked for text.
const DELIMITERS: [u8; 3] = [b',', b';', b'\t'];

/// What a table says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// Its lines that name a file.
    pub rows: Vec<Row>,
    /// Whether it has a column `Confidence`, as tables of predictions have.
    pub has_confidence: bool,
}

impl Table {
    /// Whether any line has a label.
    pub fn has_labels(&self) -> bool {
        self.rows.iter().any(|row| row.label.is_some())
    }
}

/// Whether the first line of a CSV says that it is a table of images (so that any other CSV is left alone).
pub fn looks_like_image_table(text: &str) -> bool {
    Head::of(text).is_some_and(|head| head.columns.is_some())
}

/// Which column says what.
#[derive(Clone, Copy, Debug)]
struct Columns {
    path: usize,
    label: Option<usize>,
    split: Option<usize>,
    has_confidence: bool,
    has_header: bool,
}

impl Columns {
    fn of(record: &csv::StringRecord) -> Option<Self> {
        let cells: Vec<String> = record.iter().map(|c| c.trim().to_ascii_lowercase()).collect();
        let find = |names: &[&str]| names.iter().find_map(|n| cells.iter().position(|c| c == n));
        let is_split = |c: &str| Split::from_name(c).is_some() || c == "unassigned";
        // `TRAIN,path,label`: the first cell is a split, the second looks like a file.
        if cells.len() >= 2 && is_split(&cells[0]) && cells[1].contains('.') {
            return Some(Self { path: 1, label: Some(2), split: Some(0), has_confidence: false, has_header: false });
        }
        Some(Self {
            path: find(&PATH_COLUMNS)?,
            label: find(&LABEL_COLUMNS),
            split: find(&SPLIT_COLUMNS),
            has_confidence: find(&[CONFIDENCE_COLUMN]).is_some(),
            has_header: true,
        })
    }

    /// How many of a table's usual columns there are.
    fn n_known(&self) -> usize {
        1 + usize::from(self.label.is_some()) + usize::from(self.split.is_some())
    }
}

/// The first line with anything in it.
struct Head {
    record: csv::StringRecord,
    delimiter: u8,
    /// `None` where no column names a file.
    columns: Option<Columns>,
}

impl Head {
    /// Reads it with the delimiter under which most of the usual columns are found; `None` of an empty table.
    fn of(text: &str) -> Option<Self> {
        let heads = DELIMITERS.into_iter().filter_map(|delimiter| {
            let record = reader(text, delimiter).into_records().find_map(|r| r.ok().filter(|r| !is_blank(r)))?;
            let columns = Columns::of(&record);
            Some(Self { record, delimiter, columns })
        });
        let n_known = |head: &Self| head.columns.as_ref().map_or(0, Columns::n_known);
        heads.reduce(|best, head| if n_known(&head) > n_known(&best) { head } else { best })
    }
}

fn reader(text: &str, delimiter: u8) -> csv::Reader<&[u8]> {
    csv::ReaderBuilder::new()
        // The header is found by hand, since blank lines may stand above it.
        .has_headers(false)
        .flexible(true)
        .delimiter(delimiter)
        .trim(csv::Trim::All)
        .from_reader(text.trim_start_matches('\u{feff}').as_bytes())
}

/// Whether every cell is empty, as in the blank lines that spreadsheets write (`,,,`).
fn is_blank(record: &csv::StringRecord) -> bool {
    record.iter().all(|cell| cell.trim().is_empty())
}

/// Line number of a record, from 1. A record's position is before any empty lines above it.
fn line_of(text: &str, record: &csv::StringRecord) -> usize {
    let bytes = text.trim_start_matches('\u{feff}').as_bytes();
    let start = record.position().map_or(0, |p| usize::try_from(p.byte()).unwrap_or(usize::MAX)).min(bytes.len());
    let n_empty = bytes[start..].iter().take_while(|b| matches!(b, b'\r' | b'\n')).count();
    1 + bytes[..start + n_empty].iter().filter(|b| **b == b'\n').count()
}

fn has_line_break(cell: &str) -> bool {
    cell.contains(['\n', '\r'])
}

/// Reads a CSV with a header, or the header-less `TRAIN,path,label`. Cells are parted by commas, semicolons or tabs.
///
/// # Errors
/// When no column names a file, a line is not CSV, or a quotation mark is left open.
pub fn parse_csv(text: &str) -> Result<Table, ManifestError> {
    let head = Head::of(text);
    let Some((columns, delimiter)) = head.as_ref().and_then(|h| Some((h.columns?, h.delimiter))) else {
        let cells = head.map(|h| h.record.iter().collect::<Vec<_>>().join(","));
        return Err(ManifestError::NoPathColumn { first_line: cells.unwrap_or_default().chars().take(120).collect() });
    };
    let mut table = Table { has_confidence: columns.has_confidence, ..Table::default() };
    let mut is_header = columns.has_header;
    let mut last: Option<csv::StringRecord> = None;
    for record in reader(text, delimiter).into_records() {
        let record = record.map_err(|e| ManifestError::Csv {
            line: e.position().map_or(0, csv::Position::line),
            message: e.to_string(),
        })?;
        if is_blank(&record) {
            continue;
        }
        let cell = |col: Option<usize>| col.and_then(|c| record.get(c)).filter(|c| !c.is_empty());
        if !std::mem::take(&mut is_header)
            && let Some(path) = cell(Some(columns.path))
        {
            for (column, text_of_cell) in [(Column::Path, Some(path)), (Column::Label, cell(columns.label))] {
                if text_of_cell.is_some_and(has_line_break) {
                    return Err(ManifestError::LineBreak { line: line_of(text, &record), column });
                }
            }
            table.rows.push(Row {
                path: path.to_owned(),
                label: cell(columns.label).map(str::to_owned),
                split: cell(columns.split).and_then(Split::from_name),
            });
        }
        last = Some(record);
    }
    // An open quotation mark swallows the rest of the text, also in a column that is not looked at.
    if let Some(record) = last
        && record.iter().next_back().is_some_and(has_line_break)
        && !text.trim_end().ends_with('"')
    {
        return Err(ManifestError::OpenQuote { line: line_of(text, &record) });
    }
    Ok(table)
}

/// Reads `metadata.jsonl`: an object a line, with `file_name`, and `label` or `class` where it has them.
///
/// # Errors
/// When a line is no such object, or its path or label has a line break in it.
pub fn parse_jsonl(text: &str) -> Result<Table, ManifestError> {
    let mut rows = Vec::new();
    for (i, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        let bad = || ManifestError::Json { line: i + 1 };
        let value: serde_json::Value = serde_json::from_str(line).map_err(|_| bad())?;
        let text_of = |names: &[&str]| {
            names.iter().find_map(|n| match value.get(*n) {
                Some(serde_json::Value::String(s)) if !s.is_empty() => Some(s.clone()),
                Some(serde_json::Value::Number(n)) => Some(n.to_string()),
                _ => None,
            })
        };
        let (path, label) = (text_of(&PATH_COLUMNS).ok_or_else(bad)?, text_of(&LABEL_COLUMNS));
        for (column, text_of_cell) in [(Column::Path, Some(&path)), (Column::Label, label.as_ref())] {
            if text_of_cell.is_some_and(|c| has_line_break(c)) {
                return Err(ManifestError::LineBreak { line: i + 1, column });
            }
        }
        rows.push(Row { path, label, split: text_of(&SPLIT_COLUMNS).and_then(|s| Split::from_name(&s)) });
    }
    Ok(Table { rows, has_confidence: false })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn row(path: &str, label: Option<&str>, split: Option<Split>) -> Row {
        Row { path: path.into(), label: label.map(Into::into), split }
    }

    #[test]
    fn csv_headers_and_none() {
        let with_header = "\u{feff}Image,Class,split\na.png,cat,train\n\"b,1.png\",dog,validation\n,,\n";
        assert!(looks_like_image_table(with_header));
        assert_eq!(
            parse_csv(with_header).unwrap().rows,
            [row("a.png", Some("cat"), Some(Split::Train)), row("b,1.png", Some("dog"), Some(Split::Val))]
        );
        let without = "TRAIN,a.png,cat\nTEST,b.png,dog\nUNASSIGNED,c.png\n";
        assert!(looks_like_image_table(without));
        assert_eq!(
            parse_csv(without).unwrap().rows,
            [
                row("a.png", Some("cat"), Some(Split::Train)),
                row("b.png", Some("dog"), Some(Split::Test)),
                row("c.png", None, None)
            ]
        );
    }

    #[test]
    fn other_tables_are_left_alone_or_refused() {
        assert!(!looks_like_image_table("date,price\n1,2\n"));
        assert!(matches!(parse_csv("date,price\n1,2\n"), Err(ManifestError::NoPathColumn { .. })));
    }

    #[test]
    fn jsonl() {
        let text = "{\"file_name\":\"a.png\",\"label\":3}\n\n{\"file_name\":\"b.png\",\"class\":\"x\"}\n";
        assert_eq!(parse_jsonl(text).unwrap().rows, [row("a.png", Some("3"), None), row("b.png", Some("x"), None)]);
        assert!(matches!(parse_jsonl("{\"x\":1}"), Err(ManifestError::Json { line: 1 })));
    }

    #[test]
    fn the_header_is_csv_too() {
        let expected = [row("a.png", Some("cat"), None)];
        for text in [
            "\"my,id\",path,label\n1,a.png,cat\n",
            "\n  \n,,\npath,label\r\n\r\na.png,cat\r\n",
            "id;Path;Label\n1;a.png;cat\n",
            "\tpath\tlabel\n0\ta.png\tcat\n",
            "\"path\";\"label\";\"a,b\"\n\"a.png\";\"cat\";\"1,5\"\n",
            "path,label,comment\na.png,cat,\"two\nlines\"\n",
        ] {
            assert!(looks_like_image_table(text), "{text:?}");
            assert_eq!(parse_csv(text).unwrap().rows, expected, "{text:?}");
        }
        let headless = parse_csv("TEST;a.png;cat\n").unwrap();
        assert_eq!(headless.rows, [row("a.png", Some("cat"), Some(Split::Test))]);
        assert!(matches!(parse_csv("\n \n"), Err(ManifestError::NoPathColumn { first_line }) if first_line.is_empty()));
    }

    #[test]
    fn open_quotation_marks_are_named_with_their_line() {
        let error = |text| parse_csv(text).unwrap_err().to_string();
        let label = error("\n\npath,label\na.png,cat\n\nb.png,\"dog\nc.png,cat\n");
        assert_eq!(label, "line 6 of the table has a line break inside its label: is a quotation mark left open?");
        assert!(error("path,label\n\"a.png,cat\nb.png,dog\n").starts_with("line 2 of the table has a line break"));
        let ignored = error("path,label,comment\na.png,cat,ok\nb.png,dog,\"oops\nc.png,cat,\n");
        assert_eq!(ignored, "line 3 of the table opens a quotation mark that is never closed");
        let jsonl = parse_jsonl("{\"file_name\":\"a.png\",\"label\":\"a\\nb\"}");
        assert!(matches!(jsonl, Err(ManifestError::LineBreak { line: 1, column: Column::Label })));
    }

    #[test]
    fn tables_of_predictions_are_told_by_their_confidence() {
        let answers = parse_csv("File,Label,Confidence,cat,dog\na.png,cat,0.9,0.9,0.1\n").unwrap();
        assert!(answers.has_confidence && answers.has_labels());
        assert!(!parse_csv("path,width\na.png,3\n").unwrap().has_labels());
    }
}
