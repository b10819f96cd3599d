#!/usr/bin/env python3
"""The console in a real browser, under load: what people see, by keyboard, in both languages.

Starts a switch with the demo cards, loads it with some thousand decisions a second, and opens the
console in headless Chromium: the page and all it loads stay below 200 KB, decisions appear, a
decline is explained, a transaction's timeline is shown, a test message is answered, tabs work by
keyboard, and the page stays responsive. Screenshots in dark and light, English and Japanese, go to
target/drills/console-*.png. With the package axe-core (npm) no serious fault of accessibility may be
found.

  tests/drills/console.py [BINARY]

Needs the package playwright and a Chromium (Debian package chromium). Exit code 0 passed, 1 failed,
77 skipped. Evidence: target/drills/console.json.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from running import EVIDENCE, ROOT, Switch, binary_of, write_evidence
from wire import Wrong, check

try:
    from playwright.sync_api import sync_playwright
except ImportError:
    print("SKIPPED: pip install playwright")
    sys.exit(77)

BYTES_MAX = 200 * 1024
RATE = 1_000
EVERYDAY = "4761739001010119"
CLICK_SECONDS_MAX = 1.0
WAIT_MS = 30_000


def axe():
    """The text of axe-core, installed below target when npm can; None without it."""
    folder = ROOT / "target" / "axe"
    path = folder / "node_modules" / "axe-core" / "axe.min.js"
    if not path.is_file() and shutil.which("npm"):
        folder.mkdir(parents=True, exist_ok=True)
        command = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(folder)]
        subprocess.run([*command, "axe-core@4.14.1"], capture_output=True, timeout=120)
    return path.read_text() if path.is_file() else None


def faults_of(page, script):
    """What axe-core calls serious or critical."""
    page.evaluate(script)
    found = page.evaluate("axe.run().then(it => it.violations)")
    serious = [it for it in found if it["impact"] in ("serious", "critical")]
    return [f"{it['id']}: {it['nodes'][0]['html'][:120]}" for it in serious]


def keep_policy(browser, url, token):
    """The page asks for a token, and works under its own policy."""
    page = browser.new_page()
    page.set_default_timeout(WAIT_MS)
    faults = []
    page.on("console", lambda said: note(faults, said))
    page.goto(f"{url}/console")
    page.fill("#login[open] input", token)
    page.keyboard.press("Enter")
    page.wait_for_selector("#rows tbody tr")
    page.wait_for_selector("#chart path", state="attached")
    # What it asked before it had a token was refused.
    faults = [fault for fault in faults if "401" not in fault]
    check(not faults, f"under its policy the page complains: {faults}")
    page.close()


def note(faults, said):
    """Keeps what the page complains of; a browser asks for a picture of its own accord."""
    is_picture = said.location.get("url", "").endswith("/favicon.ico")
    if said.type == "error" and not is_picture:
        faults.append(said.text)


def visit(browser, url, token, evidence, script):
    faults, sizes = [], []
    keep_policy(browser, url, token)
    # What the drill evaluates in the page, the page's policy would forbid.
    context = browser.new_context(color_scheme="light", locale="en-GB", bypass_csp=True,
                                  viewport={"width": 1280, "height": 800})
    context.add_init_script(f"sessionStorage.setItem('token', '{token}')")
    page = context.new_page()
    page.set_default_timeout(WAIT_MS)
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda said: note(faults, said))

    def sized(response):
        if "/console" in response.url:
            sizes.append(len(response.body()))

    page.on("response", sized)
    page.goto(f"{url}/console")
    page.wait_for_selector("#rows tbody tr")
    page.wait_for_function("document.querySelectorAll('#chart path').length === 2")
    page.wait_for_function("document.querySelector('#steps tbody').innerText.includes('µs')")
    evidence["page_bytes"] = sum(sizes)
    check(0 < sum(sizes) < BYTES_MAX, f"the page has {sum(sizes)} bytes")
    check(EVERYDAY not in page.content(), "a whole card number is on the page")

    # A decline, found by a filter and explained.
    page.select_option("#filters [name=outcome]", "declined")
    # The load's own declines, once its cards are empty, would push the row out.
    page.select_option("#filters [name=reason]", "transaction-limit")
    page.click("#filters button:not([type=button])")
    send_above_the_limit(page)
    row = page.locator("#rows tbody tr", has_text="transaction-limit").first
    row.focus()
    row.press("Enter")
    page.wait_for_selector("#detail h2.bad")
    explained = page.inner_text("#detail")
    check("transaction-limit" in explained and "61" in explained, f"explained: {explained}")
    page.select_option("#filters [name=outcome]", "")
    page.select_option("#filters [name=reason]", "")
    page.click("#filters button:not([type=button])")

    # How long the page takes to follow a click while decisions come in.
    slowest = page.evaluate("""async () => { let most = 0;
        for (const name of ["links", "cards", "test", "live"]) { const began = performance.now();
            document.getElementById("tab-" + name).click();
            await new Promise(done => requestAnimationFrame(() => setTimeout(done)));
            most = Math.max(most, performance.now() - began); } return most; }""")
    evidence["slowest_click_ms"] = round(slowest, 1)
    check(slowest < CLICK_SECONDS_MAX * 1000, f"a click took {slowest} ms")
    shots = [("light-en", False, "light"), ("dark-en", False, "dark"), ("dark-ja", True, "dark")]
    for name, is_japanese, scheme in shots:
        page.emulate_media(color_scheme=scheme)
        if (page.get_attribute("html", "lang") == "ja") != is_japanese:
            page.click("#language")
        page.screenshot(path=str(EVIDENCE / f"console-{name}.png"))
        if script:
            found = faults_of(page, script)
            check(not found, f"accessibility, {name}: {found}")
    check("毎秒" in page.inner_text("#view-live"), "the page does not speak Japanese")
    page.click("#language")

    # By keyboard to the cards; the timeline of the newest transaction.
    page.keyboard.press("Alt+2")
    page.fill("#lookup [name=asked]", EVERYDAY)
    page.keyboard.press("Enter")
    page.wait_for_selector("#account tbody button")
    page.click("#account tbody button")
    page.wait_for_selector("#timeline li")
    page.screenshot(path=str(EVIDENCE / "console-cards.png"))
    page.keyboard.press("Alt+3")
    page.wait_for_selector("#links tbody th")
    page.screenshot(path=str(EVIDENCE / "console-links.png"))
    if script:
        found = faults_of(page, script)
        check(not found, f"accessibility of the links: {found}")
    check(not faults, f"the page complains: {faults}")
    context.close()


def send_above_the_limit(page):
    """Sends a purchase above the limit by the page's own form, and reads the answer."""
    page.click("#tab-test")
    page.wait_for_selector("#send [name=door] option", state="attached")
    page.fill("#send [name=pan]", EVERYDAY)
    page.fill("#send [name=minor]", "99000000")
    page.click("#send button")
    page.wait_for_function("document.getElementById('answer').textContent.includes('0110')")
    said = page.inner_text("#answer")
    check(EVERYDAY not in said, "the answer shows a whole card number")
    page.screenshot(path=str(EVIDENCE / "console-test.png"))
    page.click("#tab-live")


def main():
    binary = binary_of(sys.argv[1] if len(sys.argv) > 1 else None)
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        print("SKIPPED: no chromium (Debian package chromium)")
        return 77
    EVIDENCE.mkdir(parents=True, exist_ok=True)
    script, evidence = axe(), {"rate": RATE}
    with tempfile.TemporaryDirectory() as work, sync_playwright() as playwright:
        switch = Switch(binary, Path(work) / "store", work, arguments=["--demo"]).wait_ready()
        command = [binary, "acquirer", "load", "--connect", f"127.0.0.1:{switch.port}"]
        command += ["--spec", "iso87-ascii", "--rate", str(RATE), "--connections", "4"]
        command += ["--duration", "90s"]
        load = subprocess.Popen([*map(str, command)], cwd=ROOT, stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL)
        try:
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            evidence["browser"] = browser.version
            url = f"http://127.0.0.1:{switch.admin_port}"
            visit(browser, url, switch.admin().token, evidence, script)
            browser.close()
        finally:
            load.terminate()
            load.wait()
        evidence["answers"] = switch.get("/healthz")["counters"]["answers_written"]
        switch.stop()
    evidence["axe"] = "no serious fault" if script else "not installed"
    print(f"{evidence['page_bytes']} bytes, slowest click {evidence['slowest_click_ms']} ms, "
          f"{evidence['answers']} answers meanwhile, axe-core: {evidence['axe']}")
    print(write_evidence("console", binary, evidence))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Wrong as wrong:
        print(f"FAILED: {wrong}")
        sys.exit(1)
