package query

import (
	"tsdb/query/admission"
	"tsdb/query/source"
)

// The names of the packages below that callers of an Engine need: they import
// this package only.
type (
	// Queryable shows a database through Prometheus' interfaces.
	Queryable = source.Queryable
	// Limit names a limit that a query can exceed.
	Limit = admission.Limit
	// LimitError is the error of a query that would exceed a limit.
	LimitError = admission.LimitError
	// TextLimits are the bounds of a query's text.
	TextLimits = admission.TextLimits
)

// The limits of a LimitError.
const (
	LimitBytes       = admission.LimitBytes
	LimitTotalBytes  = admission.LimitTotalBytes
	LimitSeries      = admission.LimitSeries
	LimitLabelValue  = admission.LimitLabelValue
	LimitText        = admission.LimitText
	LimitSamplesRead = admission.LimitSamplesRead
)

// ErrOverloaded is returned when the queue of waiting queries is full. Trying again
// later can help.
var ErrOverloaded = admission.ErrOverloaded

// NewQueryable returns a Queryable over one tenant's series of a database.
func NewQueryable(db source.Database, tenant uint32) *Queryable {
	return source.NewQueryable(db, tenant)
}
