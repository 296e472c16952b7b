// What all drawings need: colours of the style sheet, sharp canvases, and to know when to draw anew.

const scheme = matchMedia("(prefers-color-scheme: dark)");
const tokens = new Map();

/** A colour of the style sheet, by its name there. */
export function token(name) {
  let value = tokens.get(name);
  if (value === undefined) tokens.set(name, (value = getComputedStyle(document.documentElement).getPropertyValue(name).trim()));
  return value;
}

/** Sees to it that `redraw` is called when the element is seen, has another size, or light and dark change. */
export function watchLook(element, redraw) {
  const sizes = new ResizeObserver(([{ contentRect }]) => {
    look.width = contentRect.width;
    look.height = contentRect.height;
    redraw();
  });
  const sight = new IntersectionObserver(
    ([entry]) => {
      look.isSeen = entry.isIntersecting;
      if (look.isSeen) redraw();
    },
    { rootMargin: "100px" },
  );
  const recolour = () => {
    tokens.clear();
    redraw();
  };
  const look = {
    isSeen: false,
    width: 0,
    height: 0,
    close: () => {
      sizes.disconnect();
      sight.disconnect();
      scheme.removeEventListener("change", recolour);
    },
  };
  sizes.observe(element);
  sight.observe(element);
  scheme.addEventListener("change", recolour);
  return look;
}

/** The context of a canvas that is as sharp as the screen, cleared. A draft is drawn bit by bit: see `settle`. */
export function prepared(canvas, width, height, isDraft = false) {
  const ratio = window.devicePixelRatio || 1;
  const [w, hh] = [Math.max(1, Math.round(width * ratio)), Math.max(1, Math.round(height * ratio))];
  if (canvas.width !== w || canvas.height !== hh) {
    canvas.width = w;
    canvas.height = hh;
  }
  const ctx = canvas.getContext("2d", isDraft ? { willReadFrequently: true } : undefined);
  ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
  ctx.clearRect(0, 0, width, height);
  return ctx;
}

/** Has the browser paint what was drawn so far: it gathers the strokes otherwise, and paints all of them in one frame. */
export const settle = (ctx) => {
  ctx.getImageData(0, 0, 1, 1);
};

export const FONT = "11.5px system-ui, sans-serif";

export const line = (ctx, xa, ya, xb, yb) => {
  ctx.beginPath();
  ctx.moveTo(xa, ya);
  ctx.lineTo(xb, yb);
  ctx.stroke();
};

/** Text that is cut to a width. */
export function fitted(ctx, text, room) {
  if (ctx.measureText(text).width <= room) return text;
  let n = text.length;
  while (n > 1 && ctx.measureText(`${text.slice(0, n)}…`).width > room) n--;
  return `${text.slice(0, n)}…`;
}
