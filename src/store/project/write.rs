//! What is written to a project file: what changed, nothing else.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension, ToSql, Transaction, TransactionBehavior, params};

use super::error::{Failure, OutOfStep};
use super::heads::{self, StoredHead, json};
use super::load::{edit, meta, split_name};
use super::paths::{StoredRoot, to_sql};
use super::runs;
use crate::project::runs::{Run, RunId};
use crate::project::{Change, ClassId, Edit, IdSet, Image, ImageId, MAX_EDITS, ProjectSettings, RootId};

/// One change of a project file, the same as was made to the [`Project`](crate::project::Project) and its history in memory.
#[derive(Clone, Debug, PartialEq)]
pub enum Write {
    /// A folder was added, at the end of `Project::roots`.
    AddRoot {
        /// Its identifier.
        id: RootId,
        /// Where it is, absolute.
        path: PathBuf,
    },
    /// Images were added, at the end of `Project::images`.
    AddImages {
        /// Identifier of the first one.
        first: ImageId,
        /// All that is known of them.
        images: Vec<Image>,
    },
    /// An edit was applied, and pushed to the history.
    Did(Edit),
    /// The last edit in effect was undone.
    Undid,
    /// The last edit that was undone was made again.
    Redid,
    /// Content hashes were found out.
    Hashes(Vec<(ImageId, [u8; 32])>),
    /// Images turned out to be unusable, or usable after all.
    Skips(Vec<(ImageId, Option<String>)>),
    /// A folder was found elsewhere.
    MoveRoot {
        /// Which.
        id: RootId,
        /// Where it is now, absolute.
        path: PathBuf,
    },
    /// Heads were trained, which replace all others.
    Heads(Vec<StoredHead>),
    /// A run was kept.
    AddRun(Box<Run>),
    /// Runs went to make room.
    DropRuns(Vec<RunId>),
}

/// Writes all or nothing. `n_writes` is the number of writes that the file has seen, as far as the caller knows.
pub(super) fn write(
    connection: &mut Connection,
    dir: &Path,
    n_writes: i64,
    f: impl FnOnce(&Writer<'_>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let count = "UPDATE meta SET value = value + 1 WHERE key = 'n_writes' AND value = ?1";
    if transaction.execute(count, [n_writes])? == 0 {
        return Err(Failure::ChangedElsewhere);
    }
    f(&Writer { transaction: &transaction, dir })?;
    Ok(transaction.commit()?)
}

/// A transaction on a project whose file is in the folder `dir`.
pub(super) struct Writer<'a> {
    transaction: &'a Transaction<'a>,
    dir: &'a Path,
}

impl Writer<'_> {
    pub(super) fn write(&self, write: &Write) -> Result<(), Failure> {
        match write {
            Write::AddRoot { id, path } => {
                self.expect_next("root", id.0)?;
                self.put_root(*id, path)
            }
            Write::MoveRoot { id, path } => self.put_root(*id, path),
            Write::AddImages { first, images } => self.add_images(*first, images),
            Write::Did(edit) => self.did(edit),
            Write::Undid => self.undid(),
            Write::Redid => self.redid(),
            Write::Hashes(hashes) => {
                let mut update = self.transaction.prepare_cached("UPDATE image SET hash = ?1 WHERE id = ?2")?;
                for (id, hash) in hashes {
                    update.execute(params![hash, id.0])?;
                }
                Ok(())
            }
            Write::Skips(skips) => {
                let mut update = self.transaction.prepare_cached("UPDATE image SET skipped = ?1 WHERE id = ?2")?;
                for (id, reason) in skips {
                    update.execute(params![reason, id.0])?;
                }
                Ok(())
            }
            Write::Heads(heads) => heads::replace(self.transaction, heads),
            Write::AddRun(run) => runs::add(self.transaction, run),
            Write::DropRuns(ids) => Ok(runs::remove(self.transaction, ids)?),
        }
    }

    /// Stores where a folder is, also relative to the project's.
    pub(super) fn put_root(&self, id: RootId, path: &Path) -> Result<(), Failure> {
        put_root(self.transaction, id, &StoredRoot::new(path.to_owned(), self.dir))
    }

    fn add_images(&self, first: ImageId, images: &[Image]) -> Result<(), Failure> {
        self.expect_next("image", first.0)?;
        let mut insert = self.transaction.prepare_cached(
            "INSERT INTO image (id, root, path, hash, class, split, is_present, skipped, is_guessed)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?;
        for (id, image) in (i64::from(first.0)..).zip(images) {
            insert.execute(params![
                id,
                image.root.0,
                to_sql(&image.rel),
                image.hash,
                image.class.map(|class| class.0),
                image.split.map(split_name),
                image.is_present,
                image.skipped,
                image.is_guessed,
            ])?;
        }
        Ok(())
    }

    fn expect_next(&self, table: &'static str, given: u32) -> Result<(), Failure> {
        let next = format!("SELECT coalesce(max(id) + 1, 0) FROM {table}");
        let expected: i64 = self.transaction.query_row(&next, [], |row| row.get(0))?;
        if i64::from(given) == expected { Ok(()) } else { Err(OutOfStep::NextId { table, given, expected }.into()) }
    }

    /// As `History::push`: undone edits go, and the oldest ones beyond the limit.
    fn did(&self, edit: &Edit) -> Result<(), Failure> {
        self.apply(edit)?;
        let id = self.done()? + 1;
        self.transaction.prepare_cached("DELETE FROM edit WHERE id >= ?1")?.execute([id])?;
        self.transaction
            .prepare_cached("INSERT INTO edit (id, title, changes) VALUES (?1, ?2, ?3)")?
            .execute(params![id, edit.title, json("an edit", &edit.changes)?])?;
        self.transaction.prepare_cached("DELETE FROM edit WHERE id <= ?1")?.execute([id - MAX_EDITS as i64])?;
        self.set_done(id)
    }

    fn undid(&self) -> Result<(), Failure> {
        let id = self.done()?;
        let edit = self.edit(id)?.ok_or(OutOfStep::NothingToUndo)?;
        self.apply(&edit.inverse())?;
        self.set_done(id - 1)
    }

    fn redid(&self) -> Result<(), Failure> {
        let id = self.done()? + 1;
        let edit = self.edit(id)?.ok_or(OutOfStep::NothingToRedo)?;
        self.apply(&edit)?;
        self.set_done(id)
    }

    fn edit(&self, id: i64) -> Result<Option<Edit>, Failure> {
        let mut query = self.transaction.prepare_cached("SELECT id, title, changes FROM edit WHERE id = ?1")?;
        query.query_row([id], |row| Ok(edit(row, id))).optional()?.transpose()
    }

    fn done(&self) -> rusqlite::Result<i64> {
        meta(self.transaction, "done_edit")
    }

    fn set_done(&self, id: i64) -> Result<(), Failure> {
        let update = "UPDATE meta SET value = ?1 WHERE key = 'done_edit'";
        self.transaction.prepare_cached(update)?.execute([id])?;
        Ok(())
    }

    /// As `Project::apply`.
    fn apply(&self, edit: &Edit) -> Result<(), Failure> {
        for change in &edit.changes {
            match change {
                Change::Presence(moved) => self.set("is_present", &moved.images, &moved.after)?,
                Change::Label(moved) => self.set("class", &moved.images, &moved.after.map(|class| class.0))?,
                Change::Guess(moved) => self.set("is_guessed", &moved.images, &moved.after)?,
                Change::Split(moved) => self.set("split", &moved.images, &moved.after.map(split_name))?,
                Change::Run { id, after, .. } => runs::mark(self.transaction, *id, after)?,
                Change::Dismissal(moved) => {
                    let put = "INSERT OR REPLACE INTO dismissed (image, kinds) VALUES (?1, ?2)";
                    let mut put = self.transaction.prepare_cached(put)?;
                    let mut delete = self.transaction.prepare_cached("DELETE FROM dismissed WHERE image = ?1")?;
                    for id in moved.images.iter() {
                        match moved.after.is_empty() {
                            true => delete.execute([id.0])?,
                            false => put.execute(params![id.0, moved.after.bits()])?,
                        };
                    }
                }
                Change::Class { id, after, .. } => {
                    self.fill_classes(*id)?;
                    let (name, colour) = after.as_ref().map(|c| (&*c.name, c.colour)).unzip();
                    self.transaction
                        .prepare_cached("UPDATE class SET name = ?2, colour = coalesce(?3, colour) WHERE id = ?1")?
                        .execute(params![id.0, name, colour])?;
                }
                Change::Settings { after, .. } => {
                    let text = json("the settings", after)?;
                    // Numbers that are not finite would make a file that cannot be opened.
                    if !serde_json::from_str::<ProjectSettings>(&text).is_ok_and(|back| back == **after) {
                        return Err(OutOfStep::Unstorable { what: "the settings" }.into());
                    }
                    self.transaction.execute("UPDATE meta SET value = ?1 WHERE key = 'settings'", [text])?;
                }
            }
        }
        Ok(())
    }

    fn set(&self, column: &str, images: &IdSet, value: &dyn ToSql) -> Result<(), Failure> {
        let update = format!("UPDATE image SET {column} = ?1 WHERE id BETWEEN ?2 AND ?3");
        let mut update = self.transaction.prepare_cached(&update)?;
        for range in images.ranges() {
            update.execute(params![value, range.start, range.end - 1])?;
        }
        Ok(())
    }

    /// Makes rows up to `id`, of classes that are not in use, as `Project::apply` does.
    fn fill_classes(&self, id: ClassId) -> Result<(), Failure> {
        let next = "SELECT coalesce(max(id) + 1, 0) FROM class";
        let first: i64 = self.transaction.prepare_cached(next)?.query_row([], |row| row.get(0))?;
        let mut insert =
            self.transaction.prepare_cached("INSERT INTO class (id, name, colour) VALUES (?1, NULL, 0)")?;
        for id in first..=i64::from(id.0) {
            insert.execute([id])?;
        }
        Ok(())
    }
}

/// Stores a folder, new or not.
pub(super) fn put_root(connection: &Connection, id: RootId, root: &StoredRoot) -> Result<(), Failure> {
    connection.execute(
        "INSERT INTO root (id, path, relative) VALUES (?1, ?2, ?3)
         ON CONFLICT (id) DO UPDATE SET path = excluded.path, relative = excluded.relative",
        params![id.0, to_sql(&root.path), root.relative.as_deref().map(to_sql)],
    )?;
    Ok(())
}
