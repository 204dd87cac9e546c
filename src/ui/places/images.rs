//! The Images place: classes at the side, the gallery, and one image at a time.

mod check;
mod classes;
mod gallery;
mod large;
mod map;
mod next;
mod toolbar;

use eframe::egui::{CentralPanel, Frame, Margin, Panel, Ui};

use crate::app::gallery::Usable;
use crate::app::{Action, Command, ImagesView};
use crate::project::ClassId;
use crate::ui::cx::Cx;
use crate::ui::icons;
use crate::ui::theme::{space, tokens};
use crate::ui::widgets::{Banner, EmptyState, Meaning, NoticeEvent, segmented};

/// What this place remembers from frame to frame.
#[derive(Default)]
pub struct ImagesPlace {
    classes: classes::ClassList,
    gallery: gallery::GalleryGrid,
    large: large::LargeView,
    toolbar: toolbar::Toolbar,
    map: map::MapView,
    check: check::CheckView,
    next: next::NextView,
}

/// Images that are being dragged onto a class.
#[derive(Clone, Copy, Debug)]
struct Dragged {
    n: usize,
}

impl ImagesPlace {
    /// Begins to edit the name of a new class.
    pub fn edit_new_class(&mut self) {
        self.classes.edit_new();
    }

    /// Begins to edit the name of a class.
    pub fn rename_class(&mut self, id: ClassId) {
        self.classes.rename(id);
    }

    /// Shows all of the map.
    pub fn fit_map(&mut self) {
        self.map.fit();
    }

    /// Asks whether a class is to be deleted.
    pub fn ask_delete_class(&mut self, id: ClassId) {
        self.classes.ask_delete(id);
    }

    /// Draws the place.
    pub fn ui(&mut self, cx: &mut Cx<'_>, ui: &mut Ui) {
        let Some(project) = cx.project() else { return };
        let t = tokens(ui);
        if let Some(id) = project.gallery.large {
            return self.large.ui(cx, ui, id);
        }
        let is_small = ui.available_width() < 620.0;
        let widths = if is_small { 132.0..=148.0 } else { 132.0..=360.0 };
        // A width that was chosen in a large window is kept for it.
        let list = Panel::left(if is_small { "few classes" } else { "classes" })
            .frame(Frame::new().fill(t.surface).inner_margin(Margin::same(8)))
            .resizable(!is_small)
            .default_size(if is_small { 148.0 } else { 212.0 })
            .size_range(widths);
        // What is labelled next has the classes with it, and the room is needed; a name is edited in the list alone.
        let goes_without = is_small && cx.state.images_view == ImagesView::Next && !self.classes.is_editing();
        if !goes_without {
            list.show(ui, |ui| self.classes.ui(cx, ui));
        }
        CentralPanel::default().frame(Frame::new().fill(t.surface)).show(ui, |ui| {
            self.banners(cx, ui);
            let has_images = project.counts.n_images + project.counts.n_skipped > 0;
            let view = if has_images { cx.state.images_view } else { ImagesView::Gallery };
            Frame::new().inner_margin(Margin { left: 12, right: 12, top: 10, bottom: 6 }).show(ui, |ui| {
                if has_images {
                    tabs(cx, ui, view);
                }
                if view == ImagesView::Gallery {
                    self.toolbar.ui(cx, ui);
                }
            });
            match view {
                ImagesView::Gallery if project.gallery.visible.is_empty() => empty(cx, ui),
                ImagesView::Gallery => self.gallery.ui(cx, ui, self.toolbar.tile_size()),
                ImagesView::Map => self.map.ui(cx, ui),
                ImagesView::Check => self.check.ui(cx, ui),
                ImagesView::Next => self.next.ui(cx, ui),
            }
        });
    }

    fn banners(&mut self, cx: &mut Cx<'_>, ui: &mut Ui) {
        let Some(project) = cx.project() else { return };
        let margin = Margin { left: 12, right: 12, top: 10, bottom: 0 };
        for root in project.missing_roots.clone() {
            let Some(path) = project.data.roots.get(root.as_usize()) else { continue };
            let title = format!("The folder {} is not there any more", crate::ui::format::path(path));
            let event = Frame::new().inner_margin(margin).show(ui, |ui| {
                Banner::new(Meaning::Warning, &title)
                    .text("Labels and heads are kept. Say where the folder is now and the images are found again.")
                    .actions(&["Find the folder…"])
                    .show(ui)
            });
            if event.inner == NoticeEvent::Action(0) {
                cx.send(Command::AskRelocate(root));
            }
        }
        if let Some(why) = cx.state.save_error.clone() {
            Frame::new().inner_margin(margin).show(ui, |ui| {
                Banner::new(Meaning::Negative, "Changes are not being saved").text(&why).show(ui);
            });
        }
    }
}

fn tabs(cx: &mut Cx<'_>, ui: &mut Ui, mut view: ImagesView) {
    let options = ImagesView::ALL.map(|view| (view, view.label()));
    if segmented(ui, "View", &mut view, &options).changed() {
        cx.send(Command::ShowImages(view));
    }
    ui.add_space(space::S);
}

fn empty(cx: &mut Cx<'_>, ui: &mut Ui) {
    let Some(project) = cx.project() else { return };
    ui.add_space(space::XXL);
    let filter = &project.gallery.filter;
    let chosen = if project.counts.n_images + project.counts.n_skipped == 0 {
        EmptyState::new(icons::IMAGES, "Drop a folder of images here")
            .text("One folder a class. Loose images are welcome too: label them with the keys 1 to 9.")
            .actions(&["Add folder…", "Type or paste a path…"])
            .show(ui)
            .map(|i| [Action::AddFolder, Action::TypePath][i.min(1)])
    } else if filter.usable == Usable::Skipped {
        EmptyState::new(icons::CHECK_CIRCLE, "Nothing was skipped")
            .text("Every file could be used.")
            .actions(&["Show all images"])
            .show(ui)
            .map(|_| Action::ClearFilter)
    } else {
        EmptyState::new(icons::FUNNEL, "No image matches")
            .text("Other images are hidden by the filters above.")
            .actions(&["Show all images"])
            .show(ui)
            .map(|_| Action::ClearFilter)
    };
    if let Some(action) = chosen {
        cx.act(action);
    }
}
