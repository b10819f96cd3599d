#!/usr/bin/env python3
"""The console in a real browser, under load: what people see, by keyboard, in both languages.

Starts a switch with the demo cards, loads it with some thousand decisions a second, and opens the
console in headless Chromium: the page and all it loads stay below 200 KB, decisions appear, a
decline is explained, a transaction's timeline is shown, a test message is answered, tabs work by
keyboard, and the page stays responsive; a card's own limits and controls and a programme in shadow
are shown, a link is drained and resumed, and a viewer is offered no such thing. Screenshots in dark
and light, English and Japanese, go to target/drills/console-*.png. With the package axe-core (npm)
no serious fault of accessibility may be found.

  tests/drills/console.py [BINARY]

Needs the package playwright and a Chromium (Debian package chromium). Exit code 0 passed, 1 failed,
77 skipped. Evidence: target/drills/console.json.
"""

import json
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
    """The page asks for a token, works under its own policy, and offers a viewer no orders."""
    page = browser.new_page()
    page.set_default_timeout(WAIT_MS)
    faults = []
    page.on("console", lambda said: note(faults, said))
    page.goto(f"{url}/console")
    page.fill("#login[open] input", token)
    page.keyboard.press("Enter")
    page.wait_for_selector("#rows tbody tr")
    page.wait_for_selector("#chart path", state="attached")
    page.keyboard.press("Alt+3")
    page.wait_for_selector("#sessions tbody th")
    check(page.locator("#sessions button").count() == 0, "a viewer is offered orders")
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
        for (const name of ["links", "cards", "test", "shadow", "live"]) { const began = performance.now();
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
    held = page.inner_text("#account")
    check("limits of its own" in held and "refuses of its own" in held, f"the card: {held[:600]}")
    check("domestic=false" in held, f"the card's own control is not shown: {held[:600]}")
    page.click("#account tbody button")
    page.wait_for_selector("#timeline li")
    page.screenshot(path=str(EVIDENCE / "console-cards.png"))
    page.keyboard.press("Alt+3")
    page.wait_for_selector("#links tbody th")
    page.screenshot(path=str(EVIDENCE / "console-links.png"))
    keep_sessions(page)
    if script:
        found = faults_of(page, script)
        check(not found, f"accessibility of the links: {found}")
    page.keyboard.press("Alt+5")
    page.wait_for_selector("#shadow .scroll tbody tr")
    page.screenshot(path=str(EVIDENCE / "console-shadow.png"))
    told = page.inner_text("#shadow")
    check("prepaid-jp" in told and "limit per transaction 1," in told, f"shadow: {told[:600]}")
    if script:
        found = faults_of(page, script)
        check(not found, f"accessibility of the shadow: {found}")
    check(not faults, f"the page complains: {faults}")
    context.close()


def keep_sessions(page):
    """The sessions are there; a link is drained, and resumed."""
    page.wait_for_selector("#sessions tbody button")
    page.on("dialog", lambda dialog: dialog.accept())
    row = page.locator("#sessions tbody tr").first
    link = row.locator("td").first.inner_text()
    row.locator("button").nth(2).click()
    page.wait_for_selector("#drained button")
    check(link in page.inner_text("#drained"), "the link is not shown as drained")
    page.click("#drained button")
    page.wait_for_function("document.querySelectorAll('#drained button').length === 0")


def viewer_of(binary, switch):
    """A token of somebody who may only read."""
    command = [str(binary), "token", "create", "eyes", "--role", "viewer", "--json"]
    command += ["--data", str(switch.store)]
    made = subprocess.run(command, capture_output=True, check=True, timeout=60)
    return json.loads(made.stdout)["token"]


def prepare(switch):
    """A card with limits and controls of its own, and a programme in shadow."""
    limit = {"channel": "load", "window": "day", "currency": "JPY", "amount_max": 900_000}
    text = (ROOT / "spec" / "programme" / "prepaid-jp.toml").read_text()
    tighter = text.replace("amount_max = 1_000_000", "amount_max = 1", 1)
    for path, body in [
        ("/v1/cards/1/limits", {"limits": [limit]}),
        ("/v1/cards/1/controls", {"controls": [{"domestic": False}]}),
        ("/v1/programmes/prepaid-jp/shadow", {"file": tighter}),
    ]:
        connection = switch.admin()
        connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        check(answer.status == 200, f"POST {path}: {answer.status} {answer.read()}")


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
        viewer = viewer_of(binary, switch)
        prepare(switch)
        load = subprocess.Popen([*map(str, command)], cwd=ROOT, stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL)
        try:
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            evidence["browser"] = browser.version
            url = f"http://127.0.0.1:{switch.admin_port}"
            keep_policy(browser, url, viewer)
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
