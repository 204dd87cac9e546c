//! Trained heads in a project file, so that a project opens with its results.

use ndarray::{Array1, Array2};
use rusqlite::{Row, Transaction, params};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::{Failure, OutOfStep};
use crate::head::{Head, HeadKind, HeadMeta, TrainRecord};
use crate::metrics::Report;
use crate::project::ClassId;

/// A head with all that is shown of it.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredHead {
    /// The head.
    pub head: Head,
    /// How it came about.
    pub record: TrainRecord,
    /// Its figures on the validation images, if there are any.
    pub val: Option<Report>,
    /// Its figures on the test images, if there are any.
    pub test: Option<Report>,
    /// The project's classes, in the order of the head's.
    pub class_ids: Vec<ClassId>,
    /// Which state of the project it was trained on; counted by whoever trains.
    pub revision: u64,
    /// Images that it was fitted on.
    pub n_train: usize,
    /// Images that it was judged on.
    pub n_val: usize,
}

impl StoredHead {
    /// Linear or prototypes.
    pub fn kind(&self) -> HeadKind {
        self.head.kind()
    }
}

/// Puts `heads` in the place of those that are there.
pub(super) fn replace(transaction: &Transaction<'_>, heads: &[StoredHead]) -> Result<(), Failure> {
    transaction.execute("DELETE FROM head", [])?;
    let mut insert = transaction.prepare_cached(
        "INSERT INTO head (meta, matrix, bias, record, val, test, class_ids, revision, n_train, n_val)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    )?;
    for stored in heads {
        let (matrix, bias) = stored.head.arrays();
        insert.execute(params![
            json("a head", &stored.head.meta())?,
            to_bytes(matrix.iter()),
            bias.map(|bias| to_bytes(bias.iter())),
            json("a head's record", &stored.record)?,
            stored.val.as_ref().map(|report| json("a report", report)).transpose()?,
            stored.test.as_ref().map(|report| json("a report", report)).transpose()?,
            json("a head's classes", &stored.class_ids)?,
            stored.revision.cast_signed(),
            stored.n_train as i64,
            stored.n_val as i64,
        ])?;
    }
    Ok(())
}

/// The heads, in the order in which they were stored. One that cannot be understood is left out: it is trained again
/// from the labels, so it is no reason to refuse the project.
pub(super) fn load(transaction: &Transaction<'_>) -> rusqlite::Result<Vec<StoredHead>> {
    let mut query = transaction.prepare(
        "SELECT meta, matrix, bias, record, val, test, class_ids, revision, n_train, n_val FROM head ORDER BY id",
    )?;
    let mut rows = query.query([])?;
    let mut heads = Vec::new();
    while let Some(row) = rows.next()? {
        match parse(row) {
            Ok(head) => heads.push(head),
            Err(Unusable::Sqlite(error)) if error.sqlite_error().is_some() => return Err(error),
            Err(error) => tracing::warn!(%error, "a stored head is left out"),
        }
    }
    Ok(heads)
}

#[derive(Debug, thiserror::Error)]
enum Unusable {
    #[error("{0}")]
    Sqlite(#[from] rusqlite::Error),
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    #[error("{0}")]
    Head(#[from] crate::head::HeadError),
    #[error("its numbers are too few or too many")]
    Shape,
}

fn parse(row: &Row<'_>) -> Result<StoredHead, Unusable> {
    fn get<T: DeserializeOwned>(row: &Row<'_>, idx: usize) -> Result<T, Unusable> {
        Ok(serde_json::from_str(row.get_ref(idx)?.as_str().map_err(rusqlite::Error::from)?)?)
    }
    fn get_report(row: &Row<'_>, idx: usize) -> Result<Option<Report>, Unusable> {
        let text: Option<String> = row.get(idx)?;
        Ok(text.map(|text| serde_json::from_str(&text)).transpose()?)
    }
    let meta: HeadMeta = get(row, 0)?;
    let (HeadMeta::Linear { space, classes }
    | HeadMeta::Prototype { space, classes, .. }
    | HeadMeta::Text { space, classes, .. }) = &meta;
    let (n_classes, dim) = (classes.len(), space.dim);
    let matrix = from_bytes(row.get_ref(1)?.as_blob().map_err(rusqlite::Error::from)?)?;
    let matrix = Array2::from_shape_vec((n_classes, dim), matrix).map_err(|_| Unusable::Shape)?;
    let bias: Option<Vec<u8>> = row.get(2)?;
    let bias = bias.map(|bytes| from_bytes(&bytes)).transpose()?.map(Array1::from_vec);
    let class_ids: Vec<ClassId> = get(row, 6)?;
    if class_ids.len() != n_classes {
        return Err(Unusable::Shape);
    }
    Ok(StoredHead {
        head: Head::from_parts(meta, matrix, bias)?,
        record: get(row, 3)?,
        val: get_report(row, 4)?,
        test: get_report(row, 5)?,
        class_ids,
        revision: row.get::<_, i64>(7)?.cast_unsigned(),
        n_train: usize::try_from(row.get::<_, i64>(8)?).map_err(|_| Unusable::Shape)?,
        n_val: usize::try_from(row.get::<_, i64>(9)?).map_err(|_| Unusable::Shape)?,
    })
}

/// As JSON.
pub(super) fn json<T: Serialize>(what: &'static str, value: &T) -> Result<String, Failure> {
    serde_json::to_string(value).map_err(|_| OutOfStep::Unstorable { what }.into())
}

fn to_bytes<'a>(values: impl Iterator<Item = &'a f32>) -> Vec<u8> {
    values.flat_map(|v| v.to_le_bytes()).collect()
}

fn from_bytes(bytes: &[u8]) -> Result<Vec<f32>, Unusable> {
    let (chunks, rest) = bytes.as_chunks::<4>();
    if !rest.is_empty() {
        return Err(Unusable::Shape);
    }
    Ok(chunks.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
}
