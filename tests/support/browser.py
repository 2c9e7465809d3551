"""Pages in headless Chromium: set PLAYWRIGHT_HOME to a folder with node_modules/playwright-core (npm install
playwright-core, and axe-core for accessibility). Chromium is found on the path."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--no-first-run",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
]

DRIVER = """
const [home, chromium, flags, profile, address, width, scheme] = JSON.parse(process.argv[1]);
const { chromium: browser } = require(home + '/playwright-core');
(async () => {
  const context = await browser.launchPersistentContext(profile, { executablePath: chromium, args: flags });
  const page = await context.newPage();
  const problems = [];
  page.on('console', (message) => { if (message.type() === 'error') problems.push(message.text()); });
  page.on('pageerror', (error) => problems.push(error.message));
  page.on('request', (request) => { if (!request.url().startsWith('file:') && !request.url().startsWith('data:'))
    problems.push('asked for ' + request.url()); });
  await page.emulateMedia({ colorScheme: scheme });
  await page.setViewportSize({ width, height: 860 });
  await page.goto(address);
  let result = null;
  try { result = await (async () => { %s })(); } finally { await context.close(); }
  console.log(JSON.stringify({ result, problems }));
})().catch((error) => { console.error(error); process.exit(1); });
"""


def packages(*names):
    """The folder of the packages. Skips the test where a package, node or Chromium is missing."""
    home = Path(os.environ.get("PLAYWRIGHT_HOME", "")).resolve() / "node_modules"
    missing = [name for name in names if not (home / name).is_dir()]
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if "PLAYWRIGHT_HOME" not in os.environ or missing or shutil.which("node") is None or chromium is None:
        pytest.skip(f"needs node, Chromium, and PLAYWRIGHT_HOME naming a folder with {', '.join(names)}")
    return home, chromium


def drive(path, script, folder, *, width=1280, scheme="light", needs=()):
    """Run JavaScript with a Playwright `page` that shows a file; what it returns. No error may be on the console."""
    home, chromium = packages("playwright-core", *needs)
    options = [str(home), chromium, FLAGS, str(folder / "profile"), Path(path).as_uri(), width, scheme]
    done = subprocess.run(
        ["node", "-e", DRIVER % script, json.dumps(options)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["problems"] == []
    return answer["result"]
