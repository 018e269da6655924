// What is measured at growing sizes, in words.

/** 10^5, of a power of ten. */
export const label = (size) => `10^${Math.log10(size)}`;
export const labels = (sizes) => sizes.map(label).join(" / ");

/** One value of each size. */
export const list = (values, digits = 0) => values.map((value) => value.toFixed(digits)).join(" / ");

/** How often the last value is the first one: the ratios of a row. */
export const grown = (values, sizes) => ({ [`the one at ${label(sizes[0])}`]: values.at(-1) / values[0] });
