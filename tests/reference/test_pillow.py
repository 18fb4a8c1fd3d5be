#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""dsvl-tile against Pillow on random pictures, and the committed goldens against this Pillow."""
import os
import shutil
import subprocess
import sys
from pathlib import Path

here = Path(__file__).resolve().parent
tile = shutil.which("dsvl-tile")
if not tile:
    sys.exit("dsvl-tile is not on the PATH")
sys.exit(subprocess.run([sys.executable, here / "check_pillow.py", "--goldens", here / "pillow_goldens.jsonl",
                         "--tile", tile, "--count", os.environ.get("DSVL_PILLOW_COUNT", "150")]).returncode)
