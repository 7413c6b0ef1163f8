// The charts of round trips and of pings a second.

const charts = {
  isDue: false,

  redraw() {
    if (this.isDue) return;
    this.isDue = true;
    requestAnimationFrame(() => {
      this.isDue = false;
      drawRoundTrips($('ping-chart'), pinging.figures.samples);
      drawRates($('server-spark'), state.rates);
    });
  },
};

/** The canvas's 2D context, scaled to its size on the screen, and the colours of the page. */
function pen(canvas) {
  const { width, height } = canvas.getBoundingClientRect();
  const ratio = devicePixelRatio;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  const context = canvas.getContext('2d');
  context.scale(ratio, ratio);
  const style = getComputedStyle(canvas);
  const colour = (name) => style.getPropertyValue(`--${name}`);
  context.font = `12px ${style.fontFamily}`;
  return { context, width, height, colour };
}

/** The smallest number not below a value whose quarters are short to write. */
function niceCeiling(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  const factors = [1, 1.2, 1.6, 2, 2.4, 3.2, 4, 5, 6, 8, 10];
  return power * (factors.find((factor) => factor * power >= value) ?? 10);
}

function drawRoundTrips(canvas, samples) {
  const brush = pen(canvas);
  const { width, height } = brush;
  const times = samples.filter(Number.isFinite);
  const top = times.length ? niceCeiling(Math.max(...times, 0.1) * 1.05) : 1;
  const box = { left: 48, right: width - 10, top: 10, bottom: height - 22 };
  const step = (box.right - box.left) / Math.max(samples.length - 1, 59);
  const x = (index) => box.right - (samples.length - 1 - index) * step;
  const y = (ms) => box.bottom - (ms / top) * (box.bottom - box.top);
  drawAxes(brush, box, top, y, Math.round((box.right - box.left) / step) + 1);
  drawLost(brush, box, samples, x);
  for (const run of runs(samples)) drawRun(brush, box, run, x, y, step);
  canvas.setAttribute('aria-label', describe(samples, times));
}

function describe(samples, times) {
  if (!samples.length) return 'Round-trip times: no pings yet';
  const lost = samples.filter((sample) => sample === Figures.LOST).length;
  const range = times.length ? `, from ${milliseconds(Math.min(...times))} to ${milliseconds(Math.max(...times))} ms` : '';
  return `Round-trip times of the last ${times.length} replies${range}; ${lost} lost`;
}

function drawAxes({ context, colour }, box, top, y, places) {
  context.fillStyle = colour('muted');
  context.strokeStyle = colour('line');
  context.lineWidth = 1;
  context.textBaseline = 'middle';
  context.textAlign = 'right';
  for (const part of [0, 0.25, 0.5, 0.75, 1]) {
    const height = Math.round(y(part * top)) + 0.5;
    line(context, box.left, height, box.right, height);
    context.fillText(Number((part * top).toPrecision(3)), box.left - 8, height);
  }
  context.textBaseline = 'bottom';
  context.fillText('now', box.right, box.bottom + 20);
  context.textAlign = 'left';
  context.fillText(`${places} pings ago`, box.left, box.bottom + 20);
  context.fillText('ms', 6, box.bottom + 20);
}

function line(context, fromX, fromY, toX, toY) {
  context.beginPath();
  context.moveTo(fromX, fromY);
  context.lineTo(toX, toY);
  context.stroke();
}

/** Lost pings as crosses at the bottom, breaks of the connection as dashed lines. */
function drawLost({ context, colour }, box, samples, x) {
  context.strokeStyle = colour('bad');
  context.lineWidth = 2;
  samples.forEach((sample, index) => {
    const at = Math.round(x(index));
    if (sample === Figures.BREAK) {
      context.setLineDash([4, 4]);
      line(context, at, box.top, at, box.bottom);
      context.setLineDash([]);
    } else if (sample === Figures.LOST) {
      line(context, at - 4, box.bottom - 10, at + 4, box.bottom - 2);
      line(context, at - 4, box.bottom - 2, at + 4, box.bottom - 10);
    }
  });
}

/** The runs of round trips without a lost ping or a break between them, each as `[index, ms]`. */
function runs(samples) {
  const found = [[]];
  samples.forEach((sample, index) => {
    if (Number.isFinite(sample)) found.at(-1).push([index, sample]);
    else if (found.at(-1).length) found.push([]);
  });
  return found.filter((run) => run.length);
}

function drawRun({ context, colour }, box, run, x, y, step) {
  const points = run.map(([index, ms]) => [x(index), y(ms)]);
  fillBelow(context, points, box.bottom, colour('area'));
  context.strokeStyle = context.fillStyle = colour('accent');
  context.lineWidth = 1.75;
  context.lineJoin = 'round';
  trace(context, points);
  context.stroke();
  const dots = step >= 7 ? points : points.slice(-1);
  for (const [atX, atY] of dots) dot(context, atX, atY, step >= 7 ? 2.25 : 1.75);
}

function trace(context, points) {
  context.beginPath();
  for (const point of points) context.lineTo(...point);
}

function fillBelow(context, points, bottom, colour) {
  trace(context, points);
  context.lineTo(points.at(-1)[0], bottom);
  context.lineTo(points[0][0], bottom);
  context.fillStyle = colour;
  context.fill();
}

function dot(context, x, y, radius) {
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.fill();
}

function drawRates(canvas, rates) {
  const { context, width, height, colour } = pen(canvas);
  if (rates.length < 2) return;
  const top = Math.max(...rates, 1);
  const step = (width - 2) / Math.max(rates.length - 1, 14);
  const point = (rate, index) => [
    width - 1 - (rates.length - 1 - index) * step,
    height - 1 - (rate / top) * (height - 3),
  ];
  const points = rates.map(point);
  fillBelow(context, points, height, colour('area'));
  context.strokeStyle = colour('accent');
  context.lineWidth = 1.5;
  trace(context, points);
  context.stroke();
}
