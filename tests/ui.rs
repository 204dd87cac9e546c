//! The window by accessible label: real worker threads, the starter model, a few of the sample photographs.

#![cfg(feature = "gui")]
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "common/window.rs"]
mod window;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use eframe::egui::{self, Key, Modifiers, vec2};
use egui_kittest::kittest::Queryable as _;
use graft::app::gallery::SelectOp;
use graft::app::{AppState, Command, DropInto, Place, RuntimeState, Target};
use graft::head::UnknownWish;
use graft::jobs::LaneKind;
use graft::project::ImageId;
use graft::store::settings::AppSettings;
use window::{PATIENCE, Window, pictures, root};

#[test]
fn a_drop_says_what_it_will_do_and_does_it() {
    let mut window = Window::open();
    window.step();
    assert!(window.sees("Try the sample"), "the start screen");
    let folder = pictures("drop", 6);
    window.harness.input_mut().hovered_files =
        vec![egui::HoveredFile { path: Some(folder.clone()), mime: String::new() }];
    window.wait("what hovers is known", |s| s.hover.as_ref().is_some_and(|(_, peek)| peek.is_some()));
    assert!(window.sees("Start a new project with these images. 3 classes: fish, tool, windmill"));
    window.harness.input_mut().hovered_files.clear();
    window.drop_paths(&[folder]);
    window.wait("heads are trained", |s| s.project.as_ref().is_some_and(|p| p.live.fit.is_some()) && s.is_idle());
    assert_eq!(window.project().counts.n_images, 18);
    assert!(window.sees("fish") && window.sees("windmill"));
    assert!(window.project().live.figures().iter().all(|f| f.val.unwrap().accuracy.value > 0.6));
    assert!(window.project().path.starts_with(root().join("data")), "a project of its own, kept by itself");
}

#[test]
fn keys_relabel_and_undo_takes_it_back() {
    let mut window = Window::trained("relabel", 5);
    let first = window.project().gallery.visible[0];
    let name = window.project().data.image(first).unwrap().rel.file_name().unwrap().to_string_lossy().into_owned();
    window.click(&format!("{name}, fish"));
    assert_eq!(window.project().gallery.selection.len(), 1);
    window.key(Modifiers::NONE, Key::Num3);
    assert_eq!(window.class_of(first).as_deref(), Some("windmill"));
    assert!(window.sees(&format!("{name}, windmill")));
    window.wait("the heads follow", |s| {
        s.project.as_ref().is_some_and(|p| p.live.fit.as_ref().is_some_and(|f| f.output.revision == p.revision))
    });
    window.key(Modifiers::COMMAND, Key::Z);
    assert_eq!(window.class_of(first).as_deref(), Some("fish"));
    window.key(Modifiers::COMMAND | Modifiers::SHIFT, Key::Z);
    assert_eq!(window.class_of(first).as_deref(), Some("windmill"));
    window.harness.get_all_by_label("Undo").next().unwrap().click();
    window.step();
    assert_eq!(window.class_of(first).as_deref(), Some("fish"));
}

#[test]
fn arrows_shift_and_enter_work_in_the_gallery() {
    let mut window = Window::trained("arrows", 5);
    window.key(Modifiers::NONE, Key::ArrowRight);
    window.key(Modifiers::NONE, Key::ArrowRight);
    window.key(Modifiers::SHIFT, Key::ArrowRight);
    assert_eq!(window.project().gallery.selection.iter().map(|i| i.0).collect::<Vec<_>>(), [1, 2]);
    window.key(Modifiers::NONE, Key::Enter);
    assert_eq!(window.project().gallery.large, Some(ImageId(2)));
    assert!(window.sees("Answer of the head"));
    window.key(Modifiers::NONE, Key::Num2);
    assert_eq!(window.class_of(ImageId(2)).as_deref(), Some("tool"));
    assert_eq!(window.project().gallery.large, Some(ImageId(3)), "the next one follows");
    window.click("Previous image");
    assert_eq!(window.project().gallery.large, Some(ImageId(2)));
    window.key(Modifiers::NONE, Key::Escape);
    assert_eq!(window.project().gallery.large, None);
    window.key(Modifiers::COMMAND, Key::A);
    assert_eq!(window.project().gallery.selection.len(), 15);
}

#[test]
fn classes_are_added_and_renamed_by_name() {
    let mut window = Window::trained("rename", 4);
    window.click("Add class");
    window.type_text("kite");
    window.key(Modifiers::NONE, Key::Enter);
    assert!(window.project().data.class_by_name("kite").is_some());
    window.harness.get_by_label("tool").focus();
    window.step();
    window.key(Modifiers::NONE, Key::F2);
    window.step();
    window.key(Modifiers::COMMAND, Key::A);
    window.type_text("spanner");
    window.key(Modifiers::NONE, Key::Enter);
    assert!(
        window.project().data.class_by_name("spanner").is_some()
            && window.project().data.class_by_name("tool").is_none()
    );
    window.key(Modifiers::COMMAND, Key::Z);
    assert!(window.project().data.class_by_name("tool").is_some());
}

#[test]
fn a_class_is_deleted_after_a_question_and_the_notice_brings_it_back() {
    let mut window = Window::trained("delete", 4);
    // Older notices would move away while the one of the deletion is aimed at.
    for id in window.state().notices.iter().map(|n| n.id).collect::<Vec<_>>() {
        window.dispatch(Command::Dismiss(id));
    }
    window.harness.get_by_label("tool").click_secondary();
    window.step();
    window.click("Delete class…");
    assert!(window.sees("Delete the class “tool”?"));
    window.click("Delete class");
    assert_eq!(window.project().counts.n_unlabelled, 4);
    window.click("Unlabelled");
    assert_eq!(window.project().gallery.visible.len(), 4);
    window.harness.get_all_by_label("Undo").last().unwrap().click();
    window.step();
    assert_eq!(window.project().counts.n_unlabelled, 0);
}

#[test]
fn background_work_is_cancelled_and_resumed() {
    let mut window = Window::open();
    window.drop_paths(&[pictures("cancel", 14)]);
    window.wait("embedding runs", |s| s.activity(LaneKind::Embed).is_some_and(|a| a.stage.is_some()));
    let label = "Cancel embedding";
    // It may have ended already on a fast machine with a warm cache: then there is nothing to cancel.
    if window.harness.query_by_label(label).is_some() {
        window.click(label);
        window.wait("it has ended", |s| s.activity(LaneKind::Embed).is_none());
        assert!(window.project().live.pause.is_some());
        window.click("Resume");
    }
    window.wait("all are embedded", |s| s.project.as_ref().is_some_and(|p| p.live.n_embedded == 42));
}

#[test]
fn the_palette_runs_what_is_typed() {
    let mut window = Window::trained("palette", 4);
    window.key(Modifiers::COMMAND, Key::K);
    window.type_text("go train");
    window.key(Modifiers::NONE, Key::Enter);
    assert_eq!(window.state().place, Place::Train);
    window.key(Modifiers::COMMAND, Key::K);
    window.type_text("xyzzy");
    assert!(window.sees("No command is called that"));
    window.key(Modifiers::NONE, Key::Escape);
    assert!(!window.sees("No command is called that"));
    window.dispatch(Command::Go(Place::Images));
    window.dispatch(Command::Select(SelectOp::Only(ImageId(0))));
    window.key(Modifiers::COMMAND, Key::K);
    window.type_text("label windmill");
    window.key(Modifiers::NONE, Key::Enter);
    assert_eq!(window.class_of(ImageId(0)).as_deref(), Some("windmill"));
}

#[test]
fn a_path_is_typed_where_nothing_can_be_dropped() {
    let mut window = Window::open();
    window.step();
    let folder = pictures("typed", 3);
    window.key(Modifiers::COMMAND, Key::L);
    window.type_text(&format!("'{}'", folder.display()));
    window.key(Modifiers::NONE, Key::Enter);
    window.wait("the project is there", |s| s.project.as_ref().is_some_and(|p| p.counts.n_images == 9));
}

#[test]
fn images_are_predicted_without_being_added() {
    let mut window = Window::trained("predict", 5);
    window.key(Modifiers::COMMAND, Key::Num4);
    assert_eq!(window.state().place, Place::Evaluate);
    let one = pictures("one more", 7).join("windmill");
    let files: Vec<PathBuf> = std::fs::read_dir(one).unwrap().map(|e| e.unwrap().path()).collect();
    window.drop_paths(&files);
    window.wait("answers are there", |s| s.project.as_ref().is_some_and(|p| p.predictions.is_some()));
    let predictions = window.project().predictions.clone().unwrap();
    assert_eq!(predictions.answers.paths.len(), 7);
    let n_right = predictions.labels().iter().filter(|(label, _)| *label == "windmill").count();
    assert!(n_right >= 5, "{n_right} of 7");
    assert_eq!(window.project().counts.n_images, 15, "nothing was added");
    let csv = root().join("answers.csv");
    window.dispatch(Command::SavePredictions(csv.clone()));
    window.wait("the table is written", AppState::is_idle);
    assert_eq!(std::fs::read_to_string(csv).unwrap().lines().count(), 8);
    let dir = root().join("sorted");
    window.dispatch(Command::SortPredictions(dir.clone()));
    window.wait("the copies are made", AppState::is_idle);
    assert!(std::fs::read_dir(dir.join("windmill")).unwrap().count() >= 5);
}

#[test]
fn an_export_is_written_and_verified() {
    let mut window = Window::trained("export", 6);
    let dir = root().join("my export");
    window.dispatch(Command::SetExportDir(dir.clone()));
    window.key(Modifiers::COMMAND, Key::E);
    assert_eq!(window.state().place, Place::Export);
    window.wait("the export is there", |s| s.project.as_ref().is_some_and(|p| p.export.done.is_some()) && s.is_idle());
    let (_, meta) = window.project().export.done.clone().unwrap();
    assert!(meta.verification.n > 0 && meta.verification.classifier.max_abs_difference < 1e-4);
    for file in ["classifier.onnx", "image_classifier.onnx", "head.onnx", "predict.py", "graft.json", "labels.txt"] {
        assert!(dir.join(file).is_file(), "{file}");
    }
    assert!(window.sees("Exported and verified"));
}

#[test]
fn the_export_goes_where_the_field_says() {
    let mut window = Window::trained("export field", 5);
    window.dispatch(Command::Go(Place::Export));
    let dir = root().join("typed export");
    window.harness.get_by_label("Export folder").focus();
    window.step();
    window.key(Modifiers::COMMAND, Key::A);
    window.type_text(&dir.display().to_string());
    // Without Enter, and without leaving the field.
    window.key(Modifiers::COMMAND, Key::E);
    window.wait("the export is there", |s| s.project.as_ref().is_some_and(|p| p.export.done.is_some()) && s.is_idle());
    assert!(dir.join("classifier.onnx").is_file());
    window.key(Modifiers::NONE, Key::Enter);
    let before = window.project().export_dir();
    window.harness.get_by_label("Export folder").focus();
    window.step();
    window.key(Modifiers::COMMAND, Key::A);
    window.type_text("/nowhere");
    window.key(Modifiers::NONE, Key::Escape);
    assert_eq!(window.project().export_dir(), before, "Esc leaves it as it was");
}

#[test]
fn what_was_done_is_there_after_a_restart_and_can_still_be_undone() {
    let mut window = Window::trained("restart", 5);
    let path = window.project().path.clone();
    window.dispatch(Command::Label { images: graft::app::Target::Images(vec![ImageId(0)]), class: None });
    window.dispatch(Command::SetUnknown(UnknownWish::Precision { at_least: 0.99 }));
    window.wait("all is saved", AppState::is_idle);
    let accuracy = window.project().live.figures()[0].val.unwrap().accuracy.value;
    window.harness.state_mut().take().unwrap().shut_down();
    drop(window);

    let mut window = Window::open();
    window.dispatch(Command::OpenProject(path));
    window.wait("the project is open", |s| s.project.is_some());
    assert_eq!(window.class_of(ImageId(0)), None);
    assert_eq!(window.project().data.settings.unknown, UnknownWish::Precision { at_least: 0.99 });
    assert_eq!(window.project().live.figures()[0].val.unwrap().accuracy.value, accuracy, "figures of the last time");
    window.key(Modifiers::COMMAND, Key::Z);
    window.key(Modifiers::COMMAND, Key::Z);
    assert_eq!(window.class_of(ImageId(0)).as_deref(), Some("fish"));
    assert_eq!(window.project().data.settings.unknown, UnknownWish::Off);
}

#[test]
fn a_project_opened_twice_is_read_only_the_second_time() {
    let mut window = Window::trained("twice", 3);
    window.wait("all is saved", AppState::is_idle);
    let path = window.project().path.clone();
    let mut second = graft::app::Runner::new(AppSettings::default(), Arc::new(|| {})).unwrap();
    second.dispatch(Command::OpenProject(path));
    assert!(second.wait_until(PATIENCE, |s| s.project.is_some()));
    assert!(!second.state.project.as_ref().unwrap().is_writable());
    assert!(second.state.notices.iter().any(|n| n.text.contains("reading only")));
    second.dispatch(Command::Label { images: graft::app::Target::Images(vec![ImageId(0)]), class: None });
    assert!(second.state.project.as_ref().unwrap().data.image(ImageId(0)).unwrap().class.is_some());
    second.shut_down();
}

#[test]
fn a_moved_folder_is_found_again() {
    let mut window = Window::trained("moving", 4);
    window.wait("all is saved", AppState::is_idle);
    let path = window.project().path.clone();
    window.harness.state_mut().take().unwrap().shut_down();
    drop(window);
    std::fs::create_dir_all(root().join("elsewhere")).unwrap();
    std::fs::rename(root().join("moving"), root().join("elsewhere/moved")).unwrap();

    let mut window = Window::open();
    window.dispatch(Command::OpenProject(path));
    window.wait("the project is open", |s| s.project.is_some() && s.is_idle());
    assert!(window.sees("is not there any more"));
    assert_eq!(window.project().counts.n_skipped, 0, "a folder that is gone is no damage of its images");
    let root_id = window.project().missing_roots[0];
    window.dispatch(Command::Relocate(root_id, root().join("elsewhere")));
    window.wait("all are embedded", |s| s.project.as_ref().is_some_and(|p| p.live.n_embedded == 12));
    assert!(!window.sees("is not there any more"));
    window.drop_paths(&[root().join("elsewhere/moved")]);
    window.wait("it is known", |s| s.is_idle() && s.notices.iter().any(|n| n.text.contains("already")));
    assert_eq!(window.project().counts.n_images, 12, "the same folder again adds nothing");
}

#[test]
fn a_moved_folder_is_found_again_by_dropping_it() {
    let mut window = Window::trained("moving too", 4);
    window.wait("all is saved", AppState::is_idle);
    let path = window.project().path.clone();
    window.harness.state_mut().take().unwrap().shut_down();
    drop(window);
    std::fs::rename(root().join("moving too"), root().join("moved by hand")).unwrap();

    let mut window = Window::open();
    window.dispatch(Command::OpenProject(path));
    window.wait("the project is open", |s| s.project.is_some() && s.is_idle());
    assert!(window.sees("is not there any more"));
    window.drop_paths(&[root().join("moved by hand")]);
    window.wait("all are embedded", |s| s.is_idle() && s.project.as_ref().is_some_and(|p| p.live.n_embedded == 12));
    assert!(!window.sees("is not there any more"));
    assert_eq!(window.project().counts.n_images, 12);
}

#[test]
fn what_is_no_image_is_told() {
    let mut window = Window::open();
    window.step();
    let dir = root().join("letters");
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join("a.txt"), "dear").unwrap();
    window.drop_paths(&[dir]);
    window.wait("it is told", |s| s.notices.iter().next().is_some());
    assert!(window.sees("There are no images in “letters”."));
    window.drop_paths(&[root().join("not there at all")]);
    window.wait("it is told", |s| s.notices.iter().count() == 2);
    assert!(window.state().project.is_none());
}

#[test]
fn a_missing_runtime_has_a_page_of_its_own() {
    let mut window = Window::open();
    window.wait("the runtime is there", |s| matches!(s.runtime, RuntimeState::Ready { .. }));
    let details = "looked for libonnxruntime.so".to_owned();
    window.harness.state_mut().as_mut().unwrap().runner_mut().state.runtime = RuntimeState::Missing { details };
    window.step();
    assert!(window.sees("ONNX Runtime"));
    window.click("Try again");
    window.wait("it is found again", |s| matches!(s.runtime, RuntimeState::Ready { .. }));
}

#[test]
fn drops_while_busy_are_not_lost() {
    let mut window = Window::open();
    let (a, b) = (pictures("first", 3), pictures("second", 2));
    window.drop_paths(&[a]);
    window.drop_paths(&[b]);
    window.wait("both are in", |s| s.project.as_ref().is_some_and(|p| p.counts.n_images == 15) && s.is_idle());
    let duplicates = window.project().live.duplicates().len();
    assert_eq!(duplicates, 6, "the same pictures in two folders count once");
    window.dispatch(Command::Drop { paths: vec![root().join("first/fish")], into: DropInto::Auto });
    window.wait("nothing is added twice", |s| s.is_idle() && s.notices.iter().any(|n| n.text.contains("already")));
    assert_eq!(window.project().counts.n_images, 15);
}

#[test]
fn escape_leaves_a_name_as_it_was() {
    let mut window = Window::trained("escape", 4);
    let first = window.project().gallery.visible[0];
    window.dispatch(Command::Select(SelectOp::Only(first)));
    window.dispatch(Command::EditClassName(window.project().data.class_by_name("tool").unwrap()));
    window.step();
    window.key(Modifiers::COMMAND, Key::A);
    window.type_text("windmill");
    window.key(Modifiers::NONE, Key::Escape);
    assert!(window.project().data.class_by_name("tool").is_some(), "neither renamed nor merged");
    assert_eq!(window.project().gallery.selection.len(), 1, "Esc was the field's");
    window.click("Add class");
    window.type_text("kite");
    window.key(Modifiers::NONE, Key::Escape);
    assert!(window.project().data.class_by_name("kite").is_none());
    window.key(Modifiers::NONE, Key::Escape);
    assert_eq!(window.project().gallery.selection.len(), 0, "now it is the gallery's");
}

#[test]
fn keys_act_on_the_selection_only_where_it_is_seen() {
    let mut window = Window::trained("elsewhere keys", 4);
    window.key(Modifiers::COMMAND, Key::A);
    window.dispatch(Command::Go(Place::Train));
    window.key(Modifiers::NONE, Key::Delete);
    window.key(Modifiers::NONE, Key::Num0);
    window.key(Modifiers::NONE, Key::Num1);
    assert_eq!((window.project().counts.n_images, window.project().counts.n_unlabelled), (12, 0));
    window.dispatch(Command::Go(Place::Images));
    window.key(Modifiers::NONE, Key::F1);
    assert!(window.sees("Keyboard shortcuts"));
    window.key(Modifiers::NONE, Key::Delete);
    window.key(Modifiers::NONE, Key::Escape);
    window.step();
    assert_eq!(window.harness.query_all_by_label("Large view").count(), 0, "the list is closed");
    assert_eq!(window.project().counts.n_images, 12, "what lies over everything has the keys");
    window.key(Modifiers::NONE, Key::Delete);
    assert_eq!(window.project().counts.n_images, 0);
    window.key(Modifiers::COMMAND, Key::Z);
    assert_eq!(window.project().counts.n_images, 12);
}

#[test]
fn unlabelled_images_are_labelled_one_key_an_image() {
    let mut window = Window::trained("by key", 4);
    window.dispatch(Command::Label { images: graft::app::Target::Images((0..6).map(ImageId).collect()), class: None });
    window.click("Unlabelled");
    assert_eq!(window.project().gallery.visible.len(), 6);
    window.dispatch(Command::Look(Some(ImageId(1))));
    for key in [Key::Num1, Key::Num2, Key::Num3] {
        window.key(Modifiers::NONE, key);
    }
    let classes: Vec<_> = (0..6).map(|i| window.class_of(ImageId(i))).collect();
    let expected = [None, Some("fish"), Some("tool"), Some("windmill"), None, None];
    assert_eq!(classes.iter().map(Option::as_deref).collect::<Vec<_>>(), expected);
    assert_eq!(window.project().gallery.large, Some(ImageId(4)), "the next one without a label");
}

#[test]
fn changes_that_cannot_be_saved_are_asked_about() {
    let mut window = Window::trained("unsaved", 3);
    window.wait("all is saved", AppState::is_idle);
    window.harness.state_mut().as_mut().unwrap().runner_mut().state.save_error = Some("The disk is full.".to_owned());
    window.step();
    assert!(window.sees("Changes are not being saved"));
    window.key(Modifiers::COMMAND, Key::W);
    assert!(window.sees("Give up the changes that are not saved?"));
    window.click("Cancel");
    assert!(window.state().project.is_some());
    window.key(Modifiers::COMMAND, Key::W);
    window.click("Give up");
    assert!(window.state().project.is_none());
    assert!(window.state().notices.iter().all(|n| !n.text.contains("No project")), "{:?}", window.state().notices);
}

#[test]
fn models_are_looked_at_without_a_project() {
    let mut window = Window::open();
    window.key(Modifiers::COMMAND, Key::Num1);
    window.wait("the models are listed", |s| s.models.cards.is_some() && s.models.inspected.is_some());
    assert!(window.sees("Starter (ImageNet knowledge)") && window.sees("Preprocessing"));
    window.click("Start");
    assert!(window.sees("Try the sample"), "and back to the start");
}

#[test]
fn depths_are_probed_and_a_layer_is_chosen_by_its_accuracy() {
    let mut window = Window::trained("depths", 10);
    window.dispatch(Command::Go(Place::Model));
    window.wait("the model is looked into", |s| s.models.inspected.is_some() && s.is_idle());
    // All of it in view.
    window.harness.set_size(vec2(1280.0, 1600.0));
    window.step();
    window.click("Layers");
    assert!(window.sees("Accuracy over depth") && window.sees("Feature layer"));
    window.click("Probe the layers");
    window.wait("the layers are probed", |s| s.project.as_ref().unwrap().probed().is_some() && s.is_idle());
    let layers = window.project().probed().unwrap().outcome.layers.clone();
    assert!(layers.len() >= 4 && layers.last().unwrap().is_proposed);
    assert!(layers[0].macs < layers.last().unwrap().macs);
    let accuracy = |i: usize| layers[i].accuracy().unwrap();
    assert!(accuracy(layers.len() - 1) > 0.8 && accuracy(0) <= accuracy(layers.len() - 1));
    let name = layers[1].layer.split('|').next().unwrap();
    window.harness.get_by_label_contains(&format!(" {name}")).click();
    window.step();
    window.click("Use the probed layer");
    assert_eq!(window.project().data.settings.layer.as_deref(), Some(layers[1].layer.as_str()));
    window.wait("the images are embedded again", |s| {
        s.project.as_ref().is_some_and(|p| p.live.n_embedded == 30 && p.live.fit.is_some()) && s.is_idle()
    });
    window.key(Modifiers::COMMAND, Key::Z);
    assert_eq!(window.project().data.settings.layer, None, "choosing a layer is an edit");
}

#[test]
fn models_are_compared_on_the_projects_images() {
    let mut window = Window::trained("compared", 8);
    window.dispatch(Command::Go(Place::Model));
    window.wait("the models are listed", |s| s.models.cards.is_some() && s.is_idle());
    window.click("Compare models");
    assert!(window.sees("Which model suits these images"));
    window.click("Compare the models");
    let is_done = |s: &AppState| {
        s.project.as_ref().unwrap().studies.compared.as_ref().is_some_and(|c| c.outcome.models.len() == 2)
    };
    window.wait("both are compared", |s| is_done(s) && s.is_idle());
    assert!(window.sees("Accuracy against speed"));
    let compared = window.project().studies.compared.clone().unwrap();
    let models: Vec<&str> = compared.outcome.models.iter().map(|m| m.model.as_str()).collect();
    assert!(models.contains(&"graft-starter") && models.contains(&"graft-starter/vision_model_int8"), "{models:?}");
    assert!(compared.outcome.models.iter().all(|m| m.accuracy().unwrap() > 0.6 && m.images_per_sec > 1.0));
    // One alone is no comparison.
    window.dispatch(Command::ChooseCompared { name: "graft-starter".into(), on: false });
    assert_eq!(graft::app::Action::CompareModels.availability(window.state()), Err("Choose two models or more"));
}

#[test]
fn train_and_evaluate_show_the_heads_and_lead_to_the_images() {
    let mut window = Window::trained("places", 10);
    window.dispatch(Command::Go(Place::Train));
    for text in ["Linear", "Prototype", "Validated accuracy", "Regularisation path", "Loss over the iterations"] {
        assert!(window.sees(text), "{text}");
    }
    assert!(window.sees("fish, 10 images") && window.sees("What would help"));
    // The switch stands above the card of that name.
    window.harness.get_all_by_label("Prototype").next().unwrap().click();
    window.step();
    assert_eq!(window.project().data.settings.head, Some(graft::head::HeadKind::Prototype));
    window.key(Modifiers::COMMAND, Key::Z);
    assert_eq!(window.project().data.settings.head, None, "choosing a head is an edit");

    window.dispatch(Command::Go(Place::Evaluate));
    let report = window.project().live.figures()[0].val.unwrap().clone();
    let right = report.confusion.rows()[0][0];
    assert!(window.sees("Per class") && !window.sees("Reliability diagram"), "certainty has a view of its own");
    let cell = format!("{right} of 2 “fish” are recognised");
    window.harness.get_by_label_contains(&cell).click();
    window.step();
    assert_eq!(window.state().place, Place::Images);
    assert_eq!(window.project().gallery.visible.len() as u32, right, "the cell's images");
    window.click("Remove filter fish");
    assert!(window.project().gallery.filter.predicted.is_some(), "one filter at a time");
}

/// Sample photographs without class folders.
fn loose(name: &str, n: usize) -> PathBuf {
    let dir = root().join(name);
    std::fs::create_dir_all(&dir).unwrap();
    for class in ["fish", "tool", "windmill"] {
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/sample").join(class);
        let mut files: Vec<_> = std::fs::read_dir(from).unwrap().map(|e| e.unwrap().path()).collect();
        files.sort();
        for (i, file) in files.into_iter().take(n).enumerate() {
            std::fs::copy(&file, dir.join(format!("{class}-{i}.jpg"))).unwrap();
        }
    }
    dir
}

const LABELS: &str = "Labels, one class a line";

impl Window {
    /// With a project of `folder`, embedded, in the Zero-shot place.
    fn zero_shot(folder: PathBuf) -> Self {
        let mut window = Self::open();
        window.drop_paths(&[folder]);
        window.wait("images are embedded", |s| {
            s.project.as_ref().is_some_and(|p| p.counts.n_images > 0 && p.live.n_embedded == p.counts.n_images)
                && s.is_idle()
        });
        window.key(Modifiers::COMMAND, Key::Num5);
        assert_eq!(window.state().place, Place::ZeroShot);
        window
    }

    fn type_labels(&mut self, text: &str) {
        self.harness.get_by_label(LABELS).focus();
        self.step();
        self.key(Modifiers::COMMAND, Key::A);
        self.type_text(text);
        let text = text.to_owned();
        self.wait("the labels are read", move |s| {
            s.project.as_ref().is_some_and(|p| p.zero_shot.text == text && p.zero_shot.is_current()) && s.is_idle()
        });
    }
}

#[test]
fn typed_labels_sort_the_images_and_are_judged() {
    let mut window = Window::zero_shot(pictures("zero-shot", 4));
    assert!(window.sees("Type what the images may show"));
    window.type_labels("fish\nwindmill");
    // While one types nothing else hears the keys.
    assert_eq!(window.project().data.sorted_classes().len(), 3);
    let groups: Vec<usize> = window.project().zero_shot.groups.iter().map(|g| g.images.len()).collect();
    assert_eq!(groups.iter().sum::<usize>(), 12);
    window.type_labels("fish\nwindmill\nhammer | screwdriver | tool");
    let report = window.project().zero_shot.report.clone().unwrap();
    assert_eq!(report.n_rows, 12, "the folders' names say what is right");
    assert!(report.accuracy.value > 0.7, "{}", report.accuracy.value);
    assert_eq!(window.project().zero_shot.effects.len(), 3, "what each description of the tools is worth");
    window.click("Figures");
    assert!(window.sees("Confusion matrix") && window.sees("Which descriptions help"));
    // The rail's, the view's, the matrix's.
    window.harness.get_all_by_label("Images").nth(1).unwrap().click();
    window.step();
    window.click("Sort all images by windmill");
    let sorted = &window.project().zero_shot.sorted;
    assert_eq!(sorted.len(), 12);
    let first = window.project().data.image(sorted[0].0).unwrap().rel.to_string_lossy().into_owned();
    assert!(first.starts_with("windmill"), "a search: {first}");
    assert!(sorted.windows(2).all(|pair| pair[0].1 >= pair[1].1));

    window.harness.get_by_label(LABELS).focus();
    window.step();
    window.key(Modifiers::COMMAND, Key::A);
    window.type_text("fish\nfish");
    window.wait_typed("fish\nfish");
    assert!(window.sees("is on line 1 and on line 2"));
    assert!(window.project().zero_shot.answers.is_some(), "what was read before stays");
}

impl Window {
    /// For labels that cannot be read there are no answers to wait for.
    fn wait_typed(&mut self, text: &str) {
        let text = text.to_owned();
        self.wait("the labels are typed", move |s| s.project.as_ref().is_some_and(|p| p.zero_shot.text == text));
    }
}

#[test]
fn the_surest_images_become_classes_and_one_undo_takes_it_back() {
    let mut window = Window::zero_shot(loose("loose", 6));
    window.type_labels("fish\nwindmill\ntool");
    window.dispatch(Command::SetShare(1.0));
    let n_taken: usize = window.project().zero_shot.groups.iter().map(|g| g.taken.len()).sum();
    assert_eq!(n_taken, 18);
    window.click("Use these as classes");
    window.wait("a text head is trained", |s| {
        s.project.as_ref().is_some_and(|p| p.live.fit.as_ref().is_some_and(|f| f.output.heads.len() == 3))
            && s.is_idle()
    });
    let names: Vec<String> = window.project().data.sorted_classes().into_iter().map(|(_, c)| c.name.clone()).collect();
    assert_eq!(names, ["fish", "tool", "windmill"]);
    assert_eq!(window.project().counts.n_unlabelled, 0);
    let kinds: Vec<_> = window.project().live.figures().iter().map(|f| f.kind.label()).collect();
    assert_eq!(kinds, ["Linear", "Prototype", "Text"]);
    window.click("Few-shot curve");
    assert!(
        graft::app::Action::DrawCurve.availability(window.state()).is_err(),
        "guesses say nothing of how good they are"
    );
    let classes = window.project().data.sorted_classes().into_iter().map(|(id, _)| id).collect::<Vec<_>>();
    for &class in &classes {
        let of_class = window.project().data.present().filter(|(_, image)| image.class == Some(class));
        let images = Target::Images(of_class.map(|(id, _)| id).collect());
        window.dispatch(Command::Label { images, class: Some(class) });
    }
    assert_eq!(window.project().counts.n_guessed, 0);
    window.wait("heads are fitted again", AppState::is_idle);
    window.click("Draw the few-shot curve");
    window
        .wait("the curve is drawn", |s| s.project.as_ref().is_some_and(|p| p.zero_shot.curve.is_some()) && s.is_idle());
    let curve = window.project().zero_shot.curve.clone().unwrap();
    assert_eq!(curve.points.iter().map(|p| p.shots).collect::<Vec<_>>(), [0, 1, 2, 4]);
    assert!(window.sees("starts from the labels"));
    for _ in 0..=classes.len() {
        window.dispatch(Command::Act(graft::app::Action::Undo));
    }
    assert_eq!((window.project().counts.n_unlabelled, window.project().data.sorted_classes().len()), (18, 0));
}

#[test]
fn labels_are_exported_like_any_head() {
    let mut window = Window::zero_shot(loose("exported labels", 3));
    window.type_labels("fish\nwindmill\ntool");
    let dir = root().join("by name");
    window.dispatch(Command::SetExportDir(dir.clone()));
    window.click("Export zero-shot classifier");
    assert_eq!(window.state().place, Place::Export);
    window.wait("the export is there", |s| s.project.as_ref().is_some_and(|p| p.export.done.is_some()) && s.is_idle());
    let (_, meta) = window.project().export.done.clone().unwrap();
    assert_eq!(meta.classes.names(), ["fish", "windmill", "tool"], "in the order in which they were typed");
    assert!(meta.verification.classifier.max_abs_difference < 1e-4 && meta.verification.n == 9);
    assert_eq!(meta.embedding_space.layer, "image_embeds", "no text tower is needed any more");
    // Beside the folder of the trained head, which it must not replace.
    let dir = dir.with_file_name("by name zero-shot");
    let readme = std::fs::read_to_string(dir.join("README.md")).unwrap();
    assert!(readme.contains("the names of its classes alone"), "{readme}");
}

#[test]
fn labels_that_cannot_be_read_say_why() {
    let mut window = Window::zero_shot(loose("bad labels", 2));
    for (text, said) in [("fish |", "empty description"), ("x\nX", "needs a name of its own")] {
        window.harness.get_by_label(LABELS).focus();
        window.step();
        window.key(Modifiers::COMMAND, Key::A);
        window.type_text(text);
        window.wait_typed(text);
        assert!(window.sees(said), "{said}");
    }
    let long = "y".repeat(2000);
    window.dispatch(Command::TypeLabels(long));
    assert!(window.sees("2000 characters"));
    // A model without a text tower is told of where its labels are typed.
    let cnn = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/onnx/tiny_cnn");
    window.dispatch(Command::ChooseModel(Some(cnn.display().to_string())));
    window.dispatch(Command::TypeLabels("fish\ntool".to_owned()));
    window.wait("the model has looked at them", |s| {
        s.project.as_ref().is_some_and(|p| p.zero_shot.error.is_some()) && s.is_idle()
    });
    assert!(window.sees("has no text tower"));
}
