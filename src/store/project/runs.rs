//! Runs in a project file. The judged images of one state of the data are stored once, however many heads were judged on
//! them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use rusqlite::types::ValueRef;
use rusqlite::{OptionalExtension, Row, Transaction, params};
use serde::{Deserialize, Serialize};

use super::error::Failure;
use super::heads::json;
use super::load::meta;
use crate::embedding::EmbeddingSpace;
use crate::head::TrainRecord;
use crate::metrics::Report;
use crate::project::runs::{DataRevision, Judged, Run, RunAnswer, RunId, RunMarks, Runs, SHORT_HASH};

/// Bytes of a judged image: its hash and its class.
const JUDGED_BYTES: usize = SHORT_HASH + 2;
/// Bytes of an answer: class and probability.
const ANSWER_BYTES: usize = 6;

/// All of a run but its answers, as JSON.
#[derive(Serialize, Deserialize)]
struct Facts {
    model: String,
    space: EmbeddingSpace,
    data: DataRevision,
    record: TrainRecord,
    val: Option<Report>,
    test: Option<Report>,
}

/// Adds a run.
pub(super) fn add(transaction: &Transaction<'_>, run: &Run) -> Result<(), Failure> {
    let judged: Vec<u8> = run.judged.iter().flat_map(|j| [&j.hash[..], &j.truth.to_le_bytes()].concat()).collect();
    let digest = *blake3::hash(&judged).as_bytes();
    let found = transaction
        .prepare_cached("SELECT id FROM judged WHERE digest = ?1")?
        .query_row([digest], |row| row.get::<_, i64>(0))
        .optional()?;
    let judged_id = match found {
        Some(id) => id,
        None => {
            transaction.execute("INSERT INTO judged (digest, images) VALUES (?1, ?2)", params![digest, judged])?;
            transaction.last_insert_rowid()
        }
    };
    let facts = Facts {
        model: run.model.clone(),
        space: run.space.clone(),
        data: run.data.clone(),
        record: run.record.clone(),
        val: run.val.clone(),
        test: run.test.clone(),
    };
    let answers: Vec<u8> =
        run.answers.iter().flat_map(|a| [&a.class.to_le_bytes()[..], &a.confidence.to_le_bytes()].concat()).collect();
    transaction.execute(
        "INSERT INTO run (id, unix_secs, facts, judged, answers) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![run.id.0, run.unix_secs.cast_signed(), json("a run", &facts)?, judged_id, answers],
    )?;
    // Never used again, also once the run is gone.
    transaction.execute("UPDATE meta SET value = max(value, ?1) WHERE key = 'next_run'", [i64::from(run.id.0) + 1])?;
    Ok(())
}

/// Removes runs, and the judged images that no run has any more.
pub(super) fn remove(transaction: &Transaction<'_>, ids: &[RunId]) -> rusqlite::Result<()> {
    let mut delete = transaction.prepare_cached("DELETE FROM run WHERE id = ?1")?;
    for id in ids {
        delete.execute([id.0])?;
    }
    transaction.execute("DELETE FROM judged WHERE id NOT IN (SELECT judged FROM run)", [])?;
    Ok(())
}

/// Stores what is said of a run; of one that is gone nothing.
pub(super) fn mark(transaction: &Transaction<'_>, id: RunId, marks: &RunMarks) -> Result<(), Failure> {
    transaction
        .prepare_cached("UPDATE run SET marks = ?2 WHERE id = ?1")?
        .execute(params![id.0, json("what is said of a run", marks)?])?;
    Ok(())
}

/// The runs with what is said of them. One that cannot be understood is left out: a newer Graft may know it.
pub(super) fn load(transaction: &Transaction<'_>) -> rusqlite::Result<(Runs, BTreeMap<RunId, RunMarks>)> {
    let mut query = transaction.prepare("SELECT id, images FROM judged")?;
    let mut rows = query.query([])?;
    let mut judged: HashMap<i64, Arc<[Judged]>> = HashMap::new();
    while let Some(row) = rows.next()? {
        judged.insert(row.get(0)?, judged_images(row.get_ref(1)?));
    }
    let mut query = transaction.prepare("SELECT id, unix_secs, facts, judged, answers, marks FROM run ORDER BY id")?;
    let mut rows = query.query([])?;
    let (mut runs, mut marks) = (Vec::new(), BTreeMap::new());
    while let Some(row) = rows.next()? {
        match parse(row, &judged) {
            Ok((run, of_run)) => {
                if of_run != RunMarks::default() {
                    marks.insert(run.id, of_run);
                }
                runs.push(run);
            }
            Err(Unusable::Sqlite(error)) if error.sqlite_error().is_some() => return Err(error),
            Err(error) => tracing::warn!(%error, "a run is left out"),
        }
    }
    Ok((Runs::from_parts(runs, meta(transaction, "next_run")?), marks))
}

#[derive(Debug, thiserror::Error)]
enum Unusable {
    #[error("{0}")]
    Sqlite(#[from] rusqlite::Error),
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    #[error("it has not one answer an image, or of a class that it does not know")]
    Answers,
}

fn parse(row: &Row<'_>, judged: &HashMap<i64, Arc<[Judged]>>) -> Result<(Run, RunMarks), Unusable> {
    let facts = row.get_ref(2)?.as_str().map_err(rusqlite::Error::from)?;
    let Facts { model, space, data, record, val, test } = serde_json::from_str(facts)?;
    let (answers, rest) = row.get_ref(4)?.as_blob().map_err(rusqlite::Error::from)?.as_chunks::<ANSWER_BYTES>();
    let answer = |[a, b, c, d, e, f]: &[u8; ANSWER_BYTES]| RunAnswer {
        class: u16::from_le_bytes([*a, *b]),
        confidence: f32::from_le_bytes([*c, *d, *e, *f]),
    };
    let answers: Arc<[RunAnswer]> = answers.iter().map(answer).collect();
    let judged = judged.get(&row.get(3)?).cloned().ok_or(Unusable::Answers)?;
    let n_classes = data.classes.len();
    let is_known = |class: u16| usize::from(class) < n_classes;
    let fits = answers.len() == judged.len()
        && rest.is_empty()
        && answers.iter().all(|a| is_known(a.class) && a.confidence.is_finite())
        && judged.iter().all(|j| is_known(j.truth));
    if !fits {
        return Err(Unusable::Answers);
    }
    let marks = match row.get_ref(5)? {
        ValueRef::Null => RunMarks::default(),
        value => serde_json::from_str(value.as_str().map_err(rusqlite::Error::from)?)?,
    };
    let unix_secs = row.get::<_, i64>(1)?.cast_unsigned();
    let run = Run { id: RunId(row.get(0)?), unix_secs, model, space, data, record, val, test, judged, answers };
    Ok((run, marks))
}

/// What is not whole gives fewer images than answers, which [`parse`] notices.
fn judged_images(value: ValueRef<'_>) -> Arc<[Judged]> {
    let (rows, _) = value.as_blob().unwrap_or_default().as_chunks::<JUDGED_BYTES>();
    let judged = |bytes: &[u8; JUDGED_BYTES]| {
        let mut hash = [0; SHORT_HASH];
        hash.copy_from_slice(&bytes[..SHORT_HASH]);
        Judged { hash, truth: u16::from_le_bytes([bytes[SHORT_HASH], bytes[SHORT_HASH + 1]]) }
    };
    rows.iter().map(judged).collect()
}
