//! `graft search`

use anyhow::Result;

use super::args::SearchArgs;
use super::output::{Listing, list_skipped, print, print_json};
use super::terminal::Terminal;
use super::zero_shot::open_dual;
use crate::workflow::models::open_cache;
use crate::workflow::zero_shot::search;

pub(super) fn run(args: &SearchArgs, terminal: &Terminal) -> Result<()> {
    let cache = open_cache(terminal);
    let mut dual = open_dual(&args.dual, &cache)?;
    let (hits, skipped) =
        search(&mut dual, &args.images, &args.phrase, args.top, &cache, &args.dual.run.embed(), terminal)?;
    list_skipped(&skipped, Listing::Short, terminal);
    if args.json {
        return print_json(&serde_json::to_value(&hits)?);
    }
    for hit in &hits {
        print(&format!("{:6.3}\t{}", hit.cosine, hit.path.display()))?;
    }
    Ok(())
}
