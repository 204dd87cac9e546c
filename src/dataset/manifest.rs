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
    /// A line that is no JSON object with `file_name`.
    #[error("line {line} of the table is not a JSON object with a file_name")]
    Json {
        /// Line number, from 1.
        line: usize,
    },
}

const PATH_COLUMNS: [&str; 7] = ["file_name", "path", "filename", "file", "image", "image_path", "filepath"];
const LABEL_COLUMNS: [&str; 4] = ["label", "class", "category", "target"];
const SPLIT_COLUMNS: [&str; 3] = ["split", "set", "subset"];

/// Whether the first line of a CSV says that it is a table of images (so that any other CSV is left alone).
pub fn looks_like_image_table(text: &str) -> bool {
    columns(first_line(text)).is_some() || header_less(first_line(text))
}

fn first_line(text: &str) -> &str {
    text.trim_start_matches('\u{feff}').lines().next().unwrap_or_default()
}

fn cells(line: &str) -> Vec<String> {
    line.split(',').map(|c| c.trim().trim_matches('"').to_ascii_lowercase()).collect()
}

fn columns(line: &str) -> Option<(usize, Option<usize>, Option<usize>)> {
    let cells = cells(line);
    let find = |names: &[&str]| names.iter().find_map(|n| cells.iter().position(|c| c == n));
    Some((find(&PATH_COLUMNS)?, find(&LABEL_COLUMNS), find(&SPLIT_COLUMNS)))
}

/// `TRAIN,path,label`: the first cell is a split, the second looks like a file.
fn header_less(line: &str) -> bool {
    let cells = cells(line);
    cells.len() >= 2 && (Split::from_name(&cells[0]).is_some() || cells[0] == "unassigned") && cells[1].contains('.')
}

/// Reads a CSV with a header, or the header-less `TRAIN,path,label`.
///
/// # Errors
/// When no column names a file or a line is not CSV.
pub fn parse_csv(text: &str) -> Result<Vec<Row>, ManifestError> {
    let text = text.trim_start_matches('\u{feff}');
    let headless = header_less(first_line(text));
    let (path_col, label_col, split_col) = if headless {
        (1, Some(2), Some(0))
    } else {
        columns(first_line(text))
            .ok_or_else(|| ManifestError::NoPathColumn { first_line: first_line(text).chars().take(120).collect() })?
    };
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(!headless)
        .flexible(true)
        .trim(csv::Trim::All)
        .from_reader(text.as_bytes());
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|e| ManifestError::Csv {
            line: e.position().map_or(0, csv::Position::line),
            message: e.to_string(),
        })?;
        let cell = |col: Option<usize>| col.and_then(|c| record.get(c)).filter(|c| !c.is_empty());
        let Some(path) = cell(Some(path_col)) else { continue };
        rows.push(Row {
            path: path.to_owned(),
            label: cell(label_col).map(str::to_owned),
            split: cell(split_col).and_then(Split::from_name),
        });
    }
    Ok(rows)
}

/// Reads `metadata.jsonl`: an object a line, with `file_name`, and `label` or `class` where it has them.
///
/// # Errors
/// When a line is no such object.
pub fn parse_jsonl(text: &str) -> Result<Vec<Row>, ManifestError> {
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
        rows.push(Row {
            path: text_of(&PATH_COLUMNS).ok_or_else(bad)?,
            label: text_of(&LABEL_COLUMNS),
            split: text_of(&SPLIT_COLUMNS).and_then(|s| Split::from_name(&s)),
        });
    }
    Ok(rows)
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
            parse_csv(with_header).unwrap(),
            [row("a.png", Some("cat"), Some(Split::Train)), row("b,1.png", Some("dog"), Some(Split::Val))]
        );
        let without = "TRAIN,a.png,cat\nTEST,b.png,dog\nUNASSIGNED,c.png\n";
        assert!(looks_like_image_table(without));
        assert_eq!(
            parse_csv(without).unwrap(),
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
        assert_eq!(parse_jsonl(text).unwrap(), [row("a.png", Some("3"), None), row("b.png", Some("x"), None)]);
        assert!(matches!(parse_jsonl("{\"x\":1}"), Err(ManifestError::Json { line: 1 })));
    }
}
