//! What a fit leaves behind once the data stand still (see [`crate::project::runs`]).

use std::time::{SystemTime, UNIX_EPOCH};

use super::fit::Plan;
use super::protocol::{FitRequest, FittedHead};
use crate::dataset::Split;
use crate::project::runs::{DataRevision, Judged, Run, RunAnswer, RunId, SHORT_HASH};

/// The heads of a fit as runs, without identifiers and the model's name; `hashes` are those of the table's rows.
pub(super) fn runs(plan: &Plan, request: &FitRequest, hashes: &[[u8; 32]], heads: &[FittedHead]) -> Vec<Run> {
    // What is stored with each answer has room for so many.
    if plan.classes.len() > usize::from(u16::MAX) {
        return Vec::new();
    }
    let images = plan.images().filter_map(|(row, class, split)| Some((*hashes.get(row as usize)?, class, split)));
    let facts = (plan.val_is_given, request.val_fraction, request.seed);
    let data = DataRevision::new(plan.classes.clone(), images, facts);
    let judged_split = if data.n(Split::Val) > 0 { Split::Val } else { Split::Test };
    let mut rows: Vec<(Judged, u32)> = plan
        .images()
        .filter(|(_, _, split)| *split == judged_split)
        .filter_map(|(row, class, _)| {
            let mut hash = [0; SHORT_HASH];
            hash.copy_from_slice(hashes.get(row as usize)?.get(..SHORT_HASH)?);
            Some((Judged { hash, truth: u16::try_from(class.0).ok()? }, row))
        })
        .collect();
    rows.sort_unstable();
    let judged: std::sync::Arc<[Judged]> = rows.iter().map(|(judged, _)| *judged).collect();
    let unix_secs = unix_secs_now();
    let run = |head: &FittedHead| {
        let answer = |(_, row): &(Judged, u32)| {
            let answer = head.predictions.get(*row as usize)?;
            Some(RunAnswer { class: u16::try_from(answer.class).ok()?, confidence: answer.confidence })
        };
        let trained = &head.judged.trained;
        Some(Run {
            id: RunId::default(),
            unix_secs,
            model: String::new(),
            space: trained.head.space().clone(),
            data: data.clone(),
            record: trained.record.clone(),
            val: head.judged.val.clone(),
            test: head.judged.test.clone(),
            judged: judged.clone(),
            answers: rows.iter().map(answer).collect::<Option<_>>()?,
        })
    };
    heads.iter().filter_map(run).collect()
}

/// Seconds since 1970; 0 before.
pub(super) fn unix_secs_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
