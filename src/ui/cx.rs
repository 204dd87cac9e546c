//! What a place is given to draw itself: the application's state to read, a list to put commands on, and thumbnails.

use std::path::Path;

use eframe::egui::{Color32, Context, CornerRadius, Rect, Ui, Vec2, pos2};

use super::icons;
use super::textures::{TextureBudget, ThumbState, ThumbnailTextures};
use super::theme::{radius, tokens};
use crate::app::{Action, AppState, Command, OpenProject};
use crate::jobs::Session;
use crate::jobs::table::Table;
use crate::jobs::thumbnails::{Thumbnails, ThumbnailsConfig};
use crate::jobs::{Waker, path_key};
use crate::project::ImageId;

/// How a thumbnail fills its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// All of it is seen; the rest of the place stays empty.
    Whole,
    /// All of the place is covered; edges of the picture are cut off.
    Cover,
}

/// The thumbnails of the open project and of other files.
pub struct Thumbs {
    textures: ThumbnailTextures,
    /// What the keys are about: the project, where its folders are, how often failed files were tried again.
    of: Option<(Session, Vec<std::path::PathBuf>, usize)>,
    /// Side of the largest tile of the last frame, in points.
    tile_pt: f32,
    next_tile_pt: f32,
}

/// Keys of files that are not part of the project have this bit.
const FILE_BIT: u64 = 1 << 63;

impl Thumbs {
    /// Starts the workers.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn new(waker: Waker) -> std::io::Result<Self> {
        let loader = Thumbnails::start(ThumbnailsConfig::default(), waker)?;
        let textures = ThumbnailTextures::new(loader, TextureBudget::default());
        Ok(Self { textures, of: None, tile_pt: 128.0, next_tile_pt: 0.0 })
    }

    pub(super) fn begin_frame(&mut self, ctx: &Context, state: &AppState) {
        let project = state.project.as_ref();
        let is_same = match (&self.of, project) {
            (Some((session, roots, n_retries)), Some(p)) => {
                (*session, roots, *n_retries) == (p.session, &p.data.roots, p.n_retries)
            }
            (None, None) => true,
            _ => false,
        };
        if !is_same {
            self.of = project.map(|p| (p.session, p.data.roots.clone(), p.n_retries));
            self.textures.clear();
        }
        if self.next_tile_pt > 0.0 {
            self.tile_pt = self.next_tile_pt;
        }
        self.next_tile_pt = 0.0;
        self.textures.begin_frame(ctx, self.tile_pt * ctx.pixels_per_point());
    }

    pub(super) fn end_frame(&mut self) {
        self.textures.end_frame();
    }

    /// Where the picture was drawn, once it is there.
    fn draw(&mut self, ui: &Ui, rect: Rect, key: u64, path: &Path, fit: Fit) -> Option<Rect> {
        self.next_tile_pt = self.next_tile_pt.max(rect.width().max(rect.height()));
        let t = tokens(ui);
        let round = CornerRadius::same(radius::SMALL);
        match self.textures.get(key, path) {
            ThumbState::Loading => {
                ui.painter().rect_filled(rect, round, t.sunken);
                None
            }
            ThumbState::Ready(thumb) => {
                let full = thumb.full_size_px();
                let (at, uv) = match fit {
                    Fit::Whole => (contained(full, rect), Rect::from_min_max(pos2(0.0, 0.0), pos2(1.0, 1.0))),
                    Fit::Cover => (rect, covering(full, rect)),
                };
                let image = eframe::egui::epaint::RectShape::filled(at, round, Color32::WHITE)
                    .with_texture(thumb.texture.id(), uv);
                ui.painter().add(image);
                Some(at)
            }
            ThumbState::Failed(_) => {
                ui.painter().rect_filled(rect, round, t.sunken);
                let (icon, side) = (icons::WARNING, rect.width().min(28.0));
                ui.painter().text(
                    rect.center(),
                    eframe::egui::Align2::CENTER_CENTER,
                    icon,
                    icons::font(side),
                    t.text_faint,
                );
                None
            }
        }
    }
}

/// The largest rectangle of a picture's shape within `rect`, centred. A picture smaller than that is not enlarged.
pub fn contained(full: Vec2, rect: Rect) -> Rect {
    let scale = (rect.width() / full.x.max(1.0)).min(rect.height() / full.y.max(1.0));
    Rect::from_center_size(rect.center(), full * scale)
}

/// The part of a picture that covers `rect`.
fn covering(full: Vec2, rect: Rect) -> Rect {
    let (wanted, found) = (rect.width() / rect.height().max(1.0), full.x / full.y.max(1.0));
    let (mut x, mut y) = (0.0, 0.0);
    if found > wanted {
        x = (1.0 - wanted / found) / 2.0;
    } else {
        y = (1.0 - found / wanted) / 2.0;
    }
    Rect::from_min_max(pos2(x, y), pos2(1.0 - x, 1.0 - y))
}

/// What is shared by all places in a frame.
pub struct Cx<'a> {
    /// What the application knows.
    pub state: &'a AppState,
    /// The embeddings of the open project.
    pub table: &'a Table,
    /// What the user wants; done after the frame.
    pub out: &'a mut Vec<Command>,
    /// Thumbnails.
    pub(super) thumbs: &'a mut Thumbs,
}

impl<'a> Cx<'a> {
    /// For a frame.
    pub fn new(state: &'a AppState, table: &'a Table, out: &'a mut Vec<Command>, thumbs: &'a mut Thumbs) -> Self {
        Self { state, table, out, thumbs }
    }

    /// The open project.
    pub fn project(&self) -> Option<&'a OpenProject> {
        self.state.project.as_ref()
    }

    /// Asks for a command.
    pub fn send(&mut self, command: Command) {
        self.out.push(command);
    }

    /// Asks for an action.
    pub fn act(&mut self, action: Action) {
        self.out.push(Command::Act(action));
    }

    /// Draws the thumbnail of an image of the project so that it covers `rect`, or what stands for it until it is there.
    pub fn project_thumb(&mut self, ui: &Ui, rect: Rect, id: ImageId) {
        self.project_thumb_fit(ui, rect, id, Fit::Cover);
    }

    /// Draws the thumbnail of an image of the project.
    pub fn project_thumb_fit(&mut self, ui: &Ui, rect: Rect, id: ImageId, fit: Fit) {
        if let Some(path) = self.project().and_then(|p| p.data.path(id)) {
            self.thumbs.draw(ui, rect, u64::from(id.0), &path, fit);
        }
    }

    /// Has the thumbnail of an image made that may soon be in view.
    pub fn prefetch_thumb(&mut self, id: ImageId) {
        if let Some(path) = self.project().and_then(|p| p.data.path(id)) {
            self.thumbs.textures.prefetch(u64::from(id.0), &path);
        }
    }

    /// The large picture of an image of the project.
    pub(super) fn large(&mut self, id: ImageId, max_side_px: u32) -> Option<ThumbState<'_>> {
        let path = self.project().and_then(|p| p.data.path(id))?;
        Some(self.thumbs.textures.large(u64::from(id.0), &path, max_side_px))
    }

    /// Draws the thumbnail of any image file into `rect`, all of it. Where it lies, once it is there.
    pub fn file_thumb(&mut self, ui: &Ui, rect: Rect, path: &Path) -> Option<Rect> {
        self.thumbs.draw(ui, rect, path_key(path) | FILE_BIT, path, Fit::Whole)
    }
}
