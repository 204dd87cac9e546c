//! Work beside the screen: named threads, queues and cancellation around [`crate::workflow`].
//!
//! | lane (thread) | requests | when another comes |
//! | --- | --- | --- |
//! | `files` | look at what was dropped, list and import models, load ONNX Runtime | waits its turn |
//! | `embed` | images through the backbone, into the [`table`] | the latest waits for the end of the running one |
//! | `fit` | heads from the table's rows | the latest, and the running one is ended |
//! | `predict` | images that are not part of the project | the latest, and the running one is ended |
//! | `strangers` | images of none of the classes | the latest, and the running one is ended |
//! | `text` | labels: encoded, and every image scored by them; learning curves | the latest, and the running one is ended |
//! | `study` | heads on several depths of a model, or on several models | the latest, and the running one is ended |
//! | `map` | the map of the images: components, layout, places for new ones | the latest waits for the end of the running one |
//! | `next` | unlabelled images in the order of their usefulness | the latest, and the running one is ended |
//! | `explain` | why an answer: nearest images, where the model looks | the latest, and the running one is ended |
//! | `check` | faults in the data, from the table's rows and small copies of the pictures | the latest waits for the end of the running one |
//! | `export` | an export with its proof, tables and sorted copies of predictions, self-tests | waits its turn |
//! | `project` | project files: opened, written, copied, closed, each by its session; the settings | waits its turn |
//!
//! Every job ends with exactly one [`Body::Finished`], also when it panics, is cancelled or never began. The screen is
//! woken through a function that it passes in; nothing here knows of it.

mod check;
mod explain;
mod export;
mod files;
mod fit;
mod lane;
mod lane_kind;
mod map;
mod models;
mod next;
mod predict;
pub mod presence;
mod project;
pub mod protocol;
mod protocol_check;
mod protocol_files;
mod protocol_map;
mod protocol_next;
mod protocol_report;
mod protocol_study;
mod protocol_text;
mod report;
mod runs;
mod study;
pub mod table;
pub(crate) mod texts;
pub mod thumbnails;

use std::sync::Arc;

use crossbeam_channel::{Receiver, unbounded};

use lane::{Lane, Outbox, Policy, Work};
pub use protocol::*;
use table::Table;
pub use texts::probabilities;

/// What wakes the screen when there is something to receive.
pub type Waker = Arc<dyn Fn() + Send + Sync>;

/// The lanes, the table of embeddings, and the events that come back.
pub struct Jobs {
    lanes: Vec<(LaneKind, Lane)>,
    events: Receiver<JobEvent>,
    table: Arc<Table>,
}

impl Jobs {
    /// Starts the threads, which sleep until there is work.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn new(waker: Waker) -> std::io::Result<Self> {
        let (sender, events) = unbounded();
        let outbox = Outbox::new(sender, waker);
        let table = Arc::new(Table::default());
        let models = Arc::new(models::OpenModels::default());
        let lane = |kind: LaneKind, policy: Policy, work: Work| -> std::io::Result<(LaneKind, Lane)> {
            Ok((kind, Lane::start(kind.name(), policy, outbox.clone(), work)?))
        };
        let lanes = vec![
            lane(LaneKind::Files, Policy::Queue, files::worker(Arc::clone(&models)))?,
            lane(LaneKind::Embed, Policy::Latest, models::embed_worker(Arc::clone(&models), Arc::clone(&table)))?,
            lane(LaneKind::Fit, Policy::Interrupt, fit::worker(Arc::clone(&table)))?,
            lane(LaneKind::Predict, Policy::Interrupt, predict::worker(Arc::clone(&models)))?,
            lane(LaneKind::Strangers, Policy::Interrupt, predict::worker(Arc::clone(&models)))?,
            lane(LaneKind::Text, Policy::Interrupt, texts::worker(Arc::clone(&models), Arc::clone(&table)))?,
            lane(LaneKind::Study, Policy::Interrupt, study::worker(Arc::clone(&models)))?,
            lane(LaneKind::Map, Policy::Latest, map::worker(Arc::clone(&table)))?,
            lane(LaneKind::Next, Policy::Interrupt, next::worker(Arc::clone(&table)))?,
            lane(LaneKind::Explain, Policy::Interrupt, explain::worker(Arc::clone(&models), Arc::clone(&table)))?,
            lane(LaneKind::Check, Policy::Latest, check::worker(Arc::clone(&models), Arc::clone(&table)))?,
            lane(LaneKind::Export, Policy::Queue, export::worker(models, Arc::clone(&table)))?,
            lane(LaneKind::Project, Policy::Queue, project::worker())?,
        ];
        Ok(Self { lanes, events, table })
    }

    /// Hands over a request.
    pub fn submit(&self, id: JobId, request: JobRequest) {
        let kind = request.lane();
        if let Some((_, lane)) = self.lanes.iter().find(|(k, _)| *k == kind) {
            lane.submit(id, request);
        }
    }

    /// Ends what runs and waits in a lane.
    pub fn cancel(&self, kind: LaneKind) {
        if let Some((_, lane)) = self.lanes.iter().find(|(k, _)| *k == kind) {
            lane.cancel();
        }
    }

    /// What has happened since.
    pub fn events(&self) -> &Receiver<JobEvent> {
        &self.events
    }

    /// The embeddings of the open project.
    pub fn table(&self) -> &Arc<Table> {
        &self.table
    }

    /// Ends everything but the project's writes, which are waited for. To be called before the process ends.
    pub fn shut_down(mut self) {
        for (kind, lane) in &self.lanes {
            if *kind != LaneKind::Project {
                lane.cancel();
            }
        }
        for (_, lane) in self.lanes.drain(..) {
            lane.close();
        }
    }
}
