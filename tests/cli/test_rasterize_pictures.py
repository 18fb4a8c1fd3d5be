# SPDX-License-Identifier: Apache-2.0
"""Pictures of every format and mode, through dsvl-rasterize and through Pillow: the same pixels."""
from PIL import ImageOps
from librasterize import *


def compare(name, data, want, tolerance=0):
    got = pixels('-', stdin=data)
    want = np.asarray(want)
    if want.ndim == 2:
        want = np.stack([want] * 3, -1)
    if got is None or got.shape != want.shape:
        check(False, name, 'shape', None if got is None else got.shape, want.shape)
        return
    off = np.abs(got.astype(int) - want).max()
    check(off <= tolerance, name, 'differs by up to', off)


def on_white(rgba):
    rgba = np.asarray(rgba).astype(float)
    alpha = rgba[..., 3:] / 255
    return np.rint(rgba[..., :3] * alpha + 255 * (1 - alpha)).astype(int)


rgb = Image.fromarray(noise(61, 47))
gray = Image.fromarray(noise(61, 47, 1))
palette = rgb.quantize(37)
bits = gray.point(lambda v: 255 * (v > 90)).convert('1')
rgba = Image.fromarray(noise(61, 47, 4))
gray_alpha = rgba.convert('LA')
deep = noise(61, 47, 1).astype(np.uint16) * 257 // 3

# PNG
for name, image in (('rgb', rgb), ('gray', gray), ('palette', palette), ('bits', bits)):
    compare('png ' + name, saved(image, 'PNG'), image.convert('RGB'))
compare('png rgba', saved(rgba, 'PNG'), on_white(rgba), 1)
compare('png gray alpha', saved(gray_alpha, 'PNG'), on_white(gray_alpha.convert('RGBA')), 1)
compare('png transparent colour', saved(palette, 'PNG', transparency=3),
        on_white(Image.open(io.BytesIO(saved(palette, 'PNG', transparency=3))).convert('RGBA')), 1)
compare('png 16', saved(Image.fromarray(deep), 'PNG'), deep / 257, 1)

# JPEG: libjpeg-turbo is in Pillow too, but of another version
for name, image, options in (('rgb', rgb, {}), ('gray', gray, {}), ('progressive', rgb, {'progressive': True}),
                             ('444', rgb, {'subsampling': 0}), ('restarts', rgb, {'restart_marker_rows': 1}),
                             ('optimized', rgb, {'optimize': True})):
    data = saved(image, 'JPEG', quality=90, **options)
    compare('jpeg ' + name, data, Image.open(io.BytesIO(data)).convert('RGB'), 1)
data = saved(rgb.convert('CMYK'), 'JPEG', quality=95)
compare('jpeg cmyk', data, Image.open(io.BytesIO(data)).convert('RGB'), 1)
for orientation in range(1, 9):
    exif = Image.Exif()
    exif[0x112] = orientation
    data = saved(rgb, 'JPEG', quality=92, exif=exif, subsampling=0)
    compare(f'jpeg orientation {orientation}', data, ImageOps.exif_transpose(Image.open(io.BytesIO(data))), 1)
    facts = records('-', stdin=data)[0][0]
    check(facts['rotation'] == {3: '180', 4: '180', 5: '270', 6: '90', 7: '90', 8: '270'}.get(orientation, '0'), 'rotation', facts)
    check((facts.get('mirrored') == '1') == (orientation in (2, 4, 5, 7)), 'mirrored', facts)

# TIFF
for name, image, options in (
        ('raw', rgb, {}), ('lzw', rgb, {'compression': 'tiff_lzw'}), ('deflate', rgb, {'compression': 'tiff_adobe_deflate'}),
        ('packbits gray', gray, {'compression': 'packbits'}), ('palette', palette, {}), ('bits', bits, {}),
        ('g4', bits, {'compression': 'group4'}), ('g3', bits, {'compression': 'group3'}),
        ('big', rgb, {'big_tiff': True}), ('strips', rgb, {'compression': 'tiff_lzw', 'strip_size': 61 * 3 * 5})):
    compare('tiff ' + name, saved(image, 'TIFF', **options), image.convert('RGB'))
compare('tiff cmyk', saved(rgb.convert('CMYK'), 'TIFF'), rgb, 1)
compare('tiff rgba', saved(rgba, 'TIFF'), on_white(rgba), 2)
compare('tiff gray 16', saved(Image.fromarray(deep), 'TIFF'), deep / 257, 1)
data = saved(rgb, 'TIFF', compression='jpeg', quality=95)
compare('tiff jpeg', data, Image.open(io.BytesIO(data)).convert('RGB'), 1)
for orientation in range(1, 9):
    data = saved(rgb, 'TIFF', tiffinfo={274: orientation})
    compare(f'tiff orientation {orientation}', data, ImageOps.exif_transpose(rgb) if orientation == 1 else
            ImageOps.exif_transpose(Image.open(io.BytesIO(data))))
y, x = np.mgrid[0:50, 0:70]
tiled = np.stack([x * 930, y * 1300, (x + y) * 540], -1).astype(np.uint16)
compare('tiff tiled 16', open(DATA + 'tiled16.tif', 'rb').read(), tiled / 257, 1)
shades = [r[1]['pixels'][0, 0, 0] for r in records(DATA + 'thumbnails.tif')]
check(shades == [40, 200], 'thumbnails are no pages', shades)
many = [Image.fromarray(noise(20 + k, 10, seed=k)) for k in range(7)]
got = records('-', '--pages=2,-1', stdin=saved(many[0], 'TIFF', save_all=True, append_images=many[1:]))
check([r[0]['page'] for r in got] == ['2', '7'], 'pages of a tiff')
check(all(np.array_equal(r[1]['pixels'], many[k]) for r, k in zip(got, (1, 6))), 'pixels of pages of a tiff')

# PNM, several in one stream
rgb_array, gray_array = np.asarray(rgb), np.asarray(gray)
stream = (b'P6\n# a comment\n61 47\n255\n' + rgb_array.tobytes() + b'P5 61 47 255\n' + gray_array.tobytes() +
          b'P5 61 47 65535\n' + deep.astype('>u2').tobytes() + b'P6 61 47 100\n' + (rgb_array // 3).tobytes() +
          b'\n' + saved(bits, 'PPM'))
got = [r[1]['pixels'] for r in records('-', stdin=stream)]
wants = [rgb_array, gray_array, np.rint(deep / 257), np.rint(rgb_array // 3 * 2.55), np.asarray(bits.convert('L'))]
check(len(got) == 5, 'five pictures', len(got))
for g, w in zip(got, wants):
    w = w if w.ndim == 3 else np.stack([w] * 3, -1)
    check(g.shape == w.shape and np.abs(g.astype(int) - w).max() <= (0 if w.dtype == np.uint8 else 1), 'pnm', g.shape)
out, _ = run('-', '--format=ppm', stdin=stream)
check(out.startswith(b'P6\n61 47\n255\n' + rgb_array.tobytes() + b'P6\n61 47\n255\n'), 'ppm in, ppm out')

# Resolution, size in points, resampling
for kind, options in (('PNG', {'dpi': (300, 300)}), ('JPEG', {'dpi': (300, 300)}), ('TIFF', {'dpi': (300, 300)})):
    facts, = [r[0] for r in records('-', stdin=saved(rgb, kind, **options))]
    check(abs(float(facts['dpi']) - 300) < 0.01 and abs(float(facts['page_width_pt']) - 61 * 0.24) < 0.01, kind, facts)
    check(facts['pixel_to_point'].split()[1:3] == ['0', '0'], kind, facts)
facts, = [r[0] for r in records('-', stdin=saved(rgb, 'PNG'))]
check(facts['dpi'] == '72' and facts['page_width_pt'] == '61', 'no resolution counts as 72', facts)
check(np.array_equal(pixels('-', '--scale-to=122', stdin=saved(rgb, 'PNG')), rgb.resize((122, 94), Image.BICUBIC)), 'enlarged')
check(np.array_equal(pixels('-', '--scale-to=30', stdin=saved(rgb, 'PNG')), rgb.resize((30, 23), Image.BICUBIC)), 'reduced')
fax = saved(rgb, 'TIFF', dpi=(200, 100))
check(pixels('-', '--scale-to=94', stdin=fax).shape == (94, 61, 3), 'fax pixels become square')
check(np.array_equal(pixels('-', '--crop=5,6,25,36', stdin=saved(rgb, 'PNG')), rgb_array[6:36, 5:25]), 'crop')
check(np.array_equal(pixels('-', '--gray', stdin=saved(rgb, 'PNG'))[..., 1], rgb.convert('L')), 'gray')
paper = np.full((100, 120, 3), 240, np.uint8)
paper[40:50, 30:60] = 20
paper[::7, ::5] += 9  # a scan's noise is no ink
facts, tensors = records('-', '--trim', '--trim-margin=4', stdin=saved(Image.fromarray(paper), 'PNG'))[0]
check(np.array_equal(tensors['pixels'], paper[36:54, 26:64]) and facts['crop_pt'] == '26 36 64 54', 'trim', facts)
blank = np.full((30, 40, 3), 250, np.uint8)
check(pixels('-', '--trim', stdin=saved(Image.fromarray(blank), 'PNG')).shape == (30, 40, 3), 'a blank page stays')
done()
