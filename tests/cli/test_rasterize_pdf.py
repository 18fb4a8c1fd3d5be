# SPDX-License-Identifier: Apache-2.0
"""PDF pages: sizes, text layer, options. pdftotext and pdftoppm, of the same library, are the judges."""
import html
import re

from librasterize import *


def text_of(tensors):
    offsets, text = tensors['words.offsets'], tensors['words.text'].tobytes()
    return [text[a:b].decode() for a, b in zip(offsets, offsets[1:])]


def pdftotext_words(path):
    out = subprocess.run(['pdftotext', '-bbox', '-cropbox', path, '-'], capture_output=True, check=True).stdout.decode()
    pattern = r'<word xMin="([-\d.]+)" yMin="([-\d.]+)" xMax="([-\d.]+)" yMax="([-\d.]+)">(.*?)</word>'
    return [[(tuple(map(float, w[:4])), html.unescape(w[4])) for w in re.findall(pattern, page)]
            for page in out.split('<page ')[1:]]


def close(a, b, tolerance):
    return np.abs(np.asarray(a, float) - np.asarray(b, float)).max() <= tolerance


# The text layer is what pdftotext -bbox says: the same words in the same order, boxes within half a point.
for name in ('report.pdf', 'pages.pdf', 'rotated.pdf', 'owner.pdf'):
    want = pdftotext_words(DATA + name)
    got = records('--dpi=30', DATA + name)
    check(len(got) == len(want), name, 'pages', len(got), len(want))
    for (facts, tensors), words in zip(got, want):
        where = name, 'page', facts['page']
        check(('words.boxes' in tensors) == bool(words), *where, 'has a text layer')
        if words:
            check(text_of(tensors) == [w[1] for w in words], *where, 'words')
            check(close(tensors['words.boxes'], [w[0] for w in words], 0.5), *where, 'boxes')
            check((tensors['words.flags'] < 4).all() and tensors['words.flags'][-1] == 2, *where, 'flags')
            heights = tensors['words.boxes'][:, 3] - tensors['words.boxes'][:, 1]
            check((tensors['words.font_size'] > 0).all() and np.median(tensors['words.font_size'] / heights) > 0.5, *where, 'sizes')
facts, tensors = records('--dpi=30', '--pages=1', DATA + 'pages.pdf')[0]
heading = text_of(tensors)[:4]
check(heading == ['Words', 'in', 'two', 'columns'] and list(tensors['words.flags'][:4]) == [1, 1, 1, 2], heading, 'is a line')
check(abs(tensors['words.font_size'][0] - 22) < 0.1 and abs(tensors['words.font_size'][4] - 10) < 0.1, 'font sizes')
(facts, tensors), = records('--dpi=30', DATA + 'hebrew.pdf')
check(sorted(text_of(tensors)) == sorted(['שלום', 'עולם', 'hello']), 'right to left, in logical order', text_of(tensors))
check('words.boxes' not in records('--no-text-layer', '--dpi=30', '--pages=1', DATA + 'pages.pdf')[0][1], '--no-text-layer')

# Sizes equal pdftoppm's at many resolutions; the drawing is another backend's, so the pixels are near, not equal.
for dpi in (36, 72, 100, 150, 151.5):
    for name in ('report.pdf', 'pages.pdf', 'rotated.pdf'):
        ours, _ = run('--format=ppm', '--dpi', dpi, DATA + name)
        theirs = subprocess.run(['pdftoppm', '-cropbox', '-r', str(dpi), DATA + name], capture_output=True, check=True).stdout
        a, b = [[r[1]['pixels'] for r in records('-', stdin=x)] for x in (ours, theirs)]
        check([p.shape for p in a] == [p.shape for p in b], name, dpi, [p.shape for p in a], [p.shape for p in b])
        for p, q in zip(a, b):
            check(np.abs(p.astype(int) - q).mean() < 10, name, dpi, 'mean difference', np.abs(p.astype(int) - q).mean())

# Facts
got = [r[0] for r in records('--dpi=36', DATA + 'pages.pdf')]
check([f['page_label'] for f in got] == ['i', 'ii', '1', '2'], 'labels')
check([f['page'] for f in got] == list('1234') and {f['pages'] for f in got} == {'4'}, 'numbers')
check([f['page_width_pt'] for f in got] == ['595.276', '841.89', '595.276', '595.276'], 'widths')
check(all(f['dpi'] == '36' and f['pixel_to_point'] == '2 0 0 2 0 0' and f['document'] == DATA + 'pages.pdf' for f in got), got)
check(all(re.fullmatch(r'rasterize=\d+\.\d{4}', f['seconds']) for f in got), 'seconds')
check(all(re.fullmatch(r'dsvl-rasterize [\d.]+ --dpi=36', f['made_by']) for f in got), 'made_by')
facts, tensors = records('--dpi=36', '--pages=3', DATA + 'pages.pdf')[0]
p = tensors['pixels']
check(facts['pixels_hash'] == content_hash(p), 'pixels_hash')
check('words.boxes' not in tensors, 'a page without text')

# Rotation and crop box: red stands in the upper left of the unrotated page.
turned = records('--dpi=72', DATA + 'rotated.pdf')
check([f['rotation'] for f, _ in turned] == ['0', '90', '180', '270'], [f['rotation'] for f, _ in turned])
for k, (facts, tensors) in enumerate(turned):
    check(close(np.rot90(tensors['pixels'], k), turned[0][1]['pixels'], 90), 'rotation', k)
    p = tensors['pixels'].astype(int)
    y, x = np.nonzero((p[..., 0] > 200) & (p[..., 1] < 60))
    corner = (y.mean() < p.shape[0] / 2, x.mean() < p.shape[1] / 2)
    check(corner == [(True, True), (True, False), (False, False), (False, True)][k], 'red corner', k, corner)

# Crop: the same pixels as the part of the whole page, and the words of that part.
facts, whole = records('--dpi=72', '--pages=1', DATA + 'pages.pdf')[0]
cropped_facts, part = records('--dpi=72', '--pages=1', '--crop=50,60,300,200', DATA + 'pages.pdf')[0]
check(part['pixels'].shape == (140, 250, 3) and close(part['pixels'], whole['pixels'][60:200, 50:300], 2), 'crop')
check(cropped_facts['crop_pt'] == '50 60 300 200' and cropped_facts['pixel_to_point'] == '1 0 0 1 50 60', cropped_facts)
middle = (whole['words.boxes'][:, :2] + whole['words.boxes'][:, 2:]) / 2
inside = (middle >= (50, 60)).all(1) & (middle <= (300, 200)).all(1)
check(text_of(part) == [w for w, i in zip(text_of(whole), inside) if i], 'words of a crop')
check(close(part['words.boxes'], whole['words.boxes'][inside], 0), 'boxes of a crop stay page coordinates')
check(part['words.flags'][-1] == 2, 'the last word kept ends its line')
clipped, _ = records('--dpi=72', '--pages=1', '--crop=-50,800,10000,10000', DATA + 'pages.pdf')[0]
check(clipped['crop_pt'] == '0 800 595.276 841.89', 'a crop over the edge', clipped)

# Size in pixels, trimming
for name in ('pages.pdf', 'report.pdf'):
    check({max(t['pixels'].shape) for _, t in records('--scale-to=500', DATA + name)} == {500}, '--scale-to')
doc = pdf(['0 0 1000 1000'])  # a box of 30 x 20 points near the lower left corner
(facts, tensors), = records('--dpi=72', '--trim', '--trim-margin=5', '-', stdin=doc)
check(tensors['pixels'].shape == (30, 40, 3) and facts['crop_pt'] == '5 965 45 995', 'trim', facts)
(facts, tensors), = records('--scale-to=400', '--trim', '--trim-margin=5', '-', stdin=doc)
p = tensors['pixels'].astype(int)
red = (p[..., 0] > 200) & (p[..., 1] < 60)
check(max(p.shape) == 400 and red.sum() > 0.4 * red.size, 'trimming comes before scaling', p.shape, red.mean())
sx, _, _, sy, tx, ty = map(float, facts['pixel_to_point'].split())
y, x = np.nonzero(red)
check(close([sx * x.min() + tx, sy * y.min() + ty, sx * (x.max() + 1) + tx, sy * (y.max() + 1) + ty], [10, 970, 40, 990], 0.3),
      'pixels map to points', facts)
p = pixels('--dpi=40', '--gray', '--pages=3', DATA + 'pages.pdf').astype(int)
check((p[..., 0] == p[..., 1]).all() and (p[..., 1] == p[..., 2]).all() and p.min() < 128, '--gray')

# Choice of pages, in the order asked for
def numbers(pages, status=0):
    return [(r[0]['dsvl.kind'], r[0].get('page')) for r in records('--dpi=18', '--pages', pages, DATA + 'pages.pdf', status=status)]


check(numbers('3,1-2,-1') == [('page', p) for p in '3124'], '--pages')
check(numbers('-2--1,2--1') == [('page', p) for p in '34234'], '--pages from the end')
check(numbers('4-9,1', 1) == [('page', '4'), ('error', '5'), ('page', '1')], 'pages that are not there', numbers('4-9,1', 1))
check(numbers('7,2', 1) == [('error', '7'), ('page', '2')], 'a page that is not there')
check(numbers('-9--4', 1) == [('page', '1'), ('error', None)], 'before the first page')
for bad in ('', '0', '1,', '2-1', '-1--2', '1-2-3', 'x', '1 ,2', '99999999999'):
    _, err = run('--pages', bad, DATA + 'pages.pdf', status=2)
    check('list of pages looks like' in err, bad, err)

# Several documents, lists, standard input, encryption
folder = Folder()
plain = open(DATA + 'rotated.pdf', 'rb').read()
names = [folder.put(n, plain) for n in ('a.pdf', 'with space.tif', 'ünï.pdf')]


def documents(*args, **more):
    return [r[0]['document'] for r in records('--dpi=10', '--pages=1', *args, **more)]


check(documents(*names) == names, 'several files; formats by content')
lines, nulls = '\n'.join(names).encode(), '\0'.join(names).encode() + b'\0'
check(documents('--files-from=-', stdin=lines) == names, 'a list on standard input')
check(documents('-0', stdin=nulls) == names and documents('-0', '--files-from=-', stdin=nulls) == names, 'NULs')
check(documents('--files-from', folder.put('list', lines + b'\n'), names[2]) == [names[2], *names], 'a list in a file')
check(documents(stdin=plain) == ['-'] and documents('-', stdin=plain) == ['-'], 'a document on standard input')
key = folder.put('key', b'open sesame\n')
check(np.array_equal(pixels('--pages=1', '--password-file', key, DATA + 'locked.pdf'), pixels('--pages=1', DATA + 'rotated.pdf')),
      'the right password')
check(len(records(DATA + 'owner.pdf')) == 4, 'an owner password alone locks nothing')
done()
