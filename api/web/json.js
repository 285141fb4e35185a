// JSON whose numbers keep their digits.
//
// A number that a double can not hold exactly is kept as the text that it came as. Where the browser
// does not tell that text, the number is what JavaScript makes of it.

// Decimal digits that a double always holds.
const EXACT = 15;

class Numeral {
  constructor(text) {
    this.text = text;
  }
}

export function parse(text) {
  return JSON.parse(text, (_, value, context) => {
    const source = context?.source;
    if (typeof value !== "number" || source === undefined || String(value) === source) return value;
    const digits = source.replace(/[eE].*/, "").replace(/\D/g, "").replace(/^0+|0+$/g, "");
    return digits.length > EXACT ? new Numeral(source) : value;
  });
}

// As people read it.
export function pretty(value, indent = "") {
  if (value instanceof Numeral) return value.text;
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  const [open, close] = Array.isArray(value) ? ["[", "]"] : ["{", "}"];
  const inner = `${indent}  `;
  const parts = Array.isArray(value)
    ? value.map((item) => pretty(item, inner))
    : Object.entries(value).map(([key, item]) => `${JSON.stringify(key)}: ${pretty(item, inner)}`);
  return parts.length ? `${open}\n${inner}${parts.join(`,\n${inner}`)}\n${indent}${close}` : open + close;
}
