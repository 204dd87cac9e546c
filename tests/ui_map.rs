//! The map in the window, by accessible label: real worker threads, the starter model, a few of the sample photographs.

#![cfg(feature = "gui")]
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "common/window.rs"]
mod window;

use eframe::egui::{Key, Modifiers, Pos2, Rect, pos2, vec2};
use egui_kittest::kittest::{NodeT as _, Queryable as _};
use graft::app::gallery::SelectOp;
use graft::app::map::ColourBy;
use graft::app::{Action, Command, DropInto};
use graft::project::ImageId;
use window::{Window, pictures};

impl Window {
    /// Where the plot is, and where on the screen an image is, as long as all of the map is shown.
    fn plot(&self) -> Rect {
        self.harness.get_by_label_contains("Map of ").rect()
    }

    fn on_screen(&self, id: ImageId) -> Pos2 {
        let [x, y] = self.project().map_point(id).unwrap();
        let plot = self.plot();
        let points = self.project().data.present().filter_map(|(id, _)| self.project().map_point(id));
        let half = points.fold(vec2(0.05, 0.05), |most, [x, y]| most.max(vec2(x.abs(), y.abs())));
        let room = plot.size() / 2.0 - vec2(20.0, 20.0);
        plot.center() + vec2(x, -y) * (room / half).min_elem()
    }

    fn press(&mut self, at: Pos2) {
        self.harness.hover_at(at);
        self.step();
        self.harness.drag_at(at);
        self.step();
    }

    fn drag(&mut self, way: &[Pos2]) {
        self.press(way[0]);
        for at in way {
            self.harness.hover_at(*at);
            self.step();
        }
        self.harness.drop_at(way[way.len() - 1]);
        self.step();
    }
}

#[test]
fn the_map_shows_selects_and_relabels() {
    let mut window = Window::open();
    window.dispatch(Command::Drop { paths: vec![pictures("map", 8)], into: DropInto::Auto });
    window.wait("a project is open", |s| s.project.is_some());
    window.click("Map");
    window.wait("it is laid out", |s| {
        s.project.as_ref().is_some_and(|p| p.map.is_laid_out() && p.live.fit.is_some()) && s.is_idle()
    });
    assert!(window.sees("Map of 24 images") && window.sees("Neighbours look alike to the model"));
    assert!(window.sees("Show only fish, 8 images"));

    // Images of a class are mostly each other's neighbours.
    let ids: Vec<ImageId> = window.project().data.present().map(|(id, _)| id).collect();
    let class = |window: &Window, id: ImageId| window.project().data.image(id).unwrap().class;
    let n_like = ids.iter().filter(|id| {
        let far = |other: &ImageId| (window.on_screen(*other) - window.on_screen(**id)).length();
        let nearest = ids.iter().filter(|other| other != id).min_by(|a, b| far(a).total_cmp(&far(b))).unwrap();
        class(&window, *nearest) == class(&window, **id)
    });
    let n_like = n_like.count();
    assert!(n_like >= 18, "{n_like} of 24");

    // The pointer over a dot tells what it is.
    let first = ids[0];
    let name = window.project().data.image(first).unwrap().rel.file_name().unwrap().to_string_lossy().into_owned();
    let at = window.on_screen(first);
    window.harness.hover_at(at);
    window.step();
    assert!(window.sees(&name), "{name}");
    // A click selects it, one beside all dots nothing.
    window.press(at);
    window.harness.drop_at(at);
    window.step();
    assert_eq!(window.project().gallery.selection.iter().collect::<Vec<_>>(), [first]);
    assert!(window.sees("1 image selected"));
    let beside = window.plot().left_top() + vec2(6.0, 6.0);
    window.press(beside);
    window.harness.drop_at(beside);
    window.step();
    assert!(window.project().gallery.selection.is_empty());

    // A lasso around everything, by its button: the selection is the gallery's, keys label it, undo takes that back.
    window.click("Lasso");
    let plot = window.plot().shrink(3.0);
    window.drag(&[plot.left_top(), plot.right_top(), plot.right_bottom(), plot.left_bottom()]);
    assert_eq!(window.project().gallery.selection.len(), 24);
    window.click("Lasso");
    window.dispatch(Command::Select(SelectOp::Set { images: ids[..3].to_vec(), keep: false }));
    let before: Vec<_> = ids.iter().map(|id| class(&window, *id)).collect();
    window.key(Modifiers::NONE, Key::Num2);
    assert!(ids[..3].iter().all(|id| class(&window, *id) != before[0] && class(&window, *id).is_some()));
    window.key(Modifiers::COMMAND, Key::Z);
    assert_eq!(ids.iter().map(|id| class(&window, *id)).collect::<Vec<_>>(), before);

    // By keys alone: to an image, to the next, more of them, and into the large view.
    window.key(Modifiers::NONE, Key::Escape);
    assert!(window.project().gallery.selection.is_empty());
    window.key(Modifiers::COMMAND, Key::ArrowRight);
    assert_eq!(window.project().gallery.selection.len(), 1);
    let from = window.project().gallery.cursor.unwrap();
    let step = |window: &mut Window, modifiers: Modifiers| {
        for key in [Key::ArrowRight, Key::ArrowLeft, Key::ArrowUp] {
            window.key(modifiers, key);
            if window.project().gallery.cursor != Some(from) {
                break;
            }
        }
    };
    step(&mut window, Modifiers::COMMAND | Modifiers::SHIFT);
    assert_eq!(window.project().gallery.selection.len(), 2);
    window.key(Modifiers::NONE, Key::Enter);
    assert_eq!(window.project().gallery.large, window.project().gallery.cursor);
    window.key(Modifiers::NONE, Key::Escape);
    assert!(window.project().gallery.large.is_none());

    // Colours and their legend, which filters.
    for (label, by) in [
        ("Right or wrong", ColourBy::Correctness),
        ("Confidence", ColourBy::Confidence),
        ("Split", ColourBy::Split),
        ("Class", ColourBy::Class),
    ] {
        window.click(label);
        assert_eq!(window.project().map.colour_by, by);
        match by {
            ColourBy::Correctness => assert!(window.sees("Show only Right")),
            ColourBy::Confidence => assert!(window.sees("Unsure")),
            ColourBy::Split => assert!(window.sees("Show only Training") && window.sees("Show only Validation")),
            ColourBy::Class => assert!(window.sees("Show only tool, 8 images")),
        }
    }
    window.click("Show only tool, 8 images");
    assert_eq!(window.project().gallery.visible.len(), 8);
    let plot = window.plot().shrink(3.0);
    let [a, b, c, d] = [plot.left_top(), plot.right_top(), plot.right_bottom(), plot.left_bottom()];
    window.click("Lasso");
    window.drag(&[a, b, c, d]);
    assert_eq!(window.project().gallery.selection.len(), 8, "what the filter hides is not taken");
    window.click("Show only tool, 8 images");
    assert_eq!(window.project().gallery.visible.len(), 24);
    window.click("Lasso");

    // A drag moves the map, and it is fitted again.
    let can_fit =
        |window: &Window| !window.harness.get_by_label("Fit the map to the window").accesskit_node().is_disabled();
    assert!(!can_fit(&window));
    let centre = window.plot().center();
    window.drag(&[centre, pos2(centre.x + 40.0, centre.y + 30.0)]);
    assert!(can_fit(&window));
    window.dispatch(Command::Act(Action::FitMap));
    assert!(!can_fit(&window));

    // The layout can be asked for again, and gives the same map.
    let before: Vec<_> = ids.iter().map(|id| window.project().map_point(*id)).collect();
    window.click("Lay out the map again");
    window.wait("it is laid out again", |s| s.is_idle());
    assert_eq!(ids.iter().map(|id| window.project().map_point(*id)).collect::<Vec<_>>(), before);
}
