// Package storetest has a Store: a MANIFEST and a set of real, tiny blocks with a
// model beside them. The tests of sets and merges share it.
package storetest
