package rollup

import (
	"slices"

	"tsdb/partition/block"
	"tsdb/partition/manifest"
)

// Result is what a step has made. No edit lists its blocks yet: the caller publishes
// Edit, or passes Names to Set.Discard.
type Result struct {
	Add     []block.Info // complete and synced
	Keys    map[string]manifest.KeyRange
	Cover   []manifest.Coverage
	Uncover []manifest.CoverKey

	Samples uint64 // that were read
	Rows    uint64 // buckets that were written
	Bytes   int64  // of Add
	// Lost holds an error for each part of the samples that could not be read.
	Lost []error
}

// Names returns the names of the new blocks.
func (r *Result) Names() []string {
	names := make([]string, len(r.Add))
	for i, b := range r.Add {
		names[i] = b.Name
	}
	return names
}

// Edit returns the edit that makes the result visible in a state, which may be newer
// than the one the step was planned from. It drops the rollup blocks that no entry
// names afterwards.
func (r *Result) Edit(st *manifest.State) manifest.Edit {
	e := manifest.Edit{Add: r.Add, Keys: r.Keys, Cover: r.Cover, Uncover: r.Uncover}
	e.Drop = unnamed(st, &e)
	return e
}

// Result returns that of a Confirm step, which writes nothing.
func (s *Step) Result() *Result { return &Result{Cover: s.Cover, Uncover: s.Uncover} }

// unnamed returns the names of the rollup blocks that no entry names after an edit, in
// the order of State.Sorted.
func unnamed(st *manifest.State, e *manifest.Edit) []string {
	named := map[string]bool{}
	changed := map[manifest.CoverKey]bool{}
	for _, c := range e.Cover {
		named[c.Block], changed[c.CoverKey] = true, true
	}
	for _, k := range e.Uncover {
		changed[k] = true
	}
	for k, c := range st.Coverage {
		if !changed[k] {
			named[c.Block] = true
		}
	}
	var names []string
	for _, b := range st.Blocks {
		if b.Tier != block.Raw && !named[b.Name] {
			names = append(names, b.Name)
		}
	}
	slices.Sort(names)
	return names
}
