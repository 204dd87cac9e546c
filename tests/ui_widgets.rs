//! The widgets: how they look (a sheet of all of them in both themes) and what they do, by accessible name.

#![cfg(feature = "gui")]
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests")]

use std::path::Path;

use eframe::egui::{self, Key, Ui, vec2};
use egui_kittest::Harness;
use egui_kittest::kittest::Queryable as _;
use egui_plot::{Line, Points};
use graft::ui::format::thousands;
use graft::ui::icons;
use graft::ui::theme::{self, Theme, ThemeChoice, Weight, class_colour, space};
use graft::ui::widgets::*;

/// What the sheet's widgets change.
struct Sheet {
    segment: usize,
    view: usize,
    on: bool,
    off: bool,
    checked: bool,
    choice: usize,
    path: String,
    search: String,
    name: String,
    sort: Option<Sort>,
    slider: f32,
}

impl Default for Sheet {
    fn default() -> Self {
        Self {
            segment: 0,
            view: 0,
            on: true,
            off: false,
            checked: true,
            choice: 1,
            path: "/home/ada/pictures/hymenoptera".to_owned(),
            search: "wasp".to_owned(),
            name: String::new(),
            sort: Some(Sort { column: 2, descending: true }),
            slider: 0.62,
        }
    }
}

const CLASSES: [(&str, f32, f32, usize); 6] = [
    ("ants", 0.962, 0.931, 398),
    ("bees", 0.941, 0.958, 412),
    ("wasps, hornets and everything else that stings", 0.873, 0.902, 67),
    ("bumblebees", 0.911, 0.845, 1204),
    ("butterflies", 0.998, 1.0, 88),
    ("σφήκα / оса", 0.774, 0.731, 31),
];

fn buttons(ui: &mut Ui, sheet: &mut Sheet) {
    Card::new().title("Buttons and choices").show(ui, |ui| {
        ui.horizontal(|ui| {
            ui.add(Button::new("Export…").primary().icon(icons::EXPORT));
            button(ui, "Add images…");
            quiet_button(ui, "Skip");
            danger_button(ui, "Delete");
            link_button(ui, "What is this?");
        });
        ui.horizontal(|ui| {
            ui.add(Button::new("Add class").icon(icons::PLUS).small());
            ui.add(Button::new("Sort").icon(icons::SORT_ASCENDING).quiet().small());
            ui.add(Button::new("Train").primary().small());
            ui.add(Button::new("Cannot").availability(Err("No model is chosen")));
            ui.add(Button::new("Cannot either").primary().enabled(false));
        });
        ui.horizontal(|ui| {
            for (icon, label) in [
                (icons::ARROW_U_UP_LEFT, "Undo"),
                (icons::ARROW_U_UP_RIGHT, "Redo"),
                (icons::TRASH, "Remove"),
                (icons::DOTS_THREE, "More"),
            ] {
                icon_button(ui, icon, label);
            }
            ui.add(Button::icon_only(icons::EYE, "Show names").selected(true));
            menu_button(ui, Button::new("Theme").trailing_icon(icons::CARET_DOWN), |ui| {
                menu_choice(ui, "Light", true);
                menu_choice(ui, "Dark", false);
            });
            kbd(ui, "Ctrl+K");
        });
        ui.horizontal(|ui| {
            let options = [(0, "Linear"), (1, "Prototype"), (2, "Both")];
            segmented(ui, "Head", &mut sheet.segment, &options);
            let icons = [(0, icons::SQUARES_FOUR, "Grid"), (1, icons::LIST, "List")];
            segmented_icons(ui, "View", &mut sheet.view, &icons);
            select(ui, "Provider", &mut sheet.choice, &[(0, "Automatic"), (1, "CPU"), (2, "CUDA")]);
        });
        ui.horizontal(|ui| {
            ui.spacing_mut().item_spacing.x = space::L;
            toggle(ui, &mut sheet.on, "Balance classes");
            toggle(ui, &mut sheet.off, "Only mistakes");
            checkbox(ui, &mut sheet.checked, "Include skipped");
        });
        slider(ui, "Threshold", &mut sheet.slider, 0.0..=1.0, percent);
    });
}

fn fields(ui: &mut Ui, sheet: &mut Sheet) {
    Card::new().title("Fields").show(ui, |ui| {
        path_field(ui, "Image folder", &mut sheet.path, "Folder of images");
        ui.horizontal(|ui| {
            search_field(ui, "Search", &mut sheet.search, "Search images");
        });
        checked_field(ui, "Class name", &mut sheet.name, "Name of the class", Some("A class needs a name."));
        form_row(ui, "Input size", 110.0, "Guessed from the model’s input.", |ui| {
            badge(ui, "224 × 224", Meaning::Neutral);
            badge(ui, "guessed", Meaning::Warning);
        });
    });
}

fn marks(ui: &mut Ui) {
    Card::new().title("Marks").note("Badges, classes, counts").show(ui, |ui| {
        flow(ui, |ui| {
            for (text, meaning) in ["Neutral", "New", "Verified", "Unbalanced", "Failed"].into_iter().zip(Meaning::ALL)
            {
                badge(ui, text, meaning);
            }
            badge_icon(ui, icons::CHECK, "Read from file", Meaning::Positive);
            count_pill(ui, 3, Meaning::Accent);
            count_pill(ui, 12_345, Meaning::Neutral);
        });
        let theme = Theme::of(ui);
        flow(ui, |ui| {
            for i in 0..14 {
                class_chip(ui, &format!("class {i}"), class_colour(i, theme));
            }
        });
        ui.spacing_mut().item_spacing.y = 2.0;
        for (i, (name, _, _, n)) in CLASSES.iter().take(4).enumerate() {
            let key = (i + 1).to_string();
            list_row(
                ui,
                ListRow {
                    text: name,
                    colour: Some(class_colour(i, theme)),
                    count: Some(*n),
                    key: Some(&key),
                    selected: i == 1,
                    drop_target: i == 3,
                    ..ListRow::default()
                },
            );
        }
    });
}

fn figures(ui: &mut Ui) {
    let theme = Theme::of(ui);
    let t = theme::tokens(ui);
    Card::new().title("Figures").show_with(
        ui,
        |ui| {
            icon_button(ui, icons::COPY, "Copy figures");
        },
        |ui| {
            ui.horizontal_top(|ui| {
                ui.spacing_mut().item_spacing.x = space::XXL;
                stat(ui, "Validated accuracy", "95.4 %", "92.8 to 97.4");
                stat_toned(ui, "Since the last change", "+1.2 %", "3 images corrected", Meaning::Positive);
                stat(ui, "Images", &thousands(12_345), "2 classes");
            });
            ui.add_space(space::S);
            ui.spacing_mut().item_spacing.y = 0.0;
            for (i, (name, p)) in
                [("ants", 0.934), ("bees", 0.061), ("wasps, hornets and such", 0.005)].into_iter().enumerate()
            {
                probability_bar(ui, name, class_colour(i, theme), p, i == 0);
            }
            stack(ui, 0.0, |ui| {
                interval_row(ui, "Linear head", Interval::new(0.954, 0.91, 0.98), t.accent.solid, true);
                interval_row(ui, "Prototype head", Interval::new(0.80, 0.71, 0.88), class_colour(1, theme), false);
            });
            ui.spacing_mut().item_spacing.y = space::S;
            interval_bar(ui, "Accuracy", Interval::new(0.80, 0.71, 0.88), class_colour(1, theme));
            progress_bar(ui, "Embedding", Some(0.42));
            progress_bar(ui, "Scanning", None);
            busy_line(ui, "Training both heads…");
            spark_bars(
                ui,
                "Images per class",
                &[398.0, 412.0, 67.0, 120.0, 88.0, 31.0, 12.0],
                class_colour(0, theme),
                36.0,
            );
            key_values(
                ui,
                &[
                    ("Input", "3 × 224 × 224"),
                    ("Preprocessing", "Resize 256, centre crop 224"),
                    ("Licence", "Apache-2.0"),
                ],
            );
        },
    );
}

fn banners(ui: &mut Ui) {
    Banner::new(Meaning::Warning, "31 images lie in more than one split")
        .text("The measured accuracy is too good by what was memorised. Keep each in one split.")
        .actions(&["Mend", "Show"])
        .dismissible()
        .show(ui);
    Banner::new(Meaning::Negative, "ONNX Runtime was not found").actions(&["Choose file…"]).show(ui);
    Banner::new(Meaning::Accent, "Opened read-only: another window has this project").show(ui);
    Banner::new(Meaning::Positive, "The exported file agrees with the app on all 80 images").dismissible().show(ui);
}

fn toasts(ui: &mut Ui) {
    let said = Toast { meaning: Meaning::Positive, title: "12 images moved to bees", detail: "", action: "Undo" };
    toast(ui, said);
    toast(
        ui,
        Toast {
            meaning: Meaning::Negative,
            title: "Could not write graft-export",
            detail: "The disk is full. Free some space, or choose another folder.",
            action: "",
        },
    );
}

fn table(ui: &mut Ui, sheet: &mut Sheet) -> TableResponse {
    let theme = Theme::of(ui);
    let columns = [
        Column::text("Class").min_width(110.0),
        Column::number("Images", 56.0),
        Column::number("Precision", 70.0),
        Column::fixed("Recall", 150.0).sortable(true),
    ];
    let mut rows: Vec<_> = CLASSES.iter().enumerate().collect();
    if let Some(sort) = sheet.sort {
        rows.sort_by(|(_, a), (_, b)| match sort.column {
            0 => a.0.cmp(b.0),
            1 => a.3.cmp(&b.3),
            2 => a.1.total_cmp(&b.1),
            _ => a.2.total_cmp(&b.2),
        });
        if sort.descending {
            rows.reverse();
        }
    }
    Card::new()
        .title("Per class")
        .flush()
        .show(ui, |ui| {
            Table::new("per class", &columns).sort(&mut sheet.sort).clickable(Some(1)).show(ui, rows.len(), |i, row| {
                let (idx, (name, precision, recall, n)) = rows[i];
                row.class(name, class_colour(idx, theme));
                row.text(&thousands(*n));
                row.text(&format!("{precision:.3}"));
                row.bar(&format!("{recall:.3}"), *recall, class_colour(idx, theme));
            })
        })
        .inner
}

fn rail(ui: &mut Ui) {
    let places = [
        (icons::CUBE, icons::CUBE_FILL, "Model", None, None),
        (icons::IMAGES, icons::IMAGES_FILL, "Images", Some("12"), None),
        (icons::GRADUATION_CAP, icons::GRADUATION_CAP_FILL, "Train", None, None),
        (icons::CHART_BAR, icons::CHART_BAR_FILL, "Evaluate", None, Some(Meaning::Accent)),
        (icons::EXPORT, icons::EXPORT_FILL, "Export", None, None),
    ];
    ui.spacing_mut().item_spacing.y = 2.0;
    for (i, (icon, icon_selected, label, badge, dot)) in places.into_iter().enumerate() {
        rail_item(ui, RailItem { icon, icon_selected, label, selected: i == 1, badge, dot, shortcut: Some("Ctrl+1") });
    }
}

/// The harness draws nothing behind its `Ui`.
fn background(ui: &Ui) {
    ui.painter().with_clip_rect(ui.ctx().content_rect()).rect_filled(
        ui.ctx().content_rect(),
        0.0,
        theme::tokens(ui).canvas,
    );
}

fn sheet_ui(ui: &mut Ui, sheet: &mut Sheet) {
    background(ui);
    let t = theme::tokens(ui);
    let frame = egui::Frame::new().fill(t.canvas);
    egui::Panel::left("rail").frame(frame.inner_margin(8)).exact_size(RAIL_WIDTH).show(ui, rail);
    egui::CentralPanel::default().frame(frame.inner_margin(16)).show(ui, |ui| {
        place_header(ui, "Images", "12,345 images, 2 classes", |ui| {
            ui.add(Button::new("Export…").primary().icon(icons::EXPORT));
            button(ui, "Add images…");
        });
        columns(ui, &[1.0, 1.0], |ui, column| {
            if column == 0 {
                buttons(ui, sheet);
                fields(ui, sheet);
                marks(ui);
            } else {
                table(ui, sheet);
                figures(ui);
                banners(ui);
            }
        });
    });
}

fn harness<'a, State>(
    theme: Theme,
    size: [f32; 2],
    pixels_per_point: f32,
    state: State,
    app: impl FnMut(&mut Ui, &mut State) + 'a,
) -> Harness<'a, State> {
    Harness::builder()
        .with_size(size)
        .with_pixels_per_point(pixels_per_point)
        .with_theme(theme.into())
        .with_context_setup(theme::install)
        .build_ui_state(app, state)
}

/// Writes what is on screen to a PNG for people to look at, where they ask for it.
fn look<State>(harness: &mut Harness<'_, State>, name: &str) {
    let Some(folder) = std::env::var_os("GRAFT_LOOK") else { return };
    std::fs::create_dir_all(&folder).unwrap();
    harness.render().unwrap().save(Path::new(&folder).join(format!("{name}.png"))).unwrap();
}

#[test]
fn every_icon_has_its_glyph() {
    let mut harness = harness(Theme::Light, [10.0, 10.0], 1.0, (), |_, ()| ());
    harness.run();
    harness.ctx.fonts_mut(|fonts| {
        for (name, icon) in icons::ALL {
            assert!(fonts.has_glyphs(&icons::font(16.0), icon), "{name} has no glyph");
        }
    });
}

/// What floats, and what fills a place.
fn second_sheet(ui: &mut Ui, _: &mut Sheet) {
    background(ui);
    toast_area(ui.ctx(), 0.0, toasts);
    let t = theme::tokens(ui);
    egui::Panel::left("list")
        .frame(egui::Frame::new().fill(t.canvas).inner_margin(8))
        .exact_size(RAIL_WIDTH_NARROW)
        .show(ui, rail);
    egui::CentralPanel::default().frame(egui::Frame::new().fill(t.canvas).inner_margin(16)).show(ui, |ui| {
        columns(ui, &[1.0, 1.0], |left, column| {
            if column == 1 {
                let rect = left.available_rect_before_wrap();
                left.painter().rect_filled(rect, 8.0, t.surface);
                EmptyState::new(icons::IMAGES, "No images yet")
                    .text("Drop a folder of images anywhere in this window. A folder of class folders becomes a data set.")
                    .actions(&["Add images…", "Try the sample"])
                    .show(left);
                return;
            }
            section_heading(left, "Skeletons", |ui| {
                link_button(ui, "Show all");
            });
            left.horizontal(|ui| {
                for _ in 0..4 {
                    skeleton(ui, vec2(88.0, 88.0));
                }
            });
            for (i, title) in ["Starter model", "My own"].into_iter().enumerate() {
                Card::new().title(title).note("384 features, 224 × 224").selected(i == 0).show_clickable(left, &format!("Choose {title}"), |ui| {
                    flow(ui, |ui| {
                        badge(ui, "Features", Meaning::Accent);
                        badge(ui, "Zero-shot", Meaning::Neutral);
                    });
                });
            }
            stack(left, 0.0, |ui| {
                egui::Frame::popup(ui.style()).show(ui, |ui| {
                    ui.set_width(220.0);
                    ui.spacing_mut().item_spacing.y = 0.0;
                    menu_heading(ui, "12 images");
                    menu_item(ui, icons::TAG, "Label as…", Some("L"));
                    menu_item(ui, icons::ARROW_SQUARE_OUT, "Open in viewer", Some("Enter"));
                    menu_choice(ui, "Sort by name", true);
                    menu_separator(ui);
                    menu_item_danger(ui, icons::TRASH, "Remove from the project");
                });
            });
            text_area(left, "Labels", &mut "a photo of an ant\na photo of a bee".to_owned(), "One a line", 3);
            Card::new().title("Reliability").show(left, |ui| {
                let line = class_colour(1, Theme::of(ui));
                legend(ui, &[("Linear", t.accent.solid), ("Prototype", line)]);
                let axes = (ChartAxis::fraction("Confidence"), ChartAxis::fraction("Accuracy"));
                chart(ui, "Reliability diagram", 180.0, axes, move |plot| {
                    plot.line(Line::new("perfect", vec![[0.0, 0.0], [1.0, 1.0]]).color(t.border_control));
                    let linear = vec![[0.1, 0.04], [0.4, 0.3], [0.7, 0.72], [0.95, 0.97]];
                    plot.line(Line::new("Linear", linear).color(t.accent.solid).width(2.0));
                    plot.points(Points::new("Prototype", vec![[0.3, 0.4], [0.8, 0.7]]).radius(4.0).color(line));
                });
            });
            body(left, "Text that is long enough to be wrapped shows the distance of lines, which ought to be comfortable for reading and no more than that.");
            caption(left, "Captions are smaller and weaker, and wrap as well when they are as long as this one is.");
        });
    });
}

#[test]
fn digits_are_of_one_width_in_every_weight() {
    let mut harness = harness(Theme::Light, [10.0, 10.0], 1.0, (), |_, ()| ());
    harness.run();
    harness.ctx.fonts_mut(|fonts| {
        for weight in [Weight::Regular, Weight::Medium, Weight::SemiBold] {
            let widths: Vec<f32> = ('0'..='9').map(|c| fonts.glyph_width(&theme::font(13.0, weight), c)).collect();
            assert!(widths.iter().all(|w| *w == widths[0] && *w > 0.0), "{weight:?}: {widths:?}");
        }
    });
}

/// Whether anything can be rendered here. Drivers, also in software, are no part of what a test may ask for.
fn renders() -> bool {
    let tried = std::panic::catch_unwind(|| harness(Theme::Light, [8.0, 8.0], 1.0, (), |_, ()| ()).render().is_ok());
    let renders = tried.unwrap_or(false);
    if !renders {
        println!("SKIPPED: there is no Vulkan driver here, so nothing can be rendered (mesa-vulkan-drivers has one)");
    }
    renders
}

#[test]
fn the_sheets_look_as_they_did() {
    if !renders() {
        return;
    }
    let mut results = egui_kittest::SnapshotResults::new();
    for theme in Theme::ALL {
        let name = format!("{theme:?}").to_lowercase();
        let mut first = harness(theme, [1240.0, 1060.0], 1.0, Sheet::default(), sheet_ui);
        first.run();
        look(&mut first, &format!("sheet-{name}"));
        // Drivers differ in how they smooth edges.
        let options = egui_kittest::SnapshotOptions::new().threshold(1.0).max_failed_pixels(500);
        first.snapshot_options(format!("ui_widgets_{name}"), &options);
        results.extend_harness(&mut first);
        if std::env::var_os("GRAFT_LOOK").is_some() {
            let mut large = harness(theme, [1240.0, 1060.0], 2.0, Sheet::default(), sheet_ui);
            large.run();
            look(&mut large, &format!("sheet-{name}-2x"));
            let mut second = harness(theme, [900.0, 960.0], 1.0, Sheet::default(), second_sheet);
            second.run();
            look(&mut second, &format!("second-{name}"));
        }
    }
}

#[test]
fn what_fills_a_place_and_what_floats_is_named() {
    let mut harness = harness(Theme::Dark, [900.0, 960.0], 1.0, Sheet::default(), second_sheet);
    harness.run();
    for label in
        ["Starter model", "Add images…", "12 images moved to bees", "Reliability diagram", "Show all", "Labels"]
    {
        harness.get_by_label(label);
    }
}

/// A harness of a small window in the light theme.
fn small<'a, State>(state: State, app: impl FnMut(&mut Ui, &mut State) + 'a) -> Harness<'a, State> {
    let mut app = app;
    harness(Theme::Light, [480.0, 320.0], 1.0, state, move |ui, state| {
        background(ui);
        app(ui, state);
    })
}

#[test]
fn a_button_is_pressed_with_pointer_and_keyboard_unless_it_says_why_not() {
    let mut harness = small((0, Err("No model is chosen")), |ui, (n, availability)| {
        if ui.add(Button::new("Train").primary().availability(*availability).shortcut("Ctrl+T")).clicked() {
            *n += 1;
        }
    });
    harness.get_by_label("Train").click();
    harness.run();
    assert_eq!(harness.state().0, 0, "a disabled button does nothing");
    harness.get_by_label("Train").hover();
    harness.run_steps(40);
    assert!(harness.query_by_label("No model is chosen").is_some(), "the reason is a tooltip");

    harness.state_mut().1 = Ok(());
    harness.run();
    harness.get_by_label("Train").click();
    harness.run();
    harness.get_by_label("Train").focus();
    harness.run();
    harness.key_press(Key::Enter);
    harness.run();
    assert_eq!(harness.state().0, 2);
    look(&mut harness, "focus-button");
}

#[test]
fn a_tooltip_shows_the_shortcut() {
    let mut harness = small((), |ui, ()| {
        ui.add(Button::icon_only(icons::ARROW_U_UP_LEFT, "Undo").shortcut("Ctrl+Z"));
    });
    assert!(harness.query_by_label("Ctrl+Z").is_none());
    harness.get_by_label("Undo").hover();
    harness.run_steps(40);
    assert!(harness.query_by_label("Ctrl+Z").is_some());
    look(&mut harness, "tooltip");
}

#[test]
fn choices_change_what_they_are_of() {
    let mut harness = small(Sheet { on: false, checked: false, ..Sheet::default() }, |ui, sheet| {
        segmented(ui, "Head", &mut sheet.segment, &[(0, "Linear"), (1, "Prototype")]);
        segmented_icons(ui, "View", &mut sheet.view, &[(0, icons::LIST, "List"), (1, icons::SQUARES_FOUR, "Grid")]);
        toggle(ui, &mut sheet.on, "Balance classes");
        checkbox(ui, &mut sheet.checked, "Include skipped");
        select(ui, "Provider", &mut sheet.choice, &[(0, "Automatic"), (1, "CPU"), (2, "CUDA")]);
        slider(ui, "Threshold", &mut sheet.slider, 0.0..=1.0, percent);
    });
    for label in ["Prototype", "Grid", "Include skipped"] {
        harness.get_by_label(label).click();
        harness.run();
    }
    harness.get_by_label("Balance classes").focus();
    harness.run();
    harness.key_press(Key::Space);
    harness.run();
    harness.get_by_label("Provider").click();
    harness.run();
    look(&mut harness, "select-open");
    harness.get_by_label("CUDA").click();
    harness.run();
    assert!(harness.query_by_label("Automatic").is_none(), "the list has closed");
    harness.get_by_label("Threshold").focus();
    harness.run();
    for _ in 0..3 {
        harness.key_press(Key::ArrowRight);
        harness.run();
    }
    look(&mut harness, "focus-slider");
    let sheet = harness.state();
    assert_eq!((sheet.segment, sheet.view, sheet.choice), (1, 1, 2));
    assert!(sheet.on && sheet.checked);
    assert!((sheet.slider - 0.65).abs() < 1e-4, "{}", sheet.slider);
}

#[test]
fn a_search_is_emptied_by_its_cross_and_by_escape() {
    let mut harness = small(Sheet::default(), |ui, sheet| {
        search_field(ui, "Search", &mut sheet.search, "Search images");
    });
    harness.run();
    harness.get_by_label("Clear search").click();
    harness.run();
    assert_eq!(harness.state().search, "");
    assert!(harness.query_by_label("Clear search").is_none());
    harness.get_by_label("Search").focus();
    harness.run();
    harness.get_by_label("Search").type_text("bee");
    harness.run();
    assert_eq!(harness.state().search, "bee");
    harness.key_press(Key::Escape);
    harness.run();
    assert_eq!(harness.state().search, "");
}

#[test]
fn a_path_is_meant_with_enter_or_looked_for() {
    let state = (String::new(), Vec::new());
    let mut harness = small(state, |ui, (text, events)| {
        let event = path_field(ui, "Image folder", text, "Folder of images");
        if event != FieldEvent::None {
            events.push(event);
        }
    });
    harness.get_by_label("Image folder").focus();
    harness.run();
    harness.get_by_label("Image folder").type_text("\"/data/my images\"");
    harness.run();
    look(&mut harness, "focus-field");
    harness.key_press(Key::Enter);
    harness.run();
    harness.get_by_label("Browse for image folder").click();
    harness.run();
    let (text, events) = harness.state();
    assert_eq!(text, "/data/my images", "quotes that a file manager copies are taken off");
    assert_eq!(*events, [FieldEvent::Changed, FieldEvent::Commit, FieldEvent::Browse]);
}

#[test]
fn a_name_is_typed_over_and_kept_or_left_as_it_was() {
    for (key, expected) in [(Key::Enter, FieldEvent::Commit), (Key::Escape, FieldEvent::Cancel)] {
        let state = ("ants".to_owned(), Vec::new());
        let mut harness = small(state, |ui, (text, events)| {
            let event = rename_field(ui, egui::Id::unique("rename"), "New name of ants", text);
            if event != FieldEvent::None {
                events.push(event);
            }
        });
        harness.run();
        assert!(harness.get_by_label("New name of ants").is_focused());
        harness.get_by_label("New name of ants").type_text("bees");
        harness.run();
        assert_eq!(harness.state().0, "bees", "the old name was selected and typed over");
        harness.key_press(key);
        harness.run();
        assert_eq!(harness.state().1, [FieldEvent::Changed, expected]);
    }
}

#[test]
fn a_table_sorts_and_is_clicked() {
    let mut harness = small((Sheet { sort: None, ..Sheet::default() }, None), |ui, (sheet, clicked)| {
        *clicked = table(ui, sheet).clicked.or(*clicked);
    });
    harness.run();
    for (column, descending) in [(2, true), (2, false), (0, false)] {
        harness.get_by_label(["Class", "Images", "Precision"][column]).click();
        harness.run();
        assert_eq!(harness.state().0.sort, Some(Sort { column, descending }));
    }
    harness.get_by_label_contains("bees, 412").click();
    harness.run();
    assert_eq!(harness.state().1, Some(1));
    look(&mut harness, "table-narrow");
}

#[test]
fn a_table_draws_only_what_shows() {
    let columns = [Column::text("Name"), Column::number("n", 60.0)];
    let mut harness = small(Vec::new(), |ui, drawn| {
        drawn.clear();
        Table::new("long", &columns).max_height(200.0).show(ui, 100_000, |i, row| {
            drawn.push(i);
            row.text("name");
            row.text(&thousands(i));
        });
    });
    harness.run();
    let drawn = harness.state();
    assert!(drawn.starts_with(&[0, 1, 2]) && drawn.len() < 12, "{drawn:?}");
}

#[test]
fn notices_say_what_was_chosen() {
    let mut harness = small(Vec::new(), |ui, events| {
        let banner = Banner::new(Meaning::Negative, "ONNX Runtime was not found");
        events.push(banner.text("Choose its file.").actions(&["Choose file…", "Help"]).dismissible().show(ui));
        let said = Toast { meaning: Meaning::Positive, title: "12 images moved", detail: "", action: "Undo" };
        events.push(toast_area(ui.ctx(), 0.0, |ui| toast(ui, said)));
        events.retain(|event| *event != NoticeEvent::None);
    });
    harness.run();
    for label in ["Choose file…", "Help", "Undo"] {
        harness.get_by_label(label).click();
        harness.run();
    }
    harness.get_all_by_label("Dismiss").next().unwrap().click();
    harness.run();
    let expected = [NoticeEvent::Action(0), NoticeEvent::Action(1), NoticeEvent::Action(0), NoticeEvent::Dismissed];
    assert_eq!(*harness.state(), expected);
}

#[test]
fn a_menu_opens_and_closes_with_a_choice() {
    let mut harness = small(None, |ui, chosen| {
        menu_button(ui, Button::new("Class").trailing_icon(icons::CARET_DOWN), |ui| {
            for (icon, item, keys) in
                [(icons::PENCIL_SIMPLE, "Rename…", Some("F2")), (icons::GIT_MERGE, "Merge into another class…", None)]
            {
                if menu_item(ui, icon, item, keys).clicked() {
                    *chosen = Some(item);
                }
            }
            menu_separator(ui);
            menu_item_danger(ui, icons::TRASH, "Delete");
        });
    });
    harness.run();
    assert!(harness.query_by_label("Rename…").is_none());
    harness.get_by_label("Class").click();
    harness.run();
    harness.get_by_label("Rename…").hover();
    harness.run();
    look(&mut harness, "menu-open");
    harness.get_by_label("Rename…").click();
    harness.run();
    assert_eq!(*harness.state(), Some("Rename…"));
    assert!(harness.query_by_label("Rename…").is_none(), "the menu has closed");
}

#[test]
fn rail_cards_rows_and_empty_states_are_chosen_by_name() {
    let mut harness = small(Vec::new(), |ui, chosen| {
        let item = RailItem { icon: icons::IMAGES, label: "Images", badge: Some("12"), ..RailItem::default() };
        if rail_item(ui, item).clicked() {
            chosen.push("rail");
        }
        let row =
            ListRow { text: "bees", colour: Some(class_colour(0, Theme::Light)), count: Some(3), ..ListRow::default() };
        if list_row(ui, row).clicked() {
            chosen.push("row");
        }
        let card = Card::new().title("Starter model").show_clickable(ui, "Choose Starter model", |ui| {
            if button(ui, "Inspect").clicked() {
                chosen.push("inside");
            }
        });
        if card.response.clicked() {
            chosen.push("card");
        }
        if let Some(idx) = EmptyState::new(icons::IMAGES, "No images yet").actions(&["Add…", "Sample"]).show(ui) {
            chosen.push(["first", "second"][idx]);
        }
    });
    harness.run();
    for label in ["Images", "bees", "Inspect", "Choose Starter model", "Sample"] {
        harness.get_by_label(label).click();
        harness.run();
    }
    assert_eq!(*harness.state(), ["rail", "row", "inside", "card", "second"]);
}

#[test]
fn columns_go_below_each_other_where_it_is_narrow() {
    for (width, below) in [(900.0, false), (420.0, true)] {
        let mut harness = harness(Theme::Light, [width, 300.0], 1.0, (), |ui, ()| {
            columns(ui, &[1.0, 2.0], |ui, i| {
                body(ui, ["left", "right"][i]);
            });
            body(ui, "after");
        });
        harness.run();
        let rect = |label: &str| harness.get_by_label(label).rect();
        assert_eq!(rect("right").top() > rect("left").bottom(), below);
        assert!(rect("after").top() > rect("right").bottom());
    }
}

#[test]
fn an_overlay_says_what_a_drop_will_do() {
    for theme in Theme::ALL {
        let mut harness = harness(theme, [700.0, 420.0], 1.0, (), |ui, ()| {
            background(ui);
            place_header(ui, "Images", "12,345 images", |_| ());
            drop_overlay(
                ui.ctx(),
                icons::FOLDER_OPEN,
                "Add 397 images",
                "The folders inside become the classes ants and bees.",
            );
        });
        harness.run();
        assert!(harness.query_by_label("Add 397 images").is_some());
        look(&mut harness, &format!("drop-{theme:?}").to_lowercase());
    }
}

#[test]
fn a_choice_of_theme_is_drawn() {
    for (choice, dark) in [(ThemeChoice::Dark, true), (ThemeChoice::Light, false)] {
        let mut harness = small(None, move |ui, seen| {
            choice.apply(ui.ctx());
            *seen = Some(Theme::of(ui) == Theme::Dark);
        });
        harness.run();
        assert_eq!(*harness.state(), Some(dark));
    }
}

#[test]
fn a_dialog_asks_and_answers() {
    for theme in Theme::ALL {
        let mut harness = harness(theme, [700.0, 420.0], 1.0, None, |ui: &mut Ui, answer: &mut Option<bool>| {
            background(ui);
            body(ui, "Behind the dialog");
            if answer.is_none() {
                let question = Question {
                    title: "Delete 12 images from the project?",
                    text: "Their labels go too. The files stay where they are, and Undo brings all of it back.",
                    confirm: "Delete",
                    danger: true,
                };
                *answer = confirm(ui.ctx(), "question", question);
            }
        });
        harness.run();
        look(&mut harness, &format!("dialog-{theme:?}").to_lowercase());
        harness.key_press(Key::Enter);
        harness.run();
        assert_eq!(*harness.state(), None, "what destroys is not confirmed by accident");
        harness.get_by_label("Delete").click();
        harness.run();
        assert_eq!(*harness.state(), Some(true));
        *harness.state_mut() = None;
        harness.run();
        harness.key_press(Key::Escape);
        harness.run();
        assert_eq!(*harness.state(), Some(false));
    }
}
