# SPDX-License-Identifier: Apache-2.0
"""Hostile documents: each costs an error record with its cause, what was finished before it is kept, what follows comes."""
import glob
import os
import re
import signal
import struct
import subprocess
import sys
import time
import zlib

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'cli'))
from librasterize import DATA, Folder, check, done, np, parse, records, run  # noqa: E402

folder = Folder()
GOOD = DATA + 'rotated.pdf'
FOUR = ['--dpi=10', '--pages=1']


def objects(*bodies):
    """A PDF of these objects, numbered from 1; the first is the catalogue."""
    parts, offsets, at = [b'%PDF-1.7\n'], [], 9
    for i, body in enumerate(bodies):
        offsets.append(at)
        parts.append(b'%d 0 obj\n%s\nendobj\n' % (i + 1, body))
        at += len(parts[-1])
    parts += [b'%010d 00000 n \n' % o for o in offsets]
    parts.insert(1 + len(bodies), b'xref\n0 %d\n0000000000 65535 f \n' % (len(bodies) + 1))
    return b''.join(parts) + b'trailer<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n' % (len(bodies) + 1, at)


def stream(data, more=b''):
    packed = zlib.compress(data, 9)
    return b'<</Length %d/Filter/FlateDecode%s>>\nstream\n%s\nendstream' % (len(packed), more, packed)


def document(content, resources=b'', *more):
    """A document of one page; more: objects from number 5 on. content: an object."""
    return objects(b'<</Type/Catalog/Pages 2 0 R>>', b'<</Type/Pages/Count 1/Kids[3 0 R]>>',
                   b'<</Type/Page/Parent 2 0 R/MediaBox[0 0 100 100]/Contents 4 0 R/Resources<<%s>>>>' % resources, content, *more)


def form(content, resources):
    return stream(content, b'/Type/XObject/Subtype/Form/BBox[0 0 100 100]/Resources<<%s>>' % resources)


def endless(depth=12, pages=(3,)):
    """Forms that draw the next one ten times: no nesting is too deep, and it never ends. Page 3 of five is that page."""
    count = 5
    first = 3 + count
    kids = b' '.join(b'%d 0 R' % (3 + i) for i in range(count))
    forms = [form(b'/X Do ' * 10, b'/XObject<</X %d 0 R>>' % (first + 3 + i)) for i in range(depth)]
    forms.append(form(b'0 0 1 1 re f', b''))
    page = b'<</Type/Page/Parent 2 0 R/MediaBox[0 0 100 100]/Contents %d 0 R/Resources<</XObject<</X %d 0 R>>>>>>'
    return objects(b'<</Type/Catalog/Pages 2 0 R>>', b'<</Type/Pages/Count %d/Kids[%s]>>' % (count, kids),
                   *(page % (first + (i + 1 in pages), first + 2) for i in range(count)),
                   stream(b'10 10 20 20 re f'), stream(b'/X Do'), *forms)


def hostile(name, data, *options, pattern=None, cause=None, kinds=None, page=None):
    """The document, and one after it, which must come whatever the first one does. Returns the records of the first."""
    path = folder.put(name, data)
    out, err = run(*options, *FOUR[:1], path, GOOD, status=None)
    got = parse(out)
    check(got and got[-1][0]['dsvl.kind'] == 'end', name, 'no end record', err)
    mine = [r[0] for r in got[:-1] if r[0]['document'] == path]
    check([r[0]['dsvl.kind'] for r in got[:-1] if r[0]['document'] == GOOD] == ['page'] * 4, name, 'the next document', err)
    check(mine, name, 'left no record')
    if kinds:
        check([f['dsvl.kind'] for f in mine] == list(kinds), name, [f['dsvl.kind'] for f in mine], err)
    errors = [f for f in mine if f['dsvl.kind'] == 'error']
    if pattern:
        check(errors and re.search(pattern, errors[0]['message']) and errors[0]['message'] in err, name, errors, err)
        check(errors and errors[0].get('page') == page, name, errors)
    if cause:
        check(errors and errors[0]['cause'] == cause, name, errors)
    return mine


def test_bombs():
    fast = '--max-page-seconds=0.5'
    hostile('endless.pdf', endless(), fast, pattern='more than 0.5 s of processor time', cause='limit', page='3',
            kinds=['page', 'page', 'error', 'page', 'page'])
    hostile('endless-two.pdf', endless(pages=(1, 5)), fast, pattern='more than 0.5 s', page='1',
            kinds=['error', 'page', 'page', 'page', 'error'])
    hostile('endless-document.pdf', endless(), '--max-document-seconds=0.4', pattern='limit of a document', cause='limit', page='3',
            kinds=['page', 'page', 'error'])
    # an image of 40,000 x 40,000 bits a channel out of a few kilobytes
    image = stream(bytes(10 ** 6), b'/Type/XObject/Subtype/Image/Width 40000/Height 40000/BitsPerComponent 8/ColorSpace/DeviceRGB')
    hostile('image.pdf', document(stream(b'100 0 0 100 0 0 cm /I Do'), b'/XObject<</I 5 0 R>>', image), '--max-memory=300M', fast)
    # a content stream of 300 MB out of 300 kB: every operator of it is one push of the state
    hostile('flate.pdf', document(stream(b'q ' * (5 * 10 ** 7))), '--max-memory=200M', fast, cause=None)
    hostile('nested.pdf', document(stream(b'[' * 10 ** 6 + b']' * 10 ** 6)), fast)
    hostile('nested-object.pdf', objects(b'<</Type/Catalog/Pages 2 0 R/X ' + b'[' * 10 ** 6 + b']' * 10 ** 6 + b'>>',
                                         b'<</Type/Pages/Count 0/Kids[]>>'), fast)
    page = b'<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]>>'
    many = objects(b'<</Type/Catalog/Pages 2 0 R>>', b'<</Type/Pages/Count 100000/Kids[%s]>>' % (b'3 0 R ' * 100000), page,
                   *[b'null'] * 100000)
    hostile('many.pdf', many, '--max-pages=20', pattern='only the first 20 pages were taken', cause='limit',
            kinds=['page'] * 20 + ['error'])
    hostile('many-some.pdf', many, '--max-pages=20', '--pages=1-4', kinds=['page'] * 4)
    hostile('cycle.pdf', objects(b'<</Type/Catalog/Pages 2 0 R>>', b'<</Type/Pages/Count 9/Kids[2 0 R 2 0 R]/Parent 2 0 R>>'), fast)


def test_recursion():
    fast = '--max-page-seconds=0.5'
    hostile('form.pdf', document(stream(b'/X Do'), b'/XObject<</X 5 0 R>>', form(b'/X Do /X Do', b'/XObject<</X 5 0 R>>')), fast)
    pattern = stream(b'/Pattern cs /P scn 0 0 9 9 re f', b'/PatternType 1/PaintType 1/TilingType 1/BBox[0 0 1 1]/XStep 1/YStep 1'
                     b'/Resources<</Pattern<</P 5 0 R>>>>')
    hostile('pattern.pdf', document(stream(b'/Pattern cs /P scn 0 0 99 99 re f'), b'/Pattern<</P 5 0 R>>', pattern), fast)
    font = (b'<</Type/Font/Subtype/Type3/FontBBox[0 0 1 1]/FontMatrix[1 0 0 1 0 0]/CharProcs<</a 6 0 R>>/FirstChar 97/LastChar 97'
            b'/Widths[1]/Encoding<</Differences[97/a]>>/Resources<</Font<</F 5 0 R>>>>>>')
    hostile('type3.pdf', document(stream(b'BT /F 9 Tf (aaaa) Tj ET'), b'/Font<</F 5 0 R>>', font,
                                  stream(b'1 0 d0 BT /F 1 Tf (aaaaaaaaaa) Tj ET')), fast)


def chunk(kind, data):
    return struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))


def test_pictures():
    side = 25000
    row = bytes(1 + side // 8)
    png = (b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', struct.pack('>IIBBBBB', side, side, 1, 0, 0, 0, 0)) +
           chunk(b'IDAT', zlib.compress(row * side, 9)) + chunk(b'IEND', b''))
    hostile('bomb.png', png, pattern='more than the 200000000', cause='limit', kinds=['error'], page='1')
    hostile('bomb-allowed.png', png, '--max-pixels=1G', '--max-memory=300M', pattern='memory', kinds=['error'], page='1')
    facts = {256: side, 257: side, 258: 1, 259: 32946, 262: 0, 273: 8, 277: 1, 278: side, 279: 0}
    data = zlib.compress(bytes(side // 8 * 100), 9)
    facts[279] = len(data)
    tiff = b'II*\0' + struct.pack('<I', 8 + len(data)) + data + struct.pack('<H', len(facts))
    tiff += b''.join(struct.pack('<HHII', k, 4, 1, v) for k, v in facts.items()) + struct.pack('<I', 0)
    hostile('bomb.tif', tiff, '--max-pixels=1G', '--max-memory=100M', kinds=['error'])
    jpeg = open(DATA + 'turned.jpg', 'rb').read()
    at = jpeg.index(b'\xff\xc0')
    hostile('bomb.jpg', jpeg[:at + 5] + struct.pack('>HH', 65000, 65000) + jpeg[at + 9:], pattern='more than the 200000000',
            kinds=['error'], page='1')


def children(pid):
    return [int(p) for t in glob.glob(f'/proc/{pid}/task/*/children') for p in open(t).read().split()]


def start(path, *options):
    """The program at work on an endless page, and the process that draws it."""
    p = subprocess.Popen(['dsvl-rasterize', '--dpi=10', *options, path, GOOD], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    for _ in range(1000):
        busy = [c for launcher in children(p.pid) for c in children(launcher)
                if sum(map(int, open(f'/proc/{c}/stat').read().rsplit(')', 1)[1].split()[11:13])) >= 8]
        if busy:
            return p, busy[0]
        time.sleep(0.01)
    p.kill()
    raise SystemExit('no process draws the page')


def test_killed():
    """A crash, as the kernel reports one: the page is an error, those before and after it come."""
    path = folder.put('endless-killed.pdf', endless())
    for number, name in ((signal.SIGSEGV, 'SIGSEGV'), (signal.SIGABRT, 'SIGABRT'), (signal.SIGBUS, 'SIGBUS'), (signal.SIGKILL, 'SIGKILL')):
        p, worker = start(path)
        os.kill(worker, number)
        out, err = p.communicate(timeout=60)
        got = [f for f, _ in parse(out)]
        check([f['dsvl.kind'] for f in got] == ['page', 'page', 'error', 'page', 'page'] + ['page'] * 4 + ['end'], name, got, err)
        check(p.returncode == 1 and got[2]['page'] == '3' and name in got[2]['message'], name, got[2])
    p, worker = start(path)
    launcher = children(p.pid)[0]
    p.kill()  # nothing stays behind
    p.communicate()
    for _ in range(200):
        if not os.path.exists(f'/proc/{launcher}') and not os.path.exists(f'/proc/{worker}'):
            break
        time.sleep(0.01)
    left = [open(f'/proc/{i}/stat').read().split()[2] for i in (launcher, worker) if os.path.exists(f'/proc/{i}')]
    check(all(state == 'Z' for state in left), 'left behind', left)


def same(a, b):
    for facts, _ in a + b:
        facts.pop('seconds', None)
    return len(a) == len(b) and all(f == g and list(f) == list(g) and list(t) == list(u) and all(np.array_equal(t[k], u[k]) for k in t)
                                    for (f, t), (g, u) in zip(a, b))


def test_same_as_without():
    """In the jail and out of it the records are the same, and in the same order, whatever the documents are."""
    paths = sorted(glob.glob(DATA + '*.pdf') + glob.glob(DATA + '*.tif') + glob.glob(DATA + '*.png') + glob.glob(DATA + '*.jpg'))
    plain = objects(b'<</Type/Catalog/Pages 2 0 R>>', b'<</Type/Pages/Count 1/Kids[3 0 R]>>',
                    b'<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 100]/Contents 4 0 R/Resources<</Font<</F<</Type/Font/Subtype/Type1'
                    b'/BaseFont/Helvetica>>>>>>>>', stream(b'BT /F 30 Tf 9 40 Td (Not embedded) Tj ET'))
    paths.insert(3, folder.put('plain.pdf', plain))  # the first that reads fonts; others precede and follow it
    for options in (['--dpi=40'], ['--trim', '--scale-to=300'], ['--gray', '--crop=0,0,200,200', '--pages=1,9'], ['--dpi=30', '--trim']):
        jailed, bare = (run(*options, *more, *paths, status=1)[0] for more in ([], ['--no-jail']))
        check(same(parse(jailed), parse(bare)), 'jail changes the records', options)
    ink = [t['pixels'].min() for f, t in parse(jailed) if f.get('document', '').endswith('plain.pdf')]
    check(ink == [0], 'no font was found in the jail', ink)
    data = open(DATA + 'report.pdf', 'rb').read()
    check(same(records('--dpi=20', '-', stdin=data), records('--dpi=20', '--no-jail', '-', stdin=data)), 'standard input')
    with subprocess.Popen(['cat', DATA + 'report.pdf'], stdout=subprocess.PIPE) as cat:
        got = records('--dpi=20', f'/dev/fd/{cat.stdout.fileno()}', pass_fds=[cat.stdout.fileno()])
    check(len(got) == 2, 'a pipe with a name', got)


def test_words():
    _, err = run(*FOUR, '--no-jail', GOOD)
    check('--no-jail' in err, err)
    _, err = run(*FOUR, '--no-jail', '-q', GOOD)
    check(err == '', err)
    for option in ('--max-pages=0', '--max-page-seconds=0', '--max-document-seconds=x', '--max-memory=x'):
        run(option, GOOD, status=2)


test_bombs()
test_recursion()
test_pictures()
test_killed()
test_same_as_without()
test_words()
done()
