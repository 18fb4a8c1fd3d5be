# SPDX-License-Identifier: Apache-2.0
"""Run dsvl-rasterize in tests; small documents made on the spot."""
import io
import os
import subprocess
import sys
import tempfile

import numpy as np
from PIL import Image

sys.path.insert(0, os.path.dirname(__file__))
from librecords import content_hash, parse  # noqa: E402

DATA = 'tests/data/'
failures = []


def check(condition, *what):
    if not condition:
        failures.append(what)
        print('failed:', *what)


def done():
    sys.exit(1 if failures else 0)


def run(*args, stdin=b'', status=0, **more):
    """Standard output, standard error; the exit status is checked."""
    p = subprocess.run(['dsvl-rasterize', *map(str, args)], input=stdin, capture_output=True, timeout=300, **more)
    check(status is None or p.returncode == status, args, 'exit status', p.returncode, 'not', status, p.stderr.decode())
    return p.stdout, p.stderr.decode()


def records(*args, **more):
    """The records but the last one, which must be the end record and count them."""
    out, _ = run(*args, **more)
    all_records = parse(out)
    end = all_records.pop()[0] if all_records else {}
    check(end.get('dsvl.kind') == 'end' and int(end['records']) == len(all_records), args, 'end record', end)
    return all_records


def pixels(*args, **more):
    """The pixels of a document with one page."""
    (facts, tensors), = records(*args, **more)
    check(facts['dsvl.kind'] == 'page', args, facts)
    return tensors.get('pixels')


def saved(image, kind, **options):
    data = io.BytesIO()
    image.save(data, kind, **options)
    return data.getvalue()


def noise(width, height, channels=3, seed=1):
    """A picture with gradients and noise, so that a shift or a wrong channel shows."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    a = np.stack([(x * (3 + k) + y * (5 - k)) % 256 for k in range(channels)], -1)
    a = (a + rng.integers(0, 40, a.shape)).clip(0, 255).astype(np.uint8)
    return a[:, :, 0] if channels == 1 else a


def pdf(boxes, content=b'1 0 0 rg 10 10 30 20 re f'):
    """A PDF with a page of each MediaBox ("0 0 100 50"), all showing the same content."""
    out, offsets = b'%PDF-1.4\n', []
    kids = b' '.join(b'%d 0 R' % (4 + i) for i in range(len(boxes)))
    objects = [b'<</Type/Catalog/Pages 2 0 R>>', b'<</Type/Pages/Count %d/Kids[%s]>>' % (len(boxes), kids),
               b'<</Length %d>>\nstream\n%s\nendstream' % (len(content), content)]
    objects += [b'<</Type/Page/Parent 2 0 R/MediaBox[%s]/Contents 3 0 R>>' % b.encode() for b in boxes]
    for i, o in enumerate(objects):
        offsets.append(len(out))
        out += b'%d 0 obj\n%s\nendobj\n' % (i + 1, o)
    table = b''.join(b'%010d 00000 n \n' % o for o in offsets)
    return out + (b'xref\n0 %d\n0000000000 65535 f \n%strailer<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n'
                  % (len(objects) + 1, table, len(objects) + 1, len(out)))


class Folder(tempfile.TemporaryDirectory):
    """A temporary folder; put(name, bytes) gives the path."""

    def put(self, name, data):
        path = os.path.join(self.name, name)
        with open(path, 'wb') as f:
            f.write(data)
        return path


__all__ = ['content_hash', 'DATA', 'Folder', 'Image', 'check', 'done', 'io', 'noise', 'np', 'os', 'parse', 'pdf', 'pixels', 'records', 'run',
           'saved', 'subprocess']
