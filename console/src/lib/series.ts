// Points of one property as the chart wants them: sorted columns, replayed points apart, bands where an outage was.

import type { History, Json } from '../api/types';

export interface Point {
  time: number; // ms since 1970, the original time
  value: number;
  replayed: boolean;
  min?: number;
  max?: number;
}

/** What a line can show of a value: numbers, and bool/enum as their wire number. */
export function plotValue(value: Json): number | undefined {
  if (typeof value === 'number') return Number.isFinite(value) ? value : undefined;
  if (typeof value === 'boolean') return Number(value);
  return undefined;
}

export function pointsOf(history: History): Point[] {
  const points: Point[] = [];
  if (history.buckets && history.buckets.length > 0) {
    for (const bucket of history.buckets) {
      if (bucket.count > 0) points.push({ time: bucket.time, value: bucket.avg, replayed: bucket.replayed === true, min: bucket.min, max: bucket.max });
    }
  } else {
    for (const point of history.points ?? []) {
      const value = plotValue(point.value);
      if (value !== undefined) points.push({ time: point.time, value, replayed: point.replayed === true });
    }
  }
  return points.sort((a, b) => a.time - b.time);
}

/** Puts a point where its original time belongs: a replayed point arrives late. The same time replaces. */
export function insertPoint(points: Point[], point: Point): void {
  let at = points.length;
  while (at > 0 && points[at - 1]!.time > point.time) at -= 1;
  if (at > 0 && points[at - 1]!.time === point.time) points[at - 1] = point;
  else points.splice(at, 0, point);
}

export interface Band {
  from: number;
  to: number;
}

/** Runs of neighbouring replayed points, as the stretch of time they cover. */
export function replayBands(points: readonly Point[]): Band[] {
  const bands: Band[] = [];
  let open: Band | undefined;
  for (const point of points) {
    if (!point.replayed) open = undefined;
    else if (open) open.to = point.time;
    else bands.push((open = { from: point.time, to: point.time }));
  }
  return bands;
}

export type Columns = [x: number[], live: (number | null)[], replayed: (number | null)[]];

/** uPlot columns; x in seconds. A replayed run also holds its neighbours, so that the line has no hole at the colour change. */
export function columns(points: readonly Point[]): Columns {
  const x: number[] = [];
  const live: (number | null)[] = [];
  const replayed: (number | null)[] = [];
  points.forEach((point, index) => {
    const beside = points[index - 1]?.replayed === true || points[index + 1]?.replayed === true;
    x.push(point.time / 1000);
    live.push(point.replayed ? null : point.value);
    replayed.push(point.replayed || beside ? point.value : null);
  });
  return [x, live, replayed];
}

/** SVG path of a small line inside width x height; empty below two points. */
export function sparkPath(values: readonly number[], width: number, height: number): string {
  if (values.length < 2) return '';
  const low = Math.min(...values);
  const span = Math.max(...values) - low || 1;
  const step = width / (values.length - 1);
  return values.map((value, index) => `${index === 0 ? 'M' : 'L'}${(index * step).toFixed(1)} ${(height - ((value - low) / span) * height).toFixed(1)}`).join('');
}
