// Package partitiontest has what the tests of several packages below partition
// need: sources of samples and histograms, descriptions of blocks without
// files, edits, and files with given bytes.
package partitiontest
