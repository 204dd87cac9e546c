//! What goes to the lane that makes the map, and what comes back.

use std::sync::Arc;

use crate::projection::{EmbeddingMap, Point};

/// A row of the table that is to be on the map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MapRow {
    /// Which.
    pub row: u32,
    /// What it is labelled as, by any number; of each class some rows are laid out.
    pub class: Option<u32>,
}

/// What is wanted of a map.
#[derive(Clone, Debug)]
pub enum MapTask {
    /// The first two components: there at once.
    Components,
    /// The layout, seen as it comes about.
    LayOut,
    /// Places in a map that is there.
    Place(Arc<EmbeddingMap>),
}

/// A map, or places in one.
#[derive(Clone, Debug)]
pub struct MapRequest {
    /// Which choice of model the rows belong to.
    pub epoch: u64,
    /// Tells this request from others.
    pub number: u64,
    /// What is wanted.
    pub task: MapTask,
    /// The rows, each once.
    pub rows: Vec<MapRow>,
}

/// Where rows are.
#[derive(Clone, Debug)]
pub struct Mapped {
    /// Which choice of model the rows belong to.
    pub epoch: u64,
    /// The number of the request.
    pub number: u64,
    /// The map, where this is more than a step on the way to one.
    pub map: Option<Arc<EmbeddingMap>>,
    /// Rows that are on the map.
    pub rows: Arc<[u32]>,
    /// Where, in the same order.
    pub points: Vec<Point>,
    /// Rows whose embeddings are not all numbers: they are on no map.
    pub left_out: Vec<u32>,
}
