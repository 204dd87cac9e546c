//! What a place shows: views of the same images and of the same head.

use super::state::{AppState, Place};

/// What the Images place shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ImagesView {
    /// Thumbnails in rows.
    #[default]
    Gallery,
    /// Images as points, alike ones near each other.
    Map,
    /// What may be wrong with the data.
    Check,
    /// Images without a class, the most useful first.
    Next,
}

impl ImagesView {
    /// In the order of the tabs.
    pub const ALL: [Self; 4] = [Self::Gallery, Self::Map, Self::Check, Self::Next];

    /// The word on the tab.
    pub fn label(self) -> &'static str {
        match self {
            Self::Gallery => "Gallery",
            Self::Map => "Map",
            Self::Check => "Check",
            Self::Next => "Label next",
        }
    }
}

/// What the Evaluate place shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EvaluateView {
    /// Figures, mistakes, predictions.
    #[default]
    Results,
    /// How sure it may be, and when it says "unknown".
    Certainty,
    /// Heads of before, and how they differ.
    Runs,
}

impl EvaluateView {
    /// In the order of the tabs.
    pub const ALL: [Self; 3] = [Self::Results, Self::Certainty, Self::Runs];

    /// The word on the tab.
    pub fn label(self) -> &'static str {
        match self {
            Self::Results => "Results",
            Self::Certainty => "Certainty",
            Self::Runs => "Runs",
        }
    }
}

impl AppState {
    /// Whether keys act on the images that are shown: in the gallery, on the map and in the large view.
    pub fn keys_act_on_images(&self) -> bool {
        let Some(project) = self.project.as_ref().filter(|_| self.place == Place::Images) else { return false };
        project.gallery.large.is_some() || matches!(self.images_view, ImagesView::Gallery | ImagesView::Map)
    }

    /// Whether arrows move among thumbnails.
    pub fn arrows_move_in_gallery(&self) -> bool {
        let is_large = self.project.as_ref().is_some_and(|p| p.gallery.large.is_some());
        self.keys_act_on_images() && (is_large && self.walks_the_gallery() || self.images_view == ImagesView::Gallery)
    }

    /// On the map only what is selected is marked: keys act on nothing else.
    pub(super) fn drop_unseen_cursor(&mut self) {
        let is_map = self.shows_map();
        if let Some(project) = self.project.as_mut().filter(|_| is_map) {
            let gallery = &mut project.gallery;
            if gallery.large.is_none() && gallery.selection.is_empty() {
                gallery.cursor = None;
            }
        }
    }

    /// Whether the large view goes on to the next image of the gallery: where it was opened from there, or from the map.
    pub fn walks_the_gallery(&self) -> bool {
        matches!(self.images_view, ImagesView::Gallery | ImagesView::Map)
    }

    /// Shows images in a view.
    pub(super) fn show_images(&mut self, view: ImagesView) {
        self.place = Place::Images;
        self.images_view = view;
        self.look(None);
    }

    /// Where filtered images are seen: a filter from another place is meant for the gallery.
    pub(super) fn show_filtered(&mut self) {
        if self.place != Place::Images || self.images_view != ImagesView::Map {
            self.images_view = ImagesView::Gallery;
        }
    }
}
