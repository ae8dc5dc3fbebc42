"""One function a product: each returns a finished picture."""

from math import cos, pi, sin

from products.pictures.canvas import Canvas, smooth, turned

COBALT, RED, GOLD, WHITE, WOOD = "#234f8d", "#b5342b", "#d5a347", "#f7f3ea", "#7a4f35"


def petal(x, y, length, width, angle):
    """A pointed petal that starts at (x, y); angle 0 points up."""
    along, across = (sin(angle), -cos(angle)), (cos(angle), sin(angle))
    outline = [(0, 0), (0.35, 0.8), (0.7, 0.75), (1, 0), (0.7, -0.75), (0.35, -0.8)]
    return smooth([
        (x + along[0] * far * length + across[0] * wide * width, y + along[1] * far * length + across[1] * wide * width)
        for far, wide in outline
    ])


def lotus(canvas, x, y, size, colours=("#e8a0a6", "#f4c7c8"), within=None):
    """A lotus flower that stands on (x, y)."""
    for angle in (-1.15, 1.15, -0.75, 0.75):
        canvas.paint(canvas.region(petal(x, y, size * 0.95, size * 0.24, angle)), colours[0], within=within)
    for angle in (-0.38, 0.38, 0):
        canvas.paint(canvas.region(petal(x, y, size, size * 0.26, angle)), colours[1], within=within)
        canvas.paint(canvas.stroke([(x, y), (x + sin(angle) * size * 0.8, y - cos(angle) * size * 0.8)], size * 0.02), colours[0], 0.7, within)


def spray(canvas, x, y, size, colour, within=None):
    """A painted twig with leaves, as on blue-and-white ware."""
    canvas.paint(canvas.stroke([(x - size, y + size * 0.4), (x - size * 0.2, y), (x + size, y - size * 0.6)], size * 0.07), colour, within=within)
    for along, angle in ((-0.8, -0.6), (-0.45, 2.3), (-0.1, -0.3), (0.25, 2.0), (0.6, 0.2), (0.95, 1.0)):
        foot = (x + along * size, y - along * size * 0.5)
        canvas.paint(canvas.region(petal(*foot, size * 0.5, size * 0.13, angle)), colour, within=within)


def vase():
    canvas = Canvas("#dfe7ea", "#c3d0d4")
    profile = [(16, 9), (19, 8), (27, 7), (36, 13), (50, 23), (64, 22), (78, 14), (85, 12), (87, 12.5)]
    canvas.shadow(54, 87, 27, 5)
    body = canvas.region(turned(profile))
    canvas.paint(body, WHITE)
    for y in (24, 29, 80):
        canvas.paint(canvas.box(0, y, 100, y + 1.2), COBALT, within=body)
    lotus(canvas, 50, 64, 19, (COBALT, "#5f86bd"), within=body)
    spray(canvas, 36, 70, 8, COBALT, within=body)
    spray(canvas, 64, 66, 8, COBALT, within=body)
    for x in range(24, 80, 5):
        canvas.paint(canvas.region(petal(x, 38.5, 5, 1.7, pi)), COBALT, 0.85, within=body)
    canvas.round_off(body, profile)
    canvas.paint(canvas.oval(50, 16.3, 9, 2.2), "#e5dfd0")
    canvas.paint(canvas.oval(50, 16.7, 7.6, 1.6), "#3c4650")
    return canvas.finish()


def teapot():
    canvas = Canvas("#f0e3cd", "#e2cba7")
    profile = [(42, 11), (48, 20), (58, 26), (68, 24), (76, 16), (79, 14)]
    canvas.shadow(52, 80, 33, 5)
    canvas.paint(canvas.stroke([(30, 44), (22, 22), (50, 13), (78, 22), (70, 44)], 2.6), WOOD)
    canvas.paint(canvas.region(smooth([(70, 66), (80, 58), (84, 44), (91, 40), (92, 43), (88, 49), (85, 62), (72, 74)])), "#3f7f77")
    body = canvas.region(turned(profile))
    canvas.paint(body, "#4b8f86")
    spray(canvas, 47, 62, 13, "#2a5f59", within=body)
    canvas.round_off(body, profile)
    lid = [(34, 2), (36, 4), (38, 9), (43, 13)]
    top = canvas.region(turned(lid))
    canvas.paint(top, "#3f7f77")
    canvas.round_off(top, lid)
    canvas.paint(canvas.oval(50, 34, 3.2, 3), GOLD)
    return canvas.finish()


def bowl():
    canvas = Canvas("#e9dcc6", "#d8c3a0")
    profile = [(44, 33), (54, 31), (66, 23), (74, 13), (77, 11), (80, 11.5)]
    canvas.shadow(54, 81, 32, 5)
    body = canvas.region(turned(profile))
    canvas.paint(body, WHITE)
    for x in range(10, 95, 8):
        canvas.paint(canvas.region(petal(x, 66, 14, 3.6, 0)), COBALT, 0.9, within=body)
        canvas.paint(canvas.region(petal(x, 65, 10, 2.2, 0)), "#8fb0d8", within=body)
    canvas.paint(canvas.box(0, 70, 100, 71.4), COBALT, within=body)
    canvas.round_off(body, profile)
    canvas.paint(canvas.oval(50, 44, 33, 8), "#ece4d2")
    canvas.paint(canvas.oval(50, 45, 30.5, 6.7), "#d9cdb4")
    inside = canvas.oval(50, 45, 30.5, 6.7)
    canvas.paint(canvas.oval(50, 49, 24, 5), "#a7bf6b", within=inside)
    for x, y, size in ((43, 49, 6), (55, 50, 7), (49, 47, 6)):
        lotus(canvas, x, y, size)
    return canvas.finish()


def coffee():
    canvas = Canvas("#efe0cc", "#d9bd98")
    canvas.shadow(54, 86, 29, 5)
    bag = canvas.region(smooth([(29, 22), (50, 21), (71, 22), (72, 50), (74, 84), (50, 87), (26, 84), (28, 50)]))
    canvas.paint(bag, "#4a2f22")
    canvas.paint(canvas.box(60, 0, 80, 100), "#000000", 0.16, within=bag)
    canvas.paint(canvas.box(0, 0, 32, 100), "#ffffff", 0.08, within=bag)
    canvas.paint(canvas.box(28, 17, 72, 27, 1.5), "#38231a")
    for x in range(30, 72, 3):
        canvas.paint(canvas.box(x, 18, x + 0.6, 26), "#5e3e2d")
    canvas.paint(canvas.box(35, 37, 65, 74, 2), "#f3e6cf")
    for x, y, turn in ((46, 50, -0.5), (55, 56, 0.5), (47, 63, 0.1)):
        canvas.paint(canvas.region(petal(x - sin(turn) * 6, y + cos(turn) * 6, 12, 4.6, turn)), "#7a4526")
        canvas.paint(canvas.stroke([(x - sin(turn) * 4.6, y + cos(turn) * 4.6), (x + 0.9, y), (x + sin(turn) * 4.6, y - cos(turn) * 4.6)], 0.8), "#3a1f11")
    canvas.paint(canvas.box(35, 37, 65, 41, 2), RED)
    for x, y in ((22, 84), (79, 87), (84, 82), (17, 88)):
        canvas.paint(canvas.oval(x, y, 3.4, 2.4), "#5e3620")
        canvas.paint(canvas.stroke([(x - 2.6, y), (x, y + 0.5), (x + 2.6, y)], 0.5), "#2d170c")
    return canvas.finish()


def tea():
    canvas = Canvas("#e3ead9", "#c6d4b4")
    profile = [(34, 20), (36, 21), (60, 21), (82, 21), (84, 20.5)]
    canvas.shadow(54, 85, 28, 5)
    body = canvas.region(turned(profile))
    canvas.paint(body, "#2f6a50")
    canvas.paint(canvas.oval(50, 60, 15.5), "#f4ead2")
    lotus(canvas, 50, 68, 17)
    canvas.paint(canvas.oval(50, 69, 9, 1.6), "#5d9a63")
    for y in (38, 80):
        canvas.paint(canvas.box(0, y, 100, y + 1), GOLD, within=body)
    canvas.round_off(body, profile)
    lid = [(22, 19), (24, 22), (33, 22.3), (35, 22)]
    top = canvas.region(turned(lid))
    canvas.paint(top, "#26573f")
    canvas.round_off(top, lid)
    canvas.paint(canvas.oval(50, 22, 19.6, 2.8), "#387a5c")
    for x, y, turn in ((20, 86, 1.1), (80, 88, -0.9), (75, 91, 1.6), (27, 90, 0.4)):
        canvas.paint(canvas.region(petal(x, y, 6, 1.6, turn)), "#4c7d3c")
    return canvas.finish()


def honey():
    canvas = Canvas("#f7ead0", "#edd39b")
    profile = [(30, 15), (34, 16), (40, 22), (60, 24), (78, 23), (84, 19), (86, 18)]
    canvas.shadow(54, 86, 29, 5)
    jar = canvas.region(turned(profile))
    canvas.paint(jar, "#f6e3b4")
    canvas.paint(canvas.box(0, 42, 100, 100), "#e09a1f", within=canvas.region(turned(profile, 0.93)))
    canvas.paint(canvas.oval(50, 42, 20.6, 2.6), "#f0b94a")
    canvas.paint(canvas.box(33, 51, 67, 76, 2.5), "#fdf6e6")
    for x, y in ((45, 58), (55, 58), (40, 66.5), (50, 66.5), (60, 66.5)):
        cell = [(x + 4.6 * sin(k * pi / 3), y + 4.6 * cos(k * pi / 3)) for k in range(6)]
        canvas.paint(canvas.region(cell), "#e7b045")
        canvas.paint(canvas.region([(x + (px - x) * 0.72, y + (py - y) * 0.72) for px, py in cell]), "#f6d68b")
    canvas.round_off(jar, profile)
    cloth = canvas.region(smooth([(31, 34), (34, 20), (50, 16), (66, 20), (69, 34), (62, 32), (56, 35), (50, 32), (44, 35), (38, 32)]))
    canvas.paint(cloth, RED)
    for x in range(30, 72, 6):
        canvas.paint(canvas.box(x, 0, x + 1.4, 40), "#ffffff", 0.35, within=cloth)
    for y in (19, 24, 29):
        canvas.paint(canvas.box(0, y, 100, y + 1.2), "#ffffff", 0.35, within=cloth)
    canvas.paint(canvas.box(33.5, 28, 66.5, 29.8, 0.9), GOLD)
    return canvas.finish()


def hat():
    canvas = Canvas("#e2ecec", "#bfd3d4")
    canvas.shadow(52, 76, 42, 6)
    cone = canvas.region(smooth([(50, 22), (62, 38), (92, 68), (86, 73), (50, 78), (14, 73), (8, 68), (38, 38)]))
    canvas.paint(cone, "#ecd9ac")
    for k in range(1, 12):
        y, half = 22 + k * 4.55, k * 3.75
        arc = [(50 - half - 1, y - 1.2), (50, y + 1.6 + k * 0.32), (50 + half + 1, y - 1.2)]
        canvas.paint(canvas.stroke(arc, 0.5), "#b99a5f", within=cone)
    for k in range(-9, 10):
        canvas.paint(canvas.stroke([(50, 22), (50 + k * 2.1, 48), (50 + k * 5, 80)], 0.28), "#c9ad76", 0.8, within=cone)
    canvas.paint(canvas.region([(56, 20), (50, 24), (66, 80), (100, 80), (100, 60)]), "#5a4420", 0.17, within=cone)
    canvas.paint(canvas.region([(49, 20), (42, 80), (24, 80)]), "#ffffff", 0.22, within=cone)
    canvas.paint(canvas.stroke([(24, 72), (28, 88), (50, 93), (72, 88), (76, 72)], 1.5), "#b5486f")
    canvas.paint(canvas.oval(50, 23, 2.4, 1.8), "#c9ad76")
    return canvas.finish()


def scarf():
    canvas = Canvas("#f1e6dc", "#dccabb")
    canvas.shadow(52, 84, 36, 5)
    back = canvas.region(smooth([(24, 20), (40, 15), (62, 17), (77, 22), (76, 40), (62, 52), (50, 55), (36, 50), (25, 40)]))
    canvas.paint(back, "#8e2f4f")
    hole = canvas.region(smooth([(34, 24), (50, 21), (67, 25), (62, 37), (50, 42), (38, 37)]))
    canvas.paint(hole, "#6b1f3a")
    for left in (True, False):
        turn = (lambda points: points) if left else (lambda points: [(100 - x, y) for x, y in points])
        end = canvas.region(smooth(turn([(42, 44), (54, 46), (52, 62), (47, 84), (28, 86), (33, 66)])))
        canvas.paint(end, "#c2547a" if left else "#a93c63")
        for shift in (0, 5, 10):
            canvas.paint(canvas.stroke(turn([(46 + shift * 0.5, 48), (41 + shift, 66), (34 + shift, 86)]), 0.7), "#f3c6d3", 0.6, within=end)
        canvas.paint(canvas.box(0, 79, 100, 81), GOLD, within=end)
    front = canvas.region(smooth([(23, 24), (31, 40), (50, 48), (70, 40), (78, 24), (82, 42), (68, 58), (50, 63), (31, 57), (18, 42)]))
    canvas.paint(front, "#b7466d")
    for drop in (0, 4, 8):
        canvas.paint(canvas.stroke([(20, 34 + drop), (34, 46 + drop), (50, 51 + drop), (67, 46 + drop), (80, 34 + drop)], 0.8), "#f0bccb", 0.55, within=front)
    lotus(canvas, 42, 60, 7, ("#f3c6d3", "#fbe6ec"), within=front)
    lotus(canvas, 62, 58, 6, ("#f3c6d3", "#fbe6ec"), within=front)
    return canvas.finish()


def lantern():
    canvas = Canvas("#3b2f4a", "#6d4354")
    for x, y, size in ((15, 20, 9), (86, 28, 11), (12, 70, 6), (90, 74, 7)):
        canvas.paint(canvas.oval(x, y, size), "#f2b45c", 0.16)
        canvas.paint(canvas.oval(x, y, size * 0.55), "#f7cf86", 0.28)
    for glow, alpha in ((46, 0.10), (39, 0.12), (34, 0.14)):
        canvas.paint(canvas.oval(50, 47, glow), "#f6a94e", alpha)
    canvas.paint(canvas.stroke([(50, 0), (50, 18)], 0.8), GOLD)
    profile = [(22, 9), (28, 19), (38, 26), (48, 28), (58, 26), (67, 19), (72, 9)]
    body = canvas.region(turned(profile))
    canvas.paint(body, "#d8402f")
    canvas.paint(canvas.oval(50, 48, 22, 22), "#f0783c", 0.55, within=body)
    canvas.paint(canvas.oval(50, 49, 13, 15), "#fbc765", 0.6, within=body)
    for squeeze in (-0.78, -0.5, -0.22, 0.0, 0.22, 0.5, 0.78):
        canvas.paint(canvas.stroke([(50 + half * squeeze, y) for y, half in profile], 0.6), "#8f1f1b", 0.8, within=body)
    for y in (18, 72):
        canvas.paint(canvas.box(40, y, 60, y + 5, 1.2), GOLD)
        canvas.paint(canvas.box(40, y + 3, 60, y + 4, 0.4), "#8f6a22")
    for x in range(44, 58, 2):
        canvas.paint(canvas.stroke([(x, 77), (x + 0.4, 86), (x - 0.2, 95)], 0.9), RED)
    canvas.paint(canvas.oval(50, 79, 3, 2), GOLD)
    return canvas.finish()


def print_of_hen():
    canvas = Canvas("#e6e0d4", "#d2c8b5")
    canvas.shadow(53, 91, 40, 3)
    canvas.paint(canvas.box(14, 8, 86, 90, 1), WOOD)
    canvas.paint(canvas.box(16, 10, 84, 88), "#5d3a26")
    paper = canvas.box(18, 12, 82, 86)
    canvas.paint(paper, "#f3dfae")
    hen = canvas.region(smooth([(27, 42), (33, 34), (40, 36), (46, 46), (58, 48), (70, 38), (77, 40), (74, 56), (66, 68), (52, 72), (38, 68), (31, 56)]))
    canvas.paint(hen, "#c8552d")
    canvas.paint(canvas.region(smooth([(44, 52), (56, 50), (68, 50), (64, 61), (52, 64), (45, 60)])), "#2f5d43")
    for k in range(4):
        canvas.paint(canvas.stroke([(47 + k * 4.5, 54), (50 + k * 4.5, 57), (47 + k * 4.5, 61)], 0.8), GOLD)
    canvas.paint(canvas.region(smooth([(66, 46), (72, 30), (82, 30), (80, 44), (74, 56)])), "#2f5d43", within=paper)
    canvas.paint(canvas.region(smooth([(30, 36), (29, 29), (33, 31), (36, 27), (38, 32), (42, 31), (40, 37)])), RED)
    canvas.paint(canvas.region([(27, 40), (21, 43), (28, 45)]), GOLD)
    canvas.paint(canvas.oval(33, 40, 1.3), "#1f1a17")
    for x in (47, 56):
        canvas.paint(canvas.stroke([(x, 70), (x, 78), (x - 3, 80)], 1), "#8a5a2b")
    for x, y in ((28, 74), (66, 77), (75, 71), (36, 79)):
        canvas.paint(canvas.oval(x, y, 4.2, 3.4), "#e7b045")
        canvas.paint(canvas.oval(x - 3.4, y - 2.6, 2.3), "#e7b045")
        canvas.paint(canvas.oval(x - 4, y - 3, 0.5), "#1f1a17")
    canvas.paint(canvas.box(72, 15, 79, 24, 0.6), RED)
    return canvas.finish()


def phin():
    canvas = Canvas("#ece4da", "#d3c2ae")
    canvas.shadow(53, 88, 27, 4)
    glass = [(48, 17), (66, 16), (86, 14.5), (88, 14)]
    cup = canvas.region(turned(glass))
    canvas.paint(cup, "#f5f2ee")
    inner = canvas.region(turned(glass, 0.9))
    canvas.paint(canvas.box(0, 57, 100, 76), "#3a1e12", within=inner)
    canvas.paint(canvas.box(0, 75, 100, 86), "#f0dfc0", within=inner)
    canvas.paint(canvas.oval(50, 57, 15, 1.9), "#56301d")
    canvas.round_off(cup, glass)
    canvas.paint(canvas.stroke([(50, 47), (50, 56)], 0.9), "#3a1e12")
    canvas.paint(canvas.oval(50, 47, 24, 3.4), "#9aa3a8")
    canvas.paint(canvas.oval(50, 46.2, 24, 3.2), "#c9d0d3")
    body = [(26, 15), (36, 14.6), (46, 14)]
    pot = canvas.region(turned(body))
    canvas.paint(pot, "#b7c0c4")
    for x in range(36, 66, 4):
        canvas.paint(canvas.box(x, 0, x + 1, 100), "#ffffff", 0.18, within=pot)
    canvas.round_off(pot, body)
    lid = [(16, 2), (18, 3), (20, 12), (25, 16.5), (27, 16.5)]
    top = canvas.region(turned(lid))
    canvas.paint(top, "#a7b1b6")
    canvas.round_off(top, lid)
    canvas.paint(canvas.oval(50, 15.5, 2.6, 2.3), "#39424a")
    for start in (40, 58):
        canvas.paint(canvas.stroke([(start, 12), (start + 3, 8), (start - 1, 5), (start + 2, 1)], 0.8), "#ffffff", 0.7)
    return canvas.finish()


def basket():
    canvas = Canvas("#e8e6d8", "#cbc8ad")
    canvas.shadow(53, 86, 33, 5)
    canvas.paint(canvas.stroke([(32, 46), (34, 16), (50, 9), (66, 16), (68, 46)], 2.6), WOOD)
    profile = [(42, 29), (56, 31), (72, 28), (83, 22), (85, 21)]
    body = canvas.region(turned(profile))
    canvas.paint(body, "#c99a55")
    for row in range(12):
        y = 42 + row * 3.7
        for column in range(18):
            x = 16 + column * 4 + (row % 2) * 2
            canvas.paint(canvas.box(x, y, x + 3.4, y + 2.4, 1.1), "#e2bd7e" if (row + column) % 3 else "#b37f3d", within=body)
    canvas.round_off(body, profile)
    canvas.paint(canvas.oval(50, 42, 29, 4.6), "#a87436")
    opening = canvas.oval(50, 42.4, 26, 3.4)
    canvas.paint(opening, "#5b3c1c")
    for x, size in ((38, 9), (62, 10), (50, 12)):
        lotus(canvas, x, 43, size)
    return canvas.finish()
