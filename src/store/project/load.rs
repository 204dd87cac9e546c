//! A project file's contents, read whole and checked on the way.

use std::collections::BTreeMap;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row, Transaction};

use super::error::{Damage, Failure};
use super::heads::{self, StoredHead};
use super::paths::{self, StoredRoot};
use super::runs;
use crate::dataset::Split;
use crate::project::runs::Runs;
use crate::project::{Class, ClassId, Dismissed, Edit, History, Image, ImageId, Project, ProjectSettings, RootId};

/// All that a project file holds.
#[derive(Debug)]
pub(super) struct Contents {
    pub(super) name: String,
    /// Its roots are where they were when they were stored.
    pub(super) project: Project,
    pub(super) roots: Vec<StoredRoot>,
    pub(super) history: History,
    pub(super) heads: Vec<StoredHead>,
    pub(super) runs: Runs,
    pub(super) n_writes: i64,
}

/// Reads it all, as it was at one moment.
pub(super) fn load(connection: &mut Connection) -> Result<Contents, Failure> {
    let transaction = connection.transaction()?;
    let settings: String = meta(&transaction, "settings")?;
    let settings: ProjectSettings = serde_json::from_str(&settings).map_err(|source| Damage::Json {
        table: "meta",
        id: 0,
        what: "the settings",
        source,
    })?;
    let roots = roots(&transaction)?;
    let classes = classes(&transaction)?;
    let images = images(&transaction, roots.len(), classes.len())?;
    let (runs, run_marks) = runs::load(&transaction)?;
    let dismissed = dismissed(&transaction, images.len())?;
    let root_paths = roots.iter().map(|root| root.path.clone()).collect();
    let contents = Contents {
        name: meta(&transaction, "name")?,
        project: Project { roots: root_paths, images, classes, settings, run_marks, dismissed },
        roots,
        history: history(&transaction)?,
        heads: heads::load(&transaction)?,
        runs,
        n_writes: meta(&transaction, "n_writes")?,
    };
    transaction.finish()?;
    Ok(contents)
}

/// A value of the table `meta`.
pub(super) fn meta<T: rusqlite::types::FromSql>(connection: &Connection, key: &str) -> rusqlite::Result<T> {
    connection.query_row("SELECT value FROM meta WHERE key = ?1", [key], |row| row.get(0))
}

/// The folders, by identifier.
pub(super) fn roots(connection: &Connection) -> Result<Vec<StoredRoot>, Failure> {
    let mut query = connection.prepare("SELECT id, path, relative FROM root ORDER BY id")?;
    let mut rows = query.query([])?;
    let mut roots = Vec::new();
    while let Some(row) = rows.next()? {
        next_id(row, "root", roots.len())?;
        let relative = match row.get_ref(2)? {
            ValueRef::Null => None,
            value => Some(paths::from_sql(value).map_err(rusqlite::Error::from)?),
        };
        roots.push(StoredRoot { path: paths::from_sql(row.get_ref(1)?).map_err(rusqlite::Error::from)?, relative });
    }
    Ok(roots)
}

fn classes(transaction: &Transaction<'_>) -> Result<Vec<Option<Class>>, Failure> {
    let mut query = transaction.prepare("SELECT id, name, colour FROM class ORDER BY id")?;
    let mut rows = query.query([])?;
    let mut classes = Vec::new();
    while let Some(row) = rows.next()? {
        next_id(row, "class", classes.len())?;
        let name: Option<String> = row.get(1)?;
        let colour = row.get(2)?;
        classes.push(name.map(|name| Class { name, colour }));
    }
    Ok(classes)
}

fn images(transaction: &Transaction<'_>, n_roots: usize, n_classes: usize) -> Result<Vec<Image>, Failure> {
    // Only a hint; a row that is missing is found below.
    let n: i64 = transaction.query_row("SELECT coalesce(max(id) + 1, 0) FROM image", [], |row| row.get(0))?;
    let mut images = Vec::with_capacity(usize::try_from(n).unwrap_or(0).min(1 << 24));
    let mut query = transaction
        .prepare("SELECT id, root, path, hash, class, split, is_present, skipped, is_guessed FROM image ORDER BY id")?;
    let mut rows = query.query([])?;
    while let Some(row) = rows.next()? {
        let id = next_id(row, "image", images.len())?;
        let wrong = |what| Damage::Row { table: "image", id, what };
        let root = RootId(row.get(1)?);
        if root.as_usize() >= n_roots {
            return Err(wrong("the folder").into());
        }
        let class = row.get::<_, Option<u32>>(4)?.map(ClassId);
        if class.is_some_and(|class| class.as_usize() >= n_classes) {
            return Err(wrong("the class").into());
        }
        let hash = match row.get_ref(3)? {
            ValueRef::Null => None,
            ValueRef::Blob(bytes) => Some(bytes.try_into().map_err(|_| wrong("the hash"))?),
            _ => return Err(wrong("the hash").into()),
        };
        let split = match row.get_ref(5)? {
            ValueRef::Null => None,
            ValueRef::Text(name) => Some(split_from_name(name).ok_or_else(|| wrong("the split"))?),
            _ => return Err(wrong("the split").into()),
        };
        images.push(Image {
            root,
            rel: paths::from_sql(row.get_ref(2)?).map_err(rusqlite::Error::from)?,
            hash,
            class,
            split,
            is_present: row.get(6)?,
            skipped: row.get(7)?,
            is_guessed: row.get(8)?,
        });
    }
    Ok(images)
}

fn dismissed(transaction: &Transaction<'_>, n_images: usize) -> Result<BTreeMap<ImageId, Dismissed>, Failure> {
    let mut query = transaction.prepare("SELECT image, kinds FROM dismissed ORDER BY image")?;
    let mut rows = query.query([])?;
    let mut dismissed = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let id: i64 = row.get(0)?;
        let wrong = |what| Damage::Row { table: "dismissed", id, what };
        let image = u32::try_from(id).ok().map(ImageId).filter(|image| image.as_usize() < n_images);
        let kinds = Dismissed::from_bits(row.get(1)?).filter(|kinds| !kinds.is_empty());
        dismissed.insert(image.ok_or_else(|| wrong("the image"))?, kinds.ok_or_else(|| wrong("the list of kinds"))?);
    }
    Ok(dismissed)
}

fn history(transaction: &Transaction<'_>) -> Result<History, Failure> {
    let done: i64 = meta(transaction, "done_edit")?;
    let mut query = transaction.prepare("SELECT id, title, changes FROM edit ORDER BY id")?;
    let mut rows = query.query([])?;
    let (mut edits, mut n_done) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        let id = row.get(0)?;
        edits.push(edit(row, id)?);
        n_done += usize::from(id <= done);
    }
    Ok(History::from_parts(edits, n_done))
}

/// From the columns `id, title, changes`.
pub(super) fn edit(row: &Row<'_>, id: i64) -> Result<Edit, Failure> {
    let changes = row.get_ref(2)?.as_str().map_err(rusqlite::Error::from)?;
    let changes = serde_json::from_str(changes).map_err(|source| Damage::Json {
        table: "edit",
        id,
        what: "the list of changes",
        source,
    })?;
    Ok(Edit { title: row.get(1)?, changes })
}

/// Identifiers are positions, so that none may be missing.
fn next_id(row: &Row<'_>, table: &'static str, n_before: usize) -> Result<i64, Failure> {
    let id: i64 = row.get(0)?;
    if usize::try_from(id) == Ok(n_before) {
        return Ok(id);
    }
    Err(Damage::Row { table, id: n_before as i64, what: "the row" }.into())
}

/// How a split is stored.
pub(super) fn split_name(split: Split) -> &'static str {
    match split {
        Split::Train => "train",
        Split::Val => "val",
        Split::Test => "test",
    }
}

fn split_from_name(name: &[u8]) -> Option<Split> {
    [Split::Train, Split::Val, Split::Test].into_iter().find(|split| split_name(*split).as_bytes() == name)
}
