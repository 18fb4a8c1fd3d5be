# SPDX-License-Identifier: Apache-2.0
"""Documents broken in every way: each leaves an error record that says what is wrong, the other pages and documents go on,
the exit status is 1, and nothing but dsvl-rasterize's own lines reaches standard error."""
import struct
import sys

sys.path.insert(0, 'tests/cli')
from librasterize import *  # noqa: E402

GOOD = open(DATA + 'rotated.pdf', 'rb').read()
folder = Folder()
good = folder.put('good.pdf', GOOD)


def broken(name, data, pattern, *args, kinds=('error',), cause='input'):
    """The document between two good ones; the kinds of its own records and the text of its first error."""
    path = folder.put(name, data)
    out, err = run('--dpi=20', *args, good, path, good, status=1)
    everything = parse(out)
    check(everything.pop()[0]['dsvl.kind'] == 'end', name, 'end record')
    around = [r[0]['dsvl.kind'] for r in everything if r[0]['document'] == good]
    check(len(around) >= 2 and set(around) == {'page'}, name, 'the other documents go on', around)
    own = [r[0] for r in everything if r[0]['document'] == path]
    check(tuple(f['dsvl.kind'] for f in own) == kinds, name, 'kinds', [f['dsvl.kind'] for f in own], err)
    errors = [f for f in own if f['dsvl.kind'] == 'error']
    check(errors and pattern in errors[0]['message'], name, 'message', [f['message'] for f in errors])
    check(all(f['stage'] == 'rasterize' and f['cause'] == cause and f['message'].startswith(path) for f in errors), name, errors)
    lines = err.splitlines()
    check(len(lines) == len(errors) and all(x.startswith('dsvl-rasterize: ' + path) for x in lines), name, 'stderr', err)
    return errors


# PDF
pages = open(DATA + 'pages.pdf', 'rb').read()
broken('empty.pdf', b'', 'is empty')
broken('garbage.pdf', b'no such format\n' * 9, 'is not a PDF, TIFF, JPEG, PNG or PNM file')
broken('mark.pdf', b'%PDF-1.7\n', 'cannot be read as PDF, it is cut short')
for n in (30, 2000, len(pages) // 2, len(pages) - 700):
    broken('cut.pdf', pages[:n], 'cannot be read as PDF, it is cut short')
broken('tail.pdf', GOOD + GOOD[:3000], 'cut short (its end mark is missing): 4 pages could be found', kinds=('page',) * 4 + ('error',))
broken('locked.pdf', open(DATA + 'locked.pdf', 'rb').read(), 'encrypted; give its password with --password-file')
for wrong in (b'wrong', b'', 'Größe'.encode(), b'\xff\xfe'):
    broken('locked.pdf', open(DATA + 'locked.pdf', 'rb').read(), 'password in --password-file does not open', '--password-file',
           folder.put('key', wrong))
broken('nopages.pdf', pdf([]), 'it has no pages')
sizes = pdf(['0 0 100 100', '0 0 100 0', '0 0 100000 100000', '7 7 7 7', '0 0 50 50'])
broken('size.pdf', sizes, 'page 2: the page is 100 x 0 points', '--pages=1,2,4', kinds=('page', 'error', 'error'))
huge = records('--pages=3', folder.put('huge.pdf', sizes), status=1)[0][0]
check(huge['cause'] == 'limit' and '208334 x 208334 pixels at 150 dpi' in huge['message'], huge)
fits = huge['message'].split('--dpi=')[1].split()[0]
check(records('--dpi', fits, '--pages=3', folder.put('huge.pdf', sizes))[0][0]['dsvl.kind'] == 'page', 'the dpi that would fit', fits)
check(pixels('--scale-to=100', '--pages=3', folder.put('huge.pdf', sizes)).shape == (100, 100, 3), 'or --scale-to')
small = records('--max-pixels=1000', '--dpi=72', '--pages=1', folder.put('size.pdf', sizes), status=1)[0][0]
check(small['cause'] == 'limit' and 'more than --max-pixels (1000)' in small['message'], small)
kids = pdf(['0 0 60 60'] * 3).replace(b'/Kids[4 0 R 5 0 R', b'/Kids[4 0 R 9 0 R')
broken('kid.pdf', kids, 'the page cannot be found', kinds=('page', 'page', 'error'))
content = pages.index(b'stream') + 150
broken('content.pdf', pages[:content] + bytes(60) + pages[content + 60:], 'part of the page may be missing', '--pages=1',
       kinds=('page', 'error'))
picture = pages.index(b'/DCTDecode')
picture = pages.index(b'stream', picture) + 9000
broken('picture.pdf', pages[:picture] + b'\xff\xd9' + bytes(6000) + pages[picture + 6002:], 'JPEG', '--pages=4', kinds=('page', 'error'))
check('nothing of the page' in records('--crop=5000,0,6000,10', good, status=1)[0][0]['message'], 'a crop beside the page')

# Pictures: every cut of a small file must be an error, never a half page
image = Image.fromarray(noise(61, 47))
for kind, options in (('PNG', {}), ('JPEG', {}), ('JPEG', {'progressive': True}), ('TIFF', {}), ('TIFF', {'compression': 'tiff_lzw'}),
                      ('TIFF', {'compression': 'jpeg'}), ('TIFF', {'compression': 'tiff_adobe_deflate'}), ('PPM', {})):
    data = saved(image, kind, **options)
    cuts = [folder.put(f'cut{n}', data[:n]) for n in np.linspace(3, len(data) - 40, 25).astype(int)]
    got = [r[0] for r in records(*cuts, status=1)]
    names = {f['document'] for f in got if f['dsvl.kind'] == 'error'}
    check(all(f['dsvl.kind'] == 'error' for f in got) and names == set(cuts), kind, options, 'cut',
          [(f['document'], f['dsvl.kind']) for f in got if f['dsvl.kind'] != 'error'])
jpeg = saved(image, 'JPEG', quality=90)
broken('damaged.jpg', jpeg[:-400] + jpeg[-200:], 'cut short or damaged: Corrupt JPEG data')
check(pixels('-', stdin=jpeg[:-2]).shape == (47, 61, 3), 'a JPEG that lacks its end marker alone is whole')
broken('two.jpg', jpeg[:2] + jpeg, 'cannot be read')
png = saved(image, 'PNG')
broken('flip.png', png[:200] + bytes([png[200] ^ 255]) + png[201:], 'the PNG is damaged')
broken('big.png', png[:16] + struct.pack('>II', 100000, 100000) + png[24:], 'more than the 200000000', cause='limit')
broken('zero.png', png[:16] + struct.pack('>II', 0, 5) + png[24:], 'no pixels')
broken('zero.ppm', b'P6 0 5 255\n', 'no pixels')
broken('huge.ppm', b'P6 2000000000 2000000000 65535\n', 'cut short')
broken('maxval.ppm', b'P6 2 2 70000\n' + bytes(24), 'header is malformed')
broken('tail.ppm', b'P5 2 2 255\nabcdP7 junk', 'are no PNM picture', kinds=('page', 'error'))
broken('float.tif', open(DATA + 'float.tif', 'rb').read(), 'cannot be turned into RGB')


# TIFF directories: entries are tag, type, count, value
def tiff(*directories, next_of_last=0):
    out = b'II*\0' + struct.pack('<I', 8)
    for i, entries in enumerate(directories):
        end = len(out) + 2 + 12 * len(entries) + 4
        out += struct.pack('<H', len(entries)) + b''.join(struct.pack('<HHII', *e) for e in entries)
        out += struct.pack('<I', end if i + 1 < len(directories) else next_of_last)
    return out + bytes(range(100, 200))


def gray_page(width=4, height=4, offset=8, count=16, **tags):
    facts = {256: width, 257: height, 258: 8, 259: 1, 262: 1, 273: offset, 277: 1, 278: height, 279: count}
    facts.update({int(k[1:]): v for k, v in tags.items()})
    return [(tag, 4, 1, value) for tag, value in sorted(facts.items()) if value is not None]


check(pixels('-', stdin=tiff(gray_page())).shape == (4, 4, 3), 'the TIFF that the next ones break')
broken('chain.tif', tiff(gray_page(), gray_page(), next_of_last=99999), "list of pages is broken after page 2",
       kinds=('page', 'page', 'error'))
broken('loop.tif', tiff(gray_page(), gray_page(), next_of_last=8), "list of pages is broken after page 2",
       kinds=('page', 'page', 'error'))
broken('first.tif', tiff(gray_page(t256=None), gray_page()), 'page 1: ', kinds=('error', 'page'))
broken('nowhere.tif', b'II*\0' + struct.pack('<I', 5000), 'has no page that can be found')
broken('strip.tif', tiff(gray_page(offset=90000)), 'cut short or damaged')
broken('wide.tif', tiff(gray_page(width=4000000000)), 'more than the 200000000', cause='limit')
broken('bits.tif', tiff(gray_page(t258=77)), 'page 1: ')
broken('samples.tif', tiff(gray_page(t277=60000)), 'page 1: ')
broken('codec.tif', tiff(gray_page(t259=54321)), 'page 1: ')
broken('tile.tif', tiff(gray_page(t322=1 << 30, t323=1 << 30, t324=8, t325=16)), 'page 1: ')

# Files that are not there
for path, pattern in (('nowhere.pdf', 'cannot open: No such file'), (folder.name, 'is a directory')):
    got = records('--dpi=10', path, good, status=1)
    check(pattern in got[0][0]['message'] and len(got) == 5, path, got[0][0])
out, err = run('--files-from=nowhere', status=4)
check(out == b'' and 'list of files nowhere: cannot open' in err, err)
out, err = run('--password-file=nowhere', good, status=4)
check('password file nowhere: cannot open' in err, err)
_, err = run('--password-file', folder.put('lines', b'a\nb\n'), good, status=4)
check('more than one line' in err, err)

# PPM output has no place for errors: the other pages come, and the exit status says so
out, err = run('--format=ppm', '--dpi=10', '--pages=1,9,2', good, status=1)
check(out.count(b'P6\n') == 2 and 'page 9' in err, err)

# Usage
for args, pattern in ((['--crop=1,2,3', good], '--crop takes'), (['--crop=9,9,1,10', good], '--crop takes'),
                      (['--dpi=0', good], '--dpi takes a number'), (['--dpi=x', good], '--dpi takes'), (['--format=gif', good], '--format takes'),
                      (['--scale-to=0', good], '--scale-to takes'), (['--no-such', good], 'no option'), (['-', '-'], 'more than once'),
                      (['-', '--files-from=-'], 'more than once')):
    out, err = run(*args, status=2)
    check(out == b'' and pattern in err, args, err)

# Output that cannot be written stops at once: disk full, reader gone
with open('/dev/full', 'wb') as full:
    for args in (['--dpi=50'], ['--format=ppm']):
        p = subprocess.run(['dsvl-rasterize', *args, good, good], stdout=full, stderr=subprocess.PIPE)
        check(p.returncode == 5 and b'No space left' in p.stderr, p)
reader = subprocess.Popen(['dsvl-rasterize', DATA + 'pages.pdf', DATA + 'report.pdf'], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
reader.stdout.read(100)
reader.stdout.close()
err = reader.stderr.read()
check(reader.wait() == 5 and b'Broken pipe' in err, 'closed pipe', reader.returncode, err)
done()
