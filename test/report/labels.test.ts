import { expect, test } from "vitest";
import { Random } from "../../src/random.js";
import { type Box, placeLabels } from "../../src/report/charts/labels.js";

const frame: Box = { left: 50, top: 40, right: 480, bottom: 360 };
const size = (name: string) => ({ width: 7 * name.length, height: 15 });
const boxOf = (x: number, y: number, { width, height }: { width: number; height: number }): Box => ({
  left: x - width / 2,
  right: x + width / 2,
  top: y - height / 2,
  bottom: y + height / 2,
});
const overlap = (a: Box, b: Box) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;

test.each([1, 2, 3])("sixteen crowded names lie within the frame and on no other name, point or bar (%i)", (seed) => {
  const random = new Random(seed);
  const points = Array.from({ length: 16 }, (_, i) => ({
    x: 250 + 70 * random.normal(),
    y: 200 + 50 * random.normal(),
    name: i % 3 === 0 ? "Safe-RLHF" : `0.${i}`,
  }));
  const bars = points.map(({ x, y }) => boxOf(x, y, { width: 40, height: 2 }));
  const boxes = placeLabels(points, frame, bars).map(({ x, y }, i) => boxOf(x, y, size(points[i].name)));
  for (const [i, box] of boxes.entries()) {
    expect(box.left).toBeGreaterThanOrEqual(frame.left);
    expect(box.right).toBeLessThanOrEqual(frame.right);
    for (const other of [
      ...boxes.slice(i + 1),
      ...bars,
      ...points.map(({ x, y }) => boxOf(x, y, { width: 8, height: 8 })),
    ])
      expect(overlap(box, other)).toBe(false);
  }
});

test("a name stays beside its point where nothing is in its way", () => {
  const [place] = placeLabels([{ x: 200, y: 200, name: "0.5" }], frame);
  expect(place).toMatchObject({ y: 200, far: false });
  expect(place.x).toBeGreaterThan(200);
  const [atEdge] = placeLabels([{ x: 478, y: 200, name: "0.5" }], frame);
  expect(atEdge.x).toBeLessThan(478);
});
