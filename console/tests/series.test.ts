import { describe, expect, it } from 'vitest';
import { columns, insertPoint, plotValue, pointsOf, replayBands, sparkPath, type Point } from '../src/lib/series';

const live = (time: number, value = time): Point => ({ time, value, replayed: false });
const late = (time: number, value = time): Point => ({ time, value, replayed: true });

describe('points', () => {
  it('sorts by original time and leaves out what no line can show', () => {
    const points = pointsOf({ property: 'x', points: [{ time: 3, value: 3, received: 3 }, { time: 1, value: 'text', received: 1 }, { time: 2, value: 2, received: 9, replayed: true }] });
    expect(points).toEqual([late(2), live(3)]);
  });
  it('takes buckets before points, without empty ones', () => {
    const bucket = { time: 10, min: 1, max: 3, avg: 2, count: 4, replayed: true };
    expect(pointsOf({ property: 'x', points: [{ time: 1, value: 1, received: 1 }], buckets: [bucket, { ...bucket, time: 20, count: 0 }] })).toEqual([{ time: 10, value: 2, replayed: true, min: 1, max: 3 }]);
  });
  it('plots numbers and switches only', () => {
    expect(plotValue(true)).toBe(1);
    expect(plotValue(2.5)).toBe(2.5);
    expect(plotValue('2')).toBeUndefined();
    expect(plotValue(null)).toBeUndefined();
  });
  it('puts a late point where its own time belongs, and replaces the same time', () => {
    const points = [live(1), live(3)];
    insertPoint(points, late(2));
    insertPoint(points, live(4));
    insertPoint(points, live(0));
    insertPoint(points, late(3, 30));
    expect(points.map((point) => point.time)).toEqual([0, 1, 2, 3, 4]);
    expect(points[3]).toEqual(late(3, 30));
  });
});

describe('replay', () => {
  it('finds runs', () => expect(replayBands([live(1), late(2), late(3), live(4), late(5)])).toEqual([{ from: 2, to: 3 }, { from: 5, to: 5 }]));
  it('finds none in live data', () => expect(replayBands([live(1), live(2)])).toEqual([]));
  it('joins the coloured line to its neighbours and never draws a point twice in the live colour', () => {
    expect(columns([live(1000), late(2000), live(3000), live(4000)])).toEqual([[1, 2, 3, 4], [1000, null, 3000, 4000], [1000, 2000, 3000, null]]);
  });
});

describe('small line', () => {
  it('needs two points', () => expect(sparkPath([1], 10, 10)).toBe(''));
  it('draws a flat line without dividing by nothing', () => expect(sparkPath([5, 5], 10, 10)).toBe('M0.0 10.0L10.0 10.0'));
});
