// Package model holds the types shared by all packages: samples in columns, time
// ranges and partitions, series identities and refs, exemplars and metadata.
// It does no I/O and imports no other package of the project.
package model
