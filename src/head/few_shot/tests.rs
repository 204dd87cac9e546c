#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::embedding::EmbeddingSpace;
use crate::rng::SplitMix64;

const DIM_F: usize = 24;
const DIM_E: usize = 8;

fn classes(n: usize) -> ClassSet {
    ClassSet::from_ordered((0..n).map(|i| format!("class {i}")))
}

fn normal(rng: &mut SplitMix64) -> f32 {
    // Sum of uniforms: near enough to a bell.
    (0..12).map(|_| (rng.next_u64() >> 40) as f32 / (1u64 << 24) as f32).sum::<f32>() - 6.0
}

/// Texts of `n_classes`, and examples around them: features of their own that are never negative, and vectors in the
/// space of texts, of which `misleading` says that they are near another class's text.
fn data(n_classes: usize, shots: usize, seed: u64, misleading: bool) -> (Embeddings, Vec<ClassIdx>, Array2<f32>) {
    let mut rng = SplitMix64::new(7);
    let mut texts = Array2::from_shape_fn((n_classes, DIM_E), |_| normal(&mut rng));
    let means = Array2::from_shape_fn((n_classes, DIM_F), |_| normal(&mut rng).abs() * 2.0);
    for mut row in texts.outer_iter_mut() {
        let length = row.dot(&row).sqrt();
        row /= length;
    }
    let mut rng = SplitMix64::new(seed);
    let y: Vec<ClassIdx> = (0..n_classes * shots).map(|i| ClassIdx::from(i % n_classes)).collect();
    let x = Array2::from_shape_fn((y.len(), DIM_F + DIM_E), |(row, column)| {
        let class = y[row].as_usize();
        match column.checked_sub(DIM_F) {
            None => (means[[class, column]] + 0.8 * normal(&mut rng)).max(0.0),
            Some(column) => {
                let near = if misleading { (class + 1) % n_classes } else { class };
                texts[[near, column]] + 0.25 * normal(&mut rng)
            }
        }
    });
    let space =
        EmbeddingSpace { backbone: "b".into(), layer: "f&e".into(), preprocess: "p".into(), dim: DIM_F + DIM_E };
    (Embeddings::new(x, space).unwrap(), y, texts)
}

fn fit(x: &Embeddings, y: &[ClassIdx], texts: &Array2<f32>, method: FewShotMethod) -> TrainedHead {
    let prior = TextPrior { texts: texts.view(), scale: 10.0, record: TextRecord::default() };
    let config = FewShotConfig { method, fixed: None };
    train_text(x, y, None, &classes(texts.nrows()), &prior, &config, &CancelToken::new()).unwrap()
}

fn accuracy(head: &TrainedHead, x: &Embeddings, y: &[ClassIdx]) -> f64 {
    let top = head.head.scores(x).unwrap().top1();
    top.iter().zip(y).filter(|(a, b)| a == b).count() as f64 / y.len() as f64
}

fn mix(head: &TrainedHead) -> &Mix {
    head.record.text.as_ref().unwrap().mix.as_ref().unwrap()
}

#[test]
fn examples_help_and_wrong_texts_are_given_up() {
    for n_classes in [2, 4] {
        let (test_x, test_y, _) = data(n_classes, 50, 99, false);
        let (wrong_x, wrong_y, _) = data(n_classes, 50, 98, true);
        for method in FewShotMethod::ALL {
            let (x, y, texts) = data(n_classes, 8, 1, false);
            let head = fit(&x, &y, &texts, method);
            let found = accuracy(&head, &test_x, &test_y);
            assert!(found > 0.95, "{method:?} with {n_classes}: {found}");
            // Where examples tell all, the others may do without texts.
            let counts_texts = mix(&head).text_weight > 0.0 || method != FewShotMethod::Linear;
            assert!(counts_texts, "{method:?}: {:?}", mix(&head));
            assert_eq!(head.record.chosen_by, ChosenBy::CrossValidation { n_folds: 5 });

            let (x, y, texts) = data(n_classes, 8, 2, true);
            let head = fit(&x, &y, &texts, method);
            let found = accuracy(&head, &wrong_x, &wrong_y);
            assert!(mix(&head).text_weight < 0.3, "{method:?}: {:?}", mix(&head));
            assert!(found > 0.85, "{method:?} with {n_classes} classes and wrong texts: {found}");
        }
    }
}

#[test]
fn one_example_a_class_has_nothing_to_hold_out() {
    for method in FewShotMethod::ALL {
        let (x, y, texts) = data(4, 1, 3, false);
        let head = fit(&x, &y, &texts, method);
        assert_eq!(head.record.chosen_by, ChosenBy::Defaults);
        let (test_x, test_y, _) = data(4, 50, 97, false);
        assert!(accuracy(&head, &test_x, &test_y) > 0.85, "{method:?}");
    }
}

#[test]
fn a_mix_of_before_is_kept() {
    let (x, y, texts) = data(4, 8, 6, false);
    for method in FewShotMethod::ALL {
        let chosen = fit(&x, &y, &texts, method);
        let prior = TextPrior { texts: texts.view(), scale: 10.0, record: TextRecord::default() };
        let config = FewShotConfig { method, fixed: Some(mix(&chosen).clone()) };
        let again = train_text(&x, &y, None, &classes(4), &prior, &config, &CancelToken::new()).unwrap();
        assert_eq!((&again.head, mix(&again)), (&chosen.head, mix(&chosen)), "{method:?}");
        assert_eq!(again.record.chosen_by, ChosenBy::Defaults);
    }
}

#[test]
fn without_features_of_their_own_the_joint_vectors_do() {
    let (x, y, texts) = data(4, 8, 4, false);
    let joint = x.view().slice(s![.., DIM_F..]).to_owned();
    let space = EmbeddingSpace { layer: "e".into(), dim: DIM_E, ..x.space().clone() };
    let joint = Embeddings::new(joint, space).unwrap();
    for method in FewShotMethod::ALL {
        let head = fit(&joint, &y, &texts, method);
        assert!(accuracy(&head, &joint, &y) > 0.9, "{method:?}");
        assert_eq!(head.head.affine().l2_blocks, [Block::plain(DIM_E)]);
    }
}

#[test]
fn what_cannot_be_fitted_is_a_typed_error() {
    let (x, y, texts) = data(3, 4, 5, false);
    let prior = TextPrior { texts: texts.view(), scale: 10.0, record: TextRecord::default() };
    let run = |y: &[ClassIdx], classes: &ClassSet, token: &CancelToken| {
        train_text(&x, y, None, classes, &prior, &FewShotConfig::default(), token).map(|_| ()).unwrap_err()
    };
    let token = CancelToken::new();
    let only = vec![ClassIdx(0); y.len()];
    assert_eq!(run(&only, &classes(3), &token), HeadError::ClassWithoutExample { class: "class 1".into() });
    assert!(matches!(run(&y, &classes(4), &token), HeadError::ClassWithoutExample { .. }));
    token.cancel();
    assert_eq!(run(&y, &classes(3), &token), HeadError::Cancelled);
}

#[test]
fn of_many_examples_an_even_part_is_fitted_on() {
    let y: Vec<ClassIdx> = (0..3000).map(|i| ClassIdx::from(usize::from(i % 10 == 0))).collect();
    let kept = spread(&y, 2, MAX_ROWS);
    let n_rare = kept.iter().filter(|&&row| y[row] == ClassIdx(1)).count();
    assert_eq!((n_rare, kept.len()), (256, 512));
    assert!(kept.windows(2).all(|pair| pair[0] < pair[1]));
}

#[test]
fn equals_the_reference() {
    #[derive(serde::Deserialize)]
    struct Case {
        name: String,
        n_classes: usize,
        features: Vec<Vec<f32>>,
        zero_shot: Vec<Vec<f64>>,
        y: Vec<usize>,
        test_features: Vec<Vec<f32>>,
        test_zero_shot: Vec<Vec<f64>>,
        /// By method: the weight of the texts, and logits of the test rows (for all but a constant a row).
        expected: std::collections::BTreeMap<String, (f64, Vec<Vec<f64>>)>,
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/heads/few_shot.json");
    let cases: Vec<Case> = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert!(cases.len() >= 3);
    for case in cases {
        let matrix = |rows: &[Vec<f32>]| Array2::from_shape_vec((rows.len(), rows[0].len()), rows.concat()).unwrap();
        let wide = |rows: &[Vec<f64>]| Array2::from_shape_vec((rows.len(), rows[0].len()), rows.concat()).unwrap();
        let (features, zero_shot) = (matrix(&case.features), wide(&case.zero_shot));
        let shots = mix::Shots {
            features: features.view(),
            zero_shot: zero_shot.view(),
            y: &case.y,
            n_classes: case.n_classes,
        };
        for (method, (text_weight, logits)) in &case.expected {
            let method: FewShotMethod = serde_json::from_str(&format!("{method:?}")).unwrap();
            let fitted = mix::fit(&shots, method, true, None, &CancelToken::new()).unwrap();
            assert!(
                (fitted.text_weight - text_weight).abs() < 2e-3,
                "{} {method:?}: {}",
                case.name,
                fitted.text_weight
            );
            let test = matrix(&case.test_features);
            let mut found = wide(&case.test_zero_shot) * fitted.text_weight;
            let between = kernel::products(test.view(), features.view());
            if let Some(dual) = &fitted.dual {
                found = found + between.dot(dual);
            }
            if let Some(bias) = &fitted.bias {
                found += bias;
            }
            if let Some(tip) = &fitted.tip {
                found = found + between.mapv(|c| (-tip.beta * (1.0 - c)).exp()).dot(&tip.values);
            }
            let probabilities = |logits: &Array2<f64>| super::super::softmax(&logits.mapv(|v| v as f32));
            let difference = (&probabilities(&found) - &probabilities(&wide(logits))).mapv(f32::abs);
            let worst = difference.iter().copied().fold(0.0, f32::max);
            assert!(worst < 5e-3, "{} {method:?}: probabilities differ by {worst}", case.name);
        }
    }
}
