//! The command line's contract: what is printed, the exit status, and what is left on the disk.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::fs;

use common::{RED_GREEN, SAMPLE, TINY, World, files_below};

#[test]
fn train_prints_the_stable_object() {
    let world = World::new();
    let images = world.colours("set", &RED_GREEN, 10);
    let json = world.json(&["train", "--images", &images, "--model", TINY, "--json"]);
    assert_eq!(json["classes"], serde_json::json!(["green", "red"]));
    assert_eq!(
        (json["n_images"].as_u64(), json["n_train"].as_u64(), json["n_val"].as_u64()),
        (Some(20), Some(16), Some(4))
    );
    assert_eq!((json["n_embedded"].as_u64(), json["n_cached"].as_u64()), (Some(20), Some(0)));
    assert_eq!(json["skipped"], serde_json::json!([]));
    for stage in ["scan", "embed", "fit", "export"] {
        assert!(json["seconds"][stage].as_f64().unwrap() >= 0.0, "{stage}");
    }
    let heads = json["heads"].as_array().unwrap();
    assert_eq!(heads.iter().map(|h| h["kind"].as_str().unwrap()).collect::<Vec<_>>(), ["linear", "prototype"]);
    for head in heads {
        for figure in ["accuracy", "balanced_accuracy", "macro_f1", "log_loss", "ece"] {
            assert!(head["val"][figure].as_f64().unwrap().is_finite(), "{figure}");
        }
        assert_eq!(head["val"]["n"].as_u64(), Some(4));
        assert_eq!(head["val"]["accuracy"].as_f64(), Some(1.0), "red and green are told apart");
        assert_eq!(head["val"]["confusion"], serde_json::json!([[2, 0], [0, 2]]));
    }
    assert!(heads[0]["l2"].as_f64().unwrap() > 0.0);
    assert!(heads[1]["l2"].is_null());
    assert!(json.get("export").is_none());

    let again = world.json(&["train", "--images", &images, "--model", TINY, "--json"]);
    assert_eq!((again["n_embedded"].as_u64(), again["n_cached"].as_u64()), (Some(0), Some(20)));
    assert_eq!(again["heads"], json["heads"], "the same input gives the same result");
    let other =
        world.json(&["train", "--images", &images, "--model", TINY, "--json", "--seed", "7", "--head", "linear"]);
    assert_eq!(other["heads"].as_array().unwrap().len(), 1);
}

#[test]
fn export_evaluate_and_predict() {
    let world = World::new();
    let images = world.colours("set", &RED_GREEN, 10);
    let test = world.colours("test", &[("green", [50, 180, 60]), ("red", [180, 60, 50]), ("blue", [0, 0, 200])], 3);
    let out = world.path("out").to_string_lossy().into_owned();
    let json = world.json(&["train", "--images", &images, "--model", TINY, "--export", &out, "--json"]);
    assert_eq!(json["export"]["dir"].as_str(), Some(out.as_str()));
    assert!(json["export"]["max_abs_difference"].as_f64().unwrap() <= 1e-4);
    assert_eq!(json["export"]["top1_agreement"].as_f64(), Some(1.0));
    assert!(json["export"]["image_classifier"]["top1_agreement"].as_f64().unwrap() >= 0.99);
    let names: Vec<_> =
        files_below(&world.path("out")).iter().map(|p| p.file_name().unwrap().to_string_lossy().into_owned()).collect();
    assert_eq!(
        names,
        [
            "README.md",
            "classifier.onnx",
            "graft.json",
            "head.onnx",
            "head.safetensors",
            "image_classifier.onnx",
            "labels.txt",
            "predict.py"
        ]
    );
    assert_eq!(fs::read_to_string(world.path("out/labels.txt")).unwrap(), "green\nred\n");
    let script = fs::read_to_string(world.path("out/predict.py")).unwrap();
    assert!(script.lines().count() <= 50);

    let judged = world.json(&["evaluate", "--with", &out, "--images", &test, "--json"]);
    assert_eq!((judged["accuracy"].as_f64(), judged["n"].as_u64()), (Some(1.0), Some(6)));
    assert_eq!(judged["skipped"].as_array().unwrap().len(), 3, "blue is no class of the export");

    let csv = world.path("answers.csv").to_string_lossy().into_owned();
    let answers = world.json(&["predict", "--with", &out, &test, "--json", "--csv", &csv]);
    let answers = answers.as_array().unwrap();
    assert_eq!(answers.len(), 9);
    for answer in answers {
        let probabilities = answer["probabilities"].as_object().unwrap();
        assert_eq!(probabilities.keys().collect::<Vec<_>>(), ["green", "red"]);
        let sum: f64 = probabilities.values().map(|p| p.as_f64().unwrap()).sum();
        assert!((sum - 1.0).abs() < 1e-5);
        assert_eq!(answer["confidence"], probabilities[answer["label"].as_str().unwrap()]);
    }
    let csv = fs::read_to_string(csv).unwrap();
    assert!(csv.starts_with("File,Label,Confidence,green,red\n"));
    assert_eq!(csv.lines().count(), 10);
    let unknown = world.json(&["predict", "--with", &out, &test, "--json", "--unknown-below", "1"]);
    assert!(unknown.as_array().unwrap().iter().any(|a| a["label"] == "unknown"));

    assert!(answers.iter().all(|a| a["distance"].as_f64().unwrap() >= -1e-6), "the graph measures distances");

    // Exporting again replaces the export; another folder's content is never replaced.
    world.json(&["train", "--images", &images, "--model", TINY, "--export", &out, "--json"]);
    let precious = world.write("mine/thesis.txt", b"years of work");
    let ran = world.graft(&[
        "train",
        "--images",
        &images,
        "--model",
        TINY,
        "--export",
        precious.parent().unwrap().to_str().unwrap(),
    ]);
    common::assert_fails(&ran, "is not an export of Graft");
    assert_eq!(files_below(&world.path("mine")), [precious]);
    // Nor an export to which somebody has added something, whatever it is called.
    let added = world.write("out/licence-plates.csv", b"mine");
    let ran = world.graft(&["train", "--images", &images, "--model", TINY, "--export", &out]);
    common::assert_fails(&ran, "is not an export of Graft");
    assert!(added.exists());
}

#[test]
fn the_starter_model_learns_the_sample_images() {
    let world = World::new();
    let out = world.path("demo").to_string_lossy().into_owned();
    let ran = world.graft(&["demo", "--out", &out]);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert!(ran.stdout.contains("verified on"), "{}", ran.stdout);
    assert_eq!(ran.stderr, "", "no progress where there is no terminal");
    assert!(world.path("demo/NOTICE").is_file(), "the backbone's notice goes along with its weights");
    let again = world.graft(&["demo", "--out", &out]);
    assert_eq!(again.status, 0, "{}", again.stderr);
    let judged = world.json(&["evaluate", "--with", &out, "--images", SAMPLE, "--json"]);
    assert!(judged["accuracy"].as_f64().unwrap() > 0.9, "{judged}");
}

#[test]
fn splits_shots_and_given_validation() {
    let world = World::new();
    world.colours("set/train", &RED_GREEN, 8);
    world.colours("set/val", &[("green", [50, 190, 50]), ("red", [190, 50, 50])], 3);
    world.colours("set/test", &[("green", [60, 180, 60]), ("red", [180, 60, 60])], 2);
    let set = world.path("set").to_string_lossy().into_owned();
    let json = world.json(&["train", "--images", &set, "--model", TINY, "--json", "--shots", "3"]);
    let counts = ["n_images", "n_train", "n_val", "n_test"].map(|k| json[k].as_u64().unwrap());
    assert_eq!(counts, [26, 6, 6, 4]);
    assert_eq!(json["heads"][0]["test"]["n"].as_u64(), Some(4));
    let (train, val) = (format!("{set}/train"), format!("{set}/val"));
    let json = world.json(&["train", "--images", &train, "--val", &val, "--model", TINY, "--json"]);
    assert_eq!(["n_images", "n_train", "n_val"].map(|k| json[k].as_u64().unwrap()), [22, 16, 6]);
}

#[test]
fn duplicates_are_never_split() {
    let world = World::new();
    let images = world.colours("set", &RED_GREEN, 10);
    let copy = fs::read(world.path("set/red/000.bmp")).unwrap();
    world.write("set/red/copy.bmp", &copy);
    world.write("set/green/wrong.bmp", &copy);
    let json = world.json(&["train", "--images", &images, "--model", TINY, "--json"]);
    assert_eq!(json["n_images"].as_u64(), Some(20));
    let reasons: Vec<&str> =
        json["skipped"].as_array().unwrap().iter().map(|s| s["reason"].as_str().unwrap()).collect();
    assert_eq!(reasons.len(), 2);
    assert!(reasons.iter().all(|r| r.contains("duplicate of") || r.contains("the same picture as")), "{reasons:?}");
}

#[test]
fn models_and_inspect() {
    let world = World::new();
    let models = world.json(&["models", "--json"]);
    assert_eq!(models[0]["name"], "graft-starter", "the starter comes first");
    assert_eq!(models[0]["dim"], 1280);
    let about = world.json(&["inspect", "graft-starter", "--json"]);
    assert_eq!(about["feature"]["layer"], "features");
    assert_eq!(about["inputs"][0]["name"], "pixel_values");
    assert_eq!(about["preprocess"]["mean"]["origin"]["from"], "file");
    assert_eq!(about["preprocess"]["layout"]["origin"]["from"], "graph");
    assert!(about["layers"].as_array().unwrap().len() > 5);
    assert_eq!(about["architecture"]["value"], "efficientnet_lite", "{}", about["architecture"]);
    assert_eq!(about["outputs"][0]["role"]["value"], "features");
    assert!(about["n_params"].as_u64().unwrap() > 1_000_000 && about["macs"].as_u64().unwrap() > 10_000_000);
    assert!(world.graft(&["inspect", TINY]).stdout.contains("--layers lists them"));
    let text = world.graft(&["inspect", TINY, "--layers"]).stdout;
    assert!(text.contains("Layers that can serve as features") && text.contains(" maps\n"), "{text}");
}

#[test]
fn an_earlier_layer_can_serve() {
    let world = World::new();
    let images = world.colours("set", &RED_GREEN, 6);
    let about = world.json(&["inspect", TINY, "--json"]);
    let layers = about["layers"].as_array().unwrap();
    let early = layers.iter().find(|l| l["dims"].as_array().unwrap().len() == 3).unwrap();
    let name = early["tensor"].as_str().unwrap();
    let json = world.json(&["train", "--images", &images, "--model", TINY, "--layer", name, "--json"]);
    assert_eq!(json["model"]["layer"].as_str().unwrap(), format!("{name}|gap"));
    assert_eq!(json["model"]["dim"], early["dim"]);
    common::assert_fails(
        &world.graft(&["train", "--images", &images, "--model", TINY, "--layer", "nonsense"]),
        "nonsense",
    );
}

#[test]
fn usage_and_help() {
    let world = World::new();
    assert_eq!(world.graft(&["train"]).status, 2);
    assert_eq!(world.graft(&["train", "--images", "x", "--shots", "0"]).status, 2);
    assert_eq!(world.graft(&["predict", "--with", "x", "y", "--unknown-below", "3"]).status, 2);
    assert_eq!(world.graft(&["nonsense"]).status, 2);
    assert!(world.graft(&["--version"]).stdout.starts_with("graft 0.1.0"));
    for command in ["demo", "inspect", "models", "embed", "train", "evaluate", "predict"] {
        let help = world.graft(&[command, "--help"]);
        assert_eq!(help.status, 0);
        assert!(help.stdout.contains("Example"), "{command}: {}", help.stdout);
    }
}

/// The sentence of a run that fails.
fn failure(world: &World, args: &[&str]) -> String {
    let ran = world.graft(args);
    common::assert_fails(&ran, "");
    ran.stderr.trim_end().lines().last().unwrap().to_owned()
}

/// Photographs of three things that the starter model knows, one folder each.
fn things(world: &World) -> String {
    for (class, folder) in [("fish", "fish"), ("windmill", "windmills"), ("tool", "Tool")] {
        let to = world.path("things").join(folder);
        fs::create_dir_all(&to).unwrap();
        let mut files: Vec<_> =
            fs::read_dir(std::path::Path::new(SAMPLE).join(class)).unwrap().map(|e| e.unwrap().path()).collect();
        files.sort();
        for file in files.into_iter().take(5) {
            fs::copy(&file, to.join(file.file_name().unwrap())).unwrap();
        }
    }
    world.path("things").to_string_lossy().into_owned()
}

#[test]
fn zero_shot_is_judged_searched_and_exported() {
    let world = World::new();
    let images = things(&world);
    let out = world.path("by-name").to_string_lossy().into_owned();
    let csv = world.path("answers.csv").to_string_lossy().into_owned();
    let labels = world.path("labels.txt");
    fs::write(&labels, "fish\nwindmill\nTool=hammer | screwdriver | tool\n").unwrap();
    let labels = labels.to_string_lossy().into_owned();
    let json = world.json(&[
        "zero-shot",
        "--images",
        &images,
        "--labels-file",
        &labels,
        "--truth",
        "folders",
        "--csv",
        &csv,
        "--export",
        &out,
        "--json",
    ]);
    assert_eq!(json["classes"], serde_json::json!(["fish", "windmill", "hammer"]));
    assert_eq!(json["n"].as_u64(), Some(15), "case, plural and FOLDER=LABEL");
    assert!(json["accuracy"].as_f64().unwrap() > 0.7, "{json}");
    for figure in ["balanced_accuracy", "macro_f1", "log_loss", "ece", "confusion", "per_class", "intervals_95"] {
        assert!(!json[figure].is_null(), "{figure}: as in graft evaluate");
    }
    assert_eq!(json["description_effects"].as_array().unwrap().len(), 3);
    assert_eq!(json["templates"], serde_json::json!(["{}"]), "plain names suit the starter model");
    assert_eq!(json["model"]["logits"]["scale"]["value"].as_f64(), Some(15.0));
    assert!(json["export"]["max_abs_difference"].as_f64().unwrap() <= 1e-4);
    assert!(fs::read_to_string(&csv).unwrap().starts_with("File,Label,Confidence,fish,windmill,hammer\n"));

    // The export gives the same answers without a text tower.
    let again = world.json(&["predict", "--with", &out, &format!("{images}/windmills"), "--json"]);
    let rows = again.as_array().unwrap();
    assert_eq!(rows.len(), 5);
    assert!(rows.iter().filter(|r| r["label"] == "windmill").count() >= 4, "{again}");

    let found = world.json(&["search", "--images", &images, "a windmill", "--top", "3", "--json"]);
    let found = found.as_array().unwrap();
    assert_eq!(found.len(), 3);
    assert!(found.iter().all(|hit| hit["path"].as_str().unwrap().contains("windmills")), "{found:?}");
}

#[test]
fn a_text_head_is_trained_exported_and_applied() {
    let world = World::new();
    let images = things(&world);
    let labels = world.path("labels.txt");
    fs::write(&labels, "fish\nwindmill\nTool=hammer\nspare\n").unwrap();
    let labels = labels.to_string_lossy().into_owned();
    for (method, text_weighs) in [("linear", true), ("gda", false), ("tip", false)] {
        let out = world.path(method).to_string_lossy().into_owned();
        let json = world.json(&[
            "train",
            "--images",
            &images,
            "--head",
            "text",
            "--few-shot",
            method,
            "--labels-file",
            &labels,
            "--shots",
            "2",
            "--export",
            &out,
            "--json",
        ]);
        let head = &json["heads"][0];
        assert_eq!((head["kind"].as_str(), json["n_train"].as_u64()), (Some("text"), Some(6)), "{json}");
        assert_eq!(head["text"]["mix"]["method"].as_str(), Some(method));
        assert!(!text_weighs || head["text"]["mix"]["text_weight"].as_f64().unwrap() > 0.0);
        assert!(json["notes"].to_string().contains("spare"), "a label that no class is called by is told of");
        assert!(json["export"]["max_abs_difference"].as_f64().unwrap() <= 1e-4, "{method}: {json}");
        let answers = world.json(&["evaluate", "--with", &out, "--images", &images, "--json"]);
        assert!(answers["accuracy"].as_f64().unwrap() > 0.8, "{method}: {answers}");
    }
}

#[test]
fn labels_that_make_no_sense_are_one_sentence() {
    let world = World::new();
    let images = things(&world);
    let file = |name: &str, bytes: &[u8]| {
        fs::write(world.path(name), bytes).unwrap();
        world.path(name).to_string_lossy().into_owned()
    };
    let latin = file("latin.txt", b"ant\ncaf\xe9\n");
    let empty = file("empty.txt", b"\n\n");
    let templates = file("templates.txt", b"no place\n");
    let long = "x".repeat(2000);
    let zero_shot = |args: &[&str]| {
        let mut all = vec!["zero-shot", "--images", images.as_str()];
        all.extend(args);
        failure(&world, &all)
    };
    for (args, said) in [
        (vec!["--labels", "fish,,tool"], "empty description"),
        (vec!["--labels", "fish,Fish"], "needs a name of its own"),
        (vec!["--labels", long.as_str()], "2000 characters"),
        (vec!["--labels-file", latin.as_str()], "not in UTF-8 (line 2)"),
        (vec!["--labels-file", empty.as_str()], "there are no labels"),
        (vec!["--labels", "fish,tool", "--templates", templates.as_str()], "has no {}"),
        (vec!["--labels", "fish,tool", "--model", TINY], "has no text tower"),
        (vec!["--labels", "violin,teapot", "--truth", "folders"], "no class folder"),
    ] {
        let message = zero_shot(&args);
        assert!(message.contains(said), "{said}: {message}");
    }
    let message = failure(&world, &["train", "--images", &images, "--head", "text", "--labels-file", &latin]);
    assert!(message.contains("UTF-8"), "{message}");
    let few = file("few.txt", b"fish\ntool\n");
    let message = failure(&world, &["train", "--images", &images, "--head", "text", "--labels-file", &few]);
    assert!(message.contains("\"windmills\" has no label"), "{message}");
}

#[test]
fn onnx_runtime_reports_nothing_and_leaves_no_identifier() {
    let world = World::new();
    let images = world.colours("set", &RED_GREEN, 2);
    let mut command = world.command();
    // Its reports are off by themselves where these are set; a user's machine has none of them.
    for name in ["ORT_DISABLE_TELEMETRY", "ORT_RUNNING_UNIT_TESTS", "CI", "TF_BUILD", "GITHUB_ACTIONS", "GITLAB_CI"] {
        command.env_remove(name);
    }
    command.env("HOME", world.path("home")).env("XDG_CACHE_HOME", world.path("home/cache"));
    let out = world.path("out.npz");
    let ran = command.args(["embed", "--images", &images, "--model", TINY, "--out"]).arg(&out).output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    assert!(out.is_file());
    let left = if world.path("home").exists() { files_below(&world.path("home")) } else { Vec::new() };
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn the_rule_for_unknown_travels_with_the_export() {
    let world = World::new();
    let images = world.colours("set", &RED_GREEN, 40);
    let strangers = world.colours("odd", &[("blue", [0, 0, 220]), ("white", [250, 250, 250])], 6);
    world.write("odd/broken.png", b"no picture");
    let out = world.path("out").to_string_lossy().into_owned();
    let train = ["train", "--images", &images, "--model", TINY, "--head", "linear", "--export", &out, "--json"];
    let json = world.json(&[&train[..], &["--unknown-by-distance", "--strangers", &strangers]].concat());
    let unknown = &json["unknown"];
    assert_eq!(unknown["wish"], serde_json::json!({ "by": "distance", "keep": 0.95 }));
    assert_eq!((unknown["rule"]["by"].as_str(), unknown["n"].as_u64()), (Some("distance"), Some(16)));
    assert!(unknown["coverage"].as_f64().unwrap() >= 0.9);
    let found = &json["strangers"];
    assert_eq!((found["n_known"].as_u64(), found["n_strangers"].as_u64()), (Some(16), Some(12)));
    assert_eq!(found["skipped"].as_array().unwrap().len(), 1, "one of them is broken");
    assert!(found["distance"]["auroc"].as_f64().unwrap() > 0.9, "{found}");
    assert!(found["false_accept"].as_f64().unwrap() < 0.2, "{found}");
    let calibration = &json["heads"][0]["calibration"];
    assert_eq!(calibration["n_rows"].as_u64(), Some(16));
    assert!(calibration["before"]["error"].as_f64().unwrap() >= 0.0 && calibration["after"]["bins"].is_array());

    // Predicting follows the rule, unless it is told otherwise.
    let labels = |flags: &[&str]| -> Vec<String> {
        let answers = world.json(&[&["predict", "--with", &out, &strangers, "--json"][..], flags].concat());
        answers.as_array().unwrap().iter().map(|a| a["label"].as_str().unwrap().to_owned()).collect()
    };
    let n_unknown = |flags: &[&str]| labels(flags).iter().filter(|l| *l == "unknown").count();
    let n_refused = n_unknown(&[]);
    assert!(n_refused >= 10, "{n_refused}");
    assert_eq!((n_unknown(&["--always-answer"]), n_unknown(&["--unknown-above", "0"])), (0, 12));
    let meta: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(world.path("out/graft.json")).unwrap()).unwrap();
    let above = |rule: &serde_json::Value| rule["above"].as_f64().unwrap() as f32;
    assert_eq!((above(&meta["unknown"]), meta["has_distance"].as_bool()), (above(&unknown["rule"]), Some(true)));
    assert_eq!(meta["verification"]["classifier"]["unknown_agreement"].as_f64(), Some(1.0));
    assert!(meta["verification"]["head"]["max_distance_difference"].as_f64().unwrap() <= 1e-4);
    assert!(fs::read_to_string(world.path("out/README.md")).unwrap().contains("is above"));

    // Judging applies it too, and compares with the same strangers.
    let judged = world.json(&["evaluate", "--with", &out, "--images", &images, "--strangers", &strangers, "--json"]);
    assert_eq!(above(&judged["unknown"]["rule"]), above(&unknown["rule"]));
    assert_eq!(judged["strangers"]["n_strangers"].as_u64(), Some(12));
    assert_eq!(judged["strangers"]["false_accept"].as_f64(), Some(1.0 - n_refused as f64 / 12.0));
    assert_eq!(judged["calibration"]["n_rows"].as_u64(), Some(80));

    // The same images are no strangers, and that is said.
    let same = world.graft(&["evaluate", "--with", &out, "--images", &images, "--strangers", &images]);
    assert_eq!(same.status, 0);
    assert!(same.stderr.contains("check that they show something else"), "{}", same.stderr);
    assert!(same.stdout.contains("AUROC 0.5"), "{}", same.stdout);
}

#[test]
fn rules_for_unknown_that_cannot_be_are_refused() {
    let world = World::new();
    let images = world.colours("set", &RED_GREEN, 10);
    let train = |flags: &[&str]| world.graft(&[&["train", "--images", &images, "--model", TINY][..], flags].concat());
    assert_eq!(train(&["--unknown-below", "0.5", "--unknown-by-distance"]).status, 2, "one rule");
    assert_eq!(train(&["--unknown-for-precision", "1.5"]).status, 2);
    assert_eq!(train(&["--unknown-false-accept", "0.1"]).status, 2, "that needs strangers");
    let empty = world.path("nobody");
    fs::create_dir(&empty).unwrap();
    let ran = train(&["--strangers", empty.to_str().unwrap()]);
    assert_ne!(ran.status, 0);
    assert!(ran.stderr.contains("nobody"), "{}", ran.stderr);
    // A class with one image each: nothing is held back to settle a rule on.
    let single = world.colours("single", &RED_GREEN, 1);
    let ran = world.graft(&["train", "--images", &single, "--model", TINY, "--unknown-by-distance"]);
    assert_ne!(ran.status, 0);
    assert!(ran.stderr.contains("validation images, and there are none"), "{}", ran.stderr);
    let reached = train(&["--unknown-for-precision", "0.99"]);
    assert_eq!(reached.status, 0, "{}", reached.stderr);
    assert!(reached.stdout.contains("Unknown"), "{}", reached.stdout);
}
