"""A small drawing kit on Pillow: soft shapes in a square of 100 by 100 units."""

from PIL import Image, ImageChops, ImageDraw, ImageFilter

SIZE = 800
# Drawn larger and reduced at the end, so that edges are smooth.
SCALE = 2


def smooth(points, closed=True, steps=14):
    """A Catmull-Rom curve through the points, as many small straight lines."""
    n = len(points)
    at = (lambda i: points[i % n]) if closed else (lambda i: points[max(0, min(i, n - 1))])
    curve = []
    for i in range(n if closed else n - 1):
        p0, p1, p2, p3 = at(i - 1), at(i), at(i + 1), at(i + 2)
        for step in range(steps):
            t = step / steps
            curve.append(tuple(
                0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
                for a, b, c, d in zip(p0, p1, p2, p3)
            ))
    return curve if closed else [*curve, points[-1]]


def turned(profile, squeeze=1.0, centre=50):
    """The outline of a thing made on a wheel, from its half-widths: [(y, half width), …] from top to bottom."""
    side = smooth([(half * squeeze, y) for y, half in profile], closed=False)
    return [(centre + x, y) for x, y in side] + [(centre - x, y) for x, y in reversed(side)]


class Canvas:
    """A picture under work. Regions are masks: what they cover can be painted, shaded and clipped."""

    def __init__(self, top, bottom):
        self.pixels = SIZE * SCALE
        ramp = Image.linear_gradient("L").resize((self.pixels, self.pixels))
        self.image = Image.composite(self._flat(bottom), self._flat(top), ramp)

    def _flat(self, colour):
        return Image.new("RGB", (self.pixels, self.pixels), colour)

    def _points(self, points):
        unit = self.pixels / 100
        return [(x * unit, y * unit) for x, y in points]

    def region(self, *outlines):
        """The mask of some closed outlines."""
        mask = Image.new("L", (self.pixels, self.pixels))
        draw = ImageDraw.Draw(mask)
        for outline in outlines:
            draw.polygon(self._points(outline), fill=255)
        return mask

    def oval(self, x, y, rx, ry=None):
        """The mask of an ellipse around (x, y)."""
        ry = ry or rx
        mask = Image.new("L", (self.pixels, self.pixels))
        ImageDraw.Draw(mask).ellipse(self._points([(x - rx, y - ry), (x + rx, y + ry)]), fill=255)
        return mask

    def box(self, x0, y0, x1, y1, radius=0.0):
        """The mask of a rectangle, its corners rounded."""
        mask = Image.new("L", (self.pixels, self.pixels))
        corners = self._points([(x0, y0), (x1, y1)])
        ImageDraw.Draw(mask).rounded_rectangle(corners, radius * self.pixels / 100, fill=255)
        return mask

    def stroke(self, points, width, closed=False):
        """The mask of a smooth line through the points."""
        mask = Image.new("L", (self.pixels, self.pixels))
        unit = self.pixels / 100
        draw = ImageDraw.Draw(mask)
        line = self._points(smooth(points, closed))
        draw.line(line + line[:1] * closed, fill=255, width=round(width * unit), joint="curve")
        half = width * unit / 2
        for x, y in (line[0], line[-1]):
            draw.ellipse((x - half, y - half, x + half, y + half), fill=255)
        return mask

    def paint(self, mask, colour, alpha=1.0, within=None):
        """Fills a region, only where it lies `within` another one."""
        area = mask.getbbox()
        if not area:
            return
        mask = mask.crop(area)
        if within is not None:
            mask = ImageChops.multiply(mask, within.crop(area))
        if alpha < 1:
            mask = mask.point([round(value * alpha) for value in range(256)])
        self.image.paste(colour, area, mask)

    def shadow(self, x, y, rx, ry, alpha=0.35):
        """A soft shadow on the table."""
        blurred = self.oval(x, y, rx, ry).resize((200, 200)).filter(ImageFilter.GaussianBlur(5))
        self.paint(blurred.resize((self.pixels, self.pixels)), "#3a2a1c", alpha)

    def round_off(self, mask, profile, centre=50):
        """Light on the left and shade on the right of a turned thing."""
        self.paint(mask, "#14202c", 0.16, within=self._beside(profile, 0.45, centre))
        self.paint(mask, "#14202c", 0.12, within=self._beside(profile, 0.8, centre))
        gleam = ImageChops.subtract(
            self.region(turned(profile, 0.78, centre)), self._beside(profile, -0.55, centre)
        )
        self.paint(gleam, "#ffffff", 0.3, within=mask)

    def _beside(self, profile, part, centre):
        """The part of a turned outline to the right of `part` of its half-width."""
        side = smooth([(half, y) for y, half in profile], closed=False)
        edge = [(centre + x * part, y) for x, y in side]
        return self.region(edge + [(centre + x, y) for x, y in reversed(side)])

    def finish(self):
        return self.image.resize((SIZE, SIZE), Image.Resampling.LANCZOS)
