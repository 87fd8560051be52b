package cardinality

import (
	"slices"
	"time"

	"tsdb/internal/model"
)

// Bounds of what is kept.
const (
	MaxDays      = 100
	MaxRows      = 200     // of a table
	MaxNameBytes = 1 << 10 // rows with longer names are left out
)

// A Kind is what a table counts. The numbers are those of the file.
type Kind uint8

// The kinds of tables.
const (
	ByMetric    Kind = 0 // series by metric
	ByLabel     Kind = 1 // values by label
	SeriesLabel Kind = 2 // series by label
	ByPair      Kind = 3 // series by label=value
	NewByMetric Kind = 4 // series that the day before did not have, by metric
	NewByLabel  Kind = 5 // values that the day before did not have, by label
	numKinds         = 6
)

// Kinds lists all kinds.
var Kinds = []Kind{ByMetric, ByLabel, SeriesLabel, ByPair, NewByMetric, NewByLabel}

// String returns what the table counts.
func (k Kind) String() string {
	switch k {
	case ByMetric:
		return "series by metric"
	case ByLabel:
		return "values by label"
	case SeriesLabel:
		return "series by label"
	case ByPair:
		return "series by label and value"
	case NewByMetric:
		return "new series by metric"
	case NewByLabel:
		return "new values by label"
	}
	return "unknown table"
}

// Row is a row of a table.
type Row struct {
	Name  string
	Count uint64
}

// Table has the rows with the highest counts, highest first.
type Table struct {
	Rows []Row // at most MaxRows
	Cut  bool  // there were more rows
}

// NewTable returns a table of rows that are sorted by count, without those that are not
// kept. more says that there are rows beside these.
func NewTable(rows []Row, more bool) Table {
	kept := make([]Row, 0, min(len(rows), MaxRows))
	for _, r := range rows {
		if len(kept) < MaxRows && len(r.Name) <= MaxNameBytes {
			kept = append(kept, r)
		}
	}
	return Table{Rows: slices.Clip(kept), Cut: more || len(kept) < len(rows)}
}

// Info says which day was counted, when and of what.
type Info struct {
	Day      int64  // UTC days since 1970-01-01
	Running  bool   // the day was not over
	Counted  int64  // Unix seconds
	Basis    uint64 // hash of what determines the counts
	Deletion uint64 // the highest ID of the deletions that touched the day; 0 = none
}

// Day has the counts of a day.
type Day struct {
	Info
	Series uint64 // with samples on the day
	Pairs  uint64 // distinct pairs of label and value
	New    uint64 // series without samples on the day before
	Gone   uint64 // series of the day before without samples on the day
	Tables [numKinds]Table
}

// DayOf returns the day of a time in Unix milliseconds. A sample at midnight belongs to the
// day before.
func DayOf(ms int64) int64 {
	day := (ms - 1) / model.DayMs
	if (ms-1)%model.DayMs < 0 {
		day--
	}
	return day
}

// Range returns the times of a day.
func Range(day int64) model.TimeRange {
	return model.TimeRange{Min: day*model.DayMs + 1, Max: (day+1)*model.DayMs + 1}
}

// Date returns the name of a day, such as 2026-11-30.
func Date(day int64) string {
	return time.UnixMilli(day * model.DayMs).UTC().Format(time.DateOnly)
}
