//! The map in the application without a screen: when it is made, laid out and grown, and what selecting on it does.

#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "common/app.rs"]
mod app;

use std::sync::Arc;

use app::{App, hash};
use graft::app::gallery::SelectOp;
use graft::app::{Action, Command};
use graft::jobs::{
    Body, EmbedRequest, JobData, JobError, JobId, JobOutput, JobRequest, LaneKind, MapRequest, MapRow, MapTask, Mapped,
};
use graft::progress::CancelToken;
use graft::project::ImageId;
use graft::projection::{EmbeddingMap, Point, Reduction, lay_out};
use ndarray::Array2;

impl App {
    /// And with everything embedded.
    fn embedded(n: usize) -> Self {
        let mut app = Self::with_project(n);
        let (id, request) = app.take_embed();
        app.embed(&request, 0..n as u32);
        app.finish_embed(id);
        app
    }

    /// And laid out.
    fn mapped(n: usize) -> Self {
        let mut app = Self::embedded(n);
        app.do_it(Command::Act(Action::ShowMap));
        let (id, request) = app.take_map();
        app.finish_map(id, &request);
        app
    }

    fn embed(&mut self, request: &EmbedRequest, ids: std::ops::Range<u32>) {
        let rows = ids.map(|id| (ImageId(id), hash(id), id)).collect();
        let data = JobData::Embedded { epoch: request.epoch, rows, skipped: Vec::new() };
        self.event(JobId(0), Body::Data(data));
    }

    fn finish_embed(&mut self, id: JobId) {
        self.finish(id, JobOutput::Embedded { n_embedded: 1, n_cached: 0, ran_on: None, secs: 1.0 });
    }

    fn asks_for_map(&self) -> bool {
        self.asked.iter().any(|(_, r)| matches!(r, JobRequest::Map(_)))
    }

    fn take_map(&mut self) -> (JobId, MapRequest) {
        let (id, request) = self.take(|r| matches!(r, JobRequest::Map(_)));
        let JobRequest::Map(request) = request else { unreachable!() };
        (id, *request)
    }

    fn finish_map(&mut self, id: JobId, request: &MapRequest) {
        self.finish(id, JobOutput::Mapped(Box::new(answer(request))));
    }

    fn point(&self, id: u32) -> Option<Point> {
        self.project().map_point(ImageId(id))
    }
}

/// A real map of made-up rows: even ones at one end, odd ones at the other.
fn answer(request: &MapRequest) -> Mapped {
    let row = |r: u32| {
        (0..8).map(move |j| {
            (if r.is_multiple_of(2) { 1.0 } else { -1.0 }) * (j + 1) as f32 + ((r * 7 + j * 3) % 11) as f32 / 9.0
        })
    };
    let values: Vec<f32> = request.rows.iter().flat_map(|r| row(r.row)).collect();
    let rows = Array2::from_shape_vec((request.rows.len(), 8), values).unwrap();
    let token = CancelToken::new();
    let (map, points) = match &request.task {
        MapTask::Place(map) => {
            let points = map.place(map.reduction().reduce(rows.view()).unwrap().view(), &token).unwrap();
            (Arc::clone(map), points)
        }
        task => {
            let reduction = Reduction::fit(rows.view(), 0, &token).unwrap();
            let reduced = reduction.reduce(rows.view()).unwrap();
            let all: Vec<usize> = (0..rows.nrows()).collect();
            match task {
                MapTask::Components => {
                    let map = EmbeddingMap::of_components(reduction, reduced.view());
                    let points = map.place(reduced.view(), &token).unwrap();
                    (Arc::new(map), points)
                }
                _ => {
                    let (map, points) = lay_out(reduction, reduced.view(), &all, &mut |_| {}, &token).unwrap();
                    (Arc::new(map), points)
                }
            }
        }
    };
    let numbers = request.rows.iter().map(|r| r.row).collect();
    Mapped { epoch: request.epoch, number: request.number, map: Some(map), rows: numbers, points, left_out: Vec::new() }
}

fn frame(request: &MapRequest, at: f32) -> Body {
    let rows: Arc<[u32]> = request.rows.iter().map(|r| r.row).collect();
    let points = vec![[at, at]; rows.len()];
    let (epoch, number) = (request.epoch, request.number);
    Body::Data(JobData::Mapped(Box::new(Mapped { epoch, number, map: None, rows, points, left_out: Vec::new() })))
}

#[test]
fn it_is_made_when_it_is_looked_at_and_all_is_embedded() {
    let mut app = App::with_project(40);
    let (embed, request) = app.take_embed();
    app.embed(&request, 0..20);
    assert!(!app.asks_for_map(), "nobody looks");
    assert!(Action::FitMap.availability(&app.state).is_err());
    app.do_it(Command::Act(Action::ShowMap));
    assert!(Action::FitMap.availability(&app.state).is_ok());
    let (id, first) = app.take_map();
    assert!(matches!(first.task, MapTask::Components), "a sketch while the others come");
    assert_eq!(first.rows.len(), 20);
    app.finish_map(id, &first);
    assert!(app.project().map.is_there() && !app.project().map.is_laid_out() && app.point(3).is_some());
    app.embed(&request, 20..24);
    let (id, next) = app.take_map();
    assert!(matches!(next.task, MapTask::Place(_)));
    assert_eq!(next.rows.iter().map(|r| r.row).collect::<Vec<_>>(), [20, 21, 22, 23]);
    app.embed(&request, 24..40);
    assert!(!app.asks_for_map(), "one at a time");
    app.finish_map(id, &next);
    let (id, again) = app.take_map();
    assert!(matches!(again.task, MapTask::Components), "twice as many have other components");
    app.finish_map(id, &again);
    app.finish_embed(embed);
    let (id, layout) = app.take_map();
    assert!(matches!(layout.task, MapTask::LayOut));
    assert_eq!(layout.rows.len(), 40);
    assert_eq!(layout.rows[1].class, Some(1));
    assert!(Action::LayOutMap.availability(&app.state).is_err(), "it is being done");
    app.event(id, frame(&layout, 0.25));
    assert!(app.project().map.is_under_way());
    assert_eq!(app.point(7), Some([0.25, 0.25]), "seen as it comes about");
    app.finish_map(id, &layout);
    assert!(app.project().map.is_laid_out() && !app.project().map.is_under_way() && !app.asks_for_map());
    assert_ne!(app.point(7), app.point(8));
}

#[test]
fn new_images_are_placed_and_very_many_lay_it_out_anew() {
    let mut app = App::with_project(40);
    let (embed, request) = app.take_embed();
    app.embed(&request, 0..20);
    app.finish_embed(embed);
    let (embed, request) = app.take_embed();
    app.do_it(Command::Act(Action::ShowMap));
    let (id, first) = app.take_map();
    app.finish_map(id, &first);
    app.embed(&request, 20..20);
    // Embedding is not at its end, and the user does not wait for it.
    app.do_it(Command::Act(Action::LayOutMap));
    let (id, layout) = app.take_map();
    assert!(matches!(layout.task, MapTask::LayOut));
    app.finish_map(id, &layout);
    let before = app.point(3);
    app.embed(&request, 20..26);
    let (id, place) = app.take_map();
    assert!(matches!(place.task, MapTask::Place(_)));
    app.finish_map(id, &place);
    assert_eq!((app.point(3), app.project().map.n_placed), (before, 6), "the old ones stay where they are");
    assert!(app.point(22).is_some());
    app.embed(&request, 26..40);
    let (id, place) = app.take_map();
    assert!(matches!(place.task, MapTask::Place(_)), "not while more may come");
    app.finish_map(id, &place);
    app.finish_embed(embed);
    let (id, layout) = app.take_map();
    assert!(matches!(layout.task, MapTask::LayOut), "twice as many");
    app.finish_map(id, &layout);
    assert_eq!(app.project().map.n_placed, 0);
}

#[test]
fn fewer_than_three_images_make_no_map() {
    for n in 1..5 {
        let mut app = App::embedded(n);
        app.do_it(Command::Act(Action::ShowMap));
        assert_eq!(app.asks_for_map(), n >= 3, "{n}");
        assert!(Action::LayOutMap.availability(&app.state).is_err(), "{n}: too few, or under way");
        if n >= 3 {
            let (id, request) = app.take_map();
            app.finish_map(id, &request);
            assert!(!app.project().map.is_laid_out() && app.project().map.is_there());
            assert!(!app.asks_for_map(), "{n}: a simple sketch is all there is");
        }
    }
}

#[test]
fn what_is_stopped_leaves_what_was_there() {
    let mut app = App::embedded(30);
    app.do_it(Command::Act(Action::ShowMap));
    let (id, request) = app.take_map();
    let sketch =
        Mapped { map: answer(&MapRequest { task: MapTask::Components, ..request.clone() }).map, ..answer(&request) };
    app.event(id, Body::Data(JobData::Mapped(Box::new(sketch))));
    let before = app.point(5);
    app.event(id, frame(&request, 0.5));
    app.do_it(Command::Cancel(LaneKind::Map));
    assert!(app.cancelled.contains(&LaneKind::Map));
    app.event(id, Body::Finished(Err(JobError::Cancelled)));
    assert!(app.project().map.is_cancelled && !app.asks_for_map(), "not begun again by itself");
    assert_eq!(app.point(5), before);
    app.do_it(Command::Act(Action::LayOutMap));
    let (id, request) = app.take_map();
    app.event(id, Body::Finished(Err(JobError::Failed { summary: "No thread.".into(), details: None })));
    assert_eq!(app.project().map.error.as_deref(), Some("No thread."));
    assert!(!app.asks_for_map(), "nor after a failure");
    app.event(id, frame(&request, 0.9));
    app.do_it(Command::Act(Action::LayOutMap));
    let (id, request) = app.take_map();
    assert!(app.project().map.error.is_none());
    app.finish_map(id, &request);
    assert!(app.project().map.is_laid_out());
    // The old one is there until the new one moves.
    let before = app.point(5);
    app.do_it(Command::Act(Action::LayOutMap));
    let (id, request) = app.take_map();
    app.event(id, frame(&request, 0.5));
    app.do_it(Command::Cancel(LaneKind::Map));
    app.event(id, Body::Finished(Err(JobError::Cancelled)));
    assert_eq!(app.point(5), before);
}

#[test]
fn another_model_has_another_map() {
    let mut app = App::mapped(20);
    assert!(app.project().map.is_laid_out());
    app.do_it(Command::Act(Action::LayOutMap));
    let (id, late) = app.take_map();
    app.do_it(Command::ChooseModel(Some("other".into())));
    assert!(app.cancelled.contains(&LaneKind::Map));
    app.finish_map(id, &late);
    assert!(!app.project().map.is_there() && app.point(0).is_none(), "what comes late is of the old one");
    // Embedding of the old model ends, and the new one's begins.
    let (embed, request) = app.take_embed();
    app.embed(&request, 0..20);
    let (id, request) = app.take_map();
    assert!(matches!(request.task, MapTask::Components), "a sketch first");
    app.finish_embed(embed);
    app.finish_map(id, &request);
    let (id, request) = app.take_map();
    assert_eq!(request.epoch, app.project().live.epoch);
    app.finish_map(id, &request);
    assert!(app.project().map.is_laid_out());
}

#[test]
fn rows_that_are_no_numbers_are_left_out_once() {
    let mut app = App::embedded(20);
    app.do_it(Command::Act(Action::ShowMap));
    let (id, mut request) = app.take_map();
    request.rows.retain(|row| row.row != 4);
    let mapped = Mapped { left_out: vec![4], ..answer(&request) };
    app.finish(id, JobOutput::Mapped(Box::new(mapped)));
    assert!(!app.asks_for_map());
    assert_eq!((app.point(4), app.project().map.n_left_out()), (None, 1));
}

#[test]
fn a_lasso_selects_and_relabels_and_one_undo_takes_it_back() {
    let mut app = App::mapped(30);
    let lassoed: Vec<ImageId> = [2, 4, 9].map(ImageId).to_vec();
    app.do_it(Command::Select(SelectOp::Set { images: lassoed.clone(), keep: false }));
    assert_eq!(app.project().gallery.target(), lassoed);
    assert!(app.state.keys_act_on_images());
    app.do_it(Command::LabelByDigit(2));
    assert_eq!([2, 4, 9, 6].map(|id| app.class_of(id)), [Some("bee"), Some("bee"), Some("bee"), Some("ant")]);
    assert_eq!(app.project().gallery.selection.len(), 3, "still selected, for second thoughts");
    assert!(!app.asks_for_map(), "labels move nothing");
    app.do_it(Command::Act(Action::Undo));
    assert_eq!([2, 4, 9].map(|id| app.class_of(id)), [Some("ant"), Some("ant"), Some("bee")]);
    // In the gallery the same images are selected.
    app.do_it(Command::Act(Action::ShowGallery));
    assert_eq!(app.project().gallery.selection.len(), 3);
}

#[test]
fn images_that_come_back_are_placed() {
    let mut app = App::embedded(20);
    app.do_it(Command::Remove(graft::app::Target::Images(vec![ImageId(3)])));
    app.do_it(Command::Act(Action::ShowMap));
    let (id, request) = app.take_map();
    assert_eq!(request.rows.len(), 19);
    app.finish_map(id, &request);
    assert!(app.point(3).is_none());
    app.do_it(Command::Act(Action::Undo));
    let (id, request) = app.take_map();
    assert!(matches!(request.task, MapTask::Place(_)) && request.rows.len() == 1);
    app.finish_map(id, &request);
    assert!(app.point(3).is_some());
}

/// The next event that is an end, with the data before it.
fn outcome(jobs: &graft::jobs::Jobs, id: u64) -> (Vec<Mapped>, Result<JobOutput, JobError>) {
    let mut seen = Vec::new();
    loop {
        let event = jobs.events().recv_timeout(std::time::Duration::from_secs(60)).unwrap();
        assert_eq!(event.id, JobId(id));
        match event.body {
            Body::Data(JobData::Mapped(mapped)) => seen.push(*mapped),
            Body::Finished(result) => return (seen, result),
            _ => {}
        }
    }
}

#[test]
fn the_lane_lays_out_places_and_ends() {
    let jobs = graft::jobs::Jobs::new(Arc::new(|| {})).unwrap();
    let space =
        graft::embedding::EmbeddingSpace { backbone: "b".into(), layer: "l".into(), preprocess: "p".into(), dim: 6 };
    jobs.table().begin(7, &space, vec![space.clone()]);
    for i in 0..60_u32 {
        let mut row: Vec<f32> =
            (0..6).map(|j| ((i * 31 + j * 17) % 13) as f32 + if i % 2 == 0 { 20.0 } else { 0.0 }).collect();
        if i == 4 {
            row[2] = f32::NAN;
        }
        jobs.table().add(7, [(&hash(i), &row[..])]).unwrap();
    }
    let rows = |range: std::ops::Range<u32>| range.map(|row| MapRow { row, class: Some(row % 2) }).collect::<Vec<_>>();
    let ask = |id, epoch, task, rows| {
        let request = MapRequest { epoch, number: id, task, rows };
        jobs.submit(JobId(id), JobRequest::Map(Box::new(request)));
    };
    ask(1, 7, MapTask::LayOut, rows(0..50));
    let (seen, end) = outcome(&jobs, 1);
    assert!(seen[0].map.as_ref().is_some_and(|map| !map.is_laid_out()), "components come at once");
    let Ok(JobOutput::Mapped(first)) = end else { panic!("{end:?}") };
    assert_eq!((first.rows.len(), first.left_out.as_slice()), (49, &[4][..]));
    let map = first.map.clone().unwrap();
    assert!(map.is_laid_out());
    ask(2, 7, MapTask::LayOut, rows(0..50));
    let Ok(JobOutput::Mapped(again)) = outcome(&jobs, 2).1 else { panic!() };
    assert_eq!(again.points, first.points);
    ask(3, 7, MapTask::Place(Arc::clone(&map)), rows(40..60));
    let Ok(JobOutput::Mapped(placed)) = outcome(&jobs, 3).1 else { panic!() };
    assert_eq!(placed.points[..10], first.points[39..], "those that are there stay");
    ask(4, 8, MapTask::Components, rows(0..3));
    assert!(matches!(outcome(&jobs, 4).1, Err(JobError::Cancelled)), "rows of another model are gone");
    ask(5, 7, MapTask::Components, vec![MapRow { row: 4, class: None }]);
    let Ok(JobOutput::Mapped(none)) = outcome(&jobs, 5).1 else { panic!() };
    assert!(none.rows.is_empty() && none.left_out == [4]);
    ask(6, 7, MapTask::LayOut, rows(0..60));
    jobs.cancel(LaneKind::Map);
    assert!(matches!(outcome(&jobs, 6).1, Err(JobError::Cancelled)));
    jobs.shut_down();
}
