//! The map of the images: where each is, and when it is made anew.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::ImagesView;
use super::action::Reason;
use super::command::Effect;
use super::project::OpenProject;
use super::state::{AppState, Place, Purpose};
use crate::jobs::{JobRequest, LaneKind, MapRequest, MapRow, MapTask, Mapped};
use crate::project::ImageId;
use crate::projection::{EmbeddingMap, Point};

/// A map of fewer images tells nothing.
pub const LEAST_IMAGES: usize = 3;
/// While images are being embedded, components are computed anew when there are so many times as many.
const COMPONENTS_GROWTH: f64 = 1.6;
/// The map is laid out anew when there are so many times as many images as it was laid out for.
const LAYOUT_GROWTH: f64 = 1.5;

/// What the colour of a point tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ColourBy {
    /// The class that an image is labelled as.
    #[default]
    Class,
    /// Whether the head agrees with the label.
    Correctness,
    /// How sure the head is.
    Confidence,
    /// Whether it is trained on or judged on.
    Split,
}

impl ColourBy {
    /// In the order of the choice.
    pub const ALL: [Self; 4] = [Self::Class, Self::Correctness, Self::Confidence, Self::Split];

    /// The words of the choice.
    pub fn label(self) -> &'static str {
        match self {
            Self::Class => "Class",
            Self::Correctness => "Right or wrong",
            Self::Confidence => "Confidence",
            Self::Split => "Split",
        }
    }
}

/// Places by table row; a row without one has none.
#[derive(Clone, Debug, Default)]
struct Places(Vec<Option<Point>>);

impl Places {
    fn set(&mut self, rows: &[u32], points: &[Point]) {
        for (row, point) in rows.iter().zip(points) {
            let idx = *row as usize;
            if self.0.len() <= idx {
                self.0.resize(idx + 1, None);
            }
            self.0[idx] = Some(*point);
        }
    }

    fn get(&self, row: u32) -> Option<Point> {
        self.0.get(row as usize).copied().flatten()
    }
}

/// A map that is there, with where everything is on it.
#[derive(Clone, Debug)]
struct Settled {
    map: Arc<EmbeddingMap>,
    places: Places,
}

/// The map of a project's images.
#[derive(Clone, Debug, Default)]
pub struct ProjectMap {
    /// Which choice of model it is of.
    epoch: u64,
    settled: Option<Settled>,
    /// A layout as it comes about, shown instead.
    under_way: Option<Places>,
    /// Images that the last layout was for.
    n_laid_out: Option<usize>,
    /// Images that there were then, copies included.
    n_images_then: usize,
    /// Images that have been placed into it since.
    pub n_placed: usize,
    /// Images that components were last computed of.
    n_components: usize,
    /// Rows whose embeddings are not all numbers.
    left_out: BTreeSet<u32>,
    /// What was looked at last for images without a place: rows that there are, images that there are.
    seen: Option<(usize, usize)>,
    /// The user wants it laid out.
    is_wanted: bool,
    /// The user has ended the layout.
    pub is_cancelled: bool,
    /// Why there is no map.
    pub error: Option<String>,
    /// What the colour of a point tells.
    pub colour_by: ColourBy,
    /// Counts changes of places, for whoever keeps something beside them.
    pub generation: u64,
    /// Counts requests.
    last_number: u64,
}

impl ProjectMap {
    /// Where a row of the table is.
    pub fn point(&self, row: u32) -> Option<Point> {
        let places = self.under_way.as_ref().or_else(|| self.settled.as_ref().map(|s| &s.places))?;
        places.get(row)
    }

    /// Whether there is something to show.
    pub fn is_there(&self) -> bool {
        self.settled.is_some() || self.under_way.is_some()
    }

    /// Whether it is being laid out before the user's eyes.
    pub fn is_under_way(&self) -> bool {
        self.under_way.is_some()
    }

    /// Whether what is shown is laid out, rather than components alone.
    pub fn is_laid_out(&self) -> bool {
        self.settled.as_ref().is_some_and(|s| s.map.is_laid_out())
    }

    /// Rows whose embeddings are not all numbers, so that they are on no map.
    pub fn n_left_out(&self) -> usize {
        self.left_out.len()
    }

    /// Images that the last layout was for; `None` before there was one.
    pub fn n_laid_out(&self) -> Option<usize> {
        self.n_laid_out
    }

    /// Of another choice of model: nothing is kept but how it is shown.
    fn begin(&mut self, epoch: u64) {
        let (colour_by, generation, last_number) = (self.colour_by, self.generation + 1, self.last_number);
        *self = Self { epoch, colour_by, generation, last_number, ..Self::default() };
    }

    fn take(&mut self, mapped: Mapped, is_end: bool) {
        let Mapped { map, rows, points, left_out, .. } = mapped;
        self.generation += 1;
        self.left_out.extend(left_out);
        let Some(map) = map else {
            self.under_way.get_or_insert_default().set(&rows, &points);
            return;
        };
        let is_same = self.settled.as_ref().is_some_and(|s| Arc::ptr_eq(&s.map, &map));
        if is_same {
            self.n_placed += if self.n_laid_out.is_some() { rows.len() } else { 0 };
        }
        match &mut self.settled {
            Some(settled) if is_same => settled.places.set(&rows, &points),
            // Components are only the beginning of a layout that replaces another.
            Some(settled) if !is_end && settled.map.is_laid_out() => {}
            _ => {
                let mut places = Places::default();
                places.set(&rows, &points);
                self.settled = Some(Settled { map, places });
            }
        }
        if is_end {
            self.under_way = None;
        }
    }
}

impl OpenProject {
    /// Where an image is on the map.
    pub fn map_point(&self, id: ImageId) -> Option<Point> {
        self.map.point(self.live.row(id)?)
    }

    /// The rows that are to be on the map: those of images that are part of the project, each once.
    fn map_rows(&self) -> Vec<MapRow> {
        let usable = self.data.present().filter(|(_, image)| image.skipped.is_none());
        let row = |(id, image): (ImageId, &crate::project::Image)| {
            Some(MapRow { row: self.live.row(id)?, class: image.class.map(|class| class.0) })
        };
        let mut rows: Vec<MapRow> = usable.filter_map(row).collect();
        rows.sort_by_key(|row| row.row);
        rows.dedup_by_key(|row| row.row);
        rows
    }

    /// What is to be done about the map.
    fn due_map(&mut self, is_embedding: bool) -> Option<(MapTask, Vec<MapRow>)> {
        if self.map.epoch != self.live.epoch {
            self.map.begin(self.live.epoch);
        }
        let seen = Some((self.live.n_embedded, self.counts.n_images));
        if self.map.error.is_some()
            || (self.map.seen == seen && !self.map.is_wanted && !self.awaits_layout(is_embedding))
        {
            return None;
        }
        self.map.seen = seen;
        let rows = self.map_rows();
        let n = rows.len();
        if n < LEAST_IMAGES {
            return None;
        }
        let has_grown = |before: usize, times: f64| n as f64 >= times * before as f64;
        let lays_out = match self.map.n_laid_out {
            _ if self.map.is_wanted => true,
            _ if is_embedding || self.map.is_cancelled => false,
            Some(before) => has_grown(before, LAYOUT_GROWTH),
            None => true,
        };
        if lays_out {
            self.map.is_wanted = false;
            self.map.is_cancelled = false;
            return Some((MapTask::LayOut, rows));
        }
        let Some(settled) = &self.map.settled else { return Some((MapTask::Components, rows)) };
        if !settled.map.is_laid_out() && has_grown(self.map.n_components, COMPONENTS_GROWTH) {
            return Some((MapTask::Components, rows));
        }
        let task = MapTask::Place(Arc::clone(&settled.map));
        let is_missing = |row: &MapRow| settled.places.get(row.row).is_none() && !self.map.left_out.contains(&row.row);
        let missing: Vec<MapRow> = rows.into_iter().filter(is_missing).collect();
        (!missing.is_empty()).then_some((task, missing))
    }

    /// Whether the first layout only waits for the end of embedding.
    fn awaits_layout(&self, is_embedding: bool) -> bool {
        let n = self.live.n_embedded.min(self.counts.n_images);
        let has_grown = n as f64 >= LAYOUT_GROWTH * self.map.n_images_then as f64;
        !is_embedding && !self.map.is_cancelled && n >= LEAST_IMAGES && (self.map.n_laid_out.is_none() || has_grown)
    }
}

impl AppState {
    /// Whether the map is what is looked at.
    pub(super) fn shows_map(&self) -> bool {
        self.place == Place::Images && self.images_view == ImagesView::Map
    }

    /// Whether a job of the map runs.
    pub fn is_mapping(&self) -> bool {
        self.is_busy_with(|p| matches!(p, Purpose::Map { .. }))
    }

    /// Makes, lays out or grows the map while it is looked at.
    pub(super) fn map_if_due(&mut self, effects: &mut Vec<Effect>) {
        if !self.shows_map() || self.is_mapping() {
            return;
        }
        let is_embedding = self.is_busy_with(|p| matches!(p, Purpose::Embed { .. }));
        let Some(project) = &mut self.project else { return };
        let Some((task, rows)) = project.due_map(is_embedding) else { return };
        project.map.last_number += 1;
        let (epoch, number, n_rows) = (project.live.epoch, project.map.last_number, rows.len());
        let lays_out = matches!(task, MapTask::LayOut);
        if !matches!(task, MapTask::Place(_)) {
            project.map.n_components = n_rows;
        }
        let request = MapRequest { epoch, number, task, rows };
        self.job(JobRequest::Map(Box::new(request)), Purpose::Map { epoch, number, lays_out }, effects);
    }

    fn map_of(&mut self, epoch: u64, number: u64) -> Option<&mut ProjectMap> {
        let map = &mut self.project.as_mut().filter(|p| p.live.epoch == epoch)?.map;
        (map.epoch == epoch && map.last_number == number).then_some(map)
    }

    /// A layout as it comes about.
    pub(super) fn on_map_frame(&mut self, mapped: Mapped) {
        if let Some(map) = self.map_of(mapped.epoch, mapped.number) {
            map.take(mapped, false);
        }
    }

    /// The end of a job of the map.
    pub(super) fn on_mapped(&mut self, mapped: Mapped, lays_out: bool) {
        let n_images = self.project.as_ref().map_or(0, |p| p.live.n_embedded.min(p.counts.n_images));
        let Some(map) = self.map_of(mapped.epoch, mapped.number) else { return };
        if lays_out {
            map.n_images_then = n_images;
            (map.n_laid_out, map.n_placed) = (Some(mapped.rows.len() + mapped.left_out.len()), 0);
        }
        map.take(mapped, true);
    }

    /// A job of the map has failed (with a reason) or was ended.
    pub(super) fn on_map_ended(&mut self, epoch: u64, number: u64, lays_out: bool, why: Option<String>) {
        let is_users = self.ended.contains(&LaneKind::Map);
        let Some(map) = self.map_of(epoch, number) else { return };
        if map.under_way.take().is_some() {
            map.generation += 1;
        }
        map.error = why;
        // What a layout was for is placed instead.
        if lays_out {
            map.seen = None;
        }
        map.is_cancelled |= lays_out && is_users;
    }

    /// Has the map laid out, whatever there is.
    pub(super) fn lay_out_map(&mut self) {
        self.images_view = ImagesView::Map;
        self.place = Place::Images;
        if let Some(project) = &mut self.project {
            (project.map.is_wanted, project.map.error) = (true, None);
        }
    }
}

/// Why the map cannot be laid out, if it cannot.
///
/// # Errors
/// The reason, for a tooltip.
pub(super) fn can_lay_out(state: &AppState) -> Result<(), Reason> {
    let project = state.project.as_ref().ok_or("No project is open")?;
    if project.live.n_embedded < LEAST_IMAGES {
        return Err("It needs 3 embedded images or more");
    }
    if state.is_busy_with(|p| matches!(p, Purpose::Map { lays_out: true, .. })) {
        return Err("It is being laid out");
    }
    Ok(())
}
