//! A report in a real browser: nothing on its console, no request, and everything drawn. Skipped, visibly, where there is no
//! Chromium; `GRAFT_BROWSER` names one, and then its absence is a failure.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;

use common::{TINY, World};

/// What a page did in a browser.
#[derive(Debug)]
struct Visit {
    /// Lines of the console.
    console: Vec<String>,
    /// Addresses that were asked for, the browser's own services aside.
    requests: Vec<String>,
    /// The document as the browser understood it.
    dom: String,
}

fn browser() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("GRAFT_BROWSER") {
        return Some(named.into());
    }
    let dirs: Vec<PathBuf> = std::env::split_paths(&std::env::var_os("PATH")?).collect();
    let names = ["chromium", "chromium-browser", "google-chrome"];
    names.iter().flat_map(|name| dirs.iter().map(move |dir| dir.join(name))).find(|path| path.is_file())
}

fn visit(browser: &Path, world: &World, page: &Path) -> Visit {
    let (profile, log) = (world.path("profile"), world.path("net.json"));
    std::fs::remove_dir_all(&profile).ok();
    let output = Command::new(browser)
        .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"])
        .args(["--disable-component-update", "--disable-sync", "--enable-logging=stderr", "--dump-dom"])
        // Whatever is asked for is noted and goes nowhere.
        .args(["--host-resolver-rules=MAP * ~NOTFOUND"])
        .arg(format!("--user-data-dir={}", profile.display()))
        .arg(format!("--log-net-log={}", log.display()))
        .arg(format!("file://{}", page.display()))
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{stderr}");
    let log = String::from_utf8_lossy(&std::fs::read(log).unwrap()).into_owned();
    let of_browser = |url: &&str| {
        let host = url.split('/').nth(2).unwrap_or_default();
        [".google.com", ".googleapis.com"].iter().any(|end| host.ends_with(end))
    };
    let urls = log.split("\"url\":\"").skip(1).filter_map(|rest| rest.split('"').next());
    let mut requests: Vec<String> =
        urls.filter(|url| url.starts_with("http")).filter(|url| !of_browser(url)).map(str::to_owned).collect();
    requests.sort();
    requests.dedup();
    Visit {
        console: stderr.lines().filter(|line| line.contains(":CONSOLE")).map(str::to_owned).collect(),
        requests,
        dom: String::from_utf8_lossy(&output.stdout).into_owned(),
    }
}

#[test]
fn a_report_opens_without_errors_and_without_the_network() {
    let Some(browser) = browser() else {
        println!("skipped: there is no Chromium on the path; GRAFT_BROWSER can name one");
        return;
    };
    let world = World::new();
    // That errors and requests would be seen.
    let bad =
        "<!DOCTYPE html><title>x</title><img src=\"http://127.0.0.1:9/x.png\"><script>console.error('boo')</script>";
    let bad = visit(&browser, &world, &world.write("bad.html", bad.as_bytes()));
    assert_eq!((bad.console.len(), bad.requests.len()), (1, 1), "{bad:?}");

    // Names that would load and run something, had they the chance.
    let hostile = "<img src='http:&#47;&#47;evil.example' onerror=alert(1)>";
    let classes = [(hostile, [40, 200, 40]), ("\"><script>alert(1)<", [200, 40, 40]), ("blue & <b>", [180, 60, 60])];
    let images = world.colours("http: evil <script>", &classes, 12);
    let out = world.path("report.html").to_string_lossy().into_owned();
    let ran = world.graft(&["report", "--images", &images, "--model", TINY, "--out", &out]);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let seen = visit(&browser, &world, &world.path("report.html"));
    assert_eq!((&seen.console[..], &seen.requests[..]), (&[][..], &[][..]), "{}", seen.dom.len());
    // As the browser understood it: every section, no script, and the names as text.
    for id in ["glance", "confusion", "calibration", "heads", "data", "model", "reproduce"] {
        assert!(seen.dom.contains(&format!("<section id=\"{id}\">")), "{id}");
    }
    assert!(!seen.dom.contains("<script") && !seen.dom.contains("onerror=alert(1)>"), "names are text");
    assert!(seen.dom.contains("<svg") && seen.dom.contains("</main>"));
}
