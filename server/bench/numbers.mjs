/** Figures as they are summed up and as they are written. */

/** @param sorted ascending */
export function at(sorted, quantile) {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * quantile))] ?? 0;
}

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** Three digits that count, and thousands set apart. */
export function digits(value) {
  if (value === 0) return '0';
  const size = Math.abs(value);
  const places = size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3;
  return value.toLocaleString('en-US', {
    minimumFractionDigits: size >= 1 && size < 100 ? Math.min(places, 1) : 0,
    maximumFractionDigits: places,
  });
}

/** The median, and the range where there is more than one. */
export function spread(values) {
  const middle = digits(median(values));
  if (values.length < 2) return `${middle} (one run)`;
  if (Math.min(...values) === Math.max(...values)) return middle;
  return `${middle} (${digits(Math.min(...values))}–${digits(Math.max(...values))})`;
}
