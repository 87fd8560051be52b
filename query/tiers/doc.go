// Package tiers decides which tier of the storage a selector reads: the samples, or
// the buckets of a rollup.
//
// Its types:
//
//   - Resolution is what a client asks for: a tier, or the choice.
//   - Read is what a selector reads: a function's windows on a grid.
//   - Available is a tier that a view of the database has, and the range it covers.
//   - Choice is the tier that a Read takes, and why it takes no coarser one.
//
// All of it is pure. The choice does not change an answer, only its cost: a bucket
// that a window cuts in a place where the bucket's columns do not suffice is read as
// samples, and this is judged by the bucket itself: see window.FailingRows. Choose
// estimates how many buckets that will be.
package tiers
