"""Opens reports in headless Chromium in every way that people open them, and counts what goes wrong.

Run:  python -m venv v && v/bin/pip install playwright==1.65.2
      v/bin/python report_check.py --browser /usr/bin/chromium --pictures DIR REPORT.html...

Light and dark, a desktop's width and a phone's, and printed; each must have no message on the console, no request but for
the file itself, nothing wider than the page, and no picture that was not drawn. With --pictures, screenshots and PDFs are
left in DIR to be looked at. Exit status 1 when something is wrong.
"""
import argparse
import pathlib
import sys

from playwright.sync_api import sync_playwright

VIEWS = {
    "light": dict(viewport={"width": 1100, "height": 800}, color_scheme="light"),
    "dark": dict(viewport={"width": 1100, "height": 800}, color_scheme="dark"),
    "phone": dict(viewport={"width": 360, "height": 700}, color_scheme="light"),
}


def look(browser, path, name, view, pictures):
    page = browser.new_context(**view).new_page()
    console, requests = [], []
    page.on("console", lambda m: console.append(m.text))
    page.on("pageerror", lambda e: console.append(str(e)))
    page.on("request", lambda r: requests.append(r.url))
    page.goto(path.as_uri())
    page.wait_for_load_state("networkidle")
    requests = [r for r in requests if not r.startswith("data:") and r != path.as_uri()]
    wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    broken = page.evaluate("[...document.images].filter(i => !i.complete || !i.naturalWidth).length")
    n_images = page.evaluate("document.images.length")
    if pictures:
        page.screenshot(path=pictures / f"{path.stem}-{name}.png", full_page=True)
        if name == "light":
            page.pdf(path=pictures / f"{path.stem}.pdf", format="A4")
    page.context.close()
    print(f"{path.name} {name}: {len(console)} console messages, {len(requests)} requests, {n_images} pictures, "
          f"{broken} broken, {max(wide, 0)} px too wide")
    return not console and not requests and not broken and wide <= 0


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--browser", default=None)
    args.add_argument("--pictures", type=pathlib.Path)
    args.add_argument("reports", nargs="+", type=pathlib.Path)
    args = args.parse_args()
    if args.pictures:
        args.pictures.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as p:
        browser = p.chromium.launch(executable_path=args.browser, args=["--no-sandbox"])
        seen = [look(browser, r.resolve(), n, v, args.pictures) for r in args.reports for n, v in VIEWS.items()]
        browser.close()
    sys.exit(0 if all(seen) else 1)


main()
