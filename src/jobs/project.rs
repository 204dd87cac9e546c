//! The lane that keeps the project files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::lane::Work;
use super::protocol::{JobError, JobOutput, JobRequest, OpenedProject, ProjectRequest, Session, path_key};
use crate::project::ImageId;
use crate::store::project::{Access, ProjectFile, ProjectFileError, Write};
use crate::store::settings::{AppSettings, fresh_project_path};

impl From<ProjectFileError> for JobError {
    fn from(error: ProjectFileError) -> Self {
        Self::failed(error)
    }
}

pub(super) fn worker() -> Work {
    let mut keeper = Keeper::default();
    Box::new(move |request, _| match request {
        JobRequest::Project(request) => keeper.serve(request),
        _ => Ok(JobOutput::Done),
    })
}

/// The open files. While one project takes another's place there are two; each write names the one that it is for.
#[derive(Default)]
struct Keeper {
    files: BTreeMap<Session, OpenFile>,
}

/// An open file, and what could not be written to it yet.
struct OpenFile {
    file: ProjectFile,
    /// In order: what comes later builds on it. It is tried again with every write.
    backlog: Vec<Write>,
    /// It was to be closed, and its backlog was in the way.
    is_left: bool,
}

impl OpenFile {
    fn write(&mut self, writes: Vec<Write>) -> Result<(), ProjectFileError> {
        self.backlog.extend(writes);
        if !self.backlog.is_empty() {
            self.file.write(&self.backlog)?;
        }
        self.backlog.clear();
        Ok(())
    }

    fn copy_to(&self, path: &Path) -> Result<(), ProjectFileError> {
        self.file.copy_to(path)?;
        if self.backlog.is_empty() {
            return Ok(());
        }
        ProjectFile::open(path)?.file.write(&self.backlog)
    }
}

impl Keeper {
    fn serve(&mut self, request: ProjectRequest) -> Result<JobOutput, JobError> {
        match request {
            ProjectRequest::Open { session, path } => self.open(session, path, false),
            ProjectRequest::Create { session, path, name } => {
                let path = path.or_else(|| fresh_project_path(&name)).ok_or_else(|| {
                    JobError::failed("there is no folder for projects on this system: set GRAFT_DATA_DIR to one")
                })?;
                // Dropped at once: opening it takes its lock again.
                drop(ProjectFile::create(&path, &name)?);
                self.open(session, path, true)
            }
            ProjectRequest::Write { session, writes } => {
                self.file(session)?.write(writes)?;
                Ok(JobOutput::Done)
            }
            ProjectRequest::CopyTo { session, path } => {
                self.file(session)?.copy_to(&path)?;
                Ok(JobOutput::Wrote(path))
            }
            ProjectRequest::Close { session, discard } => {
                if let Some(open) = self.files.get_mut(&session)
                    && !discard
                {
                    open.is_left = true;
                    open.write(Vec::new())?;
                }
                self.files.remove(&session);
                Ok(JobOutput::Done)
            }
            ProjectRequest::SaveSettings(settings) => {
                let path = AppSettings::default_path().map_err(JobError::failed)?;
                settings.save(&path).map_err(JobError::failed)?;
                Ok(JobOutput::Done)
            }
        }
    }

    fn file(&mut self, session: Session) -> Result<&mut OpenFile, JobError> {
        self.files.get_mut(&session).ok_or_else(|| JobError::failed("the project is not open any more: open it again"))
    }

    fn open(&mut self, session: Session, path: PathBuf, is_new: bool) -> Result<JobOutput, JobError> {
        // A file that is open already would find itself locked.
        let canonical = std::fs::canonicalize(&path).ok();
        let same = self.files.iter().find(|(_, open)| Some(open.file.path()) == canonical.as_deref());
        if let Some((&session, open)) = same {
            // One that could only be read may be writable by now.
            if !open.is_left && *open.file.access() == Access::Writable {
                return Ok(JobOutput::AlreadyOpen(path));
            }
            // That it could not be written was told when it was closed.
            if open.is_left
                && let Some(Err(error)) = self.files.remove(&session).map(|mut open| open.write(Vec::new()))
            {
                tracing::warn!(%error, "changes are given up");
            }
        }
        let opened = ProjectFile::open(&path)?;
        let access = opened.file.access().clone();
        let project = &opened.project;
        let ids = (0..project.images.len()).map(ImageId::from);
        let id_of_path = ids.filter_map(|id| Some((path_key(&project.path(id)?), id))).collect();
        self.files.insert(session, OpenFile { file: opened.file, backlog: Vec::new(), is_left: false });
        Ok(JobOutput::Opened(Box::new(OpenedProject {
            session,
            path,
            project: opened.project,
            history: opened.history,
            heads: opened.heads,
            runs: opened.runs,
            id_of_path,
            is_new: is_new && access == Access::Writable,
            access,
            info: opened.info,
        })))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::project::{Change, Class, ClassId, Edit};

    fn add_class(id: u32, name: &str) -> Write {
        let after = Some(Class { name: name.to_owned(), colour: 0 });
        let changes = vec![Change::Class { id: ClassId(id), before: None, after }];
        Write::Did(Edit { title: "add".to_owned(), changes })
    }

    fn create(keeper: &mut Keeper, session: u64, path: &Path) {
        let path = Some(path.to_owned());
        let request = ProjectRequest::Create { session: Session(session), path, name: "p".to_owned() };
        assert!(matches!(keeper.serve(request).unwrap(), JobOutput::Opened(opened) if opened.session.0 == session));
    }

    fn write(keeper: &mut Keeper, session: u64, write: Write) -> Result<JobOutput, JobError> {
        keeper.serve(ProjectRequest::Write { session: Session(session), writes: vec![write] })
    }

    fn class_names(path: &Path) -> Vec<String> {
        ProjectFile::open(path).unwrap().project.sorted_classes().into_iter().map(|(_, c)| c.name.clone()).collect()
    }

    #[test]
    fn each_write_goes_to_its_own_project_while_another_opens() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (dir.path().join("a.graft"), dir.path().join("b.graft"));
        let mut keeper = Keeper::default();
        create(&mut keeper, 1, &a);
        create(&mut keeper, 2, &b);
        write(&mut keeper, 1, add_class(0, "late")).unwrap();
        write(&mut keeper, 2, add_class(0, "own")).unwrap();
        for session in [1, 2] {
            keeper.serve(ProjectRequest::Close { session: Session(session), discard: false }).unwrap();
        }
        assert_eq!((class_names(&a), class_names(&b)), (vec!["late".to_owned()], vec!["own".to_owned()]));
        let error = write(&mut keeper, 1, add_class(1, "lost")).unwrap_err();
        assert!(matches!(error, JobError::Failed { .. }), "what has nowhere to go is not called saved");
    }

    #[test]
    fn opening_what_is_open_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.graft");
        let mut keeper = Keeper::default();
        create(&mut keeper, 1, &path);
        let again = ProjectRequest::Open { session: Session(2), path: dir.path().join(".").join("a.graft") };
        assert!(matches!(keeper.serve(again).unwrap(), JobOutput::AlreadyOpen(_)));
        let missing = ProjectRequest::Open { session: Session(3), path: dir.path().join("none.graft") };
        assert!(keeper.serve(missing).is_err());
        write(&mut keeper, 1, add_class(0, "still")).unwrap();
        drop(keeper);
        assert_eq!(class_names(&path), ["still"]);
    }
}
