//! What dropping something will do, in words, before it is dropped.

use super::command::DropInto;
use super::gallery::ClassFilter;
use super::project::OpenProject;
use super::state::{AppState, Place};
use super::views::EvaluateView;
use super::words::n_images;
use crate::jobs::{DropKind, Peek};
use crate::project::ClassId;

/// What a drop will do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DropIntent {
    /// What happens: `Add 12 images to class “bee”`.
    pub title: String,
    /// What is known of what is dropped.
    pub detail: String,
    /// Whether anything happens.
    pub is_welcome: bool,
}

/// Whether a drop is answered on rather than added: in the Evaluate place, once there is a head.
pub(super) fn is_prediction(state: &AppState, into: DropInto) -> bool {
    let has_head = state.project.as_ref().is_some_and(|p| p.live.fit.is_some());
    match into {
        DropInto::Predict => true,
        DropInto::Auto => state.place == Place::Evaluate && has_head,
        DropInto::Add | DropInto::Class(_) | DropInto::Strangers => false,
    }
}

/// Whether a drop is of strangers: where the rule for "unknown" is looked at.
pub(super) fn is_strangers(state: &AppState, into: DropInto) -> bool {
    match into {
        DropInto::Strangers => true,
        DropInto::Auto => is_prediction(state, into) && state.evaluate_view == EvaluateView::Certainty,
        _ => false,
    }
}

/// The class whose images are shown.
pub(super) fn shown_class(project: &OpenProject) -> Option<ClassId> {
    match project.gallery.filter.class {
        ClassFilter::Is(class) => project.data.class(class).map(|_| class),
        ClassFilter::Any | ClassFilter::Unlabelled => None,
    }
}

/// The class that dropped images without classes of their own become examples of: the one that is aimed at, else the
/// one whose images were shown when they were dropped.
pub(super) fn class_of_drop(into: DropInto, shown: Option<ClassId>, is_unlabelled: bool) -> Option<ClassId> {
    match into {
        DropInto::Class(class) => Some(class),
        DropInto::Auto | DropInto::Add if is_unlabelled => shown,
        _ => None,
    }
}

/// What dropping the hovering paths will do; `peek` is what is known of them by now.
pub fn intent(state: &AppState, n_paths: usize, peek: Option<&Peek>) -> DropIntent {
    let of = |title: &str, detail: String| DropIntent { title: title.to_owned(), detail, is_welcome: true };
    let Some(peek) = peek else {
        return of("Drop here", if n_paths == 1 { "1 item".to_owned() } else { format!("{n_paths} items") });
    };
    match &peek.kind {
        DropKind::Project => of("Open this project", file_name(peek)),
        DropKind::Model => of("Import this model", file_name(peek)),
        DropKind::Unknown => DropIntent {
            title: "Nothing to do with this".to_owned(),
            detail: "Graft takes folders of images, image files, tables of images, ONNX models and projects".to_owned(),
            is_welcome: false,
        },
        DropKind::Images { n_classes, has_splits, n_images: n } => {
            let mut detail = Vec::new();
            if *n_classes > 0 {
                let mut names = peek.class_names.join(", ");
                if *n_classes > peek.class_names.len() {
                    names.push_str(", …");
                }
                let word = if *n_classes == 1 { "class" } else { "classes" };
                detail.push(format!("{n_classes} {word}: {names}"));
            }
            if *has_splits {
                detail.push("with its own training and validation folders".to_owned());
            }
            if *n_classes == 0 && *n > 0 {
                detail.push(n_images(*n));
            }
            let is_welcome =
                is_prediction(state, DropInto::Auto) || state.project.as_ref().is_none_or(OpenProject::is_writable);
            DropIntent { is_welcome, ..of(&images_title(state, *n_classes, *n), detail.join(", ")) }
        }
    }
}

fn images_title(state: &AppState, n_classes: usize, n: usize) -> String {
    if is_strangers(state, DropInto::Auto) {
        return "Test on these as strangers".to_owned();
    }
    if is_prediction(state, DropInto::Auto) {
        return if n == 1 { "Predict this image".to_owned() } else { "Predict these images".to_owned() };
    }
    let Some(project) = &state.project else {
        return "Start a new project with these images".to_owned();
    };
    if !project.is_writable() {
        return "This project is open for reading only".to_owned();
    }
    if let Some(class) =
        class_of_drop(DropInto::Auto, shown_class(project), n_classes == 0).and_then(|class| project.data.class(class))
    {
        return format!("Add to class “{}”", class.name);
    }
    match n_classes {
        1.. if project.is_sample => "Start a new project with these images".to_owned(),
        0 => "Add as unlabelled images".to_owned(),
        _ => "Add these classes to the project".to_owned(),
    }
}

fn file_name(peek: &Peek) -> String {
    let name = peek.paths.first().and_then(|p| p.file_name());
    name.map(|n| n.to_string_lossy().into_owned()).unwrap_or_default()
}
