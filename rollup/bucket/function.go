package bucket

import "tsdb/internal/model"

// Function is a function of the floats in a window that rows can answer.
type Function uint8

const (
	Rate Function = iota
	Increase
	Delta
	IRate
	IDelta
	Sum
	Avg
	Min
	Max
	Count
	Last
	First
	TsOfLast
	TsOfFirst
	Present
	Absent
	Resets
	Changes
	// Instant is an instant selector, whose window is the lookback. It answers the
	// newest entry, unless that is a stale marker.
	Instant

	numFunctions
)

// functions describes each Function.
var functions = [numFunctions]struct {
	name    string // of PromQL
	columns model.BucketColumns
	// cut are the columns that are needed too if a window may begin between the floats
	// of a row.
	cut model.BucketColumns
	// endOnly is set if the last two floats of a window are enough.
	endOnly bool
	// arithmetic is set if NaN, infinities and large floats have to be added,
	// subtracted or compared in the order of the samples.
	arithmetic bool
	// starts is set if the function can use start timestamps.
	starts bool
}{
	Rate:      {name: "rate", columns: borders | model.ColumnLost, cut: lastTwo, arithmetic: true, starts: true},
	Increase:  {name: "increase", columns: borders | model.ColumnLost, cut: lastTwo, arithmetic: true, starts: true},
	Delta:     {name: "delta", columns: borders, cut: lastTwo, arithmetic: true},
	IRate:     {name: "irate", columns: lastTwo, endOnly: true, arithmetic: true, starts: true},
	IDelta:    {name: "idelta", columns: lastTwo, endOnly: true, arithmetic: true},
	Sum:       {name: "sum_over_time", columns: model.ColumnSum, cut: lastTwo, arithmetic: true},
	Avg:       {name: "avg_over_time", columns: model.ColumnSum, cut: lastTwo, arithmetic: true},
	Min:       {name: "min_over_time", columns: model.ColumnMin, cut: lastTwo},
	Max:       {name: "max_over_time", columns: model.ColumnMax, cut: lastTwo},
	Count:     {name: "count_over_time"},
	Last:      {name: "last_over_time", columns: model.ColumnLast, endOnly: true},
	First:     {name: "first_over_time", columns: model.ColumnFirst, cut: lastTwo},
	TsOfLast:  {name: "ts_of_last_over_time", endOnly: true},
	TsOfFirst: {name: "ts_of_first_over_time"},
	Present:   {name: "present_over_time", endOnly: true},
	Absent:    {name: "absent_over_time", endOnly: true},
	Resets:    {name: "resets", columns: borders | model.ColumnResets, cut: lastTwo, arithmetic: true, starts: true},
	Changes:   {name: "changes", columns: borders | model.ColumnChanges, cut: lastTwo, arithmetic: true},
	Instant:   {columns: model.ColumnLast, endOnly: true},
}

const (
	lastTwo = model.ColumnLast | model.ColumnLast2
	borders = model.ColumnFirst | model.ColumnLast
)

// ParseFunction returns the Function of a PromQL function, false if rows cannot
// answer it. No name stands for Instant.
func ParseFunction(name string) (Function, bool) {
	for f := range numFunctions {
		if functions[f].name == name && name != "" {
			return f, true
		}
	}
	return 0, false
}

func (f Function) String() string {
	if f == Instant {
		return "instant selector"
	}
	return functions[f].name
}

// Needs returns the columns of values that the function reads. cut reports whether a
// window may begin between the floats of a row.
func (f Function) Needs(cut bool) model.BucketColumns {
	if cut {
		return functions[f].columns | functions[f].cut
	}
	return functions[f].columns
}

// NeedsResets reports whether the function reads columns that rows with BucketNoResets
// lack.
func (f Function) NeedsResets() bool { return functions[f].columns&model.ResetColumns != 0 }

// LeftEdge reports whether the function depends on all floats of a window. Otherwise
// the last two are enough, wherever the window begins.
func (f Function) LeftEdge() bool { return !functions[f].endOnly }

// NoRows returns the flags of rows that make their windows unanswerable from any
// rows. They must be read from samples by another way: rows hold no histograms and no
// start timestamps. startTimestamps reports whether functions of counters use these.
func (f Function) NoRows(startTimestamps bool) model.BucketFlags {
	flags := model.BucketHistogram
	if startTimestamps && functions[f].starts {
		flags |= model.BucketStart
	}
	return flags
}

// Answers reports whether a row with the flags, wholly inside a window, can answer for
// its floats. Otherwise rows of its samples have to take its place. Flags of NoRows
// are not considered.
//
// Selections of one of the floats and counts are the same for NaN and infinities. Sums
// of buckets are not: large floats overflow in another order, and infinities hide
// what else was added.
func (f Function) Answers(flags model.BucketFlags) bool {
	if flags&model.BucketNoResets != 0 && f.NeedsResets() {
		return false
	}
	return flags&model.BucketSpecial == 0 || flags&model.BucketSample != 0 || !functions[f].arithmetic
}
