/** Where the names of points in a chart go: beside their points, and on nothing else. Everything is in pixels. */

/** Rectangle in pixels. */
export interface Box {
  readonly left: number;
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
}

/** Place of a name. */
export interface Placed {
  /** The text's middle. */
  readonly x: number;
  readonly y: number;
  /** Whether it lies so far from its point that a line has to join them. */
  readonly far: boolean;
}

/** Of an average character, and of a line, in the charts' type on a narrow screen. */
const character = 7.4;
const lineHeight = 17;

const radius = 5;
const distances = [5, 14, 26, 40, 58, 80, 104];
/** Right, left, above, below, then between those. */
const directions = [
  [1, 0],
  [-1, 0],
  [0, -1],
  [0, 1],
  [1, -1],
  [1, 1],
  [-1, -1],
  [-1, 1],
] as const;

/**
 * Places the names one after the other, each at the nearest free place within the frame.
 * @param obstacles what no name may lie on, besides the points.
 */
export function placeLabels(
  points: readonly { x: number; y: number; name: string }[],
  frame: Box,
  obstacles: readonly Box[] = [],
): Placed[] {
  const taken: Box[] = [...points.map(({ x, y }) => around(x, y, 2 * radius, 2 * radius)), ...obstacles];
  return points.map(({ x, y, name }, i) => {
    const [width, height] = [character * name.length + 2, lineHeight];
    const others = taken.filter((_, k) => k !== i);
    const candidates = distances.flatMap((distance) =>
      directions.map(([right, down]) => ({
        x: x + right * (distance + width / 2),
        y: y + down * (distance + height / 2),
        far: distance > distances[0],
      })),
    );
    const free = candidates.find((at) => {
      const box = around(at.x, at.y, width, height);
      return within(box, frame) && !others.some((other) => overlap(box, other));
    });
    const place = free ?? candidates[0];
    taken.push(around(place.x, place.y, width, height));
    return place;
  });
}

const around = (x: number, y: number, width: number, height: number): Box => ({
  left: x - width / 2,
  right: x + width / 2,
  top: y - height / 2,
  bottom: y + height / 2,
});

const within = (inner: Box, outer: Box) =>
  inner.left >= outer.left && inner.right <= outer.right && inner.top >= outer.top && inner.bottom <= outer.bottom;

const overlap = (a: Box, b: Box) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
