//! Faults in the data: what was found, what the user has done about it, and what that is worth.
//!
//! Found faults keep the place that they were first shown at. One that the user has mended or dismissed is not shown, and
//! stays known, so that taking it back shows it where it was.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use super::command::Effect;
use super::live::model_choice;
use super::project::OpenProject;
use super::state::{AppState, Place, Purpose};
use super::views::ImagesView;
use crate::jobs::{CheckImage, CheckRequest, Checked, FaultDetail, FoundFault, JobRequest};
use crate::metrics::Estimate;
use crate::project::{Change, ClassId, Edit, FaultKind, ImageId, Project};
use crate::workflow::clean::LookedFor;
use crate::workflow::clean::outlier_reason;

/// Kinds of faults; each has a list.
const N_KINDS: usize = FaultKind::ALL.len();

/// The kind of a fault, and its words.
impl FoundFault {
    /// Which list it is in.
    pub fn kind(&self) -> FaultKind {
        match self.what {
            FaultDetail::Label { .. } => FaultKind::Label,
            FaultDetail::Copy { .. } => FaultKind::Copy,
            FaultDetail::Outlier { .. } => FaultKind::Outlier,
            FaultDetail::Odd(_) => FaultKind::Odd,
        }
    }

    /// Whether it is one as the project is now: not mended, not dismissed.
    fn is_open(&self, project: &Project) -> bool {
        !self.is_mended(project) && !project.is_dismissed(self.id, self.kind())
    }

    /// Whether what it says has been changed.
    fn is_mended(&self, project: &Project) -> bool {
        let is_there = |id: ImageId| project.image(id).is_some_and(|i| i.is_present && i.skipped.is_none());
        if !is_there(self.id) {
            return true;
        }
        match self.what {
            FaultDetail::Label { given, suggested, .. } => {
                project.image(self.id).is_some_and(|i| i.class != Some(given)) || project.class(suggested).is_none()
            }
            FaultDetail::Copy { of, .. } => !is_there(of),
            FaultDetail::Outlier { .. } | FaultDetail::Odd(_) => false,
        }
    }

    /// Why it is one, in words and figures.
    pub fn reason(&self, project: &Project) -> String {
        let class = |id: ClassId| project.class(id).map_or("?", |class| class.name.as_str());
        let class_of = |id: ImageId| project.image(id).and_then(|i| i.class).map_or("no class", class);
        match &self.what {
            FaultDetail::Label { given, suggested, confidence } => {
                format!("labelled {}, looks like {}, {:.0} %", class(*given), class(*suggested), confidence * 100.0)
            }
            FaultDetail::Copy { of, is_exact, similarity, is_leak, disagrees } => {
                let other = name_of(project, *of);
                let mut text = String::new();
                if *disagrees {
                    text.push_str(&format!("{} here, {} there: ", class_of(self.id), class_of(*of)));
                }
                if *is_leak {
                    text.push_str("on both sides of the split: ");
                }
                text.push_str(&match is_exact {
                    true => format!("the same bytes as {other}"),
                    false => format!("the same picture as {other}, alike by {similarity:.2}"),
                });
                text
            }
            FaultDetail::Outlier { similarity, usual } => outlier_reason(*similarity, *usual),
            FaultDetail::Odd(odd) => odd.iter().map(|odd| odd.reason()).collect::<Vec<_>>().join("; "),
        }
    }

    /// What mending it does, as a button says it.
    pub fn remedy(&self, project: &Project) -> String {
        match &self.what {
            FaultDetail::Label { suggested, .. } => {
                format!("Label “{}”", project.class(*suggested).map_or("?", |class| class.name.as_str()))
            }
            FaultDetail::Copy { .. } => "Take this copy out".to_owned(),
            FaultDetail::Outlier { .. } | FaultDetail::Odd(_) => "Take out of the project".to_owned(),
        }
    }
}

/// Name of an image's file.
pub fn name_of(project: &Project, id: ImageId) -> String {
    let rel = project.image(id).and_then(|image| image.rel.file_name());
    rel.map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// The words of a kind of fault.
impl FaultKind {
    /// Title of its list.
    pub fn label(self) -> &'static str {
        match self {
            Self::Label => "Labels",
            Self::Copy => "Copies",
            Self::Outlier => "Strangers",
            Self::Odd => "Odd",
        }
    }

    /// What its list holds, in a sentence.
    pub fn explanation(self) -> &'static str {
        match self {
            Self::Label => {
                "Labels that are probably wrong: heads that had not seen the image are surer of another class than they \
                 usually are of that class’s own images."
            }
            Self::Copy => {
                "The same picture more than once, resized, compressed again, cropped or mirrored. One in training and in \
                 validation makes figures look better than they are."
            }
            Self::Outlier => "Images unlike all others of their class. Strangers teach what is not meant.",
            Self::Odd => "Images much smaller than the others, very long ones, and pictures of nearly one colour.",
        }
    }

    /// What is said where its list is empty.
    pub fn nothing(self) -> &'static str {
        match self {
            Self::Label => "No label looks wrong",
            Self::Copy => "No picture is there twice",
            Self::Outlier => "No image is unlike all others",
            Self::Odd => "No image is odd in size or colour",
        }
    }

    fn idx(self) -> usize {
        Self::ALL.iter().position(|kind| *kind == self).unwrap_or(0)
    }
}

/// A figure that checking may change, as it was when checking began.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Before {
    /// Validated accuracy of the head that answers.
    pub accuracy: Estimate,
    /// Images that it was judged on.
    pub n_images: usize,
}

/// What was found, and what has become of it.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// All that were found, in the order in which they are shown; mended and dismissed ones as well.
    known: [Vec<FoundFault>; N_KINDS],
    /// Those that are shown.
    open: [Vec<FoundFault>; N_KINDS],
    /// The list that is shown.
    pub shown: FaultKind,
    /// The fault of each list that keys act on, and where it was seen last.
    cursor: [(Option<ImageId>, usize); N_KINDS],
    /// What the last check said of the set as a whole.
    pub notes: Vec<String>,
    /// Images whose files could not be read again, and why.
    pub unread: Vec<(ImageId, String)>,
    /// Images that were looked at; `None` before the first check is done.
    pub n_checked: Option<usize>,
    /// What the last check could look for.
    pub looked: LookedFor,
    /// Why the last check failed.
    pub error: Option<String>,
    /// Figures of when checking began.
    pub before: Option<Before>,
    /// Images that were mended since.
    pub n_mended: usize,
    /// Faults that the user has dismissed.
    pub n_dismissed: usize,
    /// The revision and the rows that the last check was asked about.
    asked: Option<(u64, usize)>,
    /// The files by row, for a state of the project.
    files: Option<(FilesOf, FilesByRow)>,
    /// Those that are dealt with, by kind.
    closed: [BTreeSet<ImageId>; N_KINDS],
    /// `open` is to be computed anew.
    pub(super) is_stale: bool,
}

/// Files by row.
type FilesByRow = Arc<Vec<(u32, PathBuf)>>;

/// What a list of files belongs to: rows, images, tries.
type FilesOf = (usize, usize, usize, Vec<PathBuf>);

impl Faults {
    /// What is wrong, worst first.
    pub fn open(&self, kind: FaultKind) -> &[FoundFault] {
        &self.open[kind.idx()]
    }

    /// Whether what is shown could be looked for.
    pub fn has_looked(&self) -> bool {
        match self.shown {
            FaultKind::Label => self.looked.labels,
            FaultKind::Outlier => self.looked.outliers,
            FaultKind::Copy | FaultKind::Odd => true,
        }
    }

    /// All that are open.
    pub fn n_open(&self) -> usize {
        self.open.iter().map(Vec::len).sum()
    }

    /// The one that keys act on.
    pub fn current(&self) -> Option<&FoundFault> {
        let id = self.cursor[self.shown.idx()].0?;
        self.open(self.shown).iter().find(|fault| fault.id == id)
    }

    /// Where that one is.
    pub fn position(&self) -> Option<usize> {
        let id = self.cursor[self.shown.idx()].0?;
        self.open(self.shown).iter().position(|fault| fault.id == id)
    }

    /// Lets keys act on another one.
    pub(super) fn select(&mut self, id: ImageId) {
        if let Some(at) = self.open(self.shown).iter().position(|fault| fault.id == id) {
            self.cursor[self.shown.idx()] = (Some(id), at);
        }
    }

    /// Of other features all of it is to be found anew.
    pub(super) fn forget(&mut self) {
        *self = Self { shown: self.shown, ..Self::default() };
    }

    /// Moves by so many places.
    pub(super) fn step(&mut self, by: isize) {
        let open = &self.open[self.shown.idx()];
        let Some(last) = open.len().checked_sub(1) else { return };
        let now = self.position().unwrap_or(self.cursor[self.shown.idx()].1);
        let to = now.saturating_add_signed(by).min(last);
        self.cursor[self.shown.idx()] = (Some(open[to].id), to);
    }

    /// Takes in what a check found: what is known keeps its place, what is new comes behind it, what is no longer found goes,
    /// but for what the user has dealt with, which may be taken back.
    fn take(&mut self, found: Vec<FoundFault>, project: &Project) {
        let mut of_kind: [BTreeMap<ImageId, (usize, FoundFault)>; N_KINDS] = Default::default();
        for (at, fault) in found.into_iter().enumerate() {
            of_kind[fault.kind().idx()].insert(fault.id, (at, fault));
        }
        for (known, mut found) in self.known.iter_mut().zip(of_kind) {
            let mut kept = Vec::with_capacity(known.len());
            for fault in known.drain(..) {
                match found.remove(&fault.id) {
                    Some((_, fresh)) => kept.push(fresh),
                    None if !fault.is_open(project) => kept.push(fault),
                    None => {}
                }
            }
            let mut fresh: Vec<(usize, FoundFault)> = found.into_values().collect();
            fresh.sort_by_key(|(at, _)| *at);
            kept.extend(fresh.into_iter().map(|(_, fault)| fault));
            *known = kept;
        }
        // What a check finds anew has not been taken back.
        self.closed = Default::default();
        self.is_stale = true;
    }

    /// Computes what is shown. The keys go on with what stands in the place of what has left.
    pub(super) fn refresh(&mut self, project: &Project) {
        self.is_stale = false;
        let mut mended = BTreeSet::new();
        self.n_dismissed = 0;
        for (kind, (known, open)) in self.known.iter().zip(&mut self.open).enumerate() {
            *open = known.iter().filter(|fault| fault.is_open(project)).cloned().collect();
            // What has been taken back is what the keys go on with.
            let back = open.iter().map(|fault| fault.id).find(|id| self.closed[kind].contains(id));
            self.closed[kind] = known.iter().filter(|f| !f.is_open(project)).map(|fault| fault.id).collect();
            for fault in known {
                if fault.is_mended(project) {
                    mended.insert(fault.id);
                } else if project.is_dismissed(fault.id, fault.kind()) {
                    self.n_dismissed += 1;
                }
            }
            let (cursor, at) = &mut self.cursor[kind];
            *cursor = back.or(*cursor);
            let position = cursor.and_then(|id| open.iter().position(|fault| fault.id == id));
            *at = position.unwrap_or(*at).min(open.len().saturating_sub(1));
            *cursor = open.get(*at).map(|fault| fault.id);
        }
        self.n_mended = mended.len();
    }
}

impl OpenProject {
    /// Brings the lists up to date. Cheap when nothing has changed.
    pub(super) fn refresh_faults(&mut self) {
        if self.faults.is_stale {
            self.faults.refresh(&self.data);
        }
    }

    /// A file for every row of the table.
    fn files_of_rows(&mut self) -> Arc<Vec<(u32, PathBuf)>> {
        let of = (self.live.n_embedded, self.counts.n_images, self.n_retries, self.data.roots.clone());
        if let Some((known, files)) = &self.faults.files
            && *known == of
        {
            return Arc::clone(files);
        }
        let mut of_row: BTreeMap<u32, ImageId> = BTreeMap::new();
        for (id, image) in self.data.present().filter(|(_, image)| image.skipped.is_none()) {
            if let Some(row) = self.live.row(id).filter(|_| self.is_root_there(image.root)) {
                of_row.entry(row).or_insert(id);
            }
        }
        let files: Vec<(u32, PathBuf)> =
            of_row.into_iter().filter_map(|(row, id)| Some((row, self.data.path(id)?))).collect();
        let files = Arc::new(files);
        self.faults.files = Some((of, Arc::clone(&files)));
        files
    }

    /// What a check looks at.
    fn check_request(&mut self) -> CheckRequest {
        let files = self.files_of_rows();
        let classes: Vec<ClassId> = self.data.sorted_classes().into_iter().map(|(id, _)| id).collect();
        let mut idx_of_class = vec![None; self.data.classes.len()];
        for (idx, id) in classes.iter().enumerate() {
            idx_of_class[id.as_usize()] = u32::try_from(idx).ok();
        }
        let class = |id: Option<ClassId>| idx_of_class.get(id?.as_usize()).copied().flatten();
        let images = self.data.present().filter(|(_, image)| image.skipped.is_none());
        CheckRequest {
            session: self.session,
            revision: self.revision,
            epoch: self.live.epoch,
            model: model_choice(&self.data),
            images: images
                .filter_map(|(id, image)| {
                    // A copy on the other side of Graft's own split flatters the figures just as well.
                    let drawn = self.live.split_of(id);
                    Some(CheckImage {
                        id,
                        row: self.live.row(id)?,
                        class: class(image.class),
                        split: image.split,
                        drawn,
                    })
                })
                .collect(),
            classes,
            files,
            seed: self.data.settings.seed,
        }
    }
}

impl AppState {
    /// Whether keys act on the list of faults.
    pub fn keys_act_on_faults(&self) -> bool {
        let Some(project) = self.project.as_ref() else { return false };
        self.place == Place::Images && self.images_view == ImagesView::Check && project.gallery.large.is_none()
    }

    /// Whether the data are being looked at.
    pub fn is_checking(&self) -> bool {
        self.is_busy_with(|p| matches!(p, Purpose::Check { session } if Some(*session) == self.session()))
    }

    /// Looks for faults while their lists are shown, whenever there is something new to look at.
    pub(super) fn check_if_due(&mut self, effects: &mut Vec<Effect>) {
        let is_shown = self.place == Place::Images && self.images_view == ImagesView::Check;
        // Heads first: their figures are what one waits for.
        let is_busy =
            self.is_busy_with(|p| matches!(p, Purpose::Embed { .. } | Purpose::Fit { .. } | Purpose::Check { .. }));
        let Some(project) = self.project.as_mut().filter(|_| is_shown && !is_busy) else { return };
        let state = (project.revision, project.live.n_embedded);
        let faults = &mut project.faults;
        if faults.asked == Some(state) || faults.error.is_some() || project.live.n_embedded == 0 {
            return;
        }
        faults.asked = Some(state);
        if faults.before.is_none() {
            let head = project.data.settings.head;
            let report = project.live.shown_figures(head).and_then(|figures| figures.val);
            project.faults.before = report.map(|report| Before { accuracy: report.accuracy, n_images: report.n_rows });
        }
        let request = project.check_request();
        let purpose = Purpose::Check { session: project.session };
        self.job(JobRequest::Check(Box::new(request)), purpose, effects);
    }

    /// Looks again, after it was ended or has failed.
    pub(super) fn check_again(&mut self) {
        if let Some(project) = &mut self.project {
            (project.faults.error, project.faults.asked) = (None, None);
            // Files that could not be read are tried again.
            project.faults.files = None;
        }
    }

    pub(super) fn on_checked(&mut self, checked: Checked) {
        let Some(project) = self.project.as_mut().filter(|p| p.session == checked.session) else { return };
        if project.live.epoch != checked.epoch {
            return;
        }
        // What was found before the last change of a label is still worth showing: what was changed is not shown.
        project.faults.take(checked.faults, &project.data);
        project.faults.notes = checked.notes;
        project.faults.looked = checked.looked;
        project.faults.unread = checked.unread;
        project.faults.n_checked = Some(checked.n_images);
        project.faults.error = None;
    }

    pub(super) fn check_failed(&mut self, session: crate::jobs::Session, why: String) {
        if let Some(project) = self.project.as_mut().filter(|p| p.session == session) {
            project.faults.error = Some(why);
        }
    }

    /// Mends the fault that keys act on.
    pub(super) fn fix_fault(&mut self, effects: &mut Vec<Effect>) {
        let Some(project) = &self.project else { return };
        let Some(fault) = project.faults.current().cloned() else { return };
        let name = name_of(&project.data, fault.id);
        let (title, changes) = match fault.what {
            FaultDetail::Label { suggested, .. } => {
                let class = project.data.class(suggested).map_or("?", |class| class.name.as_str());
                (format!("label {name} “{class}”"), project.data.label_changes([fault.id], Some(suggested)))
            }
            FaultDetail::Copy { .. } => {
                (format!("take the copy {name} out"), project.data.presence_changes([fault.id], false))
            }
            FaultDetail::Outlier { .. } | FaultDetail::Odd(_) => {
                (format!("take {name} out of the project"), project.data.presence_changes([fault.id], false))
            }
        };
        self.commit_fault(title, changes, effects);
    }

    /// Says that the fault that keys act on is none.
    pub(super) fn dismiss_fault(&mut self, effects: &mut Vec<Effect>) {
        let Some(project) = &self.project else { return };
        let Some(fault) = project.faults.current() else { return };
        let changes = project.data.dismissal_changes([fault.id], fault.kind(), true);
        let title = format!("leave {} as it is", name_of(&project.data, fault.id));
        self.commit_fault(title, changes, effects);
    }

    fn commit_fault(&mut self, title: String, changes: Vec<Change>, effects: &mut Vec<Effect>) {
        self.commit(Edit { title, changes }, effects);
    }
}

/// Why the fault that keys act on cannot be mended or dismissed, if it cannot.
///
/// # Errors
/// The reason, for a tooltip.
pub(super) fn can_act(state: &AppState) -> Result<(), &'static str> {
    let project = state.project.as_ref().ok_or("No project is open")?;
    if !project.is_writable() {
        return Err("The project is open for reading only");
    }
    if !state.keys_act_on_faults() {
        return Err("The lists of faults are not shown");
    }
    project.faults.current().map(drop).ok_or("There is nothing in this list")
}
