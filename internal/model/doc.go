// Package model holds the nouns everyone shares: samples in columns, time
// ranges and partitions, series identities and refs, exemplars and metadata.
// It does no I/O and imports no other package of the project.
package model
