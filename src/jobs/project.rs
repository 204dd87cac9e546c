//! The lane that keeps the project file.

use std::path::PathBuf;

use super::lane::Work;
use super::protocol::{JobError, JobOutput, JobRequest, OpenedProject, ProjectRequest, path_key};
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

/// The open file, and what could not be written to it yet.
#[derive(Default)]
struct Keeper {
    file: Option<ProjectFile>,
    /// In order: what comes later builds on it. It is tried again with every write.
    backlog: Vec<Write>,
}

impl Keeper {
    fn write(&mut self, writes: Vec<Write>) -> Result<JobOutput, JobError> {
        self.backlog.extend(writes);
        if let Some(file) = &mut self.file
            && !self.backlog.is_empty()
        {
            file.write(&self.backlog)?;
        }
        self.backlog.clear();
        Ok(JobOutput::Done)
    }

    fn serve(&mut self, request: ProjectRequest) -> Result<JobOutput, JobError> {
        match request {
            ProjectRequest::Open(path) => self.open(path, false),
            ProjectRequest::Create { path, name } => {
                let path = path.or_else(|| fresh_project_path(&name)).ok_or_else(|| {
                    JobError::failed("there is no folder for projects on this system: set GRAFT_DATA_DIR to one")
                })?;
                // Dropped at once: opening it takes its lock again.
                drop(ProjectFile::create(&path, &name)?);
                self.open(path, true)
            }
            ProjectRequest::Write(writes) => self.write(writes),
            ProjectRequest::CopyTo(path) => match &self.file {
                Some(file) => Ok(file.copy_to(&path).map(|()| JobOutput::Wrote(path))?),
                None => Ok(JobOutput::Done),
            },
            ProjectRequest::Close => {
                let result = self.write(Vec::new());
                *self = Self::default();
                result
            }
            ProjectRequest::SaveSettings(settings) => {
                let path = AppSettings::default_path().map_err(JobError::failed)?;
                settings.save(&path).map_err(JobError::failed)?;
                Ok(JobOutput::Done)
            }
        }
    }

    fn open(&mut self, path: PathBuf, is_new: bool) -> Result<JobOutput, JobError> {
        self.write(Vec::new())?;
        // The same file again would find itself locked. One that cannot be opened leaves the open one as it is.
        if self.file.as_ref().is_some_and(|f| f.path() == path) {
            self.file = None;
        }
        let opened = ProjectFile::open(&path)?;
        let access = opened.file.access().clone();
        let project = &opened.project;
        let ids = (0..project.images.len()).map(ImageId::from);
        let id_of_path = ids.filter_map(|id| Some((path_key(&project.path(id)?), id))).collect();
        self.file = Some(opened.file);
        Ok(JobOutput::Opened(Box::new(OpenedProject {
            path,
            project: opened.project,
            history: opened.history,
            heads: opened.heads,
            id_of_path,
            is_new: is_new && access == Access::Writable,
            access,
            info: opened.info,
        })))
    }
}
