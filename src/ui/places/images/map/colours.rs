//! From images to dots: which colour, and how many of which.

use eframe::egui::{Color32, Ui};

use crate::app::OpenProject;
use crate::app::gallery::{ClassFilter, Filter, IdBits};
use crate::app::map::ColourBy;
use crate::dataset::Split;
use crate::project::{ClassId, Image, ImageId};
use crate::ui::theme::colour::mix;
use crate::ui::theme::{Theme, class_colour, tokens};
use crate::ui::widgets::scatter::{Dot, Layer};

/// Images of one colour.
#[derive(Clone, Debug)]
pub(super) struct Group {
    /// What they have in common.
    pub name: String,
    /// Their colour.
    pub colour: Color32,
    /// How many are on the map.
    pub n: usize,
    /// What shows only these; nothing where no filter can tell them.
    pub filter: Option<Only>,
}

/// What a group is told by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Only {
    Class(ClassFilter),
    Right(bool),
    Split(Split),
}

impl Only {
    /// Whether a filter shows only these.
    pub(super) fn is_on(self, filter: &Filter) -> bool {
        match self {
            Self::Class(class) => filter.class == class,
            Self::Right(is_right) => filter.is_right == Some(is_right),
            Self::Split(split) => filter.split == Some(split),
        }
    }

    /// The filter with this one set, or taken off where it was set.
    pub(super) fn toggled(self, filter: &Filter) -> Filter {
        let (is_on, filter) = (self.is_on(filter), filter.clone());
        match self {
            Self::Class(class) => Filter { class: if is_on { ClassFilter::Any } else { class }, ..filter },
            Self::Right(is_right) => Filter { is_right: (!is_on).then_some(is_right), ..filter },
            Self::Split(split) => Filter { split: (!is_on).then_some(split), ..filter },
        }
    }
}

/// The dots of a map with what they stand for.
#[derive(Default)]
pub(super) struct Painted {
    /// By image, ascending.
    pub ids: Vec<ImageId>,
    /// In the order of `ids`, for the plot to take.
    pub dots: Vec<Dot>,
    /// What the colours mean.
    pub groups: Vec<Group>,
    /// Images that pass the filter.
    pub shown: IdBits,
}

/// Ends of the scale of confidence: unsure, sure.
pub(super) fn scale(theme: Theme) -> [Color32; 2] {
    [class_colour(1, theme), class_colour(0, theme)]
}

impl Painted {
    pub(super) fn new(project: &OpenProject, ui: &Ui) -> Self {
        let (t, theme) = (tokens(ui), Theme::of(ui));
        let grouping = Grouping::new(project, theme, t.text_faint);
        let mut shown = IdBits::default();
        project.gallery.visible.iter().for_each(|id| shown.set(*id, true));
        let faded = mix(t.text_faint, t.surface, 0.78);
        let mut painted = Self { groups: grouping.groups.clone(), ..Self::default() };
        for (id, image) in project.data.present().filter(|(_, image)| image.skipped.is_none()) {
            let Some(at) = project.map_point(id) else { continue };
            let (group, colour, is_rare) = grouping.of(project, id, image);
            if let Some(group) = painted.groups.get_mut(group) {
                group.n += 1;
            }
            let layer = if !shown.contains(id) {
                Layer::Behind
            } else if project.gallery.selection.contains(id) {
                Layer::Selected
            } else if is_rare {
                Layer::Front
            } else {
                Layer::Middle
            };
            let colour = if layer == Layer::Behind { faded } else { colour };
            painted.ids.push(id);
            painted.dots.push(Dot { at, colour, layer });
        }
        painted.groups.retain(|group| group.n > 0);
        painted.shown = shown;
        painted
    }
}

struct Grouping {
    by: ColourBy,
    groups: Vec<Group>,
    /// Group of each class.
    group_of: Vec<usize>,
    /// Of the scale of confidence.
    ends: [Color32; 2],
    /// The least that the top class can have.
    least: f32,
    none: Color32,
}

impl Grouping {
    fn new(project: &OpenProject, theme: Theme, none: Color32) -> Self {
        let group = |name: &str, colour, filter| Group { name: name.to_owned(), colour, n: 0, filter };
        let ends = scale(theme);
        let mut group_of = vec![usize::MAX; project.data.classes.len()];
        let groups = match project.map.colour_by {
            ColourBy::Class => {
                let mut groups = Vec::new();
                for (id, class) in project.data.sorted_classes() {
                    group_of[id.as_usize()] = groups.len();
                    let colour = class_colour(usize::from(class.colour), theme);
                    groups.push(group(&class.name, colour, Some(Only::Class(ClassFilter::Is(id)))));
                }
                groups.push(group("Unlabelled", none, Some(Only::Class(ClassFilter::Unlabelled))));
                groups
            }
            ColourBy::Correctness => vec![
                group("Right", ends[1], Some(Only::Right(true))),
                group("Wrong", ends[0], Some(Only::Right(false))),
                group("No label or no answer", none, None),
            ],
            ColourBy::Confidence => vec![group("Answered", ends[1], None), group("No answer yet", none, None)],
            ColourBy::Split => vec![
                group("Training", class_colour(0, theme), Some(Only::Split(Split::Train))),
                group("Validation", class_colour(1, theme), Some(Only::Split(Split::Val))),
                group("Test", class_colour(4, theme), Some(Only::Split(Split::Test))),
                group("Not used yet", none, None),
            ],
        };
        let n_classes = project.live.fit.as_ref().map_or(2, |fit| fit.class_ids().len().max(2));
        Self { by: project.map.colour_by, groups, group_of, ends, least: 1.0 / n_classes as f32, none }
    }

    /// The group of an image, its colour, and whether it is one of the few that one looks for: those lie over the others.
    fn of(&self, project: &OpenProject, id: ImageId, image: &Image) -> (usize, Color32, bool) {
        let last = self.groups.len() - 1;
        let of_class = |class: ClassId| self.group_of.get(class.as_usize()).copied().filter(|g| *g != usize::MAX);
        let group = match self.by {
            ColourBy::Class => image.class.and_then(of_class).unwrap_or(last),
            // A guess of labels is no truth to be right by.
            ColourBy::Correctness => match (image.class.filter(|_| !image.is_guessed), project.live.prediction(id)) {
                (Some(class), Some((predicted, _))) => usize::from(class != predicted),
                _ => last,
            },
            ColourBy::Confidence => match project.live.prediction(id) {
                Some((_, confidence)) => {
                    let sure = ((confidence - self.least) / (1.0 - self.least)).clamp(0.0, 1.0);
                    return (0, mix(self.ends[0], self.ends[1], sure), sure < 0.5);
                }
                None => last,
            },
            ColourBy::Split => match project.live.split_of(id) {
                Some(Split::Train) => 0,
                Some(Split::Val) => 1,
                Some(Split::Test) => 2,
                None => last,
            },
        };
        let is_mistake = self.by == ColourBy::Correctness && group == 1;
        (group, self.groups.get(group).map_or(self.none, |g| g.colour), is_mistake)
    }
}
