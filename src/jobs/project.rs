//! The lane that keeps the project file.

use std::path::PathBuf;

use super::lane::Work;
use super::protocol::{JobError, JobOutput, JobRequest, OpenedProject, ProjectRequest, path_key};
use crate::project::ImageId;
use crate::store::project::{Access, ProjectFile, ProjectFileError};
use crate::store::settings::fresh_project_path;

impl From<ProjectFileError> for JobError {
    fn from(error: ProjectFileError) -> Self {
        Self::failed(error)
    }
}

pub(super) fn worker() -> Work {
    let mut file: Option<ProjectFile> = None;
    Box::new(move |request, _| match request {
        JobRequest::Project(request) => serve(&mut file, request),
        _ => Ok(JobOutput::Done),
    })
}

fn serve(file: &mut Option<ProjectFile>, request: ProjectRequest) -> Result<JobOutput, JobError> {
    match request {
        ProjectRequest::Open(path) => open(file, path, false),
        ProjectRequest::Create { path, name } => {
            let path = path.or_else(|| fresh_project_path(&name)).ok_or_else(|| {
                JobError::failed("there is no folder for projects on this system: set GRAFT_DATA_DIR to one")
            })?;
            ProjectFile::create(&path, &name)?;
            open(file, path, true)
        }
        ProjectRequest::Write(writes) => match file {
            Some(file) => Ok(file.write(&writes).map(|()| JobOutput::Done)?),
            None => Ok(JobOutput::Done),
        },
        ProjectRequest::CopyTo(path) => match file {
            Some(file) => Ok(file.copy_to(&path).map(|()| JobOutput::Wrote(path))?),
            None => Ok(JobOutput::Done),
        },
        ProjectRequest::Close => {
            *file = None;
            Ok(JobOutput::Done)
        }
        ProjectRequest::SaveSettings(settings) => {
            settings.save().map_err(JobError::failed)?;
            Ok(JobOutput::Done)
        }
    }
}

fn open(file: &mut Option<ProjectFile>, path: PathBuf, is_new: bool) -> Result<JobOutput, JobError> {
    // The same file again would find itself locked; and a file that cannot be opened leaves the open one as it is.
    let is_same = file.as_ref().is_some_and(|f| f.path() == path);
    let before = if is_same { None } else { file.take() };
    if is_same {
        *file = None;
    }
    let opened = match ProjectFile::open(&path) {
        Ok(opened) => opened,
        Err(error) => {
            *file = before;
            return Err(error.into());
        }
    };
    let access = opened.file.access().clone();
    let project = &opened.project;
    let paths = (0..project.images.len()).map(ImageId::from).filter_map(|id| Some((path_key(&project.path(id)?), id)));
    let id_of_path = paths.collect();
    *file = Some(opened.file);
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
