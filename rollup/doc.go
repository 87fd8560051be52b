// Package rollup makes the rollups: it plans which days are rolled up or folded,
// and reads and writes their blocks.
package rollup
