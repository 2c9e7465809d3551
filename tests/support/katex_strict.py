"""KaTeX in strict mode: set KATEX_HOME to a folder with node_modules/katex (npm install katex)."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

CHECK = """
const katex = require(process.argv[1]);
const failed = [];
for (const text of JSON.parse(require('fs').readFileSync(0))) {
  try { katex.renderToString(text, {displayMode: true, strict: 'error', throwOnError: true}); }
  catch (error) { failed.push([text, error.message]); }
}
console.log(JSON.stringify(failed));
"""


def refused(strings):
    """The strings KaTeX refuses, with its reasons. Skips the test without node or KaTeX."""
    package = Path(os.environ.get("KATEX_HOME", "")).resolve() / "node_modules" / "katex"
    if "KATEX_HOME" not in os.environ or not package.is_dir() or shutil.which("node") is None:
        pytest.skip("needs node, and KATEX_HOME naming a folder with node_modules/katex")
    done = subprocess.run(
        ["node", "-e", CHECK, str(package)], input=json.dumps(strings), capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)
