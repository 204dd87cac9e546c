use super::*;
use ndarray::s;

/// `n` rows around `n_kinds` far directions, and the kind of each.
fn kinds(n: usize, n_kinds: usize, d: usize) -> (Array2<f32>, Vec<usize>) {
    let mut rng = SplitMix64::new(5);
    let mut uniform = || rng.below(2001) as f32 / 1000.0 - 1.0;
    let centres = Array2::from_shape_simple_fn((n_kinds, d), &mut uniform);
    let kinds: Vec<usize> = (0..n).map(|row| row * 7 % n_kinds).collect();
    let noise = Array2::from_shape_simple_fn((n, d), &mut uniform);
    let rows = Array2::from_shape_fn((n, d), |(i, j)| centres[[kinds[i], j]] + 0.4 * noise[[i, j]]);
    (rows, kinds)
}

fn reduction(rows: &Array2<f32>) -> (Reduction, Array2<f32>) {
    let reduction = Reduction::fit(rows.view(), 0, &CancelToken::new()).unwrap();
    let reduced = reduction.reduce(rows.view()).unwrap();
    (reduction, reduced)
}

fn laid_out(rows: &Array2<f32>, sample: &[usize]) -> (EmbeddingMap, Vec<Point>) {
    let (reduction, reduced) = reduction(rows);
    lay_out(reduction, reduced.view(), sample, &mut |_| {}, &CancelToken::new()).unwrap()
}

fn all(rows: &Array2<f32>) -> Vec<usize> {
    (0..rows.nrows()).collect()
}

/// Share of rows whose nearest point is of their kind.
fn purity(points: &[Point], kinds: &[usize], of: impl Iterator<Item = usize>) -> f64 {
    let squared = |a: Point, b: Point| (a[0] - b[0]).powi(2) + (a[1] - b[1]).powi(2);
    let (mut n, mut n_same) = (0, 0);
    for i in of {
        let others = (0..points.len()).filter(|j| *j != i);
        let near = others.min_by(|a, b| squared(points[i], points[*a]).total_cmp(&squared(points[i], points[*b])));
        n += 1;
        n_same += usize::from(kinds[near.unwrap()] == kinds[i]);
    }
    n_same as f64 / f64::from(n)
}

#[test]
fn the_same_rows_give_the_same_map_and_kinds_lie_together() {
    let (rows, kinds) = kinds(240, 6, 24);
    let (map, points) = laid_out(&rows, &all(&rows));
    assert!(map.is_laid_out());
    assert_eq!(points, laid_out(&rows, &all(&rows)).1);
    assert!(points.iter().flatten().all(|v| (-1.0..=1.0).contains(v)));
    let reach = points.iter().flatten().fold(0.0_f32, |m, v| m.max(v.abs()));
    assert!((reach - 1.0).abs() < 1e-5, "it fills its square: {reach}");
    assert!(purity(&points, &kinds, 0..240) > 0.97);
}

#[test]
fn rows_that_come_later_lie_among_their_kind_and_old_ones_stay() {
    let (rows, kinds) = kinds(400, 5, 24);
    let before = rows.slice(s![..200, ..]).to_owned();
    let (map, points) = laid_out(&before, &all(&before));
    let reduced = map.reduction().reduce(rows.view()).unwrap();
    let now = map.place(reduced.view(), &CancelToken::new()).unwrap();
    assert_eq!(now[..200], points[..]);
    assert!(purity(&now, &kinds, 200..400) > 0.95);
}

#[test]
fn a_sample_carries_the_rest() {
    let (rows, kinds) = kinds(600, 5, 24);
    let sample = sample(&kinds.iter().map(|k| Some(*k as u32)).collect::<Vec<_>>(), 150, 3);
    let (map, points) = laid_out(&rows, &sample);
    assert_eq!(points.len(), 600);
    assert!(purity(&points, &kinds, 0..600) > 0.95);
    let reduced = map.reduction().reduce(rows.view()).unwrap();
    assert_eq!(map.place(reduced.view(), &CancelToken::new()).unwrap(), points, "as if they had come later");
}

#[test]
fn equal_rows_are_one_point() {
    let (mut rows, _) = kinds(120, 4, 16);
    let first = rows.row(3).to_owned();
    for copy in 40..80 {
        rows.row_mut(copy).assign(&first);
    }
    let (_, points) = laid_out(&rows, &all(&rows));
    assert!((40..80).all(|copy| points[copy] == points[3]));
    assert_ne!(points[4], points[3]);

    let same = Array2::from_elem((50, 16), 0.25);
    let (map, points) = laid_out(&same, &all(&same));
    assert!(!map.is_laid_out());
    assert!(points.windows(2).all(|w| w[0] == w[1]) && points[0].iter().all(|v| v.abs() < 1e-3), "{:?}", points[0]);
}

#[test]
fn a_handful_of_rows_has_a_map() {
    for n in 0..LEAST_ROWS + 3 {
        let (rows, _) = kinds(n, 3, 8);
        let (map, points) = laid_out(&rows, &all(&rows));
        assert_eq!((points.len(), map.is_laid_out()), (n, n >= LEAST_ROWS), "{n}");
        assert!(points.iter().flatten().all(|v| v.is_finite() && v.abs() <= 1.0), "{n}: {points:?}");
        for i in 0..n {
            assert!((0..i).all(|j| points[i] != points[j]), "{n}: {i} lies on another");
        }
    }
}

#[test]
fn it_shows_how_it_comes_about_and_ends_when_asked() {
    let (rows, _) = kinds(100, 4, 16);
    let (reduction, reduced) = reduction(&rows);
    let token = CancelToken::new();
    let mut seen = Vec::new();
    let of = |on_frame: &mut (dyn FnMut(Frame<'_>) + Send)| {
        lay_out(reduction.clone(), reduced.view(), &all(&rows), on_frame, &token)
    };
    let (_, last) = of(&mut |frame| {
        if frame.n_done % 250 == 0 {
            seen.push((frame.n_done, frame.n_total, frame.points()));
        }
    })
    .unwrap();
    assert_eq!(seen.iter().map(|s| (s.0, s.1)).collect::<Vec<_>>(), [(250, 750), (500, 750), (750, 750)]);
    assert!(seen[0].2 != seen[1].2 && seen[2].2 == last);
    let mut n_done = 0;
    let ended = of(&mut |frame| {
        n_done = frame.n_done;
        if n_done == 20 {
            token.cancel();
        }
    });
    assert!(matches!(ended, Err(ProjectionError::Cancelled)));
    assert_eq!(n_done, 20, "at once");
    assert!(matches!(of(&mut |_| {}), Err(ProjectionError::Cancelled)));
}

#[test]
fn a_panic_of_the_caller_is_his_own() {
    let (rows, _) = kinds(60, 4, 16);
    let (reduction, reduced) = reduction(&rows);
    let go = || lay_out(reduction, reduced.view(), &all(&rows), &mut |_| panic!("mine"), &CancelToken::new());
    let payload = std::panic::catch_unwind(std::panic::AssertUnwindSafe(go)).err().unwrap();
    assert_eq!(payload.downcast_ref::<&str>(), Some(&"mine"));
}

#[test]
fn what_does_not_fit_is_an_error() {
    let (rows, _) = kinds(60, 4, 16);
    let (map, _) = laid_out(&rows, &all(&rows));
    let token = CancelToken::new();
    let wide = Array2::zeros((1, 51));
    assert!(matches!(map.place(wide.view(), &token), Err(ProjectionError::Width { .. })));
    let (reduction, reduced) = reduction(&rows);
    let beyond = lay_out(reduction.clone(), reduced.view(), &[60], &mut |_| {}, &token);
    assert!(matches!(beyond, Err(ProjectionError::NoSuchRow { row: 60, n_rows: 60 })));
    assert!(matches!(lay_out(reduction, wide.view(), &[0], &mut |_| {}, &token), Err(ProjectionError::Width { .. })));
}

#[test]
fn samples_keep_the_shares_of_classes_and_some_of_each() {
    let classes: Vec<Option<u32>> = (0..1000)
        .map(|row| match row {
            0..600 => Some(0),
            600..900 => Some(1),
            900..990 => None,
            _ => Some(2),
        })
        .collect();
    let found = sample(&classes, 400, 1);
    assert_eq!(found, sample(&classes, 400, 1));
    assert_ne!(found, sample(&classes, 400, 2));
    assert!(found.windows(2).all(|w| w[0] < w[1]));
    let n_of = |class| found.iter().filter(|row| classes[**row] == class).count();
    assert_eq!(found.len(), 400);
    assert_eq!(n_of(Some(2)), 10, "every image of a small class");
    assert!(n_of(Some(0)).abs_diff(240) < 12 && n_of(Some(1)).abs_diff(120) < 12 && n_of(None).abs_diff(36) < 12);
    assert_eq!(sample(&classes[..50], 400, 1), (0..50).collect::<Vec<_>>());
    let many: Vec<Option<u32>> = (0..1000).map(|row| Some(row / 10)).collect();
    assert_eq!(sample(&many, 100, 1).iter().map(|row| row / 10).collect::<Vec<_>>(), (0..100).collect::<Vec<_>>());
}
