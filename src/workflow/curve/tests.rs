#![allow(clippy::unwrap_used, reason = "tests")]

use super::pool::tests::data;
use super::*;
use crate::progress::{CancelToken, Silent};
use crate::workflow::study::{StudyConfig, StudyImages};
